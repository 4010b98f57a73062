package fit

import (
	"testing"
	"time"
)

func metered(at time.Duration, s State, w, target Watts) Reading {
	return Reading{At: at, State: s, HasWatts: true, Watts: w, Target: target}
}

func estimated(at time.Duration, s State, w, target Watts) Reading {
	r := metered(at, s, w, target)
	r.Estimated = true
	return r
}

func working(at time.Duration, w Watts, ths float64) Reading {
	r := metered(at, Hashing, w, 0)
	r.THs = ths
	return r
}

// Rule L5, clause by clause. s21 is rated 3780 W: its highest target with 5 % uncertainty.
// Rules: L5, liveness h.
func TestBound(t *testing.T) {
	const rated = 3780
	long := start
	cases := map[string]struct {
		now  time.Duration
		want Watts
		do   func(d *Device)
	}{
		"never read":        {0, rated, func(*Device) {}},
		"not watched yet":   {59 * sec, rated, func(d *Device) { d.Saw(metered(0, Hashing, 3000, 0)); d.Saw(metered(59*sec, Hashing, 3000, 0)) }},
		"watched":           {60 * sec, 3000, func(d *Device) { d.Saw(metered(0, Hashing, 3000, 0)); d.Saw(metered(60*sec, Hashing, 3000, 0)) }},
		"an estimate":       {long, 3150, func(d *Device) { d.Saw(estimated(long, Hashing, 3000, 0)) }},
		"target above":      {long, 3200, func(d *Device) { d.Saw(metered(long, Hashing, 3000, 3200)) }},
		"target below":      {long, 3300, func(d *Device) { d.Saw(metered(long, Hashing, 3300, 3200)) }},
		"asleep":            {long, 37, func(d *Device) { d.Saw(metered(long, Sleeping, 37, 3500)) }},
		"asleep, estimated": {long, 39, func(d *Device) { d.Saw(estimated(long, Sleeping, 37, 0)) }},
		"asleep by word":    {long, 3500, func(d *Device) { d.Saw(metered(long, Sleeping, 3400, 3500)) }},
		"no watts":          {long, rated, func(d *Device) { d.Saw(Reading{At: long, State: Sleeping}) }},
		"too few watts": {long, rated, func(d *Device) {
			for n := range 3 {
				d.Saw(working(long-time.Duration(2-n)*Poll, 1166, 100))
			}
		}},
		"too few twice":     {long, 1166, func(d *Device) { d.Saw(working(long-Poll, 1166, 100)); d.Saw(working(long, 1166, 100)) }},
		"efficient":         {long, 1167, func(d *Device) { d.Saw(working(long, 1167, 100)) }},
		"few by its target": {long, 2500, func(d *Device) { r := working(long, 1166, 100); r.Target = 2500; d.Saw(r) }},
		"starting":          {long, rated, func(d *Device) { d.Saw(metered(long, Starting, 200, 1800)) }},
		"unknown state":     {long, rated, func(d *Device) { d.Saw(metered(long, Unknown, 200, 0)) }},
		"unknown, target":   {long, 1800, func(d *Device) { d.Saw(metered(long, Unknown, 200, 1800)) }},
		"failed":            {long, 3500, func(d *Device) { d.Saw(metered(long, Failed, 200, 3500)) }},
		"ramping up": {long, rated, func(d *Device) {
			r := metered(long, Hashing, 900, 0)
			r.Uptime = 20 * sec
			d.Saw(r)
		}},
		"measured above all": {long, 4000, func(d *Device) { d.Saw(metered(long-5*sec, Hashing, 4000, 0)); d.Saw(Reading{At: long}) }},
		"an older reading": {long, 2000, func(d *Device) {
			d.Saw(metered(long, Hashing, 2000, 0))
			d.Saw(metered(long-sec, Hashing, 3000, 0))
		}},
		"two polls missed": {long + 14*sec, 2000, func(d *Device) { d.Saw(metered(long, Hashing, 2000, 0)); d.Missed(0); d.Missed(0) }},
		"three missed": {long + 15*sec, rated, func(d *Device) {
			d.Saw(metered(long, Hashing, 2000, 0))
			d.Missed(0)
			d.Missed(0)
			d.Missed(0)
		}},
		"three missed, not in a row": {long + 20*sec, 2000, func(d *Device) {
			d.Saw(metered(long, Hashing, 2000, 0))
			d.Missed(0)
			d.Missed(0)
			d.Saw(metered(long+10*sec, Hashing, 2000, 0))
			d.Missed(0)
		}},
		"no news":                    {long + 21*sec, rated, func(d *Device) { d.Saw(metered(long, Hashing, 2000, 0)) }},
		"volatile sleep, one missed": {long + 6*sec, rated, func(d *Device) { d.Saw(metered(long, Sleeping, 37, 0)); d.Missed(0) }},
		"volatile sleep, no news":    {long + 11*sec, rated, func(d *Device) { d.Saw(metered(long, Sleeping, 37, 0)) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := NewDevice("d", 5, false)
			d.Learn(s21)
			if c.now >= long {
				d.Saw(metered(0, Hashing, 1000, 0))
			}
			c.do(d)
			if got := d.Bound(c.now); got != c.want {
				t.Errorf("bound %d W, want %d W", got, c.want)
			}
		})
	}
}

