package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// Ports are what one operator process stands on where time, network and API server are played: the whole
// site controller, one pass after the other and without goroutines of its own.
type Ports struct {
	Client client.Client
	// Live reads past the cache.
	Live  client.Reader
	Table *gate.Table
	Clock func() time.Time
	// Leases and Identity make the candidate.
	Leases    coordinationclient.LeasesGetter
	Namespace string
	Identity  string
	// Depose ends the process; Wake asks for a pass.
	Depose func(error)
	Wake   func()
	// Attach holds a stream to an agent until ctx ends, and answers what takes its orders.
	Attach func(ctx context.Context, o link.Options) Outbox
	// Timeout stands in for context.WithTimeout.
	Timeout func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	Events  recorder
	// Decided is told of each decision before anything of it is done, and whether what it was made from
	// was read for it and not for an earlier one.
	Decided func(s power.Site, p power.Plan, read bool)
}

// Outbox takes what is to leave for one agent; putting never blocks.
type Outbox interface {
	PutHello(m lease.Hello)
	PutLease(m lease.Lease)
}

// NewSite makes the site controller of a played process, and its candidacy.
func NewSite(p Ports) (*SiteReconciler, *Leader) {
	l := newLeader(p.Leases, p.Namespace, p.Identity, p.Clock)
	l.timeout = p.Timeout
	return &SiteReconciler{
		Client: p.Client, Live: p.Live, Table: p.Table, Clock: p.Clock, Events: p.Events,
		Leader: l, Stream: played{leader: l, attach: p.Attach}, Heartbeat: heartbeats(p.Live), Depose: p.Depose,
		Prepare: func(context.Context) error { return nil },
		gone:    newGonePods(p.Clock), base: context.Background(),
		inTurn: true, timeout: p.Timeout, woken: p.Wake, decided: p.Decided,
	}, l
}

// Hold is what this process's ledger counts for an agent, and under which epoch; false where it leads no
// ledger or does not know the agent.
func (r *SiteReconciler) Hold(agent string) (epoch uint64, watts lease.Watts, ok bool) {
	if r.links == nil {
		return 0, 0, false
	}
	r.links.mu.Lock()
	defer r.links.mu.Unlock()
	a := r.links.table[agent]
	if a == nil {
		return r.epoch, 0, false
	}
	return r.epoch, a.issuer.Hold(), true
}

// Stays is how many slots of a pool need their pods though the spec of a generation may leave fewer, as of the newest
// pass; generation is 0 where agents have yet to be told by the spec, or where this process leads no ledger.
func (r *SiteReconciler) Stays(pool types.NamespacedName) (generation int64, slots int) {
	if r.links == nil {
		return 0, 0
	}
	return r.inForce[pool], r.links.surplus()[pool].upTo
}

// played are streams over a network that is played.
type played struct {
	leader leader
	attach func(ctx context.Context, o link.Options) Outbox
}

// Open holds a stream to one agent until ctx ends.
func (s played) Open(ctx context.Context, p peer, report func(lease.Report), _ func(error)) outbox {
	return s.attach(ctx, streamOptions(s.leader, p, report))
}

// timeouts bounds the time of an API request; nil is by the wall clock.
type timeouts func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)

func (t timeouts) of(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if t == nil {
		return context.WithTimeout(ctx, d)
	}
	return t(ctx, d)
}
