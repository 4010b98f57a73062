package chaos

import (
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// What is held for nobody in particular: headroom, standby watts and release delays yield to pods that wait
// (liveness f), and headroom that pods used is refilled once none has come for a while (liveness g).

// spare is what a plan may keep from leases on a budget for the next pods.
func (b *books) spare(i int) power.Watts {
	var standby, demand power.Watts
	alike := true
	for n := range b.s.Workloads {
		standby += b.s.Workloads[n].Standby
		alike = alike && b.s.Workloads[n].Priority == b.s.Workloads[0].Priority
	}
	headroom := b.s.Budgets[i].Headroom
	if len(b.s.Budgets) > 1 {
		return standby + headroom
	}
	if b.busy() {
		free := b.planned[i] - b.base[i] - b.unfoundNow[i] - b.held[i] - b.reserved[i] - b.added[i]
		headroom = max(0, min(headroom, free))
	}
	if alike {
		demand = b.p.Budgets[i].Demand
	}
	return max(0, standby+headroom-demand)
}

// busy tells whether a pod that holds watts has come so lately that no miner sheds for headroom yet.
func (b *books) busy() bool {
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			pod := &b.s.Workloads[i].Pods[n]
			holds := pod.Phase == power.Reserved || pod.Phase == power.Admitted || pod.Phase == power.Gated && b.kept[pod.UID] != nil
			if holds && b.s.Now.Sub(pod.Created) < headroomRest {
				return true
			}
		}
	}
	return false
}

// judgeYield: the watts of an ended pod go before their delay is over to pods of its rank or a higher one alone.
func (c *checker) judgeYield(o *operator, b *books) {
	for i := range b.s.Workloads {
		w := &b.s.Workloads[i]
		for n := range w.Pods {
			pod := &w.Pods[n]
			if pod.Phase != power.Releasing || !b.s.Now.Before(pod.Until) {
				continue
			}
			if b.kept[pod.UID] == nil && !b.sought(w.Priority) {
				c.broke("L6-PLAN", "%s lets the %v of pod %s go %v before their time, and no pod of its rank is there for them",
					o.name, pod.Watts, pod.Name, pod.Until.Sub(b.s.Now).Round(time.Millisecond))
			}
		}
	}
}

// sought tells whether pods of a rank or above are let in, or wait for miners.
func (b *books) sought(rank int) bool {
	for i := range b.s.Workloads {
		if b.s.Workloads[i].Priority < rank {
			continue
		}
		if n, _ := b.fresh(i); n > 0 || b.p.Workloads[i].Waiting > 0 {
			return true
		}
	}
	return false
}

// renewWithin is how long a leader that decides may leave a lease be of which a quarter is left.
const renewWithin = 20 * time.Second

// judgeRenewal: no lease of an agent that is heard runs out for want of the next.
func (c *checker) judgeRenewal(o *operator, b *books) {
	for i := range b.p.Leases {
		a := b.agents[b.p.Leases[i].Agent]
		k := o.accounts[b.p.Leases[i].Agent]
		if a == nil || k == nil || !a.Leased || k.lasts == 0 {
			continue
		}
		switch {
		case c.h.now-k.sentAt < k.lasts*3/4:
			k.due = 0
		case k.due == 0:
			k.due = c.h.now
		case c.h.now-k.due > renewWithin:
			c.broke("RENEW", "%s has sent %s no lease since %v, which lasted %v, and hears it", o.name, a.Key, k.sentAt, k.lasts)
		}
	}
}
