package controllers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// matcher finds the GPUWorkload of a pod: the one that holds a reservation for it, else the one its label
// names, else the one whose selector matches, else the one of its controlling owner.
type matcher struct {
	byUID     map[types.UID]*workloadFacts
	byName    map[types.NamespacedName]*workloadFacts
	byOwner   map[ownerKey]*workloadFacts
	selecting map[label][]*workloadFacts
}

// ownerKey is an owner as a GPUWorkload or a pod names it. Anybody may write any UID there, so it counts in its own
// namespace alone: else a tenant's GPUWorkload could take in another tenant's pods, or a tenant's pods get another's rank.
type ownerKey struct {
	namespace string
	uid       types.UID
}

// label is one that selectors in a namespace ask for; those that ask for none by its value have no key.
type label struct{ namespace, key, value string }

// labelOf is a label that whatever the selector matches has.
func labelOf(namespace string, s *metav1.LabelSelector) label {
	if len(s.MatchLabels) == 0 {
		return label{namespace: namespace}
	}
	key := slices.Min(slices.Collect(maps.Keys(s.MatchLabels)))
	return label{namespace, key, s.MatchLabels[key]}
}

func newMatcher(s *snapshot) *matcher {
	m := &matcher{
		byUID: map[types.UID]*workloadFacts{}, byName: map[types.NamespacedName]*workloadFacts{},
		byOwner: map[ownerKey]*workloadFacts{}, selecting: map[label][]*workloadFacts{},
	}
	order := make([]int, len(s.claims))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool {
		x, y := &s.claims[order[a]], &s.claims[order[b]]
		if !x.CreationTimestamp.Equal(&y.CreationTimestamp) {
			return x.CreationTimestamp.Before(&y.CreationTimestamp)
		}
		return client.ObjectKeyFromObject(x).String() < client.ObjectKeyFromObject(y).String()
	})
	for rank, i := range order {
		w := &s.workloads[i]
		w.rank, w.object, w.endedAt = rank, &s.claims[i], map[types.UID]metav1.Time{}
		m.add(w)
	}
	return m
}

func (m *matcher) add(w *workloadFacts) {
	o := w.object
	m.byName[client.ObjectKeyFromObject(o)] = w
	for i := range o.Status.Reservations {
		m.byUID[o.Status.Reservations[i].UID] = w
	}
	switch {
	case o.Spec.Owner != nil:
		owner := ownerKey{o.Namespace, o.Spec.Owner.UID}
		if first := m.byOwner[owner]; first != nil && o.DeletionTimestamp == nil {
			w.stalled = &fault{powerv1.ReasonDuplicate, fmt.Sprintf(
				"spec.owner is that of GPUWorkload %s, which is older and counts; delete one of the two", first.object.Name)}
			return
		}
		if o.DeletionTimestamp == nil {
			m.byOwner[owner] = w
		}
	case o.Spec.Selector != nil:
		selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
		if err != nil {
			w.stalled = &fault{powerv1.ReasonSelectorInvalid, fmt.Sprintf("spec.selector: %v", err)}
			return
		}
		w.selector = selector
		if o.DeletionTimestamp == nil {
			asks := labelOf(o.Namespace, o.Spec.Selector)
			m.selecting[asks] = append(m.selecting[asks], w)
		}
	}
}

// of answers nil for a pod of nobody.
func (m *matcher) of(ctx context.Context, c client.Reader, pod *corev1.Pod) (*workloadFacts, error) {
	holder, name := m.byUID[pod.UID], pod.Labels[powerv1.WorkloadLabel]
	var selected *workloadFacts
	if name == "" {
		selected = m.selected(pod)
	}
	switch {
	case holder != nil:
		return holder, nil
	case name != "":
		return m.byName[types.NamespacedName{Namespace: pod.Namespace, Name: name}], nil
	case selected != nil:
		return selected, nil
	}
	owner, err := rootOwner(ctx, c, pod)
	if err != nil {
		return nil, err
	}
	return m.byOwner[ownerKey{pod.Namespace, owner.UID}], nil
}

// selected is the oldest workload whose selector matches; the younger ones are stalled, since a pod has
// one claim.
func (m *matcher) selected(pod *corev1.Pod) *workloadFacts {
	may := slices.Clone(m.selecting[label{namespace: pod.Namespace}])
	for key, value := range pod.Labels {
		may = append(may, m.selecting[label{pod.Namespace, key, value}]...)
	}
	slices.SortFunc(may, func(a, b *workloadFacts) int { return cmp.Compare(a.rank, b.rank) })
	var first *workloadFacts
	for _, w := range may {
		if !w.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if first == nil {
			first = w
			continue
		}
		if w.stalled != nil {
			continue
		}
		w.stalled = &fault{powerv1.ReasonSelectorOverlap, fmt.Sprintf(
			"spec.selector matches pod %s, which GPUWorkload %s has already; narrow one selector or label the pod %s",
			pod.Name, first.object.Name, powerv1.WorkloadLabel)}
	}
	return first
}
