package power

import (
	"fmt"
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

// evictSlack is how much longer than its grace an eviction may take to be seen done.
const evictSlack = 10 * time.Second

// evict names interruptible pods to evict where firm load alone is over the limit in force, or over one that comes
// before they could have ended, lowest priority first and youngest first, until it would not be. What comes later is
// left to those of lower rank that can still end in time; so can who is let in now. What ended pods of a gang hold for
// it (liveness c) has the gang's rank: it goes before a pod of the gang does, or one above it. So do pods whose gates
// are still on: they draw nothing, and stay shut.
func (l *ledger) evict(plans []WorkloadPlan) []Eviction {
	notices := l.notices()
	if len(notices) == 0 || !slices.ContainsFunc(l.shorts(notices[len(notices)-1]), func(w Watts) bool { return w > 0 }) {
		return nil // the longest sees the lowest limits
	}
	e := evictions{ledger: l, short: map[time.Duration][]Watts{}, spared: make([]Watts, len(l.b)), shut: make([]Watts, len(l.b)), gaps: l.gaps()}
	for _, i := range slices.Backward(ranked(l.s)) {
		w := &l.s.Workloads[i]
		e.pass(w, &plans[i])
		for _, pod := range slices.Backward(sorted(evictable(w))) {
			e.judge(w, pod)
			add(e.spared, l.where(pod), pod.Watts)
		}
	}
	return e.out
}

// evictions are those of one plan, gone about from the lowest rank to the highest.
type evictions struct {
	*ledger
	out []Eviction
	// short is what each budget is short of, by notice; spared what there is of lower rank to make up for it, and shut
	// what of that only as long as gates stay on, those of gated.
	short        map[time.Duration][]Watts
	spared, shut []Watts
	gated        []gatedPod
	gaps         map[*Workload][]*yield
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

// gatedPod is a reserved one.
type gatedPod struct {
	*Pod
	w *Workload
}

// within is what each budget is short of within a time.
func (e *evictions) within(notice time.Duration) []Watts {
	if e.short[notice] == nil {
		e.short[notice] = e.shorts(notice)
	}
	return e.short[notice]
}

// pass enters what of a workload goes before any of its pods that draw.
func (e *evictions) pass(w *Workload, p *WorkloadPlan) {
	for _, y := range e.gaps[w] {
		add(e.spared, y.at, y.pod.Watts)
	}
	for n := range p.Pods {
		add(e.spared, e.reach[e.index[p.Pods[n].Budget]], p.Pods[n].Watts)
	}
	for n := range w.Pods {
		if pod := &w.Pods[n]; pod.Phase == Reserved {
			add(e.spared, e.where(pod), pod.Watts)
			add(e.shut, e.where(pod), pod.Watts)
			e.gated = append(e.gated, gatedPod{pod, w})
		}
	}
}

// judge evicts a pod, or spares it for what is passed.
func (e *evictions) judge(w *Workload, pod *Pod) {
	short, at := e.within(pod.Grace+evictSlack), e.where(pod)
	if n := slices.IndexFunc(at, func(b int) bool { return short[b] > e.spared[b] }); n >= 0 {
		b := at[n]
		e.out = append(e.out, Eviction{Workload: w.Key, Pod: pod.Name, UID: pod.UID, Budget: e.b[b].Name, Short: short[b] - e.spared[b]})
		return
	}
	for _, b := range at {
		if short[b] > e.spared[b]-e.shut[b] {
			e.keepShut(b)
		}
	}
}

// keepShut keeps the gates on at a budget that one above them is spared for. One that may be evicted itself, and later
// than now, need not wait.
func (e *evictions) keepShut(b int) {
	for _, g := range e.gated {
		late := g.w.Interruptible && e.within(g.Grace + evictSlack)[b] == 0
		if !late && slices.Contains(e.where(g.Pod), b) {
			e.waits[g.Pod] = true
		}
	}
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

// gaps are what each gang's ended pods hold for it still.
func (l *ledger) gaps() map[*Workload][]*yield {
	gaps := map[*Workload][]*yield{}
	for _, y := range l.yields {
		if y.firm() && y.held {
			gaps[y.workload] = append(gaps[y.workload], y)
		}
	}
	return gaps
}

// evictable are the pods of a workload that may be told to end.
func evictable(w *Workload) []*Pod {
	pods := make([]*Pod, 0, len(w.Pods))
	for i := range w.Pods {
		if w.evictable(i) {
			pods = append(pods, &w.Pods[i])
		}
	}
	return pods
}

func (w *Workload) evictable(i int) bool {
	return w.Interruptible && w.Pods[i].Phase == Admitted && !w.Pods[i].Gone
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

// notices are those of all pods that may be evicted, each by itself, shortest first.
func (l *ledger) notices() (all []time.Duration) {
	for i := range l.s.Workloads {
		w := &l.s.Workloads[i]
		for n := range w.Pods {
			notice := w.Pods[n].Grace + evictSlack
			if w.evictable(n) && (len(all) == 0 || all[len(all)-1] != notice) {
				all = append(all, notice)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// due is when the next of the notices before a fall begins; zero where all have.
func (l *ledger) due(fall time.Time, notices []time.Duration) time.Time {
	n, _ := slices.BinarySearch(notices, fall.Sub(l.s.Now))
	if n == 0 {
		return time.Time{}
	}
	return fall.Add(-notices[n-1])
}

// short is how much firm load and mining at its floor are over a limit. Agents that are only silent are
// left out, and so is what a release delay keeps: neither is a reason to evict anybody.
func (l *ledger) short(i int, limit Watts) Watts {
	return max(0, l.base[i]+l.res[i]-l.delayed[i]+l.stays[i]-l.silent[i]-limit)
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
