package auradine

import (
	"cmp"
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// How long things take is assumed, all of it: nobody has published it.
const (
	// lag is what passes between a command and the first watt that moves.
	lag = time.Second
	// sleepRamp is how long watts take to fall.
	sleepRamp = 4 * time.Second
	// wakeLag is how long the mining software needs to come up, and wakeRamp the tuner to the target.
	wakeLag, wakeRamp = 20 * time.Second, time.Minute
	// tuneRamp is a change of mode or target while it mines, in place.
	tuneRamp = 30 * time.Second
	// ecoShare and turboShare are of the nominal watts.
	ecoShare, turboShare = 0.85, 1.15
	// leastShare is the lowest target that is taken; the highest is what the supply gives, so much
	// more than the nameplate as one was recorded to.
	leastShare, supplyShare = 0.3, 1.15
)

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	version        string
	user, password string
	tokens         []token
	model          minersim.Model
	nominal        float64 // watts
	terahash       float64 // at nominal
	led            int

	settings settings
	sleeping bool
	// up is when the mining software is, on the machine's clock; booted tells that it must be taken
	// from the machine.
	up     time.Duration
	booted bool
}

// settings are what a mode is.
type settings struct {
	mode, tune string
	power      int
	terahashes float64
	persist    bool // standby lasts through a reboot
	fans       bool // in standby
	pools      []poolConfig
}

const (
	normal, eco, turbo, custom = "normal", "eco", "turbo", "custom"
	byPower, byHash            = "power", "ths"
	// ledNormal is the code of a machine that nobody looks for.
	ledNormal = 2
)

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	st := &state{
		version: d.FirmwareVersion, user: cmp.Or(d.Username, "admin"), password: cmp.Or(d.Password, "admin"), model: t.Model,
		nominal: t.NominalWatts, terahash: t.NominalTeraHashes, led: ledNormal, sleeping: s.Asleep, up: -30 * time.Minute,
	}
	st.settings = st.factory()
	return st
}

func (st *state) factory() settings {
	return settings{
		mode: normal, tune: byPower, power: int(math.Round(st.model.Watts)), terahashes: math.Round(st.model.TeraHashes),
		pools: []poolConfig{{URL: "stratum+tcp://pool.example:3333", User: "site.worker"}},
	}
}

// Boot keeps what was set, and standby where the settings say so, unless it is a hot one.
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.settings = st.factory()
	}
	st.tokens, st.led, st.booted = nil, ledNormal, true
	st.sleeping = st.sleeping && st.settings.persist
	if st.sleeping {
		return minersim.Order{}
	}
	return minersim.Order{Watts: st.watts(), Lag: wakeLag, Ramp: wakeRamp}
}

// settle takes from the machine when it was up.
func (st *state) settle(m *minersim.Machine) {
	if st.booted {
		st.booted, st.up = false, m.Now()-m.Uptime()+wakeLag
	}
}

// watts is what the settings take at this machine's wall.
func (st *state) watts() float64 {
	switch s := st.settings; {
	case s.mode == eco:
		return ecoShare * st.nominal
	case s.mode == turbo:
		return turboShare * st.nominal
	case s.mode == custom && s.tune == byPower:
		return float64(s.power)
	case s.mode == custom:
		return st.nominal * minersim.WattShare(s.terahashes/st.terahash)
	default:
		return st.nominal
	}
}

// most is what the supply gives, in watts.
func (st *state) most() int { return int(math.Round(supplyShare * st.model.Watts)) }

// powerFits tells whether a target can be taken.
func (st *state) powerFits(watts int) bool {
	return float64(watts) >= leastShare*st.model.Watts && watts <= st.most()
}

// hashFits tells the same of TH/s.
func (st *state) hashFits(th float64) bool {
	return th > 0 && st.powerFits(int(st.model.Watts*minersim.WattShare(th/st.model.TeraHashes)))
}

// fits tells whether the target of a mode, where it has one, can be taken.
func (st *state) fits(s settings) bool {
	switch {
	case s.mode != custom:
		return true
	case s.tune == byPower:
		return st.powerFits(s.power)
	default:
		return st.hashFits(s.terahashes)
	}
}

// sleep leaves a machine alone that sleeps.
func (st *state) sleep(m *minersim.Machine) {
	if st.sleeping {
		return
	}
	st.sleeping = true
	m.Command(minersim.Order{Lag: lag, Ramp: sleepRamp})
}

// wake leaves a machine alone that is awake.
func (st *state) wake(m *minersim.Machine) {
	if !st.sleeping {
		return
	}
	st.sleeping, st.up = false, m.Now()+wakeLag
	m.Command(minersim.Order{Watts: st.watts(), Lag: wakeLag, Ramp: wakeRamp})
}

// retune moves to what is set now. Asleep it waits for the wake.
func (st *state) retune(m *minersim.Machine) {
	switch wait := st.up - m.Now(); {
	case st.sleeping:
	case wait > 0:
		m.Command(minersim.Order{Watts: st.watts(), Lag: wait, Ramp: wakeRamp})
	default:
		m.Command(minersim.Order{Watts: st.watts(), Lag: lag, Ramp: tuneRamp})
	}
}

// become is another mode.
func (st *state) become(m *minersim.Machine, next settings, sleeping bool) {
	before := st.watts()
	st.settings = next
	switch {
	case sleeping:
		st.sleep(m)
	case st.sleeping:
		st.wake(m)
	case st.watts() != before:
		st.retune(m)
	}
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	settings, sleeping := st.settings, st.sleeping
	m.Contest(func() { st.become(m, settings, sleeping) })
}

// restart takes the mining software down and up again; standby stays.
func (st *state) restart(m *minersim.Machine) {
	if st.sleeping {
		return
	}
	st.up = m.Now() + wakeLag
	m.Command(minersim.Order{Watts: st.watts(), Dip: wakeLag, Ramp: wakeRamp})
}
