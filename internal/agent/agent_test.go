package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// watched is past the time for which a fresh run counts its devices at rated.
const watched = 20 * time.Second

// bubble runs a test on a virtual clock that starts at the ranch's zero.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestFreshAgentWritesNothingForTenSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(5)
		o := stage(t, r, addresses(5))
		time.Sleep(lease.Grace - time.Millisecond)
		if w := r.written(); len(w) != 0 {
			t.Fatalf("wrote %v without a lease", w)
		}
		if got := o.report().Counts.Total; got != 5 {
			t.Fatalf("found %d devices, want 5", got)
		}
		time.Sleep(2 * time.Second)
		if w := r.written(); len(w) != 5 {
			t.Fatalf("shed %d devices once the grace was over, want 5", len(w))
		}
		time.Sleep(time.Minute)
		if got := r.watts(); got != 5*fakeResidual {
			t.Fatalf("draws %d W on the floor, want %d", got, 5*fakeResidual)
		}
	})
}

func TestShedReachesEveryDeviceWithinASecond(t *testing.T) {
	const count = 256
	bubble(t, func(t *testing.T) {
		r := newRanch(count)
		for _, f := range r.fakes {
			f.slow = 3 * time.Second // polls are in flight nearly all the time and must give way
		}
		o := stage(t, r, addresses(count))
		time.Sleep(sweepMost)
		o.grant(count*fakeWatts*2, 10*time.Minute, 0)
		time.Sleep(time.Minute)
		if w := r.written(); len(w) != 0 {
			t.Fatalf("wrote %v under a lease that allows everything", w)
		}
		ordered := r.now()
		o.grant(0, 10*time.Minute, 5*time.Second)
		time.Sleep(10 * time.Second)
		writes := r.written()
		if len(writes) != count {
			t.Fatalf("%d writes, want %d", len(writes), count)
		}
		for _, w := range writes {
			if w.setting.Kind != miner.Sleep || w.at-ordered > time.Second {
				t.Fatalf("%v to %s after %s", w.setting, w.addr, w.at-ordered)
			}
		}
		time.Sleep(5 * time.Second)
		if b := o.report().Bound; b > count*fakeResidual*2 {
			t.Fatalf("bound is %d W after the shed", b)
		}
	})
}

// TestARestartShedsNobody is for liveness a.
func TestARestartShedsNobody(t *testing.T) {
	const count = 20
	bubble(t, func(t *testing.T) {
		r := newRanch(count)
		o := stage(t, r, addresses(count))
		time.Sleep(60 * time.Millisecond)
		o.grant(count*fakeWatts, 10*time.Minute, 5*time.Second) // before any machine was found
		time.Sleep(time.Minute)
		if w := r.written(); len(w) != 0 {
			t.Fatalf("wrote %v under a lease that covers what they draw", w)
		}
		for _, seen := range o.heard() {
			for _, trouble := range seen.Troubles {
				if trouble.Reason != reasonUnproven {
					t.Fatalf("reported %v of machines that had only just been found", seen.Troubles)
				}
			}
		}
	})
}

// TestAFreshRunSaysWhomItHasToWatch: much of the pool counts at its rated watts meanwhile (L3).
func TestAFreshRunSaysWhomItHasToWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := stage(t, newRanch(3), addresses(3))
		time.Sleep(2 * time.Second)
		got := o.report().Troubles
		if len(got) != 1 || got[0].Reason != reasonUnproven || got[0].Message != "8s" {
			t.Fatalf("reported %v of machines that were only just seen, want the one that is watched longest", got)
		}
		time.Sleep(8*time.Second + 10*time.Second)
		if got := o.report().Troubles; len(got) != 0 {
			t.Fatalf("reported %v of machines that were watched long enough", got)
		}
	})
}

