package agent

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// judge samples the truth ten times a second for a while and answers how long it was over the limit in
// one go, at worst.
func judge(r *ranch, limit int64, during time.Duration) (worst time.Duration) {
	const sample = 100 * time.Millisecond
	var over time.Duration
	for end := r.now() + during; r.now() < end; time.Sleep(sample) {
		if r.watts() > limit {
			over += sample
		} else {
			over = 0
		}
		worst = max(worst, over)
	}
	return worst
}

func TestStaysUnderTheLeaseWhateverMachinesDo(t *testing.T) {
	const count = 30
	for name, spoil := range map[string]func(*fake){
		"good": func(*fake) {},
		"deaf": func(f *fake) { f.become(deaf) },
		"late": func(f *fake) { f.become(late) },
		"dark": func(f *fake) { f.become(dark) },
		"busy": func(f *fake) { f.become(busy) },
		"hung": func(f *fake) { f.become(hung) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRanch(count)
				o := lit(t, r, addresses(count))
				for i := range 3 {
					spoil(r.at(i * 7))
				}
				time.Sleep(watched) // what can be noticed has been
				const half = count * fakeWatts / 2
				o.grant(half, 10*time.Minute, 5*time.Second)
				// The first sheds, three times their settle time where some of them turn out to do nothing.
				if over := judge(r, half, 5*time.Minute); over > 30*time.Second {
					t.Fatalf("over the lease for %s", over)
				}
				if over := judge(r, half, 4*time.Minute); over > 0 {
					t.Fatalf("over the lease again for %s", over)
				}
				if got := r.watts(); got < half*8/10 {
					t.Fatalf("draws %d W of %d: stranded", got, half)
				}
				o.grant(half/2, 10*time.Minute, 5*time.Second)
				time.Sleep(30 * time.Second)
				o.grant(half, 10*time.Minute, 0) // a raise is never over, not for one sample
				if over := judge(r, half, 5*time.Minute); over > 0 {
					t.Fatalf("a raise went over the lease for %s", over)
				}
			})
		})
	}
}

func TestRebootedHotIsPutBack(t *testing.T) {
	const count = 10
	bubble(t, func(t *testing.T) {
		r := newRanch(count)
		o := lit(t, r, addresses(count))
		const limit = count * fakeWatts / 2
		o.grant(limit, 30*time.Minute, 5*time.Second)
		time.Sleep(time.Minute)
		for _, f := range r.fakes {
			if f.state().asleep {
				f.rebootHot()
			}
		}
		if over := judge(r, limit, 5*time.Minute); over == 0 || over > 20*time.Second {
			t.Fatalf("over the lease for %s, want above 0 and at most 20 s", over)
		}
	})
}

func TestAHangingMachineHoldsUpNobody(t *testing.T) {
	const count = 8
	bubble(t, func(t *testing.T) {
		r := newRanch(count)
		for _, f := range r.fakes {
			f.fixed = true
		}
		o := lit(t, r, addresses(count))
		first, second := r.at(2), r.at(4)
		first.become(hung)
		time.Sleep(40 * time.Second)
		if got := o.report(); got.Counts.Unreachable != 1 || got.Counts.Hashing != count-1 {
			t.Fatalf("counts %+v, want one unreachable", got.Counts)
		}
		if got, least := r.at(5).state().reads, 10; got < least {
			t.Fatalf("read a good machine %d times in a minute, want %d", got, least)
		}
		second.become(hung)
		time.Sleep(11 * time.Second) // its read is overdue, and it does not count as unreachable yet
		ordered := r.now()
		const limit = 5 * fakeWatts / 2
		o.grant(limit, time.Minute, 5*time.Second)
		time.Sleep(time.Second)
		for _, w := range r.written() {
			if w.addr == first.addr || w.addr == second.addr {
				t.Fatalf("a second operation at %s, which hangs", w.addr)
			}
			if w.at-ordered > 100*time.Millisecond {
				t.Fatalf("wrote %s after the lease", w.at-ordered)
			}
		}
		time.Sleep(fakeRamp)
		if got := r.watts(); got > limit {
			t.Fatalf("draws %d W of %d: the others have to make up for what hangs", got, limit)
		}
	})
}

func TestSlowMachinesAreAllPolled(t *testing.T) {
	const count = 300
	bubble(t, func(t *testing.T) {
		r := newRanch(count)
		for _, f := range r.fakes {
			f.slow = 3800 * time.Millisecond // more reads wanted than may be in flight
		}
		stage(t, r, addresses(count))
		time.Sleep(time.Minute)
		for _, f := range r.fakes {
			if reads := f.state().reads; reads < 7 {
				t.Fatalf("read %s %d times in a minute", f.addr, reads)
			}
		}
	})
}

func TestBusyMachinesAreNamedAndLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(3)
		o := lit(t, r, addresses(3))
		f := r.at(0)
		f.become(busy)
		o.grant(0, time.Hour, 5*time.Second)
		time.Sleep(time.Second)
		got := o.report().Troubles
		if len(got) != 1 || got[0].Reason != reasonBusy || got[0].Address != f.addr.String() {
			t.Fatalf("troubles %v, want %s busy", got, f.addr)
		}
		time.Sleep(2 * time.Minute)
		f.become(good)
		time.Sleep(11 * time.Minute) // the longest that refusals make a device wait, and a settle
		if got := r.watts(); got != 3*fakeResidual {
			t.Fatalf("draws %d W once the session was free", got)
		}
	})
}

func TestARefusedRaiseCountsForNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(2)
		o := lit(t, r, addresses(2))
		o.grant(0, 5*time.Minute, 5*time.Second)
		time.Sleep(time.Minute)
		r.at(0).become(busy)
		r.at(1).become(busy)
		o.grant(3*fakeWatts, 5*time.Minute, 0)
		time.Sleep(time.Second)
		if got := o.report(); got.Bound != 2*fakeResidual || len(got.Troubles) != 2 {
			t.Fatalf("bound %d W and troubles %v after raises that were refused", got.Bound, got.Troubles)
		}
	})
}

func TestAMachineThatMovesKeepsItsHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(2)
		a := addresses(6)
		o := lit(t, r, a)
		o.grant(0, 5*time.Minute, 5*time.Second)
		time.Sleep(watched)
		old := r.at(0)
		r.mu.Lock()
		delete(r.fakes, old.addr)
		moved := *old
		moved.inside = 0
		moved.addr = r.fakes[old.addr.Next()].addr.Next().Next()
		r.fakes[moved.addr] = &moved
		r.mu.Unlock()
		old.become(dark)
		time.Sleep(2 * time.Minute)
		got := o.report()
		if got.Counts.Total != 2 || got.Counts.Unreachable != 0 {
			t.Fatalf("counts %+v, want the two machines that are there", got.Counts)
		}
		if prior := got.PriorSettings[old.mac]; prior != "HashWatts 3500" {
			t.Fatalf("remembers %q of what it ran before", prior)
		}
	})
}

func TestOneIdentityAtTwoAddressesCountsTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(2)
		r.at(1).mac = r.at(0).mac
		o := lit(t, r, addresses(2))
		if got := o.report(); got.Counts.Total != 2 || got.Draw != 2*fakeWatts {
			t.Fatalf("reports %+v, want both", got)
		}
	})
}

// TestAMachineThatIsReplacedKeepsItsWatts: it may draw on wherever it is now.
func TestAMachineThatIsReplacedKeepsItsWatts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(2)
		resting := r.at(1)
		resting.asleep, resting.from, resting.to = true, fakeResidual, fakeResidual
		o := stage(t, r, addresses(2))
		time.Sleep(2 * time.Second)
		const limit = fakeWatts + 200
		o.grant(limit, 10*time.Minute, 0)
		time.Sleep(watched)
		r.mu.Lock()
		old := r.at(0)
		moved := *old
		moved.inside = 0
		r.fakes[netip.MustParseAddr("10.9.0.1")] = &moved // it hashes on there
		r.fakes[old.addr] = &fake{
			ranch: r, addr: old.addr, mac: "02:00:00:00:77:77", target: fakeWatts,
			asleep: true, from: fakeResidual, to: fakeResidual, booted: r.now(),
		}
		r.mu.Unlock()
		old.become(dark)
		if over := judge(r, limit, 3*time.Minute); over > 0 {
			t.Fatalf("over the lease for %s: others drew what the one that is elsewhere still draws", over)
		}
		o.grant(limit, 10*time.Minute, 0)
		time.Sleep(time.Minute)
		if got := r.watts(); got <= limit {
			t.Fatalf("draw %d W in all under a lease that counts what is here", got)
		}
	})
}

// TestAnAddressIsLetGoOnlyWhenItsWriteHasEnded is for L9.
func TestAnAddressIsLetGoOnlyWhenItsWriteHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(4)
		o := lit(t, r, addresses(4))
		r.at(3).become(hung) // it takes the write and does not let go of its caller
		o.grant(0, 5*time.Minute, 5*time.Second)
		time.Sleep(time.Second)
		o.mu.Lock()
		o.issuer.Assign(addresses(3), func(lease.Assignment, lease.Assignment) bool { return false })
		o.mu.Unlock()
		time.Sleep(3 * time.Second)
		if got := o.report().Generation; got != 0 {
			t.Fatalf("reports generation %d while a write to a former address is in flight", got)
		}
		r.free()
		time.Sleep(3 * time.Second)
		if got := o.report(); got.Generation != 2 || got.Counts.Total != 3 {
			t.Fatalf("reports generation %d of %d devices, want 2 of 3", got.Generation, got.Counts.Total)
		}
	})
}

