package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

const (
	operatorName = "counterweight-operator"
	// stopsWithin is how long operators that were told to stop are awaited; one on a lost node is not.
	stopsWithin = time.Minute
	// settles is the longest a machine takes to do what its agent told it as its lease ended.
	settles = time.Minute
	// heeded is how long an API server may still act by a policy's binding that was deleted.
	heeded = 5 * time.Second
	// rounds is how often pods are looked through for gates, where each time some were left.
	rounds = 20
)

// leaving opens the gates that an operator which is being uninstalled leaves: nobody would later. It ends no
// pod and touches no budget. The operator stops first, so that it evicts nobody for the watts of pods that it
// did not admit; mining has shed to its floor before the first of them starts.
type leaving struct {
	client.Client
	namespace string
	sleep     func(context.Context, time.Duration) error
	say       func(format string, args ...any)
}

func (l *leaving) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{l.unbind, l.stopOperator, l.outlast, l.open} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unbind has no pod wait from now on: neither policy that asks for the gate is in force without its binding.
func (l *leaving) unbind(ctx context.Context) error {
	for _, o := range []client.Object{
		&admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: gate.PolicyGate}},
		&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: gate.PolicyGatePresent}},
	} {
		if err := l.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("taking policy %s out of force: %w", o.GetName(), err)
		}
	}
	l.say("new accelerator pods no longer wait for watts")
	return nil
}

func (l *leaving) stopOperator(ctx context.Context) error {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: operatorName}}
	none := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))
	err := l.SubResource("scale").Patch(ctx, deployment, none)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stopping the operator: %w", err)
	}
	for waited := time.Duration(0); waited < stopsWithin; waited += time.Second {
		running, err := l.operators(ctx)
		if err != nil {
			return err
		}
		if running == 0 {
			l.say("the operator stopped; mining pods run on")
			return nil
		}
		if err := l.sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	l.say("an operator pod is still there after %v, perhaps on a lost node; going on without it", stopsWithin)
	return nil
}

func (l *leaving) operators(ctx context.Context) (int, error) {
	var pods corev1.PodList
	err := l.List(ctx, &pods, client.InNamespace(l.namespace), client.MatchingLabels{
		"app.kubernetes.io/name": "counterweight", "app.kubernetes.io/component": "operator",
	})
	if err != nil {
		return 0, fmt.Errorf("looking for the operator's pods: %w", err)
	}
	return len(pods.Items), nil
}

// outlast waits until every lease has run out and its agent has shed, where pods would start into those watts.
func (l *leaving) outlast(ctx context.Context) error {
	gated, err := l.gated(ctx)
	if err != nil || len(gated) == 0 {
		return err
	}
	var pools powerv1.MinerPoolList
	var budgets powerv1.PowerBudgetList
	for _, list := range []client.ObjectList{&pools, &budgets} {
		if err := l.List(ctx, list); err != nil && !meta.IsNoMatchError(err) {
			return fmt.Errorf("listing %T: %w", list, err)
		}
	}
	if len(pools.Items) == 0 {
		return nil
	}
	longest := powerv1.DefaultLeaseSeconds
	for i := range budgets.Items {
		longest = max(longest, budgets.Items[i].Spec.LeaseSeconds)
	}
	wait := time.Duration(longest)*time.Second + settles
	l.say("%d pods wait at the gate; mining sheds to its floor as its leases end, within %v", len(gated), wait)
	return l.sleep(ctx, wait)
}

// open opens gates until none is left, also of pods that were made while the policies went.
func (l *leaving) open(ctx context.Context) error {
	opened := 0
	for range rounds {
		if err := l.sleep(ctx, heeded); err != nil {
			return err
		}
		gated, err := l.gated(ctx)
		if err != nil {
			return err
		}
		if len(gated) == 0 {
			l.say("opened the gates of %d pods; none is left", opened)
			return nil
		}
		n, err := l.openAll(ctx, gated)
		if err != nil {
			return err
		}
		opened += n
	}
	return fmt.Errorf("pods with closed gates are still being made: see what adds the gate %s", powerv1.Gate)
}

func (l *leaving) openAll(ctx context.Context, pods []corev1.Pod) (opened int, err error) {
	var failed []error
	for i := range pods {
		err := l.Patch(ctx, &pods[i], client.RawPatch(types.StrategicMergePatchType, gateOff(&pods[i])))
		switch {
		case err == nil:
			opened++
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or looked at again
		default:
			failed = append(failed, fmt.Errorf("opening the gate of pod %s: %w", client.ObjectKeyFromObject(&pods[i]), err))
		}
	}
	return opened, errors.Join(failed...)
}

// gateOff takes our gate off that very pod, and no other's.
func gateOff(pod *corev1.Pod) []byte {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
		"spec":     map[string]any{"schedulingGates": []any{map[string]any{"name": powerv1.Gate, "$patch": "delete"}}},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return patch
}

// gated lists the pods that wait at the gate, in pages: a cluster may have very many pods.
func (l *leaving) gated(ctx context.Context) ([]corev1.Pod, error) {
	var found []corev1.Pod
	for next := ""; ; {
		var page corev1.PodList
		if err := l.List(ctx, &page, client.Limit(500), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("looking for closed gates: %w", err)
		}
		for i := range page.Items {
			if gate.Gated(&page.Items[i]) {
				found = append(found, page.Items[i])
			}
		}
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
}
