package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// nameOf makes an object name of a test's name.
func nameOf(t *testing.T) string {
	name := strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
}

func limits(nameAndCount ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(nameAndCount); i += 2 {
		list[corev1.ResourceName(nameAndCount[i])] = resource.MustParse(nameAndCount[i+1])
	}
	return list
}

func container(name string, list corev1.ResourceList) corev1.Container {
	return corev1.Container{Name: name, Image: "none", Resources: corev1.ResourceRequirements{Limits: list}}
}

// gpuPod asks for eight GPUs; edits change it.
func gpuPod(namespace, name string, edits ...func(*corev1.Pod)) *corev1.Pod {
	return edited(&corev1.Pod{ObjectMeta: named(namespace, name), Spec: corev1.PodSpec{
		Containers: []corev1.Container{container("train", limits("nvidia.com/gpu", "8"))},
	}}, edits)
}

// cpuPod asks for no device.
func cpuPod(namespace, name string, edits ...func(*corev1.Pod)) *corev1.Pod {
	return edited(&corev1.Pod{ObjectMeta: named(namespace, name), Spec: corev1.PodSpec{
		Containers: []corev1.Container{container("serve", nil)},
	}}, edits)
}

func edited(pod *corev1.Pod, edits []func(*corev1.Pod)) *corev1.Pod {
	for _, edit := range edits {
		edit(pod)
	}
	return pod
}

func admittedWith(watts string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{powerv1.AdmittedAnnotation: watts}
	}
}

func onNode(pod *corev1.Pod) { pod.Spec.NodeName = node }

func withGates(names ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for _, name := range names {
			pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
		}
	}
}

// create creates a copy, so that a spec can be used again, and returns what the API server made of it.
func create(t *testing.T, c client.Client, pod *corev1.Pod, options ...client.CreateOption) *corev1.Pod {
	t.Helper()
	made := pod.DeepCopy()
	if err := c.Create(t.Context(), made, options...); err != nil {
		t.Fatalf("creating pod %s: %v", pod.Name, err)
	}
	return made
}

// read returns the pod as it is now.
func (c *cluster) read(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	now := &corev1.Pod{}
	if err := c.admin.Get(t.Context(), client.ObjectKeyFromObject(pod), now); err != nil {
		t.Fatalf("reading pod %s: %v", pod.Name, err)
	}
	return now
}

func (c *cluster) open(ctx context.Context, pod *corev1.Pod, watts int64, selector map[string]string) error {
	patch, kind := gate.OpenPatch(pod.UID, pod.ResourceVersion, watts, selector)
	return c.operator.Patch(ctx, pod.DeepCopy(), client.RawPatch(kind, patch))
}

// refusedBy says why err is not the refusal of a policy; one of ours goes by its name up to the first dot.
func refusedBy(err error, policy string) error {
	if !strings.Contains(policy, ".") {
		policy += ".power.counterweight.dev"
	}
	if err == nil {
		return fmt.Errorf("was let through, want a refusal by %s", policy)
	}
	if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
		return fmt.Errorf("want a refusal by %s, got: %w", policy, err)
	}
	if !strings.Contains(err.Error(), "'"+policy+"'") {
		return fmt.Errorf("want a refusal by %s, got: %w", policy, err)
	}
	return nil
}

func wantRefusedBy(t *testing.T, err error, policy string) {
	t.Helper()
	if problem := refusedBy(err, policy); problem != nil {
		t.Error(problem)
	}
}

func wantGated(t *testing.T, pod *corev1.Pod, want bool) {
	t.Helper()
	if got := gate.Gated(pod); got != want {
		t.Errorf("pod %s/%s gated = %v, want %v (gates %v)", pod.Namespace, pod.Name, got, want, pod.Spec.SchedulingGates)
	}
}

// waitForPolicies tries each policy, by dry runs, until it is in force, and waits for the roles to be
// aggregated.
func (c *cluster) waitForPolicies(ctx context.Context) error {
	unmanaged := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other", Labels: map[string]string{
		powerv1.AdmissionLabel: "wrong",
	}}}
	checks := []func(context.Context) error{
		func(ctx context.Context) error {
			pod := gpuPod(red, "probe")
			if err := c.tenant.Create(ctx, pod, client.DryRunAll); err != nil {
				return err
			}
			if !gate.Gated(pod) {
				return fmt.Errorf("pod was not gated")
			}
			return nil
		},
		func(ctx context.Context) error {
			return refusedBy(c.tenant.Create(ctx, gpuPod(red, "probe", onNode), client.DryRunAll), "gate-present")
		},
		func(ctx context.Context) error {
			return refusedBy(c.tenant.Create(ctx, cpuPod(green, "probe", admittedWith("1")), client.DryRunAll), "gate-kept")
		},
		func(ctx context.Context) error {
			return refusedBy(c.admin.Create(ctx, unmanaged.DeepCopy(), client.DryRunAll), "enrolment")
		},
		func(ctx context.Context) error {
			ahead := workload(red, "probe")
			ahead.Spec.Priority = new(int32(1))
			return refusedBy(c.tenant.Create(ctx, ahead, client.DryRunAll), "priority")
		},
	}
	for _, check := range checks {
		if err := eventually(ctx, check); err != nil {
			return fmt.Errorf("waiting for the policies: %w", err)
		}
	}
	return nil
}

func workload(namespace, name string) *powerv1.GPUWorkload {
	return &powerv1.GPUWorkload{ObjectMeta: named(namespace, name), Spec: powerv1.GPUWorkloadSpec{
		Class:    powerv1.ClassTraining,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
	}}
}
