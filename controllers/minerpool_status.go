package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

func wattsText(w int64) string { return power.Watts(w).String() }

// report writes a pool's status where it differs, at most once a second, and then tells of it. It
// answers when to look again.
func (r *MinerPoolReconciler) report(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) (time.Duration, error) {
	next := p.DeepCopy()
	poolStatus(&next.Status, p, s, r.Clock())
	if equality.Semantic.DeepEqual(p.Status, next.Status) {
		return min(recheck, settleIn), nil
	}
	key := client.ObjectKeyFromObject(p)
	if since := r.Clock().Sub(r.wrote[key]); since < calm && p.Status.ObservedGeneration == p.Generation {
		return calm - since, nil
	}
	if err := r.Status().Update(ctx, next); err != nil {
		return soon, ignoreRace(err, "writing the status of MinerPool %s", key)
	}
	r.wrote[key] = r.Clock()
	r.tellDevices(next, s.facts)
	tellStalled(r.Events, next, p.Status.Conditions, next.Status.Conditions)
	tellChange(r.Events, next, p.Status.Conditions, next.Status.Conditions, powerv1.ConditionReachable, actionLease, metav1.ConditionFalse)
	tellChange(r.Events, next, p.Status.Conditions, next.Status.Conditions, powerv1.ConditionCurtailed, actionLease, "")
	return recheck, nil
}

// release lets a deleted pool go: its agents shed first, and its watts are counted until every device was
// verified asleep (L4, L9). Then the agents go, and with the last of them the pool. A pool that is only
// observed commands nothing and goes at once: its watts are the base load's from then on.
func (r *MinerPoolReconciler) release(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) (reconcile.Result, error) {
	leaving := s.set.UID == "" || s.set.DeletionTimestamp != nil
	if asleep(s) || p.Spec.Control == powerv1.ControlObserve {
		if err := r.dismiss(ctx, p, s, leaving); err != nil {
			return reconcile.Result{}, err
		}
		leaving = true
	}
	if leaving && len(s.agents) == 0 {
		delete(r.wrote, client.ObjectKeyFromObject(p))
		delete(r.told, client.ObjectKeyFromObject(p))
		exported.certs.forget(client.ObjectKeyFromObject(p))
		_, err := setFinalizer(ctx, r.Client, p, false)
		return reconcile.Result{}, err
	}
	wait, err := r.report(ctx, p, s)
	return reconcile.Result{RequeueAfter: min(wait, 5*calm)}, err
}

// dismiss deletes a pool's agents: its StatefulSet, which takes its own with it, and those that it does not own, which
// nobody else would delete.
func (r *MinerPoolReconciler) dismiss(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot, leaving bool) error {
	var errs []error
	for _, pod := range s.agents {
		if pod.DeletionTimestamp == nil && (s.set.UID == "" || !metav1.IsControlledBy(pod, &s.set)) {
			uid := pod.UID
			errs = append(errs, client.IgnoreNotFound(r.Delete(ctx, pod.DeepCopy(), client.Preconditions{UID: &uid})))
		}
	}
	if !leaving {
		errs = append(errs, client.IgnoreNotFound(r.Delete(ctx, &s.set)))
	}
	return wrap(errors.Join(errs...), fmt.Sprintf("deleting the agents of MinerPool %s/%s", p.Namespace, p.Name))
}

// asleep tells whether every device of a pool was verified asleep by agents that report now.
func asleep(s *poolSnapshot) bool {
	f := s.facts
	return f.known && f.agents > 0 && f.agents >= len(s.shards) && len(f.unheard) == 0 && f.counts.Sleeping == f.counts.Total
}

// showDevices writes what the pool's agents count and were given.
func showDevices(st *powerv1.MinerPoolStatus, f poolFacts) {
	if !f.known {
		return
	}
	st.LeasedWatts = quantity(f.leased)
	total, hashing, sleeping := int32(f.counts.Total), int32(f.counts.Hashing), int32(f.counts.Sleeping)
	unreachable, stuck := int32(f.counts.Unreachable), int32(f.counts.Stuck)
	st.Devices = &powerv1.MinerPoolDevices{
		Total: &total, Hashing: &hashing, Sleeping: &sleeping, Unreachable: &unreachable, Stuck: &stuck,
	}
}

func poolStatus(st *powerv1.MinerPoolStatus, p *powerv1.MinerPool, s *poolSnapshot, now time.Time) {
	st.ObservedGeneration = p.Generation
	agents := int32(len(s.shards))
	st.Agents = &agents
	f := s.facts
	showDevices(st, f)
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&st.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: p.Generation,
		})
	}
	showReady(st, p, s, now, set)
	showPower(p, s, now, set)
	sortConditions(st.Conditions)
}

// showReady sets Ready and Stalled.
func showReady(
	st *powerv1.MinerPoolStatus, p *powerv1.MinerPool, s *poolSnapshot, now time.Time, set func(string, metav1.ConditionStatus, string, string),
) {
	f := s.facts
	early := s.early(p, now)
	if s.fault == nil || early {
		meta.RemoveStatusCondition(&st.Conditions, powerv1.ConditionStalled)
	}
	switch {
	case early:
		set(powerv1.ConditionReady, metav1.ConditionFalse, s.fault.reason, s.fault.message)
	case s.fault != nil:
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonStalled, s.fault.message)
		set(powerv1.ConditionStalled, metav1.ConditionTrue, s.fault.reason, s.fault.message)
	case p.DeletionTimestamp != nil:
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonDeleting, fmt.Sprintf(
			"its devices are being put to sleep: %d of %d sleep, %d don't answer, %d are stuck; to give up on those, switch them off and remove the finalizer %s",
			f.counts.Sleeping, f.counts.Total, f.counts.Unreachable, f.counts.Stuck, powerv1.LedgerFinalizer))
	case len(f.behind) > 0:
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonAddressesWait, fmt.Sprintf(
			"the newest edit of addresses or devicesPerAgent is not in force: %d earlier ones are under way, which agents %s have yet to take up; see why they do not report, or delete their pods",
			maxSplits, some(f.behind)))
	case len(f.surplus.agents) > 0:
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonAddressesWait, f.surplus.text())
	case !f.known || f.agents < len(s.shards):
		set(powerv1.ConditionReady, metav1.ConditionFalse, powerv1.ReasonAgentsNotReady, fmt.Sprintf(
			"%d of %d mining pods report to this operator; see kubectl get pods -n %s -l %s=%s", f.agents, len(s.shards), p.Namespace, powerv1.PoolLabel, p.Name))
	default:
		set(powerv1.ConditionReady, metav1.ConditionTrue, powerv1.ReasonReady, "every mining pod reports and is leased watts")
	}
}

