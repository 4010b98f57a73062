package play

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

var truth = meter.Config{Nodes: map[string]meter.Node{"one-0": {Budget: "hall", Resource: "nvidia.com/gpu", WattsPerGPU: 1000}}}

// aiPod of a Deployment, as its kubelet and the operator change it.
func aiPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, UID: types.UID(name), Labels: map[string]string{"pod-template-hash": "abc", "app": "chat"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "chat-abc", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}},
			Containers:      []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8")}}}},
		},
	}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func open(p *corev1.Pod)  { p.Spec.SchedulingGates = nil }
func bound(p *corev1.Pod) { p.Spec.NodeName = "one-0" }
func runs(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

func ended(p *corev1.Pod) {
	p.Status.Phase = corev1.PodSucceeded
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
}

func watch() (*observer, func(seconds int, do func(*observer))) {
	clock := clocktesting.NewFakePassiveClock(noon)
	o := newObserver(truth, clock)
	return o, func(seconds int, do func(*observer)) {
		clock.SetTime(at(seconds))
		do(o)
	}
}

func saw(pod *corev1.Pod) func(*observer) { return func(o *observer) { o.sawPod(pod) } }

func TestTheLifeOfAPodIsNoted(t *testing.T) {
	o, when := watch()
	o.releases["ns/claim"] = 7 * time.Second
	labelled := func(p *corev1.Pod) { p.Labels[powerv1.WorkloadLabel] = "claim" }
	when(1, saw(aiPod("p", labelled)))
	when(5, saw(aiPod("p", labelled, open)))
	when(6, saw(aiPod("p", labelled, open, bound)))
	when(8, saw(aiPod("p", labelled, open, bound, runs)))
	when(9, saw(aiPod("p", labelled, open, bound, runs)))
	when(20, saw(aiPod("p", labelled, open, bound, ended)))
	when(25, func(o *observer) { o.lostPod(aiPod("p", labelled, open, bound, ended)) })
	pods, _, _ := o.seen()
	want := []judge.Pod{{
		Workload: "ns/chat", Name: "ns/p", Watts: 8000, Budget: "hall", Gated: true,
		Created: at(1), Opened: at(5), Running: at(8), Finish: at(20), Release: 7 * time.Second,
	}}
	if diff := cmp.Diff(want, pods); diff != "" {
		t.Error(diff)
	}
}

func TestAPodDeletedAtTheGateHasEnded(t *testing.T) {
	o, when := watch()
	when(1, saw(aiPod("p")))
	when(3, func(o *observer) { o.lostPod(aiPod("p")) })
	plain := aiPod("no accelerators")
	plain.Spec.Containers[0].Resources.Limits = nil
	when(4, saw(plain))
	pods, _, _ := o.seen()
	want := []judge.Pod{{Workload: "ns/chat", Name: "ns/p", Watts: 8000, Gated: true, Created: at(1), Finish: at(3)}}
	if diff := cmp.Diff(want, pods); diff != "" {
		t.Error(diff)
	}
}

func TestBudgetsAndEventsAreNotedAsWritten(t *testing.T) {
	o, when := watch()
	objects, err := scenario.Parse(`
{apiVersion: a/v1, kind: PowerBudget, metadata: {name: site}, spec: {limitWatts: 1M, marginPercent: 5, headroomWatts: 20k}}
---
{apiVersion: a/v1, kind: PowerBudget, metadata: {name: hall}, spec: {limitWatts: 1M}}
---
{apiVersion: a/v1, kind: CurtailmentEvent, metadata: {name: e}, spec: {budget: site, limitWatts: 700k, start: "2026-07-01T12:00:30Z", end: "2026-07-01T12:01:00Z"}}
---
{apiVersion: a/v1, kind: CurtailmentEvent, metadata: {name: e}, spec: {budget: site, limitWatts: 600k, start: "2026-07-01T12:00:30Z", end: "2026-07-01T12:01:00Z"}}
---
{apiVersion: a/v1, kind: MinerPool, metadata: {namespace: m, name: one}, spec: {budget: hall}}
---
{apiVersion: a/v1, kind: MinerPool, metadata: {namespace: m, name: two}, spec: {budget: hall, uncertaintyPercent: 3}}
`)
	if err != nil {
		t.Fatal(err)
	}
	when(1, func(o *observer) {
		o.sawBudget(objects[0])
		o.sawBudget(objects[1])
		o.sawEvent(objects[2])
		o.sawPool(objects[4])
		o.sawPool(objects[5])
	})
	when(9, func(o *observer) { o.sawEvent(objects[3]) })
	_, events, budgets := o.seen()
	if diff := cmp.Diff(map[string]judge.Budget{"site": {MarginPercent: 5, HeadroomWatts: 20000}, "hall": {MarginPercent: 2, UncertaintyPercent: new(3.0)}}, budgets); diff != "" {
		t.Error(diff)
	}
	if len(events) != 1 || *events[0].Limit != 600_000 || !events[0].Written.Equal(at(1)) || !events[0].Start.Equal(at(30)) {
		t.Errorf("got %+v", events)
	}
}

func TestAwaitingWorkloadsAndPods(t *testing.T) {
	o, when := watch()
	g := &stage{observer: o}
	gate, all := aiPod("a"), func(name string) *corev1.Pod { return aiPod(name, open, bound, runs) }
	missing := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	expect := func(what string, err error, want string) {
		t.Helper()
		if got := missing(err); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: want %q, got %q", what, want, got)
		}
	}
	expect("before it is there", g.workloadIs("ns/chat", "Running"), "0 of 0 pods of ns/chat are Running")
	when(1, saw(gate))
	when(1, saw(all("b")))
	expect("one waits", g.workloadIs("ns/chat", "Running"), "1 of 2 pods of ns/chat are Running")
	expect("admitted", g.workloadIs("ns/chat", "Admitted"), "1 of 2")
	expect("gated", g.podsAre(scenario.Pods{Phase: "Gated", Count: new(1)}), "")
	expect("running", g.podsAre(scenario.Pods{Phase: "Running", Namespace: "ns", Selector: "app=chat", AtLeast: new(2)}), "1 pods are Running, fewer than 2")
	expect("elsewhere", g.podsAre(scenario.Pods{Phase: "Running", Namespace: "other", AtMost: new(0)}), "")
	expect("selector", g.podsAre(scenario.Pods{Phase: "Running", Selector: "app in (", Count: new(0)}), "pods.selector")
	when(2, saw(all("a")))
	expect("all run", g.workloadIs("ns/chat", "Running"), "")
	expect("one pod by name", g.workloadIs("ns/b", "Running"), "")
	expect("not over", g.workloadIs("ns/chat", "Ended"), "0 of 2")
	when(3, saw(aiPod("a", open, bound, ended)))
	when(3, saw(aiPod("b", open, bound, ended)))
	expect("over", g.workloadIs("ns/chat", "Ended"), "")
}

