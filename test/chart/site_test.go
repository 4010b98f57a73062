package chart

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// site is what people and the operator have in a cluster while releases come and go.
type site struct {
	budget  *powerv1.PowerBudget
	pool    *powerv1.MinerPool // made late
	miners  *appsv1.StatefulSet
	running *corev1.Pod
	waiting *corev1.Pod
	stays   map[client.Object]types.UID
}

func populate(t *testing.T) *site {
	t.Helper()
	labels := map[string]string{"app.kubernetes.io/name": "counterweight", "app.kubernetes.io/component": "miner-agent"}
	s := &site{
		budget: &powerv1.PowerBudget{
			ObjectMeta: metav1.ObjectMeta{Name: "site", Finalizers: []string{powerv1.LedgerFinalizer}},
			Spec:       powerv1.PowerBudgetSpec{LimitWatts: resource.MustParse("1M"), LeaseSeconds: 600},
		},
		pool: &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "mining", Name: "late"}, Spec: powerv1.MinerPoolSpec{
			Budget: "site", RatedWatts: resource.MustParse("100k"), Devices: powerv1.MinerDevices{Addresses: []string{"10.20.0.0/24"}},
		}},
		miners: &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "mining", Name: "hydro-1", Labels: labels},
			Spec: appsv1.StatefulSetSpec{
				Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec("")},
			},
		},
		running: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "running"}, Spec: podSpec("")},
		waiting: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "waiting"}, Spec: podSpec("1")},
	}
	ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: power, Name: "counterweight-ca"}, StringData: map[string]string{"tls.key": "ours"}}
	s.waiting.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
	enrol(t, "ai")
	for _, o := range []client.Object{s.budget, s.miners, s.running, ca} {
		must(t, admin.Create(t.Context(), o))
	}
	eventually(t, "an accelerator pod waits at the gate", func(ctx context.Context) error {
		trial := s.waiting.DeepCopy()
		if err := admin.Create(ctx, trial, client.DryRunAll); err != nil || !gate.Gated(trial) {
			return errorOr(err, "it is not gated")
		}
		return nil
	})
	must(t, admin.Create(t.Context(), s.waiting))
	miner := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "mining", Name: "hydro-1-0"}}
	eventually(t, "a mining pod is made", func(ctx context.Context) error { return admin.Get(ctx, client.ObjectKeyFromObject(miner), miner) })
	crd, err := exists(t.Context(), "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "powerbudgets.power.counterweight.dev")
	must(t, err)
	s.stays = map[client.Object]types.UID{}
	for _, o := range []client.Object{crd, s.budget, s.miners, miner, s.running, s.waiting, ca} {
		s.stays[o] = o.GetUID()
	}
	return s
}

type plainError string

func (e plainError) Error() string { return string(e) }

func errorOr(err error, other string) error {
	if err != nil {
		return err
	}
	return plainError(other)
}

func enrol(t *testing.T, namespace string) {
	t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+powerv1.AdmissionLabel+`":"`+powerv1.AdmissionGated+`"}}}`))
	must(t, admin.Patch(t.Context(), n, patch))
}

// podSpec is a pod that restricted pod security takes, with so many accelerators.
func podSpec(gpus string) corev1.PodSpec {
	spec := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{Name: "main", Image: "none", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
	}
	if gpus != "" {
		spec.Containers[0].Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus)}
	}
	return spec
}

// check sees that everything is there, the same object as ever, and that nobody deletes it.
func (s *site) check(t *testing.T, when string) {
	t.Helper()
	for o, uid := range s.stays {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil || o.GetUID() != uid || o.GetDeletionTimestamp() != nil {
			t.Errorf("%s: %T %s is not what it was: %v", when, o, o.GetName(), err)
		}
	}
}

func cleanUp(t *testing.T, s *site) {
	t.Helper()
	s.budget.Finalizers = nil
	must(t, admin.Update(t.Context(), s.budget))
	for o := range s.stays {
		if o.GetObjectKind().GroupVersionKind().Kind == "CustomResourceDefinition" {
			continue
		}
		must(t, client.IgnoreNotFound(admin.Delete(t.Context(), o)))
	}
	must(t, admin.Delete(t.Context(), s.pool))
	forget(t)
}

// rightsStayWhereTheyAreListed asks the API server what the operator and the agents may do.
func rightsStayWhereTheyAreListed(t *testing.T) {
	t.Helper()
	const operator, agent = "system:serviceaccount:power:counterweight-operator", "system:serviceaccount:mining:default"
	type ask struct{ user, verb, resource, namespace, name string }
	for q, want := range map[ask]bool{
		{operator, "get", "secrets", "mining", "asic-credentials"}:   true,
		{operator, "create", "secrets", "mining", ""}:                true,
		{operator, "list", "secrets", "mining", ""}:                  false,
		{operator, "delete", "secrets", "mining", ""}:                false,
		{operator, "delete", "pods", "mining", ""}:                   true,
		{operator, "get", "secrets", power, "counterweight-ca"}:      true,
		{operator, "get", "secrets", power, "sh.helm.release.v1.cw"}: false,
		{operator, "get", "secrets", "ai", "token"}:                  false,
		{operator, "create", "secrets", "ai", ""}:                    false,
		{operator, "delete", "pods", "ai", ""}:                       false,
		{operator, "create", "pods", "mining", ""}:                   false,
		{operator, "patch", "pods", "ai", ""}:                        true,
		{operator, "update", "nodes", "", ""}:                        false,
		{agent, "get", "secrets", "mining", ""}:                      false,
		{agent, "get", "pods", "mining", ""}:                         false,
	} {
		eventually(t, "rights", func(ctx context.Context) error {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               q.user,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: q.verb, Resource: q.resource, Namespace: q.namespace, Name: q.name},
			}}
			if err := admin.Create(ctx, review); err != nil || review.Status.Allowed != want {
				return errorOr(err, q.user+" may "+q.verb+" "+q.resource+" in "+q.namespace+": not as it should be")
			}
			return nil
		})
	}
}
