package gate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// What a tenant with every right that ClusterRole admin holds in a namespace, aggregated ones included, still can't do
// there or elsewhere. The gate itself is attacked in attack_test.go.

const (
	operators = "counterweight-system"
	minersOf  = "miners"  // where MinerPools are
	foreign   = "foreign" // another tenant's
)

// neighbours makes what a tenant may be after, in namespaces that are none of theirs.
func neighbours(t *testing.T, c *cluster) {
	t.Helper()
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: named("", minersOf)}, &corev1.Namespace{ObjectMeta: named("", foreign)},
		secret(operators, "counterweight-ca"), secret(minersOf, "asic-credentials"), secret(minersOf, "pool-agent-tls"),
		workload(foreign, "theirs"), cpuPod(minersOf, "pool-0"),
	} {
		if err := c.admin.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

func secret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: named(namespace, name), StringData: map[string]string{"password": "s3cret"}}
}

func wantForbidden(t *testing.T, attempts map[string]error) {
	t.Helper()
	for name, err := range attempts {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want Forbidden", name, err)
		}
	}
}

func TestATenantReadsNoCredentials(t *testing.T) {
	c := startCluster(t)
	neighbours(t, c)
	ctx := t.Context()
	for _, ns := range []string{operators, minersOf} {
		mount := cpuPod(ns, "mounts")
		mount.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: "counterweight-ca"},
		}}}
		wantForbidden(t, map[string]error{
			ns + ": list":                 c.tenant.List(ctx, &corev1.SecretList{}, client.InNamespace(ns)),
			ns + ": watch":                c.tenantWatch(t, ns),
			ns + ": get the CA":           c.tenant.Get(ctx, client.ObjectKey{Namespace: ns, Name: "counterweight-ca"}, &corev1.Secret{}),
			ns + ": get a login":          c.tenant.Get(ctx, client.ObjectKey{Namespace: ns, Name: "asic-credentials"}, &corev1.Secret{}),
			ns + ": a pod that mounts it": c.tenant.Create(ctx, mount),
			ns + ": configmaps":           c.tenant.List(ctx, &corev1.ConfigMapList{}, client.InNamespace(ns)),
			ns + ": a token": c.tenant.SubResource("token").Create(ctx,
				&corev1.ServiceAccount{ObjectMeta: named(ns, "counterweight-operator")}, &authenticationv1.TokenRequest{}),
			ns + ": rights there": c.tenant.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: named(ns, "mine"),
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
				Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenantName}}}),
		})
	}
	for what, where := range map[string]authorizationv1.ResourceAttributes{
		"exec in an agent":     {Namespace: minersOf, Verb: "create", Resource: "pods", Subresource: "exec"},
		"an agent's logs":      {Namespace: minersOf, Verb: "get", Resource: "pods", Subresource: "log"},
		"a door to an agent":   {Namespace: minersOf, Verb: "create", Resource: "pods", Subresource: "portforward"},
		"being the operator":   {Verb: "impersonate", Resource: "serviceaccounts", Name: "counterweight-operator", Namespace: operators},
		"ephemeral containers": {Namespace: minersOf, Verb: "patch", Resource: "pods", Subresource: "ephemeralcontainers"},
		"a pool of one's own":  {Namespace: red, Verb: "create", Group: powerv1.GroupVersion.Group, Resource: "minerpools"},
		"stopping the leader":  {Namespace: operators, Verb: "update", Group: "coordination.k8s.io", Resource: "leases"},
		"budgets":              {Verb: "update", Group: powerv1.GroupVersion.Group, Resource: "powerbudgets"},
		"curtailments":         {Verb: "create", Group: powerv1.GroupVersion.Group, Resource: "curtailmentevents"},
		"the policies":         {Verb: "delete", Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicybindings"},
		"pods at a node":       {Namespace: red, Verb: "create", Resource: "pods", Subresource: "binding"},
		"the end of a pod":     {Namespace: red, Verb: "patch", Resource: "pods", Subresource: "status"},
		"the ledger":           {Namespace: red, Verb: "patch", Group: powerv1.GroupVersion.Group, Resource: "gpuworkloads", Subresource: "status"},
		"nodes":                {Verb: "update", Resource: "nodes"},
		"leaving":              {Verb: "update", Resource: "namespaces", Name: red, Namespace: red},
	} {
		if c.may(t, authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &where}) {
			t.Errorf("a tenant may do: %s", what)
		}
	}
}

