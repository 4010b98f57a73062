package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// errModel says that the code asks for something that this model of the API server does not have.
var errModel = errors.New("not part of the modelled API server")

// cached is the operator's client: reads from its cache, which lags, and writes to the API server. Reads
// wait for the process's own writes, as the real client is set up to.
type cached struct {
	client.Client // nil: what is not below is not part of the model
	o             *operator
}

// live reads the API server's truth.
type live struct{ o *operator }

// Get reads the cache.
func (c cached) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	k, ok := kindOf(into)
	if !ok {
		return fmt.Errorf("%w: %T", errModel, into)
	}
	if err := c.o.caughtUp(ctx, k); err != nil {
		return err
	}
	o := c.o.cache.get(k, key)
	if o == nil {
		return notFound(k, key.Name)
	}
	return fill(into, o)
}

// List reads the cache.
func (c cached) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	k, ok := kindOf(list)
	if !ok {
		return fmt.Errorf("%w: %T", errModel, list)
	}
	if err := c.o.caughtUp(ctx, k); err != nil {
		return err
	}
	return fillList(list, &c.o.cache.lists[k], c.o.cache.items[k])
}

// Get reads the truth.
func (l live) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	return l.o.call(ctx, func() (func(), error) {
		if _, ok := into.(*coordinationv1.Lease); ok && key.Namespace == corev1.NamespaceNodeLease {
			beat, err := l.o.h.heartbeat(key.Name)
			return func() { _ = fill(into, beat) }, err
		}
		k, ok := kindOf(into)
		if !ok {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "others"}, key.Name)
		}
		o := l.o.h.store.get(k, key)
		if o == nil {
			return nil, notFound(k, key.Name)
		}
		return func() { _ = fill(into, o) }, nil
	})
}

// List reads the truth.
func (l live) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	k, ok := kindOf(list)
	if !ok {
		return fmt.Errorf("%w: %T", errModel, list)
	}
	return l.o.call(ctx, func() (func(), error) {
		all := l.o.h.store.list(k)
		if k == claims {
			l.o.listed = l.o.h.now
		}
		return func() { _ = fillList(list, new(any), all) }, nil
	})
}

// write changes one object in the server: edit gets the object as it is and answers what it should be.
func (c cached) write(ctx context.Context, o client.Object, edit func(is client.Object) (client.Object, error)) error {
	k, ok := kindOf(o)
	if !ok {
		return fmt.Errorf("%w: writing %T", errModel, o)
	}
	s, said := c.o.h.store, c.o.said
	return c.o.change(ctx, func() (func(), error) {
		is := s.get(k, keyOf(o))
		if is == nil {
			return nil, notFound(k, o.GetName())
		}
		next, err := edit(is)
		if err != nil {
			return nil, err
		}
		if err := allowed(is, next); err != nil {
			return nil, err
		}
		c.o.h.check.written(c.o, said, is, next)
		s.put(k, next)
		rv := versionOf(next) // what it set off has later ones
		return func() {
			c.o.cache.own[k] = max(c.o.cache.own[k], rv)
			_ = fill(o, next)
		}, nil
	})
}

// allowed is what the CRD's rules refuse: a workload's epoch never goes back.
func allowed(is, next client.Object) error {
	before, after := claimOf(is), claimOf(next)
	if before != nil && after != nil && after.Status.Epoch < before.Status.Epoch {
		return apierrors.NewForbidden(resourceOf(claims), is.GetName(), errors.New("status.epoch never goes back"))
	}
	return nil
}

// Patch writes the fields of a patch.
func (c cached) Patch(ctx context.Context, o client.Object, p client.Patch, _ ...client.PatchOption) error {
	data, err := p.Data(o)
	if err != nil {
		return fmt.Errorf("making the patch: %w", err)
	}
	return c.write(ctx, o, func(is client.Object) (client.Object, error) {
		if p.Type() == types.StrategicMergePatchType {
			return c.o.openGate(is, data)
		}
		return mergeInto(is, data, false)
	})
}

// Delete asks for an object to be deleted.
func (c cached) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	k, ok := kindOf(o)
	if !ok {
		return fmt.Errorf("%w: deleting %T", errModel, o)
	}
	var d client.DeleteOptions
	d.ApplyOptions(opts)
	grace := int64(podGrace / time.Second)
	if d.GracePeriodSeconds != nil {
		grace = *d.GracePeriodSeconds
	}
	var uid types.UID
	if d.Preconditions != nil && d.Preconditions.UID != nil {
		uid = *d.Preconditions.UID
	}
	return c.o.change(ctx, func() (func(), error) { return nil, c.o.h.store.delete(k, keyOf(o), grace, uid) })
}

