package chaos

import (
	"slices"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// Who minds a machine (L9).

// minds notes that machines which nobody minded are minded from now on: to shed them takes its time yet.
func (c *checker) minds(a *agent) {
	for _, i := range c.up[a.pod.pool.config.budget] {
		c.sick[i] = max(c.sick[i], c.h.now+slowestShed)
	}
}

// assigned enters an assignment that an agent took up, and looks that no other agent that is there minds the
// same machines (L9).
func (c *checker) assigned(a *agent) {
	now, before := a.now(), a.minds
	a.minds, a.mind.at, a.over = c.h.expand(a.mind.assignment.Ranges), now, 0
	for _, d := range before {
		if a.has(d) {
			continue
		}
		if a.sight(d).found {
			a.lets = append(a.lets, letting{d, now, d.most()})
		}
		if a.sight(d).writing > 0 {
			a.cutShort = append(a.cutShort, a.sight(d))
		}
		delete(a.sights, d)
	}
	if slices.ContainsFunc(a.minds, func(d *device) bool { return !a.sight(d).found }) {
		c.minds(a)
	}
	for p := range a.view().Places() {
		if !a.has(c.h.byAddr[p.Address]) {
			c.broke("L9", "%s minds %s, which is not in its assignment", a.name, p.Address)
		}
	}
	for _, d := range a.minds {
		for _, b := range c.h.agents {
			if b == a || b.pod.gone || a.pod.gone || b.pod == a.pod {
				continue
			}
			if b.has(d) {
				c.broke("L9", "%s takes up %s, which %s minds still", a.name, d.name, b.name)
			}
		}
	}
}

// commanded looks that nobody raises a machine that another agent still may raise (L9).
func (c *checker) commanded(d *device, a *agent, s fit.Setting) {
	if s.Kind == fit.Sleep {
		return
	}
	for _, b := range c.h.agents {
		if b != a && b.has(d) && b.allowance().Mode == lease.Leased {
			c.broke("L9", "%s raises %s while %s may, too", a.name, d.name, b.name)
		}
	}
}
