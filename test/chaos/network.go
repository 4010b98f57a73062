package chaos

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
)

// stream is what one operator process keeps to one agent pod, over as many connections as it takes. Its
// outbox holds the newest Hello and the newest Lease that have yet to leave, as link.Outbox does.
type stream struct {
	o       *operator
	agent   string          // its key
	ctx     context.Context //nolint:containedctx // it ends the stream, as in the real one
	options link.Options
	conn    *conn
	hello   *lease.Hello
	lease   *lease.Lease
	leaving bool
	wait    time.Duration
}

// conn is one connection. What is in it when it breaks is lost, or arrives late.
type conn struct {
	s      *stream
	a      *agent
	closed bool
	// mailbox is where the agent's reports for it wait; stop ends that.
	mailbox <-chan lease.Report
	stop    func()
	// When the last message arrives each way: a connection keeps order.
	toAgent, toOperator time.Duration
	// heard is when the operator got the last report.
	heard time.Duration
}

// cut is a partition of one operator's slot and one agent's device group, each way for itself.
type cut struct{ orders, reports time.Duration }

const (
	firstRetry  = 200 * time.Millisecond
	lastRetry   = 2 * time.Second
	silentAfter = 4 * time.Second
)

// attach opens a stream for the real site controller.
func (o *operator) attach(ctx context.Context, options link.Options) controllers.Outbox {
	s := &stream{o: o, ctx: ctx, options: options, wait: firstRetry, agent: o.h.minders[types.UID(options.PodUID)]}
	o.streams = append(o.streams, s)
	o.h.after(o.h.between(time.Millisecond, 20*time.Millisecond), s.dial)
	return s
}

// PutHello lets m leave next, and drops a lease that was waiting.
func (s *stream) PutHello(m lease.Hello) {
	s.hello, s.lease = &m, nil
	s.o.h.check.reassigned(s.o, s.agent, &m)
	if k := s.o.accounts[s.agent]; k != nil && k.epoch == m.Epoch {
		k.capped = k.capped && m.Generation == k.told // it is to mind what was not counted
		k.told = m.Generation
	}
	s.flush()
}

// PutLease lets m leave next, after a Hello that is waiting.
func (s *stream) PutLease(m lease.Lease) {
	s.o.h.check.granted(s.o, s.agent, &m)
	s.lease = &m
	s.flush()
}

// dial connects to the agent that listens at the address, if it is the pod that is meant.
func (s *stream) dial() {
	s.o.do(func() {
		if s.ctx.Err() != nil || s.conn != nil {
			return
		}
		h := s.o.h
		ip, _, _ := strings.Cut(s.options.Address, ":")
		a := h.listening(ip)
		if a == nil || string(a.pod.uid) != s.options.PodUID || h.isCut(s.o, a) {
			s.retry()
			return
		}
		c := &conn{s: s, a: a, heard: h.now}
		s.conn = c
		a.conns = append(a.conns, c)
		h.logf("%s connects to %s", s.o.name, a.name)
		h.after(h.hop(), func() { a.do(func() { a.greet(c) }) })
		h.after(silentAfter, c.watch)
		s.flush()
	})
}

func (s *stream) retry() {
	h := s.o.h
	h.after(s.wait/2+h.between(0, s.wait/2), s.dial)
	s.wait = min(2*s.wait, lastRetry)
}

// watch breaks a connection on which no report comes.
func (c *conn) watch() {
	h := c.s.o.h
	if c.closed || c.s.o.dead {
		return
	}
	if h.now-c.heard >= silentAfter || c.s.ctx.Err() != nil {
		c.close()
		return
	}
	h.after(silentAfter/2, c.watch)
}

// close breaks a connection on both sides.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.s.conn == c {
		c.s.conn = nil
	}
	if s := c.s; s.ctx.Err() == nil && !s.o.dead {
		s.o.do(s.retry)
	}
	for i, other := range c.a.conns {
		if other == c {
			c.a.conns = append(c.a.conns[:i:i], c.a.conns[i+1:]...)
			break
		}
	}
	if c.stop != nil {
		c.a.do(c.stop)
	}
}

// hangUp breaks every connection of a process.
func (o *operator) hangUp() {
	for _, s := range o.streams {
		if s.conn != nil {
			s.conn.close()
		}
	}
}

// isCut tells whether a connection can be made now.
func (h *history) isCut(o *operator, a *agent) bool {
	c := &h.cuts[o.slot][a.pod.group]
	return h.now < max(c.orders, c.reports)
}

// hop is one way through the network.
func (h *history) hop() time.Duration {
	if h.chance(h.cfg.slow) {
		return h.between(50*time.Millisecond, 2*time.Second)
	}
	return h.between(time.Millisecond, 8*time.Millisecond)
}

