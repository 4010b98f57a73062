package fit

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// restartEvery is the budget of writes that restart mining, per device; sheds are exempt.
	restartEvery = 600 * time.Second
	// dwell is how long a device runs before a better one may take its watts.
	dwell = 600 * time.Second
	// wakeRest passes between a device's falling asleep and its wake; trimRest and touchRest between a
	// write to it and a raise of at least a tenth of its rated watts, and a smaller raise.
	wakeRest  = 30 * time.Second
	trimRest  = 60 * time.Second
	touchRest = 300 * time.Second
	// blindRest spaces the last resort, orders to devices that do not answer.
	blindRest = 60 * time.Second
)

// Fit gives the orders to give now, most urgent first, to stay under an allowance and, where there is
// room, to use it.
//
// Sheds are chosen on expected bounds: what is in flight counts as done, so that nothing is shed twice.
// Raises are chosen on bounds (L5): what is in flight counts at its old watts, so that the sum of bounds
// never passes the allowance by a raise. With shedWithin, only actions that settle within it are used
// as long as they suffice. With everything settled and a better use of the allowance at hand, single
// devices are trimmed or slept to make room for it. The same devices, allowance and time give the
// same orders.
func Fit(devices []*Device, allowance Watts, shedWithin, now time.Duration) []Order {
	p := newPlan(devices, allowance, shedWithin, now)
	orders := p.reassert()
	if p.expected > p.allowance {
		return append(orders, p.shed()...)
	}
	orders = append(orders, p.raise()...)
	if len(orders) == 0 {
		orders = p.improve()
	}
	return orders
}

// Allowed is the check before each device write: a shed always is, a raise only while the sum of
// bounds stays within the allowance with it.
func Allowed(devices []*Device, o Order, allowance Watts, now time.Duration) bool {
	d := o.Device
	if d.observe {
		return false
	}
	cost := d.cost(o.Setting)
	if cost <= d.expected(now) {
		return true
	}
	bound := d.Bound(now)
	sum := max(bound, cost) - bound
	for _, other := range devices {
		sum += other.Bound(now)
	}
	return sum <= allowance
}

// plan is one call of Fit.
type plan struct {
	now, within     time.Duration
	allowance       Watts
	loads           []load
	bound, expected Watts // sums
	// room is what raises may use: the allowance less the bounds as they are or, where that is more, as
	// they usually are with their flutter.
	room Watts
	// later is the room once the sheds in flight have settled.
	later Watts
	sway  Watts
	// upward are the moves that raise, once they were listed.
	upward []move
}

// load is one device within a plan.
type load struct {
	d      *Device
	bound  Watts
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
	calm, sway := 0.0, 0.0
	sorted := devices
	byKey := func(a, b *Device) int { return cmp.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(devices, byKey) {
		sorted = slices.Clone(devices)
		slices.SortFunc(sorted, byKey)
	}
	for _, d := range sorted {
		l := load{d: d, bound: d.Bound(now), at: d.present(now), asleep: d.sleeps()}
		start := len(levels)
		levels = d.ladder(now, levels)
		l.levels = levels[start:len(levels):len(levels)]
		l.to, l.lower, l.higher = l.at, d.lowers(now, l), d.raises(now, l)
		if l.higher {
			l.grain = d.worthwhile()
			if hash, ok := d.leastHash(); ok && l.asleep {
				l.grain = hash.cost - l.bound
			}
		}
		p.bound += l.bound
		p.expected += l.at.cost
		if d.unsettled() || d.observe || !d.stands(now) {
			calm += float64(l.bound)
			if d.unsettled() {
				p.later += l.bound - l.at.cost
			}
		} else {
			calm += max(d.learned.calm, float64(l.bound)-d.learned.sway)
			sway += d.learned.sway * d.learned.sway
		}
		p.loads = append(p.loads, l)
	}
	p.sway = Watts(math.Ceil(math.Sqrt(sway)))
	p.room = allowance - max(p.bound, Watts(math.Ceil(calm))+p.sway)
	p.later += p.room
	return p
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
	if d.commanded && d.command.Kind == Sleep {
		return !d.unsettled() && !d.defies()
	}
	return !d.doubtful(now) || d.traits.CanSleep
}

// raises says whether the device may be ordered higher.
func (d *Device) raises(now time.Duration, l load) bool {
	if !d.obeys(now) || d.unsettled() || d.defies() || !d.watched() || !d.stands(now) || !d.last.HasWatts {
		return false
	}
	if now < max(d.faults.writeAt, d.faults.raiseAt) || len(l.levels) < 2 {
		return false
	}
	action, rest := d.traits.Trim, trimRest
	if l.asleep {
		action, rest = d.traits.Wake, d.traits.Sleep.Worst+wakeRest
	} else if d.last.State != Hashing {
		return false
	}
	if action.Restarts && now-d.restarted < restartEvery {
		return false
	}
	return now-d.lastWrite >= rest
}

// reassert orders again what devices were told and do not do: at once what they had done before
// (rebooted hot), spaced and counted what they never did. Such retries are not expected to work, so
// others are shed in their place. Where everything may run anyway, they may too.
func (p *plan) reassert() []Order {
	var orders []Order
	var most Watts
	for i := range p.loads {
		l := &p.loads[i]
		most += l.bound
		if n := len(l.levels); n > 0 {
			most += max(l.levels[n-1].cost-l.bound, 0)
		}
	}
	for i := range p.loads {
		l := &p.loads[i]
		d := l.d
		if d.observe || d.unreachable(p.now) || !d.defies() || p.now < max(d.faults.retryAt, d.faults.writeAt) {
			continue
		}
		if d.faults.tries > 0 && d.command.Kind != Sleep && d.traits.CanSleep && p.expected > p.allowance {
			continue // its target was tried; the shed may choose to sleep it
		}
		set := d.command
		if most <= p.allowance {
			if set = d.full(); set == d.command {
				continue
			}
		} else if d.faults.tries == 0 {
			p.expected -= l.at.cost - d.cost(set)
		}
		l.lower, l.higher = false, false
		orders = append(orders, Order{Device: d, Setting: set})
	}
	return orders
}

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