// Status is the status subresource.
func (c cached) Status() client.SubResourceWriter { return status{cached: c} }

// SubResource is eviction, the only other one in use.
func (c cached) SubResource(string) client.SubResourceClient { return eviction{cached: c} }

type status struct {
	client.SubResourceWriter
	cached cached
}

// Update writes the status of the version that it was read at.
func (s status) Update(ctx context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	return s.cached.write(ctx, o, func(is client.Object) (client.Object, error) {
		k, _ := kindOf(is)
		if h := s.cached.o.h; h.chance(h.cfg.lost) {
			return nil, conflict(k, is.GetName()) // somebody else was there first
		}
		if o.GetResourceVersion() == "" {
			s.cached.o.h.check.broke("L6", "%s writes the status of %s whatever its version", s.cached.o.name, o.GetName())
		}
		if o.GetResourceVersion() != is.GetResourceVersion() || o.GetUID() != is.GetUID() {
			return nil, conflict(k, is.GetName())
		}
		next := claimOf(is)
		if next == nil {
			return nil, fmt.Errorf("%w: status of %T", errModel, o)
		}
		next = next.DeepCopy()
		claimOf(o).Status.DeepCopyInto(&next.Status)
		return next, nil
	})
}

// Patch writes the status fields of a patch.
func (s status) Patch(ctx context.Context, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
	data, err := p.Data(o)
	if err != nil {
		return fmt.Errorf("making the patch: %w", err)
	}
	return s.cached.write(ctx, o, func(is client.Object) (client.Object, error) {
		if k, _ := kindOf(is); s.cached.o.h.chance(s.cached.o.h.cfg.lost) {
			return nil, conflict(k, is.GetName())
		}
		return mergeInto(is, data, true)
	})
}

type eviction struct {
	client.SubResourceClient
	cached cached
}

// Create evicts a pod.
func (e eviction) Create(ctx context.Context, o, sub client.Object, _ ...client.SubResourceCreateOption) error {
	var uid types.UID
	if ev, ok := sub.(*policyv1.Eviction); ok && ev.DeleteOptions != nil && ev.DeleteOptions.Preconditions != nil {
		uid = *ev.DeleteOptions.Preconditions.UID
	}
	h := e.cached.o.h
	return e.cached.o.change(ctx, func() (func(), error) {
		h.logf("%s evicts pod %s", e.cached.o.name, o.GetName())
		return nil, h.store.delete(pods, keyOf(o), int64(podGrace/time.Second), uid)
	})
}

// fill copies an object's outside; what is inside stays shared and is never changed.
func fill(into, from client.Object) error {
	switch to := into.(type) {
	case *powerv1.PowerBudget:
		*to = *from.(*powerv1.PowerBudget) //nolint:forcetypeassert // kinds agree
	case *powerv1.MinerPool:
		*to = *from.(*powerv1.MinerPool) //nolint:forcetypeassert // kinds agree
	case *powerv1.CurtailmentEvent:
		*to = *from.(*powerv1.CurtailmentEvent) //nolint:forcetypeassert // kinds agree
	case *powerv1.GPUWorkload:
		*to = *from.(*powerv1.GPUWorkload) //nolint:forcetypeassert // kinds agree
	case *corev1.Pod:
		*to = *from.(*corev1.Pod) //nolint:forcetypeassert // kinds agree
	case *appsv1.StatefulSet:
		*to = *from.(*appsv1.StatefulSet) //nolint:forcetypeassert // kinds agree
	case *coordinationv1.Lease:
		*to = *from.(*coordinationv1.Lease) //nolint:forcetypeassert // kinds agree
	default:
		return fmt.Errorf("%w: %T", errModel, into)
	}
	return nil
}

// heartbeat is the Lease that a node's kubelet renews.
func (h *history) heartbeat(name string) (*coordinationv1.Lease, error) {
	for _, n := range h.nodes {
		if n.name == name && !n.deleted {
			at := metav1.NewMicroTime(h.wallAt(n.beat))
			return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &at}}, nil
		}
	}
	return nil, notFound(nodes, name)
}
