package gitops

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// lifecycle is what kstatus is to say of each state in testdata, which holds what the controllers write.
var lifecycle = map[string]map[string]status.Status{
	"PowerBudget": {
		"reconciling": status.InProgressStatus, "undecided": status.CurrentStatus, "ready": status.CurrentStatus,
		"shedding": status.CurrentStatus, "over-limit": status.CurrentStatus,
		"stalled": status.FailedStatus, "deleting": status.TerminatingStatus,
	},
	"MinerPool": {
		"reconciling": status.InProgressStatus, "before-budget": status.InProgressStatus, "addresses-wait": status.InProgressStatus,
		"ready": status.CurrentStatus, "curtailed": status.CurrentStatus, "observed": status.CurrentStatus,
		"agent-unheard": status.InProgressStatus, "machine-missing": status.CurrentStatus,
		"stalled": status.FailedStatus, "deleting": status.TerminatingStatus,
	},
	"GPUWorkload": {
		"no-pods": status.CurrentStatus, "ready": status.CurrentStatus, "ungated": status.CurrentStatus, "node-lost": status.CurrentStatus,
		// A rollout is not held for watts.
		"waiting-for-power": status.CurrentStatus, "waiting-for-miners": status.CurrentStatus,
		"stalled": status.FailedStatus, "deleting": status.TerminatingStatus,
	},
	"CurtailmentEvent": {
		"scheduled": status.CurrentStatus, "active": status.CurrentStatus, "missed": status.CurrentStatus, "ended": status.CurrentStatus,
		"stalled": status.FailedStatus, "deleting": status.TerminatingStatus,
	},
}

// healthOf is what Argo CD is to say where kstatus says something.
var healthOf = map[status.Status]string{
	status.CurrentStatus: "Healthy", status.InProgressStatus: "Progressing", status.FailedStatus: "Degraded",
	status.TerminatingStatus: "Progressing", // as Argo CD itself has it
}

func TestEveryStateOfEveryKind(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "test", "gitops", "testdata", "*", "*.yaml"))
	must(t, err)
	seen := 0
	for _, file := range files {
		kind, state := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(kind+"/"+state, func(t *testing.T) {
			want, known := lifecycle[kind][state]
			if !known {
				t.Fatal("nobody says what is to be made of it")
			}
			object := live(t, objectsIn(t, read(t, "test", "gitops", "testdata", kind, state+".yaml"))[0])
			judge(t, object, want)
			if want != status.CurrentStatus {
				return
			}
			// What was true of the last spec is not said of the next one.
			edit(t, object)
			judge(t, object, status.InProgressStatus)
		})
		seen++
	}
	for kind, states := range lifecycle {
		seen -= len(states)
		t.Run(kind+"/new", func(t *testing.T) {
			object := objectsIn(t, read(t, "test", "gitops", "testdata", kind, "stalled.yaml"))[0]
			delete(object.Object, "status")
			judge(t, live(t, object), status.InProgressStatus)
		})
	}
	if seen != 0 {
		t.Errorf("testdata has %d files more than there are states", seen)
	}
}

// live brings an object to the API server as it would have come there, with its status written as the operator does.
func live(t *testing.T, want *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	object := want.DeepCopy()
	for _, field := range []string{"generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	if name := object.GetNamespace(); name != "" {
		namespace(t, name)
	}
	must(t, api.Create(t.Context(), object, client.FieldValidation("Strict")))
	t.Cleanup(func() { remove(t, object) })
	if want.GetDeletionTimestamp() != nil {
		must(t, api.Delete(t.Context(), object))
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(object), object))
	}
	if said, ok := want.Object["status"]; ok {
		object.Object["status"] = said
		must(t, api.Status().Update(t.Context(), object, &client.SubResourceUpdateOptions{
			UpdateOptions: client.UpdateOptions{FieldValidation: "Strict"},
		}))
	}
	return object
}

func remove(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	_ = api.Delete(ctx, object)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := client.IgnoreNotFound(api.Patch(ctx, object, patch)); err != nil {
		t.Error(err)
	}
}

// edit changes an object's spec, as a commit would.
func edit(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	field := map[string]string{"PowerBudget": "limitWatts", "MinerPool": "ratedWatts", "GPUWorkload": "wattsPerPod", "CurtailmentEvent": "limitWatts"}
	must(t, unstructured.SetNestedField(object.Object, "9k", "spec", field[object.GetKind()]))
	must(t, api.Update(t.Context(), object))
}

func judge(t *testing.T, object *unstructured.Unstructured, want status.Status) {
	t.Helper()
	got, err := status.Compute(object)
	must(t, err)
	if got.Status != want {
		t.Errorf("kstatus says %s (%s), want %s", got.Status, got.Message, want)
	}
	health := healthIn(t, object)
	if health.status != healthOf[want] {
		t.Errorf("the health check says %s (%s), want %s", health.status, health.message, healthOf[want])
	}
	if health.message == "" {
		t.Error("the health check says nothing that a person could read")
	}
}

// A workload that waits says for what, where Argo CD shows it.
func TestHealthOfAWorkloadThatWaitsNamesTheReason(t *testing.T) {
	object := objectsIn(t, read(t, "test", "gitops", "testdata", "GPUWorkload", "waiting-for-power.yaml"))[0]
	if health := healthIn(t, object); !strings.Contains(health.message, powerv1.ReasonNoRoom) || !strings.Contains(health.message, "1 pod waits") {
		t.Errorf("got %q", health.message)
	}
}
