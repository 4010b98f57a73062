package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// settleIn is how long a reference to something that does not exist may be only "not ready": objects
// arrive in any order.
const settleIn = 30 * time.Second

// PowerBudgetReconciler shows a budget's part of the decision in its status. It decides nothing.
type PowerBudgetReconciler struct {
	client.Client
	Clock  func() time.Time
	Events recorder
	board  *board
	wrote  map[string]time.Time
}

// budgetSnapshot is everything one reconcile of a budget knows.
type budgetSnapshot struct {
	byName  map[string]*powerv1.PowerBudget
	doubles map[string]double
	users   int // children, pools and reservations that still count here
	plan    power.BudgetPlan
	known   bool
}

// Reconcile writes one budget's status.
func (r *PowerBudgetReconciler) Reconcile(ctx context.Context, b *powerv1.PowerBudget) (reconcile.Result, error) {
	s, err := r.snapshot(ctx, b)
	if err != nil {
		return reconcile.Result{}, err
	}
	if b.DeletionTimestamp != nil && s.users == 0 {
		delete(r.wrote, b.Name)
		_, err := setFinalizer(ctx, r.Client, b, false)
		return reconcile.Result{}, err
	}
	if b.DeletionTimestamp == nil {
		if changed, err := setFinalizer(ctx, r.Client, b, true); changed || err != nil {
			return requeued(err)
		}
	}
	return r.report(ctx, b, s)
}

// report writes a budget's status where it differs, at most once a second, and then tells of it.
func (r *PowerBudgetReconciler) report(ctx context.Context, b *powerv1.PowerBudget, s *budgetSnapshot) (reconcile.Result, error) {
	now := r.Clock()
	next := b.DeepCopy()
	wait := budgetStatus(&next.Status, b, s, now)
	if equality.Semantic.DeepEqual(b.Status, next.Status) {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if since := now.Sub(r.wrote[b.Name]); since < calm && b.Status.ObservedGeneration == b.Generation {
		return reconcile.Result{RequeueAfter: calm - since}, nil
	}
	if err := r.Status().Update(ctx, next); err != nil {
		return requeued(ignoreRace(err, "writing the status of PowerBudget %s", b.Name))
	}
	r.wrote[b.Name] = now
	r.tell(b, next, s)
	return reconcile.Result{RequeueAfter: wait}, nil
}

func (r *PowerBudgetReconciler) tell(b, next *powerv1.PowerBudget, s *budgetSnapshot) {
	by := ""
	if s.plan.By != "" {
		by = " " + s.plan.By
	}
	tellStalled(r.Events, next, b.Status.Conditions, next.Status.Conditions)
	tellLimit(r.Events, next, b.Status, next.Status, by)
	tellChange(r.Events, next, b.Status.Conditions, next.Status.Conditions, powerv1.ConditionWithinLimit, actionLimit, metav1.ConditionFalse)
}

func (r *PowerBudgetReconciler) snapshot(ctx context.Context, b *powerv1.PowerBudget) (*budgetSnapshot, error) {
	s := &budgetSnapshot{byName: map[string]*powerv1.PowerBudget{}}
	var budgets powerv1.PowerBudgetList
	var nodes corev1.NodeList
	if err := errors.Join(
		wrap(r.List(ctx, &budgets), "listing power budgets"),
		wrap(r.List(ctx, &nodes, client.UnsafeDisableDeepCopyOption(true)), "listing nodes"),
	); err != nil {
		return nil, err
	}
	for i := range budgets.Items {
		s.byName[budgets.Items[i].Name] = &budgets.Items[i]
		if budgets.Items[i].Spec.Parent == b.Name {
			s.users++
		}
	}
	s.doubles = doublesOf(s.byName, pinsOf(s.byName), nodes.Items)
	s.plan, s.known = r.board.budget(b.Name)
	if b.DeletionTimestamp == nil {
		return s, nil
	}
	return s, r.countUsers(ctx, b, s)
}

// countUsers adds the pools and reservations that draw from a budget.
func (r *PowerBudgetReconciler) countUsers(ctx context.Context, b *powerv1.PowerBudget, s *budgetSnapshot) error {
	var pools powerv1.MinerPoolList
	var claims powerv1.GPUWorkloadList
	if err := r.List(ctx, &pools); err != nil {
		return fmt.Errorf("listing miner pools: %w", err)
	}
	if err := r.List(ctx, &claims); err != nil {
		return fmt.Errorf("listing GPU workloads: %w", err)
	}
	for i := range pools.Items {
		if pools.Items[i].Spec.Budget == b.Name {
			s.users++
		}
	}
	for i := range claims.Items {
		for _, res := range claims.Items[i].Status.Reservations {
			if res.Budget == b.Name {
				s.users++
			}
		}
	}
	return nil
}

// budgetStatus computes a budget's status, and when time alone may change it.
func budgetStatus(st *powerv1.PowerBudgetStatus, b *powerv1.PowerBudget, s *budgetSnapshot, now time.Time) time.Duration {
	st.ObservedGeneration = b.Generation
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&st.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: b.Generation,
		})
	}
	wait := time.Duration(0)
	reason, message := budgetFault(s.byName, s.doubles, b)
	young := now.Sub(b.CreationTimestamp.Time)
	waits := reason == powerv1.ReasonParentNotFound && young < settleIn
	if reason == "" || waits || b.DeletionTimestamp != nil {
		meta.RemoveStatusCondition(&st.Conditions, powerv1.ConditionStalled)
	}
	switch {
	case b.DeletionTimestamp != nil:
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonDeleting, fmt.Sprintf(
			"kept until the %d budgets, pools and reservations that draw from it are gone", s.users))
	case waits:
		set(powerv1.ConditionReady, metav1.ConditionFalse, reason, message)
		wait = settleIn - young
	case reason != "":
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonStalled, message)
		set(powerv1.ConditionStalled, metav1.ConditionTrue, reason, message)
	default:
		set(powerv1.ConditionReady, metav1.ConditionTrue, powerv1.ReasonReady, "the limit is kept"+parentBinds(s.byName, b))
	}
	if s.known {
		budgetWatts(st, s.plan)
		status, reason, message := within(s.plan)
		set(powerv1.ConditionWithinLimit, status, reason, message)
	}
	sortConditions(st.Conditions)
	return wait
}

