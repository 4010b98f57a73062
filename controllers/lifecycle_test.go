package controllers

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var writeLifecycle = flag.Bool("write-lifecycle", false, "write test/gitops/testdata anew")

// lifecycleAt is now, wherever a status of the lifecycle was computed.
var lifecycleAt = time.Date(2031, 7, 1, 16, 30, 0, 0, time.UTC)

// The objects that test/gitops judges are what the controllers write, in every state of every kind.
func TestTheLifecycleIsWhatTheControllersWrite(t *testing.T) {
	g := NewWithT(t)
	root, err := testenv.Root()
	g.Expect(err).NotTo(HaveOccurred())
	files := map[string]bool{}
	for kind, states := range map[string]map[string]client.Object{
		"PowerBudget": budgetLifecycle(), "MinerPool": poolLifecycle(), "GPUWorkload": workloadLifecycle(), "CurtailmentEvent": eventLifecycle(),
	} {
		for state, object := range states {
			object.GetObjectKind().SetGroupVersionKind(powerv1.GroupVersion.WithKind(kind))
			text, err := yaml.Marshal(object)
			g.Expect(err).NotTo(HaveOccurred())
			path := filepath.Join(root, "test", "gitops", "testdata", kind, state+".yaml")
			files[path] = true
			if *writeLifecycle {
				g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
				g.Expect(os.WriteFile(path, text, 0o600)).To(Succeed())
			}
			written, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(written)).To(Equal(string(text)), "go test ./controllers -run Lifecycle -write-lifecycle")
		}
	}
	there, err := filepath.Glob(filepath.Join(root, "test", "gitops", "testdata", "*", "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, path := range there {
		g.Expect(files).To(HaveKey(path), "nothing writes it")
	}
}

// born is what every object of the lifecycle has: made an hour before, as the first generation.
func born(name string, finalizers ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(lifecycleAt.Add(-time.Hour)), Finalizers: finalizers,
	}
}

// young is an object that has only come.
func young(m *metav1.ObjectMeta) { m.CreationTimestamp = metav1.NewTime(lifecycleAt.Add(-time.Second)) }

// goingAway is an object that somebody deleted, which is an edit too.
func goingAway(m *metav1.ObjectMeta) {
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds, m.Generation = new(metav1.NewTime(lifecycleAt)), new(int64(0)), 2
}

// settled gives conditions one time, since when they are true: that comes from the clock on the wall.
func settled(conditions []metav1.Condition) {
	for i := range conditions {
		conditions[i].LastTransitionTime = metav1.NewTime(lifecycleAt)
	}
}

func budgetLifecycle() map[string]client.Object {
	decided := func(s *budgetSnapshot) {
		s.known = true
		s.plan = power.BudgetPlan{Name: "hall", Limit: 8_000_000, Reason: power.LimitSpec, Base: 400_000, Leased: 3_000_000, Available: 4_600_000}
	}
	out := map[string]client.Object{}
	for state, edit := range map[string]func(*powerv1.PowerBudget, *budgetSnapshot){
		"reconciling": func(b *powerv1.PowerBudget, _ *budgetSnapshot) { b.Spec.Parent = "site"; young(&b.ObjectMeta) },
		"ready":       func(_ *powerv1.PowerBudget, s *budgetSnapshot) { decided(s) },
		"undecided":   func(*powerv1.PowerBudget, *budgetSnapshot) {},
		"shedding":    func(_ *powerv1.PowerBudget, s *budgetSnapshot) { decided(s); s.plan.Over = 1000 },
		"over-limit":  func(_ *powerv1.PowerBudget, s *budgetSnapshot) { decided(s); s.plan.Short = 1000 },
		"stalled":     func(b *powerv1.PowerBudget, s *budgetSnapshot) { b.Spec.Parent = "site"; decided(s) },
		"deleting":    func(b *powerv1.PowerBudget, s *budgetSnapshot) { decided(s); s.users = 2; goingAway(&b.ObjectMeta) },
	} {
		b := &powerv1.PowerBudget{ObjectMeta: born("hall", powerv1.LedgerFinalizer)}
		b.Spec.LimitWatts = resource.MustParse("8M")
		s := &budgetSnapshot{byName: map[string]*powerv1.PowerBudget{b.Name: b}}
		edit(b, s)
		budgetStatus(&b.Status, b, s, lifecycleAt)
		settled(b.Status.Conditions)
		out[state] = b
	}
	return out
}

func poolLifecycle() map[string]client.Object {
	missing := &fault{powerv1.ReasonBudgetNotFound, "spec.budget \"hall\" does not exist; create that PowerBudget"}
	out := map[string]client.Object{}
	for state, edit := range map[string]func(*powerv1.MinerPool, *poolSnapshot){
		"reconciling":     func(_ *powerv1.MinerPool, s *poolSnapshot) { s.facts = poolFacts{} },
		"before-budget":   func(p *powerv1.MinerPool, s *poolSnapshot) { s.fault = missing; young(&p.ObjectMeta) },
		"addresses-wait":  func(_ *powerv1.MinerPool, s *poolSnapshot) { s.facts.behind = []string{"hydro-0"} },
		"ready":           func(*powerv1.MinerPool, *poolSnapshot) {},
		"curtailed":       func(_ *powerv1.MinerPool, s *poolSnapshot) { s.facts.target, s.facts.limit.Reserved = 5000, 8000 },
		"observed":        func(p *powerv1.MinerPool, _ *poolSnapshot) { p.Spec.Control = powerv1.ControlObserve },
		"agent-unheard":   func(_ *powerv1.MinerPool, s *poolSnapshot) { s.facts.agents, s.facts.unheard = 0, []string{"hydro-0"} },
		"machine-missing": func(_ *powerv1.MinerPool, s *poolSnapshot) { s.facts.unfound, s.facts.rated = 5000, 7000 },
		"stalled":         func(_ *powerv1.MinerPool, s *poolSnapshot) { s.fault = missing },
		"deleting": func(p *powerv1.MinerPool, s *poolSnapshot) {
			s.facts.counts = lease.Counts{Total: 4, Sleeping: 3, Unreachable: 1}
			goingAway(&p.ObjectMeta)
		},
	} {
		p := &powerv1.MinerPool{ObjectMeta: born("hydro", powerv1.LedgerFinalizer)}
		p.Namespace = "mining"
		p.Spec = powerv1.MinerPoolSpec{
			Budget: "hall", RatedWatts: resource.MustParse("12k"), Devices: powerv1.MinerDevices{Addresses: []string{"10.20.0.0/30"}},
		}
		s := &poolSnapshot{shards: [][]string{{"10.20.0.0/30"}}, facts: poolFacts{
			known: true, agents: 1, counts: lease.Counts{Total: 4, Hashing: 4}, leased: 12_000, target: 12_000, most: 12_000, rated: 12_000,
		}}
		edit(p, s)
		poolStatus(&p.Status, p, s, lifecycleAt)
		settled(p.Status.Conditions)
		out[state] = p
	}
	return out
}

