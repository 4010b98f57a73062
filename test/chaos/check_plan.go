package chaos

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// A decision is judged by the facts that it was made from: what it promises must be free there (L1), and
// what it leaves must be left for a reason.

// decided judges one decision, before anything of it is done; read tells that its facts are of now.
func (c *checker) decided(o *operator, s *power.Site, p *power.Plan, read bool) {
	if read {
		o.factsAt = c.h.now
	}
	b := newBooks(s, p)
	c.rules(o, b)
	for key := range o.accounts {
		if _, _, ok := o.holds(key); !ok {
			delete(o.accounts, key) // its slot is gone
		}
	}
	o.said = b.said()
	c.waits(o, p)
	for i := range s.Budgets {
		c.judgeRoom(o, b, i, read)
		c.judgeSheds(o, b, i)
	}
	for i := range p.Leases {
		c.judgeLease(o, b, &p.Leases[i], read)
	}
	for i := range s.Workloads {
		c.judgePods(o, b, &s.Workloads[i])
		if read {
			c.judgeGang(o, b, i)
			c.judgeAhead(o, b, i)
			c.judgeBarred(o, b, i)
		}
	}
	c.judgeQueue(o, b)
	c.judgeEvictions(o, b)
	if read {
		c.judgeYield(o, b)
		c.judgeRenewal(o, b)
		c.judgeFacts(o, b)
	}
}

// decision is what a write is held against: whose gates it opens, and whether any pod waited. A request that
// timed out may take effect after the next one was made, and is judged by its own.
type decision struct {
	open   map[string]bool
	guests bool
}

// said notes a decision.
func (b *books) said() *decision {
	d := &decision{open: map[string]bool{}}
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			d.guests = d.guests || b.s.Workloads[i].Pods[n].Phase == power.Gated
		}
	}
	for uid, pod := range b.kept {
		if pod.Open {
			d.open[uid] = true
		}
	}
	return d
}

// judgeRoom: what a plan raises or lets in is free in the ledger, and what was raised for pods that wait
// is theirs (L1).
func (c *checker) judgeRoom(o *operator, b *books, i int, read bool) {
	added := b.added[i]
	if !read {
		added = 0 // nothing is let in by what was read long ago
	}
	if added+b.raised[i] == 0 {
		return
	}
	name := b.s.Budgets[i].Name
	if !read {
		c.broke("L1-PLAN", "%s raises leases by %v on budget %s by what was read long ago", o.name, b.raised[i], name)
	}
	if why := b.s.Budgets[i].Halted; why != "" && added > 0 {
		c.broke("L1-PLAN", "%s lets %v in on budget %s, where nothing may be: %s", o.name, added, name, why)
	}
	if sum := b.used(i) + added + b.raised[i]; sum > b.limit[i] {
		c.broke("L1-PLAN", "%s raises leases by %v and lets %v in on budget %s: then base %v, unfound %v, holds %v and pods %v are over its %v",
			o.name, b.raised[i], added, name, b.base[i], b.unfound[i], b.held[i]+b.raised[i], b.reserved[i]+added, b.limit[i])
	}
	if demand := b.p.Budgets[i].Demand; b.raised[i] > 0 && demand > 0 && b.used(i)+added+b.raised[i]+demand > b.limit[i] {
		c.broke("L1-PLAN", "%s raises leases by %v on budget %s, and %v wait there", o.name, b.raised[i], name, demand)
	}
}

// judgeSheds: where the ledger is over its limit, or pods wait, leases go down until it is not, or to
// what can't be shed.
func (c *checker) judgeSheds(o *operator, b *books, i int) {
	left := b.planned[i] - b.base[i] - b.unfoundNow[i] - b.reserved[i] - b.added[i] - b.unleased[i]
	if most := max(left, b.floors[i]) + b.grain; b.leased[i] > most {
		c.broke("SHED", "%s leaves leases of %v on budget %s, where %v are left for them", o.name, b.leased[i], b.s.Budgets[i].Name, most)
	}
	left -= b.p.Budgets[i].Demand
	if b.p.Budgets[i].Demand == 0 && b.idle() {
		left -= b.s.Budgets[i].Headroom
	}
	if most := max(left, b.floors[i]) + b.grain; b.aimed[i] > most {
		c.broke("SHED", "%s aims at leases of %v on budget %s, where pods that wait leave %v", o.name, b.aimed[i], b.s.Budgets[i].Name, most)
	}
}

