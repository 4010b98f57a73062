package power

import (
	"maps"
	"slices"
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
	p.Evictions = l.evict()
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
			Open: pod.Phase == Reserved && w.Halted == "" && !l.barred(l.where(pod)),
		})
	}
	p.Pods = append(kept, p.Pods...)
	whole := w.whole(p)
	for i := range p.Pods {
		p.Reserved += p.Pods[i].Watts
		p.Pods[i].Open = p.Pods[i].Open && whole
	}
}

// whole tells whether a gang runs or may start: a pod of it may have gone after it was reserved, and before any
// gate was open.
func (w *Workload) whole(p *WorkloadPlan) bool {
	missing := w.MinPods
	for i := range p.Pods {
		if p.Pods[i].Open || p.Pods[i].New {
			missing--
		}
	}
	for i := range w.Pods {
		if missing <= 0 || w.Pods[i].Phase == Admitted {
			return true
		}
	}
	return missing <= 0
}

// holds tells whether an ended pod's watts are still held.
func (l *ledger) holds(p *Pod) bool {
	y := l.ended[p]
	return y != nil && y.held
}

// evictSlack is how much longer than its grace an eviction may take to be seen done.
const evictSlack = 10 * time.Second

// evict names interruptible pods to evict where firm load alone is over the limit in force, or over one that comes
// before they could have ended, lowest priority first and youngest first, until it would not be. What comes later is
// left to those of lower rank that can still end in time.
func (l *ledger) evict() []Eviction {
	notices := l.notices()
	if len(notices) == 0 || !slices.ContainsFunc(l.shorts(notices[len(notices)-1]), func(w Watts) bool { return w > 0 }) {
		return nil // the longest sees the lowest limits
	}
	var out []Eviction
	shorts, spared := map[time.Duration][]Watts{}, make([]Watts, len(l.b))
	for _, i := range slices.Backward(ranked(l.s)) {
		w := &l.s.Workloads[i]
		if !w.Interruptible {
			continue
		}
		for _, pod := range slices.Backward(sorted(evictable(w))) {
			notice, at := pod.Grace+evictSlack, l.where(pod)
			if shorts[notice] == nil {
				shorts[notice] = l.shorts(notice)
			}
			short := shorts[notice]
			if n := slices.IndexFunc(at, func(b int) bool { return short[b] > spared[b] }); n >= 0 {
				b := at[n]
				out = append(out, Eviction{Workload: w.Key, Pod: pod.Name, UID: pod.UID, Budget: l.b[b].Name, Short: short[b] - spared[b]})
			}
			add(spared, at, pod.Watts)
		}
	}
	return out
}

// shorts is what each budget that may evict is short of within a time.
func (l *ledger) shorts(within time.Duration) []Watts {
	short := make([]Watts, len(l.b))
	for i := range short {
		if l.b[i].Evict {
			limit, _ := l.least(i, l.s.Now, l.s.Now.Add(within))
			short[i] = l.short(i, limit)
		}
	}
	return short
}

// evictable are the pods of a workload that may be told to end.
func evictable(w *Workload) []*Pod {
	pods := make([]*Pod, 0, len(w.Pods))
	for i := range w.Pods {
		if w.Pods[i].Phase == Admitted && !w.Pods[i].Gone {
			pods = append(pods, &w.Pods[i])
		}
	}
	return pods
}

// leastRun is how long what may be evicted runs at least, by all that is known when it is let in.
const leastRun = time.Minute

// noticeOf is how long before a limit falls evictions of a workload's pods for it are due.
func noticeOf(w *Workload) time.Duration {
	longest := time.Duration(0)
	for n := range w.Pods {
		longest = max(longest, w.Pods[n].Grace)
	}
	return longest + evictSlack
}

func noticesOf(s *Site) map[*Workload]time.Duration {
	all := map[*Workload]time.Duration{}
	for i := range s.Workloads {
		if w := &s.Workloads[i]; w.Interruptible {
			all[w] = noticeOf(w)
		}
	}
	return all
}

// notices are those that there are.
func (l *ledger) notices() []time.Duration {
	return slices.Compact(slices.Sorted(maps.Values(l.notice)))
}

// before is so many times before one.
func before(at time.Time, by []time.Duration) (times []time.Time) {
	for _, d := range by {
		times = append(times, at.Add(-d))
	}
	return times
}

// short is how much firm load and mining at its floor are over a limit. Agents that are only silent are
// left out: what they may draw is no reason to evict anybody.
func (l *ledger) short(i int, limit Watts) Watts {
	return max(0, l.base[i]+l.res[i]+l.stays[i]-l.silent[i]-limit)
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
			at(before(cut.Start, notices)...)
			at(cut.Start.Add(-horizon), cut.Start.Add(-l.settle[i]-shedSlack-leadIn), cut.Start, cut.End)
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