func workloadLifecycle() map[string]client.Object {
	holds := func(p *power.WorkloadPlan) {
		p.Requested, p.Reserved, p.Reason, p.Message = 10_200, 10_200, power.AllReserved, "every pod has its watts"
		p.Pods = []power.PodPlan{{UID: "u-0", Name: "train-0", Watts: 10_200, Budget: "hall"}}
	}
	waits := func(reason power.Reason) func(*workloadFacts, *power.WorkloadPlan) {
		return func(w *workloadFacts, p *power.WorkloadPlan) {
			p.Requested, p.Waiting, p.Reason, p.Message = 10_200, 1, reason, "10.2 kW are wanted"
			w.pods = []*corev1.Pod{{Spec: corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}}}}}
		}
	}
	out := map[string]client.Object{}
	for state, edit := range map[string]func(*workloadFacts, *power.WorkloadPlan){
		"no-pods": func(_ *workloadFacts, p *power.WorkloadPlan) {
			p.Reason, p.Message = power.NoPods, "no pod waits for power or draws it"
		},
		"waiting-for-power":  waits(power.NoRoom),
		"waiting-for-miners": waits(power.WaitingForMiners),
		"ready":              func(_ *workloadFacts, p *power.WorkloadPlan) { holds(p) },
		"ungated":            func(w *workloadFacts, p *power.WorkloadPlan) { holds(p); w.ungated = 1 },
		"node-lost":          func(w *workloadFacts, p *power.WorkloadPlan) { holds(p); w.lost = []string{"train-0"} },
		"stalled": func(w *workloadFacts, p *power.WorkloadPlan) {
			waits(power.Reason(powerv1.ReasonStalled))(w, p)
			w.stalled = &fault{powerv1.ReasonOrderedReady, "StatefulSet train shows one pod at a time; set podManagementPolicy: Parallel"}
		},
		"deleting": func(w *workloadFacts, p *power.WorkloadPlan) { holds(p); goingAway(&w.object.ObjectMeta) },
	} {
		w := &workloadFacts{endedAt: map[types.UID]metav1.Time{}, object: &powerv1.GPUWorkload{ObjectMeta: born("train", powerv1.LedgerFinalizer)}}
		w.object.Namespace = "ai"
		w.object.Spec = powerv1.GPUWorkloadSpec{
			Class: powerv1.ClassTraining, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "train"}},
		}
		p := &power.WorkloadPlan{Key: "ai/train", Budget: "hall"}
		edit(w, p)
		w.object.Status = *workloadStatus(w, p, 3)
		settled(w.object.Status.Conditions)
		out[state] = w.object
	}
	return out
}

func eventLifecycle() map[string]client.Object {
	out := map[string]client.Object{}
	for state, edit := range map[string]func(*powerv1.CurtailmentEvent, *curtailmentFacts){
		"scheduled": func(c *powerv1.CurtailmentEvent, _ *curtailmentFacts) {
			c.Spec.Start = metav1.NewTime(lifecycleAt.Add(time.Hour))
		},
		"active":  func(*powerv1.CurtailmentEvent, *curtailmentFacts) {},
		"missed":  func(_ *powerv1.CurtailmentEvent, f *curtailmentFacts) { f.draw = 7_000_000 },
		"ended":   func(c *powerv1.CurtailmentEvent, _ *curtailmentFacts) { c.Spec.End = metav1.NewTime(lifecycleAt) },
		"stalled": func(_ *powerv1.CurtailmentEvent, f *curtailmentFacts) { f.found = false },
		// No status says that it is deleted: nothing keeps it but what others may have put there.
		"deleting": func(c *powerv1.CurtailmentEvent, _ *curtailmentFacts) {
			c.Finalizers = []string{"example.com/kept"}
			goingAway(&c.ObjectMeta)
		},
	} {
		c := &powerv1.CurtailmentEvent{ObjectMeta: born("peak")}
		c.Spec = powerv1.CurtailmentEventSpec{
			Budget: "hall", LimitWatts: new(resource.MustParse("5M")),
			Start: metav1.NewTime(lifecycleAt.Add(-30 * time.Minute)), End: metav1.NewTime(lifecycleAt.Add(2 * time.Hour)),
		}
		f := curtailmentFacts{now: lifecycleAt, found: true, known: true, limit: 8_000_000, draw: 4_000_000, watched: true}
		edit(c, &f)
		curtailmentStatus(&c.Status, c, f)
		settled(c.Status.Conditions)
		out[state] = c
	}
	return out
}
