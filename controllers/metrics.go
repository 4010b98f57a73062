package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// Live watts are metrics and never status.
var (
	budgetGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "counterweight_budget_watts",
		Help: "Watts of a budget and everything below it, by kind: limit, planned (the least limit until the slowest shed would be done), base, unfound, held, leased, reserved, demand, free.",
	}, []string{"budget", "kind"})
	agentGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "counterweight_agent_watts",
		Help: "Watts of a mining agent, by kind: lease, hold, bound, draw, floor, rated.",
	}, []string{"agent", "kind"})
	hashRateGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "counterweight_dispatch_terahashes_per_second",
		Help: "Hash rate by the agents' curves: of the planned leases (planned), and the most that any dispatch could make (bound).",
	}, []string{"kind"})
	podGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "counterweight_pods",
		Help: "Accelerator pods by state: waiting at the gate, or reserved.",
	}, []string{"state"})
)

func init() {
	metrics.Registry.MustRegister(budgetGauge, agentGauge, hashRateGauge, podGauge)
}

// observe shows one pass as metrics.
func observe(s *snapshot, p power.Plan) {
	budgetGauge.Reset()
	for _, b := range p.Budgets {
		for kind, w := range map[string]power.Watts{
			"limit": b.Limit, "planned": b.Planned, "base": b.Base, "unfound": b.Unfound, "held": b.Held,
			"leased": b.Leased, "reserved": b.Reserved, "demand": b.Demand, "free": b.Free,
		} {
			budgetGauge.WithLabelValues(b.Name, kind).Set(float64(w))
		}
	}
	agentGauge.Reset()
	for i := range s.agents {
		a := &s.agents[i].agent
		for kind, w := range map[string]power.Watts{
			"lease": a.Lease, "hold": a.Hold, "bound": a.Bound, "draw": power.Watts(s.agents[i].report.Draw), "floor": a.Floor, "rated": a.Rated,
		} {
			agentGauge.WithLabelValues(a.Key, kind).Set(float64(w))
		}
	}
	hashRateGauge.WithLabelValues("planned").Set(p.THs)
	hashRateGauge.WithLabelValues("bound").Set(p.BoundTHs)
	waiting, reserved := 0, 0
	for _, w := range p.Workloads {
		waiting += w.Waiting
		reserved += len(w.Pods)
	}
	podGauge.WithLabelValues("waiting").Set(float64(waiting))
	podGauge.WithLabelValues("reserved").Set(float64(reserved))
}
