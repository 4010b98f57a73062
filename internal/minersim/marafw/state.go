package marafw

import (
	"encoding/json"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// How long things take. Nobody has published any of it (assumed).
const (
	// lag is what passes between a command and the first watt that moves.
	lag = 2 * time.Second
	// fall is how long watts take to fall asleep.
	fall = 5 * time.Second
	// initialise is how long the boards need before they draw anything.
	initialise = time.Minute
	// rise is how long they take to the level that was asked for.
	rise = time.Minute
	// tune is how long a new target takes while the machine mines in mode Auto.
	tune = 30 * time.Second
)

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	model                minersim.Model
	nominal, nominalHash float64 // W, TH/s
	older                bool
	psu                  bool

	mode    mode
	account overhttp.Account
	// others are the settings that move no watts, kept as they were sent.
	others   map[string]json.RawMessage
	history  []written
	blinking bool
	// ready is when the boards are initialised, on the machine's clock.
	ready time.Duration

	factory overhttp.Account
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	st := &state{
		model: t.Model, nominal: t.NominalWatts, nominalHash: t.NominalTeraHashes,
		older: d.FirmwareVersion == olderVersion, psu: s.PSU, factory: overhttp.Account{Username: "root", Password: "root"},
	}
	if d.Username != "" {
		st.factory.Username = d.Username
	}
	if d.Password != "" {
		st.factory.Password = d.Password
	}
	st.reset()
	if s.Asleep {
		was := st.mode
		st.mode.Selector = sleep
		st.note(d.Clock().Now(), was, st.mode)
	}
	return st
}

// reset is how the machine left the factory.
func (st *state) reset() {
	st.mode, st.account, st.history = defaultMode(st.model), st.factory, nil
	st.others = map[string]json.RawMessage{
		"pools":          json.RawMessage(`[{"url":"stratum+tcp://pool.example:3333","user":"site.worker","pass":"x","gid":0}]`),
		"pool-group":     json.RawMessage(`[{"gid":0,"alias":"","percent":100}]`),
		"general-config": json.RawMessage(`{"environment-profile":"AirCooling"}`),
		"advance-config": json.RawMessage(`{"override-fan-control":false,"fan-fixed-percent":0}`),
	}
}

// Boot keeps the settings (that sleep lasts is assumed); a hot boot forgets them.
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.reset()
	}
	// The instant is not known here: what has booted says so by its uptime.
	st.blinking, st.ready = false, 0
	return minersim.Order{Watts: st.watts(st.mode), Lag: initialise, Ramp: rise}
}

// set brings another mode to work. A new target in mode Auto is reached while mining; everything else
// begins anew.
func (st *state) set(m *minersim.Machine, next mode) {
	was := st.mode
	st.mode = next
	o := minersim.Order{Watts: st.watts(next), Lag: lag, Ramp: rise}
	switch {
	case next.Selector == sleep:
		o.Ramp = fall
	case was.Selector == auto && next.Selector == auto:
		o.Ramp = tune
	default:
		o.Dip = initialise
	}
	if o.Dip > 0 {
		st.ready = m.Now() + initialise
	}
	m.Command(o)
}

// reload begins mining anew.
func (st *state) reload(m *minersim.Machine) {
	st.ready = m.Now() + initialise
	m.Command(minersim.Order{Watts: st.watts(st.mode), Lag: lag, Dip: initialise, Ramp: rise})
}

// status is what the machine says it does; only Mining and Sleep were seen.
func (st *state) status(m *minersim.Machine) string {
	switch {
	case st.mode.Selector == sleep:
		return "Sleep"
	case m.Now() < st.ready, m.Uptime() < initialise:
		return "Initializing"
	default:
		return "Mining"
	}
}
