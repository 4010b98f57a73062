package agent

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/fit"
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

// playUntil gives an agent its turns, and does its workers' work at once, until a time.
func playUntil(end time.Duration, now *time.Duration, work *[]func(), turn func() time.Duration) {
	for *now < end {
		next := turn()
		for len(*work) > 0 {
			do := (*work)[0]
			*work, next = (*work)[1:], *now
			do()
		}
		*now = max(min(next, end), *now+time.Millisecond)
	}
}

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
	until := func(end time.Duration) { playUntil(end, &now, &work, turn) }
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

// within is the limit of an operation, in its context.
type within struct{}

// hasty notes how long an order to it may take.
type hasty struct {
	sleeper
	may []time.Duration
}

func (h *hasty) Apply(ctx context.Context, _ miner.Setting) error {
	d, _ := ctx.Value(within{}).(time.Duration)
	h.may = append(h.may, d)
	return nil
}

// TestARaiseEndsWithItsLease: one that finds no connection before the lease is over is given up, so that nothing leaves after.
func TestARaiseEndsWithItsLease(t *testing.T) {
	const ttl = 1500 * time.Millisecond
	var (
		now  time.Duration
		work []func()
		h    = &hasty{}
	)
	a, turn := Play(Config{
		Run: 1, Clock: func() time.Duration { return now }, Log: logr.Discard(),
		Open: func(ctx context.Context, _ netip.Addr, _ miner.Firmware, _ map[string]int) (miner.Driver, miner.Identity, error) {
			id, err := h.Identify(ctx)
			return h, id, err
		},
	}, Ports{
		Go: func(w func()) { work = append(work, w) },
		Timeout: func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, within{}, d), func() {}
		},
		Due:    func() {},
		Chosen: func(Order) {},
	})
	until := func(end time.Duration) { playUntil(end, &now, &work, turn) }
	if err := a.Hello(t.Context(), lease.Hello{Epoch: 1, Run: 1, Generation: 1, Assignment: addresses(1)}); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	for len(h.may) == 0 && now < 5*time.Minute { // leases of a moment, until its machine was watched for long enough to wake
		until(now + ttl - 1)
		seq++
		if err := a.Lease(t.Context(), lease.Lease{Epoch: 1, Run: 1, Seq: seq, Watts: 2 * fakeWatts, TTL: ttl, AsOf: now}); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.may) == 0 || h.may[0] > ttl {
		t.Errorf("orders may take %v, under leases of %v", h.may, ttl)
	}
}

func TestWhatLowersMayLeaveLate(t *testing.T) {
	hashes := machine{last: fit.Reading{State: fit.Hashing, Target: 3000}}
	wakes := machine{last: fit.Reading{State: fit.Starting, Target: 3000}}
	unknown := machine{last: fit.Reading{State: fit.Hashing}}
	for name, c := range map[string]struct {
		of   machine
		is   fit.Setting
		want bool
	}{
		"sleep":                        {wakes, fit.Setting{Kind: fit.Sleep}, true},
		"a lower target":               {hashes, fit.Setting{Kind: fit.HashWatts, Watts: 2900}, true},
		"a higher one":                 {hashes, fit.Setting{Kind: fit.HashWatts, Watts: 3001}, false},
		"one that is still on its way": {wakes, fit.Setting{Kind: fit.HashWatts, Watts: 2900}, false},
		"nobody knows from what":       {unknown, fit.Setting{Kind: fit.HashWatts, Watts: 2900}, false},
		"a profile":                    {hashes, fit.Setting{Kind: fit.HashMode, Mode: "low", Watts: 1500}, false},
	} {
		if got := c.of.lowers(c.is); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
