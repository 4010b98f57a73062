package power_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestReasons: what a workload waits for, in words that name the pod, the budget and the numbers, and
// that do not move with every reading.
// Rules: liveness e, k.
func TestReasons(t *testing.T) {
	type said struct {
		Reason  power.Reason
		Message string
	}
	cut := power.Cut{Name: "evening", Start: in(3 * time.Hour), End: in(4 * time.Hour), Limit: 50_000}
	tests := map[string]struct {
		edit func(*power.Site, *power.Workload)
		want said
	}{
		"reserved": {func(*power.Site, *power.Workload) {}, said{power.AllReserved, "1 pods have their watts"}},
		"no pods": {
			func(_ *power.Site, w *power.Workload) { w.Pods = nil },
			said{power.NoPods, "no pod waits for power or draws it"},
		},
		"waiting for miners": {
			func(s *power.Site, _ *power.Workload) { mine(s, "site", 80_000, 80_000) },
			said{power.WaitingForMiners, "pod llm-0 needs 60 kW on site; miners are shedding for it, and it starts once that is measured free"},
		},
		"a gang waits": {
			func(s *power.Site, w *power.Workload) {
				mine(s, "site", 80_000, 80_000)
				w.Pods[0].Watts, w.MinPods = 30_000, 2
				addPods(w, power.Gated, 1, 30_000)
			},
			said{power.WaitingForMiners, "gang of 2 pods needs 60 kW on site; miners are shedding for it, and it starts once that is measured free"},
		},
		"no room": {
			func(s *power.Site, _ *power.Workload) {
				s.Budgets[0].Base, s.Budgets[0].MarginPercent = 10_050, 2
				place(work(s, "old", power.Admitted, 1, 40_000), "site")
				_, a := mine(s, "site", 1_000, 1_000)
				a.Floor = 777
			},
			said{power.NoRoom, "pod llm-0 needs 60 kW on site; its limit less margin of 98 kW leaves about 47.138 kW beside base load 10.05 kW, AI pods 40 kW and mining that can't be shed"},
		},
		"a curtailment ahead": {
			func(s *power.Site, _ *power.Workload) { s.Budgets[0].Cuts = []power.Cut{cut} },
			said{power.CurtailmentAhead, "pod llm-0 needs 60 kW on site, and in curtailment evening (limit 50 kW less margin) only 50 kW would be left for it"},
		},
		"interruptible work does not mind a curtailment ahead": {
			func(s *power.Site, w *power.Workload) {
				s.Budgets[0].Cuts, s.Budgets[0].Evict, w.Interruptible = []power.Cut{cut}, true, true
			},
			said{power.AllReserved, "1 pods have their watts"},
		},
		"but one for which it would be evicted before it ran a minute": {
			func(s *power.Site, w *power.Workload) {
				near := cut
				near.Start = in(100 * time.Second) // a grace of 30 s, 10 s for the eviction, and a minute
				s.Budgets[0].Cuts, s.Budgets[0].Evict, w.Interruptible = []power.Cut{near}, true, true
				w.Pods[0].Grace = 30 * time.Second
			},
			said{power.CurtailmentAhead, "pod llm-0 needs 60 kW on site, and in curtailment evening (limit 50 kW less margin) only 50 kW would be left for it"},
		},
		"whatever others need that wait": {
			func(s *power.Site, w *power.Workload) {
				far := cut
				far.Start = in(6 * time.Hour)
				s.Budgets[0].Cuts, s.Budgets[0].Evict, w.Interruptible = []power.Cut{far}, true, true
				other := work(s, "never", power.Gated, 1, 900_000_000)
				other.Interruptible, other.Pods[0].Grace = true, 20*time.Hour
			},
			said{power.AllReserved, "1 pods have their watts"},
		},
		"not one a second later": {
			func(s *power.Site, w *power.Workload) {
				near := cut
				near.Start = in(101 * time.Second)
				s.Budgets[0].Cuts, s.Budgets[0].Evict, w.Interruptible = []power.Cut{near}, true, true
				w.Pods[0].Grace = 30 * time.Second
			},
			said{power.AllReserved, "1 pods have their watts"},
		},
		"but it does where nothing is evicted for one": {
			func(s *power.Site, w *power.Workload) { s.Budgets[0].Cuts, w.Interruptible = []power.Cut{cut}, true },
			said{power.CurtailmentAhead, "pod llm-0 needs 60 kW on site, and in curtailment evening (limit 50 kW less margin) only 50 kW would be left for it"},
		},
		"nor anybody one past the horizon": {
			func(s *power.Site, _ *power.Workload) {
				far := cut
				far.Start, far.End = in(25*time.Hour), in(26*time.Hour)
				s.Budgets[0].Cuts = []power.Cut{far}
			},
			said{power.AllReserved, "1 pods have their watts"},
		},
		"mining first": {
			func(s *power.Site, w *power.Workload) {
				p, _ := mine(s, "site", 0, 45_000)
				p.Priority, w.Priority = 5, 4
			},
			said{power.MiningFirst, "pod llm-0 needs 60 kW on site; mining pools there have a higher priority than 4 and keep up to 45 kW"},
		},
		"mining of the same rank gives way": {
			func(s *power.Site, w *power.Workload) {
				p, _ := mine(s, "site", 0, 45_000)
				p.Priority, w.Priority = 5, 5
			},
			said{power.AllReserved, "1 pods have their watts"},
		},
		"floorWatts are kept from pods": {
			func(s *power.Site, _ *power.Workload) {
				p, _ := mine(s, "site", 0, 80_000)
				p.Floor = 41_000
			},
			said{power.NoRoom, "pod llm-0 needs 60 kW on site; its limit less margin of 100 kW leaves about 59 kW beside base load 0 W, AI pods 0 W and mining that can't be shed"},
		},
		"not found yet": {
			func(s *power.Site, _ *power.Workload) {
				s.Pools = append(s.Pools, power.Pool{Key: "p", Budget: "site", Rated: 41_000})
			},
			said{power.Unsettled, "pod llm-0 needs 60 kW on site, where watts of its pools' ratedWatts are on no device found yet and count as drawn"},
		},
		"agents that do not report": {
			func(s *power.Site, _ *power.Workload) {
				_, a := mine(s, "site", 50_000, 50_000)
				a.Heard = false
			},
			said{power.Unsettled, "pod llm-0 needs 60 kW on site, where 50 kW are held for mining agents that do not report; they count until these do, or have ended"},
		},
		"accelerators": {
			func(s *power.Site, w *power.Workload) {
				s.Nodes = []power.Node{{Name: "n", Budget: "site", Open: true, Free: map[string]int64{"gpu": 4}}}
				w.Pods[0].Ask = map[string]int64{"gpu": 8}
			},
			said{power.NoAccelerators, "pod llm-0: no node of site has the accelerators free and takes the pod (nodeSelector, required affinity, taints); no watts are spent on a pod that can't be scheduled"},
		},
		"accelerators on nodes of another kind": {
			func(s *power.Site, w *power.Workload) {
				s.Nodes = []power.Node{{Name: "n", Budget: "site", Open: true, Free: map[string]int64{"gpu": 8}, Labels: map[string]string{"model": "b"}}}
				w.Pods[0].Ask, w.Pods[0].Selector = map[string]int64{"gpu": 8}, map[string]string{"model": "a"}
			},
			said{power.NoAccelerators, "pod llm-0: no node of site has the accelerators free and takes the pod (nodeSelector, required affinity, taints); no watts are spent on a pod that can't be scheduled"},
		},
		"selector": {
			func(s *power.Site, w *power.Workload) {
				s.Budgets[0].Pin = map[string]string{"hall": "one"}
				w.Pods[0].Selector = map[string]string{"hall": "two"}
			},
			said{power.SelectorClash, "the nodeSelector or required node affinity of pod llm-0, or taints not tolerated, exclude the nodes of every budget it could draw from; change them or name another budget"},
		},
		"unknown budget": {
			func(_ *power.Site, w *power.Workload) { w.Budget = "hall-9" },
			said{power.NoBudget, `budget "hall-9" does not exist or feeds no nodes; create it, give it a nodeSelector, or name another in spec.budget`},
		},
		"no budget": {
			func(s *power.Site, _ *power.Workload) { s.Budgets[0].Feeds = false },
			said{power.NoBudget, "no PowerBudget feeds nodes; create one with a nodeSelector"},
		},
		"stalled workload": {
			func(_ *power.Site, w *power.Workload) { w.Halted = "spec.minPods is wrong" },
			said{power.Stalled, "spec.minPods is wrong"},
		},
		"stalled budget": {
			func(s *power.Site, _ *power.Workload) { s.Budgets[0].Halted = "its parent is missing" },
			said{power.Stalled, "nothing is admitted on budget site: its parent is missing"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(100_000)
			s.Workloads = make([]power.Workload, 0, 2)
			tt.edit(&s, work(&s, "llm", power.Gated, 1, 60_000))
			w := workload(t, power.Decide(s), "llm")
			if diff := cmp.Diff(tt.want, said{w.Reason, w.Message}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestManyBudgetsAreNotAllNamed keeps a message within what a condition may carry.
func TestManyBudgetsAreNotAllNamed(t *testing.T) {
	s := twoHalls(1000, 100, 100)
	for _, name := range []string{"hall-3", "hall-4", "hall-5", "hall-6"} {
		s.Budgets = append(s.Budgets, power.Budget{Name: name, Parent: "site", Limit: 100, Feeds: true})
	}
	work(&s, "llm", power.Gated, 1, 50).Pods[0].Ask = map[string]int64{"gpu": 8}
	got := workload(t, power.Decide(s), "llm").Message
	if !strings.Contains(got, "no node of hall-1, hall-2, hall-3, hall-4, ... has") {
		t.Error(got)
	}
}
