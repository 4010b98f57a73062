package controllers

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// Live watts are metrics and never status.
var (
	budgetDesc = prometheus.NewDesc("counterweight_budget_watts",
		"Watts of a budget and everything below it, by kind: limit, planned (the least limit until the slowest shed would be done), base, unfound, held, leased, reserved, demand, free.",
		[]string{"budget", "kind"}, nil)
	agentDesc = prometheus.NewDesc("counterweight_agent_watts",
		"Watts of a mining agent, by kind: lease, hold, bound, draw, floor, rated.",
		[]string{"agent", "kind"}, nil)
	hashRateDesc = prometheus.NewDesc("counterweight_dispatch_terahashes_per_second",
		"Hash rate by the agents' curves: of the planned leases (planned), and the most that any dispatch could make (bound).",
		[]string{"kind"}, nil)
	podDesc = prometheus.NewDesc("counterweight_pods",
		"Accelerator pods by state: waiting at the gate, or reserved.",
		[]string{"state"}, nil)
)

// gauges show the newest pass. They are made when somebody asks, since passes are far more frequent.
type gauges struct{ newest atomic.Pointer[shownPass] }

// shownPass is what is shown of one pass.
type shownPass struct {
	budgets           []power.BudgetPlan
	agents            []agentView
	planned, bound    float64 // TH/s
	waiting, reserved int     // pods
}

var shownPasses gauges

func init() { metrics.Registry.MustRegister(&shownPasses) }

// observe shows one pass as metrics.
func observe(s *snapshot, p power.Plan) {
	shown := &shownPass{budgets: p.Budgets, agents: s.agents, planned: p.THs, bound: p.BoundTHs}
	for _, w := range p.Workloads {
		shown.waiting += w.Waiting
		shown.reserved += len(w.Pods)
	}
	shownPasses.newest.Store(shown)
}

// Describe is of prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{budgetDesc, agentDesc, hashRateDesc, podDesc} {
		out <- d
	}
}

// Collect is of prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	p := g.newest.Load()
	if p == nil {
		return // another leads, or nobody yet
	}
	show := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, b := range p.budgets {
		for kind, w := range map[string]power.Watts{
			"limit": b.Limit, "planned": b.Planned, "base": b.Base, "unfound": b.Unfound, "held": b.Held,
			"leased": b.Leased, "reserved": b.Reserved, "demand": b.Demand, "free": b.Free,
		} {
			show(budgetDesc, float64(w), b.Name, kind)
		}
	}
	for i := range p.agents {
		a := &p.agents[i].agent
		for kind, w := range map[string]power.Watts{
			"lease": a.Lease, "hold": a.Hold, "bound": a.Bound, "draw": power.Watts(p.agents[i].report.Draw), "floor": a.Floor, "rated": a.Rated,
		} {
			show(agentDesc, float64(w), a.Key, kind)
		}
	}
	show(hashRateDesc, p.planned, "planned")
	show(hashRateDesc, p.bound, "bound")
	show(podDesc, float64(p.waiting), "waiting")
	show(podDesc, float64(p.reserved), "reserved")
}
