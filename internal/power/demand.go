package power

import (
	"cmp"
	"fmt"
	"slices"
)

// ranked orders workloads by priority, age and name: an earlier one's watts are never taken by a later.
func ranked(s *Site) []int {
	order := make([]int, len(s.Workloads))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &s.Workloads[a], &s.Workloads[b]
		return cmp.Or(cmp.Compare(y.Priority, x.Priority), x.Created.Compare(y.Created), cmp.Compare(x.Key, y.Key))
	})
	return order
}

// turn is one workload's when demand is considered: what it has, and what of it waits.
type turn struct {
	w     *Workload
	p     *WorkloadPlan
	gated []guest // those that wait, in their order
	standing
	// over says that nothing more can be done for it; early is what mining sheds for it already, before its rank's turn.
	over  bool
	early []part
}

// considerAll goes through the workloads in their order and answers one plan each, in the site's order.
// After each priority its standby watts are kept from those below it.
func (l *ledger) considerAll() []WorkloadPlan {
	plans := make([]WorkloadPlan, len(l.s.Workloads))
	turns := make([]turn, len(plans))
	order := ranked(l.s)
	for _, i := range order {
		turns[i] = l.turn(&l.s.Workloads[i], &plans[i])
	}
	l.gangsFirst(turns, order)
	for len(order) > 0 {
		class := l.class(order)
		order = order[len(class):]
		for _, i := range class {
			l.consider(&turns[i])
			for _, p := range turns[i].early {
				add(l.counted, l.reach[p.budget], -p.watts)
			}
		}
		l.keepStandby(class)
	}
	l.keepHeadroom()
	l.evictions = l.evict(plans)
	for i := range plans {
		l.keep(&l.s.Workloads[i], &plans[i])
	}
	return plans
}

// class is the first of the order, as many as share one priority.
func (l *ledger) class(order []int) []int {
	first := l.s.Workloads[order[0]].Priority
	n := slices.IndexFunc(order, func(i int) bool { return l.s.Workloads[i].Priority != first })
	if n < 0 {
		return order
	}
	return order[:n]
}

// turn counts the pods of one workload.
func (l *ledger) turn(w *Workload, p *WorkloadPlan) turn {
	t := turn{w: w, p: p}
	p.Key, p.Budget = w.Key, w.Budget
	var gated []*Pod
	for i := range w.Pods {
		pod := &w.Pods[i]
		switch pod.Phase {
		case Gated:
			gated = append(gated, pod)
			p.Requested += pod.Watts
		case Reserved, Admitted:
			t.count(pod)
			p.Requested += pod.Watts
			p.Budget = l.join(p.Budget, pod.Budget, t.active == 1)
		}
	}
	p.Waiting = len(gated)
	t.gated = l.guests(sorted(gated))
	return t
}

// consider decides about the gated pods of one workload, and says why the first group that gets nothing waits.
func (l *ledger) consider(t *turn) {
	p := t.p
	switch missing := t.missing(); {
	case t.over:
	case len(t.gated) > 0 && t.w.Halted != "":
		p.Reason, p.Message = Stalled, t.w.Halted
	case len(t.gated) < missing && len(t.gated)+t.reserved > 0:
		p.Reason, p.Message = WaitingForPods, fmt.Sprintf("%d of the gang's minPods %d exist; the gang starts whole", t.here+len(t.gated), t.w.MinPods)
	case len(t.gated) > 0:
		l.admitGroups(t, max(1, missing))
	}
	switch {
	case p.Reason != "":
	case t.active+len(p.Pods) > 0:
		p.Reason, p.Message = AllReserved, fmt.Sprintf("%d pods have their watts", t.active+len(p.Pods))
	default:
		p.Reason, p.Message = NoPods, "no pod waits for power or draws it"
	}
	t.holdBack()
}

// admitGroups goes through the pods in their order, the first so many together and the others one by one.
// Nothing of a gang starts before the gang does. A pod that can't be helped holds up its like and no
// other: it may be the very fault that the next one mends.
func (l *ledger) admitGroups(t *turn, first int) {
	var stuck []need
	for guests := t.gated; len(guests) > 0; {
		g := newGroup(guests[:first])
		guests = guests[first:]
		if slices.Contains(stuck, g.need()) {
			continue
		}
		switch v := l.try(t, g); {
		case v == ready:
			first = 1
		case first > 1:
			return
		case v < feasible:
			stuck = append(stuck, g.need())
		}
	}
}

// need is what the like of a group's first pod can't have either where that can't.
type need struct {
	kind  *kind
	watts Watts
}

func (g group) need() need { return need{g.pods[0].kind, g.watts} }

// try seeks watts for one group, and reserves them where they are there now.
func (l *ledger) try(t *turn, g group) verdict {
	a := l.seek(t.w, g)
	l.grant(t, g, a)
	return a.verdict
}

// grant gives a group what was found for it, and says why that is not all.
func (l *ledger) grant(t *turn, g group, a answer) {
	if a.verdict < ready && t.p.Reason == "" {
		t.p.Reason, t.p.Message = l.why(t.w, g, a)
	}
	l.settleOn(a)
	if a.verdict == ready {
		for _, part := range a.parts {
			l.reserve(t, part)
		}
	}
}

// reserve enters the group's watts (L6: the reservation names the pods) before any gate opens.
func (l *ledger) reserve(t *turn, g part) {
	p, name := t.p, l.b[g.budget].Name
	at := l.reach[g.budget]
	add(l.res, at, g.watts)
	l.take(g.budget, g.watts)
	p.Budget = l.join(p.Budget, name, t.active+len(p.Pods) == 0)
	p.Waiting -= len(g.pods)
	for _, pod := range g.pods {
		l.note(pod.Pod, at)
		p.Pods = append(p.Pods, PodPlan{UID: pod.UID, Name: pod.Name, Watts: pod.Watts, Budget: name, Open: true, New: true})
	}
}

// join is the one budget that stands for all of a workload's pods: the nearest above both.
func (l *ledger) join(a, b string, first bool) string {
	if first || a == b {
		return b
	}
	i, ok := l.index[a]
	j, known := l.index[b]
	if !ok || !known {
		return b
	}
	for _, up := range l.up[i] {
		if slices.Contains(l.up[j], up) {
			return l.b[up].Name
		}
	}
	return b
}
