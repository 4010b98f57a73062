package controllers

import (
	"fmt"
	"slices"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// quantity writes watts as a status field: plain decimal digits with the largest fitting suffix.
func quantity(w power.Watts) *resource.Quantity {
	return resource.NewQuantity(int64(w), resource.DecimalSI)
}

// workloadStatus computes a GPUWorkload's status from the facts and the plan.
func workloadStatus(w *workloadFacts, p *power.WorkloadPlan, epoch int64) *powerv1.GPUWorkloadStatus {
	st := w.object.Status
	st.Conditions = slices.Clone(st.Conditions)
	st.ObservedGeneration = w.object.Generation
	st.Epoch = epoch
	st.Budget = p.Budget
	st.RequestedWatts, st.ReservedWatts = quantity(p.Requested), quantity(p.Reserved)
	st.Pods = countPods(w)
	st.Reservations = reservations(w, p)
	workloadConditions(&st, w, p)
	return &st
}

// sameStatus looks at what most of a status is without reflection: it is asked for every workload in every pass.
func sameStatus(a, b *powerv1.GPUWorkloadStatus) bool {
	if !slices.Equal(a.Conditions, b.Conditions) || !slices.EqualFunc(a.Reservations, b.Reservations, sameReservation) {
		return false
	}
	x, y := *a, *b
	x.Conditions, x.Reservations, y.Conditions, y.Reservations = nil, nil, nil, nil
	if sameQuantity(x.RequestedWatts, y.RequestedWatts) && sameQuantity(x.ReservedWatts, y.ReservedWatts) {
		y.RequestedWatts, y.ReservedWatts = x.RequestedWatts, x.ReservedWatts
	}
	return equality.Semantic.DeepEqual(&x, &y)
}

func sameQuantity(a, b *resource.Quantity) bool { return a != nil && b != nil && a.Cmp(*b) == 0 }

func sameReservation(a, b powerv1.Reservation) bool {
	if a.Watts.Cmp(b.Watts) == 0 {
		b.Watts = a.Watts // may be written otherwise
	}
	if a.EndedAt.Equal(b.EndedAt) {
		b.EndedAt = a.EndedAt
	}
	return a == b
}

func countPods(w *workloadFacts) *powerv1.GPUWorkloadPods {
	var gated, admitted, runs int32
	for _, pod := range w.pods {
		switch {
		case ended(pod):
		case gate.Gated(pod):
			gated++
		case running(pod):
			runs++
		default:
			admitted++
		}
	}
	return &powerv1.GPUWorkloadPods{Gated: &gated, Admitted: &admitted, Running: &runs}
}

func reservations(w *workloadFacts, p *power.WorkloadPlan) []powerv1.Reservation {
	if len(p.Pods) == 0 {
		return nil
	}
	out, graces := make([]powerv1.Reservation, 0, len(p.Pods)), w.graces()
	for _, pod := range p.Pods {
		res := powerv1.Reservation{
			UID: types.UID(pod.UID), Name: pod.Name, Watts: *quantity(pod.Watts), Budget: pod.Budget,
			TerminationGracePeriodSeconds: int64(graces[types.UID(pod.UID)] / time.Second),
		}
		if at, over := w.endedAt[res.UID]; over {
			res.EndedAt = &at
		}
		out = append(out, res)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].UID < out[b].UID })
	return out
}

// graces are the graces of pods, where they are longer than most: a leader that never saw a pod needs its grace once
// it has vanished (L6).
func (w *workloadFacts) graces() map[types.UID]time.Duration {
	var out map[types.UID]time.Duration
	note := func(uid types.UID, grace time.Duration) {
		if grace <= usualGrace {
			return
		}
		if out == nil {
			out = map[types.UID]time.Duration{}
		}
		out[uid] = max(out[uid], grace)
	}
	for i := range w.object.Status.Reservations {
		res := &w.object.Status.Reservations[i]
		note(res.UID, graceHeld(res))
	}
	for _, pod := range w.pods {
		note(pod.UID, graceOf(pod))
	}
	return out
}

func workloadConditions(st *powerv1.GPUWorkloadStatus, w *workloadFacts, p *power.WorkloadPlan) {
	generation := w.object.Generation
	ready := metav1.Condition{
		Type: powerv1.ConditionReady, Status: metav1.ConditionTrue, Reason: powerv1.ReasonGoverned,
		Message: "its pods are counted; those that wait for power wait at the gate", ObservedGeneration: generation,
	}
	switch n := len(w.lost); {
	case n > 0:
		ready.Message = fmt.Sprintf("its pods are counted; the watts of %d that are gone are held until their nodes are heard again, as of pod %s; "+
			"if that machine is off, delete its Node", n, w.lost[0])
	case len(w.ending) > 0:
		ready.Message = fmt.Sprintf("its pods are counted; the watts of %d that are gone are held yet: %s", len(w.ending), w.ending[0])
	}
	if w.stalled == nil || w.object.DeletionTimestamp != nil {
		meta.RemoveStatusCondition(&st.Conditions, powerv1.ConditionStalled)
	}
	switch {
	case w.object.DeletionTimestamp != nil:
		ready.Status, ready.Reason = metav1.ConditionFalse, powerv1.ReasonDeleting
		ready.Message = "kept until the pods that hold its watts have ended"
	case w.stalled != nil:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, powerv1.ReasonStalled, w.stalled.message
		meta.SetStatusCondition(&st.Conditions, metav1.Condition{
			Type: powerv1.ConditionStalled, Status: metav1.ConditionTrue, Reason: w.stalled.reason,
			Message: w.stalled.message, ObservedGeneration: generation,
		})
	}
	meta.SetStatusCondition(&st.Conditions, ready)
	meta.SetStatusCondition(&st.Conditions, reservedCondition(w, p, generation))
	sortConditions(st.Conditions)
}

func reservedCondition(w *workloadFacts, p *power.WorkloadPlan, generation int64) metav1.Condition {
	c := metav1.Condition{
		Type: powerv1.ConditionPowerReserved, Status: metav1.ConditionTrue,
		Reason: string(p.Reason), Message: p.Message, ObservedGeneration: generation,
	}
	switch {
	case p.Waiting > 0:
		c.Status = metav1.ConditionFalse
		c.Message = fmt.Sprintf("%d pods wait: %s", p.Waiting, p.Message)
		if p.Waiting == 1 {
			c.Message = "1 pod waits: " + p.Message
		}
	case p.Reason == power.NoPods:
		c.Status = metav1.ConditionFalse
	case w.ungated > 0:
		c.Reason = powerv1.ReasonUngated
		c.Message = fmt.Sprintf("%d pods run that never were at the gate; they count as firm load", w.ungated)
	}
	return c
}

// sortConditions puts Ready first and Stalled before the rest, as kstatus walks them.
func sortConditions(conditions []metav1.Condition) {
	rank := map[string]int{powerv1.ConditionReady: 0, powerv1.ConditionStalled: 1}
	sort.SliceStable(conditions, func(a, b int) bool {
		x, okX := rank[conditions[a].Type]
		y, okY := rank[conditions[b].Type]
		if !okX {
			x = len(rank)
		}
		if !okY {
			y = len(rank)
		}
		if x != y {
			return x < y
		}
		return conditions[a].Type < conditions[b].Type
	})
}

func conditionOf(conditions []metav1.Condition, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown}
}

// podRef names a pod as the related object of an event.
func podRef(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}
