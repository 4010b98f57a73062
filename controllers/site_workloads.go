package controllers

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// workloadFacts is one GPUWorkload with what was found of it.
type workloadFacts struct {
	object   *powerv1.GPUWorkload // shared with the cache: read only
	rank     int                  // by age
	selector labels.Selector      // nil where pods are chosen by owner
	stalled  *fault
	pods     []*corev1.Pod
	endedAt  map[types.UID]metav1.Time
	// ungated are its pods that never were at the gate (L8).
	ungated int
	// lost are its pods that are gone and whose nodes are not heard, ending those whose nodes have yet to end them.
	lost, ending []string
	power        power.Workload
}

// fault is a spec error: a reason and a sentence that names the field and the mend.
type fault struct{ reason, message string }

// workloadsOf matches pods to workloads and enters each pod in its phase. Accelerator pods that belong to
// nobody and are not gated are strays (L8).
func (r *SiteReconciler) workloadsOf(ctx context.Context, s *snapshot) error {
	s.workloads = make([]workloadFacts, len(s.claims))
	m := newMatcher(s)
	for _, pod := range s.pods {
		_, admitted := gate.Admitted(pod)
		if !admitted && !gate.Gated(pod) && !r.Table.IsAccelerated(&pod.Spec) {
			continue
		}
		w, err := m.of(ctx, r, pod)
		if err != nil {
			return err
		}
		r.enter(s, w, pod)
	}
	for i := range s.workloads {
		w := &s.workloads[i]
		r.enterGone(s, w)
		s.finish(w)
		s.site.Workloads = append(s.site.Workloads, w.power)
	}
	return nil
}

// enter puts one pod into its workload, or among the strays.
func (r *SiteReconciler) enter(s *snapshot, w *workloadFacts, pod *corev1.Pod) {
	watts, admitted := gate.Admitted(pod)
	reserved := reservationOf(w, pod.UID)
	p := power.Pod{
		UID: string(pod.UID), Name: pod.Name, Node: pod.Spec.NodeName,
		Created: pod.CreationTimestamp.Time, Grace: graceOf(pod), Ask: asked(r.Table, pod), Selector: pod.Spec.NodeSelector,
	}
	p.Watts = power.Watts(watts)
	if !admitted {
		p.Watts = r.claim(s, w, pod, reserved)
	}
	switch {
	case reserved != nil:
		p.Budget = reserved.Budget
	case admitted:
		p.Budget = s.budgetOf(pod) // its reservation was lost; the annotation is the record (L6)
	}
	p.Phase = phaseOf(pod, reserved != nil)
	if p.Phase == power.Releasing {
		if reserved == nil {
			return // ended, and nothing is held for it
		}
		r.release(s, w, &p, reserved)
	}
	// Without a budget it was neither reserved nor admitted: it never was at the gate (L8).
	if p.Phase == power.Admitted && (w == nil || p.Budget == "") {
		s.site.Strays = append(s.site.Strays, p)
		w.sawUngated()
		return
	}
	w.take(pod, p)
}

// take enters a pod into its workload, where it has one.
func (w *workloadFacts) take(pod *corev1.Pod, p power.Pod) {
	if w != nil {
		w.pods = append(w.pods, pod)
		w.power.Pods = append(w.power.Pods, p)
	}
}

// budgetOf is the budget of the node a pod is bound to, or that it was pinned to when it was admitted; a root where
// neither is known.
func (s *snapshot) budgetOf(pod *corev1.Pod) string {
	for i := range s.site.Nodes {
		if n := &s.site.Nodes[i]; n.Name == pod.Spec.NodeName && n.Budget != "" {
			return n.Budget
		}
	}
	if pinned := feeder(s.site.Budgets, pod.Spec.NodeSelector); pinned != "" {
		return pinned
	}
	for i := range s.budgets {
		if s.budgets[i].Spec.Parent == "" {
			return s.budgets[i].Name
		}
	}
	return ""
}

// sawUngated counts a pod that never was at the gate, where it has a workload that can say so.
func (w *workloadFacts) sawUngated() {
	if w != nil {
		w.ungated++
	}
}

// phaseOf is how far a pod is in the ledger.
func phaseOf(pod *corev1.Pod, reserved bool) power.Phase {
	switch {
	case ended(pod):
		return power.Releasing
	case !gate.Gated(pod):
		return power.Admitted
	case reserved:
		return power.Reserved
	}
	return power.Gated
}