// TestAMachineThatWasNotReadDrawsNothingMeasured: what a fresh run is counted at is capped unless it has
// measured more (L3), and a machine that it has only found is not measured.
func TestAMachineThatWasNotReadDrawsNothingMeasured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		r.at(0).slow = 3 * time.Second
		o := stage(t, r, addresses(1))
		time.Sleep(2 * time.Second)
		if got := o.report(); got.Counts.Total != 1 || got.Draw != 0 || got.Bound < fakeWatts {
			t.Fatalf("reports %+v of a machine that was found and not read, want its rated watts as bound and no draw", got)
		}
	})
}

// TestANewLeadersAssignmentIsLookedFor: leaders number their assignments each for itself.
func TestANewLeadersAssignmentIsLookedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(4)
		o := stage(t, r, addresses(2))
		time.Sleep(2 * time.Second)
		for i := 2; i < 4; i++ {
			r.at(i).become(dark)
		}
		o.mu.Lock()
		o.issuer, o.seen = lease.NewIssuer(8), nil
		o.issuer.Assign(addresses(4), func(lease.Assignment, lease.Assignment) bool { return false })
		o.mu.Unlock()
		time.Sleep(sweepMost)
		for _, seen := range o.heard() {
			if seen.Epoch == 8 && seen.Generation != 0 {
				t.Fatalf("says after %s that it has taken up assignment %d with two addresses that nobody asked", seen.AsOf, seen.Generation)
			}
		}
		time.Sleep(2 * reportEvery)
		if got := o.report(); got.Epoch != 8 || got.Generation != 1 {
			t.Fatalf("reports generation %d of epoch %d at last", got.Generation, got.Epoch)
		}
	})
}

func TestAShedIsVerifiedAsSoonAsItSettles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(3)
		o := lit(t, r, addresses(3))
		time.Sleep(1700 * time.Millisecond) // off every beat
		o.grant(0, time.Minute, 5*time.Second)
		time.Sleep(r.at(0).Capabilities().SleepTiming.Worst + fakeLatency + 2*reportGap)
		if got := o.report().Bound; got != 3*fakeResidual {
			t.Fatalf("bound %d W when the shed has settled, want %d", got, 3*fakeResidual)
		}
	})
}

func TestDiscoveryTakesSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(256)
		for i := range 128 {
			delete(r.fakes, r.at(2*i+1).addr) // every other address is dead
		}
		o := stage(t, r, lease.Assignment{Ranges: []string{"10.0.0.1-10.0.1.0"}, Firmware: "Auto"})
		time.Sleep(3 * time.Second)
		if got := o.report().Counts.Total; got != 128 {
			t.Fatalf("found %d devices of 128", got)
		}
	})
}

func TestObserveNeverWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(4)
		a := addresses(4)
		a.Observe = true
		o := stage(t, r, a)
		time.Sleep(watched)
		o.grant(1000, 10*time.Second, time.Second)
		time.Sleep(2 * time.Minute) // the lease ends on the way
		if w := r.written(); len(w) != 0 {
			t.Fatalf("wrote %v under Observe", w)
		}
		if got := o.report(); got.Bound < 4*fakeWatts || got.Counts.Hashing != 4 {
			t.Fatalf("reports %+v, want rated and hashing", got)
		}
	})
}

func TestExpiryShedsToTheFloorOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(4)
		for _, f := range r.fakes {
			f.fixed = true // nothing to trim, so that every write is of a lease's end
		}
		resting := r.at(3)
		resting.asleep, resting.from, resting.to = true, fakeResidual, fakeResidual
		o := stage(t, r, addresses(4))
		time.Sleep(2 * time.Second)
		o.grant(3*fakeWatts+500, 30*time.Second, 0)
		time.Sleep(31 * time.Second) // asOf is at most a second old: over by now
		if got := o.report().LeaseWatts; got != 0 {
			t.Fatalf("still reports a lease of %d W", got)
		}
		time.Sleep(20 * time.Second)
		if got := r.watts(); got != 4*fakeResidual {
			t.Fatalf("draws %d W after the lease", got)
		}
		before := len(r.written())
		if before != 3 {
			t.Fatalf("%d writes, want one for each of the 3 that hashed", before)
		}
		resting.rebootHot() // somebody else woke what this agent never commanded
		time.Sleep(time.Minute)
		if w := r.written()[before:]; len(w) != 0 {
			t.Fatalf("re-asserted %v, which it never commanded", w)
		}
		r.at(0).rebootHot() // and this one it did
		time.Sleep(time.Minute)
		if w := r.written()[before:]; len(w) == 0 || w[0].addr != r.at(0).addr {
			t.Fatalf("did not re-assert its own command: %v", w)
		}
		if got := r.at(0).state().to; got != fakeResidual {
			t.Fatalf("heads for %d W", got)
		}
	})
}

