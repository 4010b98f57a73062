package sealminer

import (
	"cmp"
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// lag is what passes between a suspend and the first watt that moves, suspendRamp how long watts
	// take to fall (assumed).
	lag, suspendRamp = 500 * time.Millisecond, 4 * time.Second
	// silent is how long the RPC is not there after a start (assumed: clients know that it is not).
	silent = 5 * time.Second
	// bootTime and raiseTime are what the mining software recorded of its last start: until the
	// boards are up, and from there to the power limit.
	bootTime, raiseTime = 222 * time.Second, 579 * time.Second
	// fineTime is what it went on tuning for.
	fineTime = 87 * time.Second
	// adjustTime is how long another limit or mode takes while it mines, in place (assumed).
	adjustTime = time.Minute
	// leastWatts and mostShare of the nameplate bound the limits that are taken (assumed).
	leastWatts, mostShare = 1000, 1.2
)

// Mining modes, by the numbers that the firmware has for them.
const (
	lowPower = 0
	normal   = 2
	high     = 3
	custom   = 5
)

// modeShares are what a mode can draw, of the nominal watts, where its limit lets it (assumed).
var modeShares = map[int]float64{lowPower: 0.8, normal: 1.05, high: mostShare, custom: mostShare}

// workModes are the names that commands have for them.
var workModes = map[string]int{"low_power": lowPower, "normal": normal, "high_performance": high, "custom": custom}

var modeNames = map[int]string{lowPower: "Low Power", normal: "Normal", high: "High Performance", custom: "Custom"}

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	user, password string
	sessions       []session
	model          minersim.Model
	nominal        float64 // watts
	terahash       float64 // at nominal
	locating       bool

	suspended bool
	settings  settings
	// began is when the mining software did, and settled when the watts will have risen to what is
	// set, on the machine's clock; booted tells that both must be taken from the machine.
	began, settled time.Duration
	booted         bool
	boots          int
}

// settings are what lasts.
type settings struct {
	limit int // watts
	mode  int
	pools []pool
}

type pool struct {
	URL  string `json:"url"`
	User string `json:"user"`
	Pass string `json:"pass"`
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	st := &state{
		user: cmp.Or(d.Username, "seal"), password: cmp.Or(d.Password, "seal"), model: t.Model, nominal: t.NominalWatts,
		terahash: t.NominalTeraHashes, suspended: s.Asleep, began: -time.Hour, settled: -30 * time.Minute, boots: 3,
	}
	st.settings = st.factory()
	return st
}

func (st *state) factory() settings {
	return settings{
		limit: int(math.Round(st.model.Watts)), mode: normal,
		pools: []pool{{URL: "stratum+tcp://pool.example:3333", User: "site.worker", Pass: "x"}},
	}
}

// Boot keeps what was set, unless it is a hot one. A suspend does not last (assumed).
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.settings = st.factory()
	}
	st.suspended, st.sessions, st.booted = false, nil, true
	st.boots++
	return minersim.Order{Watts: st.watts(), Lag: bootTime, Ramp: raiseTime}
}

// settle takes from the machine when it was up.
func (st *state) settle(m *minersim.Machine) {
	if st.booted {
		st.booted, st.began = false, m.Now()-m.Uptime()
		st.settled = st.began + bootTime + raiseTime
	}
}

// answers tells whether the mining software is there to be asked.
func (st *state) answers(now time.Duration) bool { return now-st.began >= silent }

// watts is what the settings take at this machine's wall: it raises its clocks until the limit.
func (st *state) watts() float64 {
	return min(float64(st.settings.limit), modeShares[st.settings.mode]*st.nominal)
}

// suspend leaves a machine alone that is suspended.
func (st *state) suspend(m *minersim.Machine) {
	if st.suspended {
		return
	}
	st.suspended = true
	m.Command(minersim.Order{Lag: lag, Ramp: suspendRamp})
}

// restart takes the mining software down and up again, and wakes a machine that was suspended.
func (st *state) restart(m *minersim.Machine) {
	st.suspended, st.began, st.settled = false, m.Now(), m.Now()+bootTime+raiseTime
	m.Command(minersim.Order{Watts: st.watts(), Dip: bootTime, Ramp: raiseTime})
}

// adjust moves to what is set now: in place while it mines, and with the boards or the restart
// before (assumed; of two clients in the field one reboots the machine for it).
func (st *state) adjust(m *minersim.Machine) {
	if st.suspended {
		return
	}
	if wait := st.began + bootTime - m.Now(); wait > 0 {
		m.Command(minersim.Order{Watts: st.watts(), Lag: wait, Ramp: raiseTime})
		return
	}
	ramp := max(adjustTime, st.settled-m.Now())
	st.settled = m.Now() + ramp
	m.Command(minersim.Order{Watts: st.watts(), Lag: lag, Ramp: ramp - lag})
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	settings, suspended := st.settings, st.suspended
	m.Contest(func() {
		before := st.watts()
		st.settings = settings
		switch {
		case suspended:
			st.suspend(m)
		case st.suspended:
			st.restart(m)
		case st.watts() != before:
			st.adjust(m)
		}
	})
}

// limitFits tells whether a limit can be taken.
func (st *state) limitFits(watts int) bool {
	return watts >= leastWatts && float64(watts) <= mostShare*st.model.Watts
}

// powerState is what the firmware calls PM State. Of its words only Running is known.
func (st *state) powerState(now time.Duration) string {
	switch {
	case st.suspended:
		return "Suspended"
	case now-st.began < bootTime:
		return "Initializing"
	default:
		return "Running"
	}
}

// tuneStatus is that of every board.
func (st *state) tuneStatus(now time.Duration) string {
	switch {
	case st.suspended || now < st.began+bootTime:
		return "Not Tuned"
	case now < st.settled:
		return "Coarse Tuning"
	case now < st.settled+fineTime:
		return "Fine Tuning"
	default:
		return "Fine Tuning Done"
	}
}