// tenantWatch tries to watch the Secrets of a namespace.
func (c *cluster) tenantWatch(t *testing.T, namespace string) error {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: tenantName, Groups: []string{"system:authenticated"}}
	watching, err := client.NewWithWatch(config, client.Options{Scheme: c.tenant.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	w, err := watching.Watch(t.Context(), &corev1.SecretList{}, client.InNamespace(namespace))
	if err != nil {
		return err
	}
	w.Stop()
	return nil
}

// may asks the API server whether the tenant may do something.
func (c *cluster) may(t *testing.T, what authorizationv1.SelfSubjectAccessReviewSpec) bool {
	t.Helper()
	review := &authorizationv1.SelfSubjectAccessReview{Spec: what}
	if err := c.tenant.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// The operator asks the API server exactly this of whoever wants its metrics.
func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	c := startCluster(t)
	c.bind(t, "scraper", nil, "counterweight-metrics-reader")
	may := func(user string) bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
		}}
		if err := c.operator.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		return review.Status.Allowed
	}
	mustEventually(t, func(context.Context) error {
		if !may("scraper") {
			return errors.New("the scraper may not yet")
		}
		return nil
	})
	if may(tenantName) {
		t.Error("a tenant may read the metrics of the whole site")
	}
}

func TestATenantWritesNoLedger(t *testing.T) {
	c := startCluster(t)
	neighbours(t, c)
	ctx := t.Context()
	forged := workload(red, "forged")
	forged.Status = powerv1.GPUWorkloadStatus{Epoch: 1 << 50, Reservations: []powerv1.Reservation{{
		UID: "someone", Name: "someone", Watts: resource.MustParse("1M"), Budget: "root",
	}}}
	old := metav1.NewTime(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
	forged.CreationTimestamp, forged.UID = old, "forged"
	if err := c.tenant.Create(ctx, forged); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		now := &powerv1.GPUWorkload{}
		if err := c.admin.Get(ctx, client.ObjectKeyFromObject(forged), now); err != nil {
			t.Fatal(err)
		}
		if now.Status.Epoch != 0 || len(now.Status.Reservations) > 0 {
			t.Errorf("%s: a tenant wrote %+v", when, now.Status)
		}
		if now.CreationTimestamp.Equal(&old) || now.UID == "forged" {
			t.Errorf("%s: a tenant made it older than it is: %v", when, now.CreationTimestamp)
		}
	}
	check("created")
	reservation := `{"status":{"epoch":99,"reservations":[{"uid":"x","name":"x","watts":"1M","budget":"root"}]}}`
	if err := c.tenant.Patch(ctx, workload(red, "forged"), mergePatch(reservation)); err != nil {
		t.Fatal(err)
	}
	_ = c.tenant.Patch(ctx, workload(red, "forged"), mergePatch(`{"metadata":{"creationTimestamp":"2001-01-01T00:00:00Z"}}`))
	check("patched")
	theirs := workload(foreign, "theirs")
	wantForbidden(t, map[string]error{
		"status":                          c.tenant.Status().Patch(ctx, workload(red, "forged"), mergePatch(reservation)),
		"another namespace's, changed":    c.tenant.Patch(ctx, theirs.DeepCopy(), mergePatch(`{"spec":{"minPods":4096}}`)),
		"another namespace's, deleted":    c.tenant.Delete(ctx, theirs.DeepCopy()),
		"another namespace's, made first": c.tenant.Create(ctx, workload(foreign, "squatted")),
		"another namespace's, read":       c.tenant.List(ctx, &powerv1.GPUWorkloadList{}, client.InNamespace(foreign)),
	})
	grants := map[string]error{}
	for resource, verb := range map[string]string{
		"gates": "open", "enrolments": "change", "priorities": "use", "gpuworkloads/status": "patch", "minerpools": "create", "powerbudgets": "update",
	} {
		grants["a role for "+resource] = c.tenant.Create(ctx, &rbacv1.Role{
			ObjectMeta: named(red, "grant-"+strings.ReplaceAll(resource, "/", "-")),
			Rules:      []rbacv1.PolicyRule{rule(powerv1.GroupVersion.Group, resource, verb)},
		})
	}
	wantForbidden(t, grants)
}

