// Package fleet measures the drivers alone: machines of every firmware at once, found, read and put to sleep
// by one process over real connections.
package fleet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/mixed"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// Options of the measurement.
type Options struct {
	// Bin holds asic-sim.
	Bin string
	// Machines in all; Rounds how often they are started anew and put to sleep, Reads how often all are read in each.
	Machines, Rounds, Reads int
	Say                     func(format string, args ...any)
}

// Result of the measurement.
type Result struct {
	Machines int `json:"machines"`
	// Kinds are the firmwares of the machines, once for each generation.
	Kinds  []string `json:"kinds"`
	AtOnce int      `json:"atOnce"`
	Rounds []Round  `json:"rounds"`
	// LookMs is how far apart the looks at the machines were while they were put to sleep.
	LookMs float64 `json:"lookP99Ms"`
}

// Round is one fleet.
type Round struct {
	// Open is the finding out of what answers and what it can do, without being told the firmware.
	Open Span `json:"open"`
	// Reads are full reads, one after another.
	Reads []Span `json:"reads"`
	// Sleep is from the first order until the last machine was seen to have got its own; Last is that one.
	Sleep Span   `json:"sleep"`
	Last  string `json:"last"`
	// AnsweredMs is until the last driver came back with the machine's answer.
	AnsweredMs float64 `json:"answeredMs"`
	// AsleepMs is until all were seen asleep: device time for the most part.
	AsleepMs float64 `json:"asleepMs"`
}

// Span is how long something took, and the processor time that it took of the drivers and of the simulated
// machines, which share the processors.
type Span struct {
	Ms           float64 `json:"ms"`
	DriversCPUMs float64 `json:"driversCPUMs"`
	SimCPUMs     float64 `json:"simCPUMs"`
	// LateMs is how late the machine woke this process at worst meanwhile.
	LateMs float64 `json:"lateMs"`
	// WorstMs is the longest that one machine of each firmware took.
	WorstMs map[miner.Firmware]float64 `json:"worstMs,omitempty"`
}

// ReadMs of every full read.
func (r Result) ReadMs() (out []float64) {
	for _, round := range r.Rounds {
		for _, s := range round.Reads {
			out = append(out, s.Ms)
		}
	}
	return out
}

// SleepMs of every round.
func (r Result) SleepMs() (out []float64) {
	for _, round := range r.Rounds {
		out = append(out, round.Sleep.Ms)
	}
	return out
}

// SimShare is the simulated machines' percentage of the processor time that all reads took.
func (r Result) SimShare() float64 {
	var sim, all float64
	for _, round := range r.Rounds {
		for _, s := range round.Reads {
			sim += s.SimCPUMs
			all += s.SimCPUMs + s.DriversCPUMs
		}
	}
	return sim / max(all, 1) * 100
}

// first address of the machines.
var first = netip.AddrFrom4([4]byte{127, 122, 0, 1})

// atOnce bounds the machines that are spoken to at the same time; atOnceOpen those that are being found out, each
// of which is asked by every driver at once. One that does not answer in time is tried again, for openWithin.
const (
	atOnce     = 256
	atOnceOpen = 64
	openWithin = 30 * time.Second
)

// betweenReads lets what was read last come to rest.
const betweenReads = time.Second

// Measure runs the rounds.
func Measure(ctx context.Context, o Options) (Result, error) {
	machines := mixed.New(first, o.Machines)
	out := Result{Machines: o.Machines, Kinds: machines.Firmwares(), AtOnce: atOnce}
	yard := &stats.Yardstick{}
	late, calm := context.WithCancel(ctx)
	defer calm()
	go yard.Run(late)
	var looks []float64
	for n := range o.Rounds {
		round, err := oneRound(ctx, o, machines, yard, &looks)
		out.Rounds = append(out.Rounds, round)
		if err != nil {
			return out, fmt.Errorf("round %d: %w", n+1, err)
		}
		o.Say("  round %d: all found in %.0f ms; last of %d machines commanded after %.0f ms (%s), all answered after %.0f ms, all asleep after %.0f s",
			n+1, round.Open.Ms, o.Machines, round.Sleep.Ms, round.Last, round.AnsweredMs, round.AsleepMs/1000)
	}
	out.LookMs = stats.P99(looks)
	return out, nil
}

