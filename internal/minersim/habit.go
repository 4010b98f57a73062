package minersim

import (
	"math"
	"time"
)

// What the personas that misbehave by themselves do, and when (assumed: enough to be noticed, not so much
// that nothing else happens).
const (
	// liarShare is how much of its watts a liar owns up to.
	liarShare = 0.55
	// busyFor of every busyEvery somebody else holds the machine's session.
	busyFor, busyEvery = 20 * time.Second, 60 * time.Second
	// driftStep is by how much a drifting machine lowers its own target every driftEvery, until it is at
	// driftLeast of what it was told.
	driftStep, driftLeast = 0.04, 0.80
	driftEvery            = 30 * time.Second
	// restartsBorne is how often mining restarts on a fragile machine before it fails.
	restartsBorne = 3
)

// habits is what a persona has done to a machine so far.
type habits struct {
	since    time.Duration // when it took the persona
	told     float64       // the level of the newest order, which a drift starts from
	drift    time.Duration // when it lowers its target next
	restarts int           // since it is fragile
	failed   bool
	// setBack is what another master does to the machine at the instant other, when its time is over.
	setBack func()
	other   time.Duration
}

// takeUp begins a persona; what the one before broke was mended, with the plug pulled.
func (m *Machine) takeUp() {
	failed := m.habits.failed
	m.habits = habits{since: m.now, told: m.level.end(), drift: m.now + driftEvery}
	if failed {
		m.Reboot(false)
	}
}

// Busy tells whether somebody else holds the machine's session now: firmware that knows sessions refuses
// commands and logins meanwhile, each in its own words.
func (m *Machine) Busy() bool {
	return m.persona == Busy && (m.now-m.habits.since)%busyEvery < busyFor
}

// BusyFor is how long that one goes on holding it; 0 where nobody does.
func (m *Machine) BusyFor() time.Duration {
	if !m.Busy() {
		return 0
	}
	return busyFor - (m.now-m.habits.since)%busyEvery
}

// Contest is told before a command by firmware that knows no sessions and lets every master command it: where another
// one holds the machine, that one sets back when its time is over what it found. Of several commands in that time the
// first counts.
func (m *Machine) Contest(setBack func()) {
	if m.Busy() && m.habits.setBack == nil {
		m.habits.setBack = setBack
		m.habits.other = m.now + m.BusyFor()
	}
}

// nextOther is when another master sets the machine back.
func (m *Machine) nextOther() time.Duration {
	if m.habits.setBack == nil {
		return math.MaxInt64
	}
	return m.habits.other
}

// takeBack is what that one does.
func (m *Machine) takeBack() {
	setBack := m.habits.setBack
	m.habits.setBack = nil
	setBack()
}

// Failed tells whether the machine has broken down: it answers, and neither hashes nor obeys.
func (m *Machine) Failed() bool { return m.habits.failed }

// Drift is the share of its target that the machine follows by its own choice; 1 where it does as told.
func (m *Machine) Drift() float64 {
	if m.persona != Drifts || m.habits.told <= 0 {
		return 1
	}
	return math.Min(1, m.level.end()/m.habits.told)
}

// nextDrift is when a drifting machine lowers its own target.
func (m *Machine) nextDrift() time.Duration {
	if m.persona != Drifts || m.level.end() <= m.habits.told*driftLeast {
		return math.MaxInt64
	}
	return m.habits.drift
}

// lower is one step of a drift. A machine that is on its way somewhere gets there first.
func (m *Machine) lower() {
	at := m.habits.drift
	m.habits.drift = at + driftEvery
	if m.level.moving(at) {
		return
	}
	next := math.Max(m.level.end()-m.habits.told*driftStep, m.habits.told*driftLeast)
	m.level.replace(at, knot{at + fallTime, next})
}

// strained counts what restarts mining on a fragile machine, and breaks it.
func (m *Machine) strained() {
	if m.persona != Fragile || m.habits.failed {
		return
	}
	m.habits.restarts++
	if m.habits.restarts > restartsBorne {
		m.habits.failed = true
		m.pending = nil
		m.level.replace(m.now, knot{m.now + fallTime, 0})
	}
}

// restarts tells whether an order makes a machine begin to mine anew.
func (m *Machine) restarts(o Order) bool {
	return m.target(o.Watts) > 0 && (o.Dip > 0 || m.level.end() <= 0)
}
