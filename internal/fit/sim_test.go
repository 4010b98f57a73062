package fit

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"
)

const sec = time.Second

// machine is a small physical model of a miner: it ramps from what it drew to what it was told, within
// the worst time its traits declare, and tells of itself what firmware would.
type machine struct {
	dev    *Device
	traits Traits

	estimated bool
	short     float64 // its own watts over a target, at most 1
	lie       float64 // true watts over its own watts
	flutter   float64 // share by which a reading may be low
	noise     *rand.Rand
	haste     float64 // share of an action's worst time that it may let pass before it begins

	set      Setting // what it follows, once begin has passed
	before   Setting
	from, to float64 // true watts
	begin    time.Duration
	end      time.Duration

	phase     int
	deaf      int // writes it will acknowledge and forget
	refuses   int // writes it will refuse
	darkUntil time.Duration
	hotAt     time.Duration // reboots to full then
	writes    int
}

func (m *machine) watts(now time.Duration) float64 {
	switch {
	case now >= m.end:
		return m.to
	case now <= m.begin:
		return m.from
	}
	return m.from + (m.to-m.from)*float64(now-m.begin)/float64(m.end-m.begin)
}

// settles is the true watts at a setting.
func (m *machine) settles(s Setting) float64 {
	if s.Kind == Sleep {
		return float64(m.traits.Residual)
	}
	if m.dev.open(s) {
		return float64(m.traits.Nameplate) * m.short * m.lie
	}
	return float64(m.dev.nominal(s)) * m.short * m.lie
}

func (m *machine) follow(now, delay, ramp time.Duration, s Setting) {
	m.from, m.before = m.watts(now), m.shown(now)
	m.to, m.set = m.settles(s), s
	m.begin, m.end = now+delay, now+delay+ramp
}

// shown is the setting the machine says it follows.
func (m *machine) shown(now time.Duration) Setting {
	if now < m.begin {
		return m.before
	}
	return m.set
}

func (m *machine) read(now time.Duration) (Reading, bool) {
	if now < m.darkUntil {
		return Reading{}, false
	}
	own := m.watts(now)
	set := m.shown(now)
	if m.estimated || set.Kind != Sleep && now >= m.end {
		own /= m.lie
		own *= 1 - m.flutter*m.noise.Float64()
	}
	r := Reading{At: now, HasWatts: true, Watts: Watts(own + 0.999), Estimated: m.estimated}
	switch {
	case set.Kind == Sleep && now < m.end:
		r.State = Stopping
	case set.Kind == Sleep:
		r.State = Sleeping
	case now < m.end && m.before.Kind == Sleep:
		r.State = Starting
	default:
		r.State = Hashing
		r.THs = m.dev.promised(set)
	}
	if set.Kind == HashWatts {
		r.Target = set.Watts
	}
	if set.Kind == HashMode {
		r.Mode = set.Mode
	}
	return r, true
}

// hot reboots the machine to full power, whatever it was told.
func (m *machine) hot(now time.Duration) {
	m.follow(now, 20*sec, 10*sec, m.dev.full())
	m.before = Setting{Kind: Sleep}
}

// obey is a write reaching the machine.
func (m *machine) obey(now time.Duration, s Setting) bool {
	m.writes++
	timing := m.traits.Trim
	if s.Kind == Sleep {
		timing = m.traits.Sleep
	} else if m.shown(now).Kind == Sleep {
		timing = m.traits.Wake
	}
	switch {
	case m.refuses > 0:
		m.refuses--
		return false
	case m.deaf > 0:
		m.deaf--
		return true
	case now < m.darkUntil:
		return true
	}
	delay := time.Duration(m.noise.Float64() * m.haste * float64(timing.Worst))
	m.follow(now, delay, time.Duration(m.noise.Float64()*float64(timing.Worst-delay)), s)
	return true
}

// site is an agent's loop over machines in virtual time.
type site struct {
	machines  []*machine
	devices   []*Device
	allowance Watts
	within    time.Duration
	now       time.Duration
	orders    int
	// disturbed is when something last happened that the devices must be given time for.
	disturbed time.Duration
}

// step is one second: polls that are due, then Fit, then its orders one by one.
func (s *site) step(t *rapid.T) []Order {
	s.now += sec
	for _, m := range s.machines {
		if m.hotAt > 0 && s.now >= m.hotAt {
			m.hotAt = 0
			m.darkUntil = max(m.darkUntil, s.now+20*sec)
			m.hot(s.now)
		}
		quick := m.dev.unsettled() && s.now > m.dev.validFrom
		if (int(s.now/sec)+m.phase)%5 != 0 && !quick {
			continue
		}
		if r, ok := m.read(s.now); ok {
			m.dev.Saw(r)
		} else if !quick || (int(s.now/sec)+m.phase)%5 == 0 {
			m.dev.Missed(s.now)
		}
	}
	orders := Fit(s.devices, s.allowance, s.within, s.now)
	for _, o := range orders {
		s.give(t, o)
	}
	return orders
}