// idle tells whether no pod has come for a while: then the headroom is refilled.
func (b *books) idle() bool {
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			if pod := &b.s.Workloads[i].Pods[n]; pod.Phase == power.Gated || b.s.Now.Sub(pod.Created) < headroomRest {
				return false
			}
		}
	}
	return true
}

// headroomRest is how long no pod may have come.
const headroomRest = 30 * time.Second

// judgeLease: no lease outlasts its budget's time or the next fall of a limit, and none aims lower than
// the ledger makes it.
func (c *checker) judgeLease(o *operator, b *books, l *power.LeasePlan, read bool) {
	a := b.agents[l.Agent]
	if a == nil || !a.Heard {
		c.broke("L3", "%s has a lease for %s, which it does not hear", o.name, l.Agent)
		return
	}
	chain := b.chain(a.Budget)
	for _, i := range chain {
		if most := b.s.Budgets[i].LeaseTTL; l.TTL > most && most > 0 {
			c.broke("TTL", "%s leases %v to %s; budget %s says %v", o.name, l.TTL, l.Agent, b.s.Budgets[i].Name, most)
		}
		if fall, ok := b.fall(i); ok && l.TTL > max(time.Second, fall-b.settle[i]-shedSlack) {
			c.broke("TTL", "%s leases %v to %s; budget %s falls in %v", o.name, l.TTL, l.Agent, b.s.Budgets[i].Name, fall)
		}
	}
	if l.Watts > a.Hold && a.Bound > a.Hold {
		c.broke("L1-PLAN", "%s leases %v to %s, which counts for %v as long as it has no more, and then for its bound of %v", o.name, l.Watts, l.Agent, a.Hold, a.Bound)
	}
	if k := o.accounts[l.Agent]; k != nil && k.heard {
		leave := power.Watts(k.leave(b.s.Now.Sub(epochZero) - o.offset))
		for _, i := range chain {
			switch name := b.s.Budgets[i].Name; {
			case b.used(i) <= b.planned[i]:
			case l.Watts > leave:
				c.broke("L1-PLAN", "%s leases %v to %s, which goes on with %v, and budget %s is over its limit", o.name, l.Watts, l.Agent, leave, name)
			case !l.Shared:
				c.broke("L1-PLAN", "%s gives %s leave to draw what it let go of, and budget %s is over its limit", o.name, l.Agent, name)
			}
		}
	}
	pool := b.pools[a.Pool]
	if most := top(a); read && l.Target < most-rounding && (pool == nil || !pool.Leaving) && !slices.ContainsFunc(chain, b.full) {
		c.broke("STRANDED", "%s aims at %v for %s, which could use %v, and no budget above is full", o.name, l.Target, l.Agent, most)
	}
}

// full tells whether leases use what a budget leaves, short of what is kept for the next pods.
func (b *books) full(i int) bool {
	left := b.planned[i] - b.base[i] - b.unfoundNow[i] - b.reserved[i] - b.added[i] - b.unleased[i] - b.p.Budgets[i].Demand
	return b.aimed[i] >= left-b.spare(i)
}

func top(a *power.Agent) power.Watts {
	if len(a.Curve) == 0 {
		return a.Floor
	}
	// A run that is capped by the one before it may have a floor under its curve; then only what rises counts.
	first, last := a.Curve[0].Watts, a.Curve[len(a.Curve)-1].Watts
	return a.Floor + max(0, last-max(first, a.Floor))
}

// fall is in how long a budget's limit falls below what is planned with.
func (b *books) fall(i int) (in time.Duration, ok bool) {
	for c := range b.s.Budgets[i].Cuts {
		at := b.s.Budgets[i].Cuts[c].Start
		if at.After(b.s.Now) && b.limitAt(i, at) < b.planned[i] && (!ok || at.Sub(b.s.Now) < in) {
			in, ok = at.Sub(b.s.Now), true
		}
	}
	return in, ok
}

