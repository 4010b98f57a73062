package gate_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// roles reads the rules of every Role and ClusterRole of a file, by its name, and its labels.
func roles(t *testing.T, path string) map[string]*rbacv1.ClusterRole {
	t.Helper()
	objects, err := decodeFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*rbacv1.ClusterRole{}
	for _, o := range objects {
		if !strings.HasSuffix(o.GetKind(), "Role") {
			continue
		}
		role := &rbacv1.ClusterRole{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role); err != nil {
			t.Fatal(err)
		}
		found[role.Name] = role
	}
	return found
}

// A wildcard grows with the API; gates are opened by the operator alone; Secrets are read by name.
func TestRolesGiveNoMoreThanTheySay(t *testing.T) {
	for _, file := range []string{"rbac/operator_role", "rbac/leader_election_role", "rbac/authority_role", "rbac/user_roles", "mining/role"} {
		for name, role := range roles(t, "../../config/"+file+".yaml") {
			for _, rule := range role.Rules {
				if slices.Contains(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs), "*") {
					t.Errorf("%s has a wildcard: %v", name, rule)
				}
				if slices.Contains(rule.Resources, "gates") && name != "counterweight-operator" {
					t.Errorf("%s opens gates", name)
				}
				if slices.Contains(rule.Resources, "secrets") && (slices.Contains(rule.Verbs, "list") || slices.Contains(rule.Verbs, "watch")) {
					t.Errorf("%s lists Secrets", name)
				}
			}
		}
	}
}

// In the whole cluster the operator touches no Secret and no ConfigMap, and ends no pod but by eviction.
func TestTheOperatorsClusterRoleHoldsNoSecrets(t *testing.T) {
	writes := []string{"create", "update", "patch", "delete"}
	for _, rule := range roles(t, "../../config/rbac/operator_role.yaml")["counterweight-operator"].Rules {
		for _, resource := range rule.Resources {
			switch resource {
			case "secrets", "configmaps":
				t.Errorf("it may %v %s everywhere", rule.Verbs, resource)
			case "pods", "statefulsets":
				for _, verb := range rule.Verbs {
					if slices.Contains(writes, verb) && (resource != "pods" || verb != "patch") {
						t.Errorf("it may %s %s everywhere", verb, resource)
					}
				}
			}
		}
	}
}

// What goes into admin, edit and view holds no ledger and nothing that is power over others.
func TestAggregatedRolesHoldGPUWorkloadsOnly(t *testing.T) {
	aggregated := 0
	for name, role := range roles(t, "../../config/rbac/user_roles.yaml") {
		into := false
		for label := range role.Labels {
			into = into || strings.HasPrefix(label, "rbac.authorization.k8s.io/aggregate-to-")
		}
		if !into {
			continue
		}
		aggregated++
		for _, rule := range role.Rules {
			if !slices.Equal(rule.Resources, []string{"gpuworkloads"}) {
				t.Errorf("%s is aggregated and holds %v", name, rule.Resources)
			}
		}
	}
	if aggregated != 2 {
		t.Errorf("%d roles are aggregated, want 2", aggregated)
	}
}

func TestTheOperatorRunsUnderRestrictedPodSecurity(t *testing.T) {
	c := startCluster(t)
	objects, err := decodeFile("../../config/manager/manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	deployment := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, deployment); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: named(deployment.Namespace, "operator"), Spec: deployment.Spec.Template.Spec}
	if err := c.admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Error(err)
	}
}
