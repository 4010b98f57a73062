package meter

import (
	"maps"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Config is what a meter is told: where the truth is, and what no object of the API says.
type Config struct {
	// Kubeconfig of the control plane.
	Kubeconfig string `json:"kubeconfig"`
	// SimURL is asic-sim's; empty where there are no machines.
	SimURL string `json:"simURL,omitempty"`
	// BaseWatts drawn at each budget itself.
	BaseWatts map[string]int64 `json:"baseWatts,omitempty"`
	// Nodes are the accelerator nodes.
	Nodes map[string]Node `json:"nodes,omitempty"`
	// IntervalMilliseconds between samples; 100 if left out.
	IntervalMilliseconds int `json:"intervalMilliseconds,omitempty"`
}

// Node is what an accelerator node is fed by and what its accelerators draw.
type Node struct {
	Budget      string `json:"budget"`
	Resource    string `json:"resource"`
	WattsPerGPU int64  `json:"wattsPerGPU"`
}

// Accelerators that a pod asks for.
func Accelerators(pod *corev1.Pod, resource string) int64 {
	n := int64(0)
	for i := range pod.Spec.Containers {
		if q, ok := pod.Spec.Containers[i].Resources.Limits[corev1.ResourceName(resource)]; ok {
			n += q.Value()
		}
	}
	return n
}

// Draws says whether a pod draws power: from the moment a container runs until its kubelet has reported
// every one of them ended, whatever the pod's phase says meanwhile.
func Draws(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running != nil {
			return true
		}
	}
	return false
}

// WattsOf a pod while it draws; zero on a node that is no accelerator node.
func (c Config) WattsOf(pod *corev1.Pod) (budget string, watts int64) {
	node, ok := c.Nodes[pod.Spec.NodeName]
	if !ok {
		return "", 0
	}
	return node.Budget, Accelerators(pod, node.Resource) * node.WattsPerGPU
}

// moment is what was true at an instant, by the budget that feeds it directly.
type moment struct {
	at     time.Time
	mining map[string]float64
	ai     map[string]int64
}

// readings rolls a moment up the tree.
func (c Config) readings(m moment, limits *Limits) map[string]Reading {
	own := map[string]Reading{}
	for name, w := range c.BaseWatts {
		r := own[name]
		r.Base += w
		own[name] = r
	}
	for name, w := range m.mining {
		r := own[name]
		r.Mining += int64(math.Round(w))
		own[name] = r
	}
	for name, w := range m.ai {
		r := own[name]
		r.AI += w
		own[name] = r
	}
	parents := map[string]string{}
	for _, b := range limits.Budgets() {
		parents[b.Name] = b.Parent
		own[b.Name] = withParent(own[b.Name], b.Parent)
	}
	out := maps.Clone(own)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		for _, above := range ancestors(name, parents) {
			r := out[above]
			r.Base += own[name].Base
			r.Mining += own[name].Mining
			r.AI += own[name].AI
			out[above] = r
		}
	}
	for name, r := range out {
		r.Limit = limits.At(name, m.at)
		out[name] = r
	}
	return out
}

func withParent(r Reading, parent string) Reading {
	r.Parent = parent
	return r
}

// ancestors of a budget, nearest first; parents that do not exist end it, and so does a cycle.
func ancestors(name string, parents map[string]string) []string {
	path := []string{name}
	for {
		parent := parents[path[len(path)-1]]
		if _, exists := parents[parent]; !exists || slices.Contains(path, parent) {
			return path[1:]
		}
		path = append(path, parent)
	}
}
