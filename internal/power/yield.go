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
	// held says that the watts are not let go yet, at where they count.
	held bool
	at   []int
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
			y := &yield{workload: w, pod: p, gang: gang, held: true, at: l.where(p)}
			add(l.res, y.at, p.Watts)
			l.ended[p] = y
			l.yields = append(l.yields, y)
		}
	}
}

// sortYields orders them as they are let go: lowest priority first, then what would be let go next.
func (l *ledger) sortYields() {
	slices.SortFunc(l.yields, func(a, b *yield) int {
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
	gain := l.gain(w)
	v := l.judge(gain, need, c, nil)
	var let []*yield
	for _, y := range l.yields {
		if v == ready {
			break
		}
		if y.held && y.to(w) && l.helps(y, gain, need, c) {
			l.letGo(y, 1)
			let = append(let, y)
			v = l.judge(gain, need, c, nil)
		}
	}
	if v < feasible {
		for _, y := range let {
			l.letGo(y, -1)
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
func (l *ledger) helps(y *yield, gain []Watts, need Watts, c int) bool {
	for _, i := range y.at {
		if need > min(l.free[i], l.room[i]+gain[i]) && slices.Contains(l.reach[c], i) {
			return true
		}
	}
	return false
}

// letGo takes an ended pod's watts out of the ledger; with sign -1 it puts them back.
func (l *ledger) letGo(y *yield, sign Watts) {
	y.held = sign < 0
	watts := sign * y.pod.Watts
	add(l.res, y.at, -watts)
	l.shift(y.at, watts)
}

// relieve looks for a budget where ended pods alone hold up a group that AI pods leave no room for.
func (l *ledger) relieve(w *Workload, g group, candidates []int, best place) place {
	if len(l.yields) == 0 {
		return best
	}
	for _, c := range candidates {
		if l.judge(l.gain(w), g.watts, c, nil) != blocked || g.excluded(c) || !l.houses(c, g) {
			continue
		}
		if v := l.yieldTo(w, g.watts, c); v >= feasible {
			return place{verdict: v, budget: c}
		}
	}
	return best
}
