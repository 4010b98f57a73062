package chaos

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// passLimit is the manager's reconciliation timeout.
const passLimit = 16 * time.Second

// operator is one life of an operator process: the real site controller and its candidacy, between a
// played API server and played streams.
type operator struct {
	process
	h       *history
	slot    int
	cache   *cache
	site    *controllers.SiteReconciler
	leader  *controllers.Leader
	agents  *controllers.AgentPodReconciler
	handler handler.EventHandler
	streams []*stream
	passes  *thread
	idle    bool // the passes wait for something to do
	pending bool // a pass was asked for while one ran
	offset  time.Duration
	// What the elector remembers of the Lease it saw last.
	seenRaw []byte
	seen    resourcelock.LeaderElectionRecord
	seenAt  time.Time
	leads   bool
	// For the checker's books: when the last read of the leader Lease that
	// named this process was begun, and when its last renewal was.
	readAt  time.Duration
	readRV  uint64 // how far the store was then
	renewed time.Duration
	lives   int
	// accounts are what its ledger must count, by agent; rises what its leases rose by lately.
	accounts map[string]*account
	rises    []rise
	waiting  map[string]wait // for miners, by workload
	said     *decision       // the newest
	epoch    uint64          // tookOver is when it decided first under it
	tookOver time.Duration
	listed   time.Duration // when the GPUWorkloads were read last, past the cache
	// outranked is the highest epoch that an agent has shown it, and since when.
	outranked   uint64
	outrankedAt time.Duration
	// leaving is since when it has seen an agent's pod deleted; versions when it saw each GPUWorkload's newest.
	leaving  map[string]time.Duration
	versions map[types.NamespacedName]sighting
	// factsAt is when it decided last by what it had read for that.
	factsAt time.Duration
}

