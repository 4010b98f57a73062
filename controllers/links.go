package controllers

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
	"github.com/counterweight-dev/counterweight/internal/power"
)

const (
	// silent is how long an agent may say nothing before it is taken to be cut off. Its hold counts on.
	silent = 15 * time.Second
	// youth is how long a run of an agent learns what its devices do, and longer where they take longer to settle.
	youth = 90 * time.Second
	// renewEvery is how often a lease that does not change is sent again.
	renewEvery = 5 * time.Second
)

// peer is one agent pod to keep a stream to.
type peer struct {
	key        string // namespace/pod
	pool       types.NamespacedName
	podUID     types.UID
	ip         string
	assignment lease.Assignment
	// before is what it may mind besides, by earlier splits.
	before []string
	// never says that it has no pod, and none is to come: nobody waits for it.
	never bool
	// idle says that no node has its pod yet: nobody has told it anything, whoever led.
	idle bool
	// slot is the number of its slot; slotless says that the newest split has no such slot.
	slot     int
	slotless bool
}

// commandsNothing says that no pod is there, or none that runs or ran.
func (p *peer) commandsNothing() bool { return p.podUID == "" || p.idle }

// stream carries one agent's messages for as long as its pod lives, over as many connections as it
// takes, until ctx ends. Open does not wait.
type stream interface {
	// down is told why a connection ended.
	Open(ctx context.Context, p peer, report func(lease.Report), down func(error)) outbox
}

// outbox takes what is to leave for one agent; putting never blocks.
type outbox interface {
	PutHello(m lease.Hello)
	PutLease(m lease.Lease)
}

// agentLink is one agent: its ledger side and its stream.
type agentLink struct {
	peer
	issuer   *lease.Issuer
	orders   outbox
	opened   int       // streams so far: reports of older ones do not count
	openedAt time.Time // when the newest was
	holding  holding
	asked    []string // what it is to mind in the end, claimed or not
	stop     context.CancelFunc
	raisedAt time.Time
	raisedBy lease.Watts
	runAt    time.Time // when the current run was first met
	run      lease.Run
	seen     decidedOn     // by the newest view
	until    time.Duration // when the newest lease of the run ends, by the agent's clock
	refused  string        // why the newest connection was not the agent's; empty once it reports
}

// decidedOn is the report of an agent that a pass knows: a newer one may come while it decides.
type decidedOn struct {
	run  lease.Run
	asOf time.Duration
}

// links are all agents of one leader. Reports arrive on streams; leases leave on them.
type links struct {
	mu    sync.Mutex
	epoch lease.Epoch
	began time.Time // when this leader took over
	table map[string]*agentLink
	// near is of the agents in table, absent what those that are not heard now are to mind; made when a pass asks for
	// them first.
	near    neighbours
	absent  map[types.NamespacedName][]span
	stream  stream
	clock   func() time.Time
	wake    func()
	outrank func(met uint64)
	log     logr.Logger
}

func newLinks(epoch uint64, s stream, clock func() time.Time, wake func(), outrank func(uint64), log logr.Logger) *links {
	return &links{
		epoch: lease.Epoch(epoch), began: clock(), table: map[string]*agentLink{},
		stream: s, clock: clock, wake: wake, outrank: outrank, log: log,
	}
}

// sync starts and stops streams so that there is one for each agent pod with an address. An agent whose
// pod is away keeps its issuer: silence frees nothing (L3). Slots that are gone are forgotten once their
// pods are: then nobody acts for them.
func (l *links) sync(ctx context.Context, peers []peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := map[string]bool{}
	for _, p := range peers {
		wanted[p.key] = true
	}
	met := map[types.NamespacedName]bool{}
	for key, a := range l.table {
		met[a.pool] = true
		if !wanted[key] {
			a.halt()
			delete(l.table, key)
		}
	}
	for _, p := range peers {
		if l.table[p.key] == nil {
			l.enter(p, met[p.pool])
		}
		l.table[p.key].renew(p)
	}
	l.near, l.absent = nil, nil
	for _, p := range peers {
		l.meet(ctx, p)
	}
}

// close ends every stream.
func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.table {
		a.halt()
	}
}

