package chaos

import (
	"context"
	"slices"
	"time"

	minding "github.com/counterweight-dev/counterweight/internal/agent"
	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// sight is what the checker knows of one machine in one life of an agent, by what passed between the two.
// Times are the agent's.
type sight struct {
	found  bool
	asked  bool        // one look or try has ended
	last   fit.Reading // newest that was answered; At is no earlier than when the agent thought of it
	missed int         // looks in a row that failed since
	// writing counts the orders on their way.
	writing int
	next    choice // the order that has yet to leave
	settled time.Duration
	// commanded says that an order left, slept when it was read asleep last.
	commanded bool
	slept     time.Duration
	told      time.Duration // when the newest order was chosen
	// stood is its bound by the newest reading, when no look was missed; stoodAt is that reading's time.
	stood   fit.Watts
	stoodAt time.Duration
	// before is its bound before it was told to sleep, which counts until a look begun after settles.
	before  fit.Watts
	settles time.Duration
	// restarted is when it was last told what restarts its mining.
	restarted time.Duration
	// rises are the watts that it was told and has not been seen at, which count until they would be settled.
	rises []rising
}

// rising counts in a bound until the first time at which it may be settled, and is no news until the last.
type rising struct {
	until, last time.Duration
	watts       fit.Watts
}

// choice is an order as it was chosen.
type choice struct {
	at    time.Duration
	begun time.Duration // by the true clock
	bound fit.Watts     // before it
	mode  lease.Mode
}

// letting is a machine that an agent let go, and what it could draw then.
type letting struct {
	d     *device
	at    time.Duration
	watts float64
}

func (a *agent) sight(d *device) *sight {
	s := a.sights[d]
	if s == nil {
		s = &sight{restarted: -restartEvery}
		a.sights[d] = s
	}
	return s
}

// chosen is told of an order by the agent, before it counts it.
func (a *agent) chosen(o minding.Order) {
	d := a.h.byAddr[o.Address]
	a.h.check.chosen(a, d, &o)
	if o.Leaves {
		s, t := a.sight(d), &d.traits
		if a.pausing > 0 && d.settles(o.Setting) > d.most() {
			a.h.pause(&a.process, a.pausing)
			a.pausing = 0
		}
		s.settled = max(s.settled, a.now()+max(t.Sleep.Worst, t.Wake.Worst, t.Trim.Worst))
		s.next = choice{a.now(), a.h.now, o.Device.Bound(a.now()), o.Allowance.Mode}
	}
}

// failed notes a look, or a try to find the machine, that came to nothing; one that was cut short says
// nothing.
func (s *sight) failed(ctx context.Context) {
	if l, ok := ctx.Value(limitKey{}).(*limit); ok && l.cut {
		return
	}
	s.asked = true
	s.missed++
}

func (s *sight) saw(r fit.Reading) {
	s.asked, s.last, s.missed = true, r, 0
	switch r.State {
	case fit.Hashing:
		s.rises = nil
	case fit.Sleeping:
		s.slept = r.At
	}
}

// left notes an order that leaves for the machine; undo takes it back, as once the machine has refused it.
func (s *sight) left(d *device, set fit.Setting) (undo func()) {
	was := *s
	s.commanded, s.told = true, s.next.at
	at, t := s.next.at, &d.traits
	if s.restarts(d, set) {
		s.restarted = at
	}
	s.before, s.settles = 0, 0
	if set.Kind == fit.Sleep {
		s.before, s.settles = s.next.bound, at+t.Sleep.Worst
	} else {
		s.rise(d, set)
	}
	return func() {
		s.before, s.settles, s.rises, s.commanded, s.told, s.restarted = was.before, was.settles, was.rises, was.commanded, was.told, was.restarted
	}
}

// may notes an order that did not leave, which the agent can't know.
func (s *sight) may(d *device, set fit.Setting) {
	s.commanded = true
	if set.Kind != fit.Sleep {
		s.rise(d, set)
	}
}

// rise notes what the machine may go to.
func (s *sight) rise(d *device, set fit.Setting) {
	at, t := s.next.at, &d.traits
	s.rises = append(slices.Clip(s.rises),
		rising{at + min(t.Wake.Worst, t.Trim.Worst), at + max(t.Wake.Worst, t.Trim.Worst), fit.Watts(d.named(set))})
}

// restarts tells whether an order stops its mining on the way, by what the agent saw of it last.
func (s *sight) restarts(d *device, set fit.Setting) bool {
	if set.Kind == fit.Sleep {
		return false
	}
	if s.last.State == fit.Sleeping {
		return d.traits.Wake.Restarts
	}
	return d.traits.Trim.Restarts
}

// coming is the most that the machine was told and may yet go to: it may have missed it, and then an order
// of less is the first that it hears.
func (s *sight) coming(now time.Duration) (most float64) {
	for _, r := range s.rises {
		if now < r.last {
			most = max(most, float64(r.watts))
		}
	}
	return most
}

// lets is what machines that an agent let go may draw out of its lease in force.
func (a *agent) letGo() (sum float64) {
	for _, l := range a.lets {
		if !l.d.wild {
			sum += l.watts
		}
	}
	return sum
}
