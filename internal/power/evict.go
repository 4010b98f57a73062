package power

import (
	"slices"
	"time"
)

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
