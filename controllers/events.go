package controllers

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// This file is the whole vocabulary of events. Each is sent after the change it tells of was written;
// Warning means that a person may have to act. A number that matters is in a condition too: repeats of an
// event keep one note.

const (
	actionAdmit   = "Admit"
	actionReserve = "Reserve"
	actionEvict   = "Evict"
	actionLimit   = "SetLimit"
	actionLease   = "Lease"
	actionCheck   = "CheckSpec"
	actionClaim   = "ClaimPower"
	actionCurtail = "Curtail"
	actionCommand = "Command"
)

// The reasons of events that no condition has. All others are the reason of the condition that changed.
const (
	eventPowerReserved    = "PowerReserved"
	eventAdmitted         = "Admitted"
	eventPowerAdmitted    = "PowerAdmitted"
	eventPowerEvicted     = "PowerEvicted"
	eventLimitChanged     = "LimitChanged"
	eventWorkloadNotFound = "WorkloadNotFound"
	eventClaimed          = "Claimed"

	// Of one device each; the pool's condition names them all.
	eventDeviceUnauthorized = "DeviceUnauthorized"
	eventDeviceStuck        = "DeviceStuck"
	eventDeviceUnreachable  = "DeviceUnreachable"
	eventDeviceUnreadable   = "DeviceUnreadable"
	eventDeviceRebooted     = "DeviceRebooted"
	eventDeviceBusy         = "DeviceBusy"
)

// tellWorkload announces that a workload began to wait, got its watts or stalled.
func (r *SiteReconciler) tellWorkload(before, after *powerv1.GPUWorkload, p *power.WorkloadPlan) {
	was := conditionOf(before.Status.Conditions, powerv1.ConditionPowerReserved)
	is := conditionOf(after.Status.Conditions, powerv1.ConditionPowerReserved)
	switch {
	case was.Status == is.Status && was.Reason == is.Reason:
	case is.Reason == powerv1.ReasonGangIncomplete:
		r.event(after, nil, corev1.EventTypeNormal, is.Reason, actionReserve, "%s", is.Message)
	case is.Status == metav1.ConditionTrue:
		r.event(after, nil, corev1.EventTypeNormal, eventPowerReserved, actionReserve, "%v reserved on %s", p.Reserved, p.Budget)
	case p.Waiting > 0:
		r.event(after, nil, corev1.EventTypeNormal, string(p.Reason), actionReserve, "%s", is.Message)
	}
	tellStalled(r.Events, after, before.Status.Conditions, after.Status.Conditions)
}

// tellAdmitted announces that a pod's gate was opened.
func (r *SiteReconciler) tellAdmitted(pod *corev1.Pod, w *powerv1.GPUWorkload, p power.PodPlan) {
	r.event(w, podRef(pod), corev1.EventTypeNormal, eventAdmitted, actionAdmit, "Pod %s admitted with %v on %s", pod.Name, p.Watts, p.Budget)
	r.event(podRef(pod), w, corev1.EventTypeNormal, eventPowerAdmitted, actionAdmit, "Admitted with %v on budget %s", p.Watts, p.Budget)
}

// tellEvicted announces that a pod was evicted for power.
func (r *SiteReconciler) tellEvicted(pod *corev1.Pod, e power.Eviction) {
	r.event(podRef(pod), nil, corev1.EventTypeWarning, eventPowerEvicted, actionEvict,
		"Evicted: firm load on budget %s is %v over its limit and the workload is interruptible", e.Budget, e.Short)
}

func (r *SiteReconciler) event(about, related runtime.Object, kind, reason, action, note string, args ...any) {
	r.Events.Eventf(about, related, kind, reason, action, note, args...)
}

// recorder is the part of an events.EventRecorder that is used here.
type recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// tellStalled announces a spec error once, and its end.
func tellStalled(r recorder, o runtime.Object, before, after []metav1.Condition) {
	was, is := conditionOf(before, powerv1.ConditionStalled), conditionOf(after, powerv1.ConditionStalled)
	if is.Status == metav1.ConditionTrue && (was.Status != is.Status || was.Reason != is.Reason) {
		r.Eventf(o, nil, corev1.EventTypeWarning, is.Reason, actionCheck, "%s", is.Message)
	}
}

// tellChange announces that a condition got another status or reason; a bad one is a Warning.
func tellChange(r recorder, o runtime.Object, before, after []metav1.Condition, kind, action string, bad metav1.ConditionStatus) {
	was, is := conditionOf(before, kind), conditionOf(after, kind)
	if was.Status == is.Status && was.Reason == is.Reason {
		return
	}
	if was.Reason == "" && is.Status != bad {
		return // the first state is no news unless it is bad
	}
	level := corev1.EventTypeNormal
	if is.Status == bad {
		level = corev1.EventTypeWarning
	}
	r.Eventf(o, nil, level, is.Reason, action, "%s", shortened(is.Message))
}

// tellDevice announces that a device needs a person to look at it. It is told apart from the others by the field:
// repeats of one kind about the pool itself would be taken for one.
func tellDevice(r recorder, p *powerv1.MinerPool, address string, a ailment) {
	about := &corev1.ObjectReference{
		APIVersion: powerv1.GroupVersion.String(), Kind: "MinerPool", Namespace: p.Namespace, Name: p.Name, UID: p.UID,
		FieldPath: "spec.devices{" + address + "}",
	}
	r.Eventf(about, nil, corev1.EventTypeWarning, a.event, actionCommand, "Device %s %s", address, a.one)
}

// shortened keeps a note within what the API takes; all of it is in the condition.
func shortened(note string) string {
	const most = 1000
	if len(note) <= most {
		return note
	}
	return strings.ToValidUTF8(note[:most], "") + "..."
}

// tellLimit announces that the limit in force changed.
func tellLimit(r recorder, o *powerv1.PowerBudget, before, after powerv1.PowerBudgetStatus, by string) {
	if before.LimitWatts == nil || after.LimitWatts == nil || before.LimitWatts.Cmp(*after.LimitWatts) == 0 {
		return
	}
	r.Eventf(o, nil, corev1.EventTypeNormal, eventLimitChanged, actionLimit, "Limit in force is now %v (%s%s)",
		power.Watts(after.LimitWatts.Value()), after.LimitReason, by)
}

// tellUnclaimed announces that a pod's label names a GPUWorkload that does not exist.
func tellUnclaimed(r recorder, pod *corev1.Pod, name string) {
	r.Eventf(podRef(pod), nil, corev1.EventTypeWarning, eventWorkloadNotFound, actionClaim,
		"Label %s names GPUWorkload %q, which does not exist in namespace %s: create it, or delete the pod and leave the label out", powerv1.WorkloadLabel, name, pod.Namespace)
}

// tellClaimed announces that a GPUWorkload was made for an owner nobody had written one for.
func tellClaimed(r recorder, w *powerv1.GPUWorkload) {
	r.Eventf(w, nil, corev1.EventTypeNormal, eventClaimed, actionClaim, "Made for %s %s, whose pods wait for power", w.Spec.Owner.Kind, w.Spec.Owner.Name)
}