func oneRound(ctx context.Context, o Options, machines mixed.Fleet, yard *stats.Yardstick, looks *[]float64) (out Round, err error) {
	dir, err := os.MkdirTemp("", "bench-fleet-")
	if err != nil {
		return out, fmt.Errorf("making the work folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	running, err := machines.Start(ctx, o.Bin, dir)
	if err != nil {
		return out, err
	}
	defer running.Stop()
	r := &rig{machines: running, yard: yard, drivers: make([]miner.Driver, o.Machines), names: make([]miner.Firmware, o.Machines)}
	if out.Open, err = r.open(ctx, machines); err != nil {
		return out, err
	}
	for range o.Reads {
		if err := await.Wait(ctx, betweenReads); err != nil {
			return out, err
		}
		span, err := r.each(ctx, atOnce, func(ctx context.Context, i int) error { return reads(ctx, r.drivers[i]) })
		if err != nil {
			return out, err
		}
		out.Reads = append(out.Reads, span)
		o.Say("  all read in %.0f ms: %.0f ms of processor time are the drivers', %.0f ms the simulated machines'", span.Ms, span.DriversCPUMs, span.SimCPUMs)
	}
	return out, r.sleep(ctx, &out, looks)
}

// rig is a fleet that runs and its drivers.
type rig struct {
	machines *mixed.Running
	yard     *stats.Yardstick
	drivers  []miner.Driver
	names    []miner.Firmware
}

// open finds every machine's driver as an agent does that was not told the firmware, which tries again too.
func (r *rig) open(ctx context.Context, machines mixed.Fleet) (Span, error) {
	all, ports := machines.Machines(), machines.Ports()
	return r.each(ctx, atOnceOpen, func(ctx context.Context, i int) error {
		return await.Until(ctx, openWithin, time.Second, func() error {
			driver, id, err := firmwares.Open(ctx, miner.Target{Address: all[i].Address, Password: all[i].Password}, miner.Auto, ports)
			r.drivers[i], r.names[i] = driver, id.Firmware
			if err == nil && !strings.HasPrefix(all[i].Firmware, string(id.Firmware)) { // asic-sim has two WhatsMiners
				return fmt.Errorf("taken for a machine with %s, and it is one with %s", id.Firmware, all[i].Firmware)
			}
			return err
		})
	})
}

// reads is one reading with all that a site counts on.
func reads(ctx context.Context, d miner.Driver) error {
	reading, err := d.Read(ctx)
	switch {
	case err != nil:
		return err
	case reading.State != miner.Hashing || reading.Watts == nil || reading.HashrateTHs == nil:
		return fmt.Errorf("a reading in state %s without watts or hash rate", reading.State)
	}
	return nil
}

// each does the same at every machine, so many at once, and waits for all.
func (r *rig) each(ctx context.Context, most int, do func(ctx context.Context, i int) error) (Span, error) {
	took, failed := make([]float64, len(r.drivers)), make([]error, len(r.drivers))
	began, clock, own, sim := stats.Now(), stats.Start(), stats.CPUOf(os.Getpid()), stats.CPUOf(r.machines.Pid())
	turns, all := make(chan struct{}, most), sync.WaitGroup{}
	for i := range r.drivers {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			mine := stats.Start()
			failed[i] = do(ctx, i)
			took[i] = mine.Ms()
		})
	}
	all.Wait()
	span := Span{
		Ms: clock.Ms(), DriversCPUMs: stats.Ms(stats.CPUOf(os.Getpid()) - own), SimCPUMs: stats.Ms(stats.CPUOf(r.machines.Pid()) - sim),
		LateMs: stats.Ms(r.yard.Worst(began, stats.Now())), WorstMs: map[miner.Firmware]float64{},
	}
	for i, err := range failed {
		if err != nil {
			return span, fmt.Errorf("machine %d (%s): %w", i, r.names[i], err)
		}
		span.WorstMs[r.names[i]] = max(span.WorstMs[r.names[i]], took[i])
	}
	return span, nil
}
