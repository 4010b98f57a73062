package whatsminer

import (
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// residual is the draw with the boards off: tens of watts (unverified).
	residual = 30
	// offLag and offRamp keep a stop within the 15 s that were seen on an M64.
	offLag, offRamp = time.Second, 9 * time.Second
	// startLag is from a start to the first watt of the boards (within the 10 s that were seen).
	startLag = 8 * time.Second
	// fastRamp is the time to full load with fast boot: about a minute.
	fastRamp = time.Minute
	// restartDip is how long a restart of the mining software keeps boards and its replies away
	// (assumed).
	restartDip = 20 * time.Second
	// bootInit is how long after a boot the mining software is not up yet (assumed).
	bootInit = 20 * time.Second
	// pctLag and pctRamp keep set_power_pct within its second.
	pctLag, pctRamp = 200 * time.Millisecond, 700 * time.Millisecond
	// slowPctRamp is set_power_pct_v2, which takes "a few minutes" (assumed).
	slowPctRamp = 3 * time.Minute
	// unstableAfter is how long boards starved by set_power_pct hold out (assumed).
	unstableAfter = 90 * time.Second
)

const (
	// unstableBelow is the percentage below which boards give up and restart, and lowestShare what
	// a limit can lower a machine to (both assumed).
	unstableBelow = 30
	lowestShare   = 0.3
	// headroom is the default limit over what the machine draws (3,600 W were recorded on an
	// M60S of 3,441).
	headroom = 1.046
	// maxWatts is the highest number a limit may have; it means "no limit of mine".
	maxWatts = 99999
)

// mode is a preset; the shares of normal watts are assumed.
type mode struct {
	name  string
	share float64
}

var modes = []mode{{"low", 0.8}, {"normal", 1}, {"high", 1.15}}

const normalMode = 1

// settings are what a factory reset forgets.
type settings struct {
	mode     int
	limit    int // W; maxWatts is the default
	fastBoot bool
	// initial tells to mine after a boot.
	initial bool
	upfreq  int // 0-10
	percent int // set_power_pct: of the watts without it
	wanted  int // W, set_power; 0 is none
}

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	settings
	minersim.WhatsMiner
	// framed is a machine that takes orders by API v3 alone.
	framed  bool
	nominal float64
	off     bool
	// offReason says who switched it off.
	offReason string
	// fastNow is the fast boot that the last start used: a change waits for the next.
	fastNow bool
	// begun, settles and away are times of the machine's uptime: the last start of the mining
	// software, when its frequency search is over, and until when it does not answer.
	begun, settles, away time.Duration
	// crashed tells that the last boot was one that nobody asked for.
	crashed bool

	tokens tokens
}

func newState(d *minersim.Device, t *minersim.Traits, s minersim.Start, password string) *state {
	st := &state{WhatsMiner: s.WhatsMiner, nominal: t.NominalWatts, off: s.Asleep}
	st.settings = st.factory()
	st.fastNow = st.fastBoot
	if st.off {
		st.offReason = byAPI
	}
	st.tokens = newTokens(d.Serial, password, st.maxTokens())
	return st
}

const byAPI = "by whatsminer api"

// factory is how the fleet file has a machine of its kind.
func (st *state) factory() settings {
	return settings{mode: normalMode, limit: maxWatts, initial: true, fastBoot: st.FastBoot, percent: 100}
}

func (st *state) maxTokens() int {
	if st.MaxTokens > 0 {
		return st.MaxTokens
	}
	return defaultTokens
}

// Boot keeps the settings that are saved. Whether it mines afterwards is a setting of its own:
// having been off is forgotten.
func (st *state) Boot(hot bool) minersim.Order {
	if hot {
		st.settings = st.factory()
	}
	st.crashed = hot
	st.tokens.live = nil
	st.off, st.offReason = !st.initial, ""
	st.starts(0)
	st.away = bootInit
	o := st.order()
	o.Lag = bootInit
	if !st.off {
		o.Lag, o.Ramp = bootInit+startLag, st.search()
		st.settles = o.Lag + o.Ramp
	}
	return o
}

// starts is what the mining software forgets each time it starts.
func (st *state) starts(at time.Duration) {
	st.begun, st.fastNow = at, st.fastBoot
	st.percent, st.wanted = 100, 0
	st.settles = at
}

