package power

import "time"

// quiet is how long no pod may have come before headroom that pods used is freed again (liveness g): while they keep
// coming, each would cost miners a restart for the next.
const quiet = 30 * time.Second

// keepStandby keeps watts free for the next pods of the workloads of one priority, where it is known
// where they would run. They yield to pods that wait with that priority or a higher one (liveness f), and no pod of a
// lower one takes them.
func (l *ledger) keepStandby(class []int) {
	for i := range l.b {
		l.yielding[i] += l.demand[i] - l.counted[i]
		l.counted[i] = l.demand[i]
	}
	for _, n := range class {
		w := &l.s.Workloads[n]
		i, ok := l.index[home(w)]
		if !ok || w.Standby <= 0 {
			continue
		}
		// What can never be there is kept for nobody.
		watts, gain := w.Standby, l.gain(w)
		for _, up := range l.up[i] {
			watts = max(0, min(watts, l.room[up]+gain.room[up]+l.yielding[up]))
		}
		for n, up := range l.up[i] {
			taken := min(watts, l.yielding[up])
			l.yielding[up] -= taken
			l.kept[up] += watts - taken
			l.shift(l.up[i][n:n+1], taken-watts)
		}
	}
}

// home is the budget where a workload's next pods would run; empty where that is open.
func home(w *Workload) string {
	budget := w.Budget
	for i := range w.Pods {
		if w.Pods[i].Phase != Gated && w.Pods[i].Budget != "" {
			budget = w.Pods[i].Budget
		}
	}
	return budget
}

// keepHeadroom keeps each budget's headroom free. It yields to every pod that waits, and what pods used
// of it is refilled after a quiet spell: before that only what is free anyway is kept.
func (l *ledger) keepHeadroom() {
	for i := range l.b {
		l.yielding[i] += l.demand[i] - l.counted[i]
		keep := max(0, l.b[i].Headroom-l.yielding[i])
		if l.s.Now.Before(l.quietFrom(i)) {
			keep = max(0, min(keep, -l.over(i)-l.demand[i]-l.kept[i]))
		}
		l.kept[i] += keep
	}
}

// quietFrom is when a budget's headroom may be refilled: a quiet spell after its newest pod was made.
func (l *ledger) quietFrom(i int) time.Time { return l.newest[i].Add(quiet) }

// note remembers when the newest pod of each budget was made.
func (l *ledger) note(p *Pod, at []int) {
	for _, i := range at {
		if p.Created.After(l.newest[i]) {
			l.newest[i] = p.Created
		}
	}
}
