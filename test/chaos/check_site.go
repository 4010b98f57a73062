package chaos

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// The facts of a decision are held against the objects that the process has seen, the ledger's accounts,
// and the truth about pods.

// unheardAfter is how long an agent may be silent and still get leases.
const unheardAfter = 15 * time.Second

// judgeFacts judges what a decision was made from; only where no time has passed since it was read.
func (c *checker) judgeFacts(o *operator, b *books) {
	if !b.s.Now.Equal(o.clock()) {
		return
	}
	c.stamped(o)
	for _, obj := range o.cache.items[budgets] {
		if p, ok := obj.(*powerv1.PowerBudget); ok {
			c.judgeBudget(o, b, p)
		}
	}
	for _, obj := range o.cache.items[pools] {
		if p, ok := obj.(*powerv1.MinerPool); ok {
			c.judgePool(o, b, p)
		}
	}
	for _, obj := range o.cache.items[nodes] {
		if n, ok := obj.(*corev1.Node); ok && n.Labels[budgetLabel] != "" && b.nodes[n.Name] != n.Labels[budgetLabel] {
			c.broke("L8", "%s counts node %s on %q, and %q feeds it", o.name, n.Name, b.nodes[n.Name], n.Labels[budgetLabel])
		}
	}
	for key := range o.accounts {
		c.counted(o, key)
	}
	for key, k := range o.accounts {
		c.judgeAgent(o, b, key, k)
	}
	if c.leads(o) {
		c.judgeCounted(o, b)
	}
}

// leads tells whether a process holds the Lease in truth, and nobody led since it took over: what another has done
// since, it can't know. One that was paused may find the Lease given up by that other, and renew it as if nothing had been.
func (c *checker) leads(o *operator) bool {
	epoch, _, _ := o.holds("")
	for _, obj := range c.h.store.list(claims) {
		if claimOf(obj).Status.Epoch > int64(epoch) {
			return false
		}
	}
	l := c.h.lock
	return l != nil && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity == o.name
}

// judgeBudget: limits, margins, base load and curtailments are those of the objects.
func (c *checker) judgeBudget(o *operator, b *books, p *powerv1.PowerBudget) {
	i, ok := b.index[p.Name]
	if !ok {
		c.broke("L1-SITE", "%s decides without budget %s", o.name, p.Name)
		return
	}
	is := &b.s.Budgets[i]
	if is.Parent != p.Spec.Parent || int64(is.Limit) != p.Spec.LimitWatts.Value() || is.MarginPercent != int(*p.Spec.MarginPercent) ||
		int64(is.Base) < p.Spec.BaseLoadWatts.Value() || is.LeaseTTL > time.Duration(p.Spec.LeaseSeconds)*time.Second {
		c.broke("L1-SITE", "%s takes budget %s for %+v", o.name, p.Name, *is)
	}
	cut := map[string]*power.Cut{}
	for n := range is.Cuts {
		cut[is.Cuts[n].Name] = &is.Cuts[n]
	}
	for _, obj := range o.cache.items[cuts] {
		e, ok := obj.(*powerv1.CurtailmentEvent)
		if !ok || e.Spec.Budget != p.Name {
			continue
		}
		is := cut[e.Name]
		limit, reduce := int64(0), int64(0)
		if e.Spec.LimitWatts != nil {
			limit = e.Spec.LimitWatts.Value()
		}
		if e.Spec.ReduceByWatts != nil {
			reduce = e.Spec.ReduceByWatts.Value()
		}
		if is == nil && (e.Spec.ReduceByWatts == nil || reduce > 0) ||
			is != nil && (int64(is.Limit) != limit || int64(is.Reduce) != reduce || !is.Start.Equal(e.Spec.Start.Time) || !is.End.Equal(e.Spec.End.Time)) {
			c.broke("L1-SITE", "%s takes curtailment %s for %+v", o.name, e.Name, is)
		}
	}
}

// madeIn is how soon after its creation a pool has its agents.
const madeIn = 40 * time.Second

// judgePool: a pool counts with all of its rated watts (L4).
func (c *checker) judgePool(o *operator, b *books, p *powerv1.MinerPool) {
	is := b.pools[p.Namespace+"/"+p.Name]
	switch {
	case is == nil:
		c.broke("L4", "%s decides without pool %s", o.name, p.Name)
	case int64(is.Rated) < p.Spec.RatedWatts.Value() || is.Budget != p.Spec.Budget || is.Observe != (p.Spec.Control == powerv1.ControlObserve):
		c.broke("L4", "%s takes pool %s for %+v", o.name, p.Name, *is)
	case c.h.wall().Sub(p.CreationTimestamp.Time) > madeIn && c.h.now > c.moved(p) && b.graceOf(is) > max(0, c.metLast(o, is.Key)+leaseOf(o, p)-c.h.now):
		c.broke("L4", "%s lets what is unfound of pool %s pass for %v", o.name, p.Name, b.graceOf(is))
	}
}

