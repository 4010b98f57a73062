package fit

import (
	"fmt"
	"testing"
	"time"
)

// fleet is n devices of mixed models, half of them told to sleep, watched long enough to be trusted.
func fleet(n int, kinds []Traits) ([]*Device, time.Duration) {
	devices := make([]*Device, 0, n)
	now := 1000 * sec
	for i := range n {
		d := NewDevice(fmt.Sprintf("m%03d", i), 5, false)
		d.Learn(kinds[i%len(kinds)])
		look(d, 0, i%2 == 0)
		look(d, now, i%2 == 0)
		devices = append(devices, d)
	}
	return devices, now
}

// look shows a device asleep or at full.
func look(d *Device, at time.Duration, asleep bool) {
	full := d.full()
	r := Reading{At: at, State: Hashing, HasWatts: true, Estimated: true, Watts: d.nominal(full), THs: d.promised(full)}
	switch {
	case asleep && d.traits.CanSleep:
		r = Reading{At: at, State: Sleeping, HasWatts: true, Estimated: true, Watts: d.traits.Residual}
	case full.Kind == HashWatts:
		r.Target = full.Watts
	default:
		r.Mode = full.Mode
	}
	d.Saw(r)
}

func BenchmarkFit256(b *testing.B) {
	devices, now := fleet(256, models)
	sum := Sum(devices, now)
	for name, allowance := range map[string]Watts{
		"steady": sum.Bound + 40, "raise": sum.Rated, "shed": sum.Bound / 2, "floor": 0,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Fit(devices, allowance, 0, now)
			}
		})
	}
	b.Run("shedWithin", func(b *testing.B) {
		for b.Loop() {
			Fit(devices, sum.Bound/2, 10*sec, now)
		}
	})
	b.Run("Curve", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Curve(devices, now)
		}
	})
	b.Run("Sum", func(b *testing.B) {
		for b.Loop() {
			Sum(devices, now)
		}
	})
	b.Run("Allowed", func(b *testing.B) {
		for b.Loop() {
			Allowed(devices, Order{Device: devices[0], Setting: devices[0].full()}, sum.Rated, now)
		}
	})
}
