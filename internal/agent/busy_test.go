package agent

import (
	"testing"
	"time"
)

// TestABusyMachineIsAskedAgainWhenItSays: neither before, nor, whatever it says, much later than that; others are shed
// in its place.
func TestABusyMachineIsAskedAgainWhenItSays(t *testing.T) {
	for name, c := range map[string]struct{ says, want time.Duration }{
		"when it says": {25 * time.Second, 25 * time.Second},
		"not in hours": {2 * time.Hour, longestAway},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRanch(2)
				f := r.at(1)
				f.fixed, r.at(0).fixed = true, true
				o := lit(t, r, addresses(2))
				f.away = c.says
				f.become(busy)
				o.grant(2*fakeWatts-100, time.Hour, 5*time.Second) // one has to go
				time.Sleep(time.Second)
				if got := len(f.state().tries); got != 1 {
					t.Fatalf("tried %d times at once, want 1", got)
				}
				time.Sleep(2 * fakeRamp)
				if got := r.watts(); got > 2*fakeWatts-100 {
					t.Fatalf("draws %d W: another is shed for one that is busy", got)
				}
				o.grant(0, time.Hour, 5*time.Second)
				time.Sleep(c.want + 5*time.Second)
				tries := f.state().tries
				if len(tries) != 2 || tries[1]-tries[0] < c.want {
					t.Fatalf("tried at %v, want twice, %s apart", tries, c.want)
				}
			})
		})
	}
}

// TestABusyMachineIsLookedForAgainWhenItSays: a login too many may lock it for longer.
func TestABusyMachineIsLookedForAgainWhenItSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		f := r.at(0)
		f.shut = 20 * time.Second
		o := stage(t, r, addresses(1))
		time.Sleep(50 * time.Second)
		tries := f.state().tries
		if len(tries) < 2 || len(tries) > 3 {
			t.Fatalf("logged in at %v", tries)
		}
		for i := 1; i < len(tries); i++ {
			if gap := tries[i] - tries[i-1]; gap < f.shut {
				t.Fatalf("logged in at %v: %s apart, and it said %s", tries, gap, f.shut)
			}
		}
		if got := o.report().Troubles; len(got) != 1 || got[0].Reason != reasonBusy {
			t.Fatalf("reports %v", got)
		}
	})
}

// TestASlowAnswerIsNoFailure: an Antminer was seen to take 21 s. It is looked at meanwhile, and nothing is told of it.
func TestASlowAnswerIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		f := r.at(0)
		f.fixed, f.settles = true, time.Minute
		o := lit(t, r, addresses(1))
		time.Sleep(f.settles) // it is watched for as long
		f.become(slow)
		o.mu.Lock()
		o.seen = nil
		o.mu.Unlock()
		o.grant(0, time.Hour, 5*time.Second)
		time.Sleep(time.Minute + 5*time.Second)
		if w := r.written(); len(w) != 1 {
			t.Fatalf("told %v", w)
		}
		for _, seen := range o.heard() {
			if seen.Counts.Unreachable > 0 || len(seen.Troubles) > 0 {
				t.Fatalf("%+v and %v while the answer was awaited", seen.Counts, seen.Troubles)
			}
		}
		if got := o.report().Bound; got > 2*fakeResidual {
			t.Fatalf("bound is %d W in the end", got)
		}
		if s := f.state(); !s.asleep {
			t.Fatal("it hashes on")
		}
	})
}

// TestASlowAnswerIsNotOneThatWasLost: what a machine works on arrived, so that it is not told again at once.
func TestASlowAnswerIsNotOneThatWasLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(1)
		f := r.at(0)
		f.fixed, f.settles, f.ignores = true, time.Minute, true
		o := lit(t, r, addresses(1))
		f.become(slow)
		o.grant(0, time.Hour, 5*time.Second)
		time.Sleep(f.settles + 5*time.Second)
		if w := r.written(); len(w) != 1 {
			t.Fatalf("told %v", w)
		}
		time.Sleep(10 * time.Second)
		if w := r.written(); len(w) != 2 {
			t.Fatalf("told %v, want twice: it did not do it", w)
		}
	})
}