func TestAnAddressIsLetGoWithItsWatts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(3)
		resting := r.at(0)
		resting.asleep, resting.from, resting.to = true, fakeResidual, fakeResidual
		o := stage(t, r, addresses(3))
		time.Sleep(2 * time.Second)
		const limit = 2*fakeWatts + 200
		o.grant(limit, 10*time.Minute, 0)
		time.Sleep(watched)
		o.mu.Lock()
		o.issuer.Assign(addresses(1), func(lease.Assignment, lease.Assignment) bool { return false })
		o.mu.Unlock()
		if over := judge(r, limit, 3*time.Minute); over > 0 {
			t.Fatalf("over the lease for %s: the machine that is left drew what those let go still draw", over)
		}
		o.shared = true
		o.grant(fakeWatts+200, 10*time.Minute, 0)
		time.Sleep(2 * time.Minute)
		if got := resting.watts(); got > fakeResidual {
			t.Fatalf("draws %d W under a lease that those let go draw under, too", got)
		}
		o.shared = false
		o.grant(fakeWatts+200, 10*time.Minute, 0)
		time.Sleep(2 * time.Minute)
		is := resting.state()
		if got := is.watts(); got < fakeWatts*9/10 {
			t.Fatalf("draws %d W under a lease of its own", got)
		}
	})
}

func TestASlowReaderGetsTheNewestReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		o := stage(t, r, addresses(1))
		time.Sleep(watched)
		reports, cancel := o.agent.Subscribe(t.Context())
		time.Sleep(time.Minute)
		if age := r.now() - (<-reports).AsOf; age > reportEvery {
			t.Fatalf("the newest report is %s old", age)
		}
		cancel()
		time.Sleep(5 * time.Second)
		select {
		case <-reports:
			t.Fatal("a report after cancel")
		default:
		}
	})
}

func TestReassignmentKeepsWhatIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(5)
		o := lit(t, r, addresses(3))
		if got := o.report().Bound; got != 3*fakeWatts {
			t.Fatalf("bound %d W before", got)
		}
		o.mu.Lock()
		o.issuer.Assign(addresses(5), func(lease.Assignment, lease.Assignment) bool { return false })
		o.mu.Unlock()
		time.Sleep(1500 * time.Millisecond)
		got := o.report()
		rated := lease.Watts(fakeWatts + fakeWatts/20)
		if got.Generation != 2 || got.Counts.Total != 5 || got.Bound > 3*fakeWatts+2*rated {
			t.Fatalf("generation %d, %d devices, bound %d: the three known before count as measured",
				got.Generation, got.Counts.Total, got.Bound)
		}
	})
}

func TestSettingsSurviveTheirWords(t *testing.T) {
	for _, text := range []string{"HashWatts 2800", "HashMode 3100 290MHz", "HashMode 3100 two words", "HashMode 0"} {
		s, err := decodePrior(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := encodePrior(s); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
	for _, text := range []string{"", "Sleep 0", "HashWatts", "HashWatts x", "HashWatts -1", "HashWatts 1 extra", "Nap 1"} {
		if s, err := decodePrior(text); err == nil {
			t.Errorf("%q was read as %v", text, s)
		}
	}
}

func TestRanges(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.5":             "[10.0.0.5] []",
		"10.0.0.7-10.0.0.9":    "[10.0.0.7 10.0.0.8 10.0.0.9] []",
		"10.0.0.9/30":          "[10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11] []",
		"255.255.255.254/31":   "[255.255.255.254 255.255.255.255] []",
		"fd00::fffe-fd00::1:0": "[fd00::fffe fd00::ffff fd00::1:0] []",
		"10.0.0.9-10.0.0.7":    `[] [range "10.0.0.9-10.0.0.7": 10.0.0.7 is not at or after 10.0.0.9]`,
		"10.0.0.9-fd00::1":     `[] [range "10.0.0.9-fd00::1": fd00::1 is not at or after 10.0.0.9]`,
	} {
		addrs, errs := expand([]string{text})
		if got := fmt.Sprint(addrs, " ", errs); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if addrs, errs := expand([]string{"10.0.0.0/8"}); len(addrs) != maxAddresses || len(errs) != 1 {
		t.Errorf("%d addresses and %v of a range too large", len(addrs), errs)
	}
	if addrs, errs := expand([]string{"nonsense", "10.0.0.1", "10.0.0.1", "10.0.0.0/33"}); len(addrs) != 1 || len(errs) != 2 {
		t.Errorf("%v %v", addrs, errs)
	}
}

func TestDirectCurrentWattsAreEstimates(t *testing.T) {
	watts := int64(3000)
	for source, want := range map[miner.Source]bool{
		miner.Meter: false, miner.Wall: false, miner.PSU: false, miner.DC: true, miner.Estimate: true, "": true,
	} {
		if got := readingOf(0, miner.Reading{Watts: &watts, WattsSource: source}).Estimated; got != want {
			t.Errorf("%q: estimated %t", source, got)
		}
	}
}
