package gate_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

func labelled(value string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Labels = map[string]string{"test": value} }
}

// mutate installs somebody else's policy that changes pods with the label test=NAME.
func (c *cluster) mutate(t *testing.T, name, expression string) {
	t.Helper()
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: named("", name),
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      new(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.IfNeededReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{
				ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"test": name}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}}},
			},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: expression},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: named("", name), Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}
	for _, o := range []client.Object{policy, binding} {
		if err := c.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = c.admin.Delete(context.Background(), binding)
		_ = c.admin.Delete(context.Background(), policy)
	})
}

// A policy that comes after ours adds a GPU: ours is asked again, since it was invoked the first time too.
func TestAGPUThatALaterPolicyAddsIsGated(t *testing.T) {
	c := startCluster(t)
	c.mutate(t, "zz-adds-a-gpu", `[JSONPatch{op: "add", path: "/spec/containers/0/resources", value: Object.spec.containers.resources{
		limits: {"nvidia.com/gpu": "1"}, requests: {"nvidia.com/gpu": "1"}}}]`)
	pod := cpuPod(red, "gets-a-gpu", labelled("zz-adds-a-gpu"))
	mustEventually(t, func(ctx context.Context) error {
		made := pod.DeepCopy()
		if err := c.tenant.Create(ctx, made, client.DryRunAll); err != nil {
			return fmt.Errorf("refused, want it gated: %w", err)
		}
		if len(made.Spec.Containers[0].Resources.Limits) == 0 {
			return fmt.Errorf("the other policy is not in force")
		}
		if !gate.Gated(made) {
			t.Error("not gated")
		}
		return nil
	})
}

// Whoever takes the gate off, before or after us: it comes back, or the pod is refused.
func TestAPolicyThatTakesTheGateOffGetsNothing(t *testing.T) {
	c := startCluster(t)
	for _, name := range []string{"aa-takes-the-gate-off", "zz-takes-the-gate-off"} {
		c.mutate(t, name, `[JSONPatch{op: "add", path: "/metadata/labels/seen", value: "yes"}] +
			(has(object.spec.schedulingGates) ? [JSONPatch{op: "remove", path: "/spec/schedulingGates"}] : [])`)
		mustEventually(t, func(ctx context.Context) error {
			pod := gpuPod(red, "x", labelled(name))
			if err := c.tenant.Create(ctx, pod, client.DryRunAll); err != nil {
				return refusedBy(err, "gate-present")
			}
			if pod.Labels["seen"] == "" {
				return fmt.Errorf("the other policy is not in force")
			}
			wantGated(t, pod, true)
			return nil
		})
	}
}

// webhook installs somebody else's webhook for pods with the label test=NAME; it answers with a JSON patch.
func (c *cluster) webhook(t *testing.T, name, patch string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &reviewv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &reviewv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: []byte(patch), PatchType: new(reviewv1.PatchTypeJSONPatch),
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	hook := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: named("", name),
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: name + ".example.com",
			ClientConfig: admissionv1.WebhookClientConfig{
				URL:      new(server.URL),
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"test": name}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			SideEffects:             new(admissionv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			ReinvocationPolicy:      new(admissionv1.IfNeededReinvocationPolicy),
		}},
	}
	c.createAll(t, hook)
	t.Cleanup(func() { _ = c.admin.Delete(context.Background(), hook) })
}

// Webhooks come after policies. One that has the last word over the gate gets the pod refused.
func TestAWebhookThatTakesTheGateOffGetsThePodRefused(t *testing.T) {
	c := startCluster(t)
	c.webhook(t, "takes-the-gate-off", `[{"op":"add","path":"/spec/schedulingGates","value":[]}]`)
	mustEventually(t, func(ctx context.Context) error {
		return refusedBy(c.tenant.Create(ctx, gpuPod(red, "x", labelled("takes-the-gate-off")), client.DryRunAll), "gate-present")
	})
}

func TestAGPUThatAWebhookAddsIsGated(t *testing.T) {
	c := startCluster(t)
	c.webhook(t, "adds-a-gpu", `[{"op":"add","path":"/spec/containers/0/resources","value":{"limits":{"nvidia.com/gpu":"1"},"requests":{"nvidia.com/gpu":"1"}}}]`)
	mustEventually(t, func(ctx context.Context) error {
		pod := cpuPod(red, "x", labelled("adds-a-gpu"))
		if err := c.tenant.Create(ctx, pod, client.DryRunAll); err != nil {
			return fmt.Errorf("refused, want it gated: %w", err)
		}
		if len(pod.Spec.Containers[0].Resources.Limits) == 0 {
			return fmt.Errorf("the webhook is not in force")
		}
		wantGated(t, pod, true)
		return nil
	})
}

