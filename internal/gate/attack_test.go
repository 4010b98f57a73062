package gate_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

func jsonPatch(text string) client.Patch  { return client.RawPatch(types.JSONPatchType, []byte(text)) }
func mergePatch(text string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(text)) }
func strategicPatch(text string) client.Patch {
	return client.RawPatch(types.StrategicMergePatchType, []byte(text))
}

const (
	dropGate      = `{"spec":{"schedulingGates":[{"name":"power.counterweight.dev/watts","$patch":"delete"}]}}`
	writeAdmitted = `{"metadata":{"annotations":{"power.counterweight.dev/admitted":"1"}}}`
	dropAdmitted  = `{"metadata":{"annotations":{"power.counterweight.dev/admitted":null}}}`
	writeWorkload = `{"metadata":{"labels":{"power.counterweight.dev/workload":"other"}}}`
	dropWorkload  = `{"metadata":{"labels":{"power.counterweight.dev/workload":null}}}`
)

func inWorkload(name string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Labels = map[string]string{powerv1.WorkloadLabel: name} }
}

func TestATenantCannotTouchWhatIsOurs(t *testing.T) {
	c := startCluster(t)
	patch := func(p client.Patch) func(context.Context, client.Client, *corev1.Pod) error {
		return func(ctx context.Context, tenant client.Client, pod *corev1.Pod) error {
			return tenant.Patch(ctx, pod, p)
		}
	}
	tests := map[string]func(ctx context.Context, tenant client.Client, pod *corev1.Pod) error{
		"gate by JSON patch":         patch(jsonPatch(`[{"op":"remove","path":"/spec/schedulingGates/0"}]`)),
		"gates by JSON patch":        patch(jsonPatch(`[{"op":"remove","path":"/spec/schedulingGates"}]`)),
		"gate by merge patch":        patch(mergePatch(`{"spec":{"schedulingGates":[]}}`)),
		"gate by null":               patch(mergePatch(`{"spec":{"schedulingGates":null}}`)),
		"gate by strategic patch":    patch(strategicPatch(dropGate)),
		"workload label changed":     patch(mergePatch(writeWorkload)),
		"workload label removed":     patch(mergePatch(dropWorkload)),
		"admitted annotation added":  patch(mergePatch(writeAdmitted)),
		"admitted, empty":            patch(mergePatch(`{"metadata":{"annotations":{"power.counterweight.dev/admitted":""}}}`)),
		"admitted, by JSON patch":    patch(jsonPatch(`[{"op":"add","path":"/metadata/annotations","value":{"power.counterweight.dev/admitted":"9"}}]`)),
		"everything in one go":       patch(strategicPatch(`{"metadata":{"annotations":{"power.counterweight.dev/admitted":"1"}},` + dropGate[1:])),
		"gate with a nodeSelector":   patch(strategicPatch(`{"spec":{"nodeSelector":{"a":"b"},"schedulingGates":[{"name":"power.counterweight.dev/watts","$patch":"delete"}]}}`)),
		"gate swapped for a foreign": patch(jsonPatch(`[{"op":"replace","path":"/spec/schedulingGates/0/name","value":"a.b/c"}]`)),
		"the operator's own patch": func(ctx context.Context, tenant client.Client, pod *corev1.Pod) error {
			data, kind := gate.OpenPatch(pod.UID, pod.ResourceVersion, 1, nil)
			return tenant.Patch(ctx, pod, client.RawPatch(kind, data))
		},
		"replace": func(ctx context.Context, tenant client.Client, pod *corev1.Pod) error {
			pod.Spec.SchedulingGates = nil
			return tenant.Update(ctx, pod)
		},
	}
	for name, attack := range tests {
		t.Run(name, func(t *testing.T) {
			before := create(t, c.tenant, gpuPod(red, nameOf(t), inWorkload("mine")))
			err := attack(t.Context(), c.tenant, before.DeepCopy())
			// Another gate in place of ours is refused by the API server itself: gates can only go.
			if name != "gate swapped for a foreign" || !apierrors.IsInvalid(err) {
				wantRefusedBy(t, err, "gate-kept")
			}
			now := c.read(t, before)
			wantGated(t, now, true)
			if now.ResourceVersion != before.ResourceVersion {
				t.Error("the pod has changed")
			}
		})
	}
}

// An applier that owns the gate, because it sent it itself, may drop it by leaving it out.
func TestATenantCannotApplyTheGateAway(t *testing.T) {
	c := startCluster(t)
	apply := func(gates ...string) error {
		s := corev1ac.PodSpec().WithContainers(corev1ac.Container().WithName("c").WithImage("none").
			WithResources(corev1ac.ResourceRequirements().WithLimits(limits("nvidia.com/gpu", "1"))))
		for _, g := range gates {
			s.WithSchedulingGates(corev1ac.PodSchedulingGate().WithName(g))
		}
		return c.tenant.Apply(t.Context(), corev1ac.Pod("applied", red).WithSpec(s), client.FieldOwner("tenant"), client.ForceOwnership)
	}
	if err := apply(powerv1.Gate); err != nil {
		t.Fatal(err)
	}
	wantRefusedBy(t, apply(), "gate-kept")
	wantGated(t, c.read(t, &corev1.Pod{ObjectMeta: named(red, "applied")}), true)
}

