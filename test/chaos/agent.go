package chaos

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// agent is one life of an agent process: the real Holder and the real Fit, driven as internal/agent drives
// them, over played devices.
type agent struct {
	process
	h       *history
	pod     *agentPod
	run     lease.Run
	started time.Duration
	drift   int64 // parts in a million that its clock is fast
	conns   []*conn

	holder     *lease.Holder
	mode       lease.Mode
	generation uint64
	epoch      lease.Epoch
	sweptOf    uint64
	assignedAt time.Duration
	assignment lease.Assignment
	assigned   bool
	slots      []*slot
	letting    int
	left       fit.Watts // what machines that were let go may draw under the lease in force
	leftAt     time.Duration
	fitted     time.Duration
	until      time.Duration
	dirty      bool
	urgent     bool
	news       bool
	reported   time.Duration
	published  bool
	report     lease.Report
	stepAt     time.Duration
	mind       mind          // by the checker's books
	over       time.Duration // since when its machines may draw more than it lets them
	shedMode   lease.Mode
	babbles    time.Duration // until when it talks nonsense
	leaseEpoch lease.Epoch   // of the lease in force
}

// slot is one address of the assignment.
type slot struct {
	dev     *device
	machine *machine // nil until it was found
	op      *operation
	regular time.Duration
	looked  time.Duration
	tries   int
	gone    bool
}

type machine struct {
	device    *fit.Device
	last      fit.Reading
	commanded bool
	floored   bool
	wrote     time.Duration
	marks     []time.Duration
	stale     bool
	read      bool
	missed    int
	// before is its bound before it was told to sleep, which counts until a look begun after settles.
	before  fit.Watts
	settles time.Duration
	// rises are the watts that it was told and has not been seen at, which count until they would be settled.
	rises []rising
}

// rising counts in a bound until the first time at which it may be settled, and is no news until the last.
type rising struct {
	until, last time.Duration
	watts       fit.Watts
}

// operation is the one outstanding at a slot.
type operation struct {
	write     bool
	raises    bool
	cancelled bool
	cancel    func()
}

const (
	reportEvery = time.Second
	reportGap   = 50 * time.Millisecond
	fitGap      = 100 * time.Millisecond
	fitEvery    = time.Second
	floorWithin = time.Second
	sweepMost   = 8 * time.Second
	readWithin  = 4 * time.Second
	applyLeast  = 3 * time.Second
	applyMost   = 12 * time.Second
	quickFor    = 30 * time.Second
)

// startAgent starts an agent process in a pod.
func (h *history) startAgent(p *agentPod) {
	h.runs++
	a := &agent{h: h, pod: p, run: lease.Run(h.runs), started: h.now, drift: int64(h.span(-1000, 1000))}
	a.name = fmt.Sprintf("agent %s.%d", p.name, h.runs)
	a.holder = lease.NewHolder(a.run)
	p.process = a
	h.agents = append(h.agents, a)
	h.logf("%s starts", a.name)
	a.step()
}

// now is the agent's own clock.
func (a *agent) now() time.Duration {
	d := a.h.now - a.started
	return d + time.Duration(int64(d)/1_000_000*a.drift)
}

// in is how long the agent's clock takes to a time of its own.
func (a *agent) in(at time.Duration) time.Duration {
	d := at - a.now()
	return max(d-time.Duration(int64(d)/1_000_000*a.drift), 0)
}

// greet sends the newest report on a connection that just came up.
func (a *agent) greet(c *conn) {
	if c.closed {
		return
	}
	c.report(a.compose(a.now()))
}

// take is an order that arrived.
func (a *agent) take(m order) {
	now := a.now()
	a.urgent = true
	switch {
	case m.hello != nil:
		err := a.holder.Hello(now, *m.hello)
		a.h.check.greeted(a, m.hello, err)
		if err == nil {
			a.h.logf("%s takes Hello epoch %d generation %d", a.name, m.hello.Epoch, m.hello.Generation)
			if !a.assigned || a.holder.Generation() != a.generation || m.hello.Epoch != a.epoch {
				a.generation, a.epoch, a.assignedAt = a.holder.Generation(), m.hello.Epoch, now
				a.assign(now, a.holder.Assignment())
			}
		}
	default:
		err := a.holder.Lease(now, *m.lease)
		a.h.check.leased(a, m.lease, err)
		if err != nil {
			a.h.logf("%s refuses lease %d of epoch %d: %v", a.name, m.lease.Seq, m.lease.Epoch, err)
		} else {
			a.leaseEpoch = m.lease.Epoch
			if m.lease.AsOf >= a.leftAt && !m.lease.Shared {
				a.left = 0
			}
			a.h.logf("%s takes lease %d of epoch %d: %d W for %.1f s", a.name, m.lease.Seq, m.lease.Epoch, m.lease.Watts, m.lease.TTL.Seconds())
		}
	}
	a.step()
}

// assign takes up an assignment: addresses that stay keep what is known of them.
func (a *agent) assign(now time.Duration, next lease.Assignment) {
	var slots []*slot
	for _, d := range a.h.expand(next.Ranges) {
		s := a.slotOf(d)
		if s == nil {
			s = &slot{dev: d, regular: now}
		}
		slots = append(slots, s)
	}
	for _, old := range a.slots {
		kept := false
		for _, s := range slots {
			kept = kept || s == old
		}
		if !kept {
			a.letGo(now, old)
		}
	}
	changed := a.assigned && (a.assignment.Observe != next.Observe || a.assignment.UncertaintyPercent != next.UncertaintyPercent)
	a.assignment, a.assigned, a.slots, a.over = next, true, slots, 0
	for _, s := range slots {
		if s.machine != nil {
			s.machine.stale = s.machine.stale || changed
		}
	}
	a.h.check.assigned(a)
}

