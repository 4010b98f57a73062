package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// worstWrite is the longest that a write begun under a lease may take effect after the lease ended.
const worstWrite = 60 * time.Second

// AgentPodReconciler lets agent pods go: two agents never command one address (L9), so a deleted agent
// pod is kept until it has ended, or until its node is lost and everything it may act on has run out.
type AgentPodReconciler struct {
	client.Client
	Clock     func() time.Time
	Heartbeat func(ctx context.Context, node string) (renewal, error)
}

// Reconcile looks at one agent pod.
func (r *AgentPodReconciler) Reconcile(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	if pod.DeletionTimestamp == nil || !ofStatefulSet(pod) || !hasFinalizer(pod) {
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
	log.FromContext(ctx).Info("Letting an agent pod go with its lost node", "pod", client.ObjectKeyFromObject(pod).String(), "node", pod.Spec.NodeName)
	if _, err := setFinalizer(ctx, r.Client, pod, false); err != nil {
		return reconcile.Result{}, err
	}
	uid := pod.UID
	err = r.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("force-deleting agent pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return reconcile.Result{}, nil
}

// ofStatefulSet tells whether a StatefulSet made the pod: labels alone prove nothing.
func ofStatefulSet(pod *corev1.Pod) bool {
	ref := metav1.GetControllerOf(pod)
	return ref != nil && ref.Kind == "StatefulSet"
}

// lostFor is how long to wait until the pod's node has been silent past every lease and write it can have
// had; the node may also come back and end the pod.
func (r *AgentPodReconciler) lostFor(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	heard, err := r.Heartbeat(ctx, pod.Spec.NodeName)
	beat := heard.at
	if apierrors.IsNotFound(err) {
		beat, err = pod.DeletionTimestamp.Time, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the heartbeat of node %s: %w", pod.Spec.NodeName, err)
	}
	lease, err := r.leaseOf(ctx, pod)
	if err != nil {
		return 0, err
	}
	if deleted := pod.DeletionTimestamp.Time; deleted.After(beat) {
		beat = deleted // it could be leased watts until then
	}
	return max(0, beat.Add(LeaseDuration+lease+worstWrite).Sub(r.Clock())), nil
}

func (r *AgentPodReconciler) leaseOf(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	var pool powerv1.MinerPool
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[powerv1.PoolLabel]}
	if err := r.Get(ctx, key, &pool); err != nil {
		if apierrors.IsNotFound(err) {
			return leaseOf(nil), nil
		}
		return 0, fmt.Errorf("reading MinerPool %s: %w", key, err)
	}
	var budget powerv1.PowerBudget
	if err := r.Get(ctx, types.NamespacedName{Name: pool.Spec.Budget}, &budget); err != nil {
		if apierrors.IsNotFound(err) {
			return leaseOf(nil), nil
		}
		return 0, fmt.Errorf("reading PowerBudget %s: %w", pool.Spec.Budget, err)
	}
	return leaseOf(&budget), nil
}

// SetupWithManager watches agent pods that are being deleted.
func (r *AgentPodReconciler) SetupWithManager(mgr ctrl.Manager) error {
	leaving := predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetLabels()[componentLabel] == agentComponent && o.GetDeletionTimestamp() != nil
	})
	err := ctrl.NewControllerManagedBy(mgr).Named("agentpod").
		For(&corev1.Pod{}, builder.WithPredicates(leaving)).
		WithOptions(controller.Options{EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return fmt.Errorf("setting up the agent pod controller: %w", err)
	}
	return nil
}
