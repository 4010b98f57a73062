package agent

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// Ports are what an agent stands on where time and machines are played: the whole agent, one event after
// the other and without goroutines of its own.
type Ports struct {
	// Go starts a worker. It waits in its driver and nowhere else.
	Go func(work func())
	// Timeout stands in for context.WithTimeout.
	Timeout func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Due says that something came in: a turn is due.
	Due func()
	// Chosen is told of each order before anything of it is done.
	Chosen func(Order)
}

// Play makes the agent of a played process. turn brings it up to now and says when the next is due without
// any event.
func Play(cfg Config, p Ports) (a *Agent, turn func() (next time.Duration)) {
	a, ctx := New(cfg), context.Background()
	a.start, a.timeout, a.chosen = p.Go, p.Timeout, p.Chosen
	a.post = func(_ context.Context, f func(context.Context, time.Duration)) bool {
		f(ctx, cfg.Clock())
		p.Due()
		return true
	}
	return a, func() time.Duration {
		now := cfg.Clock()
		a.step(ctx, now)
		return a.nextStep(now)
	}
}

// Order is one that was chosen for a machine to which nothing is under way.
type Order struct {
	Address   netip.Addr
	Device    *fit.Device
	Setting   fit.Setting
	Allowance lease.Allowance
	// Leaves says that the lease allows it still, and that it does not wait for other wakes.
	Leaves bool
}

// View is what an observer may know of an agent between two turns; it changes nothing.
type View struct {
	Allowance  lease.Allowance
	Generation uint64
	// Left is kept for machines that were let go, out of the lease in force; Letting counts the writes that
	// are on their way to such.
	Left    fit.Watts
	Letting int

	slots []*slot
}

// Place is one address of the assignment. Device is nil until a machine was found there.
type Place struct {
	Address netip.Addr
	Device  *fit.Device
}

// View looks at the agent. Only the loop's own goroutine may, as that of a played process.
func (a *Agent) View(now time.Duration) View {
	return View{
		Allowance: a.holder.Allowance(now), Generation: a.holder.Generation(),
		Left: a.left, Letting: a.letting, slots: a.slots,
	}
}

// Places yields the addresses in their order.
func (v View) Places() iter.Seq[Place] {
	return func(yield func(Place) bool) {
		for _, s := range v.slots {
			p := Place{Address: s.addr}
			if s.machine != nil {
				p.Device = s.machine.device
			}
			if !yield(p) {
				return
			}
		}
	}
}
