package fit

import (
	"cmp"
	"slices"
)

// raise uses the room under the allowance. It tries two orders of the same moves (hash rate per watt;
// and sleeping devices first, which is better where a trimmed one would leave a gap too small to wake
// another) and takes the one that makes more.
func (p *plan) raise() []Order {
	room := p.allowance - p.bound
	if room <= 0 {
		return nil
	}
	moves := p.ups()
	if len(moves) == 0 {
		return nil
	}
	bySlope := func(a, b move) int {
		return cmp.Or(cmp.Compare(b.slope, a.slope), cmp.Compare(a.load.d.key, b.load.d.key),
			cmp.Compare(a.to.cost, b.to.cost))
	}
	slices.SortFunc(moves, bySlope)
	best := p.try(moves, room)
	wakesFirst := slices.Clone(moves)
	slices.SortStableFunc(wakesFirst, func(a, b move) int { return cmp.Compare(a.wakes(), b.wakes()) })
	if other := p.try(wakesFirst, room); other > best*(1+1e-9) {
		return ordersFor(wakesFirst)
	}
	p.try(moves, room)
	return ordersFor(moves)
}

// wakes is 0 for a move of a device that sleeps, 1 for others.
func (m move) wakes() int {
	if m.load.asleep {
		return 0
	}
	return 1
}

// ups lists the steps up of every load that may be raised. A running one must have enough to gain.
func (p *plan) ups() []move {
	var moves []move
	for i := range p.loads {
		l := &p.loads[i]
		if !l.higher || (!l.asleep && l.levels[len(l.levels)-1].watts-l.at.watts < l.d.worthwhile()) {
			continue
		}
		from := l.at
		for _, to := range l.levels {
			if to.watts <= from.watts || to.ths <= from.ths {
				continue
			}
			moves = append(moves, move{load: l, from: from, to: to, slope: slope(from, to)})
			from = to
		}
	}
	return moves
}

// more is the watts that bounds grow by if the load is ordered to a level.
func (l *load) more(to level) Watts {
	if to == l.at {
		return 0
	}
	return max(to.cost-l.bound, 0)
}

// try applies moves in turn while they fit into room, then fills the last gap, and returns the hash
// rate gained.
func (p *plan) try(moves []move, room Watts) float64 {
	for _, m := range moves {
		m.load.to = m.load.at
	}
	gained := 0.0
	for _, m := range moves {
		l := m.load
		grow := l.more(m.to) - l.more(l.to)
		if l.to != m.from || grow > room || !p.rested(l, m.to) {
			continue
		}
		room -= grow
		gained += m.to.ths - l.to.ths
		l.to = m.to
	}
	return gained + p.fill(moves, room-p.allowance/spare)
}

// fill puts what is left of the room into devices that take something between their levels: a wake at
// a lower setting, or a higher target.
func (p *plan) fill(moves []move, room Watts) float64 {
	gained := 0.0
	for _, m := range moves {
		if room <= 0 {
			break
		}
		l := m.load
		full := l.levels[len(l.levels)-1]
		if l.to.watts >= full.watts || !l.d.trims(p.now) {
			continue
		}
		used := l.more(l.to)
		to, ok := l.d.within(l.bound+used+room, full.watts)
		if !ok || to.watts <= l.to.watts || to.ths <= l.to.ths || !p.rested(l, to) {
			continue
		}
		room -= l.more(to) - used
		gained += to.ths - l.to.ths
		l.to = to
	}
	return gained
}

// rested says whether a running load may be raised that far so soon: small raises are rarer.
func (p *plan) rested(l *load, to level) bool {
	if l.asleep {
		return true
	}
	gain := to.watts - l.at.watts
	if gain < l.d.worthwhile() {
		return false
	}
	return gain*10 >= l.d.Rated() || p.now-l.d.lastWrite >= touchRest
}
