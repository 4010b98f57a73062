package chaos

import (
	"fmt"
	"time"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// sums says what a budget's watts are made of.
func (c *checker) sums(i int) string {
	h := c.h
	var machines, leased, podsNow, podsMost float64
	for _, d := range h.devices {
		if d.pool.exists && !d.pool.gone && h.cfg.under(d.pool.config.budget, i) {
			machines += d.watts()
		}
	}
	for _, a := range h.agents {
		if x := a.allowance(); x.Mode == lease.Leased && h.cfg.under(a.pod.pool.config.budget, i) {
			leased += float64(x.Watts)
		}
	}
	for _, g := range h.kube.order {
		if at := g.at(); !g.over && at >= 0 && h.cfg.under(at, i) {
			if g.drawing {
				podsNow += g.draw
			}
			if g.opened || g.drawing {
				podsMost += g.claim
			}
		}
	}
	return fmt.Sprintf("machines %.0f W, leases in force %.0f W, pods %.0f W of %.0f W admitted", machines, leased, podsNow, podsMost)
}

// stray excuses what nobody could foresee: a pod that never was at the gate.
func (c *checker) stray(g *gpod) {
	if g.stray {
		c.surprised(g.node.budget)
	}
}

// fell excuses a budget whose watts are over with no warning: leases from before run out by and by, once
// a leader knows.
func (c *checker) fell(i int) {
	h := c.h
	c.excused[i], c.known[i], c.fallRV[i] = true, 0, h.store.rv
	c.until[i] = h.now + time.Duration(h.cfg.leaseSeconds)*time.Second + inFlight
}

// extended excuses an event's former end, which may be all that a leader knows of by then: that the limit stays where it
// is falls on it with no warning.
func (c *checker) extended(cut *powerv1.CurtailmentEvent) {
	h, key, end := c.h, keyOf(cut), cut.Spec.End.Sub(epochZero)-clockError
	h.at(end, func() {
		o, ok := h.store.get(cuts, key).(*powerv1.CurtailmentEvent)
		if !ok {
			return
		}
		if seen, known := c.seenCut[cutKey(o)]; !known || h.now-seen < h.warning() {
			c.fell(h.cfg.index(o.Spec.Budget))
		}
	})
}

// held tells whether a leader is paused, or has just gone on: it may send yet what it drew up before.
func (c *checker) held() bool {
	for _, o := range c.h.operators {
		if o != nil && !o.dead && (o.paused || o.wentOn > 0 && c.h.now < o.wentOn+inFlight) && c.h.now-o.renewed < controllers.LeaseDuration {
			return true
		}
	}
	return false
}

// surprised excuses a budget for draw that came without a word to anybody.
func (c *checker) surprised(budget int) {
	for _, i := range c.up[budget] {
		c.fell(i)
	}
}

// stuck tells whether a machine's agent has found that it does not do as told: it is told again after ten minutes.
func (c *checker) stuck(d *device) bool {
	for _, a := range c.h.agents {
		for p := range a.view().Places() {
			if a.pod.process == a && p.Device != nil && c.h.byAddr[p.Address] == d && p.Device.Condition(a.now()) == fit.IsStuck {
				return true
			}
		}
	}
	return false
}

// firm is what of a budget no shed can take.
func (c *checker) firm(i int) float64 {
	h, sum := c.h, 0.0
	for n := range h.cfg.budgets {
		if h.cfg.under(n, i) {
			sum += float64(h.cfg.budgets[n].base)
		}
	}
	for _, d := range h.devices {
		if d.pool.exists && !d.pool.gone && h.cfg.under(d.pool.config.budget, i) {
			least := float64(d.traits.Residual)*1.06 + 60
			if d.faulty && c.stuck(d) {
				least = max(least, d.most())
			}
			sum += least
		}
	}
	for _, g := range h.kube.order {
		if at := g.at(); !g.over && (g.opened || g.drawing) && at >= 0 && h.cfg.under(at, i) {
			sum += g.claim
		}
	}
	return sum
}
