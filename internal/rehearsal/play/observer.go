package play

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// observer notes when things happened to objects of the API: to pods that ask for accelerators, and to
// curtailments. It knows no watts but those the scenario gives.
type observer struct {
	cfg   meter.Config
	clock clock.PassiveClock

	mu       sync.Mutex
	pods     map[types.UID]*corev1.Pod
	records  map[types.UID]*judge.Pod
	events   map[string]judge.Event
	budgets  map[string]judge.Budget
	pools    map[string]poolFacts     // by namespace/name
	releases map[string]time.Duration // by namespace/name of the GPUWorkload
	longest  time.Duration
	// When the machine at an address was first named in a condition of a MinerPool, and in an event about one.
	inConditions, inEvents map[string]time.Time
}

func newObserver(cfg meter.Config, c clock.PassiveClock) *observer {
	return &observer{
		cfg: cfg, clock: c, pods: map[types.UID]*corev1.Pod{}, records: map[types.UID]*judge.Pod{},
		events: map[string]judge.Event{}, budgets: map[string]judge.Budget{}, pools: map[string]poolFacts{}, releases: map[string]time.Duration{},
		inConditions: map[string]time.Time{}, inEvents: map[string]time.Time{},
	}
}

// poolFacts are where a pool is fed and what is added to its machines' estimates.
type poolFacts struct {
	budget      string
	uncertainty float64
}

var (
	workloads = powerv1.GroupVersion.WithResource("gpuworkloads")
	pools     = powerv1.GroupVersion.WithResource("minerpools")
)

// follow watches until ctx ends; it returns when it has seen what is there.
func (o *observer) follow(ctx context.Context, client kubernetes.Interface, anything dynamic.Interface) error {
	core := informers.NewSharedInformerFactory(client, 0)
	objects := dynamicinformer.NewDynamicSharedInformerFactory(anything, 0)
	type follower struct {
		informer  cache.SharedIndexInformer
		saw, lost func(any)
	}
	nothing := func(any) {}
	var synced []cache.InformerSynced
	for _, f := range []follower{
		{core.Core().V1().Pods().Informer(), o.sawPod, o.lostPod},
		{objects.ForResource(meter.Budgets).Informer(), o.sawBudget, nothing},
		{objects.ForResource(meter.Events).Informer(), o.sawEvent, nothing},
		{objects.ForResource(workloads).Informer(), o.sawWorkload, nothing},
		{objects.ForResource(pools).Informer(), o.sawPool, nothing},
		{core.Events().V1().Events().Informer(), o.sawNotice, nothing},
	} {
		_, err := f.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: f.saw, UpdateFunc: func(_, object any) { f.saw(object) }, DeleteFunc: f.lost,
		})
		if err != nil {
			return fmt.Errorf("watching: %w", err)
		}
		synced = append(synced, f.informer.HasSynced)
	}
	core.Start(ctx.Done())
	objects.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return ctx.Err()
	}
	return nil
}

func (o *observer) sawPod(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pods[pod.UID] = pod
	if watts := o.wattsOf(pod); watts != 0 {
		o.record(pod, watts)
	}
}

// record notes how far a pod has come; o.mu is held.
func (o *observer) record(pod *corev1.Pod, watts int64) {
	now := o.clock.Now()
	r, known := o.records[pod.UID]
	if !known {
		r = &judge.Pod{Workload: workloadOf(pod), Name: pod.Namespace + "/" + pod.Name, Created: now, Gated: gated(pod)}
		o.records[pod.UID] = r
	}
	r.Watts, r.Budget = watts, o.cfg.Nodes[pod.Spec.NodeName].Budget
	if r.Opened.IsZero() && !gated(pod) {
		r.Opened = now
	}
	switch draws := meter.Draws(pod); {
	case draws && r.Running.IsZero():
		r.Running = now
	case !draws && !r.Running.IsZero() && r.Finish.IsZero():
		r.Finish, r.Release = now, o.releaseOf(pod)
	}
}

func (o *observer) lostPod(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.pods, pod.UID)
	if r := o.records[pod.UID]; r != nil && r.Finish.IsZero() {
		r.Finish, r.Release = o.clock.Now(), o.releaseOf(pod)
	}
}

// wattsOf a pod once it runs, also before it is bound; 0 for pods that ask for no accelerators.
func (o *observer) wattsOf(pod *corev1.Pod) int64 {
	if pod.Spec.NodeName != "" {
		_, watts := o.cfg.WattsOf(pod)
		return watts
	}
	most := int64(0)
	for _, node := range o.cfg.Nodes {
		most = max(most, meter.Accelerators(pod, node.Resource)*node.WattsPerGPU)
	}
	return most
}

