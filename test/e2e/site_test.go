//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// The site of the test, in watts. A train takes what mining alone would fill.
const (
	limit       = 70_000
	base        = 2_000
	train       = 40_000
	fullMining  = 38_000 // twelve machines of 3.5 kW, with room for their own tolerances
	operatorNS  = "counterweight-system"
	miningNS    = "mining"
	aiNS        = "ai"
	slow        = 3 * time.Minute // for whatever a busy machine does late
	agentLabels = "app.kubernetes.io/component=miner-agent"
)

const siteManifest = `
apiVersion: power.counterweight.dev/v1alpha1
kind: PowerBudget
metadata: {name: site}
spec: {limitWatts: 70k, marginPercent: 3, baseLoadWatts: 2k, leaseSeconds: 30, nodeSelector: {power: e2e}}
---
apiVersion: power.counterweight.dev/v1alpha1
kind: MinerPool
metadata: {name: hall, namespace: mining}
spec:
  budget: site
  ratedWatts: 47k
  uncertaintyPercent: 1
  devices: {addresses: [%s]%s}
  agent: {imagePullPolicy: IfNotPresent%s}
---
apiVersion: power.counterweight.dev/v1alpha1
kind: GPUWorkload
metadata: {name: train, namespace: ai}
spec: {class: Training, selector: {matchLabels: {app: train}}, wattsPerPod: 40k, releaseDelaySeconds: 2}
`

func applySite(t *testing.T) {
	t.Helper()
	ports, network := "", ""
	if place.hostNetwork {
		ports, network = ", ports: [{firmware: BraiinsOS, port: 8080}]", ", hostNetwork: Enabled, nodeSelector: {power: e2e}"
	}
	apply(t, siteManifest, place.devices, ports, network)
}

// startTrain makes an accelerator pod that draws 40 kW and ends by itself after a while; 0 is never.
func startTrain(t *testing.T, name string, takes time.Duration) {
	t.Helper()
	args := ""
	if takes > 0 {
		args = fmt.Sprintf(", args: [%q]", takes)
	}
	apply(t, podManifest, name, "train", image("pause"), args, 8)
}

const podManifest = `
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: ai, labels: {app: %s}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 2
  securityContext: {runAsNonRoot: true, runAsUser: 65532}
  containers: [{name: main, image: "%s"%s, resources: {limits: {nvidia.com/gpu: %d}}}]
`

func getPod(ctx context.Context, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, admin.Get(ctx, client.ObjectKey{Namespace: aiNS, Name: name}, pod)
}

func inPhase(name string, phases ...corev1.PodPhase) func(context.Context) error {
	return func(ctx context.Context) error {
		pod, err := getPod(ctx, name)
		if err != nil {
			return err
		}
		for _, p := range phases {
			if pod.Status.Phase == p {
				return nil
			}
		}
		return errorf("pod %s is %s, gated %t: %v", name, pod.Status.Phase, gate.Gated(pod), pod.Status.Conditions)
	}
}

func gated(t *testing.T, name string) bool {
	t.Helper()
	pod, err := getPod(during, name)
	must(t, err)
	return gate.Gated(pod)
}

func remove(t *testing.T, name string) {
	t.Helper()
	kubectl(t, "delete", "pod", "-n", aiNS, name, "--ignore-not-found", "--wait")
}

// minersDraw waits until what the miners truly draw is between two values.
func minersDraw(t *testing.T, what string, from, to float64) {
	t.Helper()
	eventually(t, what, slow, func(ctx context.Context) error {
		w, err := place.watts(ctx)
		if err == nil && (w < from || w > to) {
			err = errorf("miners draw %.0f W, want %.0f to %.0f", w, from, to)
		}
		return err
	})
}

func leased(ctx context.Context) error {
	var pool powerv1.MinerPool
	if err := admin.Get(ctx, client.ObjectKey{Namespace: miningNS, Name: "hall"}, &pool); err != nil {
		return err
	}
	if pool.Status.LeasedWatts == nil || pool.Status.LeasedWatts.Value() < 1000 {
		return errorf("nothing is leased: %v", pool.Status.Conditions)
	}
	return nil
}

// meter watches that true watts, base and admitted pods are within the limit all the while.
type meter struct {
	mu      sync.Mutex
	looks   int
	last    time.Time     // the newest look, or when it began
	blind   time.Duration // the longest time without one
	most    float64
	over    string
	stop    context.CancelFunc
	stopped chan struct{}
}

func startMeter() *meter {
	ctx, cancel := context.WithCancel(during)
	m := &meter{stop: cancel, stopped: make(chan struct{}), last: time.Now()}
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			m.look(ctx)
			time.Sleep(250 * time.Millisecond) // between two looks; nothing is judged by it
		}
	}()
	return m
}

// look counts the pods that draw both before and after the reading, so that none is counted that began or ended
// meanwhile.
func (m *meter) look(ctx context.Context) {
	before, err1 := drawing(ctx)
	watts, err2 := place.watts(ctx)
	after, err3 := drawing(ctx)
	if err1 != nil || err2 != nil || err3 != nil {
		return
	}
	total := watts + base
	for name := range before {
		if after[name] {
			total += train
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	m.seen()
	m.most = max(m.most, total)
	if total > limit && m.over == "" {
		m.over = fmt.Sprintf("%s: miners %.0f W, base %d W, pods %v of %d W each: %.0f W, over the limit of %d W",
			time.Now().Format(time.TimeOnly), watts, base, after, train, total, limit)
	}
}

// mostBlind is how long nobody may have looked: what draws too much is told to stop, and stops, within less than the slowest
// machine takes to settle.
const mostBlind = 10 * time.Second

// seen notes a look that ends now.
func (m *meter) seen() {
	now := time.Now()
	m.blind, m.last = max(m.blind, now.Sub(m.last)), now
}

// drawing are the pods that were let through the gate and have not ended.
func drawing(ctx context.Context) (map[string]bool, error) {
	var pods corev1.PodList
	if err := admin.List(ctx, &pods, client.InNamespace(aiNS)); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for i := range pods.Items {
		p := &pods.Items[i]
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if p.Annotations[powerv1.AdmittedAnnotation] != "" && !gate.Gated(p) && !ended {
			out[string(p.UID)] = true
		}
	}
	return out, nil
}

func (m *meter) judge(t *testing.T) {
	t.Helper()
	m.stop()
	<-m.stopped
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen()
	t.Logf("true watts: %d looks, at most %.1f s apart; at most %.0f of %d W", m.looks, m.blind.Seconds(), m.most, limit)
	if m.over != "" {
		t.Error(m.over)
	}
	if m.blind > mostBlind {
		t.Errorf("nobody could look at the watts for %v; at most %v may pass", m.blind, mostBlind)
	}
}
