package chaos

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// evictSlack is how much longer than its grace an eviction may take.
const evictSlack = 10 * time.Second

// judgeEvictions: only what may be is evicted, only where firm load alone is over a limit in force or about
// to be, the lowest in rank first; and then somebody is.
func (c *checker) judgeEvictions(o *operator, b *books) {
	leaving, notice := map[string]bool{}, evictSlack
	for i := range b.p.Evictions {
		leaving[b.p.Evictions[i].UID] = true
	}
	b.evictable(func(_ *power.Workload, pod *power.Pod) { notice = max(notice, pod.Grace+evictSlack) })
	short := make([]power.Watts, len(b.s.Budgets))
	for i := range short {
		if b.s.Budgets[i].Evict {
			short[i] = b.base[i] + b.reserved[i] + b.added[i] + max(0, b.floors[i]+b.unleased[i]-b.silent[i]-b.lone[i]) - b.least(i, notice)
		}
	}
	b.evictable(func(w *power.Workload, pod *power.Pod) {
		if !leaving[pod.UID] {
			return
		}
		delete(leaving, pod.UID)
		needed := slices.ContainsFunc(b.where(pod), func(i int) bool { return short[i]+b.lone[i] > 0 })
		if !needed {
			c.broke("EVICT", "%s evicts pod %s, and firm load is under every limit above it", o.name, pod.Name)
		}
	})
	for i := range b.p.Evictions {
		if e := &b.p.Evictions[i]; leaving[e.UID] {
			c.broke("EVICT", "%s evicts pod %s, which must not be interrupted", o.name, e.Pod)
		}
	}
	c.judgeSpared(o, b, short)
}

// evictable goes through the pods that may be evicted.
func (b *books) evictable(f func(w *power.Workload, pod *power.Pod)) {
	for i := range b.s.Workloads {
		w := &b.s.Workloads[i]
		for n := range w.Pods {
			if w.Interruptible && w.Pods[n].Phase == power.Admitted && !w.Pods[n].Gone {
				f(w, &w.Pods[n])
			}
		}
	}
}

// judgeSpared: where evictions leave a budget short, nobody is spared who draws there and may be evicted;
// and whoever is evicted is not of a higher rank than somebody spared.
func (c *checker) judgeSpared(o *operator, b *books, short []power.Watts) {
	gone := map[string]bool{}
	for i := range b.p.Evictions {
		gone[b.p.Evictions[i].UID] = true
	}
	var highest *power.Workload
	b.evictable(func(w *power.Workload, pod *power.Pod) {
		if !gone[pod.UID] {
			return
		}
		for _, i := range b.where(pod) {
			short[i] -= pod.Watts
		}
		if highest == nil || before(w, highest) {
			highest = w
		}
	})
	b.evictable(func(w *power.Workload, pod *power.Pod) {
		if gone[pod.UID] {
			return
		}
		for _, i := range b.where(pod) {
			if short[i] > 0 && b.s.Budgets[i].Evict {
				c.broke("EVICT", "%s spares pod %s, and budget %s is %v short", o.name, pod.Name, b.s.Budgets[i].Name, short[i])
			}
		}
		if highest != nil && before(highest, w) && len(b.s.Budgets) == 1 {
			c.broke("EVICT", "%s evicts pods of %s and spares %s of %s, which is of lower rank", o.name, highest.Key, pod.Name, w.Key)
		}
	})
}
