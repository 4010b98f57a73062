package shed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/mixed"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// halves are so many machines, of Braiins OS and of LuxOS: the one asked over HTTP, the other over TCP.
func halves(n int) mixed.Fleet {
	ports := map[string]int{"BraiinsOS": braiinsPort}
	return mixed.Of(ports,
		minersim.Group{Name: "braiins", Count: n / 2, Model: "S21", Firmware: "BraiinsOS", FirstAddress: braiinsFirst, Budget: "bench", Ports: ports},
		minersim.Group{Name: "luxos", Count: n - n/2, Model: "S21 XP", Firmware: "LuxOS", FirstAddress: luxosFirst, Budget: "bench"},
	)
}

// fleetOf is what is measured.
func fleetOf(o Options) mixed.Fleet {
	if o.Mixed {
		return mixed.New(netip.MustParseAddr(mixedFirst), o.Devices)
	}
	return halves(o.Devices)
}

// assignment tells the agent where its machines are, and not what they run.
func (r *rig) assignment() lease.Assignment {
	return lease.Assignment{Ranges: r.machines.Ranges(), Firmware: "Auto", Ports: r.machines.Ports(), UncertaintyPercent: 1}
}

// writeCredentials writes what lets the agent in, as a pool's secret has it.
func (r *rig) writeCredentials(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	for firmware, password := range r.machines.Passwords() {
		if err := os.WriteFile(filepath.Join(dir, firmware+".password"), []byte(password), 0o600); err != nil {
			return fmt.Errorf("writing credentials: %w", err)
		}
	}
	return nil
}

// lookEvery is how often the truth is read while machines are shed.
const lookEvery = 10 * time.Millisecond

// shed orders everything down to the floor and watches the truth until the last machine got its order.
func (r *rig) shed(ctx context.Context, out *Result, looks *[]float64) error {
	before, err := r.fleet.Hashing(ctx)
	if err != nil {
		return err
	}
	if len(before) != r.o.Devices {
		return fmt.Errorf("%d of %d machines hash before the shed", len(before), r.o.Devices)
	}
	r.ordered = r.newest().Floor
	began, clock := stats.Now(), stats.Start()
	if !r.lease(r.ordered, time.Second) {
		return errors.New("the agent may have no lease")
	}
	round := Round{}
	last := clock.Ms()
	err = await.Until(ctx, time.Minute, lookEvery, func() error {
		left, err := r.fleet.Hashing(ctx)
		if err != nil {
			return err
		}
		*looks = append(*looks, clock.Ms()-last)
		last = clock.Ms()
		if len(left) > 0 {
			if round.SecondMs == 0 && last > second {
				round.SecondMs, round.Left = last, len(left)
			}
			round.Last = left[len(left)-1]
			return fmt.Errorf("%d machines have no order", len(left))
		}
		return nil
	})
	round.Ms, round.LateMs = last, stats.Ms(r.yard.Worst(began, stats.Now()))
	out.Rounds = append(out.Rounds, round)
	return err
}

// second is when what is left is counted, in ms.
const second = 1000

// under waits until the agent reports that its machines can draw no more than the lease: it has read the
// watts of each after its order had time to settle.
func (r *rig) under(ctx context.Context) error {
	return await.Until(ctx, time.Minute, lookEvery, func() error {
		if n := r.newest(); n.Bound > n.LeaseWatts || n.LeaseWatts > r.ordered {
			return fmt.Errorf("the agent reports a bound of %d W under a lease of %d W, %+v", n.Bound, n.LeaseWatts, n.Counts)
		}
		return nil
	})
}
