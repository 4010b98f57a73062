package lease

import (
	"errors"
	"time"
)

// Grace is how long a fresh agent without a lease leaves its devices as it found them, so that a
// restart sheds nobody whose lease is on its way.
const Grace = 10 * time.Second

// Why a Holder refuses a message. Nothing of a refused message is kept.
var (
	ErrOldEpoch = errors.New("epoch is below the highest seen: a newer operator leads")
	ErrOtherRun = errors.New("meant for another run of this agent")
	ErrOldSeq   = errors.New("a lease at least as new was seen already")
	ErrNoHello  = errors.New("no hello with this epoch came before")
	ErrClock    = errors.New("as-of lies ahead of this agent's clock")
	ErrTooLate  = errors.New("it answers a report from before this run began to shed")
)

// Mode says what an agent may do now.
type Mode int

// The modes of an agent.
const (
	// Untouched: change nothing; no lease came yet and the agent is young.
	Untouched Mode = iota
	// Leased: stay under Allowance.Watts.
	Leased
	// Floor: no lease is in force; shed to the floor.
	Floor
)

// Allowance is what the Holder lets the agent do.
type Allowance struct {
	Mode Mode
	// Watts is the most the devices may draw together; of use in Leased only.
	Watts Watts
	// ShedWithin is how soon the draw must be under Watts; 0 is "at your own pace".
	ShedWithin time.Duration
	// Until is the agent's clock at which this answer ends by itself; 0 is never.
	Until time.Duration
}

// Holder is the agent's side of the protocol for one run. Times are the agent's own monotonic clock
// since its start. It is not safe for concurrent use.
type Holder struct {
	run        Run
	epoch      Epoch
	generation uint64
	assignment Assignment

	seq    uint64 // newest of this epoch; 0 before the first
	lease  Lease  // in force or over; Run is 0 before the first
	expiry time.Duration
}

// NewHolder starts the agent's side for one run; run must not be 0.
func NewHolder(run Run) *Holder { return &Holder{run: run} }

// Hello adopts a leader. A higher epoch fences every earlier lease that is still on its way and leaves
// the lease in force alone (L7); a repeated or older generation of the same epoch changes nothing.
func (h *Holder) Hello(_ time.Duration, m Hello) error {
	switch {
	case m.Run != h.run:
		return ErrOtherRun
	case m.Epoch < h.epoch || m.Epoch == 0:
		return ErrOldEpoch
	case m.Epoch > h.epoch:
		h.epoch, h.seq = m.Epoch, 0
	case m.Generation <= h.generation:
		return nil
	}
	h.generation, h.assignment = m.Generation, m.Assignment
	return nil
}

// Lease takes a lease into force. One whose time is over already is taken as well: it is the newest
// word of the leader, and the agent sheds to its floor.
func (h *Holder) Lease(now time.Duration, m Lease) error {
	switch {
	case m.Run != h.run:
		return ErrOtherRun
	case m.Epoch < h.epoch:
		return ErrOldEpoch
	case m.Epoch > h.epoch || h.epoch == 0:
		return ErrNoHello
	case m.Seq <= h.seq:
		return ErrOldSeq
	case m.AsOf > now:
		return ErrClock
	case h.lease.Run == 0 && m.AsOf < Grace && now >= Grace:
		// A first lease may be for what the run drew then. The next is weighed by what it does now.
		return ErrTooLate
	}
	h.seq, h.lease, h.expiry = m.Seq, m, m.AsOf+m.TTL
	return nil
}

// Allowance says what the agent may do now.
func (h *Holder) Allowance(now time.Duration) Allowance {
	switch {
	case h.lease.Run != 0 && now < h.expiry:
		return Allowance{Mode: Leased, Watts: h.lease.Watts, ShedWithin: h.lease.ShedWithin, Until: h.expiry}
	case h.lease.Run == 0 && now < Grace:
		return Allowance{Mode: Untouched, Until: Grace}
	default:
		return Allowance{Mode: Floor}
	}
}

// Stamp fills the parts of a report that the Holder answers for. A lease of an earlier epoch that is
// still in force is reported with Seq 0: the new leader counts its watts and can't mistake it for one
// of its own.
func (h *Holder) Stamp(now time.Duration, r *Report) {
	r.Epoch, r.Run, r.Generation, r.AsOf = h.epoch, h.run, h.generation, now
	r.Seq, r.LeaseWatts = h.seq, 0
	if h.lease.Run != 0 && now < h.expiry {
		r.LeaseWatts = h.lease.Watts
	}
}

// Generation is that of the assignment in force; 0 before the first.
func (h *Holder) Generation() uint64 { return h.generation }

// Assignment is the one in force.
func (h *Holder) Assignment() Assignment { return h.assignment }
