package axeos

import (
	"maps"
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// lag is what passes between a command and the first watt that moves: the power loop looks ten
	// times a second.
	lag = 100 * time.Millisecond
	// offRamp is how long the core voltage takes to fall (assumed).
	offRamp = time.Second
	// chipInit is how long the chip is looked for before its clock climbs (assumed).
	chipInit = 3 * time.Second
	// climb is the time that each step of the clock takes, a step being clockStep MHz.
	climb, clockStep = 100 * time.Millisecond, 6.25
	// bootInit is how long the network takes that the machine waits for (assumed).
	bootInit = 5 * time.Second
	// fastest is as much of the default clock as a chip follows; what is set above changes nothing
	// any more (assumed).
	fastest = 1.5
)

// board is what a model is on the wire.
type board struct {
	device, version, color string
	cores                  int
	volts, input           int // default core voltage mV, supply V
	maxWatts               int
	clocks, voltages       []int
}

var boards = map[string]board{
	"Bitaxe Supra": {
		device: "Supra", version: "401", color: "blue", cores: 1276, volts: 1166, input: 5, maxWatts: 40,
		clocks: []int{400, 425, 450, 475, 485, 490, 500, 525, 550, 575}, voltages: []int{1100, 1150, 1166, 1200, 1250, 1300},
	},
	"Bitaxe Gamma": {
		device: "Gamma", version: "601", color: "green", cores: 2040, volts: 1150, input: 5, maxWatts: 40,
		clocks: []int{400, 490, 525, 550, 600, 625}, voltages: []int{1000, 1060, 1100, 1150, 1200, 1250},
	},
	"Bitaxe GT": {
		device: "GT", version: "800", color: "red", cores: 2040, volts: 1150, input: 12, maxWatts: 60,
		clocks: []int{400, 490, 525, 550, 600, 625}, voltages: []int{1000, 1060, 1100, 1150, 1200, 1250},
	},
}

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	board
	release  string
	pauses   bool    // knows how to pause
	nominal  float64 // watts
	clock    float64 // default, MHz
	paused   bool
	identify bool
	settings object
	defaults object
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	b, ok := boards[t.Model.Name]
	if !ok {
		b = boards["Bitaxe Gamma"]
		b.device = t.Model.Name
	}
	st := &state{
		board: b, release: "v" + d.FirmwareVersion, pauses: d.FirmwareVersion != "2.13.0", nominal: t.NominalWatts,
		clock: float64(t.Model.DefaultMegaHertz), paused: s.Asleep,
	}
	st.defaults = object{
		"frequency": st.clock, "coreVoltage": float64(b.volts), "overclockEnabled": 0.0, "overheat_mode": 0.0,
		"autofanspeed": 1.0, "manualFanSpeed": 100.0, "minFanSpeed": 25.0, "temptarget": 60.0, "rotation": 0.0,
		"invertscreen": 0.0, "displayTimeout": -1.0, "statsFrequency": 0.0, "hostname": "bitaxe", "ssid": "site",
		"stratumURL": "pool.example", "stratumPort": 3333.0, "stratumUser": "site.worker",
		"fallbackStratumURL": "fallback.example", "fallbackStratumPort": 3333.0, "fallbackStratumUser": "site.worker",
	}
	st.settings = maps.Clone(st.defaults)
	return st
}

// Boot ends a pause, and a hot one every setting.
func (st *state) Boot(hot bool) minersim.Order {
	st.paused, st.identify = false, false
	if hot {
		st.settings = maps.Clone(st.defaults)
	}
	return minersim.Order{Watts: st.watts(), Lag: bootInit, Ramp: st.way(st.frequency())}
}

// frequency as set, MHz.
func (st *state) frequency() float64 {
	f, _ := st.settings["frequency"].(float64)
	return f
}

// watts at the clock that is set. A core voltage by itself changes nothing: the curve has the
// voltage that a clock needs in it.
func (st *state) watts() float64 {
	return st.nominal * minersim.WattShare(math.Min(st.frequency()/st.clock, fastest))
}

// way is the time the clock takes to move so far.
func (st *state) way(megaHertz float64) time.Duration {
	steps := math.Ceil(math.Min(math.Abs(megaHertz), fastest*st.clock) / clockStep)
	return max(climb, time.Duration(steps)*climb)
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	settings, paused := maps.Clone(st.settings), st.paused
	m.Contest(func() {
		before := st.frequency()
		st.settings = settings
		switch {
		case paused == st.paused:
			st.retune(m, before)
		case paused:
			st.pause(m)
		default:
			st.resume(m)
		}
	})
}

func (st *state) pause(m *minersim.Machine) {
	st.paused = true
	m.Command(minersim.Order{Lag: lag, Ramp: offRamp})
}

// resume starts a paused machine; one that hashes is left alone.
func (st *state) resume(m *minersim.Machine) {
	if !st.paused {
		return
	}
	st.paused = false
	m.Command(minersim.Order{Watts: st.watts(), Lag: chipInit, Ramp: st.way(st.frequency())})
}

// retune moves the clock in place; paused it waits for the resume.
func (st *state) retune(m *minersim.Machine, before float64) {
	if st.paused || st.frequency() == before {
		return
	}
	m.Command(minersim.Order{Watts: st.watts(), Lag: lag, Ramp: st.way(st.frequency() - before)})
}
