package controllers

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// refusals enters which nodes refuse each pod that is not bound yet, by its required node affinity and by
// taints that it does not tolerate: the scheduler would leave it Pending there with its watts held. Pods
// made from one template share an answer.
func (s *snapshot) refusals() {
	tainted := anyTaint(s.nodes)
	known := map[string]power.NodeSet{}
	for i := range s.site.Workloads {
		w := &s.site.Workloads[i]
		for n := range w.Pods {
			p := &w.Pods[n]
			pod := s.podByUID[types.UID(p.UID)]
			if pod == nil || p.Node != "" || p.Phase == power.Releasing || (!tainted && requiredAffinity(pod) == nil) {
				continue
			}
			key := schedulingKey(pod)
			refused, met := known[key]
			if !met {
				refused = refusedBy(pod, s.nodes)
				known[key] = refused
			}
			p.Refused = refused
		}
	}
}

// refusedBy is the nodes that refuse a pod, by their place in the list; nil where none does.
func refusedBy(pod *corev1.Pod, nodes []corev1.Node) power.NodeSet {
	var refused power.NodeSet
	likes := liking(requiredAffinity(pod))
	for i := range nodes {
		if !likes(&nodes[i]) || !tolerates(pod, &nodes[i]) {
			refused = refused.With(i)
		}
	}
	return refused
}

func requiredAffinity(pod *corev1.Pod) *corev1.NodeSelector {
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	return nil
}

// liking tells which nodes an affinity allows, as the scheduler judges it: what can't be read matches
// nothing.
func liking(required *corev1.NodeSelector) func(*corev1.Node) bool {
	if required == nil {
		return func(*corev1.Node) bool { return true }
	}
	selector, names := nodeaffinity.NewLazyErrorNodeSelector(required), namesIn(required)
	return func(n *corev1.Node) bool {
		if names != nil && !names[n.Name] {
			return false
		}
		ok, err := selector.Match(n)
		return ok && err == nil
	}
}

// namesIn is the nodes that an affinity names, as the DaemonSet controller's does: every pod of a DaemonSet
// has its own, and most nodes are told apart by their names alone. It is nil where others may match.
func namesIn(required *corev1.NodeSelector) map[string]bool {
	names := map[string]bool{}
	for i := range required.NodeSelectorTerms {
		fields := required.NodeSelectorTerms[i].MatchFields
		n := slices.IndexFunc(fields, func(r corev1.NodeSelectorRequirement) bool {
			return r.Key == metav1.ObjectNameField && r.Operator == corev1.NodeSelectorOpIn
		})
		if n < 0 {
			return nil
		}
		for _, name := range fields[n].Values {
			names[name] = true
		}
	}
	return names
}

func tolerates(pod *corev1.Pod, node *corev1.Node) bool {
	_, refused := scheduling.FindMatchingUntoleratedTaint(logr.Discard(), node.Spec.Taints, pod.Spec.Tolerations, bars, true)
	return !refused
}

// bars tells whether a taint keeps pods off. Those that say that a node is cordoned, not ready or out of
// reach do not count: such a node is closed, and opens again.
func bars(t *corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeUnschedulable, corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable:
		return false
	}
	return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
}

func anyTaint(nodes []corev1.Node) bool {
	for i := range nodes {
		for n := range nodes[i].Spec.Taints {
			if bars(&nodes[i].Spec.Taints[n]) {
				return true
			}
		}
	}
	return false
}

// schedulingKey is the same for pods that the same nodes refuse.
func schedulingKey(pod *corev1.Pod) string {
	var key strings.Builder
	for i := range pod.Spec.Tolerations {
		t := &pod.Spec.Tolerations[i]
		for _, part := range []string{t.Key, string(t.Operator), t.Value, string(t.Effect)} {
			key.WriteString(part)
			key.WriteByte(0)
		}
	}
	if required := requiredAffinity(pod); required != nil {
		text, err := json.Marshal(required)
		if err != nil {
			return string(pod.UID) // shared with nobody
		}
		key.Write(text)
	}
	return key.String()
}
