package power

import "slices"

// part is those pods of a group that go to one budget.
type part struct {
	group
	budget int
}

// spread places a gang that no single budget can take over several of them, pod by pod: each where it
// can start soonest, beside its like where that is the same. The verdict is the worst of any pod.
func (l *ledger) spread(w *Workload, g group, candidates []int) ([]part, verdict) {
	var parts []part
	var undo []func()
	defer func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}()
	own, gain := make([]Watts, len(l.b)), l.gain(w)
	verdict, last := ready, -1
	for _, pod := range g.pods {
		c, v := l.spot(gain, pod, candidates, own, last)
		if v == never {
			return nil, never
		}
		at, _ := l.rooms.place(c, []guest{pod})
		l.take(c, pod.Watts)
		add(own, l.reach[c], pod.Watts)
		undo = append(undo, func() {
			leave(at, []guest{pod})
			l.take(c, -pod.Watts)
		})
		verdict, last = min(verdict, v), c
		parts = join(parts, pod, c)
	}
	return parts, verdict
}

func join(parts []part, pod guest, budget int) []part {
	for i := range parts {
		if p := &parts[i]; p.budget == budget {
			p.pods, p.watts = append(p.pods, pod), p.watts+pod.Watts
			return parts
		}
	}
	return append(parts, part{group{pods: []guest{pod}, watts: pod.Watts}, budget})
}

// spot is the best budget for one pod of a gang of which own is placed already.
func (l *ledger) spot(gain gain, pod guest, candidates []int, own []Watts, last int) (best int, v verdict) {
	for _, c := range candidates {
		at := l.judge(gain, pod.Watts, c, own)
		better := at > v || (at == v && v > never && best != last && (c == last || l.room[c] > l.room[best]))
		if better && l.rooms.takes(c, pod.kind) {
			best, v = c, at
		}
	}
	return best, v
}

// spreadOver is spread, with the reservations of ended pods let go where that helps and as far as needed.
func (l *ledger) spreadOver(w *Workload, g group, candidates []int) ([]part, verdict) {
	if len(g.pods) < 2 || len(candidates) < 2 {
		return nil, never
	}
	parts, v := l.spread(w, g, candidates)
	if v == ready {
		return parts, v
	}
	let := l.letAllGo(w)
	if len(let) == 0 {
		return parts, v
	}
	if more, better := l.spread(w, g, candidates); better > v && better >= feasible {
		l.takeBack(w, let, more, better)
		return more, better
	}
	for _, y := range let {
		l.letGo(y, -1)
	}
	return parts, v
}

// letAllGo lets every reservation of an ended pod go that yields to the workload.
func (l *ledger) letAllGo(w *Workload) (let []*yield) {
	for _, y := range l.yields {
		if y.held && y.to(w) {
			l.letGo(y, 1)
			let = append(let, y)
		}
	}
	return let
}

// takeBack keeps what of the ended pods' watts the parts turned out not to need, now and in what is announced; the
// last to be let go first.
func (l *ledger) takeBack(w *Workload, let []*yield, parts []part, v verdict) {
	gain := l.gain(w)
	left := func(i int) Watts {
		if v < ready {
			return l.room[i] + gain.room[i]
		}
		return min(l.free[i], l.room[i]+gain.room[i])
	}
	for _, p := range parts {
		l.take(p.budget, p.watts)
	}
	for _, y := range slices.Backward(let) {
		if !slices.ContainsFunc(y.at, func(i int) bool { return left(i) < y.pod.Watts }) {
			l.letGo(y, -1)
		}
	}
	for _, p := range parts {
		l.take(p.budget, -p.watts)
	}
}
