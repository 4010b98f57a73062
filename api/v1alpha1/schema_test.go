package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var api client.Client

func TestMain(m *testing.M) {
	os.Exit(testenv.Run(m, func(config *rest.Config) {
		if err := powerv1.AddToScheme(scheme); err != nil {
			panic(err)
		}
		if err := corev1.AddToScheme(scheme); err != nil {
			panic(err)
		}
		var err error
		if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
			panic(err)
		}
	}))
}

// rule is one bound of the API: values of a field that pass and values that fail, everything else in the
// object being fine. A list's entries and a map's values are given within their list or map.
type rule struct {
	kind  string
	field string // e.g. spec.leaseSeconds, or metadata.name
	pass  []any
	fail  []any
	// with changes the object first, e.g. {"spec.parent": "site-a"}.
	with map[string]any
	// before is the field's value in the object that is being updated; without it, objects are created.
	before any
}

// What set does where it is not to set a value.
type special string

const (
	absent    special = "the field left out"
	unchanged special = "the field as it is"
)

// refusal is one complaint of the API server.
type refusal struct{ kind, field, message string }

// TestRules creates or updates one object for each value of each rule. Then it reads the generated CRDs:
// every bound in them must have been met by a value that failed for it, so that a new rule without a test
// fails here.
func TestRules(t *testing.T) {
	var refusals []refusal
	ran := 0
	rules := slices.Concat(powerBudgetRules, minerPoolRules, gpuWorkloadRules, curtailmentEventRules)
	for _, rule := range rules {
		t.Run(rule.kind+"/"+rule.field, func(t *testing.T) {
			ran++
			if len(rule.pass) == 0 || len(rule.fail) == 0 {
				t.Error("a rule needs a value that passes and one that fails")
			}
			for _, value := range rule.pass {
				if err := write(t, rule, value); err != nil {
					t.Errorf("%v should pass: %v", brief(value), err)
				}
			}
			for _, value := range rule.fail {
				refusals = append(refusals, refused(t, rule, value)...)
			}
		})
	}
	if t.Failed() || ran < len(rules) { // -run chose some
		return
	}
	for _, bound := range boundsOfCRDs(t) {
		if !slices.ContainsFunc(refusals, bound.is) {
			t.Errorf("no value fails for %s of %s: %q", bound.field, bound.kind, bound.message)
		}
	}
}

// refused writes a value that must fail, and gives the API server's complaints.
func refused(t *testing.T, rule rule, value any) []refusal {
	t.Helper()
	err := write(t, rule, value)
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil {
		t.Errorf("%v should fail as invalid, got: %v", brief(value), err)
		return nil
	}
	var refusals []refusal
	for _, cause := range status.ErrStatus.Details.Causes {
		field := index.ReplaceAllString(cause.Field, "[]")
		refusals = append(refusals, refusal{rule.kind, field, cause.Message})
	}
	if !slices.ContainsFunc(refusals, func(r refusal) bool {
		return r.field == "<nil>" || strings.HasPrefix(r.field, rule.field) || strings.HasPrefix(rule.field, r.field)
	}) {
		t.Errorf("%v fails for another field: %v", brief(value), err)
	}
	return refusals
}

var index = regexp.MustCompile(`\[[^]]*\]`)

// write creates the rule's object with the value in its field, or updates an object to have it.
func write(t *testing.T, rule rule, value any) error {
	t.Helper()
	object := fine(t, rule.kind)
	for field, with := range rule.with {
		set(t, object, field, with)
	}
	inStatus := strings.HasPrefix(rule.field, "status")
	if rule.before == nil && !inStatus {
		set(t, object, rule.field, value)
		return api.Create(t.Context(), object, client.DryRunAll)
	}
	if rule.before != nil && !inStatus {
		set(t, object, rule.field, rule.before)
	}
	create(t, object)
	if rule.before != nil && inStatus {
		set(t, object, rule.field, rule.before)
		if err := api.Status().Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	set(t, object, rule.field, value)
	if inStatus {
		return api.Status().Update(t.Context(), object, client.DryRunAll)
	}
	return api.Update(t.Context(), object, client.DryRunAll)
}

// create creates the object under a name of its own, and deletes it with the test.
func create(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	object.SetName("")
	object.SetGenerateName("a-")
	if err := api.Create(t.Context(), object); err != nil {
		t.Fatal("creating the object to update:", err)
	}
	t.Cleanup(func() { remove(t, object) })
}

// remove deletes the object; t may be over.
func remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := api.Delete(context.WithoutCancel(t.Context()), object); err != nil {
		t.Error(err)
	}
}