// flush lets waiting orders leave, one after the other. Whether they may is asked right before; a process
// may be paused between that and the sending.
func (s *stream) flush() {
	if s.conn == nil || s.leaving || s.hello == nil && s.lease == nil {
		return
	}
	s.leaving = true
	h := s.o.h
	h.after(h.between(0, 2*time.Millisecond), func() {
		s.o.do(func() {
			s.leaving = false
			c := s.conn
			if c == nil || c.closed || s.ctx.Err() != nil {
				return
			}
			if s.options.MaySend != nil {
				if err := s.options.MaySend(); err != nil {
					c.close()
					return
				}
			}
			h.check.sends(s.o)
			m := s.take()
			if s.o.h.pauseAtSend(s.o) {
				s.o.do(func() { c.send(m) })
				return
			}
			c.send(m)
			s.flush()
		})
	})
}

// order is one message to an agent.
type order struct {
	hello *lease.Hello
	lease *lease.Lease
}

func (s *stream) take() order {
	if s.hello != nil {
		m := order{hello: s.hello}
		s.hello = nil
		return m
	}
	m := order{lease: s.lease}
	s.lease = nil
	return m
}

// send carries an order to the agent.
func (c *conn) send(m order) {
	if m.hello == nil && m.lease == nil {
		return
	}
	h := c.s.o.h
	c.toAgent = max(c.toAgent, h.now+h.hop())
	h.at(c.toAgent, func() { c.arrive(m) })
	if h.chance(h.cfg.late) {
		// A copy that waits in some buffer.
		h.at(c.toAgent+h.between(0, 40*time.Second), func() { c.stray(m) })
	}
}

// arrive is an order at the agent's side of the network.
func (c *conn) arrive(m order) {
	h := c.s.o.h
	if h.now < h.cuts[c.s.o.slot][c.a.pod.group].orders || c.closed {
		if h.chance(0.5) {
			h.after(h.between(time.Second, 40*time.Second), func() { c.stray(m) })
		}
		return
	}
	c.a.do(func() { c.a.take(m) })
	if m.lease != nil && h.chance(h.cfg.late/4) {
		h.after(h.between(0, time.Second), func() { h.forge(c.a, *m.lease) })
	}
}

// stray is an order that comes late, to whatever process is in the pod by then.
func (c *conn) stray(m order) {
	if a := c.a.pod.process; a != nil {
		a.do(func() { a.take(m) })
	}
}

// forge hands an agent what no leader of its own has sent to it: an order for another run, of another leader,
// from before, or from a time to come.
func (h *history) forge(a *agent, m lease.Lease) {
	ahead := time.Duration(0)
	switch h.span(0, 4) {
	case 0:
		m.Run, m.Seq = a.run+1, m.Seq+1
	case 1:
		m.Epoch, m.Seq = m.Epoch+1, m.Seq+1
	case 2:
		m.Epoch, m.Seq = m.Epoch-1, m.Seq+1
	case 3:
		m.Watts *= 2
	case 4:
		ahead, m.Seq = h.between(time.Second, time.Minute), m.Seq+1
	}
	h.logf("%s gets a lease of nobody's: epoch %d, run %d, number %d", a.name, m.Epoch, m.Run, m.Seq)
	a.do(func() {
		if ahead > 0 { // of when it is taken: the process may be paused
			m.AsOf = a.now() + ahead
		}
		a.take(order{lease: &m})
	})
}

// report carries an agent's report to the operator.
func (c *conn) report(r lease.Report) {
	h := c.s.o.h
	c.toOperator = max(c.toOperator, h.now+h.hop())
	h.at(c.toOperator, func() {
		if c.closed || h.now < h.cuts[c.s.o.slot][c.a.pod.group].reports {
			return
		}
		c.s.o.do(func() { c.hear(r) })
	})
	if h.chance(h.cfg.late / 4) {
		h.at(c.toOperator+h.between(0, 20*time.Second), func() {
			// Only of a run that still is: what a dead process said is read before its successor is met.
			if !c.a.dead {
				c.s.o.do(func() { c.hear(r) })
			}
		})
	}
}

// hear hands a report to the real ledger.
func (c *conn) hear(r lease.Report) {
	if c.s.ctx.Err() != nil {
		c.close()
		if c.s.o.h.chance(0.5) {
			c.s.options.OnReport(r) // it was being handed over as its stream ended
		}
		return
	}
	c.heard, c.s.wait = c.s.o.h.now, firstRetry
	c.s.o.h.check.heard(c.s.o, c.a, &r)
	c.s.options.OnReport(r)
	c.s.o.h.check.counted(c.s.o, c.s.agent)
}
