package agent

import (
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// TestWhereAMachineIs: an address keeps the machine that was met there until that is elsewhere beyond doubt.
// What an agent does not mind draws on, and what it does not bound it may spend (L4, L5).
func TestWhereAMachineIs(t *testing.T) {
	const first, second = 0, 1
	for name, c := range map[string]struct {
		then  func(found func(at int, now time.Duration))
		moved bool
	}{
		"answers nowhere else": {func(found func(int, time.Duration)) {
			found(second, 31*time.Second)
		}, true},
		"has just said who it is": {func(found func(int, time.Duration)) {
			found(first, 31*time.Second)
			found(second, 31*time.Second+20*time.Millisecond)
		}, false},
		"has a twin that was met before": {func(found func(int, time.Duration)) {
			found(second, 6*time.Second)
			found(second, 31*time.Second)
			found(first, 31*time.Second+20*time.Millisecond)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Config{Run: 1, Log: logr.Discard()})
			a.assign(0, addresses(2))
			var met [2]*machine
			found := func(at int, now time.Duration) {
				s := a.slots[at]
				a.found(now, s, &fake{}, miner.Identity{MAC: "02:00:00:00:00:01"})
				if met[at] != nil && met[at] != s.machine {
					t.Errorf("at %s another machine is taken for the one that was met at %s", now, s.addr)
				}
				met[at] = s.machine
			}
			found(first, 0)
			m := met[first]
			a.saw(a.slots[first], fit.Reading{At: 5 * time.Second, State: fit.Hashing, HasWatts: true, Watts: fakeWatts})
			// A process that was paused misses all at once.
			a.miss(30*time.Second, a.slots[first])
			c.then(found)
			if moved := a.slots[second].machine == m; moved != c.moved {
				t.Errorf("moved: %v, want %v", moved, c.moved)
			}
			if n := len(a.devices(all)); c.moved != (n == 1) {
				t.Errorf("minds %d machines", n)
			}
		})
	}
}

// TestWhereAMachineMovedNobodyLooked: one that is met elsewhere may be another of the same name, and what was read of
// the first bounds neither (L5).
func TestWhereAMachineMovedNobodyLooked(t *testing.T) {
	a := New(Config{Run: 1, Log: logr.Discard()})
	a.assign(0, addresses(2))
	id := miner.Identity{MAC: "02:00:00:00:00:01"}
	a.found(0, a.slots[0], &fake{}, id)
	m := a.slots[0].machine
	for at := time.Duration(0); at < 5*time.Minute; at += 5 * time.Second { // until what it reads counts
		a.saw(a.slots[0], fit.Reading{At: at, State: fit.Hashing, HasWatts: true, Watts: fakeWatts / 2})
	}
	a.miss(5*time.Minute, a.slots[0])
	now := 5*time.Minute + 6*time.Second
	if bound := m.device.Bound(now); bound >= m.device.Rated() {
		t.Fatalf("bounded by %d W before", bound)
	}
	if a.found(now, a.slots[1], &fake{}, id); a.slots[1].machine != m {
		t.Fatal("did not move")
	}
	if bound := m.device.Bound(now); bound < m.device.Rated() {
		t.Errorf("bounded by %d W where nobody looked at it, rated %d W", bound, m.device.Rated())
	}
}

// TestATwinKeepsWhatItMayStillDo: its writes in flight are not those of the machine of the same name.
func TestATwinKeepsWhatItMayStillDo(t *testing.T) {
	a := New(Config{Run: 1, Log: logr.Discard()})
	a.assign(0, addresses(2))
	id := miner.Identity{MAC: "02:00:00:00:00:01"}
	asleep := func(s *slot, at time.Duration) {
		a.saw(s, fit.Reading{At: at, State: fit.Sleeping, HasWatts: true, Watts: fakeResidual})
	}
	for _, s := range a.slots {
		a.found(0, s, &fake{}, id)
		asleep(s, time.Second)
		asleep(s, 40*time.Second)
	}
	twin := a.slots[1]
	twin.machine.device.Write(47*time.Second, fit.Setting{Kind: fit.HashWatts, Watts: fakeWatts})
	now := 52 * time.Second
	for _, s := range a.slots {
		a.miss(now, s)
	}
	a.found(now, twin, &fake{}, id)
	asleep(twin, now)
	if got := twin.machine.device.Bound(now); got < fakeWatts {
		t.Errorf("the machine at %s is bounded by %d W, and it was told to wake", twin.addr, got)
	}
}
