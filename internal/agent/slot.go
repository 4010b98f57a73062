package agent

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

const (
	// beat is the grain of poll times, so that polls start a few at a time and not one by one.
	beat = 250 * time.Millisecond
	// quickFor is how long after a write a device is looked at every fit.QuickPoll, besides the looks at
	// the very times its settling ends.
	quickFor = 30 * time.Second
	// firstRetry and lastRetry bound the wait between tries at an address where nothing was found.
	firstRetry = 2 * time.Second
	lastRetry  = 30 * time.Second
	// longestAway is how long a machine may send us away at most. What it draws counts meanwhile, others are shed for
	// it, and most that hold it let go sooner than they may.
	longestAway = 30 * time.Second
	// failureFor is how long a failed order is told of if no other was tried.
	failureFor = 2 * time.Minute
)

// task is what a worker does at a machine.
type task int

const (
	opening task = iota
	identifying
	reading
	applying
	tasks // how many there are
)

// op is the one outstanding operation of a slot.
type op struct {
	task   task
	cancel context.CancelFunc
	// raises says that an apply may make the machine draw more.
	raises bool
	// cancelled by the agent itself: its failure says nothing about the machine.
	cancelled bool
	// overdue is when an operation that should have ended by now counts as a missed poll; hung that it
	// was not ended by its limit nor by being cut short.
	overdue time.Duration
	hung    bool
}

// yield ends an operation in favour of an order to the same machine. A raise can wait, and so can an
// order while another that lowers is being given.
func (o *op) yield(now time.Duration, raises bool) {
	if raises || o.cancelled || o.task == applying && !o.raises {
		return
	}
	o.cancelled, o.overdue = true, min(o.overdue, now+overdueWait)
	o.cancel()
}

// machine is what was found at a slot. It moves with the machine's identity, not with the address.
type machine struct {
	key      string
	identity miner.Identity
	device   *fit.Device
	traits   fit.Traits
	last     fit.Reading
	met      time.Duration // when it last said who it is
	// commanded says that this run has ordered something; floored that the shed to the floor now in
	// force has reached it (design section 8: shed once, then re-assert only what it commanded itself).
	commanded, floored bool
	// wrote is when the last write was begun; marks are the times its settling ends.
	wrote time.Duration
	marks []time.Duration
	// stale asks for a fresh device under a changed assignment, once a reading is at hand.
	stale bool
	// read says that there was a good poll; missed counts those that failed since the last.
	read   bool
	missed int
}

// slot is one address of the assignment.
type slot struct {
	addr    netip.Addr
	driver  miner.Driver // nil until a machine was found, and while it is looked for again
	machine *machine     // nil until a machine was found
	op      *op
	// regular is the next look of the ordinary beat (with no driver: the next try to find one).
	regular time.Duration
	looked  time.Duration // when the last look was begun
	tries   int           // failed tries to find a machine
	// identify asks for the machine's capabilities again, as after a reboot.
	identify bool
	// looking is why the last look failed; until a good one. ordering is why the last order did; until
	// one is taken, or nobody has tried for a while.
	looking, ordering failure
	// away is until when the machine, being busy, wants no orders and no logins.
	away time.Duration
	gone bool // no longer in the assignment; its operation is still ending
}

// phase spreads the slots' looks over the interval.
func phase(addr netip.Addr, interval time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write(addr.AsSlice())
	return time.Duration(h.Sum32()) % (interval / beat) * beat
}

// tellable says whether the machine can be given an order now, or as soon as its operation is cut short.
func (s *slot) tellable(now time.Duration) bool {
	return s.driver != nil && now >= s.away && (s.op == nil || !s.op.hung)
}

// sentAway notes when a busy machine wants to be asked again, where an error says that.
func (s *slot) sentAway(now time.Duration, err error) {
	if after, ok := miner.RetryAfter(err); ok {
		s.away = now + min(after, longestAway)
	}
}