func TestPriorSettingsAreReportedAndRestored(t *testing.T) {
	var prior map[string]string
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		r.at(0).target, r.at(0).from, r.at(0).to = 2800, 2800, 2800
		o := stage(t, r, addresses(1))
		time.Sleep(watched)
		o.grant(0, time.Minute, time.Second)
		time.Sleep(watched)
		prior = o.report().PriorSettings
	})
	if want := "HashWatts 2800"; prior["02:00:00:00:00:00"] != want {
		t.Fatalf("remembers %v, want %q", prior, want)
	}
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		f := r.at(0)
		f.asleep, f.from, f.to = true, fakeResidual, fakeResidual
		a := addresses(1)
		a.PriorSettings = map[string]string{f.mac: prior[f.mac], "02:00:00:00:99:99": "HashMode 3000 290MHz"}
		o := stage(t, r, a)
		time.Sleep(2 * time.Second)
		o.grant(4000, 5*time.Minute, 0)
		time.Sleep(time.Minute)
		w := r.written()
		if len(w) != 1 || w[0].setting.Watts != 2800 {
			t.Fatalf("woken by %v, want its former 2800 W", w)
		}
		if got := o.report().PriorSettings["02:00:00:00:99:99"]; got != "HashMode 3000 290MHz" {
			t.Fatalf("forgot a machine it has not met: %q", got)
		}
	})
}

func TestWakesAreStaggered(t *testing.T) {
	const count = 40
	bubble(t, func(t *testing.T) {
		r := newRanch(count)
		o := lit(t, r, addresses(count))
		o.grant(0, time.Hour, 5*time.Second)
		time.Sleep(time.Minute)
		slept := len(r.written())
		o.grant(count*fakeWatts*2, 5*time.Minute, 0)
		time.Sleep(watched)
		writes := r.written()[slept:]
		if len(writes) != count {
			t.Fatalf("%d wakes, want %d", len(writes), count)
		}
		for i := wakesPerSecond; i < count; i++ {
			if gap := writes[i].at - writes[i-wakesPerSecond].at; gap < time.Second {
				t.Fatalf("%d wakes in %s", wakesPerSecond+1, gap)
			}
		}
		if took := writes[count-1].at - writes[0].at; took > 5*time.Second {
			t.Fatalf("%d wakes took %s", count, took)
		}
	})
}

func TestReportsComeAtOnceOnChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(3)
		o := stage(t, r, addresses(3))
		time.Sleep(watched + 300*time.Millisecond)
		sent := r.now()
		o.grant(20000, time.Minute, 0)
		time.Sleep(reportGap + time.Millisecond)
		got := o.report()
		if got.LeaseWatts != 20000 || got.AsOf-sent > reportGap {
			t.Fatalf("reports %d W as of %s, %s after the lease", got.LeaseWatts, got.AsOf, got.AsOf-sent)
		}
	})
}

// TestALostShedIsRepeatedAtOnce: a limit may be about to fall.
// Rules: liveness b.
func TestALostShedIsRepeatedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		o := lit(t, r, addresses(1))
		r.at(0).become(cut)
		o.grant(0, time.Hour, 5*time.Second)
		time.Sleep(2 * time.Second)
		r.at(0).become(good)
		time.Sleep(5*time.Second + fakeRamp) // its worst settle time, a look, and its ramp
		if got := r.watts(); got != fakeResidual {
			t.Fatalf("draws %d W", got)
		}
	})
}
