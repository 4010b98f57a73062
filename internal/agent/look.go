package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

const (
	// How long one operation may take. A read is over before the next is due.
	readWithin  = 4 * time.Second
	openWithin  = 10 * time.Second
	overdueWait = time.Second

	// missedToReopen polls in a row make the agent look who is there now.
	missedToReopen = 3
)

// atOnce bounds the operations of each kind in flight, so that a dead network costs sockets and not the
// machine; applies are bounded by the number of machines an agent has.
var atOnce = [tasks]int{opening: 64, identifying: 64, reading: 192, applying: 512}

// begin runs work at a slot in a goroutine of its own, and what it answers in the loop. A slot has one
// operation at a time: a machine that hangs holds up nobody else.
func (a *Agent) begin(ctx context.Context, now time.Duration, s *slot, t task, limit time.Duration,
	work func(context.Context) func(now time.Duration),
) *op {
	opCtx, cancel := a.timeout(ctx, limit)
	o := &op{task: t, cancel: cancel, overdue: now + limit + overdueWait}
	s.op = o
	a.flying[t]++
	a.start(func() {
		defer cancel()
		done := work(opCtx)
		a.post(ctx, func(_ context.Context, now time.Duration) {
			s.op = nil
			a.flying[t]--
			a.dirty = true
			if !s.gone {
				a.urgent = a.urgent || o.cancelled
				done(now)
			} else if t == applying {
				a.letting--
			}
		})
	})
	return o
}

// look starts the operations that are due, the longest due first: with more due than may be in flight,
// each slot has its turn.
func (a *Agent) look(ctx context.Context, now time.Duration) {
	var due []*slot
	for _, s := range a.slots {
		if s.op == nil && s.nextLook() <= now {
			due = append(due, s)
		}
	}
	slices.SortStableFunc(due, func(x, y *slot) int { return cmp.Compare(x.nextLook(), y.nextLook()) })
	for _, s := range due {
		t, start := s.wants(a)
		if a.flying[t] < atOnce[t] {
			start(ctx, now, s)
		}
	}
}

// wants is the slot's next operation.
func (s *slot) wants(a *Agent) (task, func(context.Context, time.Duration, *slot)) {
	switch {
	case s.driver == nil:
		return opening, a.open
	case s.identify:
		return identifying, a.reidentify
	default:
		return reading, a.read
	}
}

// nextSlot is when the next operation is due, or overdue. Slots that wait for others' operations to end
// are woken by that end.
func (a *Agent) nextSlot(now time.Duration) time.Duration {
	next := now + time.Minute
	for _, s := range a.slots {
		switch {
		case s.op != nil && s.machine != nil:
			next = min(next, s.op.overdue)
		case s.op == nil:
			if at := s.nextLook(); at > now {
				next = min(next, at)
			}
		}
	}
	return next
}

// countOverdue takes an operation that does not end as missed polls, one per interval.
func (a *Agent) countOverdue(now time.Duration) {
	for _, s := range a.slots {
		if s.op == nil || s.machine == nil || now < s.op.overdue {
			continue
		}
		s.op.hung = true
		s.op.overdue += fit.Poll
		a.miss(now, s)
	}
}

// missOnce counts an operation that failed, unless it was counted when it did not end in time.
func (a *Agent) missOnce(now time.Duration, s *slot, o *op) {
	if !o.hung {
		a.miss(now, s)
	}
}

// miss counts a failed poll.
func (a *Agent) miss(now time.Duration, s *slot) {
	a.cfg.Metrics.pollFailed()
	s.machine.missed++
	s.machine.device.Missed(now)
	a.dirty = true
	if s.machine.missed%missedToReopen == 0 {
		s.driver = nil
	}
}

func (a *Agent) open(ctx context.Context, now time.Duration, s *slot) {
	firmware, ports := miner.Firmware(a.assignment.Firmware), a.assignment.Ports
	s.looked = now
	var o *op
	o = a.begin(ctx, now, s, opening, openWithin, func(ctx context.Context) func(time.Duration) {
		driver, id, err := a.cfg.Open(ctx, s.addr, firmware, ports)
		return func(now time.Duration) {
			if err == nil {
				a.found(now, s, driver, id)
				return
			}
			s.sentAway(now, err)
			if s.machine == nil {
				s.looking = s.looking.unidentified(err)
				s.backOff(now)
				return
			}
			s.looking = failed(err)
			a.missOnce(now, s, o)
			s.advance(now)
			s.regular = max(s.regular, s.away)
		}
	})
}

// reidentify asks a machine that restarted who it is and what it can do.
func (a *Agent) reidentify(ctx context.Context, now time.Duration, s *slot) {
	driver := s.driver
	s.looked = now
	a.begin(ctx, now, s, identifying, openWithin, func(ctx context.Context) func(time.Duration) {
		id, err := driver.Identify(ctx)
		return func(now time.Duration) {
			switch {
			case s.driver != driver: // the assignment changed meanwhile
			case err == nil:
				a.found(now, s, driver, id)
			default:
				s.identify = false
				s.driver = nil
			}
		}
	})
}

func (a *Agent) read(ctx context.Context, now time.Duration, s *slot) {
	driver, began := s.driver, now
	s.looked = now
	s.advance(now)
	var o *op
	o = a.begin(ctx, now, s, reading, readWithin, func(ctx context.Context) func(time.Duration) {
		r, err := driver.Read(ctx)
		return func(now time.Duration) {
			switch {
			case s.machine == nil || s.driver != driver || o.cancelled && err != nil:
			case err != nil:
				s.looking = failed(err)
				a.missOnce(now, s, o)
				if errors.Is(err, miner.ErrNotThisFirmware) {
					s.driver, s.regular = nil, now
				}
			default:
				a.saw(s, readingOf(began, r))
			}
		}
	})
}

// saw takes a good reading.
func (a *Agent) saw(s *slot, r fit.Reading) {
	m := s.machine
	if r.Uptime > 0 && r.Uptime < m.last.Uptime {
		s.identify = true
		a.urgent = true
		a.cfg.Log.Info("A machine restarted", "device", m.key, "address", s.addr.String(), "state", r.State)
	}
	s.looking = failure{}
	a.urgent = a.urgent || len(m.marks) > 0
	m.saw(r)
	a.renew(m)
	m.device.Saw(r)
}
