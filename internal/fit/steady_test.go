package fit

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// run plays seconds with nothing changing from outside.
func (s *site) run(t *rapid.T, d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.step(t)
	}
}

// best is the most hash rate any choice of settings makes whose costs fit the allowance, by trying
// them all (continuous targets in tenths of their range).
func best(s *site, allowance Watts) float64 {
	type option struct {
		cost Watts
		ths  float64
	}
	var options [][]option
	for _, m := range s.machines {
		d := m.dev
		var o []option
		add := func(set Setting) {
			l := d.level(set)
			o = append(o, option{l.cost, l.ths})
		}
		full := d.full()
		if d.traits.CanSleep {
			add(Setting{Kind: Sleep})
		}
		if d.traits.Max > 0 {
			for i := range Watts(10) {
				add(Setting{Kind: HashWatts, Watts: d.traits.Min + (full.Watts-d.traits.Min)*i/10})
			}
		}
		for _, mode := range d.traits.Modes {
			if mode.Watts < full.Watts {
				add(modeSetting(mode))
			}
		}
		add(full)
		options = append(options, o)
	}
	most := 0.0
	var walk func(i int, left Watts, ths float64)
	walk = func(i int, left Watts, ths float64) {
		if left < 0 {
			return
		}
		if i == len(options) {
			most = max(most, ths)
			return
		}
		for _, o := range options[i] {
			walk(i+1, left-o.cost, ths+o.ths)
		}
	}
	walk(0, allowance, 0)
	return most
}

func TestExplore(t *testing.T) {
	n, sum, worst := 0, 0.0, 2.0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSite(t, rapid.IntRange(1, 5).Draw(t, "n"), models)
		tot := Sum(s.devices, 0)
		s.allowance = tot.Rated
		s.run(t, 100*sec)
		tot = Sum(s.devices, s.now)
		s.allowance = tot.Floor + (tot.Rated-tot.Floor)*Watts(rapid.IntRange(0, 110).Draw(t, "percent"))/100
		s.run(t, 5000*sec)
		before := s.orders
		s.run(t, 2000*sec)
		if s.orders > before {
			for range 1000 {
				for _, o := range s.step(t) {
					fmt.Printf("%v %s %v bound %d allowance %d\n", s.now, o.Device.key, o.Setting, s.bound(), s.allowance)
				}
			}
			for _, d := range s.devices {
				fmt.Printf("%s %v at %v bound %d over %d full %v faults %+v\n", d.key, d.last, d.present(s.now), d.Bound(s.now), d.learned.over, d.full(), d.faults)
			}
			t.Fatalf("churn: %d orders", s.orders-before)
		}
		ths := 0.0
		step := 0.0
		for _, d := range s.devices {
			ths += d.present(s.now).ths
			step = max(step, d.ths(d.full()))
		}
		b := best(s, s.allowance)
		r := 1.0
		if b > 0 {
			r = (ths) / b
		}
		n++
		sum += r
		worst = min(worst, r)
		if r < 0.85 {
			fmt.Printf("ratio %.3f: got %.0f best %.0f step %.0f, bound %d of %d\n", r, ths, b, step, s.bound(), s.allowance)
			for _, d := range s.devices {
				fmt.Printf("   %s at %v bound %d full %v max %d modes %d\n", d.key, d.present(s.now), d.Bound(s.now), d.full(), d.traits.Max, len(d.traits.Modes))
			}
		}
	})
	t.Logf("n %d mean %.4f worst %.3f", n, sum/float64(n), worst)
}
