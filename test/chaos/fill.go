package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// items are objects' outsides; they are copied once for as long as memo is kept.
func items[T any](memo *any, from []client.Object) []T {
	if out, ok := (*memo).([]T); ok {
		return out
	}
	out := make([]T, len(from))
	for i, o := range from {
		if p, ok := any(o).(*T); ok {
			out[i] = *p
		}
	}
	*memo = out
	return out
}

// fillList copies objects' outsides into a list.
func fillList(list client.ObjectList, memo *any, from []client.Object) error {
	switch to := list.(type) {
	case *powerv1.PowerBudgetList:
		to.Items = items[powerv1.PowerBudget](memo, from)
	case *powerv1.MinerPoolList:
		to.Items = items[powerv1.MinerPool](memo, from)
	case *powerv1.GPUWorkloadList:
		to.Items = items[powerv1.GPUWorkload](memo, from)
	case *powerv1.CurtailmentEventList:
		to.Items = items[powerv1.CurtailmentEvent](memo, from)
	case *corev1.NodeList:
		to.Items = items[corev1.Node](memo, from)
	case *corev1.PodList:
		to.Items = items[corev1.Pod](memo, from)
	case *appsv1.StatefulSetList:
		to.Items = items[appsv1.StatefulSet](memo, from)
	default:
		return fmt.Errorf("%w: %T", errModel, list)
	}
	return nil
}

// merging is the part of a merge patch that the operator uses.
type merging struct {
	Metadata struct {
		ResourceVersion *string   `json:"resourceVersion"`
		Finalizers      *[]string `json:"finalizers"`
	} `json:"metadata"`
	Status struct {
		Epoch  *int64                    `json:"epoch"`
		Splits *[]powerv1.MinerPoolSplit `json:"splits"`
	} `json:"status"`
}

// mergeInto applies a JSON merge patch of metadata.finalizers, status.epoch or status.splits; with anything else in it
// the model does not know what the API server would do.
func mergeInto(is client.Object, data []byte, sub bool) (client.Object, error) {
	var m merging
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: merge patch %s: %w", errModel, data, err)
	}
	k, _ := kindOf(is)
	if v := m.Metadata.ResourceVersion; v != nil && *v != is.GetResourceVersion() {
		return nil, conflict(k, is.GetName())
	}
	next, ok := is.DeepCopyObject().(client.Object)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errModel, is)
	}
	if sub {
		if w := claimOf(next); w != nil && m.Status.Epoch != nil {
			w.Status.Epoch = *m.Status.Epoch
		}
		if p, ok := next.(*powerv1.MinerPool); ok && m.Status.Splits != nil {
			p.Status.Splits = *m.Status.Splits
		}
		return next, nil
	}
	if m.Metadata.Finalizers != nil || bytes.Contains(data, []byte(`"finalizers":null`)) {
		var finalizers []string
		if m.Metadata.Finalizers != nil {
			finalizers = *m.Metadata.Finalizers
		}
		next.SetFinalizers(finalizers)
	}
	return next, nil
}

// opening is the patch that takes a gate off.
type opening struct {
	Metadata struct {
		UID             types.UID         `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		SchedulingGates []struct {
			Name  string `json:"name"`
			Patch string `json:"$patch"`
		} `json:"schedulingGates"`
		NodeSelector map[string]string `json:"nodeSelector"`
	} `json:"spec"`
}

// openGate applies the strategic merge patch of gate.OpenPatch as the API server does.
func (o *operator) openGate(is client.Object, data []byte) (client.Object, error) {
	var p opening
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: strategic patch %s: %w", errModel, data, err)
	}
	pod := podOf(is)
	switch {
	case pod == nil:
		return nil, fmt.Errorf("%w: strategic patch of %T", errModel, is)
	case p.Metadata.UID != "" && p.Metadata.UID != pod.UID:
		return nil, apierrors.NewInvalid(powerv1.GroupVersion.WithKind("Pod").GroupKind(), pod.Name, nil)
	case p.Metadata.ResourceVersion != "" && p.Metadata.ResourceVersion != pod.ResourceVersion:
		return nil, conflict(pods, pod.Name)
	}
	if o.h.now < o.h.gatesKept {
		return nil, apierrors.NewForbidden(resourceOf(pods), pod.Name, errKept)
	}
	next := pod.DeepCopy()
	for _, g := range p.Spec.SchedulingGates {
		if g.Patch == "delete" && g.Name == powerv1.Gate {
			next.Spec.SchedulingGates = nil
		}
	}
	for k, v := range p.Spec.NodeSelector {
		if old, ok := next.Spec.NodeSelector[k]; ok && old != v {
			return nil, apierrors.NewInvalid(powerv1.GroupVersion.WithKind("Pod").GroupKind(), pod.Name, nil)
		}
		if next.Spec.NodeSelector == nil {
			next.Spec.NodeSelector = map[string]string{}
		}
		next.Spec.NodeSelector[k] = v
	}
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	maps.Copy(next.Annotations, p.Metadata.Annotations)
	return next, nil
}
