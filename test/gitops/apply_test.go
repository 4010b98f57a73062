package gitops

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// gitOps is the manager of what comes from Git.
const gitOps = client.FieldOwner("kustomize-controller")

// Two that write the same objects, one from Git and one what became of them, never meet: what Git says again changes
// nothing, and the operator writes nothing where nothing changes.
func TestTwoWritersAndNothingToDo(t *testing.T) {
	samples := samplesInOrder(t)
	for _, sample := range samples {
		object := apply(t, sample)
		if ours(sample) {
			t.Cleanup(func() { remove(t, object) })
			judge(t, object, status.InProgressStatus) // nobody has looked at it
		}
	}
	waits := gatedPod(t)
	operate(t)
	eventually(t, 30*time.Second, func() string { return unseen(t, samples) })
	eventually(t, 30*time.Second, func() string { return notYetWaiting(t, waits) })

	quiet := 0
	eventually(t, 30*time.Second, func() string { // what the start set off ends
		before := len(operatorWrites(t))
		time.Sleep(2 * time.Second)
		if quiet++; len(operatorWrites(t)) > before {
			quiet = 0
		}
		if quiet < 2 {
			return fmt.Sprintf("the operator goes on writing: %v", last(operatorWrites(t), 5))
		}
		return ""
	})
	before := len(operatorWrites(t))
	for range 2 {
		for _, sample := range samples {
			applyAgain(t, sample)
		}
		time.Sleep(5 * time.Second) // the operator looks at its site every second
	}
	if after := operatorWrites(t); len(after) != before || before == 0 {
		t.Errorf("the operator wrote %d times before, and with nothing to do: %v", before, after[before:])
	}
	for _, sample := range samples {
		if ours(sample) {
			owned(t, sample)
		}
	}
}

func samplesInOrder(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	list := objectsIn(t, read(t, "config", "samples", "kustomization.yaml"))[0]
	names, _, err := unstructured.NestedStringSlice(list.Object, "resources")
	must(t, err)
	var samples []*unstructured.Unstructured
	for _, name := range names {
		samples = append(samples, objectsIn(t, read(t, "config", "samples", name))...)
	}
	return samples
}

func apply(t *testing.T, sample *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	object := sample.DeepCopy()
	// Without force: a field that somebody else wrote is a conflict.
	if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), gitOps); err != nil {
		t.Fatalf("applying %s %s: %v", sample.GetKind(), sample.GetName(), err)
	}
	return object
}

func applyAgain(t *testing.T, sample *unstructured.Unstructured) {
	t.Helper()
	before := current(t, sample)
	if after := apply(t, sample); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Errorf("%s %s: applying it again changes it", sample.GetKind(), sample.GetName())
	}
}

func current(t *testing.T, sample *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(sample.GroupVersionKind())
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(sample), object))
	return object
}

func ours(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().GroupVersion() == powerv1.GroupVersion
}

// unseen names an object whose spec the operator has not taken in.
func unseen(t *testing.T, samples []*unstructured.Unstructured) string {
	t.Helper()
	for _, sample := range samples {
		if !ours(sample) {
			continue
		}
		object := current(t, sample)
		seen, _, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		must(t, err)
		if seen != object.GetGeneration() {
			return fmt.Sprintf("%s %s was not seen: generation %d of %d", object.GetKind(), object.GetName(), seen, object.GetGeneration())
		}
	}
	return ""
}

// gatedPod is one of the eight that llama-train waits for, at the gate.
func gatedPod(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	must(t, api.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "llama-train-0", Labels: map[string]string{"app": "llama-train"}},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}},
			Containers: []corev1.Container{{Name: "trainer", Image: "trainer", Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8")},
			}}},
		},
	}))
	w := &unstructured.Unstructured{}
	w.SetGroupVersionKind(powerv1.GroupVersion.WithKind("GPUWorkload"))
	w.SetNamespace("ai")
	w.SetName("llama-train")
	return w
}

// notYetWaiting complains until a workload is seen to wait, and holds no rollout for it.
func notYetWaiting(t *testing.T, workload *unstructured.Unstructured) string {
	t.Helper()
	object := current(t, workload)
	gated, _, err := unstructured.NestedInt64(object.Object, "status", "pods", "gated")
	must(t, err)
	result, err := status.Compute(object)
	must(t, err)
	if health := healthIn(t, object); gated != 1 || result.Status != status.CurrentStatus || health.status != "Healthy" {
		return fmt.Sprintf("GPUWorkload %s: %d pods at the gate, kstatus %s (%s), health %v", object.GetName(), gated, result.Status, result.Message, health)
	}
	return ""
}

// owned looks at who owns what of an object. Its spec is Git's alone and is as Git has it: the operator writes none of
// it, and neither does the API server, which has defaults for the status only.
func owned(t *testing.T, sample *unstructured.Unstructured) {
	t.Helper()
	object := current(t, sample)
	if diff := cmp.Diff(inJSON(t, sample.Object["spec"]), inJSON(t, object.Object["spec"])); diff != "" {
		t.Errorf("%s %s: the spec is not what Git says (-Git +cluster): %s", object.GetKind(), object.GetName(), diff)
	}
	parts := map[string][]string{}
	for _, entry := range object.GetManagedFields() {
		var fields map[string]any
		must(t, json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields))
		for part := range fields {
			parts[part] = append(parts[part], entry.Manager)
		}
	}
	for part, want := range map[string]string{"f:spec": string(gitOps), "f:status": operatorAgent} {
		if got := slices.Compact(parts[part]); !slices.Equal(got, []string{want}) {
			t.Errorf("%s %s: %s is %v's, want %s's alone", object.GetKind(), object.GetName(), part, got, want)
		}
	}
}

func inJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.MarshalIndent(value, "", " ")
	must(t, err)
	return string(text)
}

func last(of []string, n int) []string { return slices.Clone(of[max(0, len(of)-n):]) }