type noEvents struct{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// boot starts a new process in a slot; its identity is its own.
func (h *history) boot(slot int) *operator {
	h.lives++
	o := &operator{h: h, slot: slot, lives: h.lives, offset: h.cfg.offsets[slot], said: &decision{}}
	o.name = fmt.Sprintf("op%d.%d", slot, h.lives)
	o.cache, o.accounts = &cache{o: o}, map[string]*account{}
	o.waiting = map[string]wait{}
	o.leaving, o.versions = map[string]time.Duration{}, map[types.NamespacedName]sighting{}
	h.operators[slot] = o
	o.cache.fillFrom(0)
	if h.chance(0.3) && h.now > 0 {
		// The list came out of a watch cache that was a little behind.
		for k := range o.cache.items {
			o.cache.items[k], o.cache.at[k], o.cache.rv[k] = nil, 0, 0
		}
		o.cache.fillFrom(h.span(0, 2))
	}
	o.site, o.leader = controllers.NewSite(controllers.Ports{
		Client: cached{o: o}, Live: live{o: o}, Table: h.table, Clock: o.clock,
		Leases: locks{o: o}, Namespace: "cw", Identity: o.name,
		Depose: o.depose, Wake: o.wakeUp, Attach: o.attach, Timeout: h.within, Events: noEvents{},
		Decided: func(s power.Site, p power.Plan, read bool) { h.check.decided(o, &s, &p, read) },
	})
	o.agents = &controllers.AgentPodReconciler{Client: cached{o: o}, Clock: o.clock, Heartbeat: o.site.Heartbeat}
	o.handler = o.site.PodHandler()
	h.start(&o.process, o.stand)
	h.logf("%s starts", o.name)
	return o
}

func (o *operator) clock() time.Time { return o.h.wall().Add(o.offset) }

// depose ends the process: another leads.
func (o *operator) depose(err error) {
	o.h.logf("%s is deposed: %v", o.name, err)
	o.h.after(0, func() { o.h.crash(o, o.h.between(time.Second, 3*time.Second)) })
}

// crash kills a process; another follows in its place.
func (h *history) crash(o *operator, back time.Duration) {
	if o.dead {
		return
	}
	h.logf("%s is dead", o.name)
	o.hangUp()
	o.kill()
	h.after(back, func() { h.boot(o.slot) })
}

func (o *operator) ctx() context.Context {
	return log.IntoContext(context.WithValue(context.Background(), deadlineKey{}, o.h.now+passLimit), logr.Discard())
}

// stand is the elector: it stands for election, leads while it can renew, and ends the process after.
func (o *operator) stand(t *thread) {
	t.sleep(o.h.between(50*time.Millisecond, time.Second))
	for !o.acquire() {
		t.sleep(controllers.RetryPeriod + o.h.between(0, controllers.RetryPeriod*12/10))
	}
	o.leads = true
	o.h.logf("%s leads", o.name)
	o.passes = o.h.start(&o.process, o.work)
	o.h.start(&o.process, o.minder)
	for {
		t.sleep(controllers.RetryPeriod)
		if !o.renew(t) {
			break
		}
	}
	o.depose(fmt.Errorf("the Lease was not renewed in time"))
	t.sleep(time.Hour)
}

// renew tries for as long as the deadline allows.
func (o *operator) renew(t *thread) bool {
	deadline := o.h.now + controllers.RenewDeadline
	for {
		if o.acquire() {
			return true
		}
		if o.h.now+controllers.RetryPeriod > deadline {
			return false
		}
		t.sleep(controllers.RetryPeriod)
	}
}

// acquire is one try to take or renew the Lease, as client-go's elector makes it.
func (o *operator) acquire() bool {
	ctx, _ := o.h.within(context.Background(), 5*time.Second)
	now := o.clock()
	next := resourcelock.LeaderElectionRecord{
		HolderIdentity: o.name, LeaseDurationSeconds: int(controllers.LeaseDuration / time.Second),
		RenewTime: metav1.NewTime(now), AcquireTime: metav1.NewTime(now),
	}
	mine := o.seen.HolderIdentity == o.name
	valid := o.seenAt.Add(controllers.LeaseDuration).After(now)
	if mine && valid {
		next.AcquireTime, next.LeaderTransitions = o.seen.AcquireTime, o.seen.LeaderTransitions
		if o.leader.Update(ctx, next) == nil {
			o.observe(next, nil)
			return true
		}
	}
	ctx, _ = o.h.within(context.Background(), 5*time.Second)
	old, raw, err := o.leader.Get(context.WithValue(ctx, electing{}, true))
	switch {
	case apierrors.IsNotFound(err):
		if o.leader.Create(ctx, next) != nil {
			return false
		}
		o.observe(next, nil)
		return true
	case err != nil:
		return false
	}
	if !bytes.Equal(o.seenRaw, raw) {
		o.observe(*old, raw)
	}
	mine = o.seen.HolderIdentity == o.name
	if old.HolderIdentity != "" && !mine && o.seenAt.Add(controllers.LeaseDuration).After(now) {
		return false
	}
	next.LeaderTransitions = old.LeaderTransitions + 1
	if mine {
		next.AcquireTime, next.LeaderTransitions = old.AcquireTime, old.LeaderTransitions
	}
	if o.leader.Update(ctx, next) != nil {
		return false
	}
	o.observe(next, nil)
	return true
}

func (o *operator) observe(r resourcelock.LeaderElectionRecord, raw []byte) {
	o.seen, o.seenAt = r, o.clock()
	if raw != nil {
		o.seenRaw = raw
	}
}

// work makes one pass after the other, as the manager's queue would have it.
func (o *operator) work(t *thread) {
	failures := 0
	for {
		o.pending = false
		result, err := o.site.Reconcile(o.ctx(), reconcile.Request{})
		o.h.check.passed(o)
		wait := result.RequeueAfter
		if err != nil {
			o.h.logf("%s: pass: %v", o.name, err)
			wait = min(20*time.Millisecond<<min(failures, 6), time.Second)
			failures++
		} else {
			failures = 0
		}
		if !o.pending || err != nil {
			o.idle = err == nil
			t.sleep(max(wait, time.Millisecond))
			o.idle = false
		}
	}
}

// wakeUp asks for a pass.
func (o *operator) wakeUp() {
	o.pending = true
	if o.idle && o.passes != nil {
		o.idle = false
		o.passes.poke(0)
	}
}

// minder lets deleted agent pods go.
func (o *operator) minder(t *thread) {
	due := map[string]time.Duration{}
	for {
		t.sleep(2 * time.Second)
		for _, p := range o.cache.items[pods] {
			pod := podOf(p)
			if pod.DeletionTimestamp == nil || pod.Labels[componentLabel] != agentComponent || o.h.now < due[pod.Name] {
				continue
			}
			result, err := o.agents.Reconcile(o.ctx(), pod.DeepCopy())
			if err != nil {
				o.h.logf("%s: agent pod %s: %v", o.name, pod.Name, err)
			}
			due[pod.Name] = o.h.now + min(result.RequeueAfter, 10*time.Second)
			break // the list may have changed meanwhile
		}
	}
}

// holds is what the process's ledger counts for an agent.
func (o *operator) holds(agent string) (uint64, lease.Watts, bool) { return o.site.Hold(agent) }

const (
	componentLabel = "app.kubernetes.io/component"
	agentComponent = "miner-agent"
	podIndexLabel  = "apps.kubernetes.io/pod-index"
	// podGrace is how long a deleted pod has to end.
	podGrace = 10 * time.Second
)

var _ = corev1.PodRunning