// A bare pod that is applied twice does not lose the gate that the policy added: the applier does not own it.
func TestApplyingABarePodAgainKeepsTheGate(t *testing.T) {
	c := startCluster(t)
	for range 2 {
		s := corev1ac.PodSpec().WithContainers(corev1ac.Container().WithName("c").WithImage("none").
			WithResources(corev1ac.ResourceRequirements().WithLimits(limits("nvidia.com/gpu", "1"))))
		if err := c.tenant.Apply(t.Context(), corev1ac.Pod("bare", red).WithSpec(s), client.FieldOwner("tenant")); err != nil {
			t.Fatal(err)
		}
		wantGated(t, c.read(t, &corev1.Pod{ObjectMeta: named(red, "bare")}), true)
	}
}

func TestReplacingAPodByForceMakesAGatedOne(t *testing.T) {
	c := startCluster(t)
	old := create(t, c.tenant, gpuPod(red, "forced"))
	c.recreate(t, old)
	now := c.read(t, old)
	if now.UID == old.UID {
		t.Fatal("still the old pod")
	}
	wantGated(t, now, true)
}

func TestTheRecordOfAnAdmittedPodStands(t *testing.T) {
	c := startCluster(t)
	for name, patch := range map[string]client.Patch{
		"lowered":        mergePatch(writeAdmitted),
		"removed":        mergePatch(dropAdmitted),
		"put in a group": mergePatch(writeWorkload),
	} {
		t.Run(name, func(t *testing.T) {
			pod := create(t, c.tenant, gpuPod(red, "record-"+nameOf(t)))
			if err := c.open(t.Context(), pod, 10200, nil); err != nil {
				t.Fatal(err)
			}
			wantRefusedBy(t, c.tenant.Patch(t.Context(), pod.DeepCopy(), patch), "gate-kept")
			c.label(t, pod, "other-labels-may-change")
			if watts, _ := gate.Admitted(c.read(t, pod)); watts != 10200 {
				t.Errorf("admitted = %d, want 10200", watts)
			}
		})
	}
}

func TestCreationWithOurNames(t *testing.T) {
	c := startCluster(t)
	tests := map[string]struct {
		by     client.Client
		pod    *corev1.Pod
		policy string
	}{
		"annotation, enrolled":            {c.tenant, gpuPod(red, "x", admittedWith("1")), "gate-kept"},
		"annotation, no accelerator":      {c.tenant, cpuPod(red, "x", admittedWith("1")), "gate-kept"},
		"annotation, not enrolled":        {c.tenant, cpuPod(green, "x", admittedWith("999999")), "gate-kept"},
		"annotation, by an administrator": {c.admin, gpuPod(red, "x", admittedWith("1")), "gate-kept"},
		"nodeName":                        {c.tenant, gpuPod(red, "x", onNode), "gate-present"},
		"nodeName, by an administrator":   {c.admin, gpuPod(red, "x", onNode), "gate-present"},
		"mirror annotation of a tenant":   {c.tenant, gpuPod(red, "x", onNode, mirror), "gate-present"},
		"mirror annotation, no node":      {c.tenant, gpuPod(red, "x", mirror), ""},
		"workload label":                  {c.tenant, gpuPod(red, "x", inWorkload("mine")), ""},
		"gate brought along":              {c.tenant, gpuPod(red, "x", withGates(powerv1.Gate)), ""},
		"nodeName, no accelerator":        {c.tenant, cpuPod(red, "x", onNode), ""},
		"nodeName, not enrolled":          {c.tenant, gpuPod(green, "x", onNode), ""},
		"annotation of ours that means nothing": {c.tenant, gpuPod(red, "x", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"power.counterweight.dev/note": "1"}
		}), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.by.Create(t.Context(), test.pod, client.DryRunAll)
			switch {
			case test.policy != "":
				wantRefusedBy(t, err, test.policy)
			case name == "mirror annotation, no node":
				// The API server refuses a mirror without a node.
				if !apierrors.IsInvalid(err) {
					t.Errorf("got %v, want Invalid", err)
				}
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func mirror(pod *corev1.Pod) {
	pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
}

// insider is a tenant with rights that admin does not hold.
func (c *cluster) insider(t *testing.T) client.Client {
	t.Helper()
	const name = "insider"
	role := &rbacv1.Role{ObjectMeta: named(blue, name), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""},
		Resources: []string{
			"pods", "pods/status", "pods/resize", "pods/ephemeralcontainers", "pods/binding", "bindings",
		},
		Verbs: []string{"*"},
	}}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: named(blue, name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := c.admin.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	insider := c.as(rest.ImpersonationConfig{UserName: name})
	mustEventually(t, func(ctx context.Context) error {
		return insider.Create(ctx, cpuPod(blue, "probe"), client.DryRunAll)
	})
	return insider
}

func TestSubresourcesDoNotOpenGates(t *testing.T) {
	c := startCluster(t)
	insider := c.insider(t)
	tests := map[string]struct {
		subresource string
		patch       client.Patch
		refused     bool // else the API server leaves our fields as they are by itself
	}{
		"status, gate":                   {"status", strategicPatch(dropGate), false},
		"status, annotation":             {"status", mergePatch(writeAdmitted), true},
		"status, label":                  {"status", mergePatch(writeWorkload), true},
		"resize, gate":                   {"resize", strategicPatch(dropGate), false},
		"resize, annotation":             {"resize", mergePatch(writeAdmitted), false},
		"resize, label":                  {"resize", mergePatch(writeWorkload), false},
		"ephemeralcontainers, gate":      {"ephemeralcontainers", strategicPatch(dropGate), false},
		"ephemeralcontainers annotation": {"ephemeralcontainers", mergePatch(writeAdmitted), false},
		"ephemeralcontainers label":      {"ephemeralcontainers", mergePatch(writeWorkload), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := create(t, insider, gpuPod(blue, "sub-"+nameOf(t)))
			err := insider.SubResource(test.subresource).Patch(t.Context(), pod.DeepCopy(), test.patch)
			if test.refused {
				wantRefusedBy(t, err, "gate-kept")
			} else if err != nil {
				t.Error(err)
			}
			now := c.read(t, pod)
			wantGated(t, now, true)
			if _, ok := now.Annotations[powerv1.AdmittedAnnotation]; ok {
				t.Error("the annotation was written")
			}
			if _, ok := now.Labels[powerv1.WorkloadLabel]; ok {
				t.Error("the label was written")
			}
		})
	}
}

