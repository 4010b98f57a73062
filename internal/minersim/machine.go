package minersim

import (
	"math"
	"time"
)

// Order is what firmware tells the power stage to do. It replaces every order before it.
type Order struct {
	// Watts to settle at, at the wall; 0 means asleep, at the residual watts.
	Watts float64
	// Lag passes before anything moves.
	Lag time.Duration
	// Ramp is the time from the first movement to the new level.
	Ramp time.Duration
	// Dip, where above zero, drops first and stays down so long: a restart of the mining
	// software, or of a board.
	Dip time.Duration
	// DipKeeps is the share of the level that goes on during the dip.
	DipKeeps float64
	// Hold, where above zero, is how long Watts last; then the level moves on to Next by itself,
	// in another Ramp: a tuner that ends.
	Hold time.Duration
	// Next is what Watts become after Hold.
	Next float64
}

// Memory is what firmware remembers over a reboot.
type Memory interface {
	// Boot resets what a reboot loses and returns what the machine does when it is up again.
	// A hot boot forgets every setting and hashes at the default.
	Boot(hot bool) Order
}

// State is what a machine physically does.
type State string

const (
	// Booting machines are off the network.
	Booting State = "Booting"
	// Ramping machines are between two levels, or will move without another command.
	Ramping State = "Ramping"
	// Sleeping machines draw their residual watts.
	Sleeping State = "Sleeping"
	// Hashing machines hold a level.
	Hashing State = "Hashing"
	// Broken machines draw their residual watts and obey nothing.
	Broken State = "Broken"
)

// fallTime is how long the watts of a machine take to fall when its supply lets go: the
// capacitors of the supply, and short enough that nobody's meter sees the slope (assumed).
const fallTime = 500 * time.Millisecond

// Machine is the physics of one miner. It is a step function of time: call Advance before
// asking anything. It is not safe for concurrent use; Device is.
type Machine struct {
	Traits
	memory  Memory
	persona Persona

	now      time.Duration
	level    path // watts above the residual, before deviation
	pending  []pending
	bootEnd  time.Duration
	bootedAt time.Duration
	nextHot  time.Duration
	reboots  int
	habits   habits
}

// pending is a command that is late.
type pending struct {
	at time.Duration
	do func()
}

// NewMachine makes a machine that has been settled at the given order for a long time.
func NewMachine(traits Traits, memory Memory, at time.Duration, settled Order) *Machine {
	m := &Machine{Traits: traits, memory: memory, persona: Good, now: at}
	m.level = newPath(at-historyKept, m.target(settled.Watts))
	m.bootedAt = at - historyKept
	m.bootEnd = m.bootedAt
	return m
}

// target is the level that so many watts at the wall are.
func (m *Machine) target(watts float64) float64 { return math.Max(0, watts-m.ResidualWatts) }

// Advance steps the machine to the instant. Time never runs backwards: an earlier instant
// changes nothing.
func (m *Machine) Advance(to time.Duration) {
	for {
		at, do := m.nextEvent()
		if at > to {
			break
		}
		m.now = max(m.now, at)
		do()
	}
	m.now = max(m.now, to)
}

// nextEvent is the earliest thing that happens by itself.
func (m *Machine) nextEvent() (at time.Duration, do func()) {
	at = math.MaxInt64
	if len(m.pending) > 0 {
		at, do = m.pending[0].at, m.arrive
	}
	if m.persona == RebootsHot && m.nextHot < at {
		at, do = m.nextHot, m.rebootHot
	}
	if drift := m.nextDrift(); drift < at {
		at, do = drift, m.lower
	}
	if other := m.nextOther(); other < at {
		at, do = other, m.takeBack
	}
	return at, do
}

// arrive lets the first of the late commands take effect.
func (m *Machine) arrive() {
	do := m.pending[0].do
	m.pending = m.pending[1:]
	do()
}

func (m *Machine) rebootHot() {
	m.Reboot(true)
	m.scheduleHot(m.bootEnd)
}

// Command applies an order as the persona has it: now, later or never.
func (m *Machine) Command(o Order) { m.obey(func() { m.do(o) }) }

// CommandReboot reboots as the persona has it.
func (m *Machine) CommandReboot(hot bool) { m.obey(func() { m.Reboot(hot) }) }

func (m *Machine) obey(do func()) {
	switch m.persona {
	case Deaf:
	case Late:
		m.pending = append(m.pending, pending{m.now + m.LateReply + m.LateEffect, do})
	default:
		m.pending = nil
		do()
	}
}

// do lays the path an order takes.
func (m *Machine) do(o Order) {
	if m.restarts(o) {
		if m.strained(); m.habits.failed {
			return
		}
	}
	m.habits.told, m.habits.drift = m.target(o.Watts), m.now+driftEvery
	start := m.now + o.Lag
	knots := make([]knot, 0, 4)
	level := m.level.level(m.now)
	if o.Lag > 0 {
		knots = append(knots, knot{start, level})
	}
	if o.Dip > 0 {
		down := start + fallTime
		start = down + o.Dip
		knots = append(knots, knot{down, level * o.DipKeeps}, knot{start, level * o.DipKeeps})
	}
	m.level.replace(m.now, append(knots, m.climb(start, o)...)...)
}

