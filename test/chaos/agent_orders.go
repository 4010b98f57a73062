package chaos

import (
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

func (a *agent) fitDue(now time.Duration) bool { return a.urgent || now >= a.nextFit() }

func (a *agent) nextFit() time.Duration {
	next := a.fitted + fitEvery
	if a.dirty {
		next = a.fitted + fitGap
	}
	if a.until > 0 {
		next = min(next, a.until)
	}
	return next
}

// fit gives the orders that the allowance of now asks for.
func (a *agent) fit(now time.Duration) {
	a.fitted, a.dirty, a.urgent, a.news = now, false, false, true
	allowance := a.holder.Allowance(now)
	a.until = allowance.Until
	if allowance.Mode != a.mode {
		for _, s := range a.slots {
			if s.machine != nil {
				s.machine.floored = false
			}
		}
		a.h.logf("%s: mode %d", a.name, allowance.Mode)
		a.mode = allowance.Mode
	}
	if a.assignment.Observe {
		return
	}
	switch allowance.Mode {
	case lease.Leased:
		a.fitLease(now, allowance)
	case lease.Floor:
		a.fitFloor(now, allowance)
	case lease.Untouched:
	}
}

// fitLease keeps the machines under the lease; those that can't be told now are taken out with their bound.
func (a *agent) fitLease(now time.Duration, allowance lease.Allowance) {
	watts := fit.Watts(allowance.Watts) - a.left
	for _, d := range a.devices((*slot).untold) {
		watts -= d.Bound(now)
	}
	for _, o := range fit.Fit(a.devices((*slot).tellable), watts, allowance.ShedWithin, now) {
		a.order(now, o, allowance)
	}
}

// fitFloor puts to sleep, once per time without a lease, whatever does not sleep, and again only what this
// run has commanded.
func (a *agent) fitFloor(now time.Duration, allowance lease.Allowance) {
	for _, s := range a.slots {
		if m := s.machine; m != nil && m.device.Condition(now) == fit.IsSleeping {
			m.floored = true
		}
	}
	devices := a.devices(func(s *slot) bool { return s.tellable() && (s.machine.commanded || !s.machine.floored) })
	for _, o := range fit.Fit(devices, 0, floorWithin, now) {
		if o.Setting.Kind == fit.Sleep {
			a.order(now, o, allowance)
		}
	}
}

func (a *agent) slotFor(d *fit.Device) *slot {
	for _, s := range a.slots {
		if s.machine != nil && s.machine.device == d {
			return s
		}
	}
	return nil
}

// order sends one order, or makes room for it at the machine and lets the next fit send it.
func (a *agent) order(now time.Duration, o fit.Order, allowance lease.Allowance) {
	s := a.slotFor(o.Device)
	if s == nil {
		return
	}
	wakes := o.Setting.Kind != fit.Sleep && !s.machine.hashes()
	raises := wakes || o.Setting.Kind != fit.Sleep && o.Setting.Watts > o.Device.Bound(now)
	if s.op != nil {
		if !raises && !s.op.cancelled && (!s.op.write || s.op.raises) {
			s.op.cancel()
		}
		return
	}
	if allowance.Mode == lease.Leased && !fit.Allowed(a.devices(all), o, fit.Watts(allowance.Watts)-a.left, now) {
		a.h.check.broke("L2", "%s chooses %v for %s, which its lease of %d W does not allow", a.name, o.Setting, s.dev.name, allowance.Watts)
		return
	}
	a.h.check.raises(a, s, o, allowance)
	a.apply(now, s, o.Setting, raises, allowance.Until)
}

// apply writes a setting to a machine. From before it leaves until a reading after it settled, it counts as
// done and as not done, whatever is worse (L5).
func (a *agent) apply(now time.Duration, s *slot, setting fit.Setting, raises bool, until time.Duration) {
	h, m := a.h, s.machine
	before := *m
	before.marks = append([]time.Duration(nil), m.marks...)
	if m.before, m.settles = 0, 0; setting.Kind == fit.Sleep {
		m.before, m.settles = m.device.Bound(now), now+s.dev.traits.Sleep.Worst
	} else {
		wake, trim := s.dev.traits.Wake.Worst, s.dev.traits.Trim.Worst
		m.rises = append(m.rises, rising{now + min(wake, trim), now + max(wake, trim), fit.Watts(s.dev.named(setting))})
	}
	m.device.Write(now, setting)
	m.wrote, m.commanded, m.floored = now, true, true
	if setting.Kind == fit.Sleep {
		m.marks = append(m.marks, now+s.dev.traits.Sleep.Worst)
	} else {
		m.marks = append(m.marks, now+s.dev.traits.Trim.Worst, now+s.dev.traits.Wake.Worst)
	}
	s.looked = now
	limit := applyLimit(&s.dev.traits, setting)
	if raises && until > 0 {
		limit = min(limit, until-now)
	}
	begun := h.now
	o := a.begin(s, limit, func(answer func(verdict)) {
		if raises && until > 0 && a.now() >= until {
			answer(refused)
			return
		}
		s.dev.order = max(s.dev.order, h.now+h.between(0, 40*time.Millisecond))
		arrived := s.dev.sends(setting)
		h.at(s.dev.order, func() {
			arrived()
			v := s.dev.obey(a, setting, h.now-begun)
			if v == accepted && h.chance(h.cfg.lost) {
				v = unanswered
			}
			h.after(h.between(0, 60*time.Millisecond), func() { a.do(func() { answer(v) }) })
		})
	}, func(now time.Duration, v verdict) {
		a.urgent = true
		if v == refused {
			m.device.Refused(now)
			m.before, m.rises = 0, nil
			m.commanded, m.floored, m.wrote, m.marks = before.commanded, before.floored, before.wrote, before.marks
		}
	})
	o.write, o.raises = true, raises
}

func applyLimit(t *fit.Traits, s fit.Setting) time.Duration {
	worst := t.Sleep.Worst
	if s.Kind != fit.Sleep {
		worst = max(t.Wake.Worst, t.Trim.Worst)
	}
	return max(applyLeast, min(worst, applyMost))
}

// begin runs one operation at a slot: work is handed what to call with the answer, done gets it; an
// operation that is cut short or takes longer than its limit is unanswered.
func (a *agent) begin(s *slot, limit time.Duration, work func(answer func(verdict)), done func(time.Duration, verdict)) *operation {
	o := &operation{}
	over := false
	finish := func(v verdict) {
		if over || a.dead {
			return
		}
		over = true
		s.op = nil
		a.dirty = true
		if s.gone {
			if o.write {
				a.letting--
			}
		} else {
			a.urgent = a.urgent || o.cancelled
			done(a.now(), v)
		}
		a.step()
	}
	o.cancel = func() {
		o.cancelled = true
		a.h.after(time.Millisecond, func() { a.do(func() { finish(unanswered) }) })
	}
	s.op = o
	a.h.after(a.in(a.now()+limit), func() { a.do(func() { finish(unanswered) }) })
	// A worker picks it up a moment later: the process may be paused in between.
	a.h.after(a.h.between(0, 5*time.Millisecond), func() {
		a.do(func() {
			if !over {
				work(finish)
			}
		})
	})
	return o
}

// look starts the operations that are due.
func (a *agent) look(now time.Duration) {
	for _, s := range a.slots {
		if s.op == nil && s.nextLook() <= now {
			a.read(now, s)
		}
	}
}

// read looks at a machine; the first good look finds it.
func (a *agent) read(now time.Duration, s *slot) {
	h := a.h
	s.looked = now
	s.advance(now)
	var r fit.Reading
	a.begin(s, readWithin, func(answer func(verdict)) {
		var ok bool
		if r, ok = s.dev.read(now); !ok || h.chance(h.cfg.lost) {
			return // it times out
		}
		h.after(h.between(5*time.Millisecond, 80*time.Millisecond), func() { a.do(func() { answer(accepted) }) })
	}, func(now time.Duration, v verdict) {
		switch {
		case v == accepted:
			a.saw(s, r)
		case s.op != nil && s.op.cancelled:
		case s.machine == nil:
			s.tries++
			s.regular = now + 2*time.Second
		default:
			s.machine.missed++
			s.machine.device.Missed(now)
		}
	})
}

func (a *agent) saw(s *slot, r fit.Reading) {
	m := s.machine
	if m == nil {
		m = &machine{device: a.newDevice(s.dev)}
		s.machine = m
	}
	a.urgent = a.urgent || len(m.marks) > 0
	m.last, m.read, m.missed = r, true, 0
	if r.State == fit.Hashing {
		m.rises = nil
	}
	kept := m.marks[:0]
	for _, mark := range m.marks {
		if mark > r.At {
			kept = append(kept, mark)
		}
	}
	m.marks = kept
	if m.stale && len(m.marks) == 0 {
		prior := m.device.Prior()
		m.device, m.before, m.rises = a.newDevice(s.dev), 0, nil
		m.device.SetPrior(prior)
		m.stale = false
	}
	m.device.Saw(r)
}

func (a *agent) newDevice(d *device) *fit.Device {
	n := fit.NewDevice(d.name, a.assignment.UncertaintyPercent, a.assignment.Observe)
	n.Learn(d.traits)
	return n
}

// nextLook is when the slot wants its next look.
func (s *slot) nextLook() time.Duration {
	m := s.machine
	if m == nil || len(m.marks) == 0 {
		return s.regular
	}
	next, again := s.regular, s.looked+fit.QuickPoll
	if again <= m.wrote+quickFor {
		next = min(next, again)
	}
	for _, mark := range m.marks {
		switch {
		case s.looked < mark:
			next = min(next, mark)
		case m.last.At < mark:
			next = min(next, again)
		}
	}
	return next
}

func (s *slot) advance(now time.Duration) {
	at := time.Duration(len(s.dev.addr)*7+int(s.dev.addr[len(s.dev.addr)-1])) * 250 * time.Millisecond % fit.Poll
	s.regular = at + (now-at+fit.Poll)/fit.Poll*fit.Poll
}

// changed says whether a report would tell the operator something it acts on.
func (a *agent) changed(n lease.Report) bool {
	r := &a.report
	if n.Epoch != r.Epoch || n.Seq != r.Seq || n.Generation != r.Generation || n.LeaseWatts != r.LeaseWatts || n.Counts != r.Counts {
		return true
	}
	if r.Bound > r.LeaseWatts && n.Bound <= r.LeaseWatts {
		return true
	}
	return max(n.Bound-r.Bound, r.Bound-n.Bound) > n.Rated/200
}
