package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestDemandOrder: where there are watts for one, the order is priority, then age, then name.
func TestDemandOrder(t *testing.T) {
	tests := map[string]struct {
		edit func(a, b *power.Workload)
		want string
	}{
		"name":     {func(_, _ *power.Workload) {}, "a"},
		"age":      {func(_, b *power.Workload) { b.Created = in(-2 * time.Hour) }, "b"},
		"priority": {func(a, b *power.Workload) { a.Created, b.Priority = in(-2*time.Hour), 1 }, "b"},
		"below zero": {func(a, b *power.Workload) {
			a.Priority, b.Priority = -2, -1
		}, "b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(100)
			s.Workloads = make([]power.Workload, 0, 2)
			tt.edit(work(&s, "a", power.Gated, 1, 60), work(&s, "b", power.Gated, 1, 60))
			if diff := cmp.Diff(map[string]int{tt.want: 1}, news(power.Decide(s))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPodsInOrder: of one workload, the older pods go first, then by name.
func TestPodsInOrder(t *testing.T) {
	s := oneBudget(100)
	w := work(&s, "a", power.Gated, 3, 50)
	w.Pods[2].Created = in(-2 * time.Hour)
	p := workload(t, power.Decide(s), "a")
	if diff := cmp.Diff([]string{"a-2", "a-0"}, holds(p)); diff != "" {
		t.Error(diff)
	}
	if p.Waiting != 1 || p.Requested != 150 || p.Reserved != 100 {
		t.Errorf("waiting %d, requested %v, reserved %v", p.Waiting, p.Requested, p.Reserved)
	}
}

// TestLaterTakesNothingOfEarlier: what an earlier workload waits for is not given to a later one; only its
// own need, only where the two share a budget, and only if it could ever have it.
// Rules: liveness d.
func TestLaterTakesNothingOfEarlier(t *testing.T) {
	type outcome struct {
		New     map[string]int
		Earlier power.Reason
		Later   power.Reason
		Demand  power.Watts // of the site
	}
	tests := map[string]struct {
		site  power.Site
		edit  func(s *power.Site)
		first power.Watts
		last  power.Watts
		want  outcome
	}{
		"waits for miners": {
			// 30 free, 70 to be shed: the later one would fit now, and waits behind.
			site: oneBudget(100), edit: func(s *power.Site) { mine(s, "site", 70, 70) }, first: 80, last: 20,
			want: outcome{map[string]int{}, power.WaitingForMiners, power.WaitingForMiners, 100},
		},
		"no more than the need": {
			site: oneBudget(100), edit: func(s *power.Site) { mine(s, "site", 70, 70) }, first: 80, last: 21,
			want: outcome{map[string]int{}, power.WaitingForMiners, power.Outranked, 80},
		},
		"its own need only": {
			// The earlier waits for 60 of 100; 40 stay for the later, which has them now.
			site: oneBudget(200), edit: func(s *power.Site) { place(work(s, "old", power.Admitted, 1, 50), "site"); mine(s, "site", 90, 90) },
			first: 70, last: 60,
			want: outcome{map[string]int{}, power.WaitingForMiners, power.WaitingForMiners, 130},
		},
		"waits for other pods": {
			site: oneBudget(100), edit: func(s *power.Site) { place(work(s, "old", power.Admitted, 1, 50), "site") }, first: 60, last: 10,
			want: outcome{map[string]int{}, power.NoRoom, power.Outranked, 0},
		},
		"never fits": {
			site: oneBudget(100), edit: func(s *power.Site) { s.Budgets[0].Base = 50 }, first: 60, last: 10,
			want: outcome{map[string]int{"later": 1}, power.NoRoom, power.AllReserved, 0},
		},
		"not found yet": {
			// A takeover does not cost the earlier one its rank (L4).
			site: oneBudget(100), edit: func(s *power.Site) {
				s.Pools = append(s.Pools, power.Pool{Key: "p", Budget: "site", Rated: 60, GraceUntil: in(time.Minute)})
			}, first: 90, last: 20,
			want: outcome{map[string]int{}, power.Unsettled, power.Outranked, 0},
		},
		"an agent not heard": {
			site: oneBudget(100), edit: func(s *power.Site) {
				_, a := mine(s, "site", 60, 60)
				a.Heard = false
			}, first: 90, last: 20,
			want: outcome{map[string]int{}, power.Unsettled, power.Outranked, 0},
		},
		"another hall": {
			site: twoHalls(1000, 100, 100), edit: func(s *power.Site) {
				place(work(s, "old", power.Admitted, 1, 50), "hall-1")
			}, first: 60, last: 60,
			want: outcome{map[string]int{"later": 1}, power.NoRoom, power.AllReserved, 0},
		},
		"another hall of a feeder that mines": {
			// Nobody sheds for the earlier one, so what is free on the site is nobody's yet; there is enough for both.
			site: twoHalls(300, 100, 100), edit: func(s *power.Site) {
				place(work(s, "old", power.Admitted, 1, 50), "hall-1")
				mine(s, "site", 150, 150)
			}, first: 60, last: 60,
			want: outcome{map[string]int{"later": 1}, power.NoRoom, power.AllReserved, 0},
		},
		"another hall of one feeder": {
			// The halls share the site, and there the earlier one's need is kept.
			site: twoHalls(110, 100, 100), edit: func(s *power.Site) {
				place(work(s, "old", power.Admitted, 1, 50), "hall-1")
			}, first: 60, last: 10,
			want: outcome{map[string]int{}, power.NoRoom, power.Outranked, 0},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := tt.site
			tt.edit(&s)
			s.Workloads = append(make([]power.Workload, 0, 3), s.Workloads...)
			earlier, later := work(&s, "earlier", power.Gated, 1, tt.first), work(&s, "later", power.Gated, 1, tt.last)
			later.Created = in(0)
			if len(s.Budgets) > 1 {
				earlier.Budget, later.Budget = "hall-1", "hall-2"
			}
			p := power.Decide(s)
			got := outcome{news(p), workload(t, p, "earlier").Reason, workload(t, p, "later").Reason, budget(t, p, "site").Demand}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\nearlier: %s\nlater: %s", diff, workload(t, p, "earlier").Message, workload(t, p, "later").Message)
			}
		})
	}
}

// TestOneFaultyPodHoldsUpItsLikeOnly: a Deployment rolled back from a template that fits nowhere must not
// wait for the pod that its controller keeps until the new one runs.
func TestOneFaultyPodHoldsUpItsLikeOnly(t *testing.T) {
	faults := map[string]func(*power.Pod){
		"selector":     func(p *power.Pod) { p.Selector = map[string]string{"hall": "hall-9"} },
		"accelerators": func(p *power.Pod) { p.Ask = map[string]int64{"gpu": 16} },
		"watts":        func(p *power.Pod) { p.Watts = 5000 },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := twoHalls(1000, 500, 500)
			s.Nodes = []power.Node{{Name: "n", Budget: "hall-1", Open: true, Free: map[string]int64{"gpu": 8}}}
			w := work(&s, "web", power.Gated, 2, 50)
			fault(&w.Pods[0])
			p := workload(t, power.Decide(s), "web")
			if diff := cmp.Diff([]string{"web-1"}, holds(p)); diff != "" {
				t.Error(diff)
			}
			if p.Waiting != 1 || p.Reason == power.AllReserved {
				t.Errorf("waiting %d, reason %s", p.Waiting, p.Reason)
			}
		})
	}
}

