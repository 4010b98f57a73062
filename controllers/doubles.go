package controllers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// double is an older budget that feeds nodes of a younger one without being above or below it: a pod there
// would draw from the one and count on the other (L1). Node is such a node; empty where both choose the
// very same nodes, whether or not there are any.
type double struct{ budget, node string }

func (d double) fault() (reason, message string) {
	switch {
	case d.budget == "":
		return "", ""
	case d.node == "":
		return powerv1.ReasonSelectorOverlap, fmt.Sprintf(
			"spec.nodeSelector chooses the same nodes as PowerBudget %s, which is neither above nor below; narrow one of the two", d.budget)
	}
	return powerv1.ReasonSelectorOverlap, fmt.Sprintf(
		"spec.nodeSelector chooses node %s, which PowerBudget %s feeds, neither above nor below; narrow one of the two, or label that node for one of them",
		d.node, d.budget)
}

// fed is a budget with a nodeSelector of its own, and what a node has to match to hang on it.
type fed struct {
	*powerv1.PowerBudget
	pin map[string]string
}

// doublesOf finds for each budget the older one it shares nodes with. Nodes that every budget sees alike
// are looked at once, so that it is cheap for thousands.
func doublesOf(byName map[string]*powerv1.PowerBudget, pins map[string]map[string]string, nodes []corev1.Node) map[string]double {
	feeders, doubles := feedersOf(byName, pins), map[string]double{}
	if len(feeders) < 2 {
		return nil
	}
	note := func(alike []fed, node string) {
		for n, younger := range alike {
			for _, older := range alike[:n] {
				_, known := doubles[younger.Name]
				if !known && !isUnder(byName, younger.PowerBudget, older.Name) && !isUnder(byName, older.PowerBudget, younger.Name) {
					doubles[younger.Name] = double{older.Name, node}
				}
			}
		}
	}
	keys := keysOf(feeders)
	same := map[string][]fed{}
	for _, f := range feeders {
		same[kindOf(keys, f.pin)] = append(same[kindOf(keys, f.pin)], f)
	}
	for _, alike := range same {
		note(alike, "")
	}
	for _, n := range kinds(keys, nodes) {
		note(slices.DeleteFunc(slices.Clone(feeders), func(f fed) bool { return !matches(f.pin, n.Labels) }), n.Name)
	}
	return doubles
}

// feedersOf is the budgets that choose nodes, oldest first.
func feedersOf(byName map[string]*powerv1.PowerBudget, pins map[string]map[string]string) []fed {
	var out []fed
	for _, b := range byName {
		if len(b.Spec.NodeSelector) > 0 {
			out = append(out, fed{b, pins[b.Name]})
		}
	}
	slices.SortFunc(out, func(a, b fed) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// keysOf is the labels that tell nodes apart for budgets.
func keysOf(feeders []fed) []string {
	known := map[string]bool{}
	for _, f := range feeders {
		for k := range f.pin {
			known[k] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// kindOf is the same for labels that no budget can tell apart.
func kindOf(keys []string, labels map[string]string) string {
	var kind strings.Builder
	for _, k := range keys {
		v, ok := labels[k]
		if ok {
			kind.WriteByte('=')
		}
		kind.WriteString(v)
		kind.WriteByte(0)
	}
	return kind.String()
}

// kinds is one node of each kind, the first by name.
func kinds(keys []string, nodes []corev1.Node) []*corev1.Node {
	first := map[string]*corev1.Node{}
	for i := range nodes {
		kind := kindOf(keys, nodes[i].Labels)
		if other := first[kind]; other == nil || nodes[i].Name < other.Name {
			first[kind] = &nodes[i]
		}
	}
	return slices.SortedFunc(maps.Values(first), func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
}

func matches(pin, labels map[string]string) bool {
	for k, v := range pin {
		if w, ok := labels[k]; !ok || w != v {
			return false
		}
	}
	return true
}
