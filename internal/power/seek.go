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
	parts   []part // where its pods go
	reason  Reason
	message string
}

// place is what was found for one group at one budget; -1 is none.
type place struct {
	verdict verdict
	budget  int
}

func newGroup(pods []*Pod) group {
	g := group{pods: pods}
	for _, p := range pods {
		g.watts += p.Watts
	}
	return g
}

// seek finds the budget for a group; the budgets for a gang that no single one can take. Only a group
// that would fit beside base load alone holds others up, and only for its own watts, at every budget it
// shares with them (liveness d).
func (l *ledger) seek(w *Workload, g group) answer {
	candidates, none := l.candidates(w, g)
	if len(candidates) == 0 {
		return none
	}
	best, crowded := l.best(w, g, candidates)
	if best.verdict == blocked && !crowded {
		best = l.relieve(w, g, candidates, best)
	}
	if best.verdict < feasible {
		if parts, v := l.spreadOver(w, g, candidates); v > best.verdict {
			return l.settleOn(w, g, v, parts)
		}
		if best.budget < 0 || crowded {
			return answer{reason: NoAccelerators, message: l.noRooms(g, candidates)}
		}
	} else if best.verdict == feasible {
		best.verdict = l.yieldTo(w, g.watts, best.budget)
	}
	return l.settleOn(w, g, best.verdict, []part{{g, best.budget}})
}

// best is the candidate with the best verdict and, among those, the most room. Crowded says that some
// budget has the watts and no nodes with the accelerators free.
func (l *ledger) best(w *Workload, g group, candidates []int) (best place, crowded bool) {
	best.budget = -1
	for _, c := range candidates {
		if l.excludesAny(g, c) {
			continue
		}
		v := l.judge(w, g.watts, c, nil)
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
	if l.excludesAny(g, c) {
		return false
	}
	undo, ok := l.rooms.place(l.b[c].Name, g.pods)
	undo()
	return ok
}

// settleOn takes what the verdict grants: rooms and watts now, or a place in the queue.
func (l *ledger) settleOn(w *Workload, g group, v verdict, parts []part) answer {
	a := answer{verdict: v, parts: parts}
	switch v {
	case ready:
	case feasible:
		a.reason, a.message = l.waiting(g, parts)
	default:
		a.reason, a.message = l.noRoom(w, g, parts)
	}
	for _, p := range parts {
		if v >= feasible {
			l.rooms.place(l.b[p.budget].Name, p.pods)
		}
		if v == feasible {
			add(l.demand, l.reach(l.b[p.budget].Name), p.watts)
		}
		if v == feasible || v == blocked {
			l.take(p.budget, p.watts)
		}
	}
	return a
}

// take keeps watts from every later workload at every budget the pods may draw from.
func (l *ledger) take(budget int, w Watts) {
	for _, i := range l.reach(l.b[budget].Name) {
		l.free[i] -= w
		l.room[i] -= w
	}
}

// judge says what a need of so many watts can have at one budget, seen at every budget it would draw from.
// Watts that nobody has heard of yet, or not lately, put it off; they do not strike it out of the queue.
// Of what a gang has placed already, own, nobody else is in the way.
func (l *ledger) judge(w *Workload, need Watts, c int, own []Watts) verdict {
	if need == 0 {
		return ready
	}
	v := ready
	above := l.above(w.Priority)
	for _, i := range l.reach(l.b[c].Name) {
		room, gain := l.room[i], l.gain(w, i, above)
		alone := l.low[i] - l.base[i] - l.unfoundNow[i] - l.fixed[i] + l.silent[i]
		if own != nil {
			alone -= own[i]
		}
		switch {
		case l.b[i].Halted != "" || need > alone+gain:
			return never
		case need > room+gain:
			v = min(v, blocked)
		case need > l.free[i]:
			v = min(v, feasible)
		}
	}
	return v
}

// gain is what a workload may count on at budget i beyond the room: what coming curtailments take from
// work that is not evicted for them, less what mining set above it may draw.
func (l *ledger) gain(w *Workload, i int, above []Watts) (gain Watts) {
	if w.Interruptible && l.b[i].Evict {
		gain = l.planned[i] - l.low[i]
	}
	if above != nil {
		gain -= above[i]
	}
	return gain
}

// above is what pools set above a priority may draw beyond what is fixed anyway; nil where none is.
func (l *ledger) above(priority int) []Watts {
	sums, known := l.tops[priority]
	if known {
		return sums
	}
	defer func() { l.tops[priority] = sums }()
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

// excludes tells whether the pod can run on no node of budget i, whatever is free there.
func (l *ledger) excludes(p *Pod, i int) bool {
	return clash(p.Selector, l.b[i].Pin) || l.rooms.refuse(l.b[i].Name, p)
}

// excludesAny tells whether budget i can't take the group as a whole.
func (l *ledger) excludesAny(g group, i int) bool {
	return slices.ContainsFunc(g.pods, func(p *Pod) bool { return l.excludes(p, i) })
}

// candidates are the budgets that feed nodes, under the one the workload asks for, where some pod of the
// group can run: those with nodes of their own, by name.
func (l *ledger) candidates(w *Workload, g group) ([]int, answer) {
	var found []int
	clashes := 0
	for i := range l.b {
		if !l.b[i].Feeds || !l.under(i, w.Budget) {
			continue
		}
		if len(l.down[i]) > 0 && len(l.rooms.nodes[l.b[i].Name]) == 0 {
			continue
		}
		if !slices.ContainsFunc(g.pods, func(p *Pod) bool { return !l.excludes(p, i) }) {
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
		return nil, answer{reason: SelectorClash, message: fmt.Sprintf(
			"the nodeSelector or required node affinity of %s, or taints not tolerated, exclude the nodes of every budget it could draw from; change them or name another budget", g)}
	}
	if w.Budget != "" {
		return nil, answer{reason: NoBudget, message: fmt.Sprintf(
			"budget %q does not exist or feeds no nodes; create it, give it a nodeSelector, or name another in spec.budget", w.Budget)}
	}
	return nil, answer{reason: NoBudget, message: "no PowerBudget feeds nodes; create one with a nodeSelector"}
}