// Unfinished writes count, at what they can make the device draw and at what it drew before. Targets are
// uncertain until a meter has shown how the machine keeps to them.
func TestBoundOfWrites(t *testing.T) {
	type step struct {
		at   time.Duration
		do   func(d *Device, at time.Duration)
		want Watts
	}
	reads := func(s State, w, target Watts) func(*Device, time.Duration) {
		return func(d *Device, at time.Duration) { d.Saw(metered(at, s, w, target)) }
	}
	write := func(s Setting) func(*Device, time.Duration) {
		return func(d *Device, at time.Duration) { d.Write(at, s) }
	}
	nothing := func(*Device, time.Duration) {}
	slow := with(s21, func(t *Traits) { t.Trim.Worst = 60 * sec })
	cases := map[string]struct {
		traits Traits
		from   Setting
		steps  []step
	}{
		"a shed counts until verified": {s21, at(3500), []step{
			{0, write(sleep), 3500},
			{9 * sec, reads(Sleeping, 30, 0), 3500},
			{11 * sec, nothing, 3500},
			{11 * sec, reads(Sleeping, 30, 0), 30},
		}},
		"a raise counts from when it may have left": {s21, at(2000), []step{
			{0, write(at(3000)), 3000},
			{19 * sec, reads(Hashing, 2500, 2000), 3000},
			{20 * sec, reads(Hashing, 2990, 3000), 3000},
		}},
		"estimates in flight are uncertain": {s21, at(2000), []step{
			{0, func(d *Device, at time.Duration) { d.Saw(estimated(at, Hashing, 1900, 2000)) }, 2000},
			{sec, write(at(3000)), 3150},
		}},
		"a wake to nobody knows what": {plain, sleep, []step{{0, write(on), 3150}}},
		"a wake outlives the sleep after it": {s21, sleep, []step{
			{0, write(at(3500)), 3675},
			{5 * sec, write(sleep), 3675},
			{16 * sec, reads(Sleeping, 30, 0), 3675},
			{61 * sec, reads(Sleeping, 30, 0), 30},
		}},
		"a wake seen in effect does not": {s21, sleep, []step{
			{0, write(at(3500)), 3675},
			{20 * sec, reads(Hashing, 3200, 3500), 3675},
			{21 * sec, write(sleep), 3675},
			{32 * sec, reads(Sleeping, 30, 0), 30},
		}},
		"a wake half seen does": {s21, sleep, []step{
			{0, write(at(3500)), 3675},
			{20 * sec, reads(Hashing, 3000, 3500), 3675},
			{21 * sec, write(sleep), 3675},
			{32 * sec, reads(Sleeping, 30, 0), 3675},
		}},
		"a shed seen in effect counts all the same": {s21, at(3500), []step{
			{0, write(at(2000)), 3500},
			{10 * sec, reads(Hashing, 2000, 2000), 3500},
			{11 * sec, write(sleep), 3500},
			{20 * sec, reads(Sleeping, 30, 0), 3500},
			{21 * sec, reads(Sleeping, 30, 0), 30},
		}},
		"nor does one seen early": {slow, at(3500), []step{
			{0, write(at(2000)), 3500},
			{10 * sec, reads(Hashing, 2000, 2000), 3500},
			{11 * sec, write(sleep), 3500},
			{21 * sec, reads(Sleeping, 30, 0), 2000},
			{60 * sec, reads(Sleeping, 30, 0), 30},
		}},
		"from a state that may need a wake": {s21, at(2000), []step{
			{0, reads(Unknown, 1500, 1500), 1500},
			{sec, write(at(3000)), 3000},
			{22 * sec, reads(Hashing, 1500, 1500), 3000},
			{61 * sec, reads(Hashing, 1500, 1500), 1500},
		}},
		"starts towards more than told": {s21, sleep, []step{
			{0, write(at(2000)), 2100},
			{5 * sec, reads(Starting, 500, 3500), 3675},
		}},
		"a reading of before the write": {s21, sleep, []step{
			{0, write(at(2000)), 2100},
			{59 * sec, reads(Starting, 500, 2000), 2100},
			{61 * sec, write(sleep), 2100},
		}},
		"what was refused did not happen": {s21, at(2000), []step{
			{0, write(at(3000)), 3000},
			{sec, func(d *Device, at time.Duration) { d.Refused(at) }, 2000},
			{2 * sec, write(sleep), 2000},
			{3 * sec, func(d *Device, at time.Duration) { d.Refused(at) }, 2000},
			{5 * sec, reads(Hashing, 1900, 1900), 1900},
		}},
		"a refusal frees nothing that was in flight": {s21, at(3500), []step{
			{0, write(at(2000)), 3500},
			{sec, write(sleep), 3500},
			{2 * sec, func(d *Device, at time.Duration) { d.Refused(at) }, 3500},
			{19 * sec, reads(Hashing, 2000, 2000), 3500},
			{20 * sec, reads(Hashing, 2000, 2000), 2000},
		}},
		"more than held, seen in flight": {s21, at(2000), []step{
			{0, write(sleep), 2000},
			{5 * sec, reads(Hashing, 2600, 2000), 2600},
			{6 * sec, reads(Hashing, 2000, 2700), 2700},
		}},
		"reboots instead of sleeping": {s21, at(2000), []step{
			{0, write(sleep), 2000},
			{5 * sec, reads(Starting, 200, 2000), 3675},
		}},
		"starts as told": {s21, sleep, []step{
			{0, write(at(2000)), 2100},
			{5 * sec, reads(Starting, 200, 2000), 2100},
			{61 * sec, reads(Starting, 1500, 2000), 3780},
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := device("d", c.traits, c.from)
			for i, s := range c.steps {
				s.do(d, start+s.at)
				if got := d.Bound(start + s.at); got != s.want {
					t.Errorf("step %d: bound %d W, want %d W", i, got, s.want)
				}
			}
		})
	}
}

