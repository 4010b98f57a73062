package controllers

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

var _ = Describe("The metrics of a pass", func() {
	// gathered is what a collector shows: its values by name and labels.
	gathered := func(c prometheus.Collector) map[string]float64 {
		GinkgoHelper()
		registry := prometheus.NewPedanticRegistry()
		Expect(registry.Register(c)).To(Succeed())
		families, err := registry.Gather()
		Expect(err).NotTo(HaveOccurred())
		out := map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				name := f.GetName()
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				out[name] = m.GetGauge().GetValue()
			}
		}
		return out
	}

	It("are those of the newest, and none before the first", func() {
		Expect(gathered(&gauges{})).To(BeEmpty())
		before := shownPasses.newest.Load()
		DeferCleanup(func() { shownPasses.newest.Store(before) })
		agent := agentView{agent: power.Agent{Key: "mining/pool-0", Lease: 5, Hold: 6}, report: lease.Report{Draw: 4}}
		observe(&snapshot{agents: []agentView{agent, {agent: power.Agent{Key: "gone"}}}}, power.Plan{})
		observe(&snapshot{agents: []agentView{agent}}, power.Plan{
			Budgets:   []power.BudgetPlan{{Name: "site", Limit: 10, Free: 3}},
			Workloads: []power.WorkloadPlan{{Waiting: 2, Pods: make([]power.PodPlan, 3)}}, THs: 1, BoundTHs: 2,
		})
		got := gathered(&shownPasses)
		for name, want := range map[string]float64{
			"counterweight_budget_watts site limit": 10, "counterweight_budget_watts site free": 3,
			"counterweight_agent_watts mining/pool-0 lease": 5, "counterweight_agent_watts mining/pool-0 hold": 6,
			"counterweight_agent_watts mining/pool-0 draw":         4,
			"counterweight_dispatch_terahashes_per_second planned": 1, "counterweight_dispatch_terahashes_per_second bound": 2,
			"counterweight_pods waiting": 2, "counterweight_pods reserved": 3,
		} {
			Expect(got).To(HaveKeyWithValue(name, want))
		}
		Expect(got).To(HaveLen(9 + 6 + 2 + 2))
	})
})
