package vnish

import (
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// lag is what passes between a command and the first watt that moves (assumed).
	lag = 500 * time.Millisecond
	// pauseRamp and stopRamp are how long watts take to fall (assumed).
	pauseRamp, stopRamp = 3 * time.Second, 4 * time.Second
	// presetRamp is how long a change between tuned presets takes while mining (assumed).
	presetRamp = time.Minute
	// throttleRamp keeps a throttle within the "seconds" that users report.
	throttleRamp = 4 * time.Second
	// tuningTime is how long an untuned preset tunes (assumed; 4,422 s were seen, and not the end).
	tuningTime = 90 * time.Minute
	// tuningShare is what a tuning machine draws of the preset below the one it was told: 2,583 W
	// were seen at 2,800.
	tuningShare = 0.9225
)

// Miner states, as the vendor's schema lists them; failure never comes here. There is none for a
// pause: it reads stopped (assumed).
const (
	mining       = "mining"
	initializing = "initializing"
	starting     = "starting"
	autoTuning   = "auto-tuning"
	restarting   = "restarting"
	shuttingDown = "shutting-down"
	stopped      = "stopped"
)

// phase is a state that passes by itself.
type phase struct {
	state string
	takes time.Duration
}

// What the mining software goes through before it mines or has stopped. Users saw three to four
// minutes from a restart to full hashrate, chains included; how they divide is assumed.
var (
	toStart   = []phase{{initializing, 90 * time.Second}, {starting, time.Minute}}
	toRestart = append([]phase{{shuttingDown, 5 * time.Second}, {restarting, 15 * time.Second}}, toStart...)
	toResume  = []phase{{starting, 30 * time.Second}}
	toStop    = []phase{{shuttingDown, 5 * time.Second}}
)

// length is how long phases take, the last so many left out.
func length(phases []phase, without int) (sum time.Duration) {
	for _, p := range phases[:len(phases)-without] {
		sum += p.takes
	}
	return sum
}

// mode is what the mining software was told.
type mode int

const (
	run mode = iota
	paused
	off
)

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	access
	version  string
	newer    bool     // 1.3 and later
	presets  []preset // shared by all machines of a model
	perWatt  float64  // watts this machine needs for each of a preset's name
	nominal  float64  // watts
	clock    int      // default, MHz
	tuned    uint32   // a bit for each preset
	psu      bool
	locating bool

	settings settings
	// applied is the preset the mining software works with; the settings' may be another.
	applied         int
	restartRequired bool
	throttle        int // percent of the applied preset

	mode   mode
	phases []phase
	// began is when phases did, on the machine's clock.
	began time.Duration
	// tuner is how long auto-tuning takes after the phases; 0 where there is nothing to tune.
	tuner time.Duration
	// m is the machine, once it was asked something; before, nothing can have changed it.
	m *minersim.Machine
	// booted tells that began must be taken from the machine, which was not known at the boot.
	booted bool
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start, presets []preset) *state {
	st := &state{
		access: newAccess(d), version: d.FirmwareVersion, newer: d.FirmwareVersion >= "1.3",
		presets: presets, perWatt: t.NominalWatts / t.Model.Watts, nominal: t.NominalWatts,
		clock: t.Model.DefaultMegaHertz, tuned: wereTuned(), psu: s.PSU,
		settings: defaultSettings(t.Model.DefaultMegaHertz), applied: defaultPreset, throttle: 100,
		began: -30 * time.Minute,
	}
	if s.Asleep {
		st.mode = off
	}
	return st
}

// Boot forgets every session and a pause; a stop only lasts where the settings say so. A hot boot
// forgets the settings too.
func (st *state) Boot(hot bool) minersim.Order {
	if st.m != nil {
		st.settle(st.m.Now())
		st.began = st.m.Now() + st.m.Boot
	}
	st.booted = st.m == nil
	st.forget(hot)
	st.locating = false
	if hot {
		st.settings = defaultSettings(st.clock)
	}
	if st.mode != off || !st.settings.remainStopped {
		st.mode = run
	}
	st.take()
	st.tuner = 0
	if st.mode == off {
		st.phases = nil
		return minersim.Order{}
	}
	st.phases = toStart
	return st.hashing(minersim.Order{Lag: length(toStart, 1), Ramp: length(toStart, 0) - length(toStart, 1)})
}

// settle moves the firmware's own story on to now.
func (st *state) settle(now time.Duration) {
	if st.booted {
		st.booted, st.began = false, now-st.m.Uptime()
	}
	end := st.began + length(st.phases, 0) + st.tuner
	if st.tuner > 0 && now >= end {
		st.tuned |= 1 << st.applied
		st.phases, st.tuner, st.began = nil, 0, end
	}
}

// minerState is the state to show and for how long it has been.
func (st *state) minerState(now time.Duration) (string, time.Duration) {
	in := now - st.began
	for _, p := range st.phases {
		if in < p.takes {
			return p.state, in
		}
		in -= p.takes
	}
	switch {
	case st.mode != run:
		return stopped, in
	case st.tuner > 0:
		return autoTuning, in
	default:
		return mining, in
	}
}

