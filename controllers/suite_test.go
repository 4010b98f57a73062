package controllers

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var (
	config *rest.Config
	stop   func()
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Controllers")
}

var _ = BeforeSuite(func() {
	config, stop = testenv.Start(GinkgoT())
})

var _ = AfterSuite(func() { stop() })

// eventLog records the events that were sent.
type eventLog struct {
	mu    sync.Mutex // gates are opened at once
	lines []string
}

func (l *eventLog) Eventf(about, _ runtime.Object, kind, reason, action, note string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s %s %s: %s", kind, reason, action, fmt.Sprintf(note, args...)))
}

// site is a SiteReconciler on a namespace of its own, with a clock that the test turns.
type site struct {
	*SiteReconciler
	ns     string
	now    time.Time
	began  time.Time
	writes []string
	events *eventLog
	wire   *fakeAgents
	hung   error // what every list answers, where it is set
	// refused is what the patch of a pool's status answers, where it is set.
	refused error
	// shut is what the patch of a pod answers, where it is set.
	shut   error
	pools  *MinerPoolReconciler
	budget *PowerBudgetReconciler
}

// epochStart is when pure tests begin.
var epochStart = time.Now().Truncate(time.Second)

// runsFor is how long every agent of a site runs already when that is made: none is young.
const runsFor = time.Hour

// age is the clock of every agent.
func (s *site) age() time.Duration { return s.now.Sub(s.began) + runsFor }

// leaderFor is a Leader that holds the election's Lease on the real API server, which the one before it let go.
func leaderFor(ctx context.Context, ns string, clock func() time.Time) *Leader {
	l, err := NewLeader(config, ns, "operator", clock)
	Expect(err).NotTo(HaveOccurred())
	Expect(l.Create(ctx, resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1})).To(Succeed())
	_, _, err = l.Get(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(l.Update(ctx, resourcelock.LeaderElectionRecord{HolderIdentity: l.Identity(), LeaseDurationSeconds: 30})).To(Succeed())
	return l
}

var names int

func newSite(ctx context.Context) *site {
	names++
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(powerv1.AddToScheme(scheme)).To(Succeed())
	inner, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	s := &site{ns: fmt.Sprintf("site-%d", names), now: time.Now().Truncate(time.Second), events: &eventLog{}}
	s.began = s.now
	c := interceptor.NewClient(inner, s.countWrites())
	s.wire = &fakeAgents{site: s, agents: map[string]*fakeAgent{}}
	clock := func() time.Time { return s.now }
	Expect(inner.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.ns}})).To(Succeed())
	b := newBoard()
	s.SiteReconciler = &SiteReconciler{
		Client: c, Live: inner, Table: gate.Builtin(), Clock: clock, Events: s.events,
		Leader: leaderFor(ctx, s.ns, clock), Stream: s.wire, Depose: func(err error) { Fail(err.Error()) }, Prepare: func(context.Context) error { return nil },
		Heartbeat: func(context.Context, string) (renewal, error) { return renewal{at: s.now}, nil },
		board:     b, gone: newGonePods(clock), base: ctx,
	}
	s.pools = &MinerPoolReconciler{
		Client: c, Direct: c, Clock: clock, Events: s.events, Image: "agent:test", board: b,
		authority: &authority{client: c, namespace: s.ns, clock: clock}, wrote: map[types.NamespacedName]time.Time{},
		told: map[types.NamespacedName]map[trouble]bool{},
	}
	s.budget = &PowerBudgetReconciler{Client: c, Clock: clock, Events: s.events, board: b, wrote: map[string]time.Time{}}
	DeferCleanup(s.clean)
	return s
}

// clean removes what is cluster-wide, so that sites don't see each other.
func (s *site) clean(ctx context.Context) {
	for _, list := range []client.ObjectList{
		&powerv1.GPUWorkloadList{}, &powerv1.MinerPoolList{}, &powerv1.PowerBudgetList{}, &powerv1.CurtailmentEventList{},
		&corev1.PodList{}, &corev1.NodeList{},
	} {
		Expect(s.Live.List(ctx, list)).To(Succeed())
		each(list, func(o client.Object) {
			_, err := setFinalizer(ctx, s.Client, o, false)
			Expect(err).NotTo(HaveOccurred())
			Expect(client.IgnoreNotFound(s.Delete(ctx, o, client.GracePeriodSeconds(0)))).To(Succeed())
		})
	}
}

