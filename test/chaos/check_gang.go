package chaos

import (
	"cmp"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// judgeGang: a gang starts whole or not at all, and one that runs has back what its own ended pods held.
func (c *checker) judgeGang(o *operator, b *books, i int) {
	w := &b.s.Workloads[i]
	if n, _ := b.fresh(i); n > 0 && n < missing(w) {
		c.broke("GANG", "%s lets %d pods of gang %s in, which lacks %d of minPods %d", o.name, n, w.Key, missing(w), w.MinPods)
	}
	if n := b.opens(i); n > 0 && n < w.MinPods && !runs(w) {
		c.broke("GANG", "%s opens %d gates of gang %s, of which none runs, minPods %d", o.name, n, w.Key, w.MinPods)
	}
	if len(b.s.Budgets) == 1 {
		c.judgeRefill(o, b, i)
	}
}

// opens is how many gates of the i-th workload a plan opens.
func (b *books) opens(i int) (n int) {
	for k := range b.p.Workloads[i].Pods {
		if b.p.Workloads[i].Pods[k].Open {
			n++
		}
	}
	return n
}

// judgeRefill: of a gang that runs no pod waits for what is held for it; looked at where there is one budget.
func (c *checker) judgeRefill(o *operator, b *books, i int) {
	w := &b.s.Workloads[i]
	if !runs(w) || w.Halted != "" || b.s.Budgets[0].Halted != "" || !b.bears(0) {
		return
	}
	for _, ended := range b.owed(w) {
		for n := range w.Pods {
			pod := &w.Pods[n]
			if b.kept[ended.UID] != nil && pod.Phase == power.Gated && b.kept[pod.UID] == nil && pod.Watts <= ended.Watts && b.housed(w, pod) {
				c.broke("REFILL", "%s keeps the %v of pod %s, which has ended, and lets pod %s of the same gang wait: %s",
					o.name, ended.Watts, ended.Name, pod.Name, b.p.Workloads[i].Message)
				return
			}
		}
	}
}

// bears tells whether all that is firm may go on at a budget, now and in every curtailment that is known.
func (b *books) bears(i int) bool {
	firm := b.base[i] + b.unfound[i] + b.reserved[i] + b.added[i]
	return b.used(i)+b.added[i] <= b.planned[i] && firm+b.floors[i]+b.unleased[i] <= b.least(i, 24*time.Hour)
}

// housed tells whether some node that its workload may use has the accelerators for a pod for certain, whatever else is
// bound to it next.
func (b *books) housed(w *power.Workload, pod *power.Pod) bool {
	if pod.Refused != nil || len(pod.Selector) > 0 {
		return false
	}
	return slices.ContainsFunc(b.s.Nodes, func(n power.Node) bool {
		for name, asked := range pod.Ask {
			if n.Free[name]-b.unbound(name) < asked {
				return false
			}
		}
		return n.Open && (w.Budget == "" || slices.Contains(b.chain(n.Budget), b.index[w.Budget]))
	})
}

// unbound is the accelerators that pods ask for which hold watts and are bound to no node.
func (b *books) unbound(name string) (sum int64) {
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			if p := &b.s.Workloads[i].Pods[n]; p.Node == "" && (p.Phase != power.Gated || b.kept[p.UID] != nil || b.p.Budgets[0].Demand > 0) {
				sum += p.Ask[name]
			}
		}
	}
	return sum
}

// active is how many pods of a workload hold watts and have not ended.
func active(w *power.Workload) (n int) {
	for i := range w.Pods {
		if w.Pods[i].Phase == power.Reserved || w.Pods[i].Phase == power.Admitted {
			n++
		}
	}
	return n
}

// runs tells whether some pod of a workload is there whose gate is open.
func runs(w *power.Workload) bool {
	return slices.ContainsFunc(w.Pods, func(p power.Pod) bool { return p.Phase == power.Admitted && !p.Gone })
}

// missing is how many pods a gang lacks before it may start; none once it runs.
func missing(w *power.Workload) int {
	here := 0
	for i := range w.Pods {
		if w.Pods[i].Phase == power.Reserved {
			here++
		}
	}
	if runs(w) {
		return 0
	}
	return max(0, w.MinPods-here)
}

// lacking tells whether a gang that has yet to start has watts, and not all that it needs.
func lacking(w *power.Workload) bool {
	return missing(w) > 0 && missing(w) < w.MinPods
}

// owed are the ended pods of a gang that lacks others, as many as it lacks, whose watts are held for those.
func (b *books) owed(w *power.Workload) []*power.Pod {
	var over []*power.Pod
	for n := range w.Pods {
		if w.Pods[n].Phase == power.Releasing {
			over = append(over, &w.Pods[n])
		}
	}
	slices.SortFunc(over, func(x, y *power.Pod) int { return cmp.Or(y.Until.Compare(x.Until), cmp.Compare(x.UID, y.UID)) })
	over = over[:min(len(over), max(0, w.MinPods-active(w)))]
	return slices.DeleteFunc(over, func(p *power.Pod) bool { return !runs(w) && !b.s.Now.Before(p.Until) })
}

// back is what a gang's ended pods held for those that take their place, and hold no more.
func (b *books) back(i int) (sum power.Watts) {
	for _, pod := range b.owed(&b.s.Workloads[i]) {
		if b.kept[pod.UID] == nil {
			sum += pod.Watts
		}
	}
	return sum
}

// ahead tells whether what the i-th workload waits for comes before what the plan gives to the j-th: what a gang
// lacks that has watts, and has yet to start, comes before every rank, since these serve nobody until then.
func (b *books) ahead(i, j int) bool {
	n, _ := b.fresh(j)
	first, second := lacking(&b.s.Workloads[i]), lacking(&b.s.Workloads[j]) && n <= missing(&b.s.Workloads[j])
	if first != second {
		return first
	}
	return before(&b.s.Workloads[i], &b.s.Workloads[j])
}
