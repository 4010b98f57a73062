// Package controllers is the imperative shell: it brings facts from the API server and the agents to the
// one decision (internal/power), and carries its orders out. Nothing here decides who gets watts.
package controllers

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// Options of the operator.
type Options struct {
	// Namespace is the operator's own: its Lease and its certificate authority are there.
	Namespace string
	// AgentImage runs the agents of pools that name none.
	AgentImage string
	// Table says what accelerators draw.
	Table *gate.Table
	// Leader is this process's candidacy.
	Leader *Leader
	// Depose ends this process.
	Depose func(error)
}

// ClientOptions lets cached reads wait for own writes. Such a client watches whatever it touches, so
// Secrets and ConfigMaps go through a client of their own.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}}
}

// Setup adds every controller to the manager. Streams to agents live until ctx ends.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	b := newBoard()
	leads := o.Leader.Fresh
	exported.leads.Store(&leads)
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("making the client for Secrets: %w", err)
	}
	ca := &authority{client: direct, namespace: o.Namespace, clock: wallClock}
	events := mgr.GetEventRecorder(productName)
	heartbeat := heartbeats(mgr.GetAPIReader())
	site := &SiteReconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Table: o.Table, Clock: wallClock, Events: events,
		Leader: o.Leader, Heartbeat: heartbeat, Depose: o.Depose, board: b, base: ctx,
		Prepare: func(ctx context.Context) error { _, err := ca.load(ctx); return err },
		Stream: &grpcStreams{
			tls: ca.config, leader: o.Leader, pace: rate.NewLimiter(handshakesPerSecond, handshakesAtOnce),
			log: mgr.GetLogger().WithName("streams"),
		},
	}
	for _, c := range []interface{ SetupWithManager(ctrl.Manager) error }{
		site,
		&PowerBudgetReconciler{Client: mgr.GetClient(), Clock: wallClock, Events: events, board: b},
		&MinerPoolReconciler{
			Client: mgr.GetClient(), Direct: direct, Clock: wallClock, Events: events, Image: o.AgentImage, authority: ca, board: b,
		},
		&CurtailmentReconciler{Client: mgr.GetClient(), Clock: wallClock, Events: events, board: b},
		&ClaimReconciler{Client: mgr.GetClient(), Events: events},
		&AgentPodReconciler{Client: mgr.GetClient(), Clock: wallClock, Heartbeat: heartbeat},
	} {
		if err := c.SetupWithManager(mgr); err != nil {
			return err //nolint:wrapcheck // each says which it is
		}
	}
	return warm(ctx, mgr)
}

// heartbeats reads when a node last renewed its lease, past the cache: it is asked only for pods that
// vanished.
func heartbeats(live client.Reader) func(context.Context, string) (renewal, error) {
	return func(ctx context.Context, node string) (renewal, error) {
		var lease coordinationv1.Lease
		key := client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: node}
		if err := live.Get(ctx, key, &lease); err != nil {
			return renewal{}, fmt.Errorf("reading Lease %s: %w", key, err)
		}
		if lease.Spec.RenewTime == nil {
			return renewal{}, nil
		}
		lasts := time.Duration(powerv1.Or(lease.Spec.LeaseDurationSeconds, 0)) * time.Second
		return renewal{lease.Spec.RenewTime.Time, lasts}, nil
	}
}

// warm starts the informers that passes read without watching, before this process leads.
func warm(ctx context.Context, mgr ctrl.Manager) error {
	replicaSet, job := &metav1.PartialObjectMetadata{}, &metav1.PartialObjectMetadata{}
	replicaSet.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	job.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("Job"))
	for _, o := range []client.Object{replicaSet, job} {
		if _, err := mgr.GetCache().GetInformer(ctx, o, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching the owners of pods: %w", err)
		}
	}
	return nil
}
