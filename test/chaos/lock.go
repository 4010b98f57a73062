package chaos

import (
	"context"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/counterweight-dev/counterweight/controllers"
)

// locks is the API server's Leases as the election's client sees them: there is one.
type locks struct {
	coordinationclient.LeaseInterface
	o *operator
}

var leaseResource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

// Leases answers the only namespace there is.
func (l locks) Leases(string) coordinationclient.LeaseInterface { return l }

// electing marks what the elector reads: no lease and no takeover follows from it.
type electing struct{}

// Get reads the election's Lease.
func (l locks) Get(ctx context.Context, name string, _ metav1.GetOptions) (out *coordinationv1.Lease, err error) {
	h := l.o.h
	begun := h.now
	err = l.o.call(ctx, func() (func(), error) {
		if h.lock == nil {
			return nil, apierrors.NewNotFound(leaseResource, name)
		}
		is, rv := h.lock, h.store.rv
		return func() {
			out = is.DeepCopy()
			if by := is.Spec.HolderIdentity; by != nil && *by == l.o.name && ctx.Value(electing{}) == nil {
				l.o.readAt, l.o.readRV = begun, rv
			}
		}, nil
	})
	return out, err
}

// Create makes the election's Lease.
func (l locks) Create(ctx context.Context, o *coordinationv1.Lease, _ metav1.CreateOptions) (out *coordinationv1.Lease, err error) {
	next := o.DeepCopy()
	return l.write(ctx, next, func() error {
		if l.o.h.lock != nil {
			return apierrors.NewAlreadyExists(leaseResource, o.Name)
		}
		return nil
	})
}

// Update writes the election's Lease at the version it was read at.
func (l locks) Update(ctx context.Context, o *coordinationv1.Lease, _ metav1.UpdateOptions) (out *coordinationv1.Lease, err error) {
	next := o.DeepCopy()
	return l.write(ctx, next, func() error {
		is := l.o.h.lock
		switch {
		case is == nil:
			return apierrors.NewNotFound(leaseResource, o.Name)
		case is.ResourceVersion != o.ResourceVersion:
			return apierrors.NewConflict(leaseResource, o.Name, errVersion)
		}
		return nil
	})
}

func (l locks) write(ctx context.Context, next *coordinationv1.Lease, check func() error) (out *coordinationv1.Lease, err error) {
	h := l.o.h
	begun := h.now
	err = l.o.call(ctx, func() (func(), error) {
		if err := check(); err != nil {
			return nil, err
		}
		h.store.rv++
		next.ResourceVersion = strconv.FormatUint(h.store.rv, 10)
		h.lock = next
		return func() {
			out, l.o.renewed = next.DeepCopy(), begun
			h.at(begun+controllers.LeaseDuration+time.Millisecond, func() { h.check.lapsed(l.o, begun) })
		}, nil
	})
	return out, err
}
