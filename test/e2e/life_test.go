//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// curtailment: the grid asks for 50 kW less. The draw is down when that begins, stays down, and comes back.
func curtailment(t *testing.T) {
	const most = 20_000
	start := time.Now().Add(40 * time.Second).Truncate(time.Second)
	end := start.Add(25 * time.Second)
	apply(t, `
apiVersion: power.counterweight.dev/v1alpha1
kind: CurtailmentEvent
metadata: {name: peak}
spec: {budget: site, limitWatts: %d, start: %q, end: %q, reason: evening peak}
`, most, start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339))
	looks := 0
	for {
		now := time.Now()
		w, err := place.watts(during)
		must(t, err)
		if time.Now().After(end) {
			break
		}
		if now.After(start) {
			looks++
			if w+base > most {
				t.Fatalf("%s after the start miners and base draw %.0f W, want %d", now.Sub(start), w+base, most)
			}
		}
		time.Sleep(250 * time.Millisecond)
	}
	if looks == 0 {
		t.Error("nobody looked at the watts during the event")
	}
	eventually(t, "the event is told to be met", slow, func(ctx context.Context) error {
		var e powerv1.CurtailmentEvent
		if err := admin.Get(ctx, client.ObjectKey{Name: "peak"}, &e); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(e.Status.Conditions, powerv1.ConditionMet) || !meta.IsStatusConditionTrue(e.Status.Conditions, powerv1.ConditionEnded) {
			return errorf("%v", e.Status.Conditions)
		}
		return nil
	})
	minersDraw(t, "mining comes back", fullMining, limit)
}

// unenrolled: who waits goes on waiting for its watts, new pods start at once, and the namespace can come back.
func unenrolled(t *testing.T) {
	startTrain(t, "runs", 0)
	eventually(t, "the first pod runs", slow, inPhase("runs", corev1.PodRunning))
	startTrain(t, "waits", 0)
	kubectl(t, "label", "namespace", aiNS, powerv1.AdmissionLabel+"-")
	eventually(t, "new pods start at once", slow, func(ctx context.Context) error {
		if _, err := getPod(ctx, "free"); apierrors.IsNotFound(err) {
			apply(t, podManifest, "free", "free", image("pause"), "", 1)
		}
		if gated(t, "free") { // the API server may hear of the label a moment later
			remove(t, "free")
		}
		return inPhase("free", corev1.PodRunning)(ctx)
	})
	if !gated(t, "waits") {
		t.Error("the pod that waited was let in without its watts")
	}
	remove(t, "runs")
	eventually(t, "the pod that waited gets the watts of the one that ended", slow, inPhase("waits", corev1.PodRunning))
	remove(t, "waits")
	remove(t, "free")
	kubectl(t, "label", "namespace", aiNS, powerv1.AdmissionLabel+"="+powerv1.AdmissionGated)
	minersDraw(t, "mining comes back", fullMining, limit)
}

// upgraded: a newer chart brings a newer CRD, and whatever runs and mines does so all the while.
func upgraded(t *testing.T) {
	startTrain(t, "stays", 0)
	eventually(t, "a pod runs", slow, inPhase("stays", corev1.PodRunning))
	pod, err := getPod(during, "stays")
	must(t, err)
	old, before := agent(t), reserved(t)

	helm(t, "upgrade", "counterweight", newerChart(t), "-n", operatorNS, "--reset-then-reuse-values")
	kubectl(t, "rollout", "status", "-n", operatorNS, "deployment/counterweight-operator", "--timeout=3m")
	eventually(t, "the new field is known", slow, func(context.Context) error {
		_, err := run(binary("kubectl"), "patch", "powerbudget", "site", "--type=merge", "--dry-run=server", `-p={"spec":{"colour":"red"}}`)
		return err
	})
	eventually(t, "leases go on", slow, leased)
	minersDraw(t, "mining goes on", 10_000, limit-base-train)
	if got := agent(t); got.UID != old.UID {
		t.Error("the agent's pod is another")
	}
	if got, err := getPod(during, "stays"); err != nil || got.UID != pod.UID || got.Status.Phase != corev1.PodRunning {
		t.Errorf("the accelerator pod is not what it was: %v", err)
	}
	if after := reserved(t); after != before {
		t.Errorf("reserved are %d W, were %d", after, before)
	}
	remove(t, "stays")
	minersDraw(t, "mining comes back", fullMining, limit)
}

