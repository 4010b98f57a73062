package controllers

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// TestTakeoverWaitsForItsCaches: a leader leads only once its caches are as new as the API server was when
// it took over, for every kind that the ledger counts.
// Rules: L6, L7, liveness a.
func TestTakeoverWaitsForItsCaches(t *testing.T) {
	gated := &corev1.Pod{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "c"}}, SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}},
	}}
	agents := &appsv1.StatefulSet{}
	agents.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "MinerPool", Name: "p", UID: "p", Controller: new(true)}}
	for name, o := range map[string]client.Object{
		"the agents of a pool": agents, "a budget": &powerv1.PowerBudget{}, "a pool": &powerv1.MinerPool{}, "a curtailment": &powerv1.CurtailmentEvent{},
		"a gated pod": gated, "a workload": &powerv1.GPUWorkload{},
	} {
		t.Run(name, func(t *testing.T) {
			o.SetName("it")
			o.SetNamespace("ai")
			waitsFor(t, o)
		})
	}
}

// TestTakeoverWaitsForAgents: by the rule that tells which pods are agents, whatever has become of their labels.
// Rules: L7, L9.
func TestTakeoverWaitsForAgents(t *testing.T) {
	pool := &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "p", UID: "pool"}}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "p", UID: "set"}}
	set.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "MinerPool", Name: "p", UID: "pool", Controller: new(true)}}
	for name, labels := range map[string]map[string]string{
		"as it was made": {componentLabel: agentComponent}, "without its labels": nil,
	} {
		t.Run(name, func(t *testing.T) {
			agent := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "p-0", Labels: labels}}
			agent.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "p", UID: "set", Controller: new(true)}}
			waitsFor(t, agent, pool, set)
		})
	}
}

// waitsFor takes over with caches that have all the others, and one object as it was, or not at all.
func waitsFor(t *testing.T, o client.Object, others ...client.Object) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, powerv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	store := func() client.Client {
		b := fake.NewClientBuilder().WithScheme(scheme)
		for _, other := range others {
			b = b.WithObjects(copied(t, other))
		}
		return b.Build()
	}
	o.SetResourceVersion("")
	ctx := context.Background()
	live, old := store(), store()
	for _, c := range []client.Client{live, old} {
		if err := c.Create(ctx, copied(t, o)); err != nil {
			t.Fatal(err)
		}
	}
	try := func(cache client.Client, want string) {
		t.Helper()
		r := &SiteReconciler{Client: cache, Live: live, Table: gate.Builtin()}
		err := r.catchUp(ctx)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("answers %v, want %q", err, want)
		}
	}
	try(old, "")
	newer := copied(t, o)
	if err := live.Get(ctx, client.ObjectKeyFromObject(o), newer); err != nil {
		t.Fatal(err)
	}
	newer.SetAnnotations(map[string]string{"edited": "since"})
	if err := live.Update(ctx, newer); err != nil {
		t.Fatal(err)
	}
	try(old, "the cache is older than the API server")
	try(store(), "the cache does not have it yet")
	if err := live.Delete(ctx, newer); err != nil {
		t.Fatal(err)
	}
	try(old, "")
}

