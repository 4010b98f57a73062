package proto

import (
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// lag is what passes between a command and the first watt that moves (assumed).
	lag = 500 * time.Millisecond
	// offRamp is how long the boards take to let go, onInit how long they are looked for, and
	// onRamp how long their clocks climb (assumed).
	offRamp, onInit, onRamp = 5 * time.Second, 20 * time.Second, time.Minute
	// targetRamp is how long the way to another target takes (assumed).
	targetRamp = 15 * time.Second
	// bootInit is how long the mining software takes to come up; until then it knows no target
	// (assumed).
	bootInit = 30 * time.Second
)

// The bounds of a target, as shares of the nameplate; in the specification's example they are 400 W
// and 3,000 W around 2,500 W.
const lowestShare, highestShare = 0.16, 1.1

// wattStep rounds bounds and default.
const wattStep = 50

// The modes of performance. What they change besides the words is not known: here nothing.
const maximum, efficiency = "MaximumHashrate", "Efficiency"

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	access
	target, lowest, highest, usual int // watts
	mode                           string
	balance, onDisconnect          bool
	stopped                        bool
	// turned is when it was last started or stopped, up when the mining software is.
	turned, up time.Duration
	booted     bool
	located    bool
	fans       string
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	step := func(watts float64) int { return wattStep * int(math.Round(watts/wattStep)) }
	usual := step(t.Model.Watts)
	return &state{
		access: newAccess(d), target: usual, usual: usual,
		lowest: step(t.Model.Watts * lowestShare), highest: step(t.Model.Watts * highestShare),
		mode: maximum, stopped: s.Asleep, turned: -time.Hour, fans: "Auto",
	}
}

// Boot starts what was stopped (assumed) and keeps the target, unless it is a hot one.
func (st *state) Boot(hot bool) minersim.Order {
	st.tokens = nil
	st.stopped, st.booted, st.located = false, true, false
	if hot {
		st.target, st.mode = st.usual, maximum
	}
	return minersim.Order{Watts: float64(st.target), Lag: bootInit + onInit, Ramp: onRamp}
}

// settle learns of a boot.
func (st *state) settle(m *minersim.Machine) {
	if st.booted {
		st.booted = false
		st.up = m.Now() - m.Uptime() + bootInit
		st.turned = st.up
	}
}

// status in the interface's words.
func (st *state) status(now time.Duration) string {
	in := now - st.turned
	switch {
	case now < st.up:
		return "Uninitialized"
	case st.stopped && in < lag+offRamp:
		return "PoweringOff"
	case st.stopped:
		return "Stopped"
	case in < onInit+onRamp:
		return "PoweringOn"
	default:
		return "Mining"
	}
}

// stop and start do nothing to what is so already.
func (st *state) stop(m *minersim.Machine) {
	if st.stopped {
		return
	}
	st.stopped, st.turned = true, m.Now()
	m.Command(minersim.Order{Lag: lag, Ramp: offRamp})
}

func (st *state) start(m *minersim.Machine) {
	if !st.stopped {
		return
	}
	st.stopped, st.turned = false, m.Now()
	m.Command(minersim.Order{Watts: float64(st.target), Lag: onInit, Ramp: onRamp})
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	stopped, target := st.stopped, st.target
	m.Contest(func() {
		st.aim(m, target)
		if stopped {
			st.stop(m)
		} else {
			st.start(m)
		}
	})
}

// aim takes another target: at work on the way there, on the way up when it is up, and stopped at
// the next start.
func (st *state) aim(m *minersim.Machine, watts int) {
	if watts == st.target {
		return
	}
	st.target = watts
	if st.stopped {
		return
	}
	o := minersim.Order{Watts: float64(watts), Lag: lag, Ramp: targetRamp}
	if wait := st.turned + onInit - m.Now(); wait > 0 {
		o.Lag, o.Ramp = wait, onRamp
	}
	m.Command(o)
}
