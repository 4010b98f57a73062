package power_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// now is the instant of every table: it lies far from the zero time and from any clock.
var now = time.Unix(1_800_000_000, 0)

func in(d time.Duration) time.Time { return now.Add(d) }

// oneBudget is a site of one budget of so many watts that feeds nodes, without margin or miners.
func oneBudget(limit power.Watts) power.Site {
	return power.Site{Now: now, Budgets: []power.Budget{{Name: "site", Limit: limit, LeaseTTL: 2 * time.Minute, Feeds: true}}}
}

// twoHalls is a site over two halls that feed nodes.
func twoHalls(site, hall1, hall2 power.Watts) power.Site {
	s := oneBudget(site)
	s.Budgets[0].Feeds = false
	for i, limit := range []power.Watts{hall1, hall2} {
		name := fmt.Sprintf("hall-%d", i+1)
		s.Budgets = append(s.Budgets, power.Budget{
			Name: name, Parent: "site", Limit: limit, LeaseTTL: 2 * time.Minute, Feeds: true, Pin: map[string]string{"hall": name},
		})
	}
	return s
}

// mine adds a pool of one agent that is leased, and draws, so many watts of those rated.
func mine(s *power.Site, budget string, leased, rated power.Watts) (*power.Pool, *power.Agent) {
	key := fmt.Sprintf("pool-%d", len(s.Pools))
	s.Pools = append(s.Pools, power.Pool{Key: key, Budget: budget, Rated: rated})
	s.Agents = append(s.Agents, power.Agent{
		Key: key + "-0", Pool: key, Budget: budget, Heard: true, Hold: leased, Bound: leased, Rated: rated,
		Lease: leased, Leased: true, Settle: 6 * time.Second, RaisedAt: in(-time.Hour),
		Curve: []power.Point{{}, {Watts: rated, THs: float64(rated)}},
	})
	return &s.Pools[len(s.Pools)-1], &s.Agents[len(s.Agents)-1]
}

// work adds a workload of so many pods in one phase, an hour old.
func work(s *power.Site, key string, phase power.Phase, n int, watts power.Watts) *power.Workload {
	w := power.Workload{Key: key, Created: in(-time.Hour)}
	addPods(&w, phase, n, watts)
	s.Workloads = append(s.Workloads, w)
	return &s.Workloads[len(s.Workloads)-1]
}

// addPods adds pods named after their workload and their number in it.
func addPods(w *power.Workload, phase power.Phase, n int, watts power.Watts) {
	for range n {
		name := fmt.Sprintf("%s-%d", w.Key, len(w.Pods))
		w.Pods = append(w.Pods, power.Pod{UID: "uid-" + name, Name: name, Phase: phase, Watts: watts, Created: in(-time.Hour)})
	}
}

// place puts every pod of a workload that is past the gate on one budget.
func place(w *power.Workload, budget string) {
	for i := range w.Pods {
		if w.Pods[i].Phase != power.Gated {
			w.Pods[i].Budget = budget
		}
	}
}

func workload(t *testing.T, p power.Plan, key string) power.WorkloadPlan {
	t.Helper()
	for _, w := range p.Workloads {
		if w.Key == key {
			return w
		}
	}
	t.Fatalf("no plan for workload %s", key)
	return power.WorkloadPlan{}
}

func budget(t *testing.T, p power.Plan, name string) power.BudgetPlan {
	t.Helper()
	for _, b := range p.Budgets {
		if b.Name == name {
			return b
		}
	}
	t.Fatalf("no plan for budget %s", name)
	return power.BudgetPlan{}
}

// leases is every agent's lease of a plan.
func leases(p power.Plan) map[string]power.Watts {
	out := map[string]power.Watts{}
	for _, l := range p.Leases {
		out[l.Agent] = l.Watts
	}
	return out
}

// targets is where every agent's lease is heading.
func targets(p power.Plan) map[string]power.Watts {
	out := map[string]power.Watts{}
	for _, l := range p.Leases {
		out[l.Agent] = l.Target
	}
	return out
}

// news is how many pods each workload got watts for by this plan; those that got none are left out.
func news(p power.Plan) map[string]int {
	out := map[string]int{}
	for _, w := range p.Workloads {
		for _, pod := range w.Pods {
			if pod.New {
				out[w.Key]++
			}
		}
	}
	return out
}

// holds is the pods whose watts a workload keeps after the plan.
func holds(w power.WorkloadPlan) []string {
	var out []string
	for _, pod := range w.Pods {
		out = append(out, pod.Name)
	}
	return out
}

// opens is how many gates a workload's plan opens.
func opens(w power.WorkloadPlan) (n int) {
	for _, pod := range w.Pods {
		if pod.Open {
			n++
		}
	}
	return n
}
