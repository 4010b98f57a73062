package agent

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// sleeper is a machine that sleeps and has told called with what it is told.
type sleeper struct{ told func(miner.Setting) }

func (*sleeper) Identify(context.Context) (miner.Identity, error) {
	return miner.Identity{Serial: "1"}, nil
}

func (*sleeper) Read(context.Context) (miner.Reading, error) {
	watts := int64(fakeResidual)
	return miner.Reading{State: miner.Sleeping, Watts: &watts, WattsSource: miner.Meter}, nil
}

func (s *sleeper) Apply(_ context.Context, m miner.Setting) error {
	s.told(m)
	return nil
}

func (*sleeper) Capabilities() miner.Capabilities { return (&fake{}).Capabilities() }

// TestARaiseLeavesAtOnceOrNot: what an order may do counts from when it was chosen, and a process may be
// paused between that and its leaving.
func TestARaiseLeavesAtOnceOrNot(t *testing.T) {
	var (
		now, chosen time.Duration
		paused      = 2 * time.Second // between the first order and its leaving
		work        []func()
		told        int
	)
	s := &sleeper{func(m miner.Setting) {
		told++
		if late := now - chosen; late >= leaveWithin {
			t.Errorf("told %v %s after that was chosen", m, late)
		}
	}}
	a, turn := Play(Config{
		Run: 1, Clock: func() time.Duration { return now }, Log: logr.Discard(),
		Open: func(ctx context.Context, _ netip.Addr, _ miner.Firmware, _ map[string]int) (miner.Driver, miner.Identity, error) {
			id, err := s.Identify(ctx)
			return s, id, err
		},
	}, Ports{
		Go:      func(w func()) { work = append(work, w) },
		Timeout: context.WithTimeout,
		Due:     func() {},
		Chosen:  func(Order) { chosen, now, paused = now, now+paused, 0 },
	})
	until := func(end time.Duration) {
		for now < end {
			next := turn()
			for len(work) > 0 {
				do := work[0]
				work, next = work[1:], now
				do()
			}
			now = max(min(next, end), now+time.Millisecond)
		}
	}
	if err := a.Hello(t.Context(), lease.Hello{Epoch: 1, Run: 1, Generation: 1, Assignment: addresses(1)}); err != nil {
		t.Fatal(err)
	}
	until(9 * time.Second)
	if err := a.Lease(t.Context(), lease.Lease{Epoch: 1, Run: 1, Seq: 1, Watts: 2 * fakeWatts, TTL: time.Hour, AsOf: now}); err != nil {
		t.Fatal(err)
	}
	until(2 * time.Minute)
	if told == 0 {
		t.Error("tells nothing ever after")
	}
}
