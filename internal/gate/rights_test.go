package gate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// grant gives a user rights in the whole cluster.
func (c *cluster) grant(t *testing.T, user string, rules ...rbacv1.PolicyRule) client.Client {
	t.Helper()
	c.bind(t, user, &rbacv1.ClusterRole{ObjectMeta: named("", user), Rules: rules}, user)
	return c.as(rest.ImpersonationConfig{UserName: user})
}

// bind makes a role, where one is given, and binds the role of that name.
func (c *cluster) bind(t *testing.T, user string, role *rbacv1.ClusterRole, roleName string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: named("", user),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: roleName},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if role != nil {
		if err := c.admin.Create(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func TestOperatorIsTheServiceAccountThatIsInstalled(t *testing.T) {
	objects, err := decodeFile("../../config/rbac/service_account.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sa := objects[0]
	if got := fmt.Sprintf("system:serviceaccount:%s:%s", sa.GetNamespace(), sa.GetName()); got != gate.Operator {
		t.Errorf("config/rbac makes %s, the policies know %s", got, gate.Operator)
	}
}

// A role with every verb on gpuworkloads, aggregated to admin, does not open gates: the policy asks about a
// resource of its own.
func TestEveryVerbOnGPUWorkloadsOpensNoGate(t *testing.T) {
	c := startCluster(t)
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "careless", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-admin": "true"}},
		Rules:      []rbacv1.PolicyRule{rule(powerv1.GroupVersion.Group, "gpuworkloads", "*"), rule("", "configmaps/status", "update")},
	}
	if err := c.admin.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.admin.Delete(context.Background(), role) })
	mustEventually(t, func(ctx context.Context) error {
		admin := &rbacv1.ClusterRole{}
		if err := c.admin.Get(ctx, client.ObjectKey{Name: "admin"}, admin); err != nil {
			return err
		}
		if !slices.ContainsFunc(admin.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "configmaps/status") }) {
			return fmt.Errorf("not aggregated yet")
		}
		return nil
	})
	// Proof that the verb has come to the tenant: it may delete collections, which counterweight-user does not list.
	mustEventually(t, func(ctx context.Context) error {
		return c.tenant.DeleteAllOf(ctx, &powerv1.GPUWorkload{}, client.InNamespace(blue))
	})
	pod := create(t, c.tenant, gpuPod(blue, "careless"))
	wantRefusedBy(t, c.tenant.Patch(t.Context(), pod.DeepCopy(), strategicPatch(dropGate)), "gate-kept")
	wantGated(t, c.read(t, pod), true)
}

// Aggregated roles never hold the ledger's status, pools or budgets.
func TestATenantHoldsNoLedger(t *testing.T) {
	c := startCluster(t)
	made := workload(blue, "ledger")
	if err := c.tenant.Create(t.Context(), made); err != nil {
		t.Fatalf("a tenant can't write GPUWorkloads: %v", err)
	}
	for name, err := range map[string]error{
		"gpuworkloads/status": c.tenant.Status().Patch(t.Context(), made.DeepCopy(), mergePatch(`{"status":{"epoch":1}}`)),
		"minerpools":          c.tenant.List(t.Context(), &powerv1.MinerPoolList{}, client.InNamespace(blue)),
		"powerbudgets":        c.tenant.List(t.Context(), &powerv1.PowerBudgetList{}),
		"curtailmentevents":   c.tenant.List(t.Context(), &powerv1.CurtailmentEventList{}),
		"a role that opens gates": c.tenant.Create(t.Context(), &rbacv1.Role{ObjectMeta: named(blue, "escalate"), Rules: []rbacv1.PolicyRule{
			rule(powerv1.GroupVersion.Group, "gates", "open"),
		}}),
		"a binding to the operator's role": c.tenant.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: named(blue, "escalate"),
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "counterweight-operator"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenantName}}}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want Forbidden", name, err)
		}
	}
}