func (s *site) countWrites() interceptor.Funcs {
	var mu sync.Mutex
	note := func(verb string, o client.Object) {
		mu.Lock()
		defer mu.Unlock()
		s.writes = append(s.writes, fmt.Sprintf("%s %T %s", verb, o, o.GetName()))
	}
	return interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if s.hung != nil {
				return s.hung
			}
			return c.List(ctx, l, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			note("create", o)
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			note("update", o)
			return c.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			note("patch", o)
			if _, pod := o.(*corev1.Pod); pod && s.shut != nil {
				return s.shut
			}
			return c.Patch(ctx, o, p, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			note("update/"+sub, o)
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			note("patch/"+sub, o)
			if _, pool := o.(*powerv1.MinerPool); pool && s.refused != nil {
				return s.refused
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

// pass makes one pass and moves the clock a second.
func (s *site) pass(ctx context.Context) {
	GinkgoHelper()
	_, err := s.Reconcile(ctx, siteRequest)
	Expect(err).NotTo(HaveOccurred())
	s.now = s.now.Add(time.Second)
	s.Leader.(*Leader).renewedAt.Store(s.now.UnixNano())
}

// run makes passes with agents that follow in between.
func (s *site) run(ctx context.Context, passes int) {
	GinkgoHelper()
	for range passes {
		s.pass(ctx)
		s.wire.settle(true)
	}
}

// objects of a small site: one root that feeds the nodes, and one pool with one agent.

func watts(text string) *resource.Quantity { return new(resource.MustParse(text)) }

func (s *site) createBudget(ctx context.Context, name string, edit func(*powerv1.PowerBudget)) *powerv1.PowerBudget {
	GinkgoHelper()
	b := &powerv1.PowerBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{powerv1.LedgerFinalizer}},
		Spec:       powerv1.PowerBudgetSpec{LimitWatts: *watts("100k"), MarginPercent: new(int32(0))},
	}
	if edit != nil {
		edit(b)
	}
	Expect(s.Create(ctx, b)).To(Succeed())
	return b
}

func (s *site) createPool(ctx context.Context, name, budget, rated string, edit func(*powerv1.MinerPool)) *powerv1.MinerPool {
	GinkgoHelper()
	p := &powerv1.MinerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name, Finalizers: []string{powerv1.LedgerFinalizer}},
		Spec: powerv1.MinerPoolSpec{
			Budget: budget, RatedWatts: *watts(rated),
			Devices: powerv1.MinerDevices{Addresses: []string{"10.0.0.0/28"}},
		},
	}
	if edit != nil {
		edit(p)
	}
	Expect(s.Create(ctx, p)).To(Succeed())
	return p
}

// createAgent makes a running agent pod with a fake agent behind it that draws its rated watts.
func (s *site) createAgent(ctx context.Context, pool string, rated lease.Watts) *fakeAgent {
	GinkgoHelper()
	owner := &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: pool}}
	s.get(ctx, owner)
	set := statefulSet(owner, 1, "agent:test")
	Expect(controllerutil.SetControllerReference(owner, set, s.Scheme())).To(Succeed())
	Expect(s.Create(ctx, set)).To(Succeed())
	return s.addAgent(ctx, set, 0, rated)
}

// addAgent makes the pod of one slot of a pool's StatefulSet.
func (s *site) addAgent(ctx context.Context, set *appsv1.StatefulSet, n int, rated lease.Watts) *fakeAgent {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: fmt.Sprintf("%s-%d", set.Name, n), Labels: map[string]string{
			componentLabel: agentComponent, powerv1.PoolLabel: set.Name, "apps.kubernetes.io/pod-index": strconv.Itoa(n),
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:test"}}},
	}
	Expect(controllerutil.SetControllerReference(set, pod, s.Scheme())).To(Succeed())
	Expect(s.Create(ctx, pod)).To(Succeed())
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, "127.0.0.9", []corev1.PodIP{{IP: "127.0.0.9"}}
	Expect(s.Status().Update(ctx, pod)).To(Succeed())
	a := &fakeAgent{holder: lease.NewHolder(7), rated: rated, draw: rated}
	s.wire.agents[s.ns+"/"+pod.Name] = a
	return a
}

func (s *site) createNode(ctx context.Context, name string, gpus string, labels map[string]string) {
	GinkgoHelper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	Expect(s.Create(ctx, n)).To(Succeed())
	n.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus)}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	Expect(s.Status().Update(ctx, n)).To(Succeed())
}

// createPod makes a gated accelerator pod, as the policy would have it.
func (s *site) createPod(ctx context.Context, name, gpus string, edit func(*corev1.Pod)) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name, Labels: map[string]string{"app": "ai"}},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}},
			Containers: []corev1.Container{{Name: "c", Image: "x", Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus)},
			}}},
		},
	}
	if edit != nil {
		edit(pod)
	}
	Expect(s.Create(ctx, pod)).To(Succeed())
	return pod
}

func (s *site) createWorkload(ctx context.Context, name string, edit func(*powerv1.GPUWorkload)) *powerv1.GPUWorkload {
	GinkgoHelper()
	w := &powerv1.GPUWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name},
		Spec: powerv1.GPUWorkloadSpec{
			Class: powerv1.ClassTraining, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ai"}},
		},
	}
	if edit != nil {
		edit(w)
	}
	Expect(s.Create(ctx, w)).To(Succeed())
	return w
}

func (s *site) get(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Expect(s.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
}

func (s *site) reserved(ctx context.Context, w *powerv1.GPUWorkload) metav1.Condition {
	GinkgoHelper()
	s.get(ctx, w)
	return conditionOf(w.Status.Conditions, powerv1.ConditionPowerReserved)
}

func (l *eventLog) has(part string) bool {
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

// each calls do for every object of a list.
func each(list client.ObjectList, do func(client.Object)) {
	GinkgoHelper()
	objects, err := meta.ExtractList(list)
	Expect(err).NotTo(HaveOccurred())
	for _, o := range objects {
		object, ok := o.(client.Object)
		Expect(ok).To(BeTrue())
		do(object)
	}
}
