package gate_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

var hallOne = map[string]string{"hall": "one"}

func TestOpenPatchLetsAPodIn(t *testing.T) {
	c := startCluster(t)
	pod := create(t, c.tenant, gpuPod(red, "let-in", func(p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{"zone": "a"}
		p.Annotations = map[string]string{"team": "research"}
	}))
	wantGated(t, pod, true)
	if err := c.open(t.Context(), pod, 10200, hallOne); err != nil {
		t.Fatal(err)
	}
	now := c.read(t, pod)
	wantGated(t, now, false)
	if watts, ok := gate.Admitted(now); watts != 10200 || !ok {
		t.Errorf("admitted = %d, %v, want 10200", watts, ok)
	}
	if s := now.Spec.NodeSelector; len(s) != 2 || s["hall"] != "one" || s["zone"] != "a" {
		t.Errorf("nodeSelector = %v, want the budget's added to the pod's own", s)
	}
	if now.Annotations["team"] != "research" {
		t.Errorf("annotations = %v, want the pod's own kept", now.Annotations)
	}
}

func TestOpenPatchLeavesForeignGates(t *testing.T) {
	c := startCluster(t)
	const kueue = "kueue.x-k8s.io/admission"
	pod := create(t, c.tenant, gpuPod(red, "two-gates", withGates(kueue)))
	if len(pod.Spec.SchedulingGates) != 2 {
		t.Fatalf("gates = %v, want ours beside the pod's own", pod.Spec.SchedulingGates)
	}
	if err := c.open(t.Context(), pod, 10200, hallOne); err != nil {
		t.Fatal(err)
	}
	if gates := c.read(t, pod).Spec.SchedulingGates; len(gates) != 1 || gates[0].Name != kueue {
		t.Errorf("gates = %v, want %s alone", gates, kueue)
	}
}

func TestOpenPatchIsRefusedWhole(t *testing.T) {
	c := startCluster(t)
	tests := map[string]struct {
		change func(t *testing.T, pod *corev1.Pod)
		patch  func(pod *corev1.Pod) *corev1.Pod
		want   func(error) bool
	}{
		"wrong uid": {
			patch: func(pod *corev1.Pod) *corev1.Pod { pod.UID = "00000000-0000-0000-0000-000000000000"; return pod },
			want:  apierrors.IsInvalid,
		},
		"stale resourceVersion": {
			change: func(t *testing.T, pod *corev1.Pod) { c.label(t, pod, "touched") },
			want:   apierrors.IsConflict,
		},
		"clash with the pod's own nodeSelector": {
			change: func(t *testing.T, pod *corev1.Pod) {
				patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"nodeSelector":{"hall":"two"}}}`))
				if err := c.tenant.Patch(t.Context(), pod, patch); err != nil {
					t.Fatal(err)
				}
			},
			patch: func(pod *corev1.Pod) *corev1.Pod { return c.read(t, pod) },
			want:  apierrors.IsInvalid,
		},
		"created anew under the same name": {
			change: func(t *testing.T, pod *corev1.Pod) { c.recreate(t, pod) },
			want:   func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsInvalid(err) },
		},
		"created anew under the same name, resourceVersion up to date": {
			change: func(t *testing.T, pod *corev1.Pod) { c.recreate(t, pod) },
			patch: func(pod *corev1.Pod) *corev1.Pod {
				old := pod.UID
				pod = c.read(t, pod)
				pod.UID = old
				return pod
			},
			want: apierrors.IsInvalid,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := create(t, c.tenant, gpuPod(blue, nameOf(t)))
			if test.change != nil {
				test.change(t, seen.DeepCopy())
			}
			target := seen.DeepCopy()
			if test.patch != nil {
				target = test.patch(target)
			}
			if err := c.open(t.Context(), target, 10200, hallOne); !test.want(err) {
				t.Errorf("got %v", err)
			}
			now := c.read(t, seen)
			wantGated(t, now, true)
			if _, ok := gate.Admitted(now); ok {
				t.Error("the pod carries watts")
			}
		})
	}
}

// label changes a label of the pod as its tenant.
func (c *cluster) label(t *testing.T, pod *corev1.Pod, value string) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"test":"`+value+`"}}}`))
	if err := c.tenant.Patch(t.Context(), pod, patch); err != nil {
		t.Fatal(err)
	}
}

// recreate deletes a pod and creates another one of the same name.
func (c *cluster) recreate(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := c.tenant.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	create(t, c.tenant, gpuPod(pod.Namespace, pod.Name))
}
