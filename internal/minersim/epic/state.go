package epic

import (
	"cmp"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Operating states, as the vendor's schema lists them. Rebooting, Testing and UpdatingFirmware
// never show here.
const (
	adjusting       = "AdjustingClockVoltage"
	idling          = "Idling"
	initializing    = "Initializing"
	loading         = "Loading"
	mining          = "Mining"
	preInitCooldown = "PreInitCooldown"
	softRebooting   = "SoftRebooting"
	stopping        = "Stopping"
)

// phase is an operating state that passes by itself.
type phase struct {
	state string
	takes time.Duration
}

// What the machine goes through, and for how long, is assumed; watts rise in the last phase of
// those that end in mining.
var (
	toStart  = []phase{{preInitCooldown, 15 * time.Second}, {initializing, 30 * time.Second}, {adjusting, time.Minute}}
	toBoot   = append([]phase{{loading, 15 * time.Second}}, toStart...)
	toSoft   = append([]phase{{softRebooting, 10 * time.Second}}, toBoot...)
	toAdjust = []phase{{adjusting, 30 * time.Second}}
	toStop   = []phase{{stopping, 5 * time.Second}}
)

const (
	// lag is what passes between a command and the first watt that moves (assumed).
	lag = 500 * time.Millisecond
	// stopRamp is how long watts take to fall, within Stopping (assumed).
	stopRamp = 4 * time.Second
	// optimizing is how long the tuner works on after the watts have settled (assumed).
	optimizing = 10 * time.Minute
	// supplyShare of the nominal watts is where the supply ends, whatever the target (assumed).
	supplyShare = 1.3
)

// length is how long phases take, the last so many left out.
func length(phases []phase, without int) (sum time.Duration) {
	for _, p := range phases[:len(phases)-without] {
		sum += p.takes
	}
	return sum
}

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	version  string
	password string
	model    minersim.Model
	nominal  float64 // watts
	terahash float64 // at nominal
	psu      bool

	stopped bool
	phases  []phase
	// began is when phases did, on the machine's clock; booted tells that it must be taken from
	// the machine, which a boot does not know.
	began  time.Duration
	booted bool

	tuning   tuning
	manual   manual
	disabled []bool // boards
	settings settings
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	st := &state{
		version: d.FirmwareVersion, password: cmp.Or(d.Password, "letmein"), model: t.Model,
		nominal: t.NominalWatts, terahash: t.NominalTeraHashes, psu: s.PSU, stopped: s.Asleep,
		began: -30 * time.Minute, disabled: make([]bool, t.Model.Boards), settings: defaultSettings(),
	}
	st.factory()
	return st
}

// factory is how a machine hashes that was told nothing.
func (st *state) factory() {
	st.tuning, st.manual = st.defaultTuning(), st.defaultManual()
	clear(st.disabled)
}

// Boot starts mining by itself, whatever ran before: Autostart (assumed). What was set stays,
// unless the boot is a hot one.
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.factory()
	}
	st.stopped, st.booted, st.phases = false, true, toBoot
	st.settings.locating = false
	return st.rise(toBoot)
}

// rise is the order of phases that end in mining.
func (st *state) rise(phases []phase) minersim.Order {
	return minersim.Order{Watts: st.watts(), Lag: length(phases, 1), Ramp: phases[len(phases)-1].takes}
}

// settle takes from the machine when it was up.
func (st *state) settle(m *minersim.Machine) {
	if st.booted {
		st.booted, st.began = false, m.Now()-m.Uptime()
	}
}

// operating is the state to show.
func (st *state) operating(now time.Duration) string {
	in := now - st.began
	for _, p := range st.phases {
		if in < p.takes {
			return p.state
		}
		in -= p.takes
	}
	if st.stopped {
		return idling
	}
	return mining
}

// begin starts phases now.
func (st *state) begin(m *minersim.Machine, phases []phase) { st.phases, st.began = phases, m.Now() }

// stop leaves a machine alone that is stopped.
func (st *state) stop(m *minersim.Machine) {
	if st.stopped {
		return
	}
	st.stopped = true
	st.begin(m, toStop)
	m.Command(minersim.Order{Lag: lag, Ramp: stopRamp})
}

// start leaves a machine alone that mines, or is on its way.
func (st *state) start(m *minersim.Machine) {
	if !st.stopped {
		return
	}
	st.stopped = false
	st.begin(m, toStart)
	m.Command(st.rise(toStart))
}

// softReboot takes the software down and up again, and wakes a machine that was stopped.
func (st *state) softReboot(m *minersim.Machine) {
	st.stopped = false
	st.begin(m, toSoft)
	o := st.rise(toSoft)
	o.Lag, o.Dip = 0, o.Lag
	m.Command(o)
}

// adjust moves to what is set now, in place. Stopped, it waits for the start.
func (st *state) adjust(m *minersim.Machine) {
	st.tuning.since = m.Now()
	if st.stopped {
		return
	}
	if wait := st.began + length(st.phases, min(1, len(st.phases))) - m.Now(); wait > 0 {
		o := st.rise(st.phases)
		o.Lag = wait
		m.Command(o)
		return
	}
	st.begin(m, toAdjust)
	m.Command(minersim.Order{Watts: st.watts(), Lag: lag, Ramp: toAdjust[0].takes - lag})
}

// pending is the command that is not done yet; empty where another may come.
func (st *state) pending(now time.Duration, ramps bool) string {
	switch s := st.operating(now); {
	case s == stopping:
		return "Stop"
	case s == adjusting && ramps:
		return "Tune"
	default:
		return ""
	}
}

// share is how much of the machine its enabled boards are.
func (st *state) share() float64 {
	on := 0
	for _, off := range st.disabled {
		if !off {
			on++
		}
	}
	return float64(on) / float64(len(st.disabled))
}

// watts is what the settings take at this machine's wall.
func (st *state) watts() float64 {
	most := supplyShare * st.nominal * st.share()
	if st.tuning.on && st.tuning.algorithms[st.tuning.current].inWatts {
		return min(most, float64(st.tuning.algorithms[st.tuning.current].target))
	}
	return min(most, st.share()*st.nominal*minersim.WattShare(st.clockShare()))
}

// clockShare is the clock to settle at, against the default.
func (st *state) clockShare() float64 {
	if st.tuning.on {
		return float64(st.tuning.algorithms[st.tuning.current].target) / st.terahash
	}
	return st.manual.megaHertz / float64(st.model.DefaultMegaHertz)
}
