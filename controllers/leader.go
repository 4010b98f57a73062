package controllers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The election's times (design section 12): agents' leases outlast a failover, so a long election costs
// admissions a wait and mining nothing.
const (
	LeaseDuration = 30 * time.Second
	RenewDeadline = 20 * time.Second
	RetryPeriod   = 4 * time.Second
	// lockTimeout bounds one request of the election, so that a hung API server can't eat the deadline.
	lockTimeout = 5 * time.Second
	// LockName is the name of the election's Lease.
	LockName = "counterweight-operator"
)

// Leader is this process's candidacy: the election's lock, and the epoch that goes with holding it (L7).
type Leader struct {
	resourcelock.Interface
	leases    coordinationclient.LeaseInterface
	name      string
	clock     func() time.Time
	timeout   timeouts
	renewedAt atomic.Int64 // nanoseconds of the last successful write of the Lease
	// aloneAt is the nanoseconds from which whoever led before can lead no more.
	aloneAt atomic.Int64
	// last is the Lease as the elector last saw it, and since when it has been so.
	last      resourcelock.LeaderElectionRecord
	lastSince time.Time
}

// NewLeader makes a candidate with an identity of its own: its name, for people who ask who leads, and a
// number, since a restarted process is another candidate.
func NewLeader(cfg *rest.Config, namespace, name string, clock func() time.Time) (*Leader, error) {
	own := rest.CopyConfig(cfg)
	own.Timeout = lockTimeout
	client, err := coordinationclient.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("making the election's client: %w", err)
	}
	return newLeader(client, namespace, name+"_"+string(uuid.NewUUID()), clock), nil
}

func newLeader(client coordinationclient.LeasesGetter, namespace, identity string, clock func() time.Time) *Leader {
	return &Leader{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: LockName},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		leases: client.Leases(namespace), name: LockName, clock: clock,
	}
}

// Get reads the election's Lease for the elector.
func (l *Leader) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	r, raw, err := l.Interface.Get(ctx)
	switch {
	case err == nil:
		l.saw(*r)
	case apierrors.IsNotFound(err):
		l.saw(resourcelock.LeaderElectionRecord{})
	}
	return r, raw, err //nolint:wrapcheck // the elector compares API errors
}

// saw notes what the Lease says now. Where this process has just taken it, whoever led before is through if it let the
// Lease go, or was silent for as long as a renewal lasts. Where the Lease was deleted, or its holder taken out of it, that
// one goes on until its renewal has run out.
func (l *Leader) saw(r resourcelock.LeaderElectionRecord) {
	now, own := l.clock(), l.Identity()
	if r.HolderIdentity == own && l.last.HolderIdentity != own {
		alone := now.Add(LeaseDuration)
		switch {
		case l.last.HolderIdentity != "":
			alone = l.lastSince.Add(LeaseDuration)
		case l.last.LeaseDurationSeconds == 1: // as client-go's elector lets it go
			alone = now
		}
		l.aloneAt.Store(alone.UnixNano())
	}
	if l.lastSince.IsZero() || !reflect.DeepEqual(r, l.last) {
		l.last, l.lastSince = r, now
	}
}

// Alone is when whoever led before can lead no more.
func (l *Leader) Alone() time.Time { return time.Unix(0, l.aloneAt.Load()) }

// Create writes the election's Lease for the first time.
func (l *Leader) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	begun := l.clock()
	if err := l.Interface.Create(ctx, r); err != nil {
		return err //nolint:wrapcheck // the elector compares API errors
	}
	l.renewed(r, begun)
	return nil
}

// errNotAlone refuses to let a Lease go that the next would take at once.
var errNotAlone = errors.New("the leader Lease has to run out: whoever led before may lead yet")

// Update renews, takes, or lets go of the election's Lease.
func (l *Leader) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	begun := l.clock()
	if r.HolderIdentity == "" && begun.Before(l.Alone()) {
		return errNotAlone
	}
	if err := l.Interface.Update(ctx, r); err != nil {
		return err //nolint:wrapcheck // the elector compares API errors
	}
	l.renewed(r, begun)
	return nil
}

func (l *Leader) renewed(r resourcelock.LeaderElectionRecord, begun time.Time) {
	if r.HolderIdentity == l.Identity() {
		l.renewedAt.Store(begun.UnixNano())
		l.saw(r)
	}
}

// Fresh tells whether the last renewal is younger than the leader lease. An operator that is not fresh
// sends nothing: another may lead by now.
func (l *Leader) Fresh() bool {
	return l.clock().Sub(time.Unix(0, l.renewedAt.Load())) < LeaseDuration
}

// Read reads the election's Lease, uncached, and answers its resourceVersion as a number: a counter of
// the whole store, so a later leader's is larger even where the Lease was deleted in between. It fails
// where another holds it.
func (l *Leader) Read(ctx context.Context) (uint64, error) {
	ctx, cancel := l.timeout.of(ctx, lockTimeout)
	defer cancel()
	lease, err := l.leases.Get(ctx, l.name, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading the leader Lease: %w", err)
	}
	if holder := holderOf(lease); holder != l.Identity() {
		return 0, fmt.Errorf("reading the leader Lease: held by %q and not by this process", holder)
	}
	epoch, err := strconv.ParseUint(lease.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the leader Lease: resourceVersion %q is no number", lease.ResourceVersion)
	}
	return epoch, nil
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
