package chart

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func kustomize(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	out, err := run(t, kubernetes("kubectl"), "kustomize", filepath.Join(root, "config", folder))
	must(t, err)
	return objectsOf(t, out)
}

// Every object of kustomize passes a real API server too, samples included.
func TestKustomizeIsValid(t *testing.T) {
	for _, name := range []string{"counterweight-system", "mining", "ai"} {
		namespace(t, name, nil)
	}
	for _, folder := range []string{"default", "mining"} {
		for _, o := range kustomize(t, folder) {
			err := admin.Create(t.Context(), o.DeepCopy(), client.DryRunAll, client.FieldValidation("Strict"))
			if o.GetKind() == "Namespace" {
				err = client.IgnoreAlreadyExists(err)
			}
			if err != nil {
				t.Errorf("%s: %s %s: %v", folder, o.GetKind(), o.GetName(), err)
			}
			podPasses(t, o)
		}
	}
}

// Helm and kustomize install the same: the two are written apart, and would drift.
func TestTheChartInstallsWhatKustomizeDoes(t *testing.T) {
	const namespace = "counterweight-system"
	chart := map[string]map[string]any{}
	for _, o := range objectsOf(t, render(t, namespace, "--set", "mining[0].namespace=mining", "--set", "mining[0].devices={10.20.0.0/15}")) {
		if _, hook := o.GetAnnotations()["helm.sh/hook"]; !hook {
			chart[key(o)] = plain(o)
		}
	}
	config := map[string]map[string]any{}
	for _, folder := range []string{"default", "mining"} {
		for _, o := range kustomize(t, folder) {
			if o.GetKind() != "Namespace" { // helm --create-namespace makes it
				config[key(o)] = plain(o)
			}
		}
	}
	if diff := cmp.Diff(config, chart); diff != "" {
		t.Errorf("config (-) and chart (+):\n%s", diff)
	}
}

func key(o *unstructured.Unstructured) string {
	return strings.Join([]string{o.GetKind(), o.GetNamespace(), o.GetName()}, " ")
}

// plain is an object without what a release adds to it, and with all white space of its texts the same.
func plain(o *unstructured.Unstructured) map[string]any {
	o.SetLabels(nil)
	annotations := o.GetAnnotations()
	delete(annotations, "helm.sh/resource-policy")
	o.SetAnnotations(annotations)
	return stripped(o.Object).(map[string]any)
}

func stripped(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "app.kubernetes.io/instance")
		for k := range v {
			v[k] = stripped(v[k])
		}
	case []any:
		for i := range v {
			v[i] = stripped(v[i])
		}
	case string:
		return strings.Join(strings.Fields(v), " ")
	}
	return v
}