// renew takes in what a slot's pod is by now, before anybody claims: what is there anew has yet to be heard.
func (a *agentLink) renew(p peer) {
	if a.podUID != p.podUID || a.ip != p.ip {
		a.halt()
	}
	if a.asked = p.assignment.Ranges; p.never {
		a.asked = nil
	}
	switch {
	case p.commandsNothing():
		a.holding = holding{}
	case a.issuer.Settled():
		a.holding.spans = a.holding.told
	}
}

// meet brings one agent up to its slot: its stream and its assignment.
func (l *links) meet(ctx context.Context, p peer) {
	a := l.table[p.key]
	p.assignment.Ranges = l.claim(a, p.assignment.Ranges)
	a.peer = p
	if a.issuer.Assign(p.assignment, sameAssignment) {
		l.introduce(a)
	}
	if a.stop == nil && p.ip != "" {
		l.start(ctx, a)
	}
}

// sameAssignment leaves prior settings out: the agent itself is the newest source of them.
func sameAssignment(a, b lease.Assignment) bool {
	a.PriorSettings, b.PriorSettings = nil, nil
	return reflect.DeepEqual(a, b)
}

func (a *agentLink) halt() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}

// start opens a stream. Reports of an older stream to the same agent no longer count: the newest pod is
// the agent.
func (l *links) start(ctx context.Context, a *agentLink) {
	streamCtx, stop := context.WithCancel(ctx)
	a.stop = stop
	a.opened, a.openedAt = a.opened+1, l.clock()
	number := a.opened
	a.orders = l.stream.Open(streamCtx, a.peer, func(r lease.Report) { l.report(a, number, r) }, func(err error) { l.down(a, number, err) })
}

// report takes in one report and introduces the leader where the agent does not know it yet.
func (l *links) report(a *agentLink, number int, r lease.Report) {
	l.mu.Lock()
	if a.opened != number || a.stop == nil {
		l.mu.Unlock()
		return
	}
	before, held := a.issuer.Newest(), a.issuer.Hold()
	now := l.clock()
	hello, err := a.issuer.Report(now, r)
	if a.run != r.Run {
		a.run, a.runAt = r.Run, now
	}
	a.refused = ""
	if hello != nil {
		a.orders.PutHello(*hello)
	}
	news := hello != nil || held != a.issuer.Hold() || material(before, a.issuer.Newest())
	l.mu.Unlock()
	if errors.Is(err, lease.ErrOldEpoch) {
		l.outrank(uint64(r.Epoch))
		return
	}
	if news {
		l.wake()
	}
}

// down takes in why a connection ended. What the wire refuses is nonsense that never became a report.
func (l *links) down(a *agentLink, number int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.opened != number || a.stop == nil {
		return
	}
	switch {
	case errors.Is(err, link.ErrBounds):
		a.issuer.Quarantine(err)
	case errors.Is(err, link.ErrOtherPod), errors.Is(err, link.ErrIdentity):
		a.refused = err.Error()
	}
}

// introduce tells a run that reported already about its newest assignment.
func (l *links) introduce(a *agentLink) {
	if hello := a.issuer.Introduce(); a.stop != nil && hello != nil {
		a.orders.PutHello(*hello)
	}
}

// material tells whether a report changes what there is to decide, what is held for the agent aside: a bound
// that flutters below its lease, and a renewal in force, would else ask for a pass with every report.
func material(a, b lease.Report) bool {
	return a.Run != b.Run || a.Epoch != b.Epoch || a.Floor != b.Floor || a.Rated != b.Rated ||
		a.LeaseWatts != b.LeaseWatts || a.Generation != b.Generation || !reflect.DeepEqual(a.Curve, b.Curve)
}

// agentView is one agent as the snapshot takes it.
type agentView struct {
	peer
	agent  power.Agent
	report lease.Report
	since  time.Time // when the current run was first met
	known  bool      // the current run has reported under this leader
	behind bool      // it may mind other addresses than it was told last
	// quarantine is why its reports do not count, refused why what answers for it is not it.
	quarantine, refused string
}

