package fit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	good = with(s21, func(t *Traits) { t.NameplateTHs = 250 })
	poor = with(s21, func(t *Traits) { t.NameplateTHs = 100 })
)

func TestFit(t *testing.T) {
	deaf := func() *Device {
		d := device("deaf", plain, on)
		d.faults.stuck = true
		return d
	}
	dark := func() *Device {
		d := device("dark", s21, at(3500))
		for range 3 {
			d.Missed(start)
		}
		return d
	}
	prior := func(d *Device, s Setting) *Device { d.SetPrior(s); return d }
	cases := map[string]struct {
		devices   []*Device
		allowance Watts
		within    time.Duration
		want      []string
	}{
		"nothing to do": {[]*Device{device("a", s21, at(3500))}, 3500, 0, nil},

		// Sheds.
		"the least efficient sleeps": {
			[]*Device{device("a", poor, at(3500)), device("b", s21, at(3500)), device("c", good, at(3500))}, 7040, 0,
			[]string{"a Sleep"},
		},
		"one trimmed is enough": {[]*Device{device("a", s21, at(3500)), device("b", good, at(3500))}, 6800, 0, []string{"a 3300W"}},
		"a trim spares a sleep": {[]*Device{device("a", plain, on), device("b", s21, at(3500))}, 6000, 0, []string{"b 3000W"}},
		"too much for a trim": {
			[]*Device{device("a", plain, on), device("b", s21, at(3500))}, 3600, 0, []string{"a Sleep"},
		},
		"profiles step down where they are worth it": {[]*Device{device("a", lux, in(lux, 2)), device("b", good, at(3500))}, 5800, 0, []string{"a mode:mid@2200W"}},
		"everything sleeps": {
			[]*Device{device("a", plain, on), device("b", s21, at(3500)), device("c", lux, sleep)}, 0, 0,
			[]string{"a Sleep", "b Sleep"},
		},
		"equals sleep from the end": {
			[]*Device{device("a", s21, at(3500)), device("b", s21, at(3500))}, 3540, 0, []string{"b Sleep"},
		},
		"a stuck device is left alone": {[]*Device{deaf(), device("b", s21, at(3500))}, 3100, 0, []string{"b Sleep"}},
		"a dark device is the last resort": {
			[]*Device{dark(), device("b", s21, at(3500))}, 100, 0, []string{"b Sleep", "dark Sleep"},
		},
		"a dark device counts as rated": {
			[]*Device{dark(), device("b", s21, at(3500))}, 7100, 0, []string{"b 3420W"},
		},

		// Sheds in a hurry.
		"only what is fast enough": {
			[]*Device{device("a", plain, on), device("b", good, at(3500))}, 3600, 30 * sec, []string{"b Sleep"},
		},
		"the fastest where none is fast enough": {
			[]*Device{device("a", plain, on), device("b", good, at(3500))}, 3600, 2 * sec, []string{"b Sleep"},
		},
		"the rest in time too": {
			[]*Device{device("a", plain, on), device("b", good, at(3500))}, 100, 30 * sec, []string{"b Sleep", "a Sleep"},
		},
		"a trim where only that is fast": {
			[]*Device{device("a", with(s21, func(t *Traits) { t.Sleep.Worst = 60 * sec }), at(3500))}, 2000, 20 * sec,
			[]string{"a 2000W"},
		},

		// Raises.
		"the most efficient wakes": {
			[]*Device{device("a", plain, sleep), device("b", good, sleep), device("c", s21, sleep)}, 3800, 0, []string{"b 3500W"},
		},
		"equals wake from the start": {[]*Device{device("a", plain, sleep), device("b", plain, sleep)}, 3200, 0, []string{"a mode:"}},
		"what it ran before":         {[]*Device{prior(device("a", s21, sleep), at(3000))}, 5000, 0, []string{"a 3000W"}},
		"or less, to fit":            {[]*Device{prior(device("a", s21, sleep), at(3000))}, 2500, 0, []string{"a 2380W"}},
		"or a lower profile":         {[]*Device{device("a", lux, sleep)}, 2500, 0, []string{"a mode:mid@2200W"}},
		"or not at all":              {[]*Device{device("a", s21, sleep)}, 1800, 0, nil},
		"never above what it ran":    {[]*Device{prior(device("a", s21, at(3000)), at(3000))}, 5000, 0, nil},
		"the last gap":               {[]*Device{device("a", plain, on), prior(device("b", s21, at(2000)), at(3500))}, 6000, 0, []string{"b 3000W"}},
		"a gap not worth a write":    {[]*Device{prior(device("b", s21, at(2970)), at(3500))}, 3000, 0, nil},
		"a wake rather than the gap": {
			[]*Device{prior(device("a", s21, at(1800)), at(2800)), device("b", lux, sleep)}, 3420, 0, []string{"b mode:low@1500W", "a 1840W"},
		},
		"a failed device is not raised": {
			[]*Device{func() *Device {
				d := prior(device("a", s21, at(2000)), at(3500))
				d.Saw(metered(start, Failed, 100, 2000))
				return d
			}()}, 4000, 0, nil,
		},

		// Improvements.
		"room for one more":    {[]*Device{device("a", s21, at(3500)), device("b", s21, sleep)}, 4200, 0, []string{"a 2310W"}},
		"a better one asleep":  {[]*Device{device("a", poor, at(3500)), device("b", good, sleep)}, 3700, 0, []string{"a Sleep"}},
		"no better one asleep": {[]*Device{device("a", s21, at(3500)), device("b", s21, sleep)}, 3560, 0, nil},
		"a failed one holds watts": {
			[]*Device{func() *Device {
				d := device("a", s21, at(3500))
				d.Saw(metered(start, Failed, 100, 3500))
				return d
			}(), device("b", s21, sleep)}, 4000, 0, []string{"a Sleep"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := told(Fit(c.devices, c.allowance, c.within, start))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
