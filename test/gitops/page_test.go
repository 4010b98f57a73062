package gitops

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// What docs/gitops.md shows is what the API server takes.
func TestThePage(t *testing.T) {
	missing := map[string]bool{"Application": true, "OCIRepository": true, "HelmRelease": true, "Kustomization": true, "PowerBudget": true, "MinerPool": true}
	namespace(t, "mining")
	for _, object := range onThePage(t) {
		if object.GetKind() == "" || object.GetAPIVersion() == "" || object.GetName() == "" {
			t.Errorf("an object without a name, kind or version: %v", object.Object)
		}
		delete(missing, object.GetKind())
		if ours(object) {
			must(t, api.Create(t.Context(), object, client.DryRunAll, client.FieldValidation("Strict")))
		}
	}
	for kind := range missing {
		t.Errorf("the page shows no %s", kind)
	}
}

// What Flux is told to wait for on the page is on it or in the samples.
func TestThePageWaitsForWhatIsThere(t *testing.T) {
	type reference struct{ APIVersion, Kind, Namespace, Name string }
	known := map[reference]bool{}
	for _, object := range append(samplesInOrder(t), onThePage(t)...) {
		known[reference{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName()}] = true
	}
	waits := 0
	for _, object := range onThePage(t) {
		var flux struct {
			Spec struct{ HealthChecks []reference }
		}
		text, err := json.Marshal(object.Object)
		must(t, err)
		must(t, json.Unmarshal(text, &flux))
		for _, one := range flux.Spec.HealthChecks {
			waits++
			if !known[one] {
				t.Errorf("the page waits for %v, which neither it nor the samples have", one)
			}
		}
	}
	if waits == 0 {
		t.Error("the page waits for nothing")
	}
}

func onThePage(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(read(t, "docs", "gitops.md"), -1) {
		objects = append(objects, objectsIn(t, block[1])...)
	}
	return objects
}

// The patch of Argo CD's ConfigMap leaves the rest of it as it is.
func TestThePatchOfTheConfigMap(t *testing.T) {
	namespace(t, "argocd")
	settings := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "argocd-cm"}, Data: map[string]string{"url": "https://argocd.example.com"},
	}
	must(t, api.Create(t.Context(), settings))
	text := read(t, "docs", "gitops", "argocd-cm.yaml")
	if page := read(t, "docs", "gitops.md"); !bytes.Contains(page, []byte("patch configmap argocd-cm --patch-file docs/gitops/argocd-cm.yaml\n")) {
		t.Error("the page has another command")
	}
	patch, err := yaml.YAMLToJSON(text)
	must(t, err)
	must(t, api.Patch(t.Context(), settings, client.RawPatch(types.StrategicMergePatchType, patch)))
	if len(settings.Data) != 1+len(lifecycle) || settings.Data["url"] == "" {
		t.Errorf("got %d keys", len(settings.Data))
	}
}

// What the page says of those that make pods, while these wait at the gate.
func TestWhoMakesPodsThatWait(t *testing.T) {
	for name, c := range map[string]struct {
		object string
		want   status.Status
	}{
		"job": {`{apiVersion: batch/v1, kind: Job, metadata: {generation: 1}, spec: {parallelism: 8, completions: 8},
			status: {active: 8, ready: 0, startTime: "2031-07-01T16:00:00Z"}}`, status.CurrentStatus},
		"stateful set": {`{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 2},
			status: {observedGeneration: 1, replicas: 2, currentReplicas: 2, updatedReplicas: 2, readyReplicas: 0}}`, status.InProgressStatus},
		"deployment": {`{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2, progressDeadlineSeconds: 600},
			status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, unavailableReplicas: 2,
			conditions: [{type: Progressing, status: "True", reason: ReplicaSetUpdated}]}}`, status.InProgressStatus},
		"deployment past its deadline": {`{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2, progressDeadlineSeconds: 600},
			status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, unavailableReplicas: 2,
			conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded}]}}`, status.FailedStatus},
	} {
		got, err := status.Compute(objectsIn(t, []byte(c.object))[0])
		must(t, err)
		if got.Status != c.want {
			t.Errorf("%s: kstatus says %s (%s), want %s", name, got.Status, got.Message, c.want)
		}
	}
}
