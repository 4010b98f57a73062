package controllers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

const (
	// baselineAhead is how long before its start an event's baseline is taken: before shedding begins.
	baselineAhead = 60 * time.Second
	// look is how often the draw is looked at while an event is active.
	look = time.Second
	// blind is the longest time without a look for which an event still counts as watched.
	blind = 10 * look
)

// CurtailmentReconciler follows curtailment events and says what they delivered. The limit itself is
// lowered by the decision, which reads the same events.
type CurtailmentReconciler struct {
	client.Client
	Clock  func() time.Time
	Events recorder
	board  *board
	// looks are kept here and not in status: an event is watched by one process, or it was not watched.
	looks map[types.UID]looks
}

// looks is since when an event has been watched without a gap, and until when.
type looks struct{ from, last time.Time }

// Reconcile writes one event's status.
func (r *CurtailmentReconciler) Reconcile(ctx context.Context, c *powerv1.CurtailmentEvent) (reconcile.Result, error) {
	var budget powerv1.PowerBudget
	err := r.Get(ctx, client.ObjectKey{Name: c.Spec.Budget}, &budget)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("reading PowerBudget %s: %w", c.Spec.Budget, err)
	}
	found := err == nil
	plan, known := r.board.budget(c.Spec.Budget)
	seen := curtailmentFacts{now: r.Clock(), found: found, known: known, plan: plan, draw: r.board.drawn(c.Spec.Budget)}
	if found {
		seen.limit = budget.Spec.LimitWatts.Value()
	}
	seen.watched = r.watch(c, seen)
	next := c.DeepCopy()
	wait := curtailmentStatus(&next.Status, c, seen)
	if equality.Semantic.DeepEqual(c.Status, next.Status) {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if err := r.Status().Update(ctx, next); err != nil {
		return requeued(ignoreRace(err, "writing the status of CurtailmentEvent %s", c.Name))
	}
	tellStalled(r.Events, next, c.Status.Conditions, next.Status.Conditions)
	tellChange(r.Events, next, c.Status.Conditions, next.Status.Conditions, powerv1.ConditionActive, actionCurtail, "")
	tellChange(r.Events, next, c.Status.Conditions, next.Status.Conditions, powerv1.ConditionMet, actionCurtail, metav1.ConditionFalse)
	return reconcile.Result{RequeueAfter: wait}, nil
}

// curtailmentFacts is everything that an event's status is computed from.
type curtailmentFacts struct {
	now   time.Time
	found bool // the budget exists
	known bool // the site was decided since this process leads
	limit int64
	plan  power.BudgetPlan
	draw  power.Watts
	// watched says that there was no gap between the event's start, or when it was written, and now.
	watched bool
}

// watch notes a look at an event, and tells whether none is missing.
func (r *CurtailmentReconciler) watch(c *powerv1.CurtailmentEvent, f curtailmentFacts) bool {
	if r.looks == nil {
		r.looks = map[types.UID]looks{}
	}
	maps.DeleteFunc(r.looks, func(_ types.UID, l looks) bool { return f.now.Sub(l.last) > memory })
	seen, met := r.looks[c.UID]
	if f.found && f.known && f.now.Before(c.Spec.End.Time) {
		if !met || f.now.Sub(seen.last) > blind {
			seen.from = f.now
		}
		seen.last = f.now
		r.looks[c.UID] = seen
	}
	first := c.Spec.Start.Time
	if c.CreationTimestamp.After(first) {
		first = c.CreationTimestamp.Time
	}
	due := f.now
	if due.After(c.Spec.End.Time) {
		due = c.Spec.End.Time
	}
	return !seen.from.After(first.Add(blind)) && !seen.last.Before(due.Add(-blind))
}

// asked is the limit that the event sets, before any margin.
func (f curtailmentFacts) asked(c *powerv1.CurtailmentEvent) power.Watts {
	if c.Spec.LimitWatts != nil {
		return power.Watts(c.Spec.LimitWatts.Value())
	}
	return power.Watts(max(0, f.limit-c.Spec.ReduceByWatts.Value()))
}

// curtailmentStatus computes an event's status, and when to look again; 0 is never.
func curtailmentStatus(st *powerv1.CurtailmentEventStatus, c *powerv1.CurtailmentEvent, f curtailmentFacts) time.Duration {
	st.ObservedGeneration = c.Generation
	set := func(kind string, on bool, yes, no, message string) {
		status, reason := metav1.ConditionFalse, no
		if on {
			status, reason = metav1.ConditionTrue, yes
		}
		meta.SetStatusCondition(&st.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: c.Generation,
		})
	}
	started, over := !f.now.Before(c.Spec.Start.Time), !f.now.Before(c.Spec.End.Time)
	st.State = powerv1.CurtailmentScheduled
	switch {
	case over:
		st.State = powerv1.CurtailmentEnded
	case started:
		st.State = powerv1.CurtailmentActive
	}
	if !f.found {
		message := fmt.Sprintf("spec.budget %q does not exist; create that PowerBudget, or delete this event and create it for another", c.Spec.Budget)
		set(powerv1.ConditionReady, false, "", powerv1.ReasonStalled, message)
		set(powerv1.ConditionStalled, true, powerv1.ReasonBudgetNotFound, "", message)
	} else {
		meta.RemoveStatusCondition(&st.Conditions, powerv1.ConditionStalled)
		set(powerv1.ConditionReady, true, powerv1.ReasonReady, "", "the event is planned with")
	}
	set(powerv1.ConditionScheduled, !started, powerv1.ReasonPlanned, powerv1.ReasonStarted, "start "+c.Spec.Start.UTC().Format(time.RFC3339))
	set(powerv1.ConditionActive, started && !over && f.found, powerv1.ReasonInForce, map[bool]string{true: powerv1.ReasonTimePassed, false: powerv1.ReasonNotStarted}[over],
		fmt.Sprintf("limit %v of budget %s", f.asked(c), c.Spec.Budget))
	set(powerv1.ConditionEnded, over, powerv1.ReasonTimePassed, powerv1.ReasonNotEnded, "end "+c.Spec.End.UTC().Format(time.RFC3339))
	if f.found && f.known {
		deliver(st, c, f)
	}
	met(st, c, f, started, over)
	sortConditions(st.Conditions)
	return nextLook(c, f.now)
}