// TestRated is for L5.
func TestRated(t *testing.T) {
	bare := Traits{CanSleep: true}
	cases := map[string]struct {
		traits Traits
		do     func(d *Device)
		want   Watts
	}{
		"nameplate":         {plain, func(*Device) {}, 3150},
		"highest profile":   {with(lux, func(t *Traits) { t.Nameplate = 1000 }), func(*Device) {}, 3150},
		"highest target":    {s21, func(*Device) {}, 3780},
		"highest measured":  {plain, func(d *Device) { d.Saw(estimated(0, Hashing, 3100, 0)) }, 3255},
		"target in force":   {plain, func(d *Device) { d.Saw(estimated(0, Hashing, 2900, 3400)) }, 3570},
		"nothing known":     {bare, func(*Device) {}, assumedRated},
		"only seen asleep":  {bare, func(d *Device) { d.Saw(metered(0, Sleeping, 30, 0)) }, assumedRated},
		"only seen hashing": {bare, func(d *Device) { d.Saw(metered(0, Hashing, 3000, 0)) }, 3150},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := NewDevice("d", 5, false)
			d.Learn(c.traits)
			c.do(d)
			if got := d.Rated(); got != c.want {
				t.Errorf("rated %d W, want %d W", got, c.want)
			}
		})
	}
	vague := NewDevice("d", 10, false)
	vague.Learn(plain)
	if got := vague.Rated(); got != 3300 {
		t.Errorf("rated %d W with 10 %% of doubt, want what its nameplate's watts would count as, 3300 W", got)
	}
}

// An observed device is rated whatever it reads, and can't be told anything.
func TestObserved(t *testing.T) {
	d := NewDevice("d", 5, true)
	d.Learn(s21)
	d.Saw(metered(0, Hashing, 2000, 2000))
	d.Saw(metered(start, Hashing, 2000, 2000))
	if b, f := d.Bound(start), d.Floor(start); b != 3675 || f != 3675 {
		t.Errorf("bound %d W, floor %d W, want rated", b, f)
	}
	if orders := Fit([]*Device{d}, 0, 0, start); len(orders) > 0 {
		t.Errorf("ordered %v", told(orders))
	}
	if Allowed([]*Device{d}, Order{d, sleep}, 0, start) {
		t.Error("an order to it is allowed")
	}
}

// A firmware that runs over its targets (3031 W asked, 3137 W drawn) is known by it before the next write.
func TestOvershootIsLearned(t *testing.T) {
	d := device("d", s21, at(3000))
	d.Saw(metered(start+5*sec, Hashing, 3100, 3000))
	d.Write(start+6*sec, at(3030))
	if got := d.Bound(start + 6*sec); got < 3130 || got > 3133 {
		t.Errorf("bound %d W in flight to 3030 W, want 3030 W and a thirtieth", got)
	}
}

