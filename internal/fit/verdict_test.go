package fit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tick lets a device show the same setting each second until a time, obeying nothing, and lists when Fit
// told it what.
func tick(d *Device, others []*Device, now *time.Duration, until time.Duration, allowance Watts, shown Setting) []time.Duration {
	var wrote []time.Duration
	for ; *now < until; *now += sec {
		d.readsAt(*now, shown)
		for _, o := range others {
			o.readsAt(*now, o.command)
		}
		for _, o := range Fit(append(others, d), allowance, 0, *now) {
			o.Device.Write(*now, o.Setting)
			if o.Device == d {
				wrote = append(wrote, *now-start)
			}
		}
	}
	return wrote
}

// A device that acknowledges sleep and hashes on is told twice more, spaced, and is stuck then: it holds
// its own watts and no more, can't be shed, and is asked again every now and then. It comes back by itself.
// Rules: liveness b.
func TestDeafDevice(t *testing.T) {
	d, now := device("d", s21, at(3500)), start
	wrote := tick(d, nil, &now, start+60*sec, 0, at(3500))
	if diff := cmp.Diff([]time.Duration{0, 20 * sec, 50 * sec}, wrote); diff != "" {
		t.Errorf("told at (-want +got):\n%s", diff)
	}
	if c := d.Condition(now); c == IsStuck {
		t.Error("stuck before the last retry was verified")
	}
	tick(d, nil, &now, start+62*sec, 0, at(3500))
	if c, tr, f := d.Condition(now), d.Trouble(now), d.Floor(now); c != IsStuck || tr != TroubleStuck || f != 3500 {
		t.Errorf("condition %s, trouble %s, floor %d W", c, tr, f)
	}
	wrote = tick(d, nil, &now, start+1300*sec, 0, at(3500))
	if diff := cmp.Diff([]time.Duration{660 * sec, 1270 * sec}, wrote); diff != "" {
		t.Errorf("asked again at (-want +got):\n%s", diff)
	}
	d.readsAt(now, sleep)
	if c, f := d.Condition(now), d.Floor(now); c != IsSleeping || f != 30 {
		t.Errorf("after it obeyed: condition %s, floor %d W", c, f)
	}
}

// A write that got no answer and no effect is repeated as soon as that is seen, once; then as one that was ignored, but
// once a minute and not every ten.
// Rules: liveness b.
func TestALostOrderIsRepeatedAtOnce(t *testing.T) {
	d, now := device("d", s21, at(3500)), start
	var wrote []time.Duration
	for ; now < start+200*sec; now += sec {
		d.readsAt(now, at(3500))
		for _, o := range Fit([]*Device{d}, 0, 0, now) {
			d.Write(now, o.Setting)
			d.Unanswered()
			wrote = append(wrote, now-start)
		}
	}
	if diff := cmp.Diff([]time.Duration{0, 10 * sec, 40 * sec, 110 * sec, 180 * sec}, wrote); diff != "" {
		t.Errorf("told at (-want +got):\n%s", diff)
	}
}

// So is one that a restart of the machine undid before it was ever seen done.
// Rules: liveness b.
func TestAnOrderThatARestartUndidIsRepeatedAtOnce(t *testing.T) {
	d, now := device("d", s21, at(3500)), start
	var wrote []time.Duration
	for ; now < start+60*sec; now += sec {
		r := shows(d, now, at(3500))
		if r.Uptime = now - start - 3*sec; r.Uptime <= 0 { // it starts between the first order and the second
			r.Uptime += 3600 * sec
		}
		d.Saw(r)
		for _, o := range Fit([]*Device{d}, 0, 0, now) {
			d.Write(now, o.Setting)
			wrote = append(wrote, now-start)
		}
	}
	if diff := cmp.Diff([]time.Duration{0, 10 * sec, 40 * sec}, wrote); diff != "" {
		t.Errorf("told at (-want +got):\n%s", diff)
	}
}