// deliver keeps the baseline until shedding begins, and then what was shed against it: once when the
// event is met, and again at its end.
func deliver(st *powerv1.CurtailmentEventStatus, c *powerv1.CurtailmentEvent, f curtailmentFacts) {
	start, end := c.Spec.Start.Time, c.Spec.End.Time
	if f.now.Before(start.Add(-baselineAhead)) || f.now.After(end) {
		return
	}
	if st.BaselineWatts == nil {
		st.BaselineWatts = quantity(f.draw)
	}
	baseline, started := power.Watts(st.BaselineWatts.Value()), !f.now.Before(start)
	st.MetAt = cmp.Or(st.MetAt, metSince(c, f, baseline))
	if firstMet := started && st.DeliveredWatts == nil && st.MetAt != nil; firstMet || end.Sub(f.now) < look {
		st.DeliveredWatts = quantity(max(0, baseline-f.draw))
	}
}

// metSince is now where the draw is under the event's limit, and shed for it if it has not begun yet.
func metSince(c *powerv1.CurtailmentEvent, f curtailmentFacts, baseline power.Watts) *metav1.Time {
	if f.draw > f.asked(c) || (f.now.Before(c.Spec.Start.Time) && f.draw >= baseline) {
		return nil
	}
	return new(metav1.NewTime(f.now.Truncate(time.Second)))
}

// met keeps Missed once the draw was over the limit during the event: "met" means throughout. What was
// not watched throughout is not claimed, and what was said of an event at its end stays.
func met(st *powerv1.CurtailmentEventStatus, c *powerv1.CurtailmentEvent, f curtailmentFacts, started, over bool) {
	was := meta.FindStatusCondition(st.Conditions, powerv1.ConditionMet)
	next := metav1.Condition{
		Type: powerv1.ConditionMet, Status: metav1.ConditionUnknown, Reason: powerv1.ReasonNotYetDue,
		Message: "the event has not begun",
	}
	switch {
	case !started:
	case stands(c, was, f, over):
		next = *was
	case !over && f.known && f.draw > f.asked(c):
		next.Status, next.Reason = metav1.ConditionFalse, powerv1.ReasonMissed
		next.Message = fmt.Sprintf("the draw was over the event's limit %v at %s", f.asked(c), f.now.UTC().Format(time.RFC3339))
	case over || !f.watched:
		next.Reason, next.Message = powerv1.ReasonUnobserved, "no operator watched the event from its start to its end"
	default:
		next.Status, next.Reason = metav1.ConditionTrue, powerv1.ReasonMet
		next.Message = fmt.Sprintf("the draw is under the event's limit %v", f.asked(c))
	}
	next.ObservedGeneration = c.Generation
	meta.SetStatusCondition(&st.Conditions, next)
}

// stands tells whether what was said of an event before is said again: that it was missed, and of one that
// is over what was seen to its end or said after it.
func stands(c *powerv1.CurtailmentEvent, was *metav1.Condition, f curtailmentFacts, over bool) bool {
	switch {
	case was == nil || was.Reason == powerv1.ReasonNotYetDue:
		return false
	case was.Reason == powerv1.ReasonMissed:
		return true
	}
	return over && (f.watched || c.Status.State == powerv1.CurtailmentEnded)
}

// nextLook is when an event's status may change with time.
func nextLook(c *powerv1.CurtailmentEvent, now time.Time) time.Duration {
	watch := c.Spec.Start.Add(-baselineAhead)
	switch {
	case now.Before(watch):
		return watch.Sub(now)
	case now.Before(c.Spec.End.Time):
		return min(look, c.Spec.End.Sub(now)+time.Millisecond)
	}
	return 0
}

// SetupWithManager watches events and the budgets that they name.
func (r *CurtailmentReconciler) SetupWithManager(mgr ctrl.Manager) error {
	every := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return requestsFor(ctx, mgr.GetClient(), &powerv1.CurtailmentEventList{})
	})
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	err := ctrl.NewControllerManagedBy(mgr).
		For(&powerv1.CurtailmentEvent{}, changed).
		Watches(&powerv1.PowerBudget{}, every, changed).
		WithOptions(controller.Options{EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return fmt.Errorf("setting up the CurtailmentEvent controller: %w", err)
	}
	return nil
}
