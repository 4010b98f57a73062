package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// worstWrite is the longest that a write begun under a lease may take effect after the lease ended.
const worstWrite = 60 * time.Second

// metKept is far longer than a pod that is deleted waits once its node is lost.
const metKept = 24 * time.Hour

// AgentPodReconciler lets agent pods go: two agents never command one address (L9), so a deleted agent
// pod is kept until it has ended, or until its node is lost and everything it may act on has run out.
type AgentPodReconciler struct {
	client.Client
	Clock     func() time.Time
	Heartbeat func(ctx context.Context, node string) (renewal, error)

	mu sync.Mutex
	// deleted is when this process first looked at each pod that is deleted.
	deleted map[types.UID]time.Time
	// granted is the leases that budgets granted until lately.
	granted []granted
}

// granted is how long leases were that a budget granted, and when the last of them will have run out.
type granted struct {
	lease time.Duration
	until time.Time
}

// Reconcile looks at one pod that has the finalizer of agents' pods, whoever owns it by now: what may take it off is
// that its processes have ended, and not whose it is.
func (r *AgentPodReconciler) Reconcile(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	if !leaving(pod) {
		return reconcile.Result{}, nil
	}
	if ended(pod) || pod.Spec.NodeName == "" {
		_, err := setFinalizer(ctx, r.Client, pod, false)
		return reconcile.Result{}, err
	}
	wait, err := r.lostFor(ctx, pod)
	if err != nil {
		return reconcile.Result{}, err
	}
	if wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	return reconcile.Result{}, r.letGo(ctx, pod)
}

// letGo lets a pod go with its lost node. An agent's object goes by force, so that its slot gets another; no other pod
// is ours to delete.
func (r *AgentPodReconciler) letGo(ctx context.Context, pod *corev1.Pod) error {
	agent, err := r.isAgent(ctx, pod)
	if err != nil {
		return err
	}
	log.FromContext(ctx).Info("Letting an agent pod go with its lost node", "pod", client.ObjectKeyFromObject(pod).String(), "node", pod.Spec.NodeName)
	if _, err := setFinalizer(ctx, r.Client, pod, false); err != nil || !agent {
		return err
	}
	uid := pod.UID
	err = r.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("force-deleting agent pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// isAgent tells whether a pod is an agent of a pool that is there.
func (r *AgentPodReconciler) isAgent(ctx context.Context, pod *corev1.Pod) (bool, error) {
	pool, err := r.poolOf(ctx, pod)
	if pool == nil || err != nil {
		return false, err
	}
	sets, err := ownersIn(ctx, r.Client, pod.Namespace)
	return err == nil && isAgent(pod, pool, sets), err
}

// poolOf is the pool that has a slot of the pod's name; nil where none is there.
func (r *AgentPodReconciler) poolOf(ctx context.Context, pod *corev1.Pod) (*powerv1.MinerPool, error) {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: poolNamed(pod)}
	if key.Name == "" {
		return nil, nil //nolint:nilnil // of no pool
	}
	var pool powerv1.MinerPool
	err := r.Get(ctx, key, &pool)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // of no pool
	}
	return &pool, wrap(err, "reading MinerPool "+key.String())
}

// lostFor is how long to wait until the pod's node has been silent past every lease and write it can have
// had; the node may also come back and end the pod.
func (r *AgentPodReconciler) lostFor(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	heard, err := r.Heartbeat(ctx, pod.Spec.NodeName)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("reading the heartbeat of node %s: %w", pod.Spec.NodeName, err)
	}
	lease, err := r.longestLease(ctx)
	if err != nil {
		return 0, err
	}
	until := heard.at.Add(LeaseDuration)
	// The same process leases by what it read up to so long ago: it may have missed the deletion until now.
	if leased := r.met(pod).Add(staleMost); leased.After(until) {
		until = leased
	}
	return max(0, until.Add(lease+worstWrite).Sub(r.Clock())), nil
}

// met is when this process first looked at a pod that is deleted.
func (r *AgentPodReconciler) met(pod *corev1.Pod) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Clock()
	if r.deleted == nil {
		r.deleted = map[types.UID]time.Time{}
	}
	for uid, at := range r.deleted {
		if now.Sub(at) > metKept {
			delete(r.deleted, uid)
		}
	}
	if _, ok := r.deleted[pod.UID]; !ok {
		r.deleted[pod.UID] = now
	}
	return r.deleted[pod.UID]
}

// longestLease is the longest that any budget grants, or did until lately: an agent that is cut off has what it was
// given, whatever its budget says by now.
func (r *AgentPodReconciler) longestLease(ctx context.Context) (time.Duration, error) {
	var budgets powerv1.PowerBudgetList
	if err := r.List(ctx, &budgets); err != nil {
		return 0, fmt.Errorf("reading PowerBudgets: %w", err)
	}
	var longest time.Duration
	for i := range budgets.Items {
		longest = max(longest, leaseOf(&budgets.Items[i]))
	}
	if longest == 0 {
		longest = leaseOf(nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Clock()
	for _, g := range r.granted {
		if now.Before(g.until) {
			longest = max(longest, g.lease)
		}
	}
	return longest, nil
}

// edited remembers how long leases were that a budget no longer grants.
func (r *AgentPodReconciler) edited(before client.Object) {
	b, ok := before.(*powerv1.PowerBudget)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now, lease := r.Clock(), leaseOf(b)
	last := granted{lease, now.Add(LeaseDuration + lease + worstWrite)}
	r.granted = append(slices.DeleteFunc(r.granted, func(g granted) bool {
		return !now.Before(g.until) || g.lease <= last.lease && !g.until.After(last.until)
	}), last)
}

// budgetHandler asks for nothing: it remembers.
func (r *AgentPodReconciler) budgetHandler() handler.EventHandler {
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			r.edited(e.ObjectOld)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			r.edited(e.Object)
		},
	}
}

// leaving tells whether a pod waits for its finalizer to be taken off.
func leaving(o client.Object) bool { return o.GetDeletionTimestamp() != nil && hasFinalizer(o) }

// SetupWithManager watches agent pods that are being deleted.
func (r *AgentPodReconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("agentpod").
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(leaving))).
		Watches(&powerv1.PowerBudget{}, r.budgetHandler(), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return fmt.Errorf("setting up the agent pod controller: %w", err)
	}
	return nil
}
