package minerctl

import (
	"context"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

// hasty is a clock on which whoever waits moves the time.
type hasty struct{ now time.Time }

func newHasty() *hasty { return &hasty{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *hasty) Now() time.Time { return c.now }

func (c *hasty) After(d time.Duration) <-chan time.Time {
	c.now = c.now.Add(d)
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

// fake is a machine of which a test says what it reads so long after the last order.
type fake struct {
	clock   *hasty
	id      miner.Identity
	can     miner.Capabilities
	before  miner.Reading
	after   func(time.Duration) (miner.Reading, error)
	refusal error
	applied []miner.Setting
	ordered time.Time
}

func (f *fake) Identify(context.Context) (miner.Identity, error) { return f.id, nil }
func (f *fake) Capabilities() miner.Capabilities                 { return f.can }

func (f *fake) Read(ctx context.Context) (miner.Reading, error) {
	if len(f.applied) == 0 {
		return f.before, ctx.Err()
	}
	return f.after(f.clock.now.Sub(f.ordered))
}

func (f *fake) Apply(_ context.Context, s miner.Setting) error {
	f.applied, f.ordered = append(f.applied, s), f.clock.now
	return f.refusal
}

// tool reaches the fake, of whatever address.
func (f *fake) tool() *Tool {
	t := New()
	t.Clock = f.clock
	t.ask = func(context.Context, miner.Target, map[string]int, []miner.Firmware) []firmwares.Answer {
		return []firmwares.Answer{{Firmware: "Other", Err: miner.ErrNotThisFirmware}, {Firmware: f.id.Firmware}}
	}
	t.open = func(context.Context, miner.Target, miner.Firmware, map[string]int) (miner.Driver, miner.Identity, error) {
		return f, f.id, nil
	}
	return t
}

// s21 is a machine of 1400 to 3800 W that hashes at 3500 W.
func s21(t *testing.T) *fake {
	t.Helper()
	slow := miner.Timing{Typical: 5 * time.Second, Worst: 20 * time.Second}
	return &fake{
		clock: newHasty(), id: miner.Identity{Firmware: miner.LuxOS, MAC: "02:00:00:00:00:01", Serial: "SN-1"},
		can: miner.Capabilities{
			Sleep: true, Continuous: true, MinWatts: 1400, MaxWatts: 3800, StepWatts: 10, NameplateWatts: 3500, NameplateTHs: 200,
			ResidualWatts: 25, SleepTiming: slow, WakeTiming: slow, TrimTiming: slow,
		},
		before: reading(miner.Hashing, 3500, 200, 3500),
	}
}

// reading of a machine whose supply measures.
func reading(state miner.State, watts int64, ths float64, effective int64) miner.Reading {
	r := miner.Reading{State: state, Watts: &watts, WattsSource: miner.PSU, HashrateTHs: &ths, TargetWatts: &effective, Effective: &effective}
	if state == miner.Sleeping {
		r.Effective = nil
	}
	return r
}
