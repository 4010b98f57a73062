package v1alpha1_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

// TestSamples applies every object of config/samples, in the order of its kustomization, refusing fields that the
// API server does not know.
func TestSamples(t *testing.T) {
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "config", "samples")
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	order, _, _ := unstructured.NestedStringSlice(objectsIn(t, filepath.Join(dir, "kustomization.yaml"))[0].Object, "resources")
	for _, file := range files {
		if name := filepath.Base(file); name != "kustomization.yaml" && !slices.Contains(order, name) {
			t.Errorf("%s is not in kustomization.yaml", name)
		}
	}
	seen := map[string]bool{}
	for _, name := range order {
		for _, object := range objectsIn(t, filepath.Join(dir, name)) {
			seen[object.GetKind()] = true
			apply(t, object)
		}
	}
	for kind := range fineObjects {
		if !seen[kind] {
			t.Errorf("no sample of a %s", kind)
		}
	}
}

func objectsIn(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	decoder := yamlutil.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, object)
	}
}

func apply(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	if err := api.Create(t.Context(), object, client.FieldValidation("Strict")); err != nil {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
		return
	}
	t.Cleanup(func() { remove(t, object) })
	if object.GroupVersionKind().GroupVersion() != powerv1.GroupVersion {
		return
	}
	generation, _, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if err != nil || generation != -1 {
		t.Errorf("%s %s: status.observedGeneration is %d, %v; want -1, which GitOps tools read as not yet seen",
			object.GetKind(), object.GetName(), generation, err)
	}
}

// TestWattsSurviveGo reads watts as people write them and writes them back as Go does.
func TestWattsSurviveGo(t *testing.T) {
	for _, watts := range []string{"0", "0.5k", "10.2k", "20000000", "1000G", "1T"} {
		budget := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}}
		budget.Spec.LimitWatts = resource.MustParse(watts)
		if err := api.Create(t.Context(), budget); err != nil {
			t.Errorf("%s: %v", watts, err)
			continue
		}
		t.Cleanup(func() { remove(t, budget) })
		budget.Status = powerv1.PowerBudgetStatus{ObservedGeneration: budget.Generation, LimitWatts: &budget.Spec.LimitWatts}
		if err := api.Status().Update(t.Context(), budget); err != nil {
			t.Errorf("%s in a status: %v", watts, err)
			continue
		}
		if want := resource.MustParse(watts); budget.Spec.LimitWatts.Cmp(want) != 0 || budget.Status.LimitWatts.Cmp(want) != 0 {
			t.Errorf("%s came back as %v and %v", watts, budget.Spec.LimitWatts, budget.Status.LimitWatts)
		}
	}
}