func reserved(t *testing.T) int64 {
	t.Helper()
	var w powerv1.GPUWorkload
	must(t, admin.Get(during, client.ObjectKey{Namespace: aiNS, Name: "train"}, &w))
	if w.Status.ReservedWatts == nil {
		t.Fatal("nothing is reserved")
	}
	return w.Status.ReservedWatts.Value()
}

func newerChart(t *testing.T) string {
	t.Helper()
	newer := filepath.Join(t.TempDir(), "counterweight")
	must(t, os.CopyFS(newer, os.DirFS(filepath.Join(root, "charts", "counterweight"))))
	edit(t, filepath.Join(newer, "files", "crds", "power.counterweight.dev_powerbudgets.yaml"),
		"              limitWatts:", "              colour:\n                maxLength: 16\n                type: string\n              limitWatts:")
	edit(t, filepath.Join(newer, "Chart.yaml"), "version: 0.1.0", "version: 0.2.0")
	edit(t, filepath.Join(newer, "values.yaml"), "requests: {cpu: 200m", "requests: {cpu: 199m") // so that the operators are new, too
	return newer
}

func edit(t *testing.T, path, old, with string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", path, old)
	}
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), old, with, 1)), 0o600))
}

// drained: with its agent away, what the machines draw stays counted, so nobody is let in; the agent comes back.
func drained(t *testing.T) {
	old := agent(t)
	kubectl(t, "drain", old.Spec.NodeName, "--pod-selector="+place.drains, "--force", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=2m")
	startTrain(t, "early", 5*time.Second)
	for range 40 {
		if !gated(t, "early") {
			t.Fatal("a pod was let in while nobody reads the machines")
		}
		time.Sleep(250 * time.Millisecond)
	}
	kubectl(t, "uncordon", old.Spec.NodeName)
	eventually(t, "the pod runs once the agent is back", slow, inPhase("early", corev1.PodRunning, corev1.PodSucceeded))
	if agent(t).UID == old.UID {
		t.Error("the drain left the agent's pod")
	}
	eventually(t, "the pod ends", slow, inPhase("early", corev1.PodSucceeded))
	minersDraw(t, "mining comes back", fullMining, limit)
	remove(t, "early")
}

// uninstalled: no pod is killed, no gate stays shut, and what people wrote stays.
func uninstalled(t *testing.T) {
	startTrain(t, "lives", 0)
	eventually(t, "a pod runs", slow, inPhase("lives", corev1.PodRunning))
	startTrain(t, "opens", 0)
	stay := staying(t)
	if !gated(t, "opens") {
		t.Fatal("there are no watts for the second pod, but it is not at the gate")
	}
	began := time.Now()
	helm(t, "uninstall", "counterweight", "-n", operatorNS, "--timeout", "15m")
	t.Logf("helm uninstall: %.1f s", time.Since(began).Seconds())
	eventually(t, "the pod that waited runs", slow, inPhase("opens", corev1.PodRunning))
	for o, uid := range stay {
		if err := admin.Get(during, client.ObjectKeyFromObject(o), o); err != nil || o.GetUID() != uid || o.GetDeletionTimestamp() != nil {
			t.Errorf("%T %s is not what it was: %v", o, o.GetName(), err)
		}
	}
	if out := kubectl(t, "get", "-n", operatorNS, "deployments,jobs", "-o", "name"); out != "" {
		t.Errorf("left: %s", out)
	}
	if out := kubectl(t, "get", "mutatingadmissionpolicies,validatingadmissionpolicies", "-o", "name"); strings.Contains(out, "counterweight") {
		t.Errorf("left: %s", out)
	}
	remove(t, "lives")
	remove(t, "opens")
}

// staying is what an uninstall leaves, with the UIDs that it has now.
func staying(t *testing.T) map[client.Object]types.UID {
	t.Helper()
	out := map[client.Object]types.UID{}
	get := func(o client.Object, namespace, name string) {
		must(t, admin.Get(during, client.ObjectKey{Namespace: namespace, Name: name}, o))
		out[o] = o.GetUID()
	}
	get(&powerv1.PowerBudget{}, "", "site")
	get(&powerv1.MinerPool{}, miningNS, "hall")
	get(&powerv1.GPUWorkload{}, aiNS, "train")
	get(&corev1.Secret{}, operatorNS, "counterweight-ca")
	get(&corev1.Pod{}, miningNS, "hall-0")
	get(&corev1.Pod{}, aiNS, "lives")
	return out
}
