package decide

import (
	"fmt"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// running fills about half of the accelerators: three workloads in four, each in one row, with pods that are
// bound to nodes there.
func (l *lot) running() {
	free := map[string]int64{}
	for i := range l.Workloads {
		w := power.Workload{Key: fmt.Sprintf("ai/work-%04d", i), Priority: l.IntN(3) * 100, Created: l.before(24 * time.Hour)}
		each := int64([]int{1, 2, 4, 8}[l.IntN(4)])
		if l.IntN(5) == 0 {
			w.Interruptible = true
		}
		row := l.IntN(l.rows())
		l.site.Workloads = append(l.site.Workloads, w)
		if i%4 == 3 {
			continue // waits whole
		}
		for n := range l.Pods * 2 / 3 / l.Workloads * 4 / 3 {
			node := &l.site.Nodes[(row+(n+i)*l.rows())%len(l.site.Nodes)]
			if free[node.Name]+each > gpusPerNode {
				continue
			}
			free[node.Name] += each
			node.Free[gpu] -= each
			p := l.pod(i, each)
			p.Phase, p.Node, p.Budget, p.Created = power.Admitted, node.Name, node.Budget, l.before(time.Hour)
			l.site.Workloads[i].Pods = append(l.site.Workloads[i].Pods, p)
		}
	}
}

func (l *lot) before(d time.Duration) time.Time {
	return l.site.Now.Add(-time.Duration(l.Int64N(int64(d)))).Add(-time.Minute)
}

func (l *lot) pod(workload int, gpus int64) power.Pod {
	w := &l.site.Workloads[workload]
	name := fmt.Sprintf("%s-%d", w.Key, len(w.Pods))
	return power.Pod{
		UID: "uid-" + name, Name: name, Watts: power.Watts(gpus) * perGPU, Ask: map[string]int64{gpu: gpus}, Created: l.site.Now, Grace: 30 * time.Second,
	}
}

// waiting lets a third of the pods arrive: replicas of what runs, and gangs.
func (l *lot) waiting() {
	for i := range l.site.Workloads {
		w := &l.site.Workloads[i]
		n := l.Pods / 3 / l.Workloads
		each := int64(1)
		if len(w.Pods) > 0 {
			each = w.Pods[0].Ask[gpu]
		} else if l.IntN(2) == 0 {
			w.MinPods, each = n, gpusPerNode
		}
		for range n {
			w.Pods = append(w.Pods, l.pod(i, each))
		}
	}
}

// curtailments are three to five events of the next hours; one of them may be in force.
func (l *lot) curtailments() {
	for n := range 3 + l.IntN(3) {
		b := &l.site.Budgets[l.IntN(len(l.site.Budgets))]
		start := l.site.Now.Add(time.Duration(l.between(-0.5, 6) * float64(time.Hour)))
		c := power.Cut{Name: fmt.Sprintf("event-%d", n), Start: start, End: start.Add(time.Hour), Limit: b.Limit * 8 / 10}
		if l.IntN(2) == 0 {
			c.Limit, c.Reduce = 0, b.Limit/10
		}
		b.Cuts = append(b.Cuts, c)
	}
}

// settle carries out plans for a minute of the site's time: leases are obeyed and reported at once.
func (l *lot) settle() {
	for i := range l.site.Agents {
		a := &l.site.Agents[i]
		a.Hold, a.Bound = a.Floor, a.Floor
	}
	began := l.site.Now
	for range 12 {
		given := power.Decide(l.site).Leases
		for i := range l.site.Agents {
			a := &l.site.Agents[i]
			n := slices.IndexFunc(given, func(p power.LeasePlan) bool { return p.Agent == a.Key })
			w := given[n].Watts
			if w > a.Lease {
				a.RaisedAt = l.site.Now
			}
			a.Lease, a.Leased, a.Hold, a.Bound = w, true, max(w, a.Floor), max(w, a.Floor)
		}
		l.site.Now = l.site.Now.Add(5 * time.Second)
	}
	l.site.Now = began.Add(time.Minute)
}
