package power

import (
	"fmt"
	"slices"
	"sort"
)

// verdict on one group of pods at one budget, worst first.
type verdict int

const (
	never    verdict = iota // not even with every other AI pod gone
	blocked                 // once other AI pods have ended
	feasible                // as soon as mining has shed
	ready                   // now
)

// group is pods that are admitted together or not at all.
type group struct {
	pods  []*Pod
	watts Watts
}

// answer is what was found for one group, and what to tell about it.
type answer struct {
	verdict verdict
	budget  int
	reason  Reason
	message string
}

// ranked orders workloads by priority, age and name: an earlier one's watts are never taken by a later.
func ranked(s *Site) []int {
	order := make([]int, len(s.Workloads))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool {
		x, y := &s.Workloads[order[a]], &s.Workloads[order[b]]
		if x.Priority != y.Priority {
			return x.Priority > y.Priority
		}
		if !x.Created.Equal(y.Created) {
			return x.Created.Before(y.Created)
		}
		return x.Key < y.Key
	})
	return order
}

// considerAll goes through the workloads in their order and answers one plan each, in the site's order.
func (l *ledger) considerAll() []WorkloadPlan {
	plans := make([]WorkloadPlan, len(l.s.Workloads))
	for _, i := range ranked(l.s) {
		l.standbyOf(&l.s.Workloads[i])
	}
	for _, i := range ranked(l.s) {
		plans[i] = l.consider(&l.s.Workloads[i])
	}
	for i := range plans {
		l.keep(&l.s.Workloads[i], &plans[i], i)
	}
	return plans
}

