package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestStraysCount: an accelerator pod that draws without a reservation is firm load (L8): on its node's
// budgets, or, unbound, on every budget that its selector admits; at the roots where nothing feeds it.
// Rules: L8.
func TestStraysCount(t *testing.T) {
	all := map[string]power.Watts{"site": 10, "hall-1": 10, "hall-2": 10}
	tests := map[string]struct {
		pod  power.Pod
		want map[string]power.Watts
	}{
		"on a node":                 {power.Pod{Node: "n1"}, map[string]power.Watts{"site": 10, "hall-1": 10, "hall-2": 0}},
		"on a node under no budget": {power.Pod{Node: "n0"}, map[string]power.Watts{"site": 10, "hall-1": 0, "hall-2": 0}},
		"unbound":                   {power.Pod{}, all},
		"unbound, selects a hall":   {power.Pod{Selector: map[string]string{"hall": "hall-2"}}, map[string]power.Watts{"site": 10, "hall-1": 0, "hall-2": 10}},
		"unbound, selects else":     {power.Pod{Selector: map[string]string{"model": "x"}}, all},
		"unbound, selects none":     {power.Pod{Selector: map[string]string{"hall": "hall-9"}}, all},
		"pinned":                    {power.Pod{Budget: "hall-1"}, map[string]power.Watts{"site": 10, "hall-1": 10, "hall-2": 0}},
		"pinned to both halls":      {power.Pod{Budget: "site"}, all},
		"pinned to one unknown":     {power.Pod{Budget: "hall-9"}, all},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := twoHalls(1000, 500, 500)
			s.Nodes = []power.Node{{Name: "n0"}, {Name: "n1", Budget: "hall-1"}, {Name: "n2", Budget: "hall-2"}}
			tt.pod.UID, tt.pod.Watts, tt.pod.Phase = "u", 10, power.Admitted
			s.Strays = []power.Pod{tt.pod}
			got := map[string]power.Watts{}
			for _, b := range power.Decide(s).Budgets {
				got[b.Name] = b.Reserved
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnfound: what of a pool's rated watts nobody accounts for counts as drawn (L4). In the grace after a
// takeover it bars raises and admissions and sheds nobody; after that the rest sheds for it.
// Rules: L4, liveness a.
func TestUnfound(t *testing.T) {
	type outcome struct {
		Unfound power.Watts
		New     map[string]int
		Lease   power.Watts // of an agent of another pool, leased 500 of 800
	}
	tests := map[string]struct {
		rated power.Watts
		edit  func(*power.Pool, *power.Agent)
		want  outcome
	}{
		"all found": {rated: 300, want: outcome{0, map[string]int{"llm": 1}, 600}},
		"grace": {
			rated: 700, edit: func(p *power.Pool, _ *power.Agent) { p.GraceUntil = in(time.Second) },
			want: outcome{400, map[string]int{}, 500},
		},
		"grace over": {
			rated: 700, edit: func(p *power.Pool, _ *power.Agent) { p.GraceUntil = now },
			want: outcome{400, map[string]int{}, 200},
		},
		"unheard": {
			rated: 300, edit: func(_ *power.Pool, a *power.Agent) { a.Heard = false },
			want: outcome{0, map[string]int{"llm": 1}, 600},
		},
		"never heard": {
			rated: 300, edit: func(_ *power.Pool, a *power.Agent) { *a = power.Agent{Key: a.Key, Pool: a.Pool, Budget: a.Budget} },
			want: outcome{300, map[string]int{"llm": 1}, 600},
		},
		"a fresh run counted by its hold is not unfound too": {
			rated: 300, edit: func(_ *power.Pool, a *power.Agent) {
				*a = power.Agent{Key: a.Key, Pool: a.Pool, Budget: a.Budget, Hold: 300}
			},
			want: outcome{0, map[string]int{"llm": 1}, 600},
		},
		"of a pool that leaves": {
			rated: 700, edit: func(p *power.Pool, _ *power.Agent) { p.Leaving = true },
			want: outcome{400, map[string]int{}, 500},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			mine(&s, "site", 500, 800)
			pool, agent := mine(&s, "site", 300, 300)
			pool.Rated, agent.Curve[1].THs = tt.rated, 600 // the better miners: the first pool sheds
			if tt.edit != nil {
				tt.edit(pool, agent)
			}
			work(&s, "llm", power.Gated, 1, 100)
			p := power.Decide(s)
			got := outcome{budget(t, p, "site").Unfound, news(p), leases(p)["pool-0-0"]}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSilenceFreesNothing: an agent that is not heard keeps its hold, gets no lease, and the others make
// room for it (L3).
func TestSilenceFreesNothing(t *testing.T) {
	tests := map[string]struct {
		heard   bool
		observe bool
		want    map[string]power.Watts
	}{
		"heard":    {heard: true, want: map[string]power.Watts{"pool-0-0": 600, "pool-1-0": 0}},
		"unheard":  {heard: false, want: map[string]power.Watts{"pool-0-0": 200}},
		"observed": {heard: true, observe: true, want: map[string]power.Watts{"pool-0-0": 200}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			mine(&s, "site", 600, 600)
			pool, a := mine(&s, "site", 400, 400)
			a.Heard, pool.Observe = tt.heard, tt.observe
			a.Curve = []power.Point{{}, {Watts: 400, THs: 1}}
			place(work(&s, "llm", power.Admitted, 1, 400), "site")
			p := power.Decide(s)
			if diff := cmp.Diff(tt.want, targets(p)); diff != "" {
				t.Error(diff)
			}
			if held := budget(t, p, "site").Held; held != 1000 {
				t.Errorf("held %v, want 1 kW", held)
			}
		})
	}
}

// TestReservationsStand: a named pod counts and is kept, and its gate is opened only while the ledger is
// within its limit and nothing is halted (L1, L6).
func TestReservationsStand(t *testing.T) {
	open := []power.PodPlan{{UID: "uid-llm-0", Name: "llm-0", Watts: 100, Budget: "site", Open: true}}
	shut := []power.PodPlan{{UID: "uid-llm-0", Name: "llm-0", Watts: 100, Budget: "site"}}
	tests := map[string]struct {
		phase power.Phase
		edit  func(*power.Site)
		want  []power.PodPlan
	}{
		"gate to open":    {power.Reserved, func(*power.Site) {}, open},
		"gate is open":    {power.Admitted, func(*power.Site) {}, shut},
		"over the limit":  {power.Reserved, func(s *power.Site) { s.Budgets[0].Base = 950 }, shut},
		"not found yet":   {power.Reserved, func(s *power.Site) { s.Pools[0].Rated = 1000; s.Pools[0].GraceUntil = in(time.Hour) }, shut},
		"budget halted":   {power.Reserved, func(s *power.Site) { s.Budgets[0].Halted = "spec" }, shut},
		"workload halted": {power.Reserved, func(s *power.Site) { s.Workloads[0].Halted = "spec" }, shut},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			place(work(&s, "llm", tt.phase, 1, 100), "site")
			mine(&s, "site", 0, 50)
			tt.edit(&s)
			if diff := cmp.Diff(tt.want, workload(t, power.Decide(s), "llm").Pods); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOneBudgetOverItsLimitStopsNoOther: budgets that do not share the shortfall go on (L1).
func TestOneBudgetOverItsLimitStopsNoOther(t *testing.T) {
	s := twoHalls(1000, 100, 100)
	s.Budgets[1].Base = 150
	mine(&s, "hall-2", 0, 50)
	s.Workloads = make([]power.Workload, 0, 2)
	work(&s, "one", power.Gated, 1, 10).Budget = "hall-1"
	work(&s, "two", power.Gated, 1, 10).Budget = "hall-2"
	p := power.Decide(s)
	if diff := cmp.Diff(map[string]int{"two": 1}, news(p)); diff != "" {
		t.Error(diff)
	}
	if got := leases(p)["pool-0-0"]; got == 0 {
		t.Error("mining in the other hall is not raised")
	}
}

// TestNothingIsLostWithoutBudgets: pools and pods whose budget is gone are no reason to fail.
func TestNothingIsLostWithoutBudgets(t *testing.T) {
	s := power.Site{Now: now}
	mine(&s, "hall-9", 100, 100)
	work(&s, "llm", power.Gated, 1, 10)
	place(work(&s, "old", power.Admitted, 1, 10), "hall-9")
	p := power.Decide(s)
	if got := workload(t, p, "llm").Reason; got != power.NoBudget {
		t.Errorf("reason %s", got)
	}
	if diff := cmp.Diff([]string{"old-0"}, holds(workload(t, p, "old"))); diff != "" {
		t.Error(diff)
	}
}

// TestUnknownBudgetChargesTheRoots: nothing is charged nowhere.
func TestUnknownBudgetChargesTheRoots(t *testing.T) {
	s := twoHalls(1000, 500, 500)
	mine(&s, "hall-9", 100, 150)
	got := map[string]power.Watts{}
	for _, b := range power.Decide(s).Budgets {
		got[b.Name] = b.Held
	}
	if diff := cmp.Diff(map[string]power.Watts{"site": 100, "hall-1": 0, "hall-2": 0}, got); diff != "" {
		t.Error(diff)
	}
}

// TestABudgetBetweenCounts: one that chooses no nodes itself, below one that does and above another: what is pinned to
// the upper may run on the lower one's nodes, and is drawn through it.
// Rules: L1.
func TestABudgetBetweenCounts(t *testing.T) {
	for limit, want := range map[power.Watts]power.Watts{499: 0, 500: 500} {
		s := oneBudget(1000)
		s.Budgets = append(s.Budgets,
			power.Budget{Name: "between", Parent: "site", Limit: limit, LeaseTTL: 2 * time.Minute},
			power.Budget{Name: "hall", Parent: "between", Limit: 1000, LeaseTTL: 2 * time.Minute, Feeds: true, Pin: map[string]string{"hall": "hall"}})
		gpus := map[string]int64{"gpu": 1}
		s.Nodes = []power.Node{{Name: "n0", Budget: "site", Free: gpus, Open: true}, {Name: "n1", Budget: "hall", Free: gpus, Open: true}}
		work(&s, "llm", power.Gated, 1, 500).Pods[0].Ask = gpus
		p := power.Decide(s)
		if got := budget(t, p, "between").Reserved; got != want {
			t.Errorf("limit %v: %v reserved on it, want %v: %+v", limit, got, want, workload(t, p, "llm"))
		}
		if got := len(workload(t, p, "llm").Pods); got != int(want/500) {
			t.Errorf("limit %v: %d let in", limit, got)
		}
	}
}
