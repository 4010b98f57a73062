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

// considerAll goes through the workloads in their order and answers one plan each, in the site's order.
// After each priority its standby watts are kept from those below it.
func (l *ledger) considerAll() []WorkloadPlan {
	plans := make([]WorkloadPlan, len(l.s.Workloads))
	order := ranked(l.s)
	for len(order) > 0 {
		class := l.class(order)
		order = order[len(class):]
		for _, i := range class {
			plans[i] = l.consider(&l.s.Workloads[i])
		}
		l.keepStandby(class)
	}
	l.keepHeadroom()
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

// consider decides about the gated pods of one workload.
func (l *ledger) consider(w *Workload) WorkloadPlan {
	p := WorkloadPlan{Key: w.Key, Budget: w.Budget}
	var gated []*Pod
	active := 0
	for i := range w.Pods {
		pod := &w.Pods[i]
		switch pod.Phase {
		case Gated:
			gated = append(gated, pod)
			p.Requested += pod.Watts
		case Reserved, Admitted:
			active++
			p.Requested += pod.Watts
			p.Budget = l.join(p.Budget, pod.Budget, active == 1)
		}
	}
	if len(gated) == 0 {
		p.Reason, p.Message = AllReserved, fmt.Sprintf("%d pods have their watts", active)
		if active == 0 {
			p.Reason, p.Message = NoPods, "no pod waits for power or draws it"
		}
		return p
	}
	l.admit(w, &p, sorted(gated), active)
	return p
}

// admit reserves what it can for the gated pods, group by group, and says why the first group that gets
// nothing waits.
func (l *ledger) admit(w *Workload, p *WorkloadPlan, gated []*Pod, active int) {
	p.Waiting = len(gated)
	if w.Halted != "" {
		p.Reason, p.Message = Stalled, w.Halted
		return
	}
	first := firstGroup(w, active)
	if len(gated) < first {
		p.Reason = WaitingForPods
		p.Message = fmt.Sprintf("%d of the gang's minPods %d exist; the gang starts whole", len(gated), first)
		return
	}
	l.admitGroups(w, p, gated, first, active)
	if p.Reason == "" {
		p.Reason, p.Message = AllReserved, fmt.Sprintf("%d pods have their watts", active+len(p.Pods))
	}
}

// firstGroup is how many pods must start at once. A gang that runs is refilled pod by pod with the gang's
// rank (liveness c); only its start is all or nothing.
func firstGroup(w *Workload, active int) int {
	if active > 0 {
		return 1
	}
	return max(1, w.MinPods)
}

// admitGroups goes through the pods in their order, the first so many together and the others one by one.
// Nothing of a gang starts before the gang does. A pod that can't be helped holds up its like and no
// other: it may be the very fault that the next one mends.
func (l *ledger) admitGroups(w *Workload, p *WorkloadPlan, gated []*Pod, first, active int) {
	type need struct {
		kind  *kind
		watts Watts
	}
	var stuck []need
	for guests := l.guests(gated); len(guests) > 0; {
		g := newGroup(guests[:first])
		guests = guests[first:]
		like := need{g.pods[0].kind, g.watts}
		if slices.Contains(stuck, like) {
			continue
		}
		a := l.seek(w, g)
		if a.verdict < ready && p.Reason == "" {
			p.Reason, p.Message = l.why(w, g, a)
		}
		l.settleOn(a)
		switch {
		case a.verdict == ready:
			for _, part := range a.parts {
				l.reserve(p, part, active == 0 && len(p.Pods) == 0)
			}
			p.Waiting -= len(g.pods)
			first = 1
		case first > 1:
			return
		case a.verdict < feasible:
			stuck = append(stuck, like)
		}
	}
}

// reserve enters the group's watts (L6: the reservation names the pods) before any gate opens.
func (l *ledger) reserve(p *WorkloadPlan, g part, firstOfAll bool) {
	name := l.b[g.budget].Name
	at := l.reach[g.budget]
	add(l.res, at, g.watts)
	l.take(g.budget, g.watts)
	p.Budget = l.join(p.Budget, name, firstOfAll)
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
