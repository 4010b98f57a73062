package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// await waits for a condition of the scenario.
func (g *stage) await(ctx context.Context, a scenario.Await) error {
	since := g.clock.Now()
	return g.waitFor(ctx, a.Timeout.D, func(ctx context.Context) error { return g.holds(ctx, a, since) })
}

// waitFor waits, and lets the status lines tell for what.
func (g *stage) waitFor(ctx context.Context, patience time.Duration, missing func(context.Context) error) error {
	defer g.tellWaiting(nil)
	return until(ctx, patience, func() error {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := missing(limited)
		g.tellWaiting(err)
		return err
	})
}

func (g *stage) tellWaiting(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = ""
	if err != nil {
		g.waiting = "waits: " + err.Error()
	}
}

// holds says what is still missing. Watts count only as measured after since: what came before may be from
// a moment in which other things were true.
func (g *stage) holds(ctx context.Context, a scenario.Await, since time.Time) error {
	switch {
	case a.Workload != "":
		return g.workloadIs(a.Workload, a.Is)
	case a.Pods != nil:
		return g.podsAre(*a.Pods)
	case a.MiningShare != nil:
		return g.miningHas(*a.MiningShare, since)
	case a.HealthyMining != nil:
		return g.healthyMake(ctx, *a.HealthyMining, since)
	case a.Draw != nil:
		return g.drawIs(*a.Draw, since)
	case a.Condition != nil:
		return g.conditionIs(ctx, *a.Condition)
	case a.Gone != nil:
		return g.isGone(ctx, *a.Gone)
	case a.Leader != "":
		return g.election.leads(ctx)
	}
	return nil
}

// podStates are the states of workloads that a scenario can await.
var podStates = map[string]func(*corev1.Pod) bool{
	"Running":  meter.Draws,
	"Gated":    gated,
	"Admitted": func(p *corev1.Pod) bool { return !gated(p) },
	"Ended":    func(p *corev1.Pod) bool { return !gated(p) && p.Spec.NodeName != "" && !meter.Draws(p) },
}

func (g *stage) workloadIs(name, state string) error {
	namespace, short, _ := strings.Cut(name, "/")
	pods := g.observer.find(func(p *corev1.Pod) bool {
		return p.Namespace == namespace && (workloadOf(p) == name || p.Name == short || p.Labels[powerv1.WorkloadLabel] == short)
	})
	suits, n := podStates[state], 0
	for _, p := range pods {
		if suits(p) {
			n++
		}
	}
	if n == len(pods) && (n > 0 || state == "Ended") {
		return nil
	}
	return fmt.Errorf("%d of %d pods of %s are %s", n, len(pods), name, state)
}

func (g *stage) podsAre(want scenario.Pods) error {
	selector, err := labels.Parse(want.Selector)
	if err != nil {
		return over{fmt.Errorf("pods.selector: %w", err)}
	}
	n := len(g.observer.find(func(p *corev1.Pod) bool {
		return inNamespace(p, want.Namespace) && selector.Matches(labels.Set(p.Labels)) && inPhase(p, want.Phase)
	}))
	switch {
	case want.Count != nil && n != *want.Count:
		return fmt.Errorf("%d pods are %s, not %d", n, want.Phase, *want.Count)
	case want.AtLeast != nil && n < *want.AtLeast:
		return fmt.Errorf("%d pods are %s, fewer than %d", n, want.Phase, *want.AtLeast)
	case want.AtMost != nil && n > *want.AtMost:
		return fmt.Errorf("%d pods are %s, more than %d", n, want.Phase, *want.AtMost)
	}
	return nil
}

// inNamespace is true of every pod where no namespace is named.
func inNamespace(p *corev1.Pod, namespace string) bool {
	return namespace == "" || p.Namespace == namespace
}

// inPhase knows one phase more than Kubernetes: Gated.
func inPhase(p *corev1.Pod, phase string) bool {
	if phase == "Gated" {
		return gated(p)
	}
	return string(p.Status.Phase) == phase
}

// lastSince is the newest sample, where it was taken after since.
func (g *stage) lastSince(since time.Time) (meter.Sample, error) {
	sample, there := g.readings.last()
	if !there || !sample.At.After(since) {
		return meter.Sample{}, errors.New("the meter took no sample since")
	}
	return sample, nil
}

func (g *stage) miningHas(percent float64, since time.Time) error {
	sample, err := g.lastSince(since)
	if err != nil {
		return err
	}
	_, _, budgets := g.observer.seen()
	left := judge.Share(sample, budgets, g.machines.canDraw())
	if mining := float64(sample.Roots().Mining); mining < percent/100*left {
		return fmt.Errorf("mining draws %.0f W of its share of %.0f W, less than %g %%", mining, left, percent)
	}
	return nil
}

