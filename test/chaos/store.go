package chaos

import (
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// kind of an object in the store.
type kind int

const (
	budgets kind = iota
	pools
	claims
	cuts
	nodes
	pods
	sets
	kinds // how many there are
)

var kindNames = [kinds]string{"powerbudgets", "minerpools", "gpuworkloads", "curtailmentevents", "nodes", "pods", "statefulsets"}

func resourceOf(k kind) schema.GroupResource { return schema.GroupResource{Resource: kindNames[k]} }

// kindOf tells what an object or a list is of; false for what the store does not keep.
func kindOf(o any) (kind, bool) {
	switch o.(type) {
	case *powerv1.PowerBudget, *powerv1.PowerBudgetList:
		return budgets, true
	case *powerv1.MinerPool, *powerv1.MinerPoolList:
		return pools, true
	case *powerv1.GPUWorkload, *powerv1.GPUWorkloadList:
		return claims, true
	case *powerv1.CurtailmentEvent, *powerv1.CurtailmentEventList:
		return cuts, true
	case *corev1.Node, *corev1.NodeList:
		return nodes, true
	case *corev1.Pod, *corev1.PodList:
		return pods, true
	case *appsv1.StatefulSet, *appsv1.StatefulSetList:
		return sets, true
	}
	return kinds, false
}

// change is one entry of a kind's history, as watches see it. Objects are never changed once they are here.
type change struct {
	rv   uint64
	at   time.Duration
	key  types.NamespacedName
	obj  client.Object
	gone bool
	slim client.Object // as the cache's transform leaves it
}

// store is the API server's: the objects as they are, and how they came to be so.
type store struct {
	h    *history
	rv   uint64
	objs [kinds]map[types.NamespacedName]client.Object
	log  [kinds][]change
	uids int
}

func newStore(h *history) *store {
	s := &store{h: h, rv: 1000}
	for k := range s.objs {
		s.objs[k] = map[types.NamespacedName]client.Object{}
	}
	return s
}

func keyOf(o client.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func less(a, b types.NamespacedName) bool {
	return a.Namespace < b.Namespace || a.Namespace == b.Namespace && a.Name < b.Name
}

// get is the object as it is; nil where there is none.
func (s *store) get(k kind, key types.NamespacedName) client.Object { return s.objs[k][key] }

// list is all objects of a kind, by name.
func (s *store) list(k kind) []client.Object {
	out := make([]client.Object, 0, len(s.objs[k]))
	for _, o := range s.objs[k] {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b client.Object) int {
		if less(keyOf(a), keyOf(b)) {
			return -1
		}
		return 1
	})
	return out
}

// create enters an object that the caller gives away.
func (s *store) create(o client.Object) {
	k, _ := kindOf(o)
	s.uids++
	o.SetUID(types.UID("u" + strconv.Itoa(s.uids)))
	o.SetCreationTimestamp(metav1.NewTime(s.h.wall().Truncate(time.Second)))
	o.SetGeneration(1)
	s.put(k, o)
}

// put makes an object the newest; the caller gives it away.
func (s *store) put(k kind, o client.Object) {
	s.rv++
	o.SetResourceVersion(strconv.FormatUint(s.rv, 10))
	key := keyOf(o)
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 && !keptByGrace(o) {
		s.remove(k, key, o)
		return
	}
	s.objs[k][key] = o
	s.record(k, change{rv: s.rv, at: s.h.now, key: key, obj: o})
}

func keptByGrace(o client.Object) bool {
	seconds := o.GetDeletionGracePeriodSeconds()
	return seconds != nil && *seconds > 0
}

// remove takes an object out for good.
func (s *store) remove(k kind, key types.NamespacedName, last client.Object) {
	delete(s.objs[k], key)
	s.record(k, change{rv: s.rv, at: s.h.now, key: key, obj: last, gone: true})
}

func (s *store) record(k kind, c change) {
	s.log[k] = append(s.log[k], c)
	s.h.changed(k, c)
}

// edit changes a copy of an object and puts it back.
func (s *store) edit(k kind, key types.NamespacedName, f func(client.Object)) bool {
	o := s.get(k, key)
	if o == nil {
		return false
	}
	next, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return false
	}
	f(next)
	s.put(k, next)
	return true
}

// remotely deletes as the API server does: with grace for pods that run, at once for the others, and not
// while there are finalizers.
func (s *store) delete(k kind, key types.NamespacedName, grace int64, uid types.UID) error {
	o := s.get(k, key)
	if o == nil {
		return apierrors.NewNotFound(resourceOf(k), key.Name)
	}
	if uid != "" && o.GetUID() != uid {
		return apierrors.NewConflict(resourceOf(k), key.Name, errUID)
	}
	if pod, ok := o.(*corev1.Pod); ok && pod.Spec.NodeName == "" {
		grace = 0
	}
	next, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return apierrors.NewNotFound(resourceOf(k), key.Name)
	}
	if next.GetDeletionTimestamp() == nil {
		now := metav1.NewTime(s.h.wall().Truncate(time.Second))
		next.SetDeletionTimestamp(&now)
	} else if old := next.GetDeletionGracePeriodSeconds(); old != nil && *old <= grace {
		return nil
	}
	if k == pods {
		next.SetDeletionGracePeriodSeconds(&grace)
	}
	s.put(k, next)
	return nil
}

func podOf(o client.Object) *corev1.Pod {
	p, _ := o.(*corev1.Pod)
	return p
}

func claimOf(o client.Object) *powerv1.GPUWorkload {
	w, _ := o.(*powerv1.GPUWorkload)
	return w
}