// The operator is a ServiceAccount in its own namespace; another one of that name is nobody.
func TestAServiceAccountOfTheSameNameIsNotTheOperator(t *testing.T) {
	c := startCluster(t)
	impostor := c.as(rest.ImpersonationConfig{UserName: "system:serviceaccount:blue:counterweight-operator", Groups: []string{"system:serviceaccounts"}})
	if err := c.admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: named(blue, "impostor"),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: blue, Name: "counterweight-operator"}},
	}); err != nil {
		t.Fatal(err)
	}
	pod := create(t, c.tenant, gpuPod(blue, "impostor"))
	mustEventually(t, func(ctx context.Context) error {
		return refusedBy(impostor.Patch(ctx, pod.DeepCopy(), strategicPatch(dropGate)), "gate-kept")
	})
	wantGated(t, c.read(t, pod), true)
}

func TestTheGlassCanBeBroken(t *testing.T) {
	c := startCluster(t)
	helpdesk := c.grant(t, "helpdesk", rule("", "pods", "get", "patch"), rule(powerv1.GroupVersion.Group, "gates", "open"))
	for name, who := range map[string]client.Client{"cluster-admin": c.admin, "the verb open": helpdesk} {
		pod := create(t, c.tenant, gpuPod(blue, "glass-"+strings.ReplaceAll(name, " ", "-")))
		mustEventually(t, func(ctx context.Context) error {
			return who.Patch(ctx, pod.DeepCopy(), strategicPatch(dropGate))
		})
		wantGated(t, c.read(t, pod), false)
	}
}

func TestEnrolment(t *testing.T) {
	c := startCluster(t)
	everyVerb := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"}}
	keeper := c.grant(t, "keeper", everyVerb)
	c.bind(t, "site-admin", nil, "counterweight-site-admin")
	siteAdmin := c.grant(t, "site-admin-too", everyVerb, rule(powerv1.GroupVersion.Group, "enrolments", "change"))
	mustEventually(t, func(ctx context.Context) error {
		return keeper.Create(ctx, &corev1.Namespace{ObjectMeta: named("", "plain")})
	})
	enrol := mergePatch(`{"metadata":{"labels":{"power.counterweight.dev/admission":"Gated"}}}`)
	leave := mergePatch(`{"metadata":{"labels":{"power.counterweight.dev/admission":null}}}`)
	other := mergePatch(`{"metadata":{"labels":{"team":"research"}}}`)
	typo := mergePatch(`{"metadata":{"labels":{"power.counterweight.dev/admission":"gated"}}}`)
	ns := func(name string) *corev1.Namespace { return &corev1.Namespace{ObjectMeta: named("", name)} }
	labelled := ns("labelled")
	labelled.Labels = map[string]string{powerv1.AdmissionLabel: powerv1.AdmissionGated}
	updated := func(subresource string) error {
		now := &corev1.Namespace{}
		if err := c.admin.Get(t.Context(), client.ObjectKey{Name: red}, now); err != nil {
			return err
		}
		delete(now.Labels, powerv1.AdmissionLabel)
		return keeper.SubResource(subresource).Update(t.Context(), now)
	}
	for name, err := range map[string]error{
		"new and enrolled": keeper.Create(t.Context(), labelled.DeepCopy()),
		"enrolled later":   keeper.Patch(t.Context(), ns("plain"), enrol),
		"leaves":           keeper.Patch(t.Context(), ns(red), leave),
		"mistyped":         siteAdmin.Patch(t.Context(), ns("plain"), typo),
		"leaves by status": keeper.SubResource("status").Patch(t.Context(), ns(red), leave),
		"leaves by update": updated("status"),
		"by finalize":      updated("finalize"),
	} {
		if problem := refusedBy(err, "enrolment"); problem != nil {
			t.Errorf("%s: %v", name, problem)
		}
	}
	for name, err := range map[string]error{
		"another label":         keeper.Patch(t.Context(), ns(red), other),
		"another status":        keeper.SubResource("status").Patch(t.Context(), ns(red), other),
		"enrolled with a right": siteAdmin.Patch(t.Context(), ns("plain"), enrol),
		"leaves with a right":   siteAdmin.Patch(t.Context(), ns("plain"), leave),
		"deleted":               keeper.Delete(t.Context(), ns("plain")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A namespace that leaves keeps the guard over pods that already wait there.
func TestAPodOfANamespaceThatLeftStaysGated(t *testing.T) {
	c := startCluster(t)
	const leaving = "leaving"
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: leaving, Labels: map[string]string{powerv1.AdmissionLabel: powerv1.AdmissionGated}}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: named(leaving, tenantName),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenantName}},
	}
	for _, o := range []client.Object{namespace, binding} {
		if err := c.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	pod := gpuPod(leaving, "waits")
	mustEventually(t, func(ctx context.Context) error { return c.tenant.Create(ctx, pod.DeepCopy(), client.DryRunAll) })
	pod = create(t, c.tenant, pod)
	wantGated(t, pod, true)
	if err := c.admin.Patch(t.Context(), namespace, mergePatch(`{"metadata":{"labels":{"power.counterweight.dev/admission":null}}}`)); err != nil {
		t.Fatal(err)
	}
	mustEventually(t, func(ctx context.Context) error {
		free := gpuPod(leaving, "free")
		if err := c.tenant.Create(ctx, free, client.DryRunAll); err != nil {
			return err
		}
		if gate.Gated(free) {
			return fmt.Errorf("still enrolled")
		}
		return nil
	})
	wantRefusedBy(t, c.tenant.Patch(t.Context(), pod.DeepCopy(), strategicPatch(dropGate)), "gate-kept")
	if err := c.open(t.Context(), pod, 10200, nil); err != nil {
		t.Errorf("the operator can't open it: %v", err)
	}
}