// claim is what a pod not admitted yet counts: what is reserved for it, else what it will be counted at.
func (r *SiteReconciler) claim(s *snapshot, w *workloadFacts, pod *corev1.Pod, reserved *powerv1.Reservation) power.Watts {
	switch {
	case w == nil:
		return claim(r.Table, nil, false, pod)
	case reserved != nil:
		return power.Watts(reserved.Watts.Value())
	}
	// One that went round the gate may be in any hall, whatever its workload's trusts (L8).
	trusted := gate.Gated(pod) && declaredTrusted(s, w.object.Spec.Budget)
	return claim(r.Table, &w.object.Spec, trusted, pod)
}

// declaredTrusted tells whether every budget that a claim on the named one may be placed on takes claims
// as they are: it, and those below it.
func declaredTrusted(s *snapshot, name string) bool {
	byName := map[string]*powerv1.PowerBudget{}
	for i := range s.budgets {
		byName[s.budgets[i].Name] = &s.budgets[i]
	}
	if byName[name] == nil {
		return false
	}
	for _, b := range byName {
		if isUnder(byName, b, name) && b.Spec.DeclaredWatts != powerv1.DeclaredTrusted {
			return false
		}
	}
	return true
}

func isUnder(byName map[string]*powerv1.PowerBudget, b *powerv1.PowerBudget, name string) bool {
	for range byName {
		if b == nil || b.Name == name {
			break
		}
		b = byName[b.Spec.Parent]
	}
	return b != nil && b.Name == name
}

func reservationOf(w *workloadFacts, uid types.UID) *powerv1.Reservation {
	if w == nil {
		return nil
	}
	for i := range w.object.Status.Reservations {
		if w.object.Status.Reservations[i].UID == uid {
			return &w.object.Status.Reservations[i]
		}
	}
	return nil
}

// release gives an ended pod the time at which its watts are let go.
func (r *SiteReconciler) release(s *snapshot, w *workloadFacts, p *power.Pod, reserved *powerv1.Reservation) {
	at := metav1.NewTime(s.now.Truncate(time.Second))
	if reserved.EndedAt != nil {
		at = *reserved.EndedAt
	}
	w.endedAt[reserved.UID] = at
	delay := powerv1.Or(w.object.Spec.ReleaseDelaySeconds, powerv1.DefaultReleaseDelaySeconds)
	p.Until = at.Add(time.Duration(delay) * time.Second)
}

// finish fills in what the decision needs to know of a workload as a whole.
func (s *snapshot) finish(w *workloadFacts) {
	spec := &w.object.Spec
	p := &w.power
	p.Key = client.ObjectKeyFromObject(w.object).String()
	p.Budget, p.Priority = spec.Budget, int(powerv1.Or(spec.Priority, 0))
	p.Created = w.object.CreationTimestamp.Time
	p.MinPods = int(powerv1.OrZero(spec.MinPods, powerv1.DefaultMinPods))
	p.Interruptible = spec.Interruptible == powerv1.InterruptibleWhenShort
	if n := powerv1.Or(spec.StandbyPods, 0); n > 0 && len(p.Pods) > 0 {
		p.Standby = power.Watts(n) * p.Pods[0].Watts
	}
	switch {
	case w.stalled != nil:
		p.Halted = w.stalled.message
	case w.object.DeletionTimestamp != nil:
		p.Halted = "the GPUWorkload is being deleted; pods that wait get another"
	case !hasFinalizer(w.object):
		p.Halted = "the GPUWorkload is being taken into the ledger"
	}
	if w.stalled == nil && p.MinPods > 1 {
		s.orderedReady(w)
	}
	sort.SliceStable(p.Pods, func(a, b int) bool { return p.Pods[a].UID < p.Pods[b].UID })
}

// orderedReady stalls a gang on a StatefulSet that shows the gate one pod at a time: it would never be
// whole. Such a set's pods come with numbers and without more than one at the gate.
func (s *snapshot) orderedReady(w *workloadFacts) {
	for _, pod := range w.pods {
		ref := metav1.GetControllerOf(pod)
		if ref == nil || ref.Kind != "StatefulSet" || !s.ordered[ref.UID] {
			continue
		}
		w.stalled = &fault{powerv1.ReasonOrderedReady, fmt.Sprintf(
			"spec.minPods is %d, and StatefulSet %s has podManagementPolicy OrderedReady, which makes one pod at a time; set it to Parallel, or minPods to 1",
			w.power.MinPods, ref.Name)}
		w.power.Halted = w.stalled.message
		return
	}
}

func hasFinalizer(o client.Object) bool {
	return slices.Contains(o.GetFinalizers(), powerv1.LedgerFinalizer)
}
