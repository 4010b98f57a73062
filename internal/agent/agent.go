package agent

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// ErrStopped says that the agent has ended.
var ErrStopped = errors.New("agent stopped")

// Opener finds the machine at an address, lets itself in and identifies it.
type Opener func(ctx context.Context, addr netip.Addr, firmware miner.Firmware, ports map[string]int) (
	miner.Driver, miner.Identity, error)

// Config of an agent.
type Config struct {
	// Run numbers this life of the process; never 0.
	Run lease.Run
	// Clock is the time since the process started; it never goes back.
	Clock func() time.Duration
	// Open is firmwares.Open with this pool's credentials.
	Open Opener
	Log  logr.Logger
	// Metrics may be nil.
	Metrics *Metrics
}

// Agent is one mining pod's mind. Run owns everything below inbox; other goroutines post to it.
type Agent struct {
	cfg     Config
	inbox   chan func(ctx context.Context, now time.Duration)
	stopped chan struct{}
	workers sync.WaitGroup
	// How a worker is started, how its time is bounded, how a function gets into the loop, and who looks on;
	// Play sets others.
	start   func(work func())
	timeout func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	post    func(ctx context.Context, f func(context.Context, time.Duration)) bool
	chosen  func(Order)

	holder     *lease.Holder
	mode       lease.Mode
	assignment lease.Assignment
	assigned   bool
	generation uint64
	swept      bool // every address of the assignment was asked
	assignedAt time.Duration
	epoch      lease.Epoch
	slots      []*slot // by address
	keys       map[string]*slot
	flying     [tasks]int
	letting    int // writes still in flight to addresses that were let go
	// left is what machines that were let go may draw under the lease in force, until one comes that was
	// made with a report from after leftAt: its watts are theirs until then (L1).
	left        fit.Watts
	leftAt      time.Duration
	wakes       wakePace
	waking      time.Duration // when a wake that was held back may start; 0 none
	fitted      time.Duration // last fit
	until       time.Duration // when the allowance of the last fit ends by itself; 0 never
	dirty       bool          // something changed since the last fit
	urgent      bool          // and it can't wait
	subscribers map[chan lease.Report]struct{}
	report      lease.Report // newest published
	reported    time.Duration
	published   bool
	news        bool // orders were thought over since the report last was
}

// New makes an agent that minds nothing yet.
func New(cfg Config) *Agent {
	a := &Agent{
		cfg:         cfg,
		inbox:       make(chan func(context.Context, time.Duration)),
		stopped:     make(chan struct{}),
		holder:      lease.NewHolder(cfg.Run),
		keys:        map[string]*slot{},
		subscribers: map[chan lease.Report]struct{}{},
		timeout:     context.WithTimeout,
		chosen:      func(Order) {},
	}
	a.start, a.post = a.workers.Go, a.queue
	return a
}

// Run is the agent's loop; it answers after ctx ended and its workers with it. The machines keep what
// they run.
func (a *Agent) Run(ctx context.Context) {
	defer a.workers.Wait()
	defer close(a.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-a.inbox:
			f(ctx, a.cfg.Clock())
			a.drain(ctx)
		case <-timer.C:
		}
		now := a.cfg.Clock()
		a.step(ctx, now)
		timer.Reset(max(0, a.nextStep(now)-now))
	}
}

// drain takes what else is waiting, so that a burst of results costs one fit.
func (a *Agent) drain(ctx context.Context) {
	for {
		select {
		case f := <-a.inbox:
			f(ctx, a.cfg.Clock())
		default:
			return
		}
	}
}

// step brings everything up to now: orders first, then looks, then the report of both.
func (a *Agent) step(ctx context.Context, now time.Duration) {
	a.countOverdue(now)
	if a.fitDue(now) {
		a.fit(ctx, now)
	}
	a.look(ctx, now)
	a.publish(now)
}

// nextStep is when something is due without any event.
func (a *Agent) nextStep(now time.Duration) time.Duration {
	next := min(a.nextReport(), a.nextFit())
	return min(next, a.nextSlot(now))
}

// queue hands f to the loop; false where the loop, or ctx, has ended.
func (a *Agent) queue(ctx context.Context, f func(context.Context, time.Duration)) bool {
	select {
	case a.inbox <- f:
		return true
	case <-a.stopped:
		return false
	case <-ctx.Done():
		return false
	}
}

// ask runs f in the loop and answers its error.
func (a *Agent) ask(ctx context.Context, f func(ctx context.Context, now time.Duration) error) error {
	answer := make(chan error, 1)
	if !a.post(ctx, func(ctx context.Context, now time.Duration) { answer <- f(ctx, now) }) {
		return errors.Join(ErrStopped, ctx.Err())
	}
	select {
	case err := <-answer:
		return err
	case <-a.stopped:
		return ErrStopped
	}
}

// Hello adopts a leader and its assignment; see lease.Holder.
func (a *Agent) Hello(ctx context.Context, m lease.Hello) error {
	return a.ask(ctx, func(_ context.Context, now time.Duration) error {
		a.urgent = true
		if err := a.holder.Hello(now, m); err != nil {
			return err
		}
		if a.assigned && a.holder.Generation() == a.generation && m.Epoch == a.epoch {
			return nil
		}
		a.generation, a.epoch, a.assignedAt, a.swept = a.holder.Generation(), m.Epoch, now, false
		a.assign(now, a.holder.Assignment())
		return nil
	})
}

// Lease takes a lease into force; see lease.Holder.
func (a *Agent) Lease(ctx context.Context, m lease.Lease) error {
	return a.ask(ctx, func(_ context.Context, now time.Duration) error {
		a.urgent = true
		err := a.holder.Lease(now, m)
		if err == nil && m.AsOf >= a.leftAt && !m.Shared {
			a.left = 0
		}
		return err
	})
}

// Subscribe answers a channel that yields the newest report at once and after every change, until
// cancel. A slow reader misses reports, never the newest.
func (a *Agent) Subscribe(ctx context.Context) (<-chan lease.Report, func()) {
	mailbox := make(chan lease.Report, 1)
	a.post(ctx, func(_ context.Context, now time.Duration) {
		a.subscribers[mailbox] = struct{}{}
		deliver(mailbox, a.compose(now, a.sum(now)))
	})
	return mailbox, func() {
		a.post(context.WithoutCancel(ctx), func(context.Context, time.Duration) { delete(a.subscribers, mailbox) })
	}
}

// deliver replaces what is in the mailbox. The loop is the only sender, so that there is room.
func deliver(mailbox chan lease.Report, r lease.Report) {
	select {
	case <-mailbox:
	default:
	}
	mailbox <- r
}

// devices are those of the slots that keep accepts.
func (a *Agent) devices(keep func(*slot) bool) []*fit.Device {
	list := make([]*fit.Device, 0, len(a.slots))
	for _, s := range a.slots {
		if s.machine != nil && keep(s) {
			list = append(list, s.machine.device)
		}
	}
	return list
}

func all(*slot) bool { return true }