// TestTakeoverWaitsForNobodyElsesSets: StatefulSets of users are not counted, and their caches may lag.
func TestTakeoverWaitsForNobodyElsesSets(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, powerv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	theirs := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "database"}}
	live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(theirs).Build()
	r := &SiteReconciler{Client: fake.NewClientBuilder().WithScheme(scheme).Build(), Live: live, Table: gate.Builtin()}
	if err := r.catchUp(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestLeadersThatMeetOneEpochGoByTwo is for L7: where nothing in the store says that a former leader lifted its own,
// the next one must not come to the same by itself.
func TestLeadersThatMeetOneEpochGoByTwo(t *testing.T) {
	const met = 101_023
	former := uint64(met)
	for _, version := range []uint64{1010, 1029, met - 1, met} {
		r := &SiteReconciler{Leader: elected(version), Clock: time.Now}
		r.outrank(met)
		epoch, err := r.above(context.Background(), version, nil)
		if err != nil || epoch <= former {
			t.Errorf("version %d: epoch %d (%v), want one above %d", version, epoch, err, former)
		}
		former = epoch
		if r.hush.IsZero() {
			t.Errorf("version %d: the store went back in time", version)
		}
	}
	r := &SiteReconciler{Leader: elected(met + 1), Clock: time.Now}
	r.outrank(met)
	if epoch, err := r.above(context.Background(), met+1, nil); err != nil || epoch != met+1 || !r.hush.IsZero() {
		t.Errorf("epoch %d (%v), want the version of a Lease that is above all that was met", epoch, err)
	}
}

// TestTakeoverWaitsForWhoLedBefore: nothing is stamped while another may lead, unless nobody ever led.
// Rules: L7.
func TestTakeoverWaitsForWhoLedBefore(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pool, claim, budget := &powerv1.MinerPool{}, &powerv1.GPUWorkload{}, &powerv1.PowerBudget{}
	budget.Status.ReservedWatts = quantity(0)
	pool.Status.Splits, claim.Status.Epoch = []powerv1.MinerPoolSplit{{}}, 7
	for name, c := range map[string]struct {
		found client.Object
		alone time.Time
		wait  time.Duration
	}{
		"a workload that is stamped":               {claim, now.Add(20 * time.Second), 20 * time.Second},
		"a pool whose agents were told":            {pool, now.Add(20 * time.Second), 20 * time.Second},
		"a budget that was decided on":             {budget, now.Add(20 * time.Second), 20 * time.Second},
		"a new budget, where nobody led":           {&powerv1.PowerBudget{}, now.Add(20 * time.Second), 0},
		"a new pool, where nobody led":             {&powerv1.MinerPool{}, now.Add(20 * time.Second), 0},
		"a stamped one, where no other leads":      {claim, now, 0},
		"a workload that this process has stamped": {&powerv1.GPUWorkload{Status: powerv1.GPUWorkloadStatus{Epoch: 9}}, now.Add(20 * time.Second), 0},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, powerv1.AddToScheme} {
				if err := add(scheme); err != nil {
					t.Fatal(err)
				}
			}
			o := copied(t, c.found)
			o.SetNamespace("ai")
			o.SetName("it")
			store := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&powerv1.GPUWorkload{}).WithObjects(o).Build()
			r := &SiteReconciler{
				Client: store, Live: store, Table: gate.Builtin(), Clock: func() time.Time { return now }, stamped: 9,
				Leader:  candidate{elected(9), c.alone},
				Prepare: func(context.Context) error { return nil },
			}
			wait, err := r.takeOver(context.Background())
			if err != nil || wait != c.wait || (r.links != nil) != (wait == 0) {
				t.Errorf("waits %v (%v), leads: %t; want to wait %v", wait, err, r.links != nil, c.wait)
			}
		})
	}
}

// candidate holds the Lease, and leads alone from a time on.
type candidate struct {
	elected
	alone time.Time
}

func (c candidate) Alone() time.Time { return c.alone }

// elected holds the election's Lease at one version.
type elected uint64

func (e elected) Read(context.Context) (uint64, error) { return uint64(e), nil }
func (elected) Fresh() bool                            { return true }
func (elected) Alone() time.Time                       { return time.Time{} }

func copied(t *testing.T, o client.Object) client.Object {
	t.Helper()
	c, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		t.Fatalf("%T", o)
	}
	return c
}

// deaf is a stream whose agent hears nothing.
type deaf struct{ report func(lease.Report) }

func (d *deaf) Open(_ context.Context, _ peer, report func(lease.Report), _ func(error)) outbox {
	d.report = report
	return d
}
func (*deaf) PutHello(lease.Hello) {}
func (*deaf) PutLease(lease.Lease) {}

// TestReportsAndPassesAtOnce: reports come while passes read and grant; meant for the race detector.
func TestReportsAndPassesAtOnce(t *testing.T) {
	d := &deaf{}
	now := time.Unix(1_900_000_000, 0)
	woken := make(chan struct{}, 1000)
	l := newLinks(9, d, func() time.Time { return now }, func() { woken <- struct{}{} }, func(uint64) {}, logr.Discard())
	p := peer{key: "ai/p-0", podUID: "u", ip: "127.0.0.9", assignment: lease.Assignment{Ranges: []string{"10.0.0.1"}}}
	l.sync(context.Background(), []peer{p})
	var group sync.WaitGroup
	for n := range 3 {
		group.Go(func() {
			for i := range 100 {
				d.report(lease.Report{Epoch: 9, Run: 1, Generation: 1, AsOf: time.Duration(n*1000 + i), Bound: lease.Watts(i), Rated: 1000})
				l.sync(context.Background(), []peer{p})
				l.confirm(now)
				_ = l.view(now)
			}
		})
	}
	group.Wait()
	if len(woken) == 0 {
		t.Error("no report asked for a pass")
	}
}
