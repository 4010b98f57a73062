package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

const (
	// tick is how often a pass runs when nothing happens: leases are renewed by passes.
	tick = time.Second
	// staleMost is how old what was read may be for leases to be renewed by it. They are lowered by it all the same.
	staleMost = 2 * time.Minute
	// actTimeout bounds the API writes of one pass, so that a hung API server can't stop leases.
	actTimeout = 4 * time.Second
)

// SiteReconciler spends the watts. There is one decision for the whole site, so there is one request, and
// one pass at a time: snapshot, decide, act, report.
type SiteReconciler struct {
	client.Client
	// Live reads past the cache.
	Live   client.Reader
	Table  *gate.Table
	Clock  func() time.Time
	Events recorder
	Leader leader
	Stream stream
	// Heartbeat is when a node last renewed its lease, and for how long.
	Heartbeat func(ctx context.Context, node string) (renewal, error)
	// Depose ends this process: another leads.
	Depose func(error)
	// Prepare gets ready what streams to agents need.
	Prepare func(context.Context) error

	board     *board
	gone      *gonePods
	splits    splits
	wakes     chan event.GenericEvent
	handovers *handovers

	links   *links // nil until this process has taken over
	epoch   uint64
	stamped uint64 // the epoch that this process has begun to write on workloads
	last    *lists // what the last pass read
	readAt  time.Time
	beats   map[string]beat
	// priors is what each device ran before it slept, by agent; agents report it and ask for it back.
	priors map[string]map[string]string
	// inForce is the generation of each pool's spec by which the newest pass told agents what to mind.
	inForce map[types.NamespacedName]int64
	// met is the highest epoch that any agent has shown.
	met atomic.Uint64
	// waited is until when this process said that it waits for the leader before it.
	waited time.Time
	// hush is until when nothing is admitted, because the API server's store went back in time.
	hush time.Time
	base context.Context //nolint:containedctx // the streams outlive the pass that opens them

	// What a played process does otherwise; see Ports.
	inTurn  bool
	timeout timeouts
	woken   func()
	decided func(s power.Site, p power.Plan, read bool)
}

// leader is the fence (L7).
type leader interface {
	Read(ctx context.Context) (uint64, error)
	Fresh() bool
	Alone() time.Time
}

var siteRequest = reconcile.Request{NamespacedName: types.NamespacedName{Name: "site"}}

