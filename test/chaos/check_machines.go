package chaos

import (
	"slices"
	"time"

	minding "github.com/counterweight-dev/counterweight/internal/agent"
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

// restartEvery is how seldom a machine is told more that has it restart.
const restartEvery = 10 * time.Minute

// slack is by how much a bound may be under the truth: whole watts, and a meter's flutter.
func slack(watts float64) float64 { return 6 + watts/150 }

// bounded judges a report's bound, machine by machine: unknown is rated, and nothing is under the truth.
func (c *checker) bounded(a *agent, r *lease.Report) {
	if a.pod.process != a || a.pod.gone {
		return // another may command its machines, and what it says counts no more
	}
	sum, now, found := fit.Watts(0), a.now(), 0
	for p := range a.view().Places() {
		if p.Device == nil {
			continue
		}
		d := c.h.byAddr[p.Address]
		bound := p.Device.Bound(now)
		sum += bound
		found++
		s := a.sight(d)
		if s.last.At >= s.settled && slices.Contains([]fit.Condition{fit.IsHashing, fit.IsSleeping}, p.Device.Condition(now)) && d.traits.CanSleep && r.Settle < d.traits.Sleep.Worst {
			c.broke("L1", "%s says that it sheds within %v, and %s takes %v to sleep", a.name, r.Settle, d.name, d.traits.Sleep.Worst)
		}
		c.promised(a, d, s, bound)
		c.settling(a, d, s, p.Device.Condition(now), r)
		if s.missed == 0 {
			s.stood, s.stoodAt = bound, s.last.At
		}
		switch most := d.most(); {
		case d.wild:
		case float64(bound) < most-slack(most):
			c.broke("L5", "%s bounds %s by %d W, and it may draw %.0f W", a.name, d.name, bound, most)
		case s.last.At < s.settles && bound < s.before:
			c.broke("L5", "%s bounds %s by %d W on the way to its sleep, and by %d W before", a.name, d.name, bound, s.before)
		case s.missed > 0 && s.dozed(d) && bound < d.traits.Nameplate:
			c.broke("L5", "%s bounds %s by %d W; it slept as no reboot leaves it, and has not reached it %d times", a.name, d.name, bound, s.missed)
		case s.missed > 0 && s.missed < 3 && s.stands(d, now) && bound > s.stood:
			c.broke("L5", "%s bounds %s by %d W after %d missed looks, and by %d W before", a.name, d.name, bound, s.missed, s.stood)
		case s.missed >= 3 && bound < d.traits.Nameplate:
			c.broke("L5", "%s bounds %s by %d W, and has not reached it %d times", a.name, d.name, bound, s.missed)
		}
	}
	c.sheds(a)
	if r.Bound < lease.Watts(sum) {
		c.broke("L5", "%s reports a bound of %d W for machines with bounds of %d W", a.name, r.Bound, sum)
	}
	for _, d := range a.minds {
		if s := a.sights[d]; s != nil && s.found && s.missed == 0 && a.now()-s.last.At < 2*fit.Poll {
			found--
		}
	}
	if found < 0 {
		c.broke("L4", "%s reports %d machines, and %d more answer to it", a.name, r.Counts.Total, -found)
	}
}

// chosen judges an order that is about to leave: with it, what the machines may draw is under the lease.
func (c *checker) chosen(a *agent, d *device, o *minding.Order) {
	c.refuses(a, d, o)
	if !o.Leaves {
		return
	}
	s, setting, allowance := a.sight(d), o.Setting, &o.Allowance
	switch {
	case allowance.Mode == lease.Untouched:
		c.broke("GRACE", "%s sets %s to %v, and a lease may be on its way to it", a.name, d.name, setting)
	case allowance.Mode == lease.Floor && !s.commanded && s.slept >= max(a.mind.until, lease.Grace):
		c.broke("FLOOR", "%s sets %s to %v, which slept since it has no lease and was never its to command", a.name, d.name, setting)
	}
	if allowance.Mode != lease.Leased || d.settles(setting) <= d.most()+slack(d.most()) || s.coming(a.now()) >= d.named(setting) {
		return
	}
	if in := a.now() - s.restarted; s.restarts(d, setting) && in < restartEvery {
		c.broke("RESTART", "%s raises %s to %v, which restarts it, %v after it was last restarted", a.name, d.name, setting, in)
	}
	sum := a.letGo()
	for p := range a.view().Places() {
		other := c.h.byAddr[p.Address]
		switch {
		case p.Device == nil:
		case other.wild:
			return
		case other == d:
			sum += d.settles(setting)
		default:
			sum += other.most()
		}
	}
	if most := float64(allowance.Watts); sum > most+slack(most) {
		c.broke("L2", "%s raises %s to %v: its machines may draw %.0f W under a lease of %.0f W", a.name, d.name, setting, sum, most)
	}
}

// leaves judges a raise as it leaves: the lease that it was chosen under is in force.
func (c *checker) leaves(a *agent, d *device, s *sight, set fit.Setting) {
	if s.next.mode == lease.Leased && a.allowance().Mode != lease.Leased && d.settles(set) > d.most()+slack(d.most()) {
		c.broke("TTL", "%s raises %s to %v after its lease has ended", a.name, d.name, set)
	}
}

// refuses looks that only what the lease allows is chosen, and that a raise is refused where bounds leave a
// watt too little for it.
func (c *checker) refuses(a *agent, d *device, o *minding.Order) {
	now, view := a.now(), a.view()
	need, list := fit.Watts(d.named(o.Setting)), []*fit.Device(nil)
	rest := fit.Watts(0)
	for p := range view.Places() {
		if p.Device == nil {
			continue
		}
		list = append(list, p.Device)
		if p.Device != o.Device {
			rest += p.Device.Bound(now)
		}
	}
	if o.Allowance.Mode == lease.Leased && !fit.Allowed(list, fit.Order{Device: o.Device, Setting: o.Setting}, fit.Watts(o.Allowance.Watts)-view.Left, now) {
		c.broke("L2", "%s chooses %v for %s, which its lease of %d W does not allow", a.name, o.Setting, d.name, o.Allowance.Watts)
	}
	if o.Setting.Kind == fit.Sleep || need <= o.Device.Bound(now) {
		return
	}
	if fit.Allowed(list, fit.Order{Device: o.Device, Setting: o.Setting}, need+rest-1, now) {
		c.broke("L2", "%s may set %s to %v under %d W, which is less than bounds would add up to", a.name, d.name, o.Setting, need+rest-1)
	}
}

// shedIn is how long an agent may take until its machines draw what its lease says: a raise in flight ends,
// the slowest machine falls asleep, and a try that was lost is made again.
const shedIn = 50 * time.Second

// settling: a shed waits for the raise that is under way.
func (c *checker) settling(a *agent, d *device, s *sight, is fit.Condition, r *lease.Report) {
	if is != fit.IsHashing && is != fit.IsSleeping && is != fit.IsStarting || !d.traits.CanSleep {
		return
	}
	for _, rise := range s.rises {
		if left := rise.until - a.now(); r.Settle < left {
			c.broke("L1", "%s says that it sheds within %v, and %s may be on its way up for %v yet", a.name, r.Settle, d.name, left)
		}
	}
}

// dozed tells whether a machine was read asleep, with nothing under way, in a way that it would not keep if it rebooted.
func (s *sight) dozed(d *device) bool {
	return s.last.State == fit.Sleeping && !d.traits.SleepSurvivesReboot && s.last.At >= s.settled && s.told < s.last.At
}

// stands tells whether the newest reading of a machine still stands: one miss is not unknown (liveness h).
func (s *sight) stands(d *device, now time.Duration) bool {
	kept := s.last.State == fit.Hashing || s.last.State == fit.Sleeping && d.traits.SleepSurvivesReboot
	return kept && s.stoodAt == s.last.At && s.last.At >= s.settled && s.writing == 0 && now-s.last.At <= 3*fit.Poll
}

// promised: a bound is never under what the machine's firmware follows, nor under a write that may yet be
// taking effect.
func (c *checker) promised(a *agent, d *device, s *sight, bound fit.Watts) {
	if target := d.target(s.last); s.last.State == fit.Hashing && bound < target {
		c.broke("L5", "%s bounds %s by %d W, and it follows a target of %d W", a.name, d.name, bound, target)
	}
	for _, r := range s.rises {
		if s.last.At < r.until && bound < r.watts {
			c.broke("L5", "%s bounds %s by %d W, and it may yet go to the %d W that it was told", a.name, d.name, bound, r.watts)
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
	view, sum := a.view(), 0.0
	allowance := view.Allowance
	for p := range view.Places() {
		d := c.h.byAddr[p.Address]
		switch {
		case d.faulty, p.Device == nil:
			a.over = 0
			return
		case allowance.Mode == lease.Leased:
			sum += d.most()
		default:
			sum += d.most() - d.settles(fit.Setting{Kind: fit.Sleep})
		}
	}
	if allowance.Mode != a.mode {
		a.mode, a.over = allowance.Mode, 0
	}
	switch most := float64(allowance.Watts); {
	case allowance.Mode == lease.Untouched, sum <= most+2*slack(most)+restless*float64(len(a.minds)), view.Letting > 0, view.Left > 0:
		a.over = 0
	case a.over == 0:
		a.over = c.h.now
	case c.h.now-a.over > shedIn:
		c.broke("SHED", "the machines of %s may draw %.0f W since %v, and it may let them draw %.0f W", a.name, sum, a.over, most)
	}
}
