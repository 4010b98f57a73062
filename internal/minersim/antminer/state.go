package antminer

import (
	"hash/fnv"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// How long things take. Nobody has published any of it but a reply of 21 s (assumed).
const (
	// reload is how long the mining software answers nothing while it restarts.
	reload = 20 * time.Second
	// chains is how long it needs before the boards draw anything.
	chains = time.Minute
	// rise and fall are the ramps.
	rise, fall = time.Minute, 5 * time.Second
	// settled is how long the machine has run when the simulation begins.
	settled = 30 * time.Minute
)

// pool as settings have it.
type pool struct {
	URL  string `json:"url"`
	User string `json:"user"`
	Pass string `json:"pass"`
}

// maxPools is how many there are.
const maxPools = 3

// settings are what a machine keeps over a reboot.
type settings struct {
	mode      int
	pools     [maxPools]pool
	fanManual bool
	fanPWM    string
	freqLevel string
	account   overhttp.Account
}

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	*generation
	settings settings
	factory  settings
	nominal  float64 // watts
	clock    int     // MHz
	blinking bool
	// power tells that port 6060 has watts.
	power bool
	// wait is this machine's time to reply to a write.
	wait time.Duration
	// down and up are when the mining software last went away and was back, on the machine's clock.
	down, up time.Duration
}

// powered are the models on which clients ask port 6060 for watts.
var powered = map[string]bool{"Antminer S19 XP Hyd": true, "Antminer S21": true, "Antminer S21 Pro": true}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	g := generationOf(d.FirmwareVersion)
	own := settings{
		pools:  [maxPools]pool{{"stratum+tcp://pool.example:3333", "site.worker", "x"}},
		fanPWM: "100", freqLevel: "100", account: overhttp.Account{Username: "root", Password: "root"},
	}
	if d.Username != "" {
		own.account.Username = d.Username
	}
	if d.Password != "" {
		own.account.Password = d.Password
	}
	st := &state{
		generation: g, settings: own, factory: own, nominal: t.NominalWatts, clock: t.Model.DefaultMegaHertz,
		power: powered[t.Model.Name] && !g.form, wait: varied(g.reply, d.Serial), down: -settled, up: -settled,
	}
	if s.Asleep && !g.restless {
		st.settings.mode = sleep
	}
	return st
}

// varied spreads a time over the machines, a quarter up and down.
func varied(about time.Duration, serial string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(serial))
	const steps = 1000
	return about*3/4 + about/2*time.Duration(h.Sum32()%steps)/steps
}

// Boot keeps what was written, which is on flash (that sleep lasts is assumed). A hot boot forgets it.
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.settings = st.factory
	}
	st.blinking, st.down, st.up = false, -settled, -settled
	return minersim.Order{Watts: st.watts(), Lag: chains, Ramp: rise}
}

// watts of the mode it is set to.
func (st *state) watts() float64 { return st.nominal * shares[st.settings.mode] }

// restart brings the settings to work, as every write does: the mining software goes down after the
// reply and comes back.
func (st *state) restart(m *minersim.Machine, was int) {
	o := minersim.Order{Watts: st.watts(), Lag: st.wait, Dip: reload + chains, Ramp: rise}
	switch {
	case st.settings.mode == sleep:
		o = minersim.Order{Lag: st.wait + st.linger, Ramp: fall}
	case was == sleep:
		o = minersim.Order{Watts: o.Watts, Lag: st.wait + reload + chains, Ramp: rise}
	}
	if m.Persona() != minersim.Deaf {
		st.down, st.up = m.Now()+st.wait, m.Now()+st.wait+reload
	}
	m.Command(o)
}

// answers tells whether the mining software is there to answer.
func (st *state) answers(now time.Duration) bool { return now < st.down || now >= st.up }

// elapsed is how long the mining software has run.
func (st *state) elapsed(m *minersim.Machine) int {
	since := st.up
	if m.Now() < st.down {
		since = -settled
	}
	return int(min(m.Uptime(), m.Now()-since) / time.Second)
}

func (st *state) asleep() bool { return st.settings.mode == sleep }
