package agent

import (
	"context"
	"errors"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

const (
	// fitGap is the least time between fits that readings alone ask for; a lease never waits for it.
	fitGap = 100 * time.Millisecond
	// fitEvery bounds how long a decision that depends on time alone (a retry, a dwell) waits.
	fitEvery = time.Second
	// floorWithin is how soon the floor is wanted once a lease is over.
	floorWithin = time.Second

	// How long a write may take. A reply is never trusted, so waiting past the settle time is idle.
	// It leaves room for a look before a device without news counts as unreachable: a machine that takes longer to
	// answer is looked at meanwhile, and its driver waits on (miner.ErrUnderWay).
	applyLeast = 3 * time.Second
	applyMost  = 12 * time.Second

	// leaveWithin is how soon an order to hash has to leave: what it may do counts from when it was chosen, and
	// the process may be paused in between.
	leaveWithin = time.Second

	// wakesPerSecond bounds the inrush of one agent's machines.
	wakesPerSecond = 10
)

// errLate: the lease that allowed a raise was over before the raise left, or what it does would no longer be
// counted for long enough.
var errLate = errors.New("it was too late for the order to leave")

// wakePace lets at most wakesPerSecond wakes start in any second.
type wakePace struct {
	starts [wakesPerSecond]time.Duration // a ring; oldest at next
	next   int
	begun  int
}

// freeAt is when the next wake may start.
func (p *wakePace) freeAt() time.Duration {
	if p.begun < wakesPerSecond {
		return 0
	}
	return p.starts[p.next] + time.Second
}

func (p *wakePace) take(now time.Duration) {
	p.starts[p.next] = now
	p.next = (p.next + 1) % wakesPerSecond
	p.begun++
}

// fitDue says whether the orders have to be thought over now.
func (a *Agent) fitDue(now time.Duration) bool {
	return a.urgent || now >= a.nextFit()
}

// nextFit is when they have to be thought over without any urgent event.
func (a *Agent) nextFit() time.Duration {
	next := a.fitted + fitEvery
	if a.dirty {
		next = a.fitted + fitGap
	}
	if a.until > 0 {
		next = min(next, a.until)
	}
	if a.waking > 0 {
		next = min(next, a.waking)
	}
	return next
}

// fit gives the orders that the allowance of now asks for.
func (a *Agent) fit(ctx context.Context, now time.Duration) {
	a.fitted, a.dirty, a.urgent, a.news = now, false, false, true
	allowance := a.holder.Allowance(now)
	a.until, a.waking = allowance.Until, 0
	a.enter(allowance)
	if a.assignment.Observe {
		return
	}
	switch allowance.Mode {
	case lease.Leased:
		a.fitLease(ctx, now, allowance)
	case lease.Floor:
		a.fitFloor(ctx, now, allowance)
	case lease.Untouched:
	}
}

// enter notices that the allowance changed its kind.
func (a *Agent) enter(next lease.Allowance) {
	if next.Mode == a.mode {
		return
	}
	switch {
	case next.Mode == lease.Floor && a.mode == lease.Leased:
		a.cfg.Log.Info("The lease is over: shedding to the floor")
	case next.Mode == lease.Floor:
		a.cfg.Log.Info("No lease came: shedding to the floor")
	case next.Mode == lease.Leased:
		a.cfg.Log.Info("Holding a lease", "watts", next.Watts)
	}
	for _, s := range a.slots {
		if s.machine != nil {
			s.machine.floored = false
		}
	}
	a.mode = next.Mode
}

// fitLease keeps the machines under the lease. One that can't be told anything now (its last operation
// does not end, it is being looked for, or it said to come back later) is taken out with its bound, so that others
// are shed instead.
func (a *Agent) fitLease(ctx context.Context, now time.Duration, allowance lease.Allowance) {
	watts := a.allows(allowance)
	for _, d := range a.devices(func(s *slot) bool { return !s.tellable(now) }) {
		watts -= d.Bound(now)
	}
	for _, o := range fit.Fit(a.devices(func(s *slot) bool { return s.tellable(now) }), watts, allowance.ShedWithin, now) {
		a.order(ctx, now, o, allowance)
	}
}

// allows is what of a lease is for the machines that this agent minds still.
func (a *Agent) allows(allowance lease.Allowance) fit.Watts {
	return fit.Watts(allowance.Watts) - a.left
}

// fitFloor puts to sleep, once per time without a lease, whatever does not sleep, and again only what
// this run has commanded: an agent that is cut off must not fight the one that took its place.
func (a *Agent) fitFloor(ctx context.Context, now time.Duration, allowance lease.Allowance) {
	for _, s := range a.slots {
		if m := s.machine; m != nil && m.device.Condition(now) == fit.IsSleeping {
			m.floored = true
		}
	}
	devices := a.devices(func(s *slot) bool {
		return s.tellable(now) && (s.machine.commanded || !s.machine.floored)
	})
	for _, o := range fit.Fit(devices, 0, floorWithin, now) {
		if o.Setting.Kind == fit.Sleep {
			a.order(ctx, now, o, allowance)
		}
	}
}

// order sends one order, or makes room for it at the machine and lets the next fit send it.
func (a *Agent) order(ctx context.Context, now time.Duration, o fit.Order, allowance lease.Allowance) {
	s := a.keys[o.Device.Key()]
	if s == nil || s.driver == nil {
		return
	}
	wakes := s.machine.wakes(o.Setting)
	raises := wakes || o.Setting.Kind != fit.Sleep && o.Setting.Watts > o.Device.Bound(now)
	if s.op != nil {
		s.op.yield(now, raises)
		return
	}
	leaves := a.allowed(now, o, allowance) && (!wakes || a.mayWake(now))
	a.chosen(Order{s.addr, o.Device, o.Setting, allowance, leaves})
	if !leaves {
		return
	}
	a.apply(ctx, now, s, o.Setting, raises, allowance.Until)
}

// allowed is the check before each write: the lease still allows it, and so does the number in flight.
func (a *Agent) allowed(now time.Duration, o fit.Order, allowance lease.Allowance) bool {
	if a.flying[applying] >= atOnce[applying] {
		return false
	}
	return allowance.Mode != lease.Leased || fit.Allowed(a.devices(all), o, a.allows(allowance), now)
}

// mayWake counts a wake that starts now, or says when the next may.
func (a *Agent) mayWake(now time.Duration) bool {
	if free := a.wakes.freeAt(); now < free {
		a.waking = free
		return false
	}
	a.wakes.take(now)
	return true
}

// apply writes a setting to a machine. From before it leaves until a reading after it settled, it counts
// as done and as not done, whatever is worse (L5); a nil error proves nothing.
func (a *Agent) apply(ctx context.Context, now time.Duration, s *slot, setting fit.Setting, raises bool, until time.Duration) {
	driver, m := s.driver, s.machine
	before := *m
	before.marks = append([]time.Duration(nil), m.marks...)
	m.device.Write(now, setting)
	m.write(now, setting)
	m.floored = true
	s.looked = now
	limit, latest := applyLimit(m.traits, setting), now+leaveWithin
	if raises && until > 0 {
		limit, latest = min(limit, until-now), min(latest, until)
	}
	lowers := before.lowers(setting)
	o := a.begin(ctx, now, s, applying, limit, func(ctx context.Context) func(time.Duration) {
		err := errLate
		if lowers || a.cfg.Clock() < latest {
			err = driver.Apply(ctx, settingOf(setting))
		}
		return func(now time.Duration) { a.applied(now, s, m, before, setting, err) }
	})
	o.raises = raises
}

// applied takes the machine's reply to a write: only a sure refusal counts.
func (a *Agent) applied(now time.Duration, s *slot, m *machine, before machine, setting fit.Setting, err error) {
	a.urgent = true
	a.cfg.Metrics.ordered(setting.Kind, err)
	if s.machine == m {
		s.ordering = failure{}
	}
	if errors.Is(err, miner.ErrUnderWay) { // no failure: it is slow to answer
		return
	}
	if err == nil {
		return
	}
	a.cfg.Log.V(1).Info("An order failed", "device", m.key, "address", s.addr.String(),
		"order", settingOf(setting), "reason", err.Error())
	if s.machine == m {
		s.ordering = failed(err)
		s.ordering.until = now + failureFor
		s.sentAway(now, err)
	}
	switch {
	case errors.Is(err, errLate):
		m.device.Unsent()
	case miner.NotApplied(err):
		m.device.Refused(now)
	default:
		m.device.Unanswered()
		return
	}
	m.commanded, m.floored, m.wrote, m.marks = before.commanded, before.floored, before.wrote, before.marks
}

func applyLimit(t fit.Traits, s fit.Setting) time.Duration {
	worst := t.Sleep.Worst
	if s.Kind != fit.Sleep {
		worst = max(t.Wake.Worst, t.Trim.Worst)
	}
	return max(applyLeast, min(worst, applyMost))
}