// Others are shed in the place of a device whose order was found undone, at once and not after retries.
// Rules: liveness b.
func TestOthersInItsPlace(t *testing.T) {
	d, other := device("d", with(s21, func(t *Traits) { t.NameplateTHs = 100 }), at(3500)), device("o", lux, in(lux, 2))
	both := []*Device{d, other}
	orders := Fit(both, 3200, 0, start)
	if diff := cmp.Diff([]string{"d Sleep"}, told(orders)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	give(orders, start)
	d.readsAt(start+9*sec, at(3500))
	other.readsAt(start+9*sec, in(lux, 2))
	if orders := Fit(both, 3200, 0, start+9*sec); len(orders) > 0 {
		t.Errorf("in flight, yet %v", told(orders))
	}
	d.readsAt(start+11*sec, at(3500))
	orders = Fit(both, 3200, 0, start+11*sec)
	if diff := cmp.Diff([]string{"o Sleep"}, told(orders)); diff != "" {
		t.Errorf("found undone (-want +got):\n%s", diff)
	}
}

// Nor is a retry counted on while it is in flight.
func TestRetryInFlight(t *testing.T) {
	d := device("d", poor, at(3500))
	o, p := device("o", lux, in(lux, 2)), device("p", plain, on)
	all := []*Device{d, o, p}
	d.Write(start, sleep)
	d.readsAt(start+11*sec, at(3500))
	d.Write(start+22*sec, sleep)
	o.readsAt(start+23*sec, in(lux, 2))
	p.readsAt(start+23*sec, on)
	if diff := cmp.Diff([]string{"p Sleep"}, told(Fit(all, 6600, 0, start+23*sec))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A device that obeyed and is then read hashing is told again at once, expected to obey, and named.
func TestRebootedHot(t *testing.T) {
	d, other := device("d", s21, at(3500)), device("o", lux, in(lux, 2))
	both := []*Device{d, other}
	d.Write(start, sleep)
	d.readsAt(start+11*sec, sleep)
	other.readsAt(start+11*sec, in(lux, 2))
	if orders := Fit(both, 3100, 0, start+11*sec); len(orders) > 0 {
		t.Fatalf("at rest, yet %v", told(orders))
	}
	d.Saw(metered(start+15*sec, Starting, 300, 3500))
	orders := Fit(both, 3100, 0, start+15*sec)
	if diff := cmp.Diff([]string{"d Sleep"}, told(orders)); diff != "" {
		t.Errorf("starting (-want +got):\n%s", diff)
	}
	if tr := d.Trouble(start + 15*sec); tr != TroubleRebooted {
		t.Errorf("trouble %q", tr)
	}
	give(orders, start+15*sec)
	d.readsAt(start+26*sec, sleep)
	if tr := d.Trouble(start + 26*sec); tr != "" {
		t.Errorf("trouble %q after it obeyed", tr)
	}
	d.readsAt(start+31*sec, at(3500))
	if diff := cmp.Diff([]string{"d 3500W"}, told(Fit(both, 7000, 0, start+31*sec))); diff != "" {
		t.Errorf("everything may run (-want +got):\n%s", diff)
	}
}

// A device read above its target, or with another one above it, is told it again.
func TestTargetIsReasserted(t *testing.T) {
	for name, r := range map[string]Reading{
		"both":   metered(start+25*sec, Hashing, 3500, 3500),
		"target": metered(start+25*sec, Hashing, 2500, 3500),
		"watts":  metered(start+25*sec, Hashing, 3500, 2500),
	} {
		d := device("d", s21, at(3500))
		d.Write(start, at(2500))
		d.readsAt(start+21*sec, at(2500))
		d.Saw(r)
		if diff := cmp.Diff([]string{"d 2500W"}, told(Fit([]*Device{d}, 2600, 0, start+25*sec))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Where targets are acknowledged and not followed, the device is slept instead; where it can't sleep it
// is stuck.
func TestTargetsNotFollowed(t *testing.T) {
	small := with(s21, func(t *Traits) { t.CanSleep = false })
	for name, c := range map[string]struct {
		traits Traits
		want   Condition
		order  []string
	}{
		"can sleep":   {s21, IsHashing, []string{"d Sleep"}},
		"can't sleep": {small, IsStuck, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := device("d", c.traits, at(3500))
			now := start
			for range 3 {
				d.Write(now, at(3000))
				now += 21 * sec
				d.readsAt(now, at(3500))
			}
			if got := d.Condition(now); got != c.want {
				t.Errorf("condition %s", got)
			}
			if diff := cmp.Diff(c.order, told(Fit([]*Device{d}, 3100, 0, now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Watts decide whether a target is followed, not the target that firmware repeats. There is no time for a
// retry where nothing else can be shed.
func TestTargetFollowedByWordOnly(t *testing.T) {
	d := device("d", s21, at(3500))
	d.Write(start, at(2500))
	d.Saw(metered(start+21*sec, Hashing, 3400, 2500))
	d.Saw(metered(start+34*sec, Hashing, 3400, 2500))
	if diff := cmp.Diff([]string{"d Sleep"}, told(Fit([]*Device{d}, 2600, 0, start+34*sec))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A device that does not wake is tried again ever more rarely, counts as stuck, and offers no watts.
func TestOversleeps(t *testing.T) {
	d, now := device("d", s21, sleep), start
	wrote := tick(d, nil, &now, start+900*sec, 4000, sleep)
	if diff := cmp.Diff([]time.Duration{0, 120 * sec, 420 * sec}, wrote); diff != "" {
		t.Errorf("told at (-want +got):\n%s", diff)
	}
	if c, curve := d.Condition(now), Curve([]*Device{d}, now); c != IsStuck || len(curve) != 1 {
		t.Errorf("condition %s, curve %v", c, curve)
	}
	d.Write(now, sleep)
	now += 61 * sec
	d.readsAt(now, sleep)
	if c := d.Condition(now); c != IsStuck {
		t.Errorf("condition %s once told to sleep", c)
	}
	d.Write(now, at(3500))
	now += 61 * sec
	d.readsAt(now, at(3500))
	if c, curve := d.Condition(now), Curve([]*Device{d}, now); c != IsHashing || len(curve) < 2 {
		t.Errorf("awake: condition %s, curve %v", c, curve)
	}
}

// A device that firmware keeps below its target offers what it does, and can be shed.
func TestKeptLow(t *testing.T) {
	d, now := device("d", s21, at(2400)), start
	d.SetPrior(at(3500))
	wrote := tick(d, nil, &now, start+900*sec, 4000, at(2400))
	if len(wrote) != 3 {
		t.Errorf("told at %v, want thrice in a quarter of an hour", wrote)
	}
	curve := Curve([]*Device{d}, now)
	if last := curve[len(curve)-1]; len(curve) != 2 || last.Watts != 2400 || curve[0].Watts != 32 || d.Condition(now) != IsHashing {
		t.Errorf("condition %s, curve %v", d.Condition(now), curve)
	}
}

// What is remembered of another machine that was taken for this one is not what this one ran.
func TestNoSettingOfAnother(t *testing.T) {
	d := device("d", s21, sleep)
	d.SetPrior(Setting{Kind: HashMode, Watts: 3010, Mode: "default"})
	if got := d.full(); got != at(3500) {
		t.Errorf("full is %v on a machine without profiles", got)
	}
	d = device("d", lux, sleep)
	d.SetPrior(in(lux, 1))
	if got := d.full(); got != in(lux, 1) {
		t.Errorf("full is %v, want the profile it ran", got)
	}
	d = device("d", plain, sleep)
	d.SetPrior(at(3200))
	if got := d.full(); got.Kind != HashMode || got.Watts != 0 {
		t.Errorf("full is %v on a machine without targets", got)
	}
}

// An order that never left says nothing of the machine, however often: it is given again at once.
func TestUnsent(t *testing.T) {
	d := device("d", s21, at(3500))
	all := []*Device{d}
	for i := range 5 {
		d.Write(start, sleep)
		d.Unsent()
		if orders := Fit(all, 0, 0, start); len(orders) != 1 || d.Condition(start) != IsHashing || d.Bound(start) != 3500 {
			t.Fatalf("attempt %d: orders %v, condition %s, bound %d W", i, told(orders), d.Condition(start), d.Bound(start))
		}
	}
	d.Unsent() // there is none
}

// A refused order is not repeated at once, and after three the device can't be counted on for a while.
func TestRefusals(t *testing.T) {
	d := device("d", s21, at(3500))
	d.Write(start-100*sec, at(3500))
	all := []*Device{d}
	now, rest := start, 10*sec
	d.readsAt(now, at(3500))
	for i := range 3 {
		if orders := Fit(all, 0, 0, now); len(orders) != 1 {
			t.Fatalf("attempt %d: %v", i, told(orders))
		}
		d.Write(now, sleep)
		d.Refused(now)
		d.readsAt(now+rest-sec, at(3500))
		if orders := Fit(all, 0, 0, now+rest-sec); len(orders) > 0 {
			t.Errorf("attempt %d: %v within its rest", i, told(orders))
		}
		d.readsAt(now+rest, at(3500))
		now, rest = now+rest, 2*rest
	}
	if c, f := d.Condition(now), d.Floor(now); c != IsStuck || f != 3500 {
		t.Errorf("condition %s, floor %d W", c, f)
	}
	if orders := Fit(all, 0, 0, now); len(orders) != 1 {
		t.Errorf("no further attempt: %v", told(orders))
	}
	d.Write(now, sleep)
	d.readsAt(now+11*sec, sleep)
	if c := d.Condition(now + 11*sec); c != IsSleeping {
		t.Errorf("after it obeyed: condition %s", c)
	}
}

// Writes that restart mining have a budget; a shed is exempt.
func TestRestartBudget(t *testing.T) {
	d := device("d", plain, sleep)
	all := []*Device{d}
	d.Write(start, on)
	d.readsAt(start+61*sec, on)
	orders := Fit(all, 100, 0, start+62*sec)
	if diff := cmp.Diff([]string{"d Sleep"}, told(orders)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	give(orders, start+62*sec)
	for _, after := range []time.Duration{300 * sec, 599 * sec} {
		d.readsAt(start+after, sleep)
		if orders := Fit(all, 4000, 0, start+after); len(orders) > 0 {
			t.Errorf("%v after %v", told(orders), after)
		}
	}
	d.readsAt(start+600*sec, sleep)
	if orders := Fit(all, 4000, 0, start+600*sec); len(orders) != 1 {
		t.Error("not woken when the budget was there again")
	}
}

// A sleep that was lost and is no longer wanted is no reason to restart mining that was restarted lately.
func TestRestartBudgetOfALostSleep(t *testing.T) {
	restarts := with(lux, func(t *Traits) { t.Trim.Restarts, t.Wake.Restarts = true, true })
	d := device("d", restarts, in(lux, 2))
	d.Write(start, in(lux, 0))
	d.readsAt(start+61*sec, in(lux, 0))
	d.Write(start+62*sec, sleep)
	d.Unanswered()
	for _, after := range []time.Duration{80 * sec, 300 * sec, 599 * sec, 600 * sec} {
		d.readsAt(start+after, in(lux, 0))
		orders := told(Fit([]*Device{d}, 4000, 0, start+after))
		if spent := after < restartEvery; spent == (len(orders) > 0) {
			t.Errorf("%v after %v", orders, after)
		}
	}
}

// A device that takes long to start is not taken for one that does not follow.
func TestSlowStart(t *testing.T) {
	d := device("d", s21, sleep)
	d.Write(start, at(2000))
	d.Saw(metered(start+61*sec, Starting, 500, 2000))
	d.readsAt(start+65*sec, at(2000))
	if diff := cmp.Diff([]string{"d 3500W"}, told(Fit([]*Device{d}, 3600, 0, start+65*sec))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A device that failed and was put to sleep for it is left asleep for a while.
func TestFailedRests(t *testing.T) {
	d := device("d", s21, at(3500))
	d.Saw(metered(start, Failed, 100, 3500))
	d.Write(start, sleep)
	for i, want := range []int{0, 1} {
		now := start + failedRest - sec + time.Duration(i)*sec
		d.readsAt(now, sleep)
		if got := Fit([]*Device{d}, 4000, 0, now); len(got) != want {
			t.Errorf("%v: %v", now-start, told(got))
		}
	}
}