// Reconcile makes one pass over the site.
func (r *SiteReconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if !r.Leader.Fresh() {
		// Another may lead by now: say nothing until the Lease is renewed or this process ends.
		return reconcile.Result{RequeueAfter: tick}, nil
	}
	if err := r.stillFirst(ctx); err != nil {
		return reconcile.Result{}, err
	}
	if wait, err := r.takeOver(ctx); err != nil || wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, err
	}
	s, err := r.snapshot(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := power.Decide(s.site)
	if s.stale != nil {
		plan.Leases = keepDown(plan.Leases, s.site.Agents)
	}
	if r.decided != nil {
		r.decided(s.site, plan, s.stale == nil)
	}
	r.handovers.decided(s, plan)
	err = r.act(ctx, s, plan)
	if r.board != nil {
		r.board.publish(s, plan, r.priors, r.links.surplus())
		r.show(s, plan)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	r.handovers.done(plan)
	return reconcile.Result{RequeueAfter: untilNext(s.now, plan.Next)}, nil
}

func untilNext(now, next time.Time) time.Duration {
	if in := next.Sub(now); !next.IsZero() && in < tick {
		return max(in, time.Millisecond)
	}
	return tick
}

// act sends leases first: a shed must not wait for the API server.
func (r *SiteReconciler) act(ctx context.Context, s *snapshot, plan power.Plan) error {
	r.links.sync(r.base, s.peers)
	r.inForce = s.inForce
	if !r.Leader.Fresh() {
		return nil
	}
	leases := plan.Leases
	if s.stale != nil && s.now.Sub(r.readAt) > staleMost {
		leases = r.links.sheds(leases) // what can't be read may have fallen: leases run out
	}
	lowered, raised := r.links.grant(s.now, leases)
	if s.stale != nil {
		return s.stale // nothing is confirmed, reserved or written by what was read long ago
	}
	if r.confirm(ctx) {
		down, up := r.links.grant(s.now, plan.Leases)
		lowered, raised = lowered+down, raised+up
	}
	if lowered+raised > 0 {
		leasesSent.WithLabelValues("lowered").Add(float64(lowered))
		leasesSent.WithLabelValues("raised").Add(float64(raised))
		log.FromContext(ctx).V(1).Info("Sent leases", "lowered", lowered, "raised", raised)
	}
	ctx, cancel := r.timeout.of(ctx, actTimeout)
	defer cancel()
	r.listen(ctx, s)
	write := r.writeWorkloads
	if s.now.Before(r.hush) {
		write = r.reportOnly
	}
	// A pool that can't be written costs no workload anything.
	return errors.Join(write(ctx, s, plan), r.resplit(ctx, s))
}

// keepDown leaves the raises out of a plan made from what was read long ago: what has been promised since
// may not be in it. Sheds and renewals go on. An agent that has no lease goes without for now: one of what is
// certainly free, which may be nothing, would have a run that has just begun put to sleep what it finds.
func keepDown(leases []power.LeasePlan, agents []power.Agent) []power.LeasePlan {
	last := map[string]power.Watts{}
	for i := range agents {
		if agents[i].Leased {
			last[agents[i].Key] = agents[i].Lease
		}
	}
	leases = slices.DeleteFunc(leases, func(l power.LeasePlan) bool {
		_, leased := last[l.Agent]
		return !leased
	})
	for i := range leases {
		l := &leases[i]
		l.Watts, l.Raise = min(l.Watts, last[l.Agent]), false
	}
	return leases
}

// confirm reads the leader Lease for agents met since it was read last; without that they get no lease.
// It answers whether there are such that may have one now.
func (r *SiteReconciler) confirm(ctx context.Context) bool {
	if !r.links.unconfirmed() {
		return false
	}
	begun := r.Clock()
	if _, err := r.Leader.Read(ctx); err != nil {
		log.FromContext(ctx).Error(err, "No lease for agents met just now")
		return false
	}
	r.links.confirm(begun)
	return true
}

// SetupWithManager watches everything that a pass reads.
func (r *SiteReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.wakes = make(chan event.GenericEvent, 1)
	r.gone, r.handovers = newGonePods(r.Clock), newHandovers()
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{siteRequest}
	})
	edited := builder.WithPredicates(predicate.GenerationChangedPredicate{}) // their status shows what was decided
	err := ctrl.NewControllerManagedBy(mgr).Named("site").
		Watches(&powerv1.PowerBudget{}, all, edited).
		Watches(&powerv1.MinerPool{}, all).
		Watches(&powerv1.GPUWorkload{}, all).
		Watches(&powerv1.CurtailmentEvent{}, all, edited).
		Watches(&corev1.Node{}, all, builder.WithPredicates(differs)).
		Watches(&corev1.Pod{}, r.PodHandler()).
		WatchesRawSource(source.Channel(r.wakes, all)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 1, EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](20*time.Millisecond, tick),
		}).Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the site controller: %w", err)
	}
	return nil
}

// differs leaves out the updates of what a kubelet reports of its node now and then, as it is cached.
var differs = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.DeepCopyObject().(client.Object)
	if !ok {
		return true
	}
	before.SetResourceVersion(e.ObjectNew.GetResourceVersion())
	return !equality.Semantic.DeepEqual(before, e.ObjectNew)
}}

// PodHandler remembers how pods vanished before it asks for a pass, and asks for none for pods that the
// ledger does not count.
func (r *SiteReconciler) PodHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	matters := func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && (gate.Gated(pod) || pod.Labels[componentLabel] == agentComponent || r.Table.IsAccelerated(&pod.Spec))
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if pod, ok := e.Object.(*corev1.Pod); ok && matters(pod) {
				r.handovers.saw(pod, r.Clock())
				q.Add(siteRequest)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if matters(e.ObjectNew) || matters(e.ObjectOld) {
				q.Add(siteRequest)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			if pod, ok := e.Object.(*corev1.Pod); ok && matters(pod) {
				r.gone.deleted(pod, !e.DeleteStateUnknown)
				r.handovers.left(pod)
				q.Add(siteRequest)
			}
		},
	}
}

// wake asks for a pass from outside the queue.
func (r *SiteReconciler) wake() {
	if r.woken != nil {
		r.woken()
		return
	}
	select {
	case r.wakes <- event.GenericEvent{Object: &powerv1.PowerBudget{}}:
	default:
	}
}
