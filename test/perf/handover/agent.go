package handover

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// model is a mining agent that has no machines: it holds its lease by the real protocol (link.NewServer,
// lease.Holder) and reports what an agent with so many machines of one model would. Watts that a lease takes
// are gone, by its reports, one settle time later; what a lease adds counts at once.
type model struct {
	mu      sync.Mutex
	dice    *rand.Rand
	holder  *lease.Holder
	clock   stats.Stopwatch
	settle  time.Duration
	devices int
	curve   []lease.Point
	level   lease.Watts // what the machines may draw with no further command
	readers map[chan lease.Report]struct{}
	lowered func(at time.Time) // told of every lease below the one before
}

// floorShare is the part of its watts that a machine draws asleep, points are those of a curve above the floor.
const (
	floorShare = 0.01
	points     = 16
)

// newModel makes an agent of so many machines, all of them hashing as far as they were let.
func newModel(n, devices int, settle time.Duration, lowered func(time.Time)) *model {
	all := minersim.Models()
	kind := all[n%len(all)]
	count := float64(devices)
	a := &model{
		dice: rand.New(rand.NewPCG(uint64(n), 1)), holder: lease.NewHolder(lease.Run(n + 1)), clock: stats.Start(),
		settle: settle, devices: devices, readers: map[chan lease.Report]struct{}{}, lowered: lowered,
	}
	at := lease.Point{Watts: lease.Watts(count * kind.Watts * floorShare)}
	a.curve = []lease.Point{at}
	step := kind.Watts * (1 - floorShare) * count / points
	slope := 1.1 * kind.TeraHashes / kind.Watts
	for range points {
		at.Watts += lease.Watts(step)
		at.THs += slope * step
		a.curve = append(a.curve, at)
		slope *= 0.985
	}
	a.level = a.curve[0].Watts
	return a
}

func (a *model) floor() lease.Watts { return a.curve[0].Watts }

// rated is nameplate and 5 %.
func (a *model) rated() lease.Watts { return a.curve[points].Watts * 105 / 100 }

func (a *model) now() time.Duration { return time.Duration(a.clock.Ms() * float64(time.Millisecond)) }

// Hello takes a leader.
func (a *model) Hello(_ context.Context, m lease.Hello) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.publish()
	return a.holder.Hello(a.now(), m)
}

// Lease takes a lease into force.
func (a *model) Lease(_ context.Context, m lease.Lease) error {
	at := stats.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.holder.Allowance(a.now())
	if err := a.holder.Lease(a.now(), m); err != nil {
		return err
	}
	want := max(a.floor(), min(m.Watts, a.curve[points].Watts))
	switch {
	case want > a.level:
		a.level = want
	case want < a.level:
		time.AfterFunc(a.settle, func() { a.settled(m.Seq, want) })
	}
	if before.Mode == lease.Leased && m.Watts < before.Watts {
		a.lowered(at)
	}
	a.publish()
	return nil
}

// settled is when the machines have been seen to follow a lease, unless another has come since.
func (a *model) settled(seq uint64, want lease.Watts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var r lease.Report
	a.holder.Stamp(a.now(), &r)
	if r.Seq == seq {
		a.level = want
		a.publish()
	}
}

// Subscribe answers reports as they come.
func (a *model) Subscribe(context.Context) (<-chan lease.Report, func()) {
	box := make(chan lease.Report, 1)
	a.mu.Lock()
	a.readers[box] = struct{}{}
	a.publish()
	a.mu.Unlock()
	return box, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.readers, box)
	}
}

// run reports every second until ctx ends.
func (a *model) run(ctx context.Context) {
	for await.Wait(ctx, time.Second) == nil {
		a.mu.Lock()
		a.publish()
		a.mu.Unlock()
	}
}

// publish sends a report. Draw and bound flutter as readings do, never above the level.
func (a *model) publish() {
	noise := func() lease.Watts { return lease.Watts(float64(a.level-a.floor()) * 0.005 * a.dice.Float64()) }
	r := lease.Report{
		Bound: a.level - noise(), Draw: a.level - noise() - noise(), Floor: a.floor(), Rated: a.rated(), Settle: a.settle + time.Second,
		Curve: a.curve, Counts: lease.Counts{Total: a.devices, Hashing: a.devices},
	}
	a.holder.Stamp(a.now(), &r)
	for box := range a.readers {
		select {
		case <-box:
		default:
		}
		box <- r
	}
}

// leased tells whether a lease is in force.
func (a *model) leased() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holder.Allowance(a.now()).Mode == lease.Leased
}
