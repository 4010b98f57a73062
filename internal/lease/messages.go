// Package lease is the protocol by which the operator lets one agent draw watts for a while, and by
// which the agent says what its devices can draw. It holds two plain state machines, Issuer on the
// operator's side and Holder on the agent's: events in, messages out. It never dials, sleeps, logs or
// reads a clock, and it never decides how many watts an agent should have (internal/power does) nor
// which device does what (internal/fit does).
package lease

import "time"

// Watts is electrical power, whole watts.
type Watts int64

// Epoch numbers operator leaders. It only grows; 0 is "no leader seen".
type Epoch uint64

// Run numbers the lives of an agent process; a new one with every start, never 0.
type Run uint64

// Hello opens a leader's authority over one run of an agent, and hands it its devices.
type Hello struct {
	Epoch Epoch
	Run   Run
	// Generation numbers assignments of one epoch; a higher one replaces the devices.
	Generation uint64
	Assignment Assignment
}

// Assignment is the part of a pool that one agent minds.
type Assignment struct {
	// Ranges are addresses, CIDRs or FIRST-LAST, as in MinerPool.spec.devices.addresses.
	Ranges []string
	// Firmware is Auto or the name of one driver.
	Firmware string
	// Ports overrides the port a firmware is spoken to on.
	Ports map[string]int
	// Observe forbids every write.
	Observe bool
	// UncertaintyPercent is added to watts that firmware estimates.
	UncertaintyPercent int
	// PriorSettings is what each device (by identity) ran before it was put to sleep, as remembered
	// for this agent by the operator.
	PriorSettings map[string]string
}

// Terms are what a leader decides of a lease.
type Terms struct {
	Watts Watts
	TTL   time.Duration
	// AsOf is that of the report which was decided on: a newer one may have come since, and say more than was
	// weighed.
	AsOf       time.Duration
	ShedWithin time.Duration
	Shared     bool
}

// Lease permits one run of an agent to draw up to Watts until TTL after AsOf.
type Lease struct {
	Epoch Epoch
	Run   Run
	// Seq orders the leases of one epoch to one run.
	Seq   uint64
	Watts Watts
	TTL   time.Duration
	// AsOf is the agent's own clock as its newest report gave it; the TTL counts from there, so that
	// delay only shortens a lease.
	AsOf time.Duration
	// ShedWithin is how soon the draw must be under Watts; 0 is "at your own pace".
	ShedWithin time.Duration
	// Shared says that what the agent let go comes out of this lease still: the ledger has no room for it
	// beside the lease yet (L1).
	Shared bool
}

// Point of a curve: at Watts in all, the agent's devices make THs.
type Point struct {
	Watts Watts
	THs   float64
}

// Counts of an agent's devices.
type Counts struct {
	Total, Hashing, Sleeping, Unreachable, Stuck int
}

// Report is what an agent says of itself, about once a second and at once on change.
type Report struct {
	Epoch      Epoch
	Run        Run
	Seq        uint64
	Generation uint64
	// AsOf is the agent's monotonic clock when the report was made, from an arbitrary zero.
	AsOf time.Duration
	// LeaseWatts is the lease in force that Seq names; 0 with Seq 0 is "none".
	LeaseWatts Watts
	// Bound is the most the devices can draw with no further command (L5).
	Bound Watts
	// Draw is the sum of the newest readings, for people and metrics only.
	Draw Watts
	// Floor is what the devices would draw if every one that can sleep slept.
	Floor Watts
	// Rated is the most the devices found so far can draw.
	Rated Watts
	// Settle is the worst time from an order to shed until its watts are verified gone.
	Settle time.Duration
	// Volatile is the watts kept down only by sleeps that a reboot would undo.
	Volatile Watts
	// Curve starts at Floor, rises and is concave.
	Curve  []Point
	Counts Counts
	// PriorSettings is what each device (by identity) ran before it was put to sleep.
	PriorSettings map[string]string
	// Troubles names what a person may have to look at: device and one line each, at most 64.
	Troubles []Trouble
}

// Trouble is one device that a person may have to look at.
type Trouble struct {
	Address string
	// Reason is Stuck, Unreachable, Unreadable, Rebooted, Unauthorized or Busy.
	Reason  string
	Message string
}