// hashes tells whether the mining software is up and works: what pauses and throttles need.
func (st *state) hashes(now time.Duration) bool {
	s, _ := st.minerState(now)
	return s == mining || s == autoTuning
}

func (st *state) wasTuned(index int) bool { return st.tuned&(1<<index) != 0 }

// blocked presets are taken into the settings and never used.
func (st *state) blocked(index int) bool { return st.presets[index].modded && !st.settings.moddedPSU }

// effective is the preset whose clocks run now: a tuning machine works its way up from the one
// below.
func (st *state) effective() int {
	if st.tuner > 0 {
		return max(lowestPreset, st.applied-1)
	}
	return st.applied
}

// watts a preset takes at this machine's wall. A preset is a set of clocks and voltages, so that
// a machine's own tolerance shows.
func (st *state) watts(index int) float64 {
	if index == manual {
		return st.nominal * minersim.WattShare(float64(st.settings.freq)/float64(st.clock))
	}
	return float64(st.presets[index].watts) * st.perWatt
}

// take makes the settings' preset the one to work with, as every start of the mining software
// does, and forgets the throttle (assumed).
func (st *state) take() {
	if !st.blocked(st.settings.preset) {
		st.applied = st.settings.preset
	}
	st.restartRequired, st.throttle = false, 100
}

// hashing fills in what an order settles at, and begins tuning where it must.
func (st *state) hashing(o minersim.Order) minersim.Order {
	share := float64(st.throttle) / 100
	o.Watts = share * st.watts(st.applied)
	if st.applied == manual || st.wasTuned(st.applied) {
		st.tuner = 0
		return o
	}
	if st.tuner == 0 {
		st.tuner = tuningTime
	}
	o.Next, o.Hold = o.Watts, st.tuner
	o.Watts = share * tuningShare * st.watts(st.effective())
	return o
}

// begin starts phases now.
func (st *state) begin(m *minersim.Machine, to mode, phases []phase) {
	st.mode, st.phases, st.began, st.tuner = to, phases, m.Now(), 0
}

// start brings the mining software up; one that runs is left alone.
func (st *state) start(m *minersim.Machine) {
	if st.mode == run {
		return
	}
	st.take()
	st.begin(m, run, toStart)
	m.Command(st.hashing(minersim.Order{Lag: length(toStart, 1), Ramp: length(toStart, 0) - length(toStart, 1)}))
}

// restart takes the software down and up again, and wakes one that was stopped.
func (st *state) restart(m *minersim.Machine) {
	st.take()
	st.begin(m, run, toRestart)
	m.Command(st.hashing(minersim.Order{Dip: length(toRestart, 1), Ramp: length(toRestart, 0) - length(toRestart, 1)}))
}

func (st *state) stop(m *minersim.Machine) {
	if st.mode == off {
		return
	}
	st.begin(m, off, toStop)
	m.Command(minersim.Order{Lag: lag, Ramp: stopRamp})
}

// pause tells whether it could: the software must be up and hashing, or paused already.
func (st *state) pause(m *minersim.Machine) bool {
	if st.mode == paused {
		return true
	}
	if !st.hashes(m.Now()) {
		return false
	}
	st.begin(m, paused, nil)
	m.Command(minersim.Order{Lag: lag, Ramp: pauseRamp})
	return true
}

// resume tells whether it could: what is on its way up can't. It starts what was stopped (assumed: clients in the field
// stop with one command and wake with this one).
func (st *state) resume(m *minersim.Machine) bool {
	switch st.mode {
	case off:
		st.start(m)
		return true
	case run:
		return st.hashes(m.Now())
	}
	st.begin(m, run, toResume)
	m.Command(st.hashing(minersim.Order{Lag: lag, Ramp: length(toResume, 0)}))
	return true
}

// throttleTo works at a share of the applied preset, whatever it is; it tells whether it could.
func (st *state) throttleTo(m *minersim.Machine, percent int) bool {
	if !st.hashes(m.Now()) {
		return false
	}
	st.throttle = percent
	o := st.hashing(minersim.Order{Lag: lag, Ramp: throttleRamp})
	if st.tuner > 0 {
		o.Hold = max(time.Second, st.began+length(st.phases, 0)+st.tuner-m.Now())
	}
	m.Command(o)
	return true
}

// choose puts another preset into the settings, and to work where that needs no restart.
func (st *state) choose(m *minersim.Machine, index int, clocksChanged bool) {
	st.settings.preset = index
	same := index == st.applied && !(index == manual && clocksChanged)
	s, _ := st.minerState(m.Now())
	switch {
	case st.blocked(index), same, st.mode == off:
		st.restartRequired = false
	case s == mining && st.applied != manual && st.wasTuned(index):
		st.restartRequired, st.applied = false, index
		m.Command(st.hashing(minersim.Order{Lag: lag, Ramp: presetRamp}))
	default:
		st.restartRequired = true
	}
}
