package controllers

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// parallel bounds the API writes in flight.
const parallel = 16

// writeWorkloads writes every workload's reservations and status, and opens the gates of pods whose
// reservation is written (L6). One workload that fails does not stop the others.
func (r *SiteReconciler) writeWorkloads(ctx context.Context, s *snapshot, plan power.Plan) error {
	if reserves(plan) {
		// Confirm after see (L7): these objects were seen before this read began.
		if _, err := r.Leader.Read(ctx); err != nil {
			return errors.Join(err, r.reportOnly(ctx, s, plan))
		}
	}
	errs := make([]error, len(s.workloads))
	r.each(len(s.workloads), func(i int) {
		errs[i] = r.writeWorkload(ctx, s, &s.workloads[i], &plan.Workloads[i], true)
	})
	for _, e := range plan.Evictions {
		if err := r.evict(ctx, s, e); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// reserves tells whether a plan promises watts that were not promised before.
func reserves(plan power.Plan) bool {
	for i := range plan.Workloads {
		for n := range plan.Workloads[i].Pods {
			if plan.Workloads[i].Pods[n].New {
				return true
			}
		}
	}
	return false
}

// reportOnly writes status and neither reserves nor admits.
func (r *SiteReconciler) reportOnly(ctx context.Context, s *snapshot, plan power.Plan) error {
	var errs []error
	for i := range s.workloads {
		p := plan.Workloads[i]
		kept := p.Pods[:0:0]
		for _, pod := range p.Pods {
			if !pod.New {
				pod.Open = false
				kept = append(kept, pod)
			}
		}
		p.Pods = kept
		errs = append(errs, r.writeWorkload(ctx, s, &s.workloads[i], &p, false))
	}
	return errors.Join(errs...)
}

func (r *SiteReconciler) writeWorkload(ctx context.Context, s *snapshot, w *workloadFacts, p *power.WorkloadPlan, open bool) error {
	key := client.ObjectKeyFromObject(w.object)
	if w.object.DeletionTimestamp == nil && !hasFinalizer(w.object) {
		_, err := setFinalizer(ctx, r.Client, w.object, true)
		return err
	}
	next := w.object
	if status := workloadStatus(w, p, int64(r.epoch)); !sameStatus(&w.object.Status, status) {
		next = w.object.DeepCopy()
		next.Status = *status
		// Update carries the resourceVersion of the object that was decided on (L6).
		if err := r.Status().Update(ctx, next); err != nil {
			return ignoreRace(err, "writing the status of GPUWorkload %s", key)
		}
		r.tellWorkload(w.object, next, p)
	}
	if w.object.DeletionTimestamp != nil && len(next.Status.Reservations) == 0 {
		_, err := setFinalizer(ctx, r.Client, next, false)
		return err
	}
	if !open {
		return nil
	}
	return r.openGates(ctx, s, p, next)
}

// openGates takes the gate off every pod of the plan that has its reservation written.
func (r *SiteReconciler) openGates(ctx context.Context, s *snapshot, p *power.WorkloadPlan, w *powerv1.GPUWorkload) error {
	var due []power.PodPlan
	for _, pod := range p.Pods {
		if pod.Open {
			due = append(due, pod)
		}
	}
	errs := make([]error, len(due))
	r.each(len(due), func(i int) {
		pod := s.podByUID[types.UID(due[i].UID)]
		if pod != nil && gate.Gated(pod) {
			errs[i] = r.openGate(ctx, pod, w, due[i], s.pin(due[i].Budget))
		}
	})
	return errors.Join(errs...)
}

// pin is the node selector that keeps a pod on a budget's nodes.
func (s *snapshot) pin(budget string) map[string]string {
	for i := range s.site.Budgets {
		if s.site.Budgets[i].Name == budget {
			return s.site.Budgets[i].Pin
		}
	}
	return nil
}

// each makes n writes, several at once.
func (r *SiteReconciler) each(n int, write func(i int)) {
	if r.inTurn {
		for i := range n {
			write(i)
		}
		return
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range n {
		g.Go(func() error {
			write(i)
			return nil
		})
	}
	_ = g.Wait() // no write answers an error here
}

func (r *SiteReconciler) openGate(ctx context.Context, pod *corev1.Pod, w *powerv1.GPUWorkload, p power.PodPlan, pin map[string]string) error {
	data, kind := gate.OpenPatch(pod.UID, pod.ResourceVersion, int64(p.Watts), pin)
	err := r.Patch(ctx, pod.DeepCopy(), client.RawPatch(kind, data))
	if err != nil {
		return ignoreRace(err, "opening the gate of pod %s/%s", pod.Namespace, pod.Name)
	}
	r.handovers.opened(pod, client.ObjectKeyFromObject(w).String(), r.Clock())
	podsAdmitted.WithLabelValues().Inc()
	r.tellAdmitted(pod, w, p)
	return nil
}

// evict asks the API server to evict one pod; a disruption budget may refuse, and the shortfall stays.
func (r *SiteReconciler) evict(ctx context.Context, s *snapshot, e power.Eviction) error {
	pod := s.podByUID[types.UID(e.UID)]
	if pod == nil || pod.DeletionTimestamp != nil {
		return nil
	}
	uid := pod.UID
	eviction := &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}}
	err := r.SubResource("eviction").Create(ctx, pod.DeepCopy(), eviction)
	if apierrors.IsTooManyRequests(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("evicting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	podsEvicted.WithLabelValues().Inc()
	r.tellEvicted(pod, e)
	return nil
}

// setFinalizer puts the ledger's finalizer on an object or takes it off (L9), and tells whether it had to.
func setFinalizer(ctx context.Context, c client.Client, o client.Object, on bool) (changed bool, err error) {
	next, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return false, fmt.Errorf("%T is no API object", o)
	}
	if on {
		changed = controllerutil.AddFinalizer(next, powerv1.LedgerFinalizer)
	} else {
		changed = controllerutil.RemoveFinalizer(next, powerv1.LedgerFinalizer)
	}
	if !changed {
		return false, nil
	}
	patch := client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})
	if err := c.Patch(ctx, next, patch); err != nil {
		return true, ignoreRace(err, "setting the finalizer of %T %s", o, client.ObjectKeyFromObject(o))
	}
	return true, nil
}

// ignoreRace drops the errors of objects that changed or went since the snapshot: the next pass, which
// their change has asked for, starts from what is.
func ignoreRace(err error, format string, args ...any) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