// judgePods: whoever holds watts keeps them, all of them, and only pods that wait are let in (L6).
func (c *checker) judgePods(o *operator, b *books, w *power.Workload) {
	for n := range w.Pods {
		pod := &w.Pods[n]
		kept := b.kept[pod.UID]
		switch {
		case pod.Phase == power.Gated:
			if kept != nil && (!kept.New || kept.Watts < pod.Watts || w.Halted != "") {
				c.broke("L6-PLAN", "%s lets pod %s in with %v of %v: %s", o.name, pod.Name, kept.Watts, pod.Watts, w.Halted)
			}
		case pod.Phase == power.Releasing:
		case kept == nil:
			c.broke("L6-PLAN", "%s plans without pod %s, which holds %v", o.name, pod.Name, pod.Watts)
		case kept.New || kept.Watts < pod.Watts || kept.Budget != pod.Budget:
			c.broke("L6-PLAN", "%s makes of the %v of pod %s on %s %v on %s", o.name, pod.Watts, pod.Name, pod.Budget, kept.Watts, kept.Budget)
		case kept.Open && pod.Phase == power.Reserved:
			for _, i := range b.where(pod) {
				if b.used(i) > b.limit[i] {
					c.broke("L1-PLAN", "%s opens the gate of pod %s, and budget %s is over its limit", o.name, pod.Name, b.s.Budgets[i].Name)
				}
			}
		}
	}
}

// fresh are the pods that a plan lets in of the i-th workload, and what they draw.
func (b *books) fresh(i int) (pods int, watts power.Watts) {
	for n := range b.p.Workloads[i].Pods {
		if p := &b.p.Workloads[i].Pods[n]; p.New {
			pods, watts = pods+1, watts+p.Watts
		}
	}
	return pods, watts
}

// before tells whether workload a outranks workload b: by priority, age and name.
func before(a, b *power.Workload) bool {
	switch {
	case a.Priority != b.Priority:
		return a.Priority > b.Priority
	case !a.Created.Equal(b.Created):
		return a.Created.Before(b.Created)
	}
	return a.Key < b.Key
}

// next is what the first pods of a workload that wait for miners need: the whole gang where it must start.
func (b *books) next(i int) power.Watts {
	w, p := &b.s.Workloads[i], &b.p.Workloads[i]
	if p.Reason != power.WaitingForMiners {
		return 0
	}
	var least power.Watts
	for n := range w.Pods {
		if pod := &w.Pods[n]; pod.Phase == power.Gated && b.kept[pod.UID] == nil && (least == 0 || pod.Watts < least) {
			least = pod.Watts
		}
	}
	n, _ := b.fresh(i)
	return least * power.Watts(max(1, missing(w)-n))
}

// judgeQueue: what waits for miners is what miners make room for, and nobody later takes it.
func (c *checker) judgeQueue(o *operator, b *books) {
	var gated power.Watts
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			if pod := &b.s.Workloads[i].Pods[n]; pod.Phase == power.Gated && b.kept[pod.UID] == nil {
				gated += pod.Watts
			}
		}
	}
	most := power.Watts(0)
	for i := range b.p.Budgets {
		most = max(most, b.p.Budgets[i].Demand)
		if b.p.Budgets[i].Demand > gated {
			c.broke("QUEUE", "%s keeps %v on budget %s for pods that wait, and they need %v", o.name, b.p.Budgets[i].Demand, b.p.Budgets[i].Name, gated)
		}
	}
	for i := range b.s.Workloads {
		if need := b.next(i); need > most {
			c.broke("QUEUE", "%s keeps %v for pods of %s, which wait for miners and need %v", o.name, most, b.s.Workloads[i].Key, need)
		}
	}
	if len(b.s.Budgets) == 1 {
		c.judgeRanks(o, b)
	}
}

// judgeRanks: at a single budget nobody takes watts that somebody of higher rank waits for. What a gang's pods take
// of what its own ended ones held, nobody else could have had.
func (c *checker) judgeRanks(o *operator, b *books) {
	in, used := make([]power.Watts, len(b.s.Workloads)), b.used(0)
	for i := range in {
		_, in[i] = b.fresh(i)
		back := min(in[i], b.back(i))
		in[i], used = in[i]-back, used+back
	}
	for i := range b.s.Workloads {
		if in[i] == 0 {
			continue
		}
		own, _ := b.fresh(i)
		sum := used + in[i]
		for n := range b.s.Workloads {
			if n != i && b.ahead(n, i) {
				sum += in[n] + b.next(n)
			}
		}
		if sum > b.limit[0] {
			c.broke("QUEUE", "%s lets %d pods of %s in, and workloads of higher rank wait for those watts", o.name, own, b.s.Workloads[i].Key)
		}
	}
}
