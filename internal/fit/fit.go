package fit

import "time"

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
	cost := d.priced(o.Setting, now)
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

// reassert orders again what devices were told and do not do: at once what they had done before
// (rebooted hot), spaced and counted what they never did. Such retries are not expected to work, so
// others are shed in their place: one deaf device holds its own watts (liveness b). Where everything may
// run anyway, they may too.
func (p *plan) reassert() []Order {
	var orders []Order
	most := p.everything()
	for i := range p.loads {
		l := &p.loads[i]
		d := l.d
		if !d.repeats(p.now) {
			continue
		}
		set := d.command
		switch {
		case most <= p.allowance:
			if set = d.full(); set == d.command || d.worn(d.timing(set), p.now) {
				continue
			}
		case d.faults.tries == 0:
			p.expected -= l.at.cost - d.cost(set)
		case set.Kind != Sleep && d.traits.CanSleep && p.expected > p.allowance:
			continue // its target was tried; the shed may choose to sleep it
		}
		l.lower, l.higher = false, false
		orders = append(orders, Order{Device: d, Setting: set})
	}
	return orders
}

// repeats says that the device draws above its command and that it is time to tell it again.
func (d *Device) repeats(now time.Duration) bool {
	return !d.observe && !d.unreachable(now) && d.defies() && now >= max(d.faults.retryAt, d.faults.writeAt)
}

// everything is the most that bounds can sum up to with every device at full.
func (p *plan) everything() Watts {
	most := Watts(0)
	for i := range p.loads {
		l := &p.loads[i]
		most += l.bound
		if len(l.levels) > 0 {
			most += max(l.full().cost-l.bound, 0)
		}
	}
	return most
}