// set puts a value into a field, making maps on the way; absent removes the field.
func set(t *testing.T, object *unstructured.Unstructured, field string, value any) {
	t.Helper()
	path := strings.Split(field, ".")
	switch value {
	case unchanged:
		return
	case absent:
		unstructured.RemoveNestedField(object.Object, path...)
		return
	}
	// Through YAML, so that numbers are what a client's JSON would make of them.
	text, err := yaml.Marshal(map[string]any{"value": value})
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := yaml.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	parent := object.Object
	for _, name := range path[:len(path)-1] {
		child, ok := parent[name].(map[string]any)
		if !ok {
			child = map[string]any{}
			parent[name] = child
		}
		parent = child
	}
	parent[path[len(path)-1]] = plain["value"]
}

// fine is an object of the kind that nothing is wrong with.
func fine(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(fineObjects[kind]), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetGroupVersionKind(powerv1.GroupVersion.WithKind(kind))
	return object
}

// fineObjects are as small as they may be.
var fineObjects = map[string]string{
	"PowerBudget": `
metadata: {name: hall-1}
spec: {limitWatts: 20M}`,
	"MinerPool": `
metadata: {name: hydro-1, namespace: default}
spec: {budget: hall-1, ratedWatts: 3600k, devices: {addresses: [10.20.0.0/22]}}`,
	"GPUWorkload": `
metadata: {name: llama, namespace: default}
spec: {class: Training, selector: {matchLabels: {app: llama}}}`,
	"CurtailmentEvent": `
metadata: {name: evening-peak}
spec: {budget: site-a, limitWatts: 12M, start: "2026-07-01T16:00:00Z", end: "2026-07-01T19:00:00Z"}`,
}

// bound is one constraint of a CRD's schema, and a part of what the API server says of what breaks it.
type bound struct{ kind, field, message string }

func (b bound) is(r refusal) bool {
	return b.kind == r.kind && strings.Contains(r.message, b.message) && (b.field == r.field || r.field == "<nil>")
}

// isForeign says whether a field's schema is not ours to test.
func isForeign(field string) bool {
	return slices.ContainsFunc([]string{"metadata", "apiVersion", "kind", "spec.agent.resources.", "spec.agent.tolerations[]",
		"spec.selector.", "status.conditions[]"}, func(prefix string) bool { return strings.HasPrefix(field, prefix) })
}

// boundsOfCRDs reads every constraint from the generated CRDs.
func boundsOfCRDs(t *testing.T) []bound {
	t.Helper()
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) != 4 {
		t.Fatalf("want 4 CRDs, got %v, %v", files, err)
	}
	var bounds []bound
	for _, file := range files {
		crd := readCRD(t, file)
		bounds = append(bounds, boundsOf(crd.Spec.Names.Kind, "", *crd.Spec.Versions[0].Schema.OpenAPIV3Schema)...)
	}
	if len(bounds) < 100 {
		t.Fatalf("found only %d bounds in the CRDs", len(bounds))
	}
	return bounds
}

// brief is a value, cut to a readable length.
func brief(value any) string {
	text := fmt.Sprintf("%#v", value)
	if len(text) > 120 {
		return text[:120] + "..."
	}
	return text
}

// sorted gives a map's keys in a fixed order, so that failures read the same each time.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// condition is one that nothing is wrong with.
func condition(conditionType string) map[string]any {
	return map[string]any{"type": conditionType, "status": "True", "reason": "Because", "message": "",
		"lastTransitionTime": metav1.Unix(0, 0).UTC().Format("2006-01-02T15:04:05Z")}
}