// releaseOf is how long a pod's watts are kept after it ended; the longest known where its GPUWorkload
// has gone with it.
func (o *observer) releaseOf(pod *corev1.Pod) time.Duration {
	if d, ok := o.releases[pod.Namespace+"/"+pod.Labels[powerv1.WorkloadLabel]]; ok {
		return d
	}
	return o.longest
}

func (o *observer) sawBudget(object any) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	b := judge.Budget{MarginPercent: float64(powerv1.DefaultMarginPercent)}
	if percent, found, err := unstructured.NestedInt64(u.Object, "spec", "marginPercent"); found && err == nil {
		b.MarginPercent = float64(percent)
	}
	if headroom, err := meter.Quantity(u, "headroomWatts"); err == nil && headroom != nil {
		b.HeadroomWatts = *headroom
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.budgets[u.GetName()] = b
}

func (o *observer) sawPool(object any) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	budget, _, _ := unstructured.NestedString(u.Object, "spec", "budget")
	facts := poolFacts{budget: budget, uncertainty: float64(powerv1.DefaultUncertaintyPercent)}
	if percent, found, err := unstructured.NestedInt64(u.Object, "spec", "uncertaintyPercent"); found && err == nil {
		facts.uncertainty = float64(percent)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pools[u.GetNamespace()+"/"+u.GetName()] = facts
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, one := range conditions {
		if condition, ok := one.(map[string]any); ok {
			message, _, _ := unstructured.NestedString(condition, "message")
			o.note(o.inConditions, message)
		}
	}
}

// sawNotice reads events, whose kind is told apart from curtailments by this name.
func (o *observer) sawNotice(object any) {
	e, ok := object.(*eventsv1.Event)
	if !ok || e.Regarding.Kind != "MinerPool" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(o.inEvents, e.Note)
}

var anAddress = regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`)

// note the addresses that a text names for the first time; o.mu is held.
func (o *observer) note(seen map[string]time.Time, text string) {
	for _, address := range anAddress.FindAllString(text, -1) {
		if seen[address].IsZero() {
			seen[address] = o.clock.Now()
		}
	}
}

// toldOf enters when people could first know of each machine.
func (o *observer) toldOf(all []judge.Machine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range all {
		m := &all[i]
		m.InCondition, m.InEvent = o.inConditions[m.Address], o.inEvents[m.Address]
	}
}

func (o *observer) sawEvent(object any) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	e, err := meter.ParseEvent(u)
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	before, known := o.events[e.Name]
	if !known {
		before.Written = o.clock.Now()
	}
	o.events[e.Name] = judge.Event{Event: e, Written: before.Written}
}

func (o *observer) sawWorkload(object any) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	seconds := int64(powerv1.DefaultReleaseDelaySeconds)
	if written, found, err := unstructured.NestedInt64(u.Object, "spec", "releaseDelaySeconds"); found && err == nil {
		seconds = written
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	d := time.Duration(seconds) * time.Second
	o.releases[u.GetNamespace()+"/"+u.GetName()] = d
	o.longest = max(o.longest, d)
}

func gated(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == powerv1.Gate })
}

// workloadOf names what people made: a Deployment rather than its ReplicaSet.
func workloadOf(pod *corev1.Pod) string {
	name := pod.Name
	if owner := metav1.GetControllerOf(pod); owner != nil {
		name = owner.Name
		if owner.Kind == "ReplicaSet" {
			name = strings.TrimSuffix(name, "-"+pod.Labels["pod-template-hash"])
		}
	}
	return pod.Namespace + "/" + name
}

// gatedNow counts pods at the gate.
func (o *observer) gatedNow() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, pod := range o.pods {
		if gated(pod) {
			n++
		}
	}
	return n
}

// find lists pods that suit.
func (o *observer) find(suits func(*corev1.Pod) bool) []*corev1.Pod {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*corev1.Pod
	for _, pod := range o.pods {
		if suits(pod) {
			out = append(out, pod)
		}
	}
	return out
}

// seen copies everything noted, for the judge.
func (o *observer) seen() (pods []judge.Pod, events []judge.Event, budgets map[string]judge.Budget) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		pods = append(pods, *r)
	}
	for _, name := range slices.Sorted(maps.Keys(o.events)) {
		events = append(events, o.events[name])
	}
	return pods, events, o.kept()
}

// kept is what each budget keeps free on purpose; o.mu is held.
func (o *observer) kept() map[string]judge.Budget {
	out := maps.Clone(o.budgets)
	for _, p := range o.pools {
		b, ok := out[p.budget]
		if ok && (b.UncertaintyPercent == nil || *b.UncertaintyPercent > p.uncertainty) {
			b.UncertaintyPercent = &p.uncertainty
			out[p.budget] = b
		}
	}
	return out
}
