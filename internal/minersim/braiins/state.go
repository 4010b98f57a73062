package braiins

import (
	"fmt"
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Miner status, as details and the status stream number it.
const (
	statusNotStarted = 1
	statusNormal     = 2
	statusPaused     = 3
)

// Tuner states seen or documented.
const (
	tunerStable     = 2
	tunerTuning     = 3
	tunerContinuous = 5
)

const (
	// tokenIdle is how long a token lives unused; the wire calls it timeout_s.
	tokenIdle = 3600 * time.Second
	// lag is what passes between a command and the first watt that moves (assumed).
	lag = 200 * time.Millisecond
	// bootInit is how long the mining software needs after a boot before it ramps (assumed).
	bootInit = 30 * time.Second
	// restartDip is how long a restart of the mining software keeps the chips off (assumed).
	restartDip = 20 * time.Second
	// retuning is how long the tuner says tuning after a new target (assumed).
	retuning = 60 * time.Second

	defaultPassword = "root"

	defaultUp, defaultDown = 5, 2 // seconds, as the vendor's interface defaults them
)

// Power targets a machine accepts, as shares of the nameplate (assumed; each machine publishes
// its own under configuration/constraints).
const (
	minTargetShare = 0.40
	maxTargetShare = 1.10
)

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	username, password string
	// passwordless is a machine on which nobody has set a password: what clients send by default is as good as none (assumed).
	passwordless bool
	tokens       map[string]time.Duration // last use

	target            int // configured watts
	status            int
	up, down          int // quick ramping, seconds
	retunedAt         time.Duration
	locating          bool
	min, max, initial int
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start) *state {
	st := &state{
		username: orElse(d.Username, "root"), password: orElse(d.Password, defaultPassword),
		tokens: map[string]time.Duration{}, status: statusNormal,
		min:     int(math.Round(t.Model.Watts * minTargetShare)),
		max:     int(math.Round(t.Model.Watts * maxTargetShare)),
		initial: int(math.Round(t.Model.Watts)),
		up:      defaultUp, down: defaultDown,
		retunedAt: -retuning,
	}
	st.target = st.initial
	if s.Asleep {
		st.status = statusPaused
	}
	return st
}

// letsIn says whether a name and a password let in.
func (st *state) letsIn(username, password string) bool {
	return username == st.username && (password == st.password || st.passwordless && password == defaultPassword)
}

// Boot forgets the pause and every token; the target is saved, unless the boot is a hot one.
func (st *state) Boot(hot bool) minersim.Order {
	clear(st.tokens)
	st.status = statusNormal
	if hot {
		st.target, st.up, st.down = st.initial, defaultUp, defaultDown
	}
	return minersim.Order{Watts: float64(st.target), Lag: bootInit, Ramp: bootInit}
}

// order is what the machine should do for the state it is in.
func (st *state) order(ramp int) minersim.Order {
	o := minersim.Order{Lag: lag, Ramp: time.Duration(ramp) * time.Second}
	if st.status == statusNormal {
		o.Watts = float64(st.target)
	}
	return o
}

func (st *state) pause(m *minersim.Machine) bool {
	already := st.status == statusPaused
	if st.status == statusNormal {
		st.status = statusPaused
	}
	m.Command(st.order(st.down))
	return already
}

func (st *state) resume(m *minersim.Machine) bool {
	already := st.status == statusNormal
	if st.status == statusPaused {
		st.status = statusNormal
	}
	m.Command(st.order(st.up))
	return already
}

func (st *state) start(m *minersim.Machine) bool {
	already := st.status != statusNotStarted
	if !already {
		st.status = statusNormal
		o := st.order(st.up)
		o.Lag = bootInit
		m.Command(o)
	}
	return already
}

func (st *state) stop(m *minersim.Machine) bool {
	already := st.status == statusNotStarted
	st.status = statusNotStarted
	m.Command(st.order(st.down))
	return already
}

func (st *state) restart(m *minersim.Machine) bool {
	already := st.status != statusNotStarted
	st.status = statusNormal
	o := st.order(st.up)
	o.Dip = restartDip
	m.Command(o)
	return already
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	status, target := st.status, st.target
	m.Contest(func() {
		if st.target != target {
			_ = st.setTarget(m, target) // it was one before
		}
		if st.status != status {
			st.status = status
			m.Command(st.order(st.up))
		}
	})
}

// setTarget accepts a power target or says why not.
func (st *state) setTarget(m *minersim.Machine, watts int) error {
	if watts < st.min || watts > st.max {
		return fmt.Errorf("power target %d W is out of range %d..%d W", watts, st.min, st.max)
	}
	ramp := st.up
	if watts < st.target {
		ramp = st.down
	}
	st.target = watts
	st.retunedAt = m.Now()
	if st.status == statusNormal {
		m.Command(st.order(ramp))
	}
	return nil
}

func (st *state) tuner(m *minersim.Machine) int {
	switch {
	case st.status != statusNormal:
		return tunerStable
	case m.Now() < st.retunedAt+retuning:
		return tunerTuning
	default:
		return tunerContinuous
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
