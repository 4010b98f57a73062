package chaos

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// What an agent says of its machines is held against the truth (L5).

// most is the most that a machine can draw with no further command: what it does, and what is on its way
// to it.
func (d *device) most() float64 {
	most := d.ceiling()
	for _, w := range d.coming {
		most = max(most, *w)
	}
	return most
}

// sends notes a write that has left for a machine, until it is there.
func (d *device) sends(s fit.Setting) (arrived func()) {
	w := d.settles(s)
	d.coming = append(d.coming, &w)
	return func() {
		for i := range d.coming {
			if d.coming[i] == &w {
				d.coming = append(d.coming[:i:i], d.coming[i+1:]...)
				return
			}
		}
	}
}

// slack is by how much a bound may be under the truth: whole watts, and a meter's flutter.
func slack(watts float64) float64 { return 6 + watts/150 }

// bounded judges a report's bound, machine by machine: unknown is rated, and nothing is under the truth.
func (c *checker) bounded(a *agent, r *lease.Report) {
	sum := fit.Watts(0)
	for _, s := range a.slots {
		if s.machine == nil {
			continue
		}
		bound := s.machine.device.Bound(a.now())
		sum += bound
		if d := s.machine.device; len(s.machine.marks) == 0 && slices.Contains([]fit.Condition{fit.IsHashing, fit.IsSleeping}, d.Condition(a.now())) && s.dev.traits.CanSleep && r.Settle < s.dev.traits.Sleep.Worst {
			c.broke("L1", "%s says that it sheds within %v, and %s takes %v to sleep", a.name, r.Settle, s.dev.name, s.dev.traits.Sleep.Worst)
		}
		c.promised(a, s, bound)
		switch most := s.dev.most(); {
		case s.dev.wild:
		case float64(bound) < most-slack(most):
			c.broke("L5", "%s bounds %s by %d W, and it may draw %.0f W", a.name, s.dev.name, bound, most)
		case s.machine.last.At < s.machine.settles && bound < s.machine.before:
			c.broke("L5", "%s bounds %s by %d W on the way to its sleep, and by %d W before", a.name, s.dev.name, bound, s.machine.before)
		case s.machine.missed >= 3 && bound < s.dev.traits.Nameplate:
			c.broke("L5", "%s bounds %s by %d W, and has not reached it %d times", a.name, s.dev.name, bound, s.machine.missed)
		}
	}
	c.sheds(a)
	if r.Bound < lease.Watts(sum) {
		c.broke("L5", "%s reports a bound of %d W for machines with bounds of %d W", a.name, r.Bound, sum)
	}
}

// raises judges an order that is about to leave: with it, what the machines may draw is under the lease.
func (c *checker) raises(a *agent, s *slot, o fit.Order, allowance lease.Allowance) {
	c.refuses(a, s, o)
	setting := o.Setting
	if allowance.Mode != lease.Leased || s.dev.settles(setting) <= s.dev.most()+slack(s.dev.most()) || s.coming(a.now()) >= s.dev.named(setting) {
		return
	}
	sum := float64(a.left)
	for _, other := range a.slots {
		switch {
		case other.machine == nil:
		case other.dev.wild:
			return
		case other == s:
			sum += s.dev.settles(setting)
		default:
			sum += other.dev.most()
		}
	}
	if most := float64(allowance.Watts); sum > most+slack(most) {
		c.broke("L2", "%s raises %s to %v: its machines may draw %.0f W under a lease of %.0f W", a.name, s.dev.name, setting, sum, most)
	}
}

// coming is the most that the machine was told and may yet go to: it may have missed it, and then an order
// of less is the first that it hears.
func (s *slot) coming(now time.Duration) (most float64) {
	for _, r := range s.machine.rises {
		if now < r.last {
			most = max(most, float64(r.watts))
		}
	}
	return most
}

// refuses looks that a raise is refused where bounds leave a watt too little for it.
func (c *checker) refuses(a *agent, s *slot, o fit.Order) {
	now, list := a.now(), a.devices(all)
	need := fit.Watts(s.dev.named(o.Setting))
	if o.Setting.Kind == fit.Sleep || need <= o.Device.Bound(now) {
		return
	}
	for _, d := range list {
		if d != o.Device {
			need += d.Bound(now)
		}
	}
	if fit.Allowed(list, o, need-1, now) {
		c.broke("L2", "%s may set %s to %v under %d W, which is less than bounds would add up to", a.name, s.dev.name, o.Setting, need-1)
	}
}

// shedIn is how long an agent may take until its machines draw what its lease says: a raise in flight ends,
// the slowest machine falls asleep, and a try that was lost is made again.
const shedIn = 50 * time.Second

// promised: a bound is never under what the machine's firmware follows, nor under a write that may yet be
// taking effect.
func (c *checker) promised(a *agent, s *slot, bound fit.Watts) {
	m := s.machine
	if target := s.dev.target(m.last); m.last.State == fit.Hashing && bound < target {
		c.broke("L5", "%s bounds %s by %d W, and it follows a target of %d W", a.name, s.dev.name, bound, target)
	}
	for _, r := range m.rises {
		if m.last.At < r.until && bound < r.watts {
			c.broke("L5", "%s bounds %s by %d W, and it may yet go to the %d W that it was told", a.name, s.dev.name, bound, r.watts)
		}
	}
}

// target is the watts that a reading says the machine follows; 0 where it names none.
func (d *device) target(r fit.Reading) fit.Watts {
	for _, m := range d.traits.Modes {
		if m.Name == r.Mode && r.Target == 0 {
			return m.Watts
		}
	}
	return r.Target
}

// restless is what a machine that sleeps may draw more than its model does.
const restless = 60

// sheds looks that an agent's machines come under its lease.
func (c *checker) sheds(a *agent) {
	allowance, sum := a.holder.Allowance(a.now()), 0.0
	for _, s := range a.slots {
		switch {
		case s.dev.faulty, s.machine == nil:
			a.over = 0
			return
		case allowance.Mode == lease.Leased:
			sum += s.dev.most()
		default:
			sum += s.dev.most() - s.dev.settles(fit.Setting{Kind: fit.Sleep})
		}
	}
	if allowance.Mode != a.shedMode {
		a.shedMode, a.over = allowance.Mode, 0
	}
	switch most := float64(allowance.Watts); {
	case allowance.Mode == lease.Untouched, sum <= most+2*slack(most)+restless*float64(len(a.slots)), a.letting > 0, a.left > 0:
		a.over = 0
	case a.over == 0:
		a.over = c.h.now
	case c.h.now-a.over > shedIn:
		c.broke("SHED", "the machines of %s may draw %.0f W since %v, and it may let them draw %.0f W", a.name, sum, a.over, most)
	}
}
