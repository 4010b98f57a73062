package power

import "fmt"

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
	pods  []guest
	watts Watts
}

// some tells whether it is so for some pod of the group; the like of one another are asked once.
func (g group) some(so func(*kind) bool) bool {
	var last *kind
	for _, p := range g.pods {
		if p.kind != last && so(p.kind) {
			return true
		}
		last = p.kind
	}
	return false
}

// answer is what was found for one group. Where it has no parts, the reason is in it.
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

func newGroup(pods []guest) group {
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
			return answer{verdict: v, parts: parts}
		}
		if best.budget < 0 || crowded {
			return answer{reason: NoAccelerators, message: l.noRooms(g, candidates)}
		}
	} else if best.verdict == feasible {
		best.verdict = l.yieldTo(w, g.watts, best.budget)
	}
	return answer{verdict: best.verdict, parts: []part{{g, best.budget}}}
}

// best is the candidate with the best verdict and, among those, the most room. Crowded says that the budgets
// with the watts have no nodes with the accelerators free.
func (l *ledger) best(w *Workload, g group, candidates []int) (best place, crowded bool) {
	best.budget = -1
	l.hear(w, g.watts)
	for _, c := range candidates {
		full := g.pods[0].kind.full[c]
		if full && best.verdict >= feasible {
			continue
		}
		v := l.heard[c]
		switch {
		case !l.beats(best, c, v), g.excluded(c):
		case v >= feasible && (full || !l.houses(c, g)):
			crowded = true
		default:
			best.verdict, best.budget = v, c
		}
	}
	return best, crowded && best.verdict < feasible
}

// beats tells whether a verdict at one budget is better than the best so far, or as good with more room.
func (l *ledger) beats(best place, c int, v verdict) bool {
	return best.budget < 0 || v > best.verdict || (v == best.verdict && l.room[c] > l.room[best.budget])
}

// houses tells whether a budget's nodes have room for every pod of the group.
func (l *ledger) houses(c int, g group) bool {
	if g.some(func(k *kind) bool { return l.rooms.full(c, k) }) {
		return false
	}
	if len(g.pods) == 1 {
		return true
	}
	at, ok := l.rooms.place(c, g.pods)
	leave(at, g.pods)
	return ok
}

// settleOn takes what the verdict grants: rooms and watts now, or a place in the queue.
func (l *ledger) settleOn(a answer) {
	for _, p := range a.parts {
		if a.verdict >= feasible {
			l.rooms.place(p.budget, p.pods)
		}
		switch a.verdict {
		case feasible:
			add(l.demand, l.reach[p.budget], p.watts)
			l.take(p.budget, p.watts)
		case blocked:
			l.await(p.budget, p.watts)
		}
	}
}

// await keeps a place in the queue for watts that other AI pods have: nobody sheds for it yet, so watts that are
// measured free go on to whom they serve now.
func (l *ledger) await(budget int, w Watts) {
	at := l.reach[budget]
	add(l.room, at, -w)
	l.moved = append(l.moved, at...)
}

// take keeps watts from every later workload at every budget the pods may draw from.
func (l *ledger) take(budget int, w Watts) { l.shift(l.reach[budget], -w) }

// shift gives budgets watts that workloads may have.
func (l *ledger) shift(at []int, w Watts) {
	add(l.free, at, w)
	add(l.room, at, w)
	l.moved = append(l.moved, at...)
}

// judge says what a need of so many watts can have at one budget, seen at every budget it would draw from.
// Of what a gang has placed already, own, nobody else is in the way.
func (l *ledger) judge(gain gain, need Watts, c int, own []Watts) verdict {
	v := ready
	for _, i := range l.reach[c] {
		mine := Watts(0)
		if own != nil {
			mine = own[i]
		}
		v = min(v, l.says(i, need, gain, mine))
	}
	return v
}

// hear judges one need at every budget that feeds nodes. Only budgets that moved since the like was heard last
// are asked again, and their answers put together only where one is another than before: pods wait by the
// thousand, and most of them need what the one before did.
func (l *ledger) hear(w *Workload, need Watts) {
	gain, changed := l.gain(w), false
	if q := (question{l.rankOf(w), need}); q != l.asked {
		l.asked, l.moved = q, append(l.moved[:0], l.all...)
	}
	for _, i := range l.moved {
		v := l.says(i, need, gain, 0)
		changed = changed || v != l.said[i]
		l.said[i] = v
	}
	l.moved = l.moved[:0]
	if !changed {
		return
	}
	for _, c := range l.feeds {
		l.heard[c] = ready
		for _, i := range l.reach[c] {
			l.heard[c] = min(l.heard[c], l.said[i])
		}
	}
}

// says is what one budget alone says to a need. Watts that nobody has heard of yet, or not lately, put it
// off; they do not strike it out of the queue.
func (l *ledger) says(i int, need Watts, gain gain, own Watts) verdict {
	switch {
	case need == 0:
		return ready
	case need > l.alone[i]-own+gain.alone[i]:
		return never
	case need > l.room[i]+gain.room[i]:
		return blocked
	case need > l.free[i]:
		return feasible
	}
	return ready
}

// excluded tells whether budget i can't take the group as a whole.
func (g group) excluded(i int) bool {
	return g.some(func(k *kind) bool { return k.shut[i] })
}

// candidates are the budgets that feed nodes, under the one the workload asks for, where some pod of the
// group can run: those with nodes of their own, by name.
func (l *ledger) candidates(w *Workload, g group) ([]int, answer) {
	k := g.pods[0].kind
	mixed := g.some(func(o *kind) bool { return o != k })
	if found := k.candidates[w.Budget]; !mixed && found != nil {
		return found, answer{}
	}
	found, clashes := l.eligible(w, g)
	switch {
	case len(found) > 0:
		if !mixed {
			k.candidates[w.Budget] = found
		}
		return found, answer{}
	case clashes > 0:
		return nil, answer{reason: SelectorClash, message: fmt.Sprintf(
			"the nodeSelector or required node affinity of %s, or taints not tolerated, exclude the nodes of every budget it could draw from; change them or name another budget", g)}
	case w.Budget != "":
		return nil, answer{reason: NoBudget, message: fmt.Sprintf(
			"budget %q does not exist or feeds no nodes; create it, give it a nodeSelector, or name another in spec.budget", w.Budget)}
	}
	return nil, answer{reason: NoBudget, message: "no PowerBudget feeds nodes; create one with a nodeSelector"}
}

// eligible are the candidates, and how many budgets would be but exclude every pod of the group.
func (l *ledger) eligible(w *Workload, g group) (found []int, clashes int) {
	for _, i := range l.feeds {
		switch {
		case !l.under(i, w.Budget):
		case len(l.down[i]) > 0 && !l.rooms.opens(i):
		case !g.some(func(k *kind) bool { return !k.shut[i] }):
			clashes++
		default:
			found = append(found, i)
		}
	}
	return found, clashes
}