// early tells of a pool that came a moment before its budget: objects arrive in any order.
func (s *poolSnapshot) early(p *powerv1.MinerPool, now time.Time) bool {
	return s.fault != nil && s.fault.reason == powerv1.ReasonBudgetNotFound && now.Sub(p.CreationTimestamp.Time) < settleIn
}

// showPower sets the conditions about the pool's watts, once the site was decided.
func showPower(p *powerv1.MinerPool, s *poolSnapshot, now time.Time, set func(string, metav1.ConditionStatus, string, string)) {
	if !s.facts.known {
		return
	}
	status, reason, message := reachable(p, s, now)
	set(powerv1.ConditionReachable, status, reason, message+unproven(s.facts))
	status, reason, message = curtailed(p, s.facts)
	set(powerv1.ConditionCurtailed, status, reason, message)
}

// reachable says what of a pool counts without being seen, most serious first: no hold is without its
// name and a way out (liveness i).
func reachable(p *powerv1.MinerPool, s *poolSnapshot, now time.Time) (status metav1.ConditionStatus, reason, message string) {
	f := s.facts
	status = metav1.ConditionFalse
	switch {
	case s.fault != nil && s.set.UID == "":
		return status, powerv1.ReasonStalled, "no mining pod was made for it, so nobody looks at its machines, and what they draw counts only as far as baseLoadWatts of the budget has it; mend what Stalled names"
	case len(f.quarantined) > 0:
		return status, powerv1.ReasonAgentsQuarantined, fmt.Sprintf(
			"agents %s report what can't be; their devices count at their rated watts; restart those pods", some(f.quarantined))
	case len(f.refused) > 0:
		return status, powerv1.ReasonAgentsRefused, fmt.Sprintf(
			"what answers for agents %s; restart those pods, or see who holds their addresses", some(f.refused))
	case len(f.unheard) > 0:
		return status, powerv1.ReasonAgentsUnheard, fmt.Sprintf(
			"agents %s do not report; what they may draw counts until they do", some(f.unheard))
	case f.agents < len(s.shards):
		return status, powerv1.ReasonAgentsUnheard, fmt.Sprintf(
			"%d of %d agents have reported; the rest of ratedWatts counts as drawn", f.agents, len(s.shards))
	}
	if reason, message = missing(p, f, now); reason != "" {
		return status, reason, message
	}
	return metav1.ConditionTrue, powerv1.ReasonReachable, "every agent reports and every device found answers"
}

// missing says what ails devices, and what of ratedWatts is on none that was found. Both may be the same machines.
func missing(p *powerv1.MinerPool, f poolFacts, now time.Time) (reason, message string) {
	reason, message = ailing(p, f)
	if f.unfound <= roundingOf(p) || now.Before(f.grace) {
		return reason, message
	}
	unfound := fmt.Sprintf("%v of ratedWatts %v are on no device found and count as drawn", f.unfound, wattsText(p.Spec.RatedWatts.Value()))
	if strangers := named(f, "Unidentified"); len(strangers) > 0 {
		unfound += "; what answers at " + listed(strangers) + " was not made out yet"
	}
	if reason != "" {
		return reason, message + "; " + unfound
	}
	return powerv1.ReasonUnfound, fmt.Sprintf("%s; switch the missing devices on, or lower ratedWatts to %v", unfound, f.rated)
}

// roundingOf is what of ratedWatts may be unfound without a word: a fiftieth, for rounding up.
func roundingOf(p *powerv1.MinerPool) power.Watts {
	const share = 50
	return power.Watts(p.Spec.RatedWatts.Value() / share)
}

func curtailed(p *powerv1.MinerPool, f poolFacts) (status metav1.ConditionStatus, reason, message string) {
	switch {
	case p.Spec.Control == powerv1.ControlObserve:
		return metav1.ConditionFalse, powerv1.ReasonObserved, "control is Observe: nothing is commanded and every device counts as rated"
	case f.target >= f.most-f.most/100:
		return metav1.ConditionFalse, powerv1.ReasonNotCurtailed, "the pool may draw all it can"
	case f.limit.Reason == power.LimitCurtailment:
		return metav1.ConditionTrue, powerv1.ReasonCurtailmentEvent, fmt.Sprintf("CurtailmentEvent %s leaves less", f.limit.By)
	case f.limit.Reserved > 0:
		return metav1.ConditionTrue, powerv1.ReasonWorkloads, fmt.Sprintf("AI pods have watts of budget %s, or wait for them", p.Spec.Budget)
	}
	return metav1.ConditionTrue, powerv1.ReasonLimit, fmt.Sprintf("the limit of budget %s, %v after its margin, leaves less", p.Spec.Budget, f.limit.Limit)
}

// some joins a few names; the rest is a number.
func some(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