// standbyOf keeps watts free for a workload's next pods, where it is known where they would run.
func (l *ledger) standbyOf(w *Workload) {
	budget := w.Budget
	for i := range w.Pods {
		if w.Pods[i].Phase != Gated && w.Pods[i].Budget != "" {
			budget = w.Pods[i].Budget
		}
	}
	if i, ok := l.index[budget]; ok && w.Standby > 0 {
		add(l.standby, l.up[i], w.Standby)
	}
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
// rank; only its start is all or nothing.
func firstGroup(w *Workload, active int) int {
	if active > 0 {
		return 1
	}
	return max(1, w.MinPods)
}

// admitGroups goes through the pods in their order, the first so many together and the others one by one.
func (l *ledger) admitGroups(w *Workload, p *WorkloadPlan, gated []*Pod, first, active int) {
	for len(gated) > 0 {
		g := newGroup(gated[:first])
		gated, first = gated[first:], 1
		a := l.seek(w, g)
		if a.verdict == ready {
			l.reserve(p, g, a.budget, active == 0 && len(p.Pods) == 0)
			p.Waiting -= len(g.pods)
			continue
		}
		if p.Reason == "" {
			p.Reason, p.Message = a.reason, a.message
		}
		if a.verdict != feasible {
			return
		}
	}
}

func newGroup(pods []*Pod) group {
	g := group{pods: pods}
	for _, p := range pods {
		g.watts += p.Watts
	}
	return g
}

// reserve enters the group's watts (L6: the reservation names the pods) before any gate opens.
func (l *ledger) reserve(p *WorkloadPlan, g group, budget int, firstOfAll bool) {
	name := l.b[budget].Name
	add(l.res, l.reach(name), g.watts)
	l.take(budget, g.watts)
	p.Budget = l.join(p.Budget, name, firstOfAll)
	for _, pod := range g.pods {
		p.Pods = append(p.Pods, PodPlan{UID: pod.UID, Name: pod.Name, Watts: pod.Watts, Budget: name, Open: true, New: true})
	}
}

// take keeps watts from every later workload at every budget the pods may draw from.
func (l *ledger) take(budget int, w Watts) {
	for _, i := range l.reach(l.b[budget].Name) {
		l.free[i] -= w
		l.room[i] -= w
	}
}

// seek finds the budget for a group. Only a group that would fit beside base load alone holds others
// up, and only for its own watts, at every budget it shares with them.
func (l *ledger) seek(w *Workload, g group) answer {
	candidates, none := l.candidates(w, g.pods[0])
	if len(candidates) == 0 {
		return none
	}
	best, crowded := l.best(w, g, candidates)
	if best.budget < 0 || (crowded && best.verdict < feasible) {
		return answer{verdict: never, budget: -1, reason: NoAccelerators, message: l.noRooms(g, candidates)}
	}
	return l.settleOn(w, g, best)
}

// best is the candidate with the best verdict and, among those, the most room. Crowded says that some
// budget has the watts and no nodes with the accelerators free.
func (l *ledger) best(w *Workload, g group, candidates []int) (best answer, crowded bool) {
	best.budget = -1
	for _, c := range candidates {
		v := l.judge(w, g.watts, c)
		if v >= feasible && !l.houses(c, g) {
			crowded = true
			continue
		}
		if best.budget < 0 || v > best.verdict || (v == best.verdict && l.room[c] > l.room[best.budget]) {
			best.verdict, best.budget = v, c
		}
	}
	return best, crowded
}

// houses tells whether a budget's nodes have room for every pod of the group.
func (l *ledger) houses(c int, g group) bool {
	undo, ok := l.rooms.place(l.b[c].Name, g.pods)
	undo()
	return ok
}

// settleOn takes what the verdict grants: rooms and watts now, or a place in the queue.
func (l *ledger) settleOn(w *Workload, g group, a answer) answer {
	if a.verdict == feasible && l.yieldTo(w, g.watts, a.budget) {
		a.verdict = ready
	}
	switch a.verdict {
	case ready:
		l.rooms.place(l.b[a.budget].Name, g.pods)
	case feasible:
		l.rooms.place(l.b[a.budget].Name, g.pods)
		a.reason, a.message = l.waiting(g, a.budget)
		add(l.demand, l.reach(l.b[a.budget].Name), g.watts)
		l.take(a.budget, g.watts)
	case blocked:
		a.reason, a.message = l.noRoom(w, g, a.budget)
		l.take(a.budget, g.watts)
	default:
		a.reason, a.message = l.noRoom(w, g, a.budget)
	}
	return a
}

// judge says what a need of so many watts can have at one budget, seen at every budget it would draw from.
func (l *ledger) judge(w *Workload, need Watts, c int) verdict {
	v := ready
	above := l.above(w.Priority)
	for _, i := range l.reach(l.b[c].Name) {
		if l.b[i].Halted != "" && need > 0 {
			return never
		}
		room, alone := l.room[i], l.low[i]-l.base[i]-l.unfound[i]-l.fixed[i]
		if w.Interruptible {
			room += l.planned[i] - l.low[i]
			alone += l.planned[i] - l.low[i]
		}
		if above != nil {
			room -= above[i]
			alone -= above[i]
		}
		switch {
		case need == 0:
		case need > alone:
			return never
		case need > room:
			v = min(v, blocked)
		case need > l.free[i]:
			v = min(v, feasible)
		}
	}
	return v
}

// above is what pools set above a priority may draw beyond what is fixed anyway; nil where none is.
func (l *ledger) above(priority int) []Watts {
	var sums []Watts
	for i := range l.s.Pools {
		p := &l.s.Pools[i]
		if p.Priority <= priority || p.Observe || p.Leaving {
			continue
		}
		if sums == nil {
			sums = make([]Watts, len(l.b))
		}
		var most, floor Watts
		for _, n := range l.agents[p.Key] {
			if a := &l.s.Agents[n]; a.Heard {
				most += top(a)
				floor += a.Floor
			}
		}
		add(sums, l.chain(p.Budget), most-max(floor, min(p.Floor, most)))
	}
	return sums
}

// yieldTo lets reservations of ended pods go, lowest priority first, until a pod that waits has its
// watts: the release delay yields to pending pods of equal or higher priority.
func (l *ledger) yieldTo(w *Workload, need Watts, c int) bool {
	for n := range l.yields {
		if l.judge(w, need, c) == ready {
			return true
		}
		y := &l.yields[n]
		if y.dropped || y.priority > w.Priority {
			continue
		}
		pod := &l.s.Workloads[y.workload].Pods[y.pod]
		y.dropped = true
		for _, i := range l.where(pod) {
			l.res[i] -= pod.Watts
			l.free[i] += pod.Watts
			l.room[i] += pod.Watts
		}
	}
	return l.judge(w, need, c) == ready
}

// candidates are the budgets that feed nodes, under the one the workload asks for, that the pod's own
// selector does not exclude: those with nodes of their own, by name.
func (l *ledger) candidates(w *Workload, p *Pod) ([]int, answer) {
	var found []int
	clashes := 0
	for i := range l.b {
		if !l.b[i].Feeds || !l.under(i, w.Budget) {
			continue
		}
		if len(l.down[i]) > 0 && len(l.rooms.nodes[l.b[i].Name]) == 0 {
			continue
		}
		if clash(p.Selector, l.b[i].Pin) {
			clashes++
			continue
		}
		found = append(found, i)
	}
	if len(found) > 0 {
		sort.Slice(found, func(a, b int) bool { return l.b[found[a]].Name < l.b[found[b]].Name })
		return found, answer{}
	}
	if clashes > 0 {
		return nil, answer{budget: -1, reason: SelectorClash, message: fmt.Sprintf(
			"the nodeSelector of pod %s excludes the nodes of every budget it could draw from; remove the clashing keys or name another budget", p.Name)}
	}
	if w.Budget != "" {
		return nil, answer{budget: -1, reason: NoBudget, message: fmt.Sprintf(
			"budget %q does not exist or feeds no nodes; create it, give it a nodeSelector, or name another in spec.budget", w.Budget)}
	}
	return nil, answer{budget: -1, reason: NoBudget, message: "no PowerBudget feeds nodes; create one with a nodeSelector"}
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