// view is every agent, in no order, as of now.
func (l *links) view(now time.Time) []agentView {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]agentView, 0, len(l.table))
	for _, a := range l.table {
		at, known := a.issuer.Heard()
		r := a.issuer.Newest()
		last, leased := a.issuer.Last()
		a.seen = decidedOn{a.issuer.Run(), r.AsOf}
		v := agentView{peer: a.peer, report: r, since: a.runAt, known: known, behind: a.behind() || !a.holding.whole && now.Sub(at) >= silent, refused: a.refused}
		if why := a.issuer.Quarantined(); why != nil {
			v.quarantine = why.Error()
		}
		hold := a.issuer.Hold()
		v.agent = power.Agent{
			Key: a.key, Pool: a.pool.String(),
			Heard: known && now.Sub(at) < silent && r.Generation > 0,
			// A floor above what is held is for want of knowledge: that much was never drawn.
			Hold: power.Watts(hold), Bound: power.Watts(r.Bound), Floor: power.Watts(min(r.Floor, hold)),
			Keeps: power.Watts(max(keeps(r, now.Sub(at)), a.issuer.Carried())), Young: r.AsOf < max(youth, r.Settle),
			Rated: power.Watts(r.Rated), Lease: power.Watts(last), Leased: leased,
			RaisedAt: a.raisedAt, RaisedBy: power.Watts(a.raisedBy), Settle: r.Settle, Curve: make([]power.Point, len(r.Curve)),
		}
		for i, p := range r.Curve {
			v.agent.Curve[i] = power.Point{Watts: power.Watts(p.Watts), THs: p.THs}
		}
		out = append(out, v)
	}
	return out
}

// keeps is what a run does without a lease of this leader: what a former leader allows it still, or, while
// it is too young to shed, what it draws. One that is older sheds to its floor. age is the report's.
func keeps(r lease.Report, age time.Duration) lease.Watts {
	if r.AsOf+age < lease.Grace {
		return max(r.LeaseWatts, r.Draw)
	}
	return r.LeaseWatts
}

// unconfirmed tells whether some run waits for the leader Lease to be read before its first lease.
func (l *links) unconfirmed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.table {
		if _, waits := a.issuer.Unconfirmed(); waits {
			return true
		}
	}
	return false
}

// confirm passes on that the leader Lease was read, by a read begun at the given time (L7).
func (l *links) confirm(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.table {
		a.issuer.Confirm(begun)
	}
}

// grant sends the planned leases that are new or due for renewal. Lower ones go first.
func (l *links) grant(now time.Time, plans []power.LeasePlan) (lowered, raised int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, raises := range []bool{false, true} {
		for _, p := range plans {
			if a := l.table[p.Agent]; a != nil && a.stop != nil && p.Raise == raises {
				down, up := a.grant(now, p)
				lowered, raised = lowered+down, raised+up
			}
		}
	}
	return lowered, raised
}

// sheds are the plans that lower an agent's lease, for no longer than that lasts: nothing is renewed by them. They
// stay among them until the agent has taken them.
func (l *links) sheds(plans []power.LeasePlan) (out []power.LeasePlan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range plans {
		a := l.table[p.Agent]
		if a == nil {
			continue
		}
		last, leased := a.issuer.Last()
		last = max(last, a.issuer.Newest().LeaseWatts)
		p.TTL = min(p.TTL, a.until-a.seen.asOf)
		if leased && lease.Watts(p.Watts) < last && p.TTL > 0 {
			out = append(out, p)
		}
	}
	return out
}

// grant sends one planned lease if it is new or due.
func (a *agentLink) grant(now time.Time, p power.LeasePlan) (lowered, raised int) {
	last, leased := a.issuer.Last()
	at, ttl := a.issuer.LastSent()
	watts := lease.Watts(p.Watts)
	if leased && watts == last && now.Sub(at) < min(renewEvery, ttl/4) {
		return 0, 0
	}
	before := max(last, a.issuer.Hold())
	if a.issuer.Run() != a.seen.run {
		return 0, 0 // what was decided is about the run before
	}
	m, ok := a.issuer.Grant(now, lease.Terms{Watts: watts, TTL: p.TTL, AsOf: a.seen.asOf, ShedWithin: p.ShedWithin, Shared: p.Shared})
	if !ok {
		return 0, 0
	}
	a.orders.PutLease(m)
	a.until = m.AsOf + m.TTL
	switch {
	case !leased || watts > last:
		a.raisedAt, a.raisedBy = now, max(0, watts-before)
		return 0, 1
	case watts < last:
		return 1, 0
	}
	return 0, 0
}