// search is how long a start takes to full load.
func (st *state) search() time.Duration {
	if st.fastNow {
		return fastRamp
	}
	// Speed 5 to 6 takes 8 to 10 minutes and the fastest 6 to 7; the rest of the line is assumed.
	return 15*time.Minute - time.Duration(min(st.upfreq, 9))*time.Minute
}

// inForce is the limit the machine keeps to, in watts.
func (st *state) inForce() float64 {
	own := st.nominal * modes[st.mode].share * headroom
	if st.limit < maxWatts {
		own = float64(st.limit)
	}
	return own
}

// full are the watts without a percentage: the mode's, under the limit and under set_power, but
// never lower than boards can run.
func (st *state) full() float64 {
	w := math.Min(st.nominal*modes[st.mode].share, st.inForce())
	if st.wanted > 0 {
		w = math.Min(float64(st.wanted), st.inForce())
	}
	return math.Max(w, st.nominal*lowestShare)
}

// order settles where the settings say.
func (st *state) order() minersim.Order {
	if st.off {
		return minersim.Order{Lag: offLag, Ramp: offRamp}
	}
	return minersim.Order{Watts: st.full() * float64(st.percent) / 100, Lag: offLag}
}

// stable tells whether the machine hashes and its frequency search is over.
func (st *state) stable(m *minersim.Machine) bool { return !st.off && m.Uptime() >= st.settles }

// answers tells whether the mining software is there to be asked.
func (st *state) answers(m *minersim.Machine) bool { return m.Uptime() >= st.away }

func (st *state) powerOff(m *minersim.Machine) {
	if st.off {
		return
	}
	st.off, st.offReason = true, byAPI
	m.Command(st.order())
}

func (st *state) powerOn(m *minersim.Machine) {
	if !st.off {
		return
	}
	st.off, st.offReason = false, ""
	st.starts(m.Uptime())
	o := st.order()
	o.Lag, o.Ramp = startLag, st.search()
	st.settles = m.Uptime() + o.Lag + o.Ramp
	m.Command(o)
}

// restart ends the mining software and starts it again; it wakes a machine that was off. What
// set_power said is lost, unless it is what restarts.
func (st *state) restart(m *minersim.Machine, watts int) {
	st.off, st.offReason = false, ""
	st.starts(m.Uptime())
	st.wanted = watts
	o := st.order()
	o.Dip, o.Ramp = restartDip, st.search()
	st.away = m.Uptime() + o.Lag + o.Dip
	st.settles = st.away + o.Ramp
	m.Command(o)
}

// takeEffect restarts for a setting that needs it. Asleep it waits for the start.
func (st *state) takeEffect(m *minersim.Machine) {
	if !st.off {
		st.restart(m, 0)
	}
}

// contest lets another master, where there is one, set back what it finds now.
func (st *state) contest(m *minersim.Machine) {
	settings, off := st.settings, st.off
	m.Contest(func() {
		was := st.settings
		st.settings = settings
		switch {
		case off:
			st.powerOff(m)
		case st.off:
			st.powerOn(m)
		case was != settings:
			st.restart(m, settings.wanted)
		}
	})
}

// setPercent lowers or raises against the watts without it, without a restart.
func (st *state) setPercent(m *minersim.Machine, percent int, slow bool) bool {
	if !st.stable(m) {
		return false
	}
	if percent < unstableBelow {
		st.starve(m, percent)
		return true
	}
	st.percent = percent
	o := st.order()
	o.Lag, o.Ramp = pctLag, pctRamp
	if slow {
		o.Ramp = slowPctRamp
	}
	m.Command(o)
	return true
}

// starve is a percentage too low for the boards: they follow it, give up after a while and
// restart by themselves, and then it is gone.
func (st *state) starve(m *minersim.Machine, percent int) {
	at := m.Uptime() + pctLag + unstableAfter
	st.starts(at)
	o := st.order()
	o.Lag, o.Dip, o.DipKeeps, o.Ramp = pctLag, unstableAfter, float64(percent)/100, st.search()
	st.settles = at + o.Ramp
	m.Command(o)
}

// setWatts is smooth with fast boot, and a restart without.
func (st *state) setWatts(m *minersim.Machine, watts int) bool {
	if !st.stable(m) {
		return false
	}
	if !st.fastNow {
		st.restart(m, watts)
		return true
	}
	st.wanted, st.percent = watts, 100
	o := st.order()
	o.Ramp = fastRamp
	m.Command(o)
	return true
}
