package chaos

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	minding "github.com/counterweight-dev/counterweight/internal/agent"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// agent is one life of an agent process: the real agent, over played machines and connections.
type agent struct {
	process
	h       *history
	pod     *agentPod
	run     lease.Run
	started time.Duration
	drift   int64 // parts in a million that its clock is fast
	conns   []*conn

	real    *minding.Agent
	turn    func() time.Duration
	reports <-chan lease.Report // every one that it makes, for the checker
	stepAt  time.Duration       // when the next turn is due
	alarm   time.Duration       // when one is looked for; 0 where nothing is set
	taking  bool                // an order is being judged; the turn waits

	mind     mind               // by the checker's books, as is all that follows
	minds    []*device          // its assignment's
	sights   map[*device]*sight // of those and of what was let go while it was written to
	lets     []letting
	cutShort []*sight      // of machines that it let go while it wrote to them
	over     time.Duration // since when its machines may draw more than it lets them
	mode     lease.Mode    // that this was in
	report   lease.Report  // newest
	babbles  time.Duration // until when it talks nonsense
	pausing  time.Duration // for how long it is paused once it has chosen to raise a machine
}

// startAgent starts an agent process in a pod.
func (h *history) startAgent(p *agentPod) {
	h.runs++
	a := &agent{
		h: h, pod: p, run: lease.Run(h.runs), started: h.now, drift: int64(h.span(-1000, 1000)), sights: map[*device]*sight{},
	}
	a.name = fmt.Sprintf("agent %s.%d", p.name, h.runs)
	a.real, a.turn = minding.Play(minding.Config{
		Run: a.run, Clock: a.now, Open: a.open, Log: a.log(),
	}, minding.Ports{Go: a.work, Timeout: a.within, Due: a.due, Chosen: a.chosen})
	p.process = a
	h.agents = append(h.agents, a)
	h.logf("%s starts", a.name)
	a.held(func() { a.reports, _ = a.real.Subscribe(context.Background()) })
}

// log is where the agent writes: into the timeline, where there is one.
func (a *agent) log() logr.Logger {
	if !a.h.tracing {
		return logr.Discard()
	}
	return funcr.New(func(_, args string) { a.h.logf("%s: %s", a.name, args) }, funcr.Options{Verbosity: 1})
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

// due makes a turn, but for an order that has yet to be judged.
func (a *agent) due() {
	if !a.taking {
		a.step()
	}
}

// held keeps the agent from its turn until what f hands to it was judged.
func (a *agent) held(f func()) {
	a.taking = true
	f()
	a.taking = false
	a.step()
}

// step is one turn of the agent's loop, and what it has to say after it.
func (a *agent) step() {
	next := a.turn()
	a.publish()
	a.h.check.allowed(a)
	a.h.check.agentMoved(a)
	a.stepAt = a.h.now + max(a.in(next), time.Millisecond)
	a.wind()
}

// wind sets the alarm, where none rings early enough.
func (a *agent) wind() {
	if a.alarm > a.h.now && a.alarm <= a.stepAt {
		return
	}
	at := a.stepAt
	a.alarm = at
	a.h.at(at, func() {
		if a.alarm == at {
			a.do(a.ring)
		}
	})
}

func (a *agent) ring() {
	a.alarm = 0
	if a.h.now >= a.stepAt {
		a.step()
		return
	}
	a.wind()
}

// publish hands on the report that was made, if one was.
func (a *agent) publish() {
	select {
	case r := <-a.reports:
		a.judged(&r)
	default:
	}
	for _, c := range a.conns {
		a.tell(c)
	}
}

// tell sends what waits in a connection's mailbox.
func (a *agent) tell(c *conn) {
	select {
	case r := <-c.mailbox:
		if a.h.now < a.babbles {
			r.Draw = r.Rated + 1
		}
		c.report(r)
	default:
	}
}

func (a *agent) judged(r *lease.Report) {
	a.report = *r
	a.h.check.told(a, r)
	a.h.check.bounded(a, r)
}

// greet sends the newest report on a connection that just came up, and every one after it.
func (a *agent) greet(c *conn) {
	if c.closed {
		return
	}
	a.held(func() {
		c.mailbox, c.stop = a.real.Subscribe(context.Background())
		a.tell(c)
	})
}

// take is an order that arrived.
func (a *agent) take(m order) {
	a.held(func() {
		if m.hello != nil {
			a.h.check.greeted(a, m.hello, a.real.Hello(context.Background(), *m.hello))
			return
		}
		err := a.real.Lease(context.Background(), *m.lease)
		a.h.check.leased(a, m.lease, err)
		if err != nil {
			a.h.logf("%s refuses lease %d of epoch %d: %v", a.name, m.lease.Seq, m.lease.Epoch, err)
			return
		}
		a.h.logf("%s takes lease %d of epoch %d: %d W for %.1f s", a.name, m.lease.Seq, m.lease.Epoch, m.lease.Watts, m.lease.TTL.Seconds())
	})
}

// view is what the agent shows now.
func (a *agent) view() minding.View { return a.real.View(a.now()) }

func (a *agent) allowance() lease.Allowance { return a.view().Allowance }

// twins tells whether two of its machines say that they are one: if one of them is away, the agent may take
// the other for it.
func (a *agent) twins() bool {
	return slices.ContainsFunc(a.minds, func(d *device) bool { return d.identity != d.name })
}

func (a *agent) has(d *device) bool { return slices.Contains(a.minds, d) }

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
			if d := h.byAddr[at]; d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

// stopAgent ends an agent process; its machines keep what they run, and writes that left still arrive.
func (h *history) stopAgent(a *agent) {
	if a.dead {
		return
	}
	h.logf("%s is dead", a.name)
	a.kill()
	for len(a.conns) > 0 {
		a.conns[0].close()
	}
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