func (a *agent) letGo(now time.Duration, s *slot) {
	s.gone = true
	if s.machine != nil {
		a.left, a.leftAt = a.left+s.machine.device.Bound(now), now
	}
	if s.op != nil {
		if s.op.write {
			a.letting++
		}
		s.op.cancel()
	}
}

func (a *agent) slotOf(d *device) *slot {
	for _, s := range a.slots {
		if s.dev == d {
			return s
		}
	}
	return nil
}

// expand lists the devices of address ranges.
func (h *history) expand(ranges []string) []*device {
	var out []*device
	for _, r := range ranges {
		first, last, ok := strings.Cut(r, "-")
		if !ok {
			last = first
		}
		low, errLow := netip.ParseAddr(first)
		high, errHigh := netip.ParseAddr(last)
		if errLow != nil || errHigh != nil {
			panic("the model's agents know no range like " + r)
		}
		for at := low; !high.Less(at); at = at.Next() {
			if d := h.byAddr[at.String()]; d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

func all(*slot) bool            { return true }
func (s *slot) tellable() bool  { return s.machine != nil && s.machine.missed < 3 }
func (s *slot) untold() bool    { return !s.tellable() }
func (m *machine) hashes() bool { return m.last.State == fit.Hashing || m.last.State == fit.Starting }

// devices are those of the slots that keep accepts.
func (a *agent) devices(keep func(*slot) bool) []*fit.Device {
	list := make([]*fit.Device, 0, len(a.slots))
	for _, s := range a.slots {
		if s.machine != nil && keep(s) {
			list = append(list, s.machine.device)
		}
	}
	return list
}

// step brings everything up to now: orders first, then looks, then the report of both.
func (a *agent) step() {
	now := a.now()
	if a.fitDue(now) {
		a.fit(now)
	}
	a.look(now)
	a.publish(now)
	a.h.check.allowed(a)
	a.h.check.agentMoved(a)
	next := a.nextStep(now)
	at := a.h.now + max(a.in(next), time.Millisecond)
	a.stepAt = at
	a.h.at(at, func() {
		if a.stepAt == at {
			a.do(a.step)
		}
	})
}

func (a *agent) nextStep(now time.Duration) time.Duration {
	next := a.reported + reportEvery
	if a.news {
		next = a.reported + reportGap
	}
	next = min(next, a.nextFit())
	for _, s := range a.slots {
		if s.op == nil {
			if at := s.nextLook(); at > now {
				next = min(next, at)
			}
		}
	}
	return next
}

// publish reports where a second has passed or something changed that the operator waits for.
func (a *agent) publish(now time.Duration) {
	due := !a.published || now >= a.reported+reportEvery
	if !due && (now < a.reported+reportGap || !a.news) {
		return
	}
	a.news = false
	if len(a.conns) == 0 {
		a.reported, a.published = now, true
		return
	}
	r := a.compose(now)
	if !due && !a.changed(r) {
		return
	}
	a.report, a.reported, a.published = r, now, true
	for _, c := range a.conns {
		c.report(r)
	}
}

// stamp holds the generation back until every address was asked, and while a write to one that was let go
// is in flight (L9).
func (a *agent) stamp(now time.Duration, r *lease.Report) {
	a.holder.Stamp(now, r)
	if a.letting > 0 || !a.swept(now) {
		r.Generation = 0
	}
}

func (a *agent) swept(now time.Duration) bool {
	if a.sweptOf == a.holder.Generation() {
		return true
	}
	if now-a.assignedAt < sweepMost {
		for _, s := range a.slots {
			if m := s.machine; s.tries == 0 && (m == nil || !m.read && m.missed == 0) {
				return false
			}
		}
	}
	a.sweptOf = a.holder.Generation()
	return true
}

// compose makes the report of now.
func (a *agent) compose(now time.Duration) lease.Report {
	list := a.devices(all)
	t := fit.Sum(list, now)
	r := lease.Report{
		Bound: lease.Watts(t.Bound), Draw: lease.Watts(t.Draw), Floor: lease.Watts(t.Floor), Rated: lease.Watts(t.Rated),
		Settle: t.Settle, Volatile: lease.Watts(t.Volatile),
		Counts: lease.Counts{
			Total: t.Counts.Total, Hashing: t.Counts.Hashing, Sleeping: t.Counts.Sleeping,
			Unreachable: t.Counts.Unreachable, Stuck: t.Counts.Stuck,
		},
	}
	for _, p := range fit.Curve(list, now) {
		if math.IsNaN(p.THs) || p.THs < 0 {
			p.THs = 0
		}
		r.Curve = append(r.Curve, lease.Point{Watts: lease.Watts(p.Watts), THs: p.THs})
	}
	a.stamp(now, &r)
	a.h.check.told(a, &r)
	a.h.check.bounded(a, &r)
	if a.h.now < a.babbles {
		r.Draw = r.Rated + 1
	}
	return r
}

// stopAgent ends an agent process; its machines keep what they run, and writes that left still arrive.
func (h *history) stopAgent(a *agent) {
	if a.dead {
		return
	}
	h.logf("%s is dead", a.name)
	for len(a.conns) > 0 {
		a.conns[0].close()
	}
	a.kill()
	for i, other := range h.agents {
		if other == a {
			h.agents = append(h.agents[:i:i], h.agents[i+1:]...)
			break
		}
	}
}

// listening is the agent process at an address.
func (h *history) listening(ip string) *agent {
	for _, a := range h.agents {
		if a.pod.ip == ip && !a.paused {
			return a
		}
	}
	return nil
}
