package fit

import (
	"cmp"
	"slices"
	"time"
)

// mostTrims is how many devices at once give watts up so that one need not sleep, or may wake.
const mostTrims = 4

// shed chooses what to lower until the expected sum is under the allowance: what is fast enough first,
// then what costs the least hash rate per watt; then it gives back what that was too much.
func (p *plan) shed() []Order {
	moves := p.downs()
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.slope, b.slope),
			cmp.Compare(b.load.d.key, a.load.d.key), cmp.Compare(b.to.cost, a.to.cost))
	})
	need := p.expected - p.allowance
	var taken []move
	for _, m := range moves {
		if need <= 0 {
			break
		}
		if m.to.cost >= m.load.to.cost {
			continue
		}
		m.from = m.load.to
		m.load.to = m.to
		need -= m.from.cost - m.to.cost
		taken = append(taken, m)
	}
	if need > 0 {
		return append(ordersFor(taken), p.blind()...)
	}
	over := p.giveBack(taken, -need) - p.sway
	if left := p.soften(taken, over); left == over {
		taken = p.trimInstead(taken, over)
	}
	return ordersFor(taken)
}

// downs lists the steps down of every load that may be lowered.
func (p *plan) downs() []move {
	var moves []move
	for i := range p.loads {
		l := &p.loads[i]
		if !l.lower {
			continue
		}
		from := l.at
		for _, to := range p.stops(l) {
			if to.cost >= from.cost || to.watts >= from.watts {
				continue
			}
			moves = append(moves, move{load: l, from: from, to: to, slope: slope(to, from), tier: p.tier(l, to)})
			from = to
		}
	}
	return moves
}

// stops are the levels a load may stop at on its way down, highest first. In a hurry there are at most
// two: trimmed as far as that goes, where only that is fast enough, and the lowest. One that does not
// mine goes to sleep: it may have missed the order to wake, and a target would be another.
func (p *plan) stops(l *load) []level {
	d, low := l.d, l.levels[0]
	if d.idle() || !d.trims(p.now) || d.defies() || d.doubtful(p.now) {
		return []level{low}
	}
	if p.within > 0 {
		if least, ok := d.leastHash(); ok && p.tier(l, low) > 0 && p.tier(l, least) == 0 {
			return []level{least, low}
		}
		return []level{low}
	}
	stops := slices.Clone(l.levels)
	slices.Reverse(stops)
	return stops
}

// tier is 0 for an action fast enough, else its worst time.
func (p *plan) tier(l *load, to level) time.Duration {
	worst := l.d.traits.Trim.Worst
	if to.what == asleep {
		worst = l.d.traits.Sleep.Worst
	}
	if p.within <= 0 || worst <= p.within {
		return 0
	}
	return worst
}

// giveBack undoes the moves that turned out not to be needed, the most valuable first, and returns
// the watts still shed too much.
func (p *plan) giveBack(taken []move, over Watts) Watts {
	for _, m := range slices.Backward(taken) {
		if gap := m.from.cost - m.to.cost; m.load.to == m.to && gap <= over {
			m.load.to = m.from
			over -= gap
		}
	}
	return over
}

// soften lets one of the devices lowered keep the watts shed too much.
func (p *plan) soften(taken []move, over Watts) Watts {
	for _, m := range slices.Backward(taken) {
		l := m.load
		if l.to != m.to || !p.trimmable(l) {
			continue
		}
		keep, ok := l.d.within(m.to.cost+over, l.at.watts)
		if ok && keep.watts > m.to.watts && keep.cost > m.to.cost && keep.ths > m.to.ths && p.tier(l, keep) <= m.tier {
			l.to = keep
			return over - (keep.cost - m.to.cost)
		}
	}
	return over
}

// trimmable says that a load can be set to something between its levels now.
func (p *plan) trimmable(l *load) bool {
	return l.lower && !l.d.idle() && l.d.trims(p.now) && !l.d.defies() && !l.d.doubtful(p.now)
}

// trimInstead spares the last device lowered if a few others can give its watts up by trimming, where
// the overshoot is worth the writes and less hash rate is lost.
func (p *plan) trimInstead(taken []move, over Watts) []move {
	for i, m := range slices.Backward(taken) {
		if m.load.to != m.to {
			continue
		}
		if over < m.load.d.worthwhile() {
			return taken
		}
		trims, lost := p.trims(m.from.cost-m.to.cost-over, func(l *load) bool {
			return l.to == l.at && l != m.load && !l.d.traits.Trim.Restarts
		})
		if trims == nil || lost >= m.from.ths-m.to.ths {
			return taken
		}
		m.load.to = m.from
		for _, t := range trims {
			t.load.to = t.to
		}
		return append(slices.Delete(taken, i, i+1), trims...)
	}
	return taken
}

// trims finds a few running devices that can give up need watts together by trimming, and the hash rate
// that costs. Nil where they can't.
func (p *plan) trims(need Watts, usable func(*load) bool) ([]move, float64) {
	var moves []move
	var lost float64
	from := p.trimmers(usable)
	for _, l := range from[:min(len(from), mostTrims)] {
		if need <= 0 {
			break
		}
		least, _ := l.d.leastHash()
		to, ok := l.d.within(max(least.cost, l.at.cost-need), l.at.watts)
		if !ok || to.cost >= l.at.cost {
			continue
		}
		need -= l.at.cost - to.cost
		lost += l.at.ths - to.ths
		moves = append(moves, move{load: l, from: l.at, to: to})
	}
	if need > 0 {
		return nil, 0
	}
	return moves, lost
}

// trimmers are the running loads that can be trimmed in time: those already trimmed first, then the
// least efficient.
func (p *plan) trimmers(usable func(*load) bool) []*load {
	var loads []*load
	for i := range p.loads {
		l := &p.loads[i]
		inTime := p.tier(l, level{what: atTarget}) == 0
		if inTime && !l.asleep && l.d.last.State == Hashing && p.trimmable(l) && usable(l) {
			loads = append(loads, l)
		}
	}
	slices.SortFunc(loads, func(a, b *load) int {
		return cmp.Or(cmp.Compare(a.trimmed(), b.trimmed()),
			cmp.Compare(a.at.ths/float64(max(a.at.watts, 1)), b.at.ths/float64(max(b.at.watts, 1))),
			cmp.Compare(b.d.key, a.d.key))
	})
	return loads
}

// trimmed is 0 for a load that is already below full, 1 for one that is not.
func (l *load) trimmed() int {
	if len(l.levels) > 0 && l.at.watts < l.full().watts {
		return 0
	}
	return 1
}

// worthwhile is the least change of a running device that is worth a write.
func (d *Device) worthwhile() Watts { return max(d.traits.Step, (d.Rated()+99)/100) }

// blind is the last resort: devices that do not answer are told to sleep all the same.
func (p *plan) blind() []Order {
	var orders []Order
	for i := range p.loads {
		d := p.loads[i].d
		if d.seen && !d.observe && d.unreachable(p.now) && d.traits.CanSleep &&
			p.now >= d.faults.writeAt && p.now-d.lastWrite >= blindRest {
			orders = append(orders, Order{Device: d, Setting: Setting{Kind: Sleep}})
		}
	}
	return orders
}