func (s *site) give(t *rapid.T, o Order) {
	if !Allowed(s.devices, o, s.allowance, s.now) {
		return
	}
	s.orders++
	before := s.bound()
	o.Device.Write(s.now, o.Setting)
	if after := s.bound(); after > max(before, s.allowance) {
		t.Fatalf("%v: %s to %v takes bounds from %d W to %d W, allowance %d W", s.now, o.Device.key, o.Setting, before, after, s.allowance)
	}
	for _, m := range s.machines {
		if m.dev != o.Device {
			continue
		}
		if m.deaf > 0 || m.refuses > 0 || m.dev.faults.tries > 0 {
			s.disturbed = max(s.disturbed, s.now)
		}
		if !m.obey(s.now, o.Setting) {
			o.Device.Refused(s.now)
		}
	}
}

func (s *site) truth() float64 {
	sum := 0.0
	for _, m := range s.machines {
		sum += m.watts(s.now)
	}
	return sum
}

func (s *site) bound() Watts {
	return Sum(s.devices, s.now).Bound
}

// models are like the machines of figures.md, with times as firmware might have.
var models = []Traits{
	{ // continuous, fast
		CanSleep: true, Min: 1800, Max: 3600, Step: 10, Nameplate: 3500, NameplateTHs: 200, Residual: 30,
		Sleep: Timing{Worst: 10 * sec}, Wake: Timing{Worst: 40 * sec}, Trim: Timing{Worst: 15 * sec},
	},
	{ // continuous, inefficient
		CanSleep: true, SleepSurvivesReboot: true, Min: 1500, Max: 3300, Step: 1, Nameplate: 3068, NameplateTHs: 104,
		Residual: 20, Sleep: Timing{Worst: 5 * sec}, Wake: Timing{Worst: 60 * sec}, Trim: Timing{Worst: 20 * sec},
	},
	{ // profiles, the lower the better
		CanSleep: true, SleepSurvivesReboot: true, Nameplate: 3010, NameplateTHs: 140, Residual: 25,
		Modes: []Mode{{"low", 1500, 84}, {"mid", 2200, 114}, {"default", 3010, 140}, {"high", 3600, 155}},
		Sleep: Timing{Worst: 5 * sec}, Wake: Timing{Worst: 60 * sec}, Trim: Timing{Worst: 60 * sec},
	},
	{ // profiles that restart
		CanSleep: true, Nameplate: 3441, NameplateTHs: 186, Residual: 40,
		Modes: []Mode{{"Low", 2600, 150}, {"Normal", 3441, 186}},
		Sleep: Timing{Worst: 15 * sec}, Wake: Timing{Worst: 90 * sec, Restarts: true},
		Trim: Timing{Worst: 90 * sec, Restarts: true},
	},
	{ // on and off
		CanSleep: true, Nameplate: 2760, NameplateTHs: 120, Residual: 15,
		Sleep: Timing{Worst: 60 * sec}, Wake: Timing{Worst: 90 * sec},
	},
	{ // targets only
		Min: 900, Max: 2000, Step: 50, Nameplate: 2000, NameplateTHs: 90,
		Trim: Timing{Worst: 10 * sec},
	},
}

func drawMachine(t *rapid.T, i int, kinds []Traits) *machine {
	tr := rapid.SampledFrom(kinds).Draw(t, "model")
	u := rapid.IntRange(0, 6).Draw(t, "uncertainty")
	m := &machine{
		traits: tr, estimated: u >= 2, lie: 1, hotAt: -1,
		short:   1 - float64(rapid.IntRange(0, 6).Draw(t, "short"))/100,
		phase:   rapid.IntRange(0, 4).Draw(t, "phase"),
		flutter: float64(rapid.IntRange(0, 2).Draw(t, "flutter")) / 400,
		noise:   rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "noise"), uint64(i))),
		haste:   rapid.SampledFrom([]float64{0, 0.3, 1}).Draw(t, "haste"),
	}
	if !m.estimated && len(tr.Modes) == 0 && tr.Max == 0 {
		m.flutter = 0 // nothing but its meter bounds it
	}
	if m.estimated {
		m.lie = 1 + float64(rapid.IntRange(-u, u-1).Draw(t, "lie"))/100
	}
	m.dev = NewDevice(fmt.Sprintf("m%03d", i), u, false)
	m.dev.Learn(tr)
	m.set = m.dev.full()
	if tr.CanSleep && rapid.Bool().Draw(t, "asleep") {
		m.set = Setting{Kind: Sleep}
	}
	m.to = m.settles(m.set)
	m.before = m.set
	return m
}

func drawSite(t *rapid.T, n int, kinds []Traits) *site {
	s := &site{}
	for i := range n {
		s.add(drawMachine(t, i, kinds))
	}
	return s
}

func (s *site) add(m *machine) {
	s.machines = append(s.machines, m)
	s.devices = append(s.devices, m.dev)
}
