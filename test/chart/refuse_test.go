package chart

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What can't work is refused in one sentence, and nothing of it is installed.
func TestBadInputIsRefused(t *testing.T) {
	namespace(t, "mining", nil)
	kubernetes135 := []string{"template", "cw", chartFolder(), "-n", "refused", "--kube-version", "1.35.9"}
	install := func(args ...string) []string {
		return append([]string{"install", "cw", chartFolder(), "-n", "refused"}, args...)
	}
	namespace(t, "refused", nil)
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"Kubernetes below 1.36": {kubernetes135, "chart requires kubeVersion: >=1.36.0-0 which is incompatible with Kubernetes v1.35.9"},
		"a missing mining namespace": {
			install("--set", "mining[0].namespace=nowhere", "--set", "mining[0].devices={10.20.0.0/16}"),
			"values: mining names namespace nowhere, which does not exist: kubectl create namespace nowhere",
		},
		"a ServiceMonitor without its CRD": {
			install("--set", "metrics.serviceMonitor.enabled=true"),
			"values: metrics.serviceMonitor.enabled needs the kind PodMonitor of monitoring.coreos.com/v1, which this cluster does not have",
		},
		"a typo": {install("--set", "replica=3"), "additional properties 'replica' not allowed"},
		"a typo far down": {
			install("--set", "mining[0].namespace=mining", "--set", "mining[0].device={10.20.0.0/16}"),
			"additional properties 'device' not allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := helm(t, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says: %s", err, c.says)
			}
		})
	}
	nothingOf(t, "refused")
}

// nothingOf looks for what an installation leaves: releases, roles, CRDs.
func nothingOf(t *testing.T, namespace string) {
	t.Helper()
	var secrets corev1.SecretList
	must(t, admin.List(t.Context(), &secrets, client.InNamespace(namespace)))
	if n := len(secrets.Items); n != 0 {
		t.Errorf("%d Secrets are left in %s", n, namespace)
	}
	for kind, apiVersion := range map[string]string{
		"ClusterRoleList": "rbac.authorization.k8s.io/v1", "CustomResourceDefinitionList": "apiextensions.k8s.io/v1",
		"MutatingAdmissionPolicyList": "admissionregistration.k8s.io/v1", "DeploymentList": "apps/v1",
	} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(apiVersion)
		list.SetKind(kind)
		must(t, admin.List(t.Context(), list))
		for _, o := range list.Items {
			if strings.Contains(o.GetName(), "counterweight") {
				t.Errorf("%s %s is left", o.GetKind(), o.GetName())
			}
		}
	}
}