func TestDevicesCannotBeAddedLater(t *testing.T) {
	c := startCluster(t)
	insider := c.insider(t)
	pod := create(t, insider, cpuPod(blue, "grows"))
	for name, try := range map[string]func() error{
		"resize": func() error {
			return insider.SubResource("resize").Patch(t.Context(), pod.DeepCopy(), strategicPatch(
				`{"spec":{"containers":[{"name":"serve","resources":{"limits":{"nvidia.com/gpu":"1"},"requests":{"nvidia.com/gpu":"1"}}}]}}`))
		},
		"ephemeral container": func() error {
			return insider.SubResource("ephemeralcontainers").Patch(t.Context(), pod.DeepCopy(), strategicPatch(
				`{"spec":{"ephemeralContainers":[{"name":"e","image":"none","resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}`))
		},
		"update": func() error {
			return insider.Patch(t.Context(), pod.DeepCopy(), strategicPatch(
				`{"spec":{"containers":[{"name":"serve","resources":{"limits":{"nvidia.com/gpu":"1"},"requests":{"nvidia.com/gpu":"1"}}}]}}`))
		},
		"for the whole pod": func() error {
			whole := cpuPod(blue, "whole")
			whole.Spec.Resources = &corev1.ResourceRequirements{Limits: limits("nvidia.com/gpu", "1")}
			return insider.Create(t.Context(), whole)
		},
	} {
		if err := try(); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v, want the API server itself to refuse it", name, err)
		}
	}
}

func TestAGatedPodCannotBeBound(t *testing.T) {
	c := startCluster(t)
	insider := c.insider(t)
	bind := func(who client.Client, pod *corev1.Pod) error {
		return who.SubResource("binding").Create(t.Context(), pod.DeepCopy(), &corev1.Binding{
			ObjectMeta: named(pod.Namespace, pod.Name), Target: corev1.ObjectReference{Kind: "Node", Name: node},
		})
	}
	pod := create(t, insider, gpuPod(blue, "bound"))
	if err := bind(c.tenant, pod); !apierrors.IsForbidden(err) {
		t.Errorf("tenant: got %v, want Forbidden: admin may not bind pods", err)
	}
	for name, who := range map[string]client.Client{"insider": insider, "cluster-admin": c.admin} {
		if err := bind(who, pod); !apierrors.IsConflict(err) {
			t.Errorf("%s: got %v, want Conflict", name, err)
		}
	}
	if err := insider.Patch(t.Context(), pod.DeepCopy(), mergePatch(`{"spec":{"nodeName":"`+node+`"}}`)); !apierrors.IsInvalid(err) {
		t.Errorf("nodeName written later: got %v, want Invalid", err)
	}
	if err := c.open(t.Context(), pod, 10200, nil); err != nil {
		t.Fatal(err)
	}
	scheduler := c.as(rest.ImpersonationConfig{UserName: "system:kube-scheduler"})
	if err := bind(scheduler, pod); err != nil {
		t.Errorf("the scheduler can't bind an admitted pod: %v", err)
	}
}