// While our mutating policy or its binding is missing, accelerator pods are refused and others are not.
func TestWithoutTheMutatingPolicyPodsAreRefused(t *testing.T) {
	c := startCluster(t)
	binding := &admissionv1.MutatingAdmissionPolicyBinding{}
	if err := c.admin.Get(t.Context(), client.ObjectKey{Name: "gate.power.counterweight.dev"}, binding); err != nil {
		t.Fatal(err)
	}
	if err := c.admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	restored := false
	restore := func() {
		if restored {
			return
		}
		restored = true
		binding.ResourceVersion, binding.UID = "", ""
		if err := c.admin.Create(context.Background(), binding); err != nil {
			t.Fatal(err)
		}
		if err := c.waitForPolicies(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(restore)
	mustEventually(t, func(ctx context.Context) error {
		return refusedBy(c.tenant.Create(ctx, gpuPod(red, "x"), client.DryRunAll), "gate-present")
	})
	create(t, c.tenant, cpuPod(red, "x"), client.DryRunAll)
	create(t, c.tenant, gpuPod(red, "x", withGates(powerv1.Gate)), client.DryRunAll)
	t.Run("controllers say so and try again", func(t *testing.T) {
		c.createAll(t, replicaSet(red, "tries-again", 1))
		mustEventually(t, func(ctx context.Context) error {
			events := &corev1.EventList{}
			if err := c.admin.List(ctx, events, client.InNamespace(red)); err != nil {
				return err
			}
			for _, e := range events.Items {
				if e.Reason == "FailedCreate" && strings.Contains(e.Message, "gate-present.power.counterweight.dev") {
					return nil
				}
			}
			return fmt.Errorf("no event FailedCreate")
		})
		restore()
		c.wantPods(t, red, "tries-again", 1)
	})
}

// A namespace's defaults come before policies.
func TestAGPUByLimitRangeIsGated(t *testing.T) {
	c := startCluster(t)
	const defaults = "defaults"
	c.createAll(t,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: defaults, Labels: map[string]string{powerv1.AdmissionLabel: powerv1.AdmissionGated}}},
		&corev1.LimitRange{ObjectMeta: named(defaults, "gpu"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: limits("nvidia.com/gpu", "1"), DefaultRequest: limits("nvidia.com/gpu", "1"),
		}}}},
	)
	mustEventually(t, func(ctx context.Context) error {
		pod := cpuPod(defaults, "defaulted")
		if err := c.admin.Create(ctx, pod, client.DryRunAll); err != nil {
			return err
		}
		if len(pod.Spec.Containers[0].Resources.Limits) == 0 {
			return fmt.Errorf("no default yet")
		}
		if !gate.Gated(pod) {
			return fmt.Errorf("not gated")
		}
		return nil
	})
}

// Static pods run whatever the API says; their mirrors must be seen, for the ledger to count them.
func TestAMirrorPodOfTheKubeletPasses(t *testing.T) {
	c := startCluster(t)
	owner := &corev1.Node{}
	if err := c.admin.Get(t.Context(), client.ObjectKey{Name: node}, owner); err != nil {
		t.Fatal(err)
	}
	static := gpuPod(red, "static-"+node, onNode, func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{
			corev1.MirrorPodAnnotationKey: "hash", "kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "hash",
		}
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: node, UID: owner.UID, Controller: new(true),
		}}
	})
	kubelet := func(name string) client.Client {
		return c.as(rest.ImpersonationConfig{UserName: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}})
	}
	wantGated(t, create(t, kubelet(node), static), false)
	if err := kubelet("node-2").Create(t.Context(), static.DeepCopy(), client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("another node's kubelet: got %v, want Forbidden", err)
	}
	bare := gpuPod(red, "no-mirror", onNode)
	if err := kubelet(node).Create(t.Context(), bare, client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("a pod that is no mirror: got %v, want Forbidden", err)
	}
}

// The API server's type checker finds nothing to warn of in our policies.
func TestPoliciesTypeCheck(t *testing.T) {
	c := startCluster(t)
	for _, name := range []string{"gate-present", "gate-kept", "enrolment", "priority"} {
		policy := &admissionv1.ValidatingAdmissionPolicy{}
		mustEventually(t, func(ctx context.Context) error {
			if err := c.admin.Get(ctx, client.ObjectKey{Name: name + ".power.counterweight.dev"}, policy); err != nil {
				return err
			}
			if policy.Status.TypeChecking == nil {
				return fmt.Errorf("%s is not checked yet", name)
			}
			return nil
		})
		for _, w := range policy.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", name, w.FieldRef, w.Warning)
		}
	}
}
