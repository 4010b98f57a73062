package fit

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// plan is one call of Fit.
type plan struct {
	now, within time.Duration
	allowance   Watts
	loads       []load // by key
	expected    Watts  // sum
	sway        Watts  // how far the sum of bounds strays by itself
	// room is what raises may use, later what they may use once the sheds in flight have settled.
	room, later room
	// upward are the moves that raise, once they were listed.
	upward []move
}

// room is watts free under the allowance, counted in two ways. In either a raise that fits keeps the sum
// of bounds within the allowance: usual counts what runs at its usual bound with the flutter of all on
// top, worst counts it as if its setting were in flight. Usual leaves less unused among many devices;
// worst is how a curve counts, so that a lease of one of its points can be used to the last watt.
type room struct{ usual, worst Watts }

func (r room) fits(grow room) bool { return grow.usual <= r.usual || grow.worst <= r.worst }
func (r room) less(grow room) room { return room{r.usual - grow.usual, r.worst - grow.worst} }
func (r room) plus(free Watts) room {
	return room{r.usual + free, r.worst + free}
}
func (r room) most() Watts { return max(r.usual, r.worst) }

// load is one device within a plan.
type load struct {
	d      *Device
	bound  Watts
	now    room  // what it is counted at, not free
	at     level // where it is, or will be once settled
	to     level // where the plan puts it
	levels []level
	grain  Watts // less room than that is no use for a part of a raise
	asleep bool
	lower  bool // may be ordered lower
	higher bool // may be ordered higher
	listed bool // among the orders
	spent  bool // put somewhere by a part of the plan that is being tried out
}

// move takes a load from one level to another.
type move struct {
	load     *load
	from, to level
	slope    float64
	tier     time.Duration // worst time where that is too long, else 0
}

func newPlan(devices []*Device, allowance Watts, within, now time.Duration) *plan {
	p := &plan{now: now, within: within, allowance: allowance, loads: make([]load, 0, len(devices))}
	levels := make([]level, 0, len(devices)*2+mostLevels)
	free, coming, sway := room{allowance, allowance}, Watts(0), 0.0
	for _, d := range sorted(devices) {
		l := load{d: d, bound: d.Bound(now), at: d.present(now), asleep: d.sleeps()}
		first := len(levels)
		levels = d.ladder(now, levels)
		l.levels = levels[first:len(levels):len(levels)]
		l.to, l.lower, l.higher = l.at, d.lowers(now, l), d.raises(now, l)
		l.grain = d.worthwhile()
		if hash, ok := d.leastHash(); ok && l.asleep {
			l.grain = hash.cost - l.bound
		}
		l.now = room{l.bound, l.bound}
		switch {
		case d.unsettled():
			coming += l.bound - l.at.cost
		case !d.observe && d.stands(now):
			l.now.usual = max(l.bound, Watts(math.Ceil(d.learned.calm)))
			l.now.worst = max(l.bound, d.cost(d.doing()))
			sway += d.learned.sway * d.learned.sway
		}
		p.expected += l.at.cost
		free = free.less(l.now)
		p.loads = append(p.loads, l)
	}
	p.sway = Watts(math.Ceil(math.Sqrt(sway)))
	p.room = free.less(room{usual: p.sway})
	p.later = p.room.plus(coming)
	return p
}

func sorted(devices []*Device) []*Device {
	byKey := func(a, b *Device) int { return cmp.Compare(a.key, b.key) }
	if slices.IsSortedFunc(devices, byKey) {
		return devices
	}
	s := slices.Clone(devices)
	slices.SortFunc(s, byKey)
	return s
}

// grow is what the load takes more of the room at a level it is ordered to.
func (l *load) grow(to level) room {
	if to == l.at {
		return room{}
	}
	return room{max(to.cost-l.now.usual, 0), max(to.cost-l.now.worst, 0)}
}

// full is the load's highest level.
func (l *load) full() level { return l.levels[len(l.levels)-1] }

// ordersFor lists the loads that moved, in the order of the moves.
func ordersFor(moves []move) []Order {
	var orders []Order
	for _, m := range moves {
		m.load.listed = false
	}
	for _, m := range moves {
		if l := m.load; !l.listed && l.to != l.at {
			l.listed = true
			orders = append(orders, Order{Device: l.d, Setting: l.d.setting(l.to)})
		}
	}
	return orders
}

// defies says that a valid reading showed the device drawing above its command.
func (d *Device) defies() bool {
	return d.commanded && d.judged && !d.verified && !d.unsettled()
}

// lowers says whether the device may be ordered lower. One that was told to sleep and does not is left
// to its retries; one whose write is in doubt is not told the same again.
func (d *Device) lowers(now time.Duration, l load) bool {
	if d.observe || d.faults.stuck || d.unreachable(now) || now < d.faults.writeAt {
		return false
	}
	if len(l.levels) == 0 || l.levels[0].cost >= l.at.cost {
		return false
	}
	if d.told() {
		return !d.unsettled() && !d.defies()
	}
	return d.traits.CanSleep || !d.doubtful(now)
}

// told says that the device is to sleep.
func (d *Device) told() bool { return d.commanded && d.command.Kind == Sleep }

// raises says whether the device may be ordered higher.
func (d *Device) raises(now time.Duration, l load) bool {
	if !d.obeys(now) || !d.proven(now) || now < max(d.faults.writeAt, d.faults.raiseAt) || len(l.levels) < 2 {
		return false
	}
	action, rest := d.traits.Trim, trimRest
	if l.asleep {
		action, rest = d.traits.Wake, d.traits.Sleep.Worst+wakeRest
	} else if d.last.State != Hashing {
		return false
	}
	return !d.worn(action, now) && now-d.lastWrite >= rest
}

// worn says that an action restarts mining, which was restarted too lately.
func (d *Device) worn(action Timing, now time.Duration) bool {
	return action.Restarts && now-d.restarted < restartEvery
}

// proven says that the newest reading stands, and shows the device doing no more than it was told.
func (d *Device) proven(now time.Duration) bool {
	return d.last.HasWatts && !d.unsettled() && !d.defies() && d.watched() && d.stands(now)
}
