package controllers

import (
	"encoding/json"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	scheduling "k8s.io/component-helpers/scheduling/corev1"

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
	required := requiredAffinity(pod)
	for i := range nodes {
		if !likes(required, &nodes[i]) || !tolerates(pod, &nodes[i]) {
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

// likes judges as the scheduler does: a selector that can't be read matches nothing.
func likes(required *corev1.NodeSelector, node *corev1.Node) bool {
	if required == nil {
		return true
	}
	ok, err := scheduling.MatchNodeSelectorTerms(node, required)
	return ok && err == nil
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
