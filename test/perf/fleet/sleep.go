package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

const (
	// lookEvery is how often the truth is read while orders are on their way: it takes processor time itself.
	lookEvery = 25 * time.Millisecond
	// orderWithin bounds the orders, asleepWithin the machines' own time.
	orderWithin  = time.Minute
	asleepWithin = 5 * time.Minute
)

// sleep orders every machine to sleep and watches the truth until the last got its order, and then until all sleep.
func (r *rig) sleep(ctx context.Context, out *Round, looks *[]float64) error {
	hashing, err := r.machines.Hashing(ctx)
	if err != nil {
		return err
	}
	if len(hashing) != len(r.drivers) {
		return fmt.Errorf("%d of %d machines hash before they are put to sleep", len(hashing), len(r.drivers))
	}
	ctx, cancel := context.WithTimeout(ctx, orderWithin+asleepWithin)
	defer cancel()
	began, clock, own, sim := stats.Now(), stats.Start(), stats.CPUOf(os.Getpid()), stats.CPUOf(r.machines.Pid())
	type answers struct {
		span Span
		err  error
	}
	answered := make(chan answers, 1)
	go func() {
		span, err := r.each(ctx, atOnce, func(ctx context.Context, i int) error {
			// What an order did is told by watts; a machine may restart without a word.
			if err := r.drivers[i].Apply(ctx, miner.Setting{Kind: miner.Sleep}); miner.NotApplied(err) {
				return err
			}
			return nil
		})
		answered <- answers{span, err}
	}()
	if err := r.commanded(ctx, clock, out, looks); err != nil {
		return errors.Join(err, (<-answered).err)
	}
	out.Sleep.DriversCPUMs, out.Sleep.SimCPUMs = stats.Ms(stats.CPUOf(os.Getpid())-own), stats.Ms(stats.CPUOf(r.machines.Pid())-sim)
	out.Sleep.LateMs = stats.Ms(r.yard.Worst(began, stats.Now()))
	last := <-answered
	out.AnsweredMs, out.Sleep.WorstMs = last.span.Ms, last.span.WorstMs
	if last.err != nil {
		return last.err
	}
	err = r.asleep(ctx)
	out.AsleepMs = clock.Ms()
	return err
}

// commanded waits until no machine hashes on.
func (r *rig) commanded(ctx context.Context, clock stats.Stopwatch, out *Round, looks *[]float64) error {
	last := clock.Ms()
	return await.Until(ctx, orderWithin, lookEvery, func() error {
		left, err := r.machines.Hashing(ctx)
		if err != nil {
			return err
		}
		*looks = append(*looks, clock.Ms()-last)
		last = clock.Ms()
		if out.Sleep.Ms = last; len(left) > 0 {
			out.Last = left[len(left)-1]
			return fmt.Errorf("%d machines have no order, %s among them", len(left), out.Last)
		}
		return nil
	})
}

// asleep waits until every machine truly sleeps.
func (r *rig) asleep(ctx context.Context) error {
	return await.Until(ctx, asleepWithin, time.Second, func() error {
		devices, err := r.machines.Truth(ctx)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if d.State != minersim.Sleeping {
				return fmt.Errorf("%s %s is %s", d.Firmware, d.Address, d.State)
			}
		}
		return nil
	})
}
