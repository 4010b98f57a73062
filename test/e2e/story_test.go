//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// One site lives through everything, in this order: a later story begins with what the one before it left.
func TestSite(t *testing.T) {
	if !t.Run("install", install) {
		return
	}
	m := startMeter()
	for _, story := range []struct {
		name string
		play func(*testing.T)
	}{
		{"hand-over", handOver},
		{"operator deleted mid hand-over", operatorDeleted},
		{"agent deleted", agentDeleted},
		{"curtailment", curtailment},
		{"namespace un-enrolled", unenrolled},
		{"chart upgraded", upgraded},
		{"node drained", drained},
	} {
		if !t.Run(story.name, story.play) {
			tell(t)
			break
		}
	}
	m.judge(t)
	if !t.Failed() && !t.Run("uninstall", uninstalled) { // which lets in who waits, whether there are watts or not
		tell(t)
	}
}

// tell shows what a person would look at.
func tell(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "counterweight", "-A", "-o", "wide"}, {"get", "pods", "-A", "-o", "wide"},
		{"events", "-A"}, {"logs", "-n", operatorNS, "-l", "app.kubernetes.io/component=operator", "--tail=30", "--prefix"},
		{"logs", "-n", miningNS, "-l", agentLabels, "--tail=30", "--prefix"},
	} {
		out, err := run(binary("kubectl"), args...)
		t.Log(out, err)
	}
}

func install(t *testing.T) {
	level := "privileged"
	if place.restricted {
		level = "restricted"
	}
	apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: mining, labels: {pod-security.kubernetes.io/enforce: %[1]s}}
---
apiVersion: v1
kind: Namespace
metadata: {name: counterweight-system, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ai, labels: {power.counterweight.dev/admission: Gated}}
`, level)
	if kubectl(t, "get", "node", nodeName, `-o=jsonpath={.status.capacity.nvidia\.com/gpu}`) == "" {
		kubectl(t, "patch", "node", nodeName, "--subresource=status", "--type=merge", `-p={"status":{"capacity":{"nvidia.com/gpu":"32"}}}`)
		place.patched = true
	}

	began := time.Now()
	helm(t, "install", "counterweight", "charts/counterweight", "-n", operatorNS,
		"--set", "image.repository="+place.images+"/operator,image.tag="+version(),
		"--set", "agentImage.repository="+place.images+"/miner-agent,agentImage.tag="+version(),
		"--set", "mining[0].namespace=mining", "--set", "mining[0].devices={198.18.0.0/15}")
	applySite(t)
	eventually(t, "the first lease", slow, leased)
	t.Logf("from helm install to the first lease: %.1f s", time.Since(began).Seconds())
	helm(t, "test", "counterweight", "-n", operatorNS, "--timeout", "3m")
	minersDraw(t, "mining fills the site", fullMining, limit)
}

// handOver: a pod waits, miners shed, it runs, it ends, and mining comes back.
func handOver(t *testing.T) {
	began := time.Now()
	startTrain(t, "first", 15*time.Second)
	if !gated(t, "first") {
		t.Error("the pod never was at the gate")
	}
	eventually(t, "the pod is admitted", slow, admitted("first"))
	t.Logf("from a pod to its admission: %.1f s", time.Since(began).Seconds())
	minersDraw(t, "mining has shed", 0, limit-base-train)
	eventually(t, "the pod runs", slow, inPhase("first", corev1.PodRunning, corev1.PodSucceeded))
	eventually(t, "the pod ends", slow, inPhase("first", corev1.PodSucceeded))
	minersDraw(t, "mining comes back", fullMining, limit)
	remove(t, "first")
}

func admitted(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		now, err := drawing(ctx)
		if err != nil {
			return err
		}
		pod, err := getPod(ctx, name)
		if err == nil && !now[string(pod.UID)] && pod.Status.Phase != corev1.PodSucceeded {
			err = errNotYet
		}
		return err
	}
}

// leader is the pod that leads.
func leader(t *testing.T) string {
	t.Helper()
	holder := strings.TrimSpace(kubectl(t, "get", "lease", "-n", operatorNS, "counterweight-operator", "-o", "jsonpath={.spec.holderIdentity}"))
	name, _, _ := strings.Cut(holder, "_")
	return name
}

// operatorDeleted: the leader goes while miners shed for a pod, and another finishes what it began.
func operatorDeleted(t *testing.T) {
	former := leader(t)
	startTrain(t, "second", 10*time.Second)
	minersDraw(t, "mining sheds", 0, fullMining-1)
	kubectl(t, "delete", "pod", "-n", operatorNS, former, "--wait=false")
	if !gated(t, "second") {
		t.Error("the pod was admitted before the leader went: nothing was left to finish")
	}
	eventually(t, "the pod is admitted", slow, admitted("second"))
	if now := leader(t); now == former || now == "" {
		t.Errorf("%q led before and %q leads", former, now)
	}
	eventually(t, "the pod runs", slow, inPhase("second", corev1.PodRunning, corev1.PodSucceeded))
	eventually(t, "there are two operators again", slow, func(ctx context.Context) error {
		_, err := run(binary("kubectl"), "rollout", "status", "-n", operatorNS, "deployment/counterweight-operator", "--timeout=5s")
		return err
	})
	eventually(t, "the pod ends", slow, inPhase("second", corev1.PodSucceeded))
	minersDraw(t, "mining comes back", fullMining, limit)
	remove(t, "second")
}

// agentDeleted: the agent's pod goes and another takes over its machines.
func agentDeleted(t *testing.T) {
	old := agent(t)
	kubectl(t, "delete", "pod", "-n", miningNS, old.Name, "--wait=false")
	eventually(t, "another agent runs", slow, func(ctx context.Context) error {
		var pod corev1.Pod
		if err := admin.Get(ctx, client.ObjectKeyFromObject(old), &pod); err != nil {
			return err
		}
		if pod.UID == old.UID || !ready(&pod) {
			return errNotYet
		}
		return nil
	})
	eventually(t, "it has a lease", slow, leased)
	startTrain(t, "third", 5*time.Second)
	eventually(t, "a pod gets its watts from it", slow, inPhase("third", corev1.PodRunning, corev1.PodSucceeded))
	eventually(t, "the pod ends", slow, inPhase("third", corev1.PodSucceeded))
	minersDraw(t, "mining comes back", fullMining, limit)
	remove(t, "third")
}

func agent(t *testing.T) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	must(t, admin.Get(during, types.NamespacedName{Namespace: miningNS, Name: "hall-0"}, pod))
	return pod
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}
