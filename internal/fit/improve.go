package fit

import (
	"cmp"
	"slices"
)

const (
	// worthRoom is the share of all hash rate (in percent) that a wake must bring for others to be
	// trimmed for it; worthSwap is how much more than the device it replaces a wake must bring.
	worthRoom = 1
	worthSwap = 10
	// mostSwaps at once.
	mostSwaps = 8
)

// improve frees watts for a better use when all is settled and nothing else is to be done: the next
// calls raise the better device. Each change must bring more hash rate, so there is no way back, and
// a device that was woken is not slept for one within its dwell.
func (p *plan) improve() []Order {
	for i := range p.loads {
		d := p.loads[i].d
		if !d.observe && d.unsettled() && !d.unreachable(p.now) {
			return nil
		}
	}
	if orders := p.makeRoom(); len(orders) > 0 {
		return orders
	}
	return p.swap()
}

// makeRoom trims a few devices so that one more can wake at its least.
func (p *plan) makeRoom() []Order {
	room := p.allowance - p.bound - p.allowance/spare
	total := 0.0
	for i := range p.loads {
		total += p.loads[i].at.ths
	}
	var best []move
	most := total * worthRoom / 100
	for _, l := range p.sleepers() {
		wake := l.levels[1]
		if least, ok := l.d.leastHash(); ok && l.d.trims(p.now) && least.cost < wake.cost {
			wake = least
		}
		short := wake.cost - l.bound - room
		if short <= 0 || wake.ths <= most {
			continue
		}
		trims, lost := p.trims(short, func(t *load) bool { return p.now-t.d.lastWrite >= trimRest })
		if gain := wake.ths - lost; trims != nil && gain > most {
			best, most = trims, gain
		}
	}
	for _, t := range best {
		t.load.to = t.to
	}
	return ordersFor(best)
}

// sleepers are the loads that may wake, the best first.
func (p *plan) sleepers() []*load {
	var loads []*load
	for i := range p.loads {
		if l := &p.loads[i]; l.asleep && l.higher {
			loads = append(loads, l)
		}
	}
	slices.SortFunc(loads, func(a, b *load) int {
		return cmp.Or(cmp.Compare(slope(b.levels[0], b.levels[1]), slope(a.levels[0], a.levels[1])),
			cmp.Compare(a.d.key, b.d.key))
	})
	return loads
}

// runners are the loads that may be slept for a better one, the worst first: those past their dwell,
// and those that failed.
func (p *plan) runners() []*load {
	var loads []*load
	for i := range p.loads {
		l := &p.loads[i]
		rested := p.now-l.d.lastWrite >= dwell || l.d.last.State == Failed
		if l.lower && !l.asleep && l.d.traits.CanSleep && rested {
			loads = append(loads, l)
		}
	}
	slices.SortFunc(loads, func(a, b *load) int {
		return cmp.Or(cmp.Compare(slope(a.levels[0], a.at), slope(b.levels[0], b.at)), cmp.Compare(b.d.key, a.d.key))
	})
	return loads
}

// swap sleeps the worst devices where the best that sleep make clearly more of their watts, and failed
// ones where anybody can use them.
func (p *plan) swap() []Order {
	room := p.allowance - p.bound
	sleepers := p.sleepers()
	var moves []move
	for i, l := range p.runners() {
		if i == mostSwaps {
			break
		}
		free := l.at.cost - l.levels[0].cost + room
		gain := 0.0
		if i < len(sleepers) {
			gain = sleepers[i].best(free)
		} else if l.at.ths == 0 {
			gain = p.hunger()
		}
		if gain <= l.at.ths*(1+worthSwap/100.0) {
			break
		}
		room = 0
		l.to = l.levels[0]
		moves = append(moves, move{load: l, from: l.at, to: l.to})
	}
	return ordersFor(moves)
}

// best is the most hash rate a sleeping load can make of watts more.
func (l *load) best(more Watts) float64 {
	full := l.levels[len(l.levels)-1]
	if full.cost-l.bound <= more {
		return full.ths
	}
	to, _ := l.d.within(l.bound+more, full.watts)
	return to.ths
}

// hunger is the hash rate that running loads would add with more watts.
func (p *plan) hunger() float64 {
	sum := 0.0
	for i := range p.loads {
		if l := &p.loads[i]; l.higher && !l.asleep {
			sum += max(l.levels[len(l.levels)-1].ths-l.at.ths, 0)
		}
	}
	return sum
}
