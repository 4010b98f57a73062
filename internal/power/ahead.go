package power

import "time"

// rank is what workloads share that may count on the same.
type rank struct {
	priority      int
	interruptible bool
	notice        time.Duration
}

func (l *ledger) rankOf(w *Workload) rank { return rank{w.Priority, w.Interruptible, l.notice[w]} }

// question is a need of workloads of one rank.
type question struct {
	rank rank
	need Watts
}

// gain is what a workload may count on at each budget beyond what would be there if it were alone, and beyond the room.
type gain struct{ alone, room []Watts }

// gain is what curtailments far ahead take neither from work that is evicted for them nor from what such work of lower
// rank makes room for, less what mining set above it may draw.
func (l *ledger) gain(w *Workload) gain {
	if g, known := l.gains[l.rankOf(w)]; known {
		return g
	}
	g, above := gain{make([]Watts, len(l.b)), make([]Watts, len(l.b))}, l.above(w.Priority)
	for i := range l.b {
		least, _ := l.ahead(w, i)
		g.room[i] = least - l.low[i]
		if w.Interruptible {
			g.alone[i] = g.room[i]
		}
		if above != nil {
			g.alone[i] -= above[i]
			g.room[i] -= above[i]
		}
	}
	l.gains[l.rankOf(w)] = g
	return g
}

// ahead is the least that budget i leaves a workload while it runs, and the cut that sets it. What may be evicted need
// not fit curtailments far ahead (liveness e), and makes room for what is above it there.
func (l *ledger) ahead(w *Workload, i int) (least Watts, by int) {
	switch {
	case !l.b[i].Evict:
		return l.low[i], l.lowBy[i]
	case w.Interruptible:
		return l.least(i, l.s.Now, l.s.Now.Add(l.lead(i, l.notice[w])))
	}
	least, by = l.at(i, l.s.Now)
	for c := range l.b[i].Cuts {
		start := l.b[i].Cuts[c].Start
		if !start.After(l.s.Now) || start.After(l.s.Now.Add(horizon)) {
			continue
		}
		limit, at := l.at(i, start)
		if limit += l.evictedBy(start, w.Priority, i); limit < least {
			least, by = limit, at
		}
	}
	return least, by
}

// lead is how far ahead a limit of budget i must fall to be left to evictions: these are due so long before it.
func (l *ledger) lead(i int, notice time.Duration) time.Duration {
	return max(l.settle[i]+shedSlack+leadIn, notice+leastRun)
}

// evictedBy is what running work of lower priority draws from budget i that can be evicted by then.
func (l *ledger) evictedBy(then time.Time, priority, i int) (sum Watts) {
	for notice, sums := range l.evictableBelow(priority) {
		if then.After(l.s.Now.Add(l.lead(i, notice))) {
			sum += sums[i]
		}
	}
	return sum
}

// evictableBelow is what running work below a priority draws from each budget that may be evicted, by its notice.
func (l *ledger) evictableBelow(priority int) map[time.Duration][]Watts {
	all, known := l.evictables[priority]
	if known {
		return all
	}
	all = map[time.Duration][]Watts{}
	for i := range l.s.Workloads {
		w := &l.s.Workloads[i]
		if w.Priority >= priority {
			continue
		}
		for _, p := range evictable(w) {
			notice := p.Grace + evictSlack
			if all[notice] == nil {
				all[notice] = make([]Watts, len(l.b))
			}
			add(all[notice], l.where(p), p.Watts)
		}
	}
	l.evictables[priority] = all
	return all
}

// above is what pools set above a priority may draw beyond what is fixed anyway; nil where none is.
func (l *ledger) above(priority int) []Watts {
	sums, known := l.tops[priority]
	if known {
		return sums
	}
	defer func() { l.tops[priority] = sums }()
	for i := range l.s.Pools {
		p := &l.s.Pools[i]
		if p.Priority <= priority || p.Observe || p.Leaving {
			continue
		}
		if sums == nil {
			sums = make([]Watts, len(l.b))
		}
		var most, floor Watts
		for _, n := range l.members[i] {
			if a := l.agents[n].Agent; a.Heard {
				most += top(a)
				floor += a.Floor
			}
		}
		add(sums, l.chain(p.Budget), most-max(floor, min(p.Floor, most)))
	}
	return sums
}