// Asleep, a device is expected back at the most it was measured at, which is forgotten slowly.
func TestResidualIsRemembered(t *testing.T) {
	d := device("d", s21, sleep)
	d.Saw(metered(start+5*sec, Sleeping, 45, 0))
	d.Saw(metered(start+10*sec, Sleeping, 30, 0))
	if b, f := d.Bound(start+10*sec), d.Floor(start+10*sec); b != 30 || f != 45 {
		t.Errorf("bound %d W, floor %d W, want 30 W and 45 W", b, f)
	}
	now := start + 10*sec
	for range 400 {
		now += Poll
		d.Saw(metered(now, Sleeping, 30, 0))
	}
	if f := d.Floor(now); f != 31 {
		t.Errorf("floor %d W half an hour later", f)
	}
}

func TestABoardThatMayDrawTwiceItsUsualWattsIsNoLiar(t *testing.T) {
	// As recorded of a small machine: 18.7 W at 1.07 TH/s, with a board for 40 W.
	bitaxe := Traits{CanSleep: true, Nameplate: 40, NameplateTHs: 1.071, Nominal: 17, Residual: 5}
	for watts, want := range map[Watts]Trouble{19: "", 10: TroubleUnreadable} {
		d := NewDevice("a", 5, false)
		d.Learn(bitaxe)
		for i := range missedPolls {
			d.Saw(Reading{At: start + time.Duration(i)*Poll, State: Hashing, HasWatts: true, Watts: watts, THs: 1.072})
		}
		if got := d.Trouble(start + missedPolls*Poll); got != want {
			t.Errorf("at %d W: trouble %q, want %q", watts, got, want)
		}
		if got := d.Rated(); got != 42 {
			t.Errorf("at %d W it is rated %d W, want what its board may draw", watts, got)
		}
	}
}

func TestALiarWithATargetIsNamedAndCountsAtIt(t *testing.T) {
	for name, c := range map[string]struct {
		watts, target Watts
		ths           float64
		want          Trouble
	}{
		"liar":                         {1925, 3500, 200, TroubleUnreadable},
		"honest, at less":              {2100, 2100, 135, ""},
		"its limit is far above":       {2150, 3600, 135, ""},
		"it hashes little":             {1800, 3500, 100, ""},
		"thrifty, under its own watts": {2100, 2100, 190, ""},
	} {
		d := device("a", s21, at(c.target))
		for i := range Watts(missedPolls) {
			d.Saw(Reading{At: start + time.Duration(i+1)*Poll, State: Hashing, HasWatts: true, Watts: c.watts, Target: c.target, THs: c.ths})
		}
		now := start + (missedPolls+1)*Poll
		if got := d.Trouble(now); got != c.want {
			t.Errorf("%s: trouble %q, want %q", name, got, c.want)
		}
		if got := d.Condition(now); got != IsHashing {
			t.Errorf("%s: condition %s", name, got)
		}
		if got := d.Bound(now); got < c.target {
			t.Errorf("%s: bound %d W is below its target", name, got)
		}
	}
}

func TestHashRatesThatLagBehindATargetAreNoLie(t *testing.T) {
	d := device("a", s21, at(3500))
	d.Write(start, at(1800))
	for i := range missedPolls + 1 {
		d.Saw(Reading{At: start + time.Duration(i+1)*Poll - sec, State: Hashing, HasWatts: true, Watts: 1150, Target: 1800, THs: 180})
	}
	if got := d.Trouble(start + 20*sec); got != "" {
		t.Errorf("trouble %q while the write settles", got)
	}
}

func TestUnprovenIsWhoIsWatchedLongest(t *testing.T) {
	slow := with(s21, func(t *Traits) { t.Wake.Worst = 600 * sec })
	var devices []*Device
	for key, traits := range map[string]Traits{"a": s21, "b": slow} {
		d := NewDevice(key, 5, false)
		d.Learn(traits)
		devices = append(devices, d)
	}
	if d, _ := Unproven(devices); d != nil {
		t.Errorf("%s was never seen", d.key)
	}
	see := func(now time.Duration) {
		for _, d := range devices {
			d.Saw(estimated(now, Hashing, 3500, 3500))
		}
	}
	see(start)
	if d, worst := Unproven(devices); d == nil || d.key != "b" || worst != 600*sec {
		t.Errorf("got %v, %v", d, worst)
	}
	see(start + 600*sec)
	if d, _ := Unproven(devices); d != nil {
		t.Errorf("%s was watched long enough", d.key)
	}
}
