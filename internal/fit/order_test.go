package fit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is in flight counts as done for sheds and as not done for raises.
func TestInFlight(t *testing.T) {
	a, b, c := device("a", s21, at(3500)), device("b", s21, at(3500)), device("c", lux, sleep)
	all := []*Device{a, b, c}
	orders := Fit(all, 3600, 0, start)
	if diff := cmp.Diff([]string{"b Sleep"}, told(orders)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	give(orders, start)
	if orders := Fit(all, 3600, 0, start+sec); len(orders) > 0 {
		t.Errorf("shed twice: %v", told(orders))
	}
	if orders := Fit(all, 6700, 0, start+sec); len(orders) > 0 {
		t.Errorf("raised on watts that are not free yet: %v", told(orders))
	}
	for _, d := range all {
		d.readsAt(start+11*sec, d.running())
	}
	a.readsAt(start+11*sec, at(3500))
	b.readsAt(start+11*sec, sleep)
	c.readsAt(start+11*sec, sleep)
	if diff := cmp.Diff([]string{"c mode:default@3000W"}, told(Fit(all, 6800, 0, start+11*sec))); diff != "" {
		t.Errorf("verified free (-want +got):\n%s", diff)
	}
}

// A shed that nobody saw done in time is not counted on any longer.
func TestInFlightWithoutNews(t *testing.T) {
	a, b := device("a", poor, at(3500)), device("b", s21, at(3500))
	all := []*Device{a, b}
	give(Fit(all, 3600, 0, start), start)
	a.Missed(start + 12*sec)
	b.readsAt(start+19*sec, at(3500))
	if orders := Fit(all, 3600, 0, start+19*sec); len(orders) > 0 {
		t.Errorf("too soon: %v", told(orders))
	}
	if diff := cmp.Diff([]string{"b Sleep"}, told(Fit(all, 3600, 0, start+20*sec))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Devices rest between writes as long as the lease does not force one.
func TestRests(t *testing.T) {
	restarts := with(lux, func(t *Traits) { t.Trim.Restarts = true })
	fine := with(plain, func(t *Traits) { t.NameplateTHs = 200 })
	cases := map[string]struct {
		traits       Traits
		found, wrote Setting
		better       bool // one sleeps beside it
		allowance    Watts
		rest         time.Duration
		want         string
	}{
		"a wake after a sleep":     {s21, at(3500), sleep, false, 3700, s21.Sleep.Worst + wakeRest, "d 3500W"},
		"a large raise":            {s21, at(3500), at(2000), false, 3700, trimRest, "d 3500W"},
		"a small raise":            {s21, at(3500), at(3300), false, 3700, touchRest, "d 3500W"},
		"a restart":                {restarts, in(lux, 2), in(lux, 0), false, 3700, restartEvery, "d mode:default@3000W"},
		"a sleep for a better one": {plain, on, on, true, 3400, dwell, "d Sleep"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := device("d", c.traits, c.found)
			all := []*Device{d}
			if c.better {
				all = append(all, device("e", fine, sleep))
			}
			d.Write(start, c.wrote)
			for i, want := range [][]string{nil, {c.want}} {
				after := c.rest - sec + time.Duration(i)*sec
				d.readsAt(start+after, c.wrote)
				for _, other := range all[1:] {
					other.readsAt(start+after, sleep)
				}
				if diff := cmp.Diff(want, told(Fit(all, c.allowance, 0, start+after))); diff != "" {
					t.Errorf("after %v (-want +got):\n%s", after, diff)
				}
			}
			if got := Fit(all, 1000, 0, start+c.rest); c.wrote.Kind != Sleep && len(got) == 0 {
				t.Error("a lease forced nothing")
			}
		})
	}
}

// An edit of the uncertainty is no reason to count a device as if this run had just met it, nor to restart it sooner.
func TestADeviceUnderAnotherUncertaintyRests(t *testing.T) {
	restarts := with(lux, func(t *Traits) { t.Trim.Restarts = true })
	d := device("d", restarts, in(lux, 2))
	d.Write(start, in(lux, 0))
	for i, want := range [][]string{nil, {"d mode:default@3000W"}} {
		now := start + restartEvery - sec + time.Duration(i)*sec
		again := d.readsAt(now-sec, in(lux, 0)).Again(9, false).readsAt(now, in(lux, 0))
		if diff := cmp.Diff(want, told(Fit([]*Device{again}, 3700, 0, now))); diff != "" {
			t.Errorf("%v after a restart (-want +got):\n%s", now-start, diff)
		}
		if bound := again.Bound(now); bound >= again.Rated() {
			t.Errorf("it counts at %d W, rated %d W", bound, again.Rated())
		}
	}
}

// A fresh run sleeps nobody for a better one before it has watched all of them: until then they are counted at rated,
// awake or asleep, and what one gives up does not come free (L3).
func TestAFreshRunWatchesBeforeItSwaps(t *testing.T) {
	better := with(plain, func(t *Traits) {
		t.NameplateTHs, t.Sleep.Worst, t.Wake.Worst, t.Trim.Worst = 200, 20*sec, 20*sec, 20*sec
	})
	found := map[string]Traits{"a": plain, "b": better, "c": plain}
	set := map[string]Setting{"a": on, "b": sleep, "c": on}
	var all []*Device
	for _, key := range []string{"a", "b", "c"} {
		d := NewDevice(key, 5, false)
		d.Learn(found[key])
		all = append(all, d.readsAt(0, set[key]))
	}
	for i, want := range [][]string{nil, {"c Sleep"}} {
		now := 59*sec + time.Duration(i)*sec
		for _, d := range all {
			d.readsAt(now, set[d.key])
		}
		if diff := cmp.Diff(want, told(Fit(all, 6800, 0, now))); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", now, diff)
		}
	}
}

// Watts that come and go are not given away when they are gone: a bound that flutters counts at its usual
// with its flutter, and what a write moved is no flutter.
func TestFlutter(t *testing.T) {
	a, b := device("a", plain, on), device("b", plain, sleep)
	all, now := []*Device{a, b}, start
	for i := range 40 {
		now += Poll
		a.Saw(metered(now, Hashing, 2990+Watts(i%2)*40, 0))
		b.readsAt(now, sleep)
	}
	a.Saw(metered(now+Poll, Hashing, 2990, 0))
	b.readsAt(now+Poll, sleep)
	if orders := Fit(all, 2990+3150, 0, now+Poll); len(orders) > 0 {
		t.Errorf("raised into flutter: %v", told(orders))
	}
	if orders := Fit(all, 3040+3150, 0, now+Poll); len(orders) != 1 {
		t.Error("not raised with room for flutter")
	}

	c := device("c", s21, at(2100))
	c.SetPrior(at(2100))
	c.Write(start, at(2040))
	c.readsAt(start+21*sec, at(2040))
	b = device("b", plain, sleep).readsAt(start+21*sec, sleep)
	if diff := cmp.Diff([]string{"b mode:"}, told(Fit([]*Device{b, c}, 2041+3150, 0, start+21*sec))); diff != "" {
		t.Errorf("after a write (-want +got):\n%s", diff)
	}
}

// A machine that lost a board is the first to sleep; a little less hash rate is noise.
func TestHealth(t *testing.T) {
	cases := map[string]struct {
		ths  float64
		want string
	}{
		"noise":        {196, "b Sleep"},
		"a board lost": {133, "a Sleep"},
	}
	for name, c := range cases {
		a, b := device("a", s21, at(3500)), device("b", s21, at(3500))
		now := start
		for range 60 {
			now += Poll
			r := shows(a, now, at(3500))
			r.THs = c.ths
			a.Saw(r)
			b.readsAt(now, at(3500))
		}
		if diff := cmp.Diff([]string{c.want}, told(Fit([]*Device{a, b}, 3540, 0, now))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Orders to a device that does not answer are spaced.
func TestBlindOrders(t *testing.T) {
	d := device("d", s21, at(3500))
	for range 3 {
		d.Missed(start)
	}
	all := []*Device{d}
	give(Fit(all, 0, 0, start), start)
	if !d.blind {
		t.Fatal("not told")
	}
	live := device("e", s21, at(3500))
	if diff := cmp.Diff([]string{"e Sleep"}, told(Fit([]*Device{d, live}, 3600, 0, start+sec))); diff != "" {
		t.Errorf("it is not counted on (-want +got):\n%s", diff)
	}
	for after, want := range map[time.Duration]int{sec: 0, 59 * sec: 0, 60 * sec: 1} {
		if got := len(Fit(all, 0, 0, start+after)); got != want {
			t.Errorf("%d orders after %v, want %d", got, after, want)
		}
	}
}

func TestAllowed(t *testing.T) {
	a, b := device("a", s21, at(3500)), device("b", s21, sleep)
	all := []*Device{a, b}
	cases := map[string]struct {
		order     Order
		allowance Watts
		want      bool
	}{
		"a shed always":         {Order{a, sleep}, 0, true},
		"a trim always":         {Order{a, at(2000)}, 0, true},
		"a wake that fits":      {Order{b, at(2000)}, 5600, true},
		"a wake a watt too big": {Order{b, at(2000)}, 5599, false},
	}
	for name, c := range cases {
		if got := Allowed(all, c.order, c.allowance, start); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	a.Write(start, sleep)
	if Allowed(all, Order{a, at(3500)}, 2000, start+sec) {
		t.Error("a shed in flight may be taken back over the allowance")
	}
}

// A trim by less than the uncertainty of estimates is a shed all the same, whatever it may have cost from
// below: one that was not followed is ordered again at the edge of a lease.
func TestASmallTrimIsNoRaise(t *testing.T) {
	d := NewDevice("a", 5, false)
	d.Learn(s21)
	for _, at := range []time.Duration{start - 100*sec, start} {
		d.Saw(Reading{At: at, State: Hashing, HasWatts: true, Watts: 3300, Estimated: true, THs: 190, Target: 3500})
	}
	o := Order{d, at(3420)}
	if d.cost(o.Setting) <= d.Bound(start) {
		t.Fatal("this test is about a cost above the bound")
	}
	if !Allowed([]*Device{d}, o, 3500, start) {
		t.Error("refused, though the device draws less by it")
	}
	d.Write(start, o.Setting)
	if bound := d.Bound(start + sec); bound != 3500 {
		t.Errorf("bound %d W on the way down, want what it was", bound)
	}
	if Allowed([]*Device{d}, Order{d, at(3500)}, 3500, start+sec) {
		t.Error("while that is in flight nobody knows what it follows")
	}
}

// The order of the list changes nothing, the list is not changed, and the same call gives the same.
func TestDeterministic(t *testing.T) {
	devices, now := fleet(40, models)
	shuffled := append([]*Device(nil), devices...)
	rng := rand.New(rand.NewPCG(1, 2))
	sum := Sum(devices, now)
	for i := range 20 {
		allowance := sum.Rated * Watts(i) / 19
		want := told(Fit(devices, allowance, 0, now))
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		before := fmt.Sprint(keys(shuffled))
		if diff := cmp.Diff(want, told(Fit(shuffled, allowance, 0, now))); diff != "" {
			t.Fatalf("shuffled (-first +second):\n%s", diff)
		}
		if after := fmt.Sprint(keys(shuffled)); after != before {
			t.Fatal("the caller's list was sorted")
		}
		if diff := cmp.Diff(Curve(devices, now), Curve(shuffled, now)); diff != "" {
			t.Fatalf("curve (-first +second):\n%s", diff)
		}
	}
}

func keys(devices []*Device) []string {
	var k []string
	for _, d := range devices {
		k = append(k, d.Key())
	}
	return k
}

func TestPrior(t *testing.T) {
	cases := map[string]struct {
		device *Device
		want   Setting
	}{
		"a target it was found at":          {device("d", s21, at(2500)), at(2500)},
		"a profile it was found in":         {device("d", lux, in(lux, 1)), in(lux, 1)},
		"found asleep, nameplate":           {device("d", s21, sleep), at(3500)},
		"found asleep, profile":             {device("d", lux, sleep), in(lux, 2)},
		"found asleep, profiles above it":   {device("d", with(lux, func(t *Traits) { t.Nameplate = 2500 }), sleep), in(lux, 1)},
		"found asleep, all profiles above":  {device("d", with(lux, func(t *Traits) { t.Nameplate = 100 }), sleep), in(lux, 0)},
		"found asleep, nothing known":       {device("d", plain, sleep), on},
		"found asleep, naming a target":     {func() *Device { d := device("d", s21, sleep); d.Saw(metered(start, Sleeping, 30, 2700)); return d }(), at(2700)},
		"remembered":                        {func() *Device { d := device("d", s21, at(2000)); d.SetPrior(at(3300)); return d }(), at(3300)},
		"remembered, out of its range":      {func() *Device { d := device("d", s21, at(2000)); d.SetPrior(at(9999)); return d }(), at(9999)},
		"nothing to remember of one asleep": {func() *Device { d := device("d", s21, at(2000)); d.SetPrior(sleep); return d }(), at(2000)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.device.Write(start, sleep)
			c.device.Write(start+sec, at(1900))
			if diff := cmp.Diff(c.want, c.device.Prior()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A prior outside the machine's range is not commanded as it stands.
func TestPriorOutOfRange(t *testing.T) {
	d := device("d", s21, sleep)
	d.SetPrior(at(9999))
	if diff := cmp.Diff([]string{"d 3600W"}, told(Fit([]*Device{d}, 20_000, 0, start))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettingText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.Just(sleep),
			rapid.Custom(func(t *rapid.T) Setting { return at(Watts(rapid.IntRange(1, 99999).Draw(t, "w"))) }),
			rapid.Custom(func(t *rapid.T) Setting {
				return Setting{Kind: HashMode, Mode: rapid.StringMatching(`[a-zA-Z0-9 ._-]*`).Draw(t, "mode"), Watts: Watts(rapid.IntRange(0, 9999).Draw(t, "w"))}
			}),
		).Draw(t, "setting")
		got, err := ParseSetting(s.String())
		if err != nil || got != s {
			t.Fatalf("%v became %v, %v", s, got, err)
		}
	})
	for _, text := range []string{"", "sleep", "3500", "W", "-5W", "0W", "3500 W"} {
		if s, err := ParseSetting(text); err == nil {
			t.Errorf("%q taken for %v", text, s)
		}
	}
}

func TestAMachineWithoutATargetGoesBackToWhatItDrew(t *testing.T) {
	// Its supplies could give far more; nobody knows its nameplate.
	auradine := Traits{
		CanSleep: true, Min: 2480, Max: 4950, Step: 50, Nameplate: 4950, Residual: 60,
		Sleep: Timing{Worst: 60 * sec}, Wake: Timing{Worst: 300 * sec}, Trim: Timing{Worst: 300 * sec, Restarts: true},
	}
	look := func(d *Device, at time.Duration, w Watts, up time.Duration) {
		d.Saw(Reading{At: at, State: Hashing, HasWatts: true, Watts: w, Uptime: up})
	}
	d := NewDevice("a", 5, false)
	d.Learn(auradine)
	look(d, start-400*sec, 1200, 30*sec) // on its way up
	look(d, start-5*sec, 4140, 430*sec)
	look(d, start, 4120, 435*sec)
	if got := Fit([]*Device{d}, 20_000, 0, start); len(got) != 0 {
		t.Errorf("orders %v to a machine that does what it was set to, want none", told(got))
	}
	d.Write(start, sleep)
	asleep := start + 400*sec
	d.Saw(Reading{At: asleep, State: Sleeping, HasWatts: true, Watts: 60})
	d.Saw(Reading{At: asleep + 60*sec, State: Sleeping, HasWatts: true, Watts: 60})
	if got := told(Fit([]*Device{d}, 20_000, 0, asleep+60*sec)); !slices.Equal(got, []string{"a " + at(4150).String()}) {
		t.Errorf("orders %v, want back to 4150 W", got)
	}
}
