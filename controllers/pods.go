package controllers

import (
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// ended tells whether a pod draws no more and never will (L6): its kubelet reported every container
// terminated. Phase Failed alone is not enough: the garbage collector writes it for lost nodes.
func ended(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	if pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil {
		return false
	}
	if rejected(pod) {
		return true
	}
	if len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false
	}
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].State.Terminated == nil {
			return false
		}
	}
	for i := range pod.Status.InitContainerStatuses {
		if pod.Status.InitContainerStatuses[i].State.Running != nil {
			return false
		}
	}
	return true
}

// graceOf is how long a pod may take to end once it is told to, by its spec or by who deleted it.
func graceOf(pod *corev1.Pod) time.Duration {
	own := powerv1.Or(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	return time.Duration(min(max(own, powerv1.Or(pod.DeletionGracePeriodSeconds, 0)), mostGrace)) * time.Second
}

// mostGrace is the most that is believed of a grace, in seconds: some tenant's may be more than time can count.
const mostGrace = 365 * 24 * 3600

// rejected tells whether a kubelet refused the pod before any container of it began.
func rejected(pod *corev1.Pod) bool {
	reason := pod.Status.Reason
	return pod.Status.Phase == corev1.PodFailed && len(pod.Status.ContainerStatuses) == 0 &&
		(reason == "UnexpectedAdmissionError" || reason == "NodeAffinity" || strings.HasPrefix(reason, "OutOf"))
}

// running tells whether some container of the pod runs.
func running(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning && !ended(pod) }

// claim is what a pod counts when it is admitted: the larger of what its workload declares and the
// accelerator table, or the declared watts alone where the budget trusts them.
func claim(table *gate.Table, spec *powerv1.GPUWorkloadSpec, trusted bool, pod *corev1.Pod) power.Watts {
	byTable, _ := table.WattsFor(&pod.Spec)
	declared := int64(-1)
	switch {
	case spec == nil:
	case spec.WattsPerPod != nil:
		declared = spec.WattsPerPod.Value()
	case spec.WattsPerAccelerator != nil:
		declared = table.Declared(&pod.Spec, spec.WattsPerAccelerator.Value())
	}
	if declared >= 0 && (trusted || declared > byTable) {
		return power.Watts(declared)
	}
	return power.Watts(byTable)
}

// asked is the accelerators a pod asks for.
func asked(table *gate.Table, pod *corev1.Pod) map[string]int64 {
	ask := map[string]int64{}
	for name, n := range table.Accelerators(&pod.Spec) {
		if n > 0 {
			ask[string(name)] = n
		}
	}
	return ask
}

// gonePod is the last that was seen of a pod that is no more.
type gonePod struct {
	at    time.Time
	asked time.Time // by a pass whose ledger has a reservation of it
	node  string
	grace time.Duration
	ended bool
}

// gonePods remembers pods that vanished, so that a reservation is let go only once its pod is known to
// have ended (L6). It is filled by the pod watch and lives as long as this process leads.
type gonePods struct {
	mu    sync.Mutex
	pods  map[types.UID]gonePod
	clock func() time.Time
}

// memory is for how long a vanished pod is remembered that no reservation names.
const memory = time.Hour

func newGonePods(clock func() time.Time) *gonePods {
	return &gonePods{pods: map[types.UID]gonePod{}, clock: clock}
}

// deleted records a pod's last state. A pod deleted while gated, or before a node had it, never ran.
func (g *gonePods) deleted(pod *corev1.Pod, certain bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	for uid, p := range g.pods {
		if now.Sub(later(p.at, p.asked)) > memory {
			delete(g.pods, uid)
		}
	}
	never := gate.Gated(pod) || pod.Spec.NodeName == ""
	g.pods[pod.UID] = gonePod{at: now, node: pod.Spec.NodeName, grace: graceOf(pod), ended: certain && (never || ended(pod))}
}

// of is what is known of a vanished pod. One that nobody saw go is taken to have gone just now.
func (g *gonePods) of(uid types.UID) gonePod {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.pods[uid]
	if !ok {
		p = gonePod{at: g.clock()}
	}
	p.asked = g.clock()
	g.pods[uid] = p
	return p
}

// confirm records that a vanished pod's node, alive, no longer has it.
func (g *gonePods) confirm(uid types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.pods[uid]
	p.ended = true
	g.pods[uid] = p
}
