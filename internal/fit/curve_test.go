package fit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCurve(t *testing.T) {
	stuck := device("s", plain, on)
	stuck.faults.stuck = true
	dark := device("d", s21, at(3500))
	for range 3 {
		dark.Missed(start)
	}
	observed := NewDevice("o", 0, true)
	observed.Learn(plain)
	observed.Saw(metered(start, Hashing, 3000, 0))
	cases := map[string]struct {
		devices []*Device
		want    []Point
	}{
		"none":                             {nil, []Point{{0, 0}}},
		"equals are one":                   {[]*Device{device("a", s21, at(3500)), device("b", s21, at(3500))}, []Point{{64, 0}, {7000, 400}}},
		"best first":                       {[]*Device{device("a", poor, at(3500)), device("b", good, at(3500))}, []Point{{64, 0}, {3532, 250}, {7000, 350}}},
		"profiles":                         {[]*Device{device("a", lux, in(lux, 2))}, []Point{{27, 0}, {1500, 84}, {2200, 114}, {3000, 140}}},
		"asleep":                           {[]*Device{device("a", plain, sleep)}, []Point{{20, 0}, {3150, 100}}},
		"can't sleep":                      {[]*Device{device("a", models[5], at(2000))}, []Point{{900, 40.5}, {2000, 90}}},
		"can do nothing":                   {[]*Device{device("a", with(plain, func(t *Traits) { t.CanSleep = false }), on)}, []Point{{3000, 100}}},
		"what can't be told holds its own": {[]*Device{stuck, dark, observed, device("a", s21, at(3500))}, []Point{{3000 + 3675 + 3150 + 32, 200}, {3000 + 3675 + 3150 + 3500, 400}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Curve(c.devices, start)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A curve starts at the floors, rises, is concave, short, and ends at everything.
func TestCurveShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var devices []*Device
		full := Watts(0)
		for i := range rapid.IntRange(0, 120).Draw(t, "n") {
			m := drawMachine(t, i, models)
			m.dev.Saw(shows(m.dev, 0, m.set))
			m.dev.Saw(shows(m.dev, start, m.set))
			m.dev.learned.health = rapid.IntRange(10, 22).Draw(t, "health")
			devices = append(devices, m.dev)
			full += m.dev.cost(m.dev.full())
		}
		curve, sum := Curve(devices, start), Sum(devices, start)
		if curve[0].Watts != sum.Floor || curve[len(curve)-1].Watts != full || len(curve) > 32 {
			t.Fatalf("%d points from %d W to %d W, want %d W to %d W", len(curve), curve[0].Watts, curve[len(curve)-1].Watts, sum.Floor, full)
		}
		last := 1e9
		for i := 1; i < len(curve); i++ {
			w, h := curve[i].Watts-curve[i-1].Watts, curve[i].THs-curve[i-1].THs
			if w <= 0 || h <= 0 || h/float64(w) > last*(1+1e-9) {
				t.Fatalf("point %d: %v after %v, slope before %g", i, curve[i], curve[i-1], last)
			}
			last = h / float64(w)
		}
	})
}

// A lease of a point's watts makes the point's hash rate: no point promises what Fit can't do.
func TestCurveIsUsable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSite(t, rapid.IntRange(1, 6).Draw(t, "n"), models)
		for _, m := range s.machines {
			m.flutter = 0
		}
		// Each has run once: the first time, a machine may turn out to draw more than its nameplate says.
		s.allowance = Sum(s.devices, 0).Rated
		s.run(t, 200*sec)
		s.allowance = 0
		s.run(t, 700*sec)
		curve := Curve(s.devices, s.now)
		point := curve[rapid.IntRange(0, len(curve)-1).Draw(t, "point")]
		s.allowance = point.Watts
		s.run(t, 400*sec)
		if made := s.ths(); made < point.THs*(1-1e-9) {
			for _, d := range s.devices {
				t.Logf("%s at %+v, bound %d W, full %v", d.key, d.present(s.now), d.Bound(s.now), d.full())
			}
			t.Errorf("%.1f TH/s with %v of %v", made, point, curve)
		}
	})
}

func TestSum(t *testing.T) {
	a, b, c := device("a", s21, at(3500)), device("b", s21, sleep), device("c", lux, sleep)
	stuck, dark, unread := device("d", plain, on), device("e", s21, at(3000)), device("f", s21, at(3000))
	stuck.faults.stuck = true
	for range 3 {
		dark.Missed(start)
	}
	unread.Saw(Reading{At: start, State: Hashing})
	got := Sum([]*Device{a, b, c, stuck, dark, unread}, start)
	want := Totals{
		Bound:    3500 + 30 + 25 + 3000 + 3675 + 3675,
		Draw:     3500 + 30 + 25 + 3000 + 3675 + 3675,
		Floor:    32 + 30 + 25 + 3000 + 3675 + 32,
		Rated:    3675 + 3780 + 3150 + 3150 + 3675 + 3675,
		Volatile: 3780 - 30,
		Settle:   11 * sec,
		Counts:   Counts{Total: 6, Hashing: 2, Sleeping: 2, Unreachable: 1, Stuck: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	found := NewDevice("g", 0, false)
	found.Learn(s21)
	if got := Sum([]*Device{found}, start); got.Draw != 0 || got.Bound != 3675 {
		t.Errorf("draw %d W and bound %d W of a device that was never read, want nothing measured and its rated watts", got.Draw, got.Bound)
	}
	b.Write(start, at(2000))
	if got := Sum([]*Device{b}, start+10*sec).Settle; got != 51*sec {
		t.Errorf("settle %v while a wake is in flight, want what is left of it and a look", got)
	}
	if got := Sum([]*Device{c}, start).Settle; got != c.traits.Sleep.Worst+QuickPoll {
		t.Errorf("settle %v of one that sleeps, want what it takes once it was woken", got)
	}
	c.observe = true
	if got := Sum([]*Device{c}, start).Settle; got != 0 {
		t.Errorf("settle %v of one that is only watched", got)
	}
	if tr := unread.Trouble(start); tr != TroubleUnreadable {
		t.Errorf("trouble %q of a device without watts", tr)
	}
}
