package power

import (
	"cmp"
	"slices"
)

// segment is one straight piece of an agent's curve.
type segment struct {
	agent int
	piece int // of the agent's curve
	watts Watts
	slope float64 // TH/s per watt
}

// dispatch shares mining's watts among the heard agents: floors first, then each pool's floorWatts, then
// the steepest pieces of the curves. Caps on nested sets form a polymatroid, so taking the steepest
// piece that still fits is optimal. It answers each agent's target, what they make together, and what
// they could make if only the roots had limits: an upper bound on any dispatch.
func (l *ledger) dispatch() (targets []Watts, ths, bound float64) {
	caps := l.mining()
	targets = make([]Watts, len(l.s.Agents))
	for i := range l.s.Agents {
		a := &l.s.Agents[i]
		if l.leasable(a) {
			targets[i] = a.Floor
			add(caps, l.chain(a.Budget), -a.Floor)
		}
	}
	segments := l.segments()
	roots := append([]Watts{}, caps...)
	bound = l.fill(segments, roots, nil, l.rootOnly)
	segments = l.keepFloors(segments, caps, targets, &ths)
	ths += l.fill(segments, caps, targets, l.chain)
	return targets, ths, max(ths, bound)
}

// mining is the most that leases may sum to at each budget.
func (l *ledger) mining() []Watts {
	caps := make([]Watts, len(l.b))
	for i := range caps {
		caps[i] = l.planned[i] - l.base[i] - l.unfoundNow[i] - l.res[i] - l.demand[i] - l.kept[i]
	}
	for i := range l.s.Agents {
		a := &l.s.Agents[i]
		if !l.leasable(a) {
			add(caps, l.chain(a.Budget), -a.Hold)
		}
	}
	return caps
}

func (l *ledger) leasable(a *Agent) bool {
	p := l.pool(a.Pool)
	return a.Heard && (p == nil || !p.Observe)
}

func (l *ledger) pool(key string) *Pool {
	return l.pools[key]
}

func (l *ledger) rootOnly(budget string) []int {
	chain := l.chain(budget)
	return chain[max(0, len(chain)-1):]
}

func (l *ledger) segments() []segment {
	var all []segment
	for i := range l.s.Agents {
		a := &l.s.Agents[i]
		if p := l.pool(a.Pool); !l.leasable(a) || (p != nil && p.Leaving) {
			continue
		}
		for n := 1; n < len(a.Curve); n++ {
			if w := a.Curve[n].Watts - a.Curve[n-1].Watts; w > 0 {
				all = append(all, segment{i, n, w, (a.Curve[n].THs - a.Curve[n-1].THs) / float64(w)})
			}
		}
	}
	slices.SortFunc(all, func(x, y segment) int {
		if by := cmp.Compare(y.slope, x.slope); by != 0 {
			return by
		}
		return cmp.Or(cmp.Compare(l.s.Agents[x.agent].Key, l.s.Agents[y.agent].Key),
			cmp.Compare(x.agent, y.agent), cmp.Compare(x.piece, y.piece))
	})
	return all
}

// fill takes pieces in their order as far as the caps allow; targets may be nil.
func (l *ledger) fill(segments []segment, caps, targets []Watts, chain func(string) []int) (ths float64) {
	for _, s := range segments {
		at := chain(l.s.Agents[s.agent].Budget)
		take := s.watts
		for _, i := range at {
			take = min(take, caps[i])
		}
		if take <= 0 {
			continue
		}
		add(caps, at, -take)
		if targets != nil {
			targets[s.agent] += take
		}
		ths += s.slope * float64(take)
	}
	return ths
}

// keepFloors fills each pool's floorWatts before anything else and answers the pieces left.
func (l *ledger) keepFloors(segments []segment, caps, targets []Watts, ths *float64) []segment {
	want := map[string]Watts{}
	for i := range l.s.Pools {
		p := &l.s.Pools[i]
		if p.Floor > 0 {
			want[p.Key] = p.Floor
			for _, n := range l.agents[p.Key] {
				want[p.Key] -= targets[n]
			}
		}
	}
	if len(want) == 0 {
		return segments
	}
	rest := segments[:0:0]
	for _, s := range segments {
		a := &l.s.Agents[s.agent]
		part := s
		part.watts = min(s.watts, max(0, want[a.Pool]))
		if part.watts > 0 {
			before := targets[s.agent]
			*ths += l.fill([]segment{part}, caps, targets, l.chain)
			got := targets[s.agent] - before
			want[a.Pool] -= got
			s.watts -= got
		}
		if s.watts > 0 {
			rest = append(rest, s)
		}
	}
	return rest
}
