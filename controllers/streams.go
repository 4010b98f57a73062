package controllers

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
)

// errNotFresh keeps an operator quiet whose election has lapsed (L7).
var errNotFresh = errors.New("the last renewal of the leader Lease is too old to send anything")

// grpcStreams are the real streams: gRPC over mutual TLS to the agents' pods.
type grpcStreams struct {
	tls    func() *tls.Config // nil until there are certificates
	leader leader
	pace   *rate.Limiter
	log    logr.Logger
}

// handshakesPerSecond of all streams together, and handshakesAtOnce of them at one time. One took 4.6 ms of a loaded
// processor, both ends together: passes go on beside them.
//
// A run of an agent sheds when it had no lease for lease.Grace, 10 s. It is found within 2 s (link.Keep), and has
// its lease within 2 s of its handshake; that leaves 6 s, in which 100 + 6*200 = 1,300 agents have theirs: so many
// may restart at once and none sheds. A new leader reaches 2,500 agents within 12 s, and leases of 60 s, half of
// the default, last for that and an election of 30 s. Addresses that can't be reached take no turns.
const (
	handshakesPerSecond = 200
	handshakesAtOnce    = 100
)

// Open holds a stream to one agent until ctx ends. A stream that ends is told once, at a level for
// debugging: what matters to a person is the pool's condition.
func (g *grpcStreams) Open(ctx context.Context, p peer, report func(lease.Report), down func(error)) outbox {
	o := streamOptions(g.leader, p, report)
	orders := link.NewOutbox()
	o.NewestTLS, o.Orders, o.Pace = g.tls, orders, g.pace
	go link.Keep(ctx, o, func(err error) {
		g.log.V(1).Info("Stream to an agent ended", "agent", p.key, "reason", err.Error())
		down(err)
	})
	return orders
}

// streamOptions say whom to dial, and fence what leaves (L7).
func streamOptions(l leader, p peer, report func(lease.Report)) link.Options {
	return link.Options{
		Address:    net.JoinHostPort(p.ip, strconv.Itoa(agentPort)),
		ServerName: link.ServerName(p.pool.Namespace, p.pool.Name),
		PodUID:     string(p.podUID), OnReport: report,
		MaySend: func() error {
			if !l.Fresh() {
				return errNotFresh
			}
			return nil
		},
	}
}
