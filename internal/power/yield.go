package power

import (
	"cmp"
	"slices"
)

// yield is the reservation of an ended pod: it may be let go for a pod that waits.
type yield struct {
	workload *Workload
	pod      *Pod
	// gang: the pod's gang runs on with fewer than minPods, and the watts are kept for its refill.
	gang bool
}

// countEnded enters what a workload's ended pods still hold: until their release delay is over, and as
// long as a running gang lacks pods of its minPods, so that its reservation does not fall below them
// (liveness c).
func (l *ledger) countEnded(w *Workload) {
	var over []*Pod
	active := 0
	for i := range w.Pods {
		switch p := &w.Pods[i]; p.Phase {
		case Releasing:
			over = append(over, p)
		case Reserved, Admitted:
			active++
		}
	}
	lacks := 0
	if active > 0 && w.MinPods > 1 {
		lacks = max(0, w.MinPods-active)
	}
	slices.SortFunc(over, func(a, b *Pod) int { return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.UID, b.UID)) })
	for n, p := range over {
		if gang := n < lacks; gang || l.s.Now.Before(p.Until) {
			add(l.res, l.where(p), p.Watts)
			l.ended[p] = true
			l.yields = append(l.yields, yield{w, p, gang})
		}
	}
}

// sortYields orders them as they are let go: lowest priority first, then what would be let go next.
func (l *ledger) sortYields() {
	slices.SortFunc(l.yields, func(a, b yield) int {
		return cmp.Or(
			cmp.Compare(a.workload.Priority, b.workload.Priority),
			a.pod.Until.Compare(b.pod.Until),
			cmp.Compare(a.workload.Key, b.workload.Key),
			cmp.Compare(a.pod.UID, b.pod.UID),
		)
	})
}

// yieldTo lets reservations of ended pods go until a pod that waits has its watts: the release delay
// yields to pending pods of equal or higher priority (liveness f). What does not help is kept.
func (l *ledger) yieldTo(w *Workload, need Watts, c int) verdict {
	v := l.judge(w, need, c, nil)
	var let []*yield
	for n := range l.yields {
		if v == ready {
			break
		}
		if y := &l.yields[n]; l.ended[y.pod] && y.to(w) && l.helps(y.pod, w, need, c) {
			l.letGo(y.pod, 1)
			let = append(let, y)
			v = l.judge(w, need, c, nil)
		}
	}
	if v < feasible {
		for _, y := range let {
			l.letGo(y.pod, -1)
		}
	}
	return v
}

// to tells whether the watts may go to a pod of the workload that waits.
func (y *yield) to(w *Workload) bool {
	if y.gang {
		return y.workload == w
	}
	return y.workload.Priority <= w.Priority
}

// helps tells whether the ended pod holds watts that a need at budget c is short of.
func (l *ledger) helps(p *Pod, w *Workload, need Watts, c int) bool {
	above := l.above(w.Priority)
	reach := l.reach(l.b[c].Name)
	for _, i := range l.where(p) {
		if need > min(l.free[i], l.room[i]+l.gain(w, i, above)) && slices.Contains(reach, i) {
			return true
		}
	}
	return false
}

// letGo takes an ended pod's watts out of the ledger; with sign -1 it puts them back.
func (l *ledger) letGo(p *Pod, sign Watts) {
	l.ended[p] = sign < 0
	at := l.where(p)
	add(l.res, at, -sign*p.Watts)
	add(l.free, at, sign*p.Watts)
	add(l.room, at, sign*p.Watts)
}

// relieve looks for a budget where ended pods alone hold up a group that AI pods leave no room for.
func (l *ledger) relieve(w *Workload, g group, candidates []int, best place) place {
	for _, c := range candidates {
		if l.judge(w, g.watts, c, nil) != blocked || !l.houses(c, g) {
			continue
		}
		if v := l.yieldTo(w, g.watts, c); v >= feasible {
			return place{verdict: v, budget: c}
		}
	}
	return best
}
