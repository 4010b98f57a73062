package controllers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// families is what a collector shows.
func families(collectors ...prometheus.Collector) []*dto.MetricFamily {
	GinkgoHelper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		Expect(registry.Register(c)).To(Succeed())
	}
	out, err := registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	return out
}

// gathered is the values of gauges and counters by name and label values.
func gathered(c prometheus.Collector) map[string]float64 {
	GinkgoHelper()
	out := map[string]float64{}
	for _, f := range families(c) {
		for _, m := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "counterweight_")
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

var _ = Describe("The metrics of a pass", func() {
	var (
		began = time.Unix(1_800_000_000, 0)
		leads bool
		r     *SiteReconciler
	)
	BeforeEach(func() {
		before, led, certs := exported.newest.Load(), exported.leads.Load(), exported.certs.at
		DeferCleanup(func() {
			exported.newest.Store(before)
			exported.leads.Store(led)
			exported.certs.at = certs
		})
		leads = true
		is := func() bool { return leads }
		exported.newest.Store(nil)
		exported.certs.at = nil
		exported.leads.Store(&is)
		r = &SiteReconciler{board: newBoard(), epoch: 7, readAt: began}
	})

	// pass shows a site with a hall, of which one agent is heard and one is not, after a number of seconds.
	pass := func(seconds int, limit power.Watts) {
		s := &snapshot{lists: &lists{cuts: []powerv1.CurtailmentEvent{{
			Spec: powerv1.CurtailmentEventSpec{Budget: "hall"},
			Status: powerv1.CurtailmentEventStatus{State: powerv1.CurtailmentActive, Conditions: []metav1.Condition{
				{Type: powerv1.ConditionMet, Status: metav1.ConditionFalse, Reason: powerv1.ReasonMissed},
			}},
		}}}, now: began.Add(time.Duration(seconds) * time.Second)}
		s.site.Budgets = []power.Budget{{Name: "site", Headroom: 9}, {Name: "hall", Parent: "site"}}
		s.site.Pools = []power.Pool{{Key: "mining/metal", Budget: "hall", Rated: 100}}
		s.agents = []agentView{
			{agent: power.Agent{Key: "mining/metal-0", Pool: "mining/metal", Budget: "hall", Heard: true, Lease: 50, Hold: 60, Bound: 55, Floor: 5, Rated: 70},
				report: lease.Report{Draw: 40, Volatile: 3, Counts: lease.Counts{Total: 6, Hashing: 3, Sleeping: 2, Stuck: 1}}},
			{agent: power.Agent{Key: "mining/metal-1", Pool: "mining/metal", Budget: "hall", Hold: 20}, report: lease.Report{Draw: 1}},
		}
		s.workloads = []workloadFacts{{
			object: &powerv1.GPUWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "llama"}},
			power: power.Workload{Pods: []power.Pod{
				{UID: "a", Phase: power.Admitted, Budget: "hall", Watts: 10, Created: began.Add(-time.Hour)},
				{UID: "b", Phase: power.Gated, Watts: 10, Created: began.Add(-time.Minute)},
				{UID: "c", Phase: power.Gated, Watts: 10, Created: began.Add(-time.Second)},
			}},
		}}
		plan := power.Plan{
			Budgets: []power.BudgetPlan{
				{Name: "site", Limit: 1000, Planned: 900, Base: 7, Reserved: 10, Held: 80, Leased: 50, Unfound: 30, Demand: 20, Free: 11, Available: 12, Over: 13, Short: 14},
				{Name: "hall", Limit: limit, Reserved: 10},
			},
			Workloads: []power.WorkloadPlan{{Key: "ai/llama", Waiting: 2, Reason: power.Reason(powerv1.ReasonNoRoom), Pods: make([]power.PodPlan, 1)}},
			THs:       3, BoundTHs: 4,
		}
		r.board.publish(s, plan, nil, nil)
		r.show(s, plan)
	}

	It("are those of the newest of a leader, and of nobody else", func() {
		Expect(gathered(exported)).To(Equal(map[string]float64{"leader": 1}))
		pass(0, 100)
		got := gathered(exported)
		for name, want := range map[string]float64{
			"budget_limit_watts site": 1000, "budget_planned_limit_watts site": 900, "budget_base_watts site": 7, "budget_reserved_watts site": 10,
			"budget_held_watts site": 80, "budget_leased_watts site": 50, "budget_unfound_watts site": 30, "budget_demand_watts site": 20,
			"budget_free_watts site": 11, "budget_available_watts site": 12, "budget_excess_watts site": 13, "budget_shortfall_watts site": 14,
			"budget_headroom_watts site": 9, "budget_headroom_watts hall": 0, "budget_workload_watts site": 10, "budget_volatile_watts site": 3,
			// Draw is base load, reservations, what one agent measures and what is held for the other.
			"budget_mining_watts site": 60, "budget_draw_watts site": 77, "budget_draw_watts hall": 70,
			"agent_heard mining/metal-0 mining/metal": 1, "agent_heard mining/metal-1 mining/metal": 0,
			"agent_lease_watts mining/metal-0 mining/metal": 50, "agent_held_watts mining/metal-0 mining/metal": 60,
			"agent_bound_watts mining/metal-0 mining/metal": 55, "agent_draw_watts mining/metal-0 mining/metal": 40,
			"agent_floor_watts mining/metal-0 mining/metal": 5, "agent_rated_watts mining/metal-0 mining/metal": 70,
			"pool_rated_watts mining/metal": 100, "pool_devices mining/metal Hashing": 3, "pool_devices mining/metal Sleeping": 2,
			"pool_devices mining/metal Stuck": 1, "pool_devices mining/metal Unreachable": 0,
			"pool_agents mining/metal Heard": 1, "pool_agents mining/metal Unheard": 1, "pool_agents mining/metal Refused": 0,
			"waiting_pods NoRoom ai": 2, "longest_wait_seconds NoRoom ai": 60, "reserved_pods": 1,
			"dispatch_planned_hashes_per_second": 3e12, "dispatch_bound_hashes_per_second": 4e12, "dispatch_gap_ratio": 0.25,
			"leader": 1, "epoch": 7, "last_pass_timestamp_seconds": 1_800_000_000, "last_read_timestamp_seconds": 1_800_000_000,
			"curtailment_events hall Missed Active": 1,
		} {
			Expect(got).To(HaveKeyWithValue(name, want))
		}
		leads = false
		Expect(gathered(exported)).To(Equal(map[string]float64{"leader": 0}))
	})

	It("count the time over the limit, of this leader alone", func() {
		over := func() float64 { return gathered(exported)["budget_over_limit_seconds_total hall"] }
		pass(0, 70)
		pass(2, 69)
		Expect(over()).To(BeZero(), "drawing the limit is not over it")
		pass(5, 69)
		Expect(over()).To(BeNumerically("==", 3))
		pass(6, 100)
		pass(9, 100)
		Expect(over()).To(BeNumerically("==", 4))
		Expect(gathered(exported)).To(HaveKeyWithValue("budget_over_limit_seconds_total site", 0.0))
		r.epoch++
		pass(10, 100)
		Expect(over()).To(BeZero())
	})

	It("tell when certificates end", func() {
		exported.certs.set("agents", "mining/metal", began)
		Expect(gathered(exported)).To(HaveKeyWithValue("certificate_expiry_timestamp_seconds agents mining/metal", 1.8e9))
		exported.certs.forget(types.NamespacedName{Namespace: "mining", Name: "metal"})
		Expect(gathered(exported)).NotTo(HaveKey("certificate_expiry_timestamp_seconds agents mining/metal"))
	})

	It("are named as Prometheus wants it, and all in the table", func() {
		pass(0, 100)
		exported.certs.set("agents", "mining/metal", began)
		all := families(exported, handoverTime, leasesSent, podsAdmitted, podsEvicted)
		problems, err := promlint.NewWithMetricFamilies(all).Lint()
		Expect(err).NotTo(HaveOccurred())
		Expect(problems).To(BeEmpty())
		known := map[string]string{}
		for _, d := range MetricDefinitions() {
			known[d.Name] = strings.ToUpper(string(d.Kind)) + " " + d.Help + " " + strings.Join(slices.Sorted(slices.Values(d.Labels)), " ")
		}
		seen := map[string]string{}
		for _, f := range all {
			var labels []string
			for _, l := range f.Metric[0].Label {
				labels = append(labels, l.GetName())
			}
			seen[f.GetName()] = f.GetType().String() + " " + f.GetHelp() + " " + strings.Join(labels, " ")
		}
		Expect(slices.Sorted(maps.Keys(seen))).To(Equal(slices.Sorted(maps.Keys(known))))
		Expect(seen).To(Equal(known))
	})
})