// budgetWatts writes what was decided. availableWatts follows readings a little; changes under a
// hundredth of the limit are not worth a write.
func budgetWatts(st *powerv1.PowerBudgetStatus, p power.BudgetPlan) {
	const worth = 100
	st.LimitWatts, st.LimitReason = quantity(p.Limit), powerv1.LimitReason(p.Reason)
	st.ReservedWatts, st.LeasedWatts, st.BaseWatts = quantity(p.Reserved), quantity(p.Leased), quantity(p.Base)
	before := power.Watts(-1)
	if st.AvailableWatts != nil {
		before = power.Watts(st.AvailableWatts.Value())
	}
	if off := p.Available - before; before < 0 || off > p.Limit/worth || -off > p.Limit/worth || (p.Available == 0) != (before == 0) {
		st.AvailableWatts = quantity(p.Available)
	}
	st.AvailableWatts = resource.NewQuantity(st.AvailableWatts.Value(), resource.DecimalSI)
}

func within(p power.BudgetPlan) (status metav1.ConditionStatus, reason, message string) {
	switch {
	case p.Short > 0:
		return metav1.ConditionFalse, powerv1.ReasonOverLimit, fmt.Sprintf(
			"base load %v and AI pods %v, with mining that can't be shed, are more than the limit %v; lower the load, or set onShortfall to EvictInterruptible", p.Base, p.Reserved, p.Limit)
	case p.Over > 0:
		return metav1.ConditionFalse, powerv1.ReasonShedding, "more is counted than the limit allows; miners are shedding"
	}
	return metav1.ConditionTrue, powerv1.ReasonWithinLimit, "everything counted is under the limit"
}

// SetupWithManager watches budgets and what the site's decision tells of them.
func (r *PowerBudgetReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.wrote = map[string]time.Time{}
	every := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return requestsFor(ctx, mgr.GetClient(), &powerv1.PowerBudgetList{})
	})
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	err := ctrl.NewControllerManagedBy(mgr).
		For(&powerv1.PowerBudget{}, changed).
		Watches(&powerv1.PowerBudget{}, every, changed).
		Watches(&powerv1.MinerPool{}, every, changed).
		Watches(&corev1.Node{}, every, builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WatchesRawSource(source.Channel(r.board.budgetEvents, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return fmt.Errorf("setting up the PowerBudget controller: %w", err)
	}
	return nil
}

// requestsFor asks for every object of a kind.
func requestsFor(ctx context.Context, c client.Reader, list client.ObjectList) []reconcile.Request {
	if err := c.List(ctx, list, client.UnsafeDisableDeepCopyOption(true)); err != nil {
		log.FromContext(ctx).Error(err, "Listing for a change elsewhere", "kind", fmt.Sprintf("%T", list))
		return nil
	}
	objects, err := meta.ExtractList(list)
	if err != nil {
		log.FromContext(ctx).Error(err, "Listing for a change elsewhere", "kind", fmt.Sprintf("%T", list))
		return nil
	}
	out := make([]reconcile.Request, 0, len(objects))
	for _, o := range objects {
		if object, ok := o.(client.Object); ok {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)})
		}
	}
	return out
}