func TestPriority(t *testing.T) {
	c := startCluster(t)
	c.bind(t, "planner", nil, "counterweight-site-admin")
	planner := c.as(rest.ImpersonationConfig{UserName: "planner"})
	edited := func(name string, edit func(*powerv1.GPUWorkloadSpec)) *powerv1.GPUWorkload {
		w := workload(red, name)
		edit(&w.Spec)
		return w
	}
	first := func(s *powerv1.GPUWorkloadSpec) { s.Priority = new(int32(10)) }
	standby := func(s *powerv1.GPUWorkloadSpec) { s.StandbyPods = new(int32(1)) }
	last := func(s *powerv1.GPUWorkloadSpec) { s.Priority = new(int32(-10)); s.StandbyPods = new(int32(0)) }
	mustEventually(t, func(ctx context.Context) error { return planner.Create(ctx, edited("granted", first)) })
	if err := c.tenant.Create(t.Context(), edited("own", last)); err != nil {
		t.Fatalf("a tenant can't go last: %v", err)
	}
	patch := func(who client.Client, name, text string) error {
		return who.Patch(t.Context(), workload(red, name), mergePatch(text))
	}
	for name, err := range map[string]error{
		"created with priority":       c.tenant.Create(t.Context(), edited("ahead", first)),
		"created with standby pods":   c.tenant.Create(t.Context(), edited("ahead", standby)),
		"raised later":                patch(c.tenant, "own", `{"spec":{"priority":1}}`),
		"standby pods later":          patch(c.tenant, "own", `{"spec":{"standbyPods":1}}`),
		"watts of a granted one":      patch(c.tenant, "granted", `{"spec":{"wattsPerPod":"1M"}}`),
		"selector of a granted one":   patch(c.tenant, "granted", `{"spec":{"selector":{"matchLabels":{"app":"all"}}}}`),
		"priority of a granted lower": patch(c.tenant, "granted", `{"spec":{"priority":5}}`),
	} {
		if problem := refusedBy(err, "priority"); problem != nil {
			t.Errorf("%s: %v", name, problem)
		}
	}
	for name, err := range map[string]error{
		"label of a granted one":     patch(c.tenant, "granted", `{"metadata":{"labels":{"team":"research"}}}`),
		"watts of one's own":         patch(c.tenant, "own", `{"spec":{"wattsPerPod":"1k"}}`),
		"the planner raises":         patch(planner, "own", `{"spec":{"priority":20,"standbyPods":2}}`),
		"the operator's finalizer":   patch(c.operator, "granted", `{"metadata":{"finalizers":["power.counterweight.dev/ledger"]}}`),
		"a granted one given up":     patch(c.tenant, "granted", `{"spec":{"priority":0}}`),
		"finalizer off, as operator": patch(c.operator, "granted", `{"metadata":{"finalizers":null}}`),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