var _ = Describe("A hand-over", func() {
	It("is timed and counted by the passes that make it", func(ctx context.Context) {
		s := newSite(ctx)
		took := map[string]time.Duration{}
		s.handovers = newHandovers()
		s.handovers.observe = func(part string, d time.Duration) { took[part] += d }
		s.createBudget(ctx, "root", nil)
		s.createPool(ctx, "pool", "root", "100k", nil)
		s.createNode(ctx, "n1", "8", nil)
		s.createAgent(ctx, "pool", 99_000)
		s.run(ctx, 12)
		before := gathered(leasesSent)
		admitted := gathered(podsAdmitted)

		s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.WattsPerPod = watts("30k") })
		s.run(ctx, 1) // takes the workload into the ledger
		pod := s.createPod(ctx, "train-0", "8", nil)
		s.handovers.saw(pod, s.now)
		came := s.now
		for range 4 {
			s.pass(ctx)
			s.wire.settle(false) // the agent says yes, and its devices draw on
		}
		Expect(took).To(BeEmpty(), "its watts are not measured free")
		s.run(ctx, 4)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
		Expect(took[partDevice]).To(BeNumerically(">=", 3*time.Second))
		Expect(took[partDevice] + took[partControl]).To(BeNumerically("<=", s.now.Sub(came)))
		Expect(s.handovers.seen).To(BeEmpty())
		Expect(s.handovers.shed).To(BeEmpty())
		Expect(gathered(podsAdmitted)["pods_admitted_total"]).To(Equal(admitted["pods_admitted_total"] + 1))
		Expect(gathered(leasesSent)["leases_sent_total lowered"]).To(BeNumerically(">", before["leases_sent_total lowered"]))
	})
})