// TestWhere: a workload goes where its pods can start now, else where there is most room, and to the
// budget it names.
func TestWhere(t *testing.T) {
	tests := map[string]struct {
		edit func(*power.Site, *power.Workload)
		want string
	}{
		"most room": {func(s *power.Site, _ *power.Workload) { s.Budgets[2].Limit = 600 }, "hall-2"},
		"now rather than more": {func(s *power.Site, _ *power.Workload) {
			s.Budgets[2].Limit = 600
			mine(s, "hall-2", 600, 600)
		}, "hall-1"},
		"as named":      {func(_ *power.Site, w *power.Workload) { w.Budget = "hall-2" }, "hall-2"},
		"as the parent": {func(_ *power.Site, w *power.Workload) { w.Budget = "site" }, "hall-1"},
		"as the pod selects": {func(_ *power.Site, w *power.Workload) {
			w.Pods[0].Selector = map[string]string{"hall": "hall-2"}
		}, "hall-2"},
		"not where it is halted": {func(s *power.Site, _ *power.Workload) { s.Budgets[1].Halted = "spec" }, "hall-2"},
		"where accelerators are free": {func(s *power.Site, w *power.Workload) {
			s.Nodes = []power.Node{
				{Name: "a", Budget: "hall-1", Open: false, Free: map[string]int64{"gpu": 8}},
				{Name: "b", Budget: "hall-1", Open: true, Free: map[string]int64{"gpu": 7}},
				{Name: "c", Budget: "hall-2", Open: true, Free: map[string]int64{"gpu": 8}},
			}
			w.Pods[0].Ask = map[string]int64{"gpu": 8}
		}, "hall-2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := twoHalls(2000, 500, 500)
			tt.edit(&s, work(&s, "llm", power.Gated, 1, 50))
			p := workload(t, power.Decide(s), "llm")
			if diff := cmp.Diff([]power.PodPlan{{UID: "uid-llm-0", Name: "llm-0", Watts: 50, Budget: tt.want, Open: true, New: true}}, p.Pods); diff != "" {
				t.Errorf("%s\n%s", diff, p.Message)
			}
		})
	}
}
