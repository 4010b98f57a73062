package power

import (
	"fmt"
	"time"
)

// Decide is the one decision: limits, commitments, demand, dispatch, leases, admission and shortfall of a
// whole site. The same Site always gives the same Plan.
func Decide(s Site) Plan {
	l := newLedger(&s)
	var p Plan
	p.Workloads = l.considerAll()
	d := l.dispatch()
	p.THs, p.BoundTHs = d.ths, d.bound()
	p.Leases = l.leases(d.targets)
	p.Evictions = l.evictions
	p.Budgets = l.report()
	p.Next = l.next()
	return p
}

// keep adds the reservations that stand to a workload's plan, and opens the gates of those written
// before whose gate is still on, once the ledger is within its limits.
func (l *ledger) keep(w *Workload, p *WorkloadPlan) {
	kept := make([]PodPlan, 0, len(w.Pods))
	for i := range w.Pods {
		pod := &w.Pods[i]
		if pod.Phase == Gated || (pod.Phase == Releasing && !l.holds(pod)) {
			continue
		}
		kept = append(kept, PodPlan{
			UID: pod.UID, Name: pod.Name, Watts: pod.Watts, Budget: pod.Budget,
			Open: pod.Phase == Reserved && l.opens(w, pod),
		})
	}
	p.Pods = append(kept, p.Pods...)
	whole := w.whole(p)
	for i := range p.Pods {
		p.Reserved += p.Pods[i].Watts
		p.Pods[i].Open = p.Pods[i].Open && whole
	}
	l.saysShut(w, p)
	w.lacks(p)
}

// opens tells whether a reserved pod's gate may open.
func (l *ledger) opens(w *Workload, pod *Pod) bool {
	return w.Halted == "" && !l.waits[pod] && !l.barred(l.where(pod))
}

// holds tells whether an ended pod's watts are still held.
func (l *ledger) holds(p *Pod) bool {
	y := l.ended[p]
	return y != nil && y.held
}

// saysShut says of pods that have their watts why their gates stay on.
func (l *ledger) saysShut(w *Workload, p *WorkloadPlan) {
	n, held := 0, Watts(0)
	for i := range w.Pods {
		if l.waits[&w.Pods[i]] {
			n, held = n+1, held+w.Pods[i].Watts
		}
	}
	if n > 0 {
		p.Message += fmt.Sprintf("; the gates of %d, with %v, stay shut: the limit falls before pods of higher priority could be evicted for them", n, held)
	}
}

// report is every budget's ledger after the plan.
func (l *ledger) report() []BudgetPlan {
	caps := l.mining()
	out := make([]BudgetPlan, len(l.b))
	for i := range l.b {
		limit, by := l.at(i, l.s.Now)
		p := BudgetPlan{
			Name: l.b[i].Name, Limit: limit, Reason: LimitSpec, Planned: l.planned[i],
			Base: l.base[i], Unfound: l.unfound[i], Held: l.held[i], Leased: l.leased[i], Reserved: l.res[i],
			Demand: l.demand[i], Over: max(0, l.over(i)), Short: l.short(i, limit), Mining: max(0, caps[i]),
		}
		if by >= 0 {
			p.Reason, p.By = LimitCurtailment, l.b[i].Cuts[by].Name
		}
		p.Free, p.Available = l.planned[i], l.planned[i]
		for _, up := range l.up[i] {
			if w, _ := l.at(up, l.s.Now); w < p.Limit {
				p.Limit, p.Reason, p.By = w, LimitParent, l.b[up].Name
			}
			left := l.planned[up] - l.base[up] - l.unfound[up] - l.res[up]
			p.Free = max(0, min(p.Free, left-l.held[up]))
			p.Available = max(0, min(p.Available, left-l.fixed[up]))
		}
		out[i] = p
	}
	return out
}

// next is the first instant at which the passing of time alone changes the plan.
func (l *ledger) next() (first time.Time) {
	now := l.s.Now
	at := func(times ...time.Time) {
		for _, t := range times {
			if t.After(now) && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	notices := l.notices()
	for i := range l.b {
		for c := range l.b[i].Cuts {
			cut := &l.b[i].Cuts[c]
			at(l.due(cut.Start, notices), cut.Start.Add(-horizon), cut.Start.Add(-l.settle[i]-shedSlack-leadIn), cut.Start, cut.End)
		}
		at(l.quietFrom(i))
	}
	for i := range l.s.Workloads {
		for n := range l.s.Workloads[i].Pods {
			at(l.s.Workloads[i].Pods[n].Until)
		}
	}
	for i := range l.s.Pools {
		at(l.s.Pools[i].GraceUntil)
	}
	return first
}