// climb is the way from where the level is at start to where an order settles.
func (m *Machine) climb(start time.Duration, o Order) []knot {
	ramp := max(o.Ramp, fallTime)
	knots := []knot{{start + ramp, m.target(o.Watts)}}
	if o.Hold > 0 {
		end := start + ramp + o.Hold
		knots = append(knots, knot{end, m.target(o.Watts)}, knot{end + ramp, m.target(o.Next)})
	}
	return knots
}

// Reboot takes the machine off the network, whatever its persona; what it does afterwards is up
// to its firmware's memory. Orders not yet in effect are lost.
func (m *Machine) Reboot(hot bool) {
	m.reboots++
	m.pending = nil
	m.habits.setBack = nil
	m.bootEnd = m.now + m.Boot
	m.bootedAt = m.bootEnd
	o := m.memory.Boot(hot || m.persona == RebootsHot)
	if m.strained(); m.habits.failed {
		return
	}
	m.habits.told, m.habits.drift = m.target(o.Watts), m.bootEnd+driftEvery
	up := m.bootEnd + o.Lag
	m.level.replace(m.now, append([]knot{{m.now + fallTime, 0}, {up, 0}}, m.climb(up, o)...)...)
}

// SetPersona changes how the machine behaves from now on. Orders that were already late still
// come.
func (m *Machine) SetPersona(p Persona) {
	m.persona = p
	m.takeUp()
	if p == RebootsHot {
		m.scheduleHot(m.now)
	}
}

// scheduleHot draws the next reboot of reboots-hot.
func (m *Machine) scheduleHot(from time.Duration) {
	gap := float64(m.RebootEvery) * (0.7 + 0.6*m.random.Float64())
	m.nextHot = from + max(time.Second, time.Duration(gap))
}

// Persona is how the machine behaves now.
func (m *Machine) Persona() Persona { return m.persona }

// Now is the instant the machine was last advanced to.
func (m *Machine) Now() time.Duration { return m.now }

// Watts is the true draw at the wall.
func (m *Machine) Watts() float64 { return m.wattsAt(m.now) }

func (m *Machine) wattsAt(t time.Duration) float64 {
	return m.ResidualWatts + m.level.level(t)*(1+m.deviation(t))
}

// ReportedWatts is the draw as firmware tells it.
func (m *Machine) ReportedWatts() float64 {
	watts := m.Watts() * (1 + m.ReportError)
	if m.persona == Liar {
		watts *= liarShare
	}
	return watts
}

// TargetWatts is what the machine settles at if it is left alone.
func (m *Machine) TargetWatts() float64 { return m.ResidualWatts + m.level.end() }

// TeraHashes is the true hashrate, in TH/s.
func (m *Machine) TeraHashes() float64 { return m.teraHashesAt(m.now) }

func (m *Machine) teraHashesAt(t time.Duration) float64 {
	level := m.level.level(t)
	if level <= 0 {
		return 0
	}
	return m.NominalTeraHashes * HashShare((level+m.ResidualWatts)/m.NominalWatts)
}

// TeraHashesFor is the hashrate this machine settles at for so many watts.
func (m *Machine) TeraHashesFor(watts float64) float64 {
	return m.NominalTeraHashes * HashShare(watts/m.NominalWatts)
}

// AverageTeraHashes is the mean hashrate of the time up to now. Like firmware's own averages it
// goes on being above zero for a while after hashing stopped.
func (m *Machine) AverageTeraHashes(over time.Duration) float64 {
	over = min(over, historyKept)
	if m.level.steady(m.now - over) {
		return m.TeraHashes()
	}
	const samples = 24
	sum := 0.0
	for i := range samples {
		sum += m.teraHashesAt(m.now - over*time.Duration(2*i+1)/(2*samples))
	}
	return sum / samples
}

// State is what the machine physically does now.
func (m *Machine) State() State {
	switch {
	case m.now < m.bootEnd:
		return Booting
	case m.level.moving(m.now):
		return Ramping
	case m.habits.failed:
		return Broken
	case m.level.level(m.now) <= 0:
		return Sleeping
	default:
		return Hashing
	}
}

// Reachable tells whether the machine answers on the network.
func (m *Machine) Reachable() bool { return m.persona != Dark && m.now >= m.bootEnd }

// ReplyDelay is how long a reply to a command is held back.
func (m *Machine) ReplyDelay() time.Duration {
	if m.persona == Late {
		return m.LateReply
	}
	return 0
}

// Uptime is how long the machine has been up.
func (m *Machine) Uptime() time.Duration { return max(0, m.now-m.bootedAt) }

// Reboots counts the reboots since the simulation began.
func (m *Machine) Reboots() int { return m.reboots }
