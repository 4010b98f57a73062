package power

import (
	"fmt"
	"slices"
)

// A gang that holds watts and lacks pods of its minPods makes nothing of what it holds, and nobody else can have
// that: a reservation stands until its pod has ended (L6), whether its gang comes to run or not. So what makes
// gangs whole again is looked for before any rank counts, or one of higher rank that waits for those very watts
// would keep the gang from them for ever.

// standing is what of a workload holds watts and has not ended.
type standing struct {
	// active is how many pods that is, and here those of them that exist. The gates of the reserved ones, which hold
	// the watts kept, are still on; runs tells whether there is any other.
	active, here, reserved int
	kept                   Watts
	runs                   bool
}

// count enters one pod. Of one that vanished nobody knows whether it ever ran.
func (t *standing) count(pod *Pod) {
	t.active++
	switch {
	case pod.Phase == Reserved:
		t.here++
		t.reserved++
		t.kept += pod.Watts
	case !pod.Gone:
		t.here++
		t.runs = true
	}
}

// missing is how many pods a gang lacks before any of it may start: none once one runs, since a gang that runs is
// refilled pod by pod (liveness c).
func (t *turn) missing() int {
	if t.runs {
		return 0
	}
	return max(0, t.w.MinPods-t.here-len(t.p.Pods))
}

// gangsFirst gives gangs their missing pods: to one that runs those that need no more than its own ended pods hold,
// to one that has yet to start all of them or none, for a reservation can't be taken back.
func (l *ledger) gangsFirst(turns []turn, order []int) {
	own := map[*Workload][]*yield{}
	for _, y := range l.yields {
		if y.gang {
			own[y.workload] = append(own[y.workload], y)
		}
	}
	for _, i := range order {
		if t := &turns[i]; len(own[t.w]) > 0 && t.runs {
			l.refill(t, own[t.w])
		}
	}
	for _, i := range order {
		if t := &turns[i]; t.reserved > 0 && t.missing() > 0 {
			l.complete(t)
		}
	}
	copy(l.counted, l.demand) // for whom standby watts yield goes by rank
}

// refill lets pods that wait take the place of ended ones of their gang in the ledger.
func (l *ledger) refill(t *turn, own []*yield) {
	if t.w.Halted != "" {
		return
	}
	var stuck []need
	left := t.gated[:0:0]
	for n := range t.gated {
		g := newGroup(t.gated[n : n+1])
		if !slices.Contains(stuck, g.need()) {
			if i := l.relieved(t, g, own); i >= 0 {
				own = slices.Delete(own, i, i+1)
				continue
			}
			stuck = append(stuck, g.need())
		}
		left = append(left, t.gated[n])
	}
	t.gated = left
}

// relieved reserves for one pod what one of its gang's ended pods holds, and answers which; -1 is none.
func (l *ledger) relieved(t *turn, g group, own []*yield) int {
	candidates, _ := l.candidates(t.w, g)
	for i, y := range own {
		for _, c := range candidates {
			if y.pod.Watts >= g.watts && l.covers(y, c) && l.bears(t.w, c) && !g.excluded(c) && l.houses(c, g) {
				l.letGo(y, 1)
				l.rooms.place(c, g.pods)
				l.reserve(t, part{g, c})
				return i
			}
		}
	}
	return -1
}

// covers tells whether an ended pod holds watts wherever one pinned to budget c may draw them.
func (l *ledger) covers(y *yield, c int) bool {
	return !slices.ContainsFunc(l.reach[c], func(i int) bool { return !slices.Contains(y.at, i) })
}

// bears tells whether all that is firm may go on at budget c, as it is and through what is announced: then so may
// what takes the place of some of it.
func (l *ledger) bears(w *Workload, c int) bool {
	for _, i := range l.reach[c] {
		if least, _ := l.ahead(w, i); l.base[i]+l.unfound[i]+l.stays[i]+l.res[i] > least {
			return false
		}
	}
	return !l.barred(l.reach[c])
}

// complete seeks watts for all that a gang lacks of which no gate is open yet. Those that wait may be too many, and
// the next may be what mends the one before. Nothing more of the gang starts without them.
func (l *ledger) complete(t *turn) {
	missing := t.missing()
	if t.w.Halted != "" || len(t.gated) < missing {
		return
	}
	var stuck []need
	for n := 0; n+missing <= len(t.gated); n++ {
		g := newGroup(t.gated[n : n+missing])
		if slices.Contains(stuck, g.need()) {
			continue
		}
		stuck = append(stuck, g.need())
		switch a := l.seek(t.w, g); a.verdict {
		case ready:
			l.grant(t, g, a)
			t.gated = slices.Concat(t.gated[:n], t.gated[n+missing:])
			return
		case feasible:
			l.grant(t, g, a)
			t.over, t.early = true, a.parts
			return
		case blocked:
			// A place in the queue goes by rank, and these stand there for the gang.
			t.gated = slices.Concat(t.gated[n:n+missing], t.gated[:n], t.gated[n+missing:])
			return
		}
	}
}

// holdBack counts reserved pods among those that wait where their gang is not whole: they have their watts, and
// these are held (L6), but their gates stay shut.
func (t *turn) holdBack() {
	if t.missing() == 0 || t.reserved == 0 {
		return
	}
	p := t.p
	p.Waiting += t.reserved
	if p.Reason == WaitingForPods {
		p.Message = fmt.Sprintf(
			"%d of the gang's minPods %d exist; the %v of those are held until it is whole: if the rest do not come, lower minPods or delete the pods",
			t.here+len(t.gated), t.w.MinPods, t.kept)
		return
	}
	p.Message += fmt.Sprintf("; the %v of the gang's %d other pods are held until it is whole", t.kept, t.reserved)
}

// lacks says of a gang that runs on without pods that it lost, and for which nobody waits, what it holds: these watts
// are nobody else's until somebody makes the rest (liveness i).
func (w *Workload) lacks(p *WorkloadPlan) {
	if p.Reason != AllReserved || w.MinPods <= 1 {
		return
	}
	var left standing
	for i := range w.Pods {
		if pod := &w.Pods[i]; pod.Phase == Reserved || pod.Phase == Admitted {
			left.count(pod)
		}
	}
	for i := range p.Pods {
		if p.Pods[i].New {
			left.here++
		}
	}
	if left.runs && left.here < w.MinPods {
		p.Reason = GangIncomplete
		p.Message = fmt.Sprintf("%d of the gang's minPods %d are there; it goes on, and %v are held for it while any of it runs", left.here, w.MinPods, p.Reserved)
	}
}

// whole tells whether a gang runs or may start: a pod of it may have gone after it was reserved, and before any
// gate was open. One that vanished counts for nothing: it may never have run, and if it did, what is left runs without it.
func (w *Workload) whole(p *WorkloadPlan) bool {
	missing := w.MinPods
	for i := range p.Pods {
		if p.Pods[i].Open || p.Pods[i].New {
			missing--
		}
	}
	for i := range w.Pods {
		if missing <= 0 || w.Pods[i].Phase == Admitted && !w.Pods[i].Gone {
			return true
		}
	}
	return missing <= 0
}