func (g *stage) healthyMake(ctx context.Context, percent float64, since time.Time) error {
	sample, err := g.lastSince(since)
	if err != nil {
		return err
	}
	machines, err := g.machines.truth(ctx)
	if err != nil {
		return err
	}
	_, _, budgets := g.observer.seen()
	if makes, could := judge.HashRates(sample, budgets, machines); makes < percent/100*could {
		return fmt.Errorf("healthy machines make %.0f of the %.0f TH/s they could, less than %g %%", makes, could, percent)
	}
	return nil
}

func (g *stage) drawIs(want scenario.Draw, since time.Time) error {
	sample, err := g.lastSince(since)
	if err != nil {
		return err
	}
	r, known := sample.Budgets[want.Budget]
	switch {
	case !known:
		return fmt.Errorf("the meter knows no budget %q", want.Budget)
	case want.AtLeast != nil && r.Draw() < want.AtLeast.N:
		return fmt.Errorf("%s draws %d W, less than %d W", want.Budget, r.Draw(), want.AtLeast.N)
	case want.AtMost != nil && r.Draw() > want.AtMost.N:
		return fmt.Errorf("%s draws %d W, more than %d W", want.Budget, r.Draw(), want.AtMost.N)
	}
	return nil
}

// wellKnown kinds need no apiVersion in a scenario.
var wellKnown = map[string]string{
	"PowerBudget": powerv1.GroupVersion.String(), "MinerPool": powerv1.GroupVersion.String(),
	"GPUWorkload": powerv1.GroupVersion.String(), "CurtailmentEvent": powerv1.GroupVersion.String(),
	"Deployment": "apps/v1", "StatefulSet": "apps/v1", "ReplicaSet": "apps/v1", "DaemonSet": "apps/v1",
	"Job": "batch/v1", "CronJob": "batch/v1", "Lease": "coordination.k8s.io/v1",
}

func kindOf(apiVersion, kind string) schema.GroupVersionKind {
	if apiVersion == "" {
		apiVersion = wellKnown[kind]
	}
	if apiVersion == "" {
		apiVersion = "v1"
	}
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}

func (g *stage) get(ctx context.Context, o scenario.Object) (*unstructured.Unstructured, error) {
	client, err := g.writer.Resource(kindOf(o.APIVersion, o.Kind), o.Namespace)
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, o.Name, metav1.GetOptions{})
}

func (g *stage) conditionIs(ctx context.Context, want scenario.Condition) error {
	o, err := g.get(ctx, want.Object)
	if err != nil {
		return err
	}
	all, err := conditionsOf(o)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c metav1.Condition) bool { return c.Type == want.Type })
	if i < 0 {
		return fmt.Errorf("%s %s has no condition %s", want.Kind, want.Name, want.Type)
	}
	if c := all[i]; string(c.Status) != want.Status || (want.Reason != "" && c.Reason != want.Reason) {
		return fmt.Errorf("%s %s is %s=%s (%s): %s", want.Kind, want.Name, c.Type, c.Status, c.Reason, c.Message)
	}
	return nil
}

func (g *stage) isGone(ctx context.Context, o scenario.Object) error {
	_, err := g.get(ctx, o)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s %s is still there", o.Kind, o.Name)
}

// agentsRun says whether every MinerPool has agents, and all of them are ready.
func (g *stage) agentsRun(ctx context.Context) error {
	pools, err := g.client.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=miner-agent"})
	if err != nil {
		return err
	}
	made, err := g.poolCount(ctx)
	if err != nil {
		return err
	}
	if len(pools.Items) < made {
		return fmt.Errorf("%d of %d MinerPools have agents", len(pools.Items), made)
	}
	for _, set := range pools.Items {
		if set.Spec.Replicas == nil || set.Status.ReadyReplicas < *set.Spec.Replicas {
			return fmt.Errorf("%d agents of %s/%s are ready", set.Status.ReadyReplicas, set.Namespace, set.Name)
		}
	}
	return nil
}

// poolCount is how many MinerPools should have agents.
func (g *stage) poolCount(ctx context.Context) (int, error) {
	all, err := g.anything.Resource(powerv1.GroupVersion.WithResource("minerpools")).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	n := 0
	for i := range all.Items {
		if !stalled(&all.Items[i]) {
			n++
		}
	}
	return n, nil
}

// stalled objects wait for a person; nothing else should wait for them.
func stalled(o *unstructured.Unstructured) bool {
	all, err := conditionsOf(o)
	return err == nil && slices.ContainsFunc(all, func(c metav1.Condition) bool {
		return c.Type == "Stalled" && c.Status == metav1.ConditionTrue
	})
}

func conditionsOf(o *unstructured.Unstructured) ([]metav1.Condition, error) {
	data, err := json.Marshal(o.Object["status"])
	if err != nil {
		return nil, fmt.Errorf("reading a status: %w", err)
	}
	var status struct{ Conditions []metav1.Condition }
	if err := json.Unmarshal(data, &status); err != nil {
		return nil, fmt.Errorf("reading a status: %w", err)
	}
	return status.Conditions, nil
}
