// Package fit decides which devices of one agent hash, trim or sleep so that together they stay under
// a lease, and keeps for each device the most it can draw with no further command (its bound, rule L5).
// It is pure: the clock is a value (time since the agent started), there is no I/O, and it never
// decides how large the lease should be.
package fit

import "time"

// Watts is electrical power, whole watts.
type Watts int64

// Point of a curve: at Watts in all, the devices make THs.
type Point struct {
	Watts Watts
	THs   float64
}

// Kind of a setting.
type Kind int

// The kinds of setting.
const (
	Sleep     Kind = iota // stop mining
	HashWatts             // hash at a watt target
	HashMode              // hash in a named profile
)

// Setting is what a device is told to do.
type Setting struct {
	Kind  Kind
	Watts Watts  // the target, or the profile's watts; 0 for Sleep
	Mode  string // HashMode only
}

// Mode is one profile a device offers.
type Mode struct {
	Name  string
	Watts Watts
	THs   float64
}

// Timing of an action: order given to watts settled, at worst; Restarts says mining stops on the way.
type Timing struct {
	Worst    time.Duration
	Restarts bool
}

// Traits are what a machine can do, as its driver found.
type Traits struct {
	CanSleep            bool
	SleepSurvivesReboot bool
	// Continuous targets from Min to Max in steps of Step; all 0 where there are none.
	Min, Max, Step Watts
	// Modes ascend by watts; empty where there are none.
	Modes     []Mode
	Nameplate Watts
	// NameplateTHs is the hash rate at Nameplate.
	NameplateTHs float64
	// Nominal is what NameplateTHs takes where Nameplate is the most that the machine may draw; else 0.
	Nominal  Watts
	Residual Watts
	// Sleep, Wake and Trim are the timings of the three actions.
	Sleep, Wake, Trim Timing
}

// State of a device as last read.
type State int

// The states of a device.
const (
	Unknown State = iota
	Hashing
	Starting
	Sleeping
	Stopping
	Failed
)

// Reading is one successful look at a device. At is when the look began.
type Reading struct {
	At    time.Duration
	State State
	// HasWatts is false where the machine gave none; then its bound is its rated watts.
	HasWatts  bool
	Watts     Watts
	Estimated bool
	THs       float64
	// Target is the watts the firmware follows now, 0 where it names none.
	Target Watts
	// Mode is the profile in force, empty where there is none.
	Mode   string
	Uptime time.Duration // 0 where unknown
}

// restartedAfter says that the machine was started after a time, as far as it tells.
func (r Reading) restartedAfter(at time.Duration) bool { return r.Uptime > 0 && r.At-r.Uptime > at }

// Order is one thing to command now.
type Order struct {
	Device  *Device
	Setting Setting
}
