package avalon

import (
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// lag is what passes between a command and the first watt that moves (assumed).
	lag = 500 * time.Millisecond
	// offRamp is how long the boards take to let go (assumed).
	offRamp = 4 * time.Second
	// initialising is how long the boards are looked for, starting how long the clocks climb (assumed).
	rackInit, homeInit   = time.Minute, 20 * time.Second
	rackStart, homeStart = 3 * time.Minute, 2 * time.Minute
	// modeRamp is how long a home machine takes to another mode (assumed).
	modeRamp = time.Minute
	// clockTrust bounds how far ahead a scheduled moment may lie. What is farther off says that
	// two clocks differ, and is taken as now (assumed).
	clockTrust = time.Hour
)

// power is what the boards were told.
type power int

const (
	on power = iota
	// softOff was told by softoff: softon or a reboot ends it.
	softOff
	// noHashPower was told by hashpower: only a reboot ends it.
	noHashPower
)

// phase is what the firmware says it does.
type phase int

const (
	working phase = iota
	initial
	starting
	idle
)

// state is one machine's firmware. It is touched under the device's lock only, but for the line.
type state struct {
	*spec
	nominal float64 // watts

	mode, level       int // as set
	running, runLevel int // in force
	power             power
	// offAt and onAt are when a scheduled switch takes place; 0 is none.
	offAt, onAt time.Duration
	// began is when the boards were last powered, tuning until when a new mode is tuned.
	began, tuning time.Duration
	booted        bool
	led           bool

	// hashed is the work since the last boot, in TH, until the instant seen: for averages over a
	// life, which firmware shows asleep too.
	hashed float64
	seen   time.Duration

	// line is the one connection that is served at a time.
	line sync.Mutex
}

func newState(t *minersim.Traits, s minersim.Start) *state {
	sp := specOf(t.Model.Name)
	t.ResidualWatts *= sp.residual / typicalResidual
	st := &state{
		spec: sp, nominal: t.NominalWatts, mode: sp.start, running: sp.start,
		began: -time.Hour, seen: -30 * time.Minute,
	}
	if s.Asleep {
		st.power = softOff
	}
	return st
}

// Boot powers the boards whatever they were told before, and makes the set mode the one in force.
// A hot boot forgets the mode too.
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.mode, st.level = st.start, 0
	}
	st.running, st.runLevel = st.mode, st.level
	st.power, st.offAt, st.onAt, st.tuning = on, 0, 0, 0
	st.booted = true
	return minersim.Order{Watts: st.watts(), Lag: st.initTime(), Ramp: st.startTime()}
}

// watts of the mode in force, at the wall.
func (st *state) watts() float64 { return st.nominal * st.share(st.running, st.runLevel) }

func (st *state) initTime() time.Duration {
	if st.home {
		return homeInit
	}
	return rackInit
}

func (st *state) startTime() time.Duration {
	if st.home {
		return homeStart
	}
	return rackStart
}

// settle moves the firmware's own story on to now.
func (st *state) settle(m *minersim.Machine) {
	now := m.Now()
	if st.booted {
		st.booted, st.began = false, now-m.Uptime()
		st.hashed, st.seen = 0, st.began
	}
	if span := now - st.seen; span > 0 {
		st.hashed += m.AverageTeraHashes(span) * span.Seconds()
		st.seen = now
	}
	if st.offAt > 0 && now >= st.offAt {
		st.offAt, st.power = 0, softOff
	}
	if st.onAt > 0 && now >= st.onAt {
		st.power, st.began, st.onAt = on, st.onAt, 0
	}
}

// lifetime is the mean hashrate since the boot, TH/s.
func (st *state) lifetime(m *minersim.Machine) float64 {
	return st.hashed / max(1, m.Uptime().Seconds())
}

func (st *state) phase(now time.Duration) phase {
	in := now - st.began
	switch {
	case st.power != on:
		return idle
	case in < st.initTime():
		return initial
	case in < st.initTime()+st.startTime():
		return starting
	default:
		return working
	}
}

// calibrating machines, of those at home, refuse another mode.
func (st *state) calibrating(now time.Duration) bool {
	p := st.phase(now)
	return p == initial || p == starting || now < st.tuning
}

// moment turns a second of the world's clock into one of the machine's; at once where it has
// passed or can't be meant.
func moment(m *minersim.Machine, now time.Time, second int64) time.Duration {
	ahead := time.Unix(second, 0).Sub(now)
	if ahead <= 0 || ahead > clockTrust {
		ahead = 0
	}
	// Never 0, which is none.
	return max(1, m.Now()+ahead)
}

// switchOff lets the boards go at an instant.
func (st *state) switchOff(m *minersim.Machine, at time.Duration) {
	st.onAt = 0
	if st.power != on {
		return
	}
	st.offAt = at
	m.Command(minersim.Order{Lag: at - m.Now() + lag, Ramp: offRamp})
	st.settle(m)
}

// switchOn powers the boards at an instant, after a switch off that comes before it. What hashes
// is left alone, and what hashpower took the power of stays without.
func (st *state) switchOn(m *minersim.Machine, at time.Duration) {
	now := m.Now()
	o := minersim.Order{Watts: st.watts(), Ramp: st.startTime()}
	switch {
	case st.power == noHashPower, st.power == on && (st.offAt == 0 || at <= st.offAt):
		return
	case st.power == on:
		o.Lag, o.Dip = st.offAt-now, at-st.offAt+st.initTime()
	default:
		st.running, st.runLevel = st.mode, st.level
		o.Watts, o.Lag = st.watts(), at-now+st.initTime()
	}
	st.onAt = at
	m.Command(o)
	st.settle(m)
}

// cutHashPower takes the boards' power until the next reboot.
func (st *state) cutHashPower(m *minersim.Machine) {
	st.power, st.offAt, st.onAt = noHashPower, 0, 0
	m.Command(minersim.Order{Lag: lag, Ramp: offRamp})
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	mode, level, boards := st.mode, st.level, st.power
	m.Contest(func() {
		st.settle(m)
		if st.mode != mode || st.level != level {
			st.choose(m, mode, level)
		}
		switch soon := moment(m, time.Time{}, 0); {
		case boards == on:
			st.switchOn(m, soon)
		case boards == softOff:
			st.switchOff(m, soon)
		}
	})
}

// choose sets mode and level: at home they are tuned in place, in a rack they wait for a reboot.
func (st *state) choose(m *minersim.Machine, mode, level int) {
	st.mode, st.level = mode, level
	if !st.home || mode == st.running && level == st.runLevel {
		return
	}
	st.running, st.runLevel = mode, level
	switch {
	case st.power == on && st.offAt == 0:
		st.tuning = m.Now() + modeRamp
		m.Command(minersim.Order{Watts: st.watts(), Lag: lag, Ramp: modeRamp})
	case st.onAt > 0:
		m.Command(minersim.Order{Watts: st.watts(), Lag: st.onAt - m.Now() + st.initTime(), Ramp: st.startTime()})
	}
}
