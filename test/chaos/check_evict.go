package chaos

import (
	"cmp"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// evictSlack is how much longer than its grace an eviction may take.
const evictSlack = 10 * time.Second

// judgeEvictions: only what may be is evicted, and only where firm load is over a limit that is in force, or will be
// before that pod could have ended, though all of lower rank go. Whoever that takes is told, then and no later.
func (c *checker) judgeEvictions(o *operator, b *books) {
	leaving := map[string]bool{}
	for i := range b.p.Evictions {
		leaving[b.p.Evictions[i].UID] = true
	}
	f := newFirm(b)
	added := b.addedTo()
	for _, w := range lowestFirst(b.s) {
		f.gap(w, -1)
		f.shut(w)
		for _, pod := range added[w.Key] {
			charge(f.below, b.reach(pod.Budget), pod.Watts) // it was let in for as long as it may stay
		}
		for _, pod := range evictable(w) {
			may, must := f.short(pod)
			switch told := leaving[pod.UID]; {
			case told && may < 0:
				c.broke("EVICT", "%s evicts pod %s, and without those below it firm load is under every limit above it", o.name, pod.Name)
			case !told && must >= 0:
				c.broke("EVICT", "%s spares pod %s, and without it and those below it budget %s is short", o.name, pod.Name, b.s.Budgets[must].Name)
			}
			delete(leaving, pod.UID)
			charge(f.below, b.where(pod), pod.Watts)
		}
	}
	for i := range b.p.Evictions {
		if e := &b.p.Evictions[i]; leaving[e.UID] {
			c.broke("EVICT", "%s evicts pod %s, which must not be interrupted", o.name, e.Pod)
		}
	}
}

// addedTo is what the plan lets in, by workload.
func (b *books) addedTo() map[string][]power.PodPlan {
	out := map[string][]power.PodPlan{}
	for i := range b.p.Workloads {
		w := &b.p.Workloads[i]
		for n := range w.Pods {
			if w.Pods[n].New {
				out[w.Key] = append(out[w.Key], w.Pods[n])
			}
		}
	}
	return out
}

// lowestFirst is the workloads against their ranks.
func lowestFirst(s *power.Site) []*power.Workload {
	all := make([]*power.Workload, len(s.Workloads))
	for i := range all {
		all[i] = &s.Workloads[i]
	}
	slices.SortFunc(all, func(x, y *power.Workload) int {
		if before(x, y) {
			return 1
		}
		return -1
	})
	return all
}

// evictable is the pods of a workload that may be evicted, the youngest first.
func evictable(w *power.Workload) []*power.Pod {
	var all []*power.Pod
	for n := range w.Pods {
		if w.Interruptible && w.Pods[n].Phase == power.Admitted && !w.Pods[n].Gone {
			all = append(all, &w.Pods[n])
		}
	}
	slices.SortFunc(all, func(x, y *power.Pod) int {
		return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(y.Name, x.Name), cmp.Compare(y.UID, x.UID))
	})
	return all
}

// firm is what evictions are judged by, going up the ranks.
type firm struct {
	*books
	// load can't be shed. Ended pods draw nothing: what a delay keeps evicts nobody.
	load []power.Watts
	// gaps is what ended pods of gangs above hold for these (liveness c), and likely with those of which it can't be
	// told whether it is the delay that keeps them.
	gaps, likely []power.Watts
	below        []power.Watts // of those passed that may be evicted
}

func newFirm(b *books) *firm {
	n := len(b.s.Budgets)
	f := &firm{b, make([]power.Watts, n), make([]power.Watts, n), make([]power.Watts, n), make([]power.Watts, n)}
	for i := range f.load {
		f.load[i] = b.base[i] + b.reserved[i] + b.added[i] + max(0, b.floors[i]+b.unleased[i]-b.silent[i]-b.lone[i])
	}
	for i := range b.s.Workloads {
		w := &b.s.Workloads[i]
		f.gap(w, 1)
		for n := range w.Pods {
			if pod := &w.Pods[n]; pod.Phase == power.Releasing && b.stands(pod) {
				charge(f.load, b.where(pod), -pod.Watts)
			}
		}
	}
	return f
}

// shut passes pods with watts whose gates are on: they draw nothing, and their gates wait.
func (f *firm) shut(w *power.Workload) {
	for n := range w.Pods {
		if pod := &w.Pods[n]; pod.Phase == power.Reserved {
			charge(f.below, f.where(pod), pod.Watts)
		}
	}
}

// gap enters what the ended pods of a gang that runs hold; with sign -1 it is passed.
func (f *firm) gap(w *power.Workload, sign power.Watts) {
	if w.MinPods <= 1 || !slices.ContainsFunc(w.Pods, func(p power.Pod) bool { return p.Phase == power.Admitted && !p.Gone }) {
		return
	}
	for n := range w.Pods {
		pod := &w.Pods[n]
		if pod.Phase != power.Releasing || !f.stands(pod) {
			continue
		}
		charge(f.likely, f.where(pod), sign*pod.Watts)
		if !f.s.Now.Before(pod.Until) {
			charge(f.gaps, f.where(pod), sign*pod.Watts)
		}
	}
}

// short is a budget for which a pod may be evicted now, and one for which it must be; -1 is none.
func (f *firm) short(pod *power.Pod) (may, must int) {
	may, must = -1, -1
	for _, i := range f.where(pod) {
		if !f.s.Budgets[i].Evict {
			continue
		}
		over := f.load[i] - f.below[i] - f.least(i, pod.Grace+evictSlack)
		if over+f.lone[i]+f.likely[i] > 0 {
			may = i
		}
		if over+f.gaps[i] > 0 {
			must = i
		}
	}
	return may, must
}
