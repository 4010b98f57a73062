package power

import (
	"cmp"
	"slices"
)

// yield is the reservation of an ended pod: it may be let go for a pod that waits.
type yield struct {
	workload *Workload
	pod      *Pod
	// gang: the pod's gang has fewer than minPods, and the watts are kept for its refill; runs: some of it runs.
	gang, runs bool
	// held says that the watts are not let go yet, at where they count.
	held bool
	at   []int
}

// countEnded enters what a workload's ended pods still hold: until their release delay is over, and as
// long as a running gang lacks pods of its minPods, so that its reservation does not fall below them
// (liveness c). Where none of the gang runs, they are kept for it no longer than that delay: who is to make
// it whole may never come.
func (l *ledger) countEnded(w *Workload) {
	var over []*Pod
	var left standing
	for i := range w.Pods {
		switch p := &w.Pods[i]; p.Phase {
		case Releasing:
			over = append(over, p)
		case Reserved, Admitted:
			left.count(p)
		}
	}
	lacks := 0
	if left.here > 0 && w.MinPods > 1 {
		lacks = max(0, w.MinPods-left.active)
	}
	slices.SortFunc(over, func(a, b *Pod) int { return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.UID, b.UID)) })
	for n, p := range over {
		if gang := n < lacks; gang && left.runs || l.s.Now.Before(p.Until) {
			y := &yield{workload: w, pod: p, gang: gang, runs: left.runs, held: true, at: l.where(p)}
			l.ended[p] = y
			l.enter(y, p.Watts)
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

// firm tells whether the watts are held for more than a release delay: for a gang that runs.
func (y *yield) firm() bool { return y.gang && y.runs }

// to tells whether the watts may go to a pod of the workload that waits.
func (y *yield) to(w *Workload) bool {
	if y.gang {
		return y.workload == w
	}
	return y.workload.Priority <= w.Priority
}

// helps tells whether the ended pod holds watts that a need at budget c is short of.
func (l *ledger) helps(y *yield, gain gain, need Watts, c int) bool {
	for _, i := range y.at {
		if need > min(l.free[i], l.room[i]+gain.room[i]) && slices.Contains(l.reach[c], i) {
			return true
		}
	}
	return false
}

// letGo takes an ended pod's watts out of the ledger; with sign -1 it puts them back.
func (l *ledger) letGo(y *yield, sign Watts) {
	y.held = sign < 0
	watts := sign * y.pod.Watts
	l.enter(y, -watts)
	l.shift(y.at, watts)
}

// enter counts so many watts of an ended pod more.
func (l *ledger) enter(y *yield, w Watts) {
	add(l.res, y.at, w)
	if !y.firm() {
		add(l.delayed, y.at, w)
	}
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
