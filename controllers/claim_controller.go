package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// ClaimReconciler makes a GPUWorkload for the controlling owner of a gated pod that has none. It spends
// no watts.
type ClaimReconciler struct {
	client.Client
	Events recorder
}

// Reconcile looks at one gated pod.
func (r *ClaimReconciler) Reconcile(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	if !gate.Gated(pod) || pod.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if name := pod.Labels[powerv1.WorkloadLabel]; name != "" {
		return r.named(ctx, pod, name)
	}
	var claims powerv1.GPUWorkloadList
	if err := r.List(ctx, &claims, client.InNamespace(pod.Namespace), client.UnsafeDisableDeepCopyOption(true)); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing GPU workloads: %w", err)
	}
	owner, err := rootOwner(ctx, r.Client, pod)
	if err != nil {
		return reconcile.Result{}, err
	}
	s := &snapshot{lists: &lists{claims: claims.Items}, workloads: make([]workloadFacts, len(claims.Items))}
	w, err := newMatcher(s).of(ctx, r.Client, pod)
	if err != nil || w != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.create(ctx, pod.Namespace, owner)
}

// named tells a pod that its label names no GPUWorkload: it would wait for ever without a word.
func (r *ClaimReconciler) named(ctx context.Context, pod *corev1.Pod, name string) (reconcile.Result, error) {
	err := r.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, &powerv1.GPUWorkload{})
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, wrap(err, "reading GPUWorkload "+name)
	}
	tellUnclaimed(r.Events, pod, name)
	return reconcile.Result{RequeueAfter: recheck}, nil
}

// create makes the claim. Its ownerReference names no controller and does not block the owner's deletion:
// the owner is somebody else's.
func (r *ClaimReconciler) create(ctx context.Context, namespace string, owner powerv1.WorkloadOwner) error {
	w := &powerv1.GPUWorkload{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: claimName(owner), Finalizers: []string{powerv1.LedgerFinalizer},
			Labels: map[string]string{managedLabel: productName},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID,
			}},
		},
		Spec: powerv1.GPUWorkloadSpec{Class: classOf(owner), Owner: &owner},
	}
	err := r.Create(ctx, w)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making GPUWorkload %s/%s for %s %s: %w", namespace, w.Name, owner.Kind, owner.Name, err)
	}
	log.FromContext(ctx).Info("Made a GPUWorkload", "name", w.Name, "ownerKind", owner.Kind, "owner", owner.Name)
	tellClaimed(r.Events, w)
	return nil
}

// SetupWithManager watches gated pods, and claims that go while their pods still wait.
func (r *ClaimReconciler) SetupWithManager(mgr ctrl.Manager) error {
	gated := predicate.NewPredicateFuncs(func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && gate.Gated(pod)
	})
	err := ctrl.NewControllerManagedBy(mgr).Named("claim").
		For(&corev1.Pod{}, builder.WithPredicates(gated)).
		Watches(&powerv1.GPUWorkload{}, handler.EnqueueRequestsFromMapFunc(r.waiting), builder.WithPredicates(letsGo)).
		WithOptions(controller.Options{EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return fmt.Errorf("setting up the claim controller: %w", err)
	}
	return nil
}

// letsGo passes what may leave gated pods without their claim: an edit of its spec, and its end. Its status
// is written for every hand-over, and looking at all pods then would cost more than the hand-over itself.
var letsGo = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false },
	UpdateFunc: predicate.GenerationChangedPredicate{}.Update,
}

// waiting is the gated pods beside a claim that changed: one of them may have lost it.
func (r *ClaimReconciler) waiting(ctx context.Context, o client.Object) []reconcile.Request {
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.InNamespace(o.GetNamespace()), client.UnsafeDisableDeepCopyOption(true)); err != nil {
		log.FromContext(ctx).Error(err, "Listing pods beside a GPUWorkload")
		return nil
	}
	var out []reconcile.Request
	for i := range pods.Items {
		if gate.Gated(&pods.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pods.Items[i])})
		}
	}
	return out
}
