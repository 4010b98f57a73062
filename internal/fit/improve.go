package fit

import (
	"cmp"
	"slices"
)

const (
	// worthRoom is the share of all hash rate that a change with trims must bring, worthSwap how much
	// more than the devices it sleeps.
	worthRoom = 0.005
	worthSwap = 0.1
	// mostSwaps at once, and mostTries devices of a kind that are tried with others.
	mostSwaps = 8
	mostTries = 3
)

// improve frees watts for a better use when all is settled and nothing else is to be done; the next
// calls raise what uses them. What they will raise is tried out beforehand and must bring more hash rate
// than is lost, so there is no way back; and a device that was woken is not slept within its dwell.
//
// A device that was not watched for long enough is not settled either: it is counted at its rated watts (L3), and would be
// once it sleeps. A fresh run would sleep one after the other for watts that do not come free, and need not.
func (p *plan) improve() []Order {
	for i := range p.loads {
		d := p.loads[i].d
		if !d.observe && (d.unsettled() || !d.watched()) && !d.unreachable(p.now) {
			return nil
		}
	}
	ups := p.ups()
	if len(ups) == 0 {
		return nil
	}
	runners := p.runners()
	if swaps := p.swap(ups, runners); len(swaps) > 0 {
		return apply(swaps)
	}
	return apply(p.makeRoom(ups, runners))
}

func apply(moves []move) []Order {
	for _, m := range moves {
		m.load.to = m.to
	}
	return ordersFor(moves)
}

// gain is the hash rate that a later call would make of the room and of what the spent loads free,
// less what they lose.
func (p *plan) gain(ups, spent []move) float64 {
	room, lost := p.room, 0.0
	for _, m := range spent {
		m.load.spent = true
		room = room.plus(m.load.now.usual - m.to.cost)
		lost += m.from.ths - m.to.ths
	}
	made := -lost
	if ups[0].slope*float64(room.most()) > lost {
		// The later call does at least as well: it tries more orders.
		m := p.try(ups, room)
		if single, ok := p.single(ups, room); ok {
			m = max(m, p.try(append([]move{single}, ups...), room))
		}
		made += m
	}
	for _, m := range spent {
		m.load.spent = false
	}
	for i := range p.loads {
		p.loads[i].to = p.loads[i].at
	}
	return made
}

// swap sleeps the worst devices where others make clearly more of their watts.
func (p *plan) swap(ups []move, runners []*load) []move {
	var chosen []move
	net := 0.0
	for _, l := range runners[:min(len(runners), mostSwaps)] {
		more := append(slices.Clone(chosen), l.sleep())
		if gain := p.gain(ups, more); gain > net+l.at.ths*worthSwap {
			chosen, net = more, gain
		}
	}
	return chosen
}

// makeRoom trims a few devices, and perhaps sleeps one, so that one more can wake at its least. On all
// but small sites that is too little to be worth it.
func (p *plan) makeRoom(ups []move, runners []*load) []move {
	total := 0.0
	for i := range p.loads {
		total += p.loads[i].at.ths
	}
	var best []move
	most := total * worthRoom
	sleepers := p.sleepers()
	for _, wake := range sleepers[:min(len(sleepers), mostTries)] {
		if wake.full().ths <= most {
			continue
		}
		try := func(spent []move, margin float64) {
			spent = p.enough(wake, spent)
			if spent == nil {
				return
			}
			if gain := p.gain(ups, spent); gain > most+margin {
				best, most = spent, gain
			}
		}
		try(nil, 0)
		for _, l := range runners[:min(len(runners), mostTries)] {
			try([]move{l.sleep()}, l.at.ths*worthSwap)
		}
	}
	return best
}

// enough adds to the spent loads the trims that let a sleeping one wake at its least; nil where no
// trims are needed or they don't suffice.
func (p *plan) enough(wake *load, spent []move) []move {
	least := wake.levels[1]
	if hash, ok := wake.d.leastHash(); ok && wake.d.trims(p.now) && hash.cost < least.cost {
		least = hash
	}
	short := least.cost - wake.bound - p.room.usual
	for _, m := range spent {
		short -= m.from.cost - m.to.cost
	}
	if short <= 0 {
		return nil
	}
	trims, _ := p.trims(short, func(l *load) bool {
		rest := trimRest
		if l.d.traits.Trim.Restarts {
			rest = restartEvery
		}
		return p.now-l.d.lastWrite >= rest && (len(spent) == 0 || spent[0].load != l)
	})
	if trims == nil {
		return nil
	}
	return append(spent, trims...)
}

func (l *load) sleep() move { return move{load: l, from: l.at, to: l.levels[0]} }

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