func TestMachinesThatPeopleAreToldOfAreNoted(t *testing.T) {
	o, after := watch()
	pool := func(message string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"namespace": "m", "name": "hall"},
			"status":   map[string]any{"conditions": []any{map[string]any{"type": "Reachable", "message": message}}},
		}}
	}
	event := func(kind, note string) *eventsv1.Event {
		return &eventsv1.Event{Regarding: corev1.ObjectReference{Kind: kind}, Note: note}
	}
	after(0, func(o *observer) { o.sawPool(pool("all is well")) })
	after(3, func(o *observer) { o.sawPool(pool("2 devices do not answer: 127.1.0.1, 127.1.0.2; so it is")) })
	after(4, func(o *observer) { o.sawNotice(event("Pod", "127.1.0.4 is ready")) })
	after(5, func(o *observer) { o.sawNotice(event("MinerPool", "Device 127.1.0.2 is stuck")) })
	after(9, func(o *observer) { o.sawPool(pool("1 devices do not answer: 127.1.0.2, 127.1.0.30")) })
	machines := []judge.Machine{{Address: "127.1.0.1"}, {Address: "127.1.0.2"}, {Address: "127.1.0.3"}, {Address: "127.1.0.4"}}
	o.toldOf(machines)
	want := []judge.Machine{
		{Address: "127.1.0.1", InCondition: at(3)}, {Address: "127.1.0.2", InCondition: at(3), InEvent: at(5)}, {Address: "127.1.0.3"}, {Address: "127.1.0.4"},
	}
	if diff := cmp.Diff(want, machines); diff != "" {
		t.Error(diff)
	}
}