// nextLook is when the slot wants its next operation.
func (s *slot) nextLook() time.Duration {
	m := s.machine
	if s.driver == nil || m == nil || len(m.marks) == 0 {
		return s.regular
	}
	next := s.regular
	again := s.looked + fit.QuickPoll
	if again <= m.wrote+quickFor {
		next = min(next, again)
	}
	for _, mark := range m.marks {
		switch {
		case s.looked < mark:
			next = min(next, mark)
		case m.last.At < mark: // looked at since, without an answer
			next = min(next, again)
		}
	}
	return next
}

// advance sets the next look of the ordinary beat, which keeps its phase whatever came between.
func (s *slot) advance(now time.Duration) {
	at := phase(s.addr, fit.Poll)
	s.regular = at + (now-at+fit.Poll)/fit.Poll*fit.Poll
}

// backOff sets the next try at an address where nothing was found.
func (s *slot) backOff(now time.Duration) {
	wait := min(firstRetry<<min(s.tries, 10), lastRetry)
	s.tries++
	s.regular = max(now+wait-phase(s.addr, wait/2), s.away)
}

// failure is why an operation did not work; the zero value is none.
type failure struct {
	reason, message string
	until           time.Duration // 0 is "until one works"
}

// failed tells what people may have to know of an error.
func failed(err error) failure {
	f := failure{message: err.Error()}
	switch {
	case errors.Is(err, miner.ErrBusy):
		f.reason = reasonBusy
	case errors.Is(err, miner.ErrUnauthorized):
		f.reason = reasonUnauthorized
	}
	return f
}

// unidentified is what a failed try to find a machine tells, where f is what those before it did. Something that
// answered once is there, even where it does not answer each time.
func (f failure) unidentified(err error) failure {
	next := failed(err)
	switch {
	case next.reason != "":
	case !errors.Is(err, miner.ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded):
		next.reason = reasonUnidentified
	case f.reason == reasonUnidentified:
		return f
	}
	return next
}

// ails is the reason and the message of what is wrong at the slot; fit's word where only it knows.
func (s *slot) ails(now time.Duration) (reason, message string) {
	if s.ordering.until <= now {
		s.ordering = failure{}
	}
	if m := s.machine; m != nil && (m.read || m.missed > 0) { // not one that was only just found
		reason = string(m.device.Trouble(now))
	}
	return cmp.Or(s.ordering.reason, s.looking.reason, reason), cmp.Or(s.ordering.message, s.looking.message)
}

// write records a write that was begun at now and when it should be looked at. Earlier marks stand: a
// later write does not settle an earlier one.
func (m *machine) write(now time.Duration, s fit.Setting) {
	m.wrote, m.commanded = now, true
	if s.Kind == fit.Sleep {
		m.marks = append(m.marks, now+m.traits.Sleep.Worst)
		return
	}
	m.marks = append(m.marks, now+m.traits.Trim.Worst, now+m.traits.Wake.Worst)
}

// saw drops the marks that a reading begun at or after them answers.
func (m *machine) saw(r fit.Reading) {
	m.last, m.read, m.missed = r, true, 0
	kept := m.marks[:0]
	for _, mark := range m.marks {
		if mark > r.At {
			kept = append(kept, mark)
		}
	}
	m.marks = kept
}

// wakes says whether a setting starts mining on a machine that does not mine.
func (m *machine) wakes(s fit.Setting) bool {
	return s.Kind != fit.Sleep && m.last.State != fit.Hashing && m.last.State != fit.Starting
}

// lowers says whether a setting can only make a machine draw less than it does: then what the next look shows
// counts until it does, however late the order leaves.
func (m *machine) lowers(s fit.Setting) bool {
	return s.Kind == fit.Sleep || s.Kind == fit.HashWatts && m.last.State == fit.Hashing && s.Watts <= m.last.Target
}

// keyOf is the machine's identity: MAC, else serial, else where it was met.
func keyOf(id miner.Identity, addr netip.Addr) string {
	return cmp.Or(id.MAC, id.Serial, addr.String())
}
