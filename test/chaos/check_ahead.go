package chaos

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// worthRunning is how long what is let in runs before it is evicted.
const worthRunning = time.Minute

// lookAhead is how far what must not be interrupted looks.
const lookAhead = 24 * time.Hour

// judgeAhead: what must not be interrupted fits every curtailment that is known (liveness e), beside what of lower
// priority is not evicted for it; and what may be is not let in only to be evicted for one.
func (c *checker) judgeAhead(o *operator, b *books, i int) {
	w := &b.s.Workloads[i]
	for n := range b.p.Workloads[i].Pods {
		pod := &b.p.Workloads[i].Pods[n]
		if !pod.New {
			continue
		}
		for _, at := range b.reach(pod.Budget) {
			low := b.leaves(w, at, graceIn(w, pod.UID), 0)
			if firm := b.base[at] + b.reserved[at] + b.cantShed(at) + pod.Watts; firm > low {
				c.broke("AHEAD", "%s lets pod %s in on budget %s: base %v, pods %v, mining that can't be shed %v, and %v are left in a curtailment",
					o.name, pod.Name, b.s.Budgets[at].Name, b.base[at], b.reserved[at]+pod.Watts, b.floors[at]+b.unleased[at], low)
			}
		}
	}
}

// judgeBarred: nobody is told that there is no room where every budget has it for all that wait (liveness d, e), and
// some node has the accelerators: for who finds none, the watts of ended pods are not let go.
func (c *checker) judgeBarred(o *operator, b *books, i int) {
	w, p := &b.s.Workloads[i], &b.p.Workloads[i]
	switch p.Reason {
	case power.NoRoom, power.CurtailmentAhead, power.Outranked:
	default:
		return
	}
	if !slices.ContainsFunc(w.Pods, func(pod power.Pod) bool { return b.awaits(&pod) && b.housed(w, &pod) }) {
		return
	}
	wants := b.wanted()
	for k := range b.s.Pools {
		wants += b.s.Pools[k].Floor
	}
	longest := time.Duration(0)
	for n := range w.Pods {
		longest = max(longest, w.Pods[n].Grace)
	}
	for at := range b.s.Budgets {
		held := b.base[at] + b.unfound[at] + b.reserved[at] + b.added[at] + b.floors[at] + b.unleased[at]
		if held+wants > b.leaves(w, at, longest, b.settle[at]+shedSlack+leadIn) {
			return
		}
	}
	c.broke("BARRED", "%s keeps %s waiting (%s: %s), and every budget has room for all that wait", o.name, w.Key, p.Reason, p.Message)
}

// wanted is what all pods that wait, and standby watts, could need at one budget.
func (b *books) wanted() (sum power.Watts) {
	for i := range b.s.Workloads {
		w := &b.s.Workloads[i]
		sum += w.Standby
		for n := range w.Pods {
			if pod := &w.Pods[n]; b.awaits(pod) {
				sum += pod.Watts
			}
		}
	}
	return sum
}

// awaits tells whether a pod got nothing.
func (b *books) awaits(pod *power.Pod) bool {
	return pod.Phase == power.Gated && b.kept[pod.UID] == nil
}

// cantShed is mining that no lease can end; what nobody plans with is left out.
func (b *books) cantShed(i int) power.Watts { return max(0, b.floors[i]+b.unleased[i]-b.lone[i]) }

// leaves is the least of a budget's limits that a workload must fit, with what of lower priority is evicted for each
// beside it; a fall within so long is left to no eviction.
func (b *books) leaves(w *power.Workload, i int, grace, soon time.Duration) power.Watts {
	if !b.s.Budgets[i].Evict {
		return b.least(i, lookAhead)
	}
	if w.Interruptible {
		return b.least(i, max(soon, grace+evictSlack+worthRunning))
	}
	low := b.limitAt(i, b.s.Now)
	for c := range b.s.Budgets[i].Cuts {
		at := b.s.Budgets[i].Cuts[c].Start
		if in := at.Sub(b.s.Now); in > 0 && in <= lookAhead {
			low = min(low, b.limitAt(i, at)+b.goneBy(in, w.Priority, i, soon))
		}
	}
	return low
}

// goneBy is what running work of lower priority that is evicted before a fall draws from a budget.
func (b *books) goneBy(in time.Duration, priority, i int, soon time.Duration) (sum power.Watts) {
	for n := range b.s.Workloads {
		w := &b.s.Workloads[n]
		if w.Priority >= priority {
			continue
		}
		for _, pod := range evictable(w) {
			if in <= max(soon, pod.Grace+evictSlack+worthRunning) {
				continue
			}
			for _, at := range b.where(pod) {
				if at == i {
					sum += pod.Watts
				}
			}
		}
	}
	return sum
}

func graceIn(w *power.Workload, uid string) time.Duration {
	for n := range w.Pods {
		if w.Pods[n].UID == uid {
			return w.Pods[n].Grace
		}
	}
	return 0
}