// moved is until when a pool's addresses move: then its slots are met anew.
func (c *checker) moved(p *powerv1.MinerPool) time.Duration {
	if i := c.h.cfg.index(p.Spec.Budget); i >= 0 {
		return c.moving[i]
	}
	return 0
}

// graceOf is for how long yet what is unfound of a pool sheds nobody.
func (b *books) graceOf(p *power.Pool) time.Duration { return p.GraceUntil.Sub(b.s.Now) }

// metLast is when a leader met the last run of a pool's agents, or took over.
func (c *checker) metLast(o *operator, pool string) time.Duration {
	last := o.tookOver
	for key, k := range o.accounts {
		if p := c.h.poolOf(key); p != nil && namespace+"/"+p.config.name == pool {
			last = max(last, k.met)
		}
	}
	return last + time.Second
}

func leaseOf(o *operator, p *powerv1.MinerPool) time.Duration {
	if b, ok := o.cache.get(budgets, clusterWide(p.Spec.Budget)).(*powerv1.PowerBudget); ok {
		return max(time.Duration(b.Spec.LeaseSeconds)*time.Second, unheardAfter)
	}
	return time.Hour
}

// judgeAgent: an agent counts with what its account says (L2), and gets leases only while it is heard.
func (c *checker) judgeAgent(o *operator, b *books, key string, k *account) {
	a := b.agents[key]
	switch want := power.Watts(k.hold()); {
	case a == nil && want > 0:
		c.broke("L3", "%s decides without agent %s, which holds %v", o.name, key, want)
	case a == nil:
	case a.Hold < want:
		c.broke("L2", "%s counts %v for agent %s, which holds %v", o.name, a.Hold, key, want)
	case a.Heard && k.heard && k.report.Generation == 0:
		c.broke("L4", "%s takes agent %s for heard, which has yet to look for its machines", o.name, key)
	case a.Heard && (!k.heard || c.h.now-k.at > unheardAfter+clockError):
		c.broke("L3", "%s takes agent %s for heard, which spoke last at %v", o.name, key, k.at)
	case !k.heard:
	case lease.Watts(a.Rated) > k.report.Rated || a.Settle < k.report.Settle || lease.Watts(a.Floor) < min(k.report.Floor, lease.Watts(a.Hold)) || lease.Watts(a.Bound) < k.report.Bound:
		c.broke("L2", "%s takes agent %s for %+v; it reported %+v", o.name, key, *a, k.report)
	}
}

// judgeCounted: every pod that draws or may draw counts with all of its watts until it has ended (L6, L8).
func (c *checker) judgeCounted(o *operator, b *books) {
	found := map[string]*power.Pod{}
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			found[b.s.Workloads[i].Pods[n].UID] = &b.s.Workloads[i].Pods[n]
		}
	}
	for i := range b.s.Strays {
		found[b.s.Strays[i].UID] = &b.s.Strays[i]
	}
	for _, g := range c.h.kube.order {
		if g.over || !g.opened && !g.drawing && !c.reserved(o, g) {
			continue
		}
		p := found[string(g.uid)]
		if g.stray && p == nil && o.cache.get(pods, g.key) == nil {
			continue // nobody has told of it yet
		}
		switch {
		case p == nil:
			c.broke("L6", "%s decides without pod %s, which has not ended (drawing: %v)", o.name, g.key.Name, g.drawing)
		case p.Phase == power.Releasing:
			c.broke("L6", "%s takes pod %s for ended, and it has not (drawing: %v)", o.name, g.key.Name, g.drawing)
		case p.Phase == power.Gated && g.opened:
			// Its gate was opened a moment ago, by an earlier leader or by this one; it holds watts all the same.
			if !c.reserved(o, g) {
				c.broke("L6", "%s takes pod %s for waiting, and its gate is open", o.name, g.key.Name)
			}
		case float64(p.Watts) < g.claim:
			c.broke("L6", "%s counts pod %s with %v; it may draw %.0f W", o.name, g.key.Name, p.Watts, g.claim)
		}
	}
}

// reserved tells whether a process has seen a reservation of a pod that is still there.
func (c *checker) reserved(o *operator, g *gpod) bool {
	if g.gone {
		return false
	}
	for _, obj := range o.cache.items[claims] {
		for i := range claimOf(obj).Status.Reservations {
			if claimOf(obj).Status.Reservations[i].UID == g.uid {
				return true
			}
		}
	}
	return false
}
