package fit

import (
	"cmp"
	"slices"
	"time"
)

// Fit gives the orders that bring the devices under an allowance, or, where there is room, up to it.
// The sum of bounds after applying raises is never above the allowance.
func Fit(devices []*Device, allowance Watts, shedWithin, now time.Duration) []Order {
	var bound, expected Watts
	for _, d := range devices {
		bound += d.Bound(now)
		expected += d.expected(now)
	}
	if expected > allowance {
		return shed(devices, expected-allowance, shedWithin, now)
	}
	return raise(devices, allowance-bound, now)
}

// Allowed is the check before each device write: a shed always is, a raise only while it fits.
func Allowed(devices []*Device, o Order, allowance Watts, now time.Duration) bool {
	if o.Device.observe {
		return false
	}
	before := o.Device.Bound(now)
	after := max(before, o.Device.cost(o.Setting))
	if after == before {
		return true
	}
	var sum Watts
	for _, d := range devices {
		sum += d.Bound(now)
	}
	return sum+after-before <= allowance
}

func shed(devices []*Device, need Watts, _, now time.Duration) []Order {
	var orders []Order
	for _, d := range byEfficiency(devices) {
		if need <= 0 {
			break
		}
		if !d.obeys(now) || !d.traits.CanSleep || d.unsettled() || d.isAsleep(d.last) || now < d.tryAfter {
			continue
		}
		orders = append(orders, Order{Device: d, Setting: Setting{Kind: Sleep}})
		need -= d.expected(now) - d.sleepCost()
	}
	return orders
}

func raise(devices []*Device, room Watts, now time.Duration) []Order {
	var orders []Order
	sorted := byEfficiency(devices)
	for _, d := range slices.Backward(sorted) {
		if !d.obeys(now) || d.unsettled() || !d.isAsleep(d.last) || !d.watched() || now < d.tryAfter {
			continue
		}
		if more := d.cost(d.full()) - d.Bound(now); more <= room {
			orders = append(orders, Order{Device: d, Setting: d.full()})
			room -= more
		}
	}
	return orders
}

// byEfficiency lists the worst first.
func byEfficiency(devices []*Device) []*Device {
	s := slices.Clone(devices)
	slices.SortFunc(s, func(a, b *Device) int {
		return cmp.Or(cmp.Compare(a.yield(), b.yield()), cmp.Compare(b.key, a.key))
	})
	return s
}

// yield is TH/s per watt by nameplate.
func (d *Device) yield() float64 {
	if d.traits.Nameplate == 0 || d.traits.NameplateTHs == 0 {
		return 0.05
	}
	return d.traits.NameplateTHs / float64(d.traits.Nameplate)
}
