package fit

import (
	"cmp"
	"slices"
)

// raise uses the room under the allowance. It is planned with the watts that sheds in flight will free,
// or the first to come free would go to a worse use than they were freed for; given are the orders
// that fit already.
func (p *plan) raise() []Order {
	moves, _ := p.choose(p.ups(), p.later)
	var fits []move
	room := p.room
	for _, m := range moves {
		l := m.load
		if l.listed || l.to == l.at {
			continue
		}
		l.listed = true
		if grow := l.grow(l.to); room.fits(grow) {
			room = room.less(grow)
			fits = append(fits, m)
		}
	}
	return ordersFor(fits)
}

// choose tries three orders of the same moves and leaves the loads where the one that makes the most
// hash rate puts them: the best per watt first; sleeping devices first, as a running one raised could
// leave a gap too small to wake another; and the one device that makes most of the room first. The
// first alone is within one move of the best there is, the third keeps that from being half of it.
func (p *plan) choose(moves []move, room room) ([]move, float64) {
	if room.most() <= 0 || len(moves) == 0 {
		return nil, 0
	}
	best, most := moves, p.try(moves, room)
	wakes := make([]move, 0, len(moves))
	for _, asleep := range []bool{true, false} {
		for _, m := range moves {
			if m.load.asleep == asleep {
				wakes = append(wakes, m)
			}
		}
	}
	if gain := p.try(wakes, room); gain > most*(1+1e-9) {
		best, most = wakes, gain
	}
	if single, ok := p.single(moves, room); ok {
		first := append([]move{single}, moves...)
		if gain := p.try(first, room); gain > most*(1+1e-9) {
			return first, gain
		}
	}
	return best, p.try(best, room)
}

// single is the one move that makes the most hash rate of the room.
func (p *plan) single(moves []move, room room) (move, bool) {
	found, most := move{}, 0.0
	for _, m := range moves {
		l := m.load
		if l.spent || m.from != l.at {
			continue
		}
		to, ok := l.full(), true
		if !room.fits(l.grow(to)) {
			to, ok = p.part(l, l.at, room)
		}
		if gain := to.ths - l.at.ths; ok && gain > most {
			found, most = move{load: l, from: l.at, to: to}, gain
		}
	}
	return found, most > 0
}

// part is the most a load can do above a level with the room, below full.
func (p *plan) part(l *load, from level, room room) (level, bool) {
	if !l.d.trims(p.now) || from == l.at && room.most() < l.grain {
		return level{}, false
	}
	base := l.now
	if from != l.at {
		base.usual, base.worst = max(base.usual, from.cost), max(base.worst, from.cost)
	}
	to, ok := l.d.within(max(base.usual+room.usual, base.worst+room.worst), l.full().watts)
	return to, ok && to.watts > from.watts && to.ths > from.ths && p.rested(l, to)
}

// ups lists the steps up of every load that may be raised, the best per watt first. A running one must
// have enough to gain.
func (p *plan) ups() []move {
	if p.upward != nil {
		return p.upward
	}
	moves := make([]move, 0, 2*len(p.loads))
	for i := range p.loads {
		l := &p.loads[i]
		if !l.higher || (!l.asleep && l.full().watts-l.at.watts < l.d.worthwhile()) {
			continue
		}
		from, counted := l.at, l.at
		counted.cost = l.now.worst // as a curve counts it
		for _, to := range l.levels {
			if to.watts <= from.watts || to.ths <= from.ths {
				continue
			}
			moves = append(moves, move{load: l, from: from, to: to, slope: slope(counted, to)})
			from, counted = to, to
		}
	}
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(b.slope, a.slope), cmp.Compare(a.load.d.key, b.load.d.key),
			cmp.Compare(a.to.cost, b.to.cost))
	})
	p.upward = moves
	return moves
}

// try applies moves in turn while they fit into room, then fills the last gap, and returns the hash
// rate gained. Loads already spent on something else stay out of it.
func (p *plan) try(moves []move, room room) float64 {
	for _, m := range moves {
		if !m.load.spent {
			m.load.to = m.load.at
		}
	}
	gained := 0.0
	for _, m := range moves {
		l := m.load
		if l.spent || l.to != m.from {
			continue
		}
		before := l.grow(l.to)
		grow := l.grow(m.to).less(before)
		if !room.fits(grow) || !p.rested(l, m.to) {
			continue
		}
		room = room.less(grow)
		gained += m.to.ths - l.to.ths
		l.to = m.to
	}
	return gained + p.fill(moves, room)
}

// fill puts what is left of the room into devices that take something between their levels: a wake at
// a lower setting, or a higher target.
func (p *plan) fill(moves []move, room room) float64 {
	gained := 0.0
	for _, m := range moves {
		if room.most() <= 0 {
			break
		}
		l := m.load
		if l.spent || l.to.watts >= l.full().watts {
			continue
		}
		if to, ok := p.part(l, l.to, room); ok {
			room = room.less(l.grow(to).less(l.grow(l.to)))
			gained += to.ths - l.to.ths
			l.to = to
		}
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