// A claim that nothing draws holds up everybody of the same rank who came later, and what is kept for a pod that ended
// is kept from mining: past what machines need, both take a right.
func TestATenantClaimsNoMoreThanAPodDraws(t *testing.T) {
	c := startCluster(t)
	try := func(edit string) error {
		made := workload(red, "greedy")
		if err := c.tenant.Create(t.Context(), made); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		return c.tenant.Patch(t.Context(), made, mergePatch(`{"spec":`+edit+`}`), client.DryRunAll)
	}
	for edit, want := range map[string]string{
		`{"wattsPerPod":"100k"}`:                    "",
		`{"wattsPerPod":100000}`:                    "",
		`{"wattsPerPod":100001}`:                    "priority",
		`{"wattsPerPod":"0.2M"}`:                    "priority",
		`{"wattsPerPod":"1T"}`:                      "priority",
		`{"wattsPerAccelerator":"10k"}`:             "",
		`{"wattsPerAccelerator":"10001"}`:           "priority",
		`{"releaseDelaySeconds":600}`:               "",
		`{"releaseDelaySeconds":601}`:               "priority",
		`{"priority":1}`:                            "priority",
		`{"standbyPods":1}`:                         "priority",
		`{"minPods":4096}`:                          "",
		`{"priority":-1000000}`:                     "",
		`{"wattsPerPod":-5}`:                        "invalid",
		`{"wattsPerPod":"-5"}`:                      "invalid",
		`{"wattsPerPod":"1001G"}`:                   "invalid",
		`{"wattsPerPod":"9223372036854775808"}`:     "invalid",
		`{"wattsPerAccelerator":"1e30"}`:            "invalid",
		`{"minPods":4097}`:                          "invalid",
		`{"minPods":-1}`:                            "invalid",
		`{"standbyPods":-1}`:                        "invalid",
		`{"priority":1000001}`:                      "invalid",
		`{"releaseDelaySeconds":-1}`:                "invalid",
		`{"releaseDelaySeconds":9999999999}`:        "invalid",
		`{"wattsPerPod":1,"wattsPerAccelerator":1}`: "invalid",
	} {
		err := try(edit)
		switch want {
		case "":
			if err != nil {
				t.Errorf("%s: %v", edit, err)
			}
		case "invalid":
			if !apierrors.IsInvalid(err) {
				t.Errorf("%s: got %v, want Invalid", edit, err)
			}
		default:
			if problem := refusedBy(err, want); problem != nil {
				t.Errorf("%s: %v", edit, problem)
			}
		}
	}
}

// Whoever deletes a GPUWorkload or a pod and makes it again is younger than before, never older.
func TestRecreatingGainsNoAge(t *testing.T) {
	c := startCluster(t)
	first := workload(red, "again")
	if err := c.tenant.Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := c.tenant.Delete(t.Context(), first.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	second := workload(red, "again")
	second.CreationTimestamp, second.UID = metav1.NewTime(first.CreationTimestamp.Add(-time.Hour)), first.UID
	if err := c.tenant.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if second.CreationTimestamp.Before(&first.CreationTimestamp) || second.UID == first.UID {
		t.Errorf("made again, it is %v of %s; it was %v of %s", second.CreationTimestamp, second.UID, first.CreationTimestamp, first.UID)
	}
	pod := gpuPod(red, "again", func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(first.CreationTimestamp.Add(-time.Hour)) })
	if made := create(t, c.tenant, pod); made.CreationTimestamp.Before(&first.CreationTimestamp) {
		t.Errorf("a pod is %v old by its own word", made.CreationTimestamp)
	}
}
