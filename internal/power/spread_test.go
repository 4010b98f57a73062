package power_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// rows is a site over two halls over two rows each; every row feeds two nodes of eight accelerators.
func rows(site, hall, row power.Watts) power.Site {
	s := power.Site{Now: now, Budgets: []power.Budget{{Name: "site", Limit: site, LeaseTTL: 2 * time.Minute}}}
	for h := 1; h <= 2; h++ {
		up := fmt.Sprintf("hall-%d", h)
		s.Budgets = append(s.Budgets, power.Budget{Name: up, Parent: "site", Limit: hall, LeaseTTL: 2 * time.Minute})
		for r := 1; r <= 2; r++ {
			name := fmt.Sprintf("row-%d%d", h, r)
			s.Budgets = append(s.Budgets, power.Budget{
				Name: name, Parent: up, Limit: row, LeaseTTL: 2 * time.Minute, Feeds: true, Pin: map[string]string{"row": name},
			})
			for n := range 2 {
				s.Nodes = append(s.Nodes, power.Node{
					Name: fmt.Sprintf("%s-%d", name, n), Budget: name, Open: true,
					Labels: map[string]string{"row": name}, Free: map[string]int64{"gpu": 8},
				})
			}
		}
	}
	return s
}

// gang of so many pods that ask for a whole node each.
func gang(s *power.Site, pods, minPods int, watts power.Watts) *power.Workload {
	w := work(s, "gang", power.Gated, pods, watts)
	w.MinPods = minPods
	for i := range w.Pods {
		w.Pods[i].Ask = map[string]int64{"gpu": 8}
	}
	return w
}

// where is how many pods each budget got.
func where(p power.Plan) map[string]int {
	out := map[string]int{}
	for _, w := range p.Workloads {
		for _, pod := range w.Pods {
			out[pod.Budget]++
		}
	}
	return out
}

// TestAGangTooLargeForOneBudgetIsSpread: over as few rows as take it, never one pod without the others.
func TestAGangTooLargeForOneBudgetIsSpread(t *testing.T) {
	type outcome struct {
		Where  map[string]int
		Reason power.Reason
		Budget string
	}
	tests := map[string]struct {
		site, hall, row power.Watts
		pods            int
		ask             string
		change          func(*power.Site)
		want            outcome
	}{
		"one row takes it":   {9000, 9000, 9000, 2, "", nil, outcome{map[string]int{"row-11": 2}, power.AllReserved, "row-11"}},
		"two rows of a hall": {9000, 9000, 9000, 4, "hall-2", nil, outcome{map[string]int{"row-21": 2, "row-22": 2}, power.AllReserved, "hall-2"}},
		"as few rows as take it": {9000, 9000, 9000, 5, "", func(s *power.Site) {
			for _, n := range s.Nodes[:8] {
				n.Name += "-more"
				s.Nodes = append(s.Nodes, n)
			}
			s.Nodes = s.Nodes[:12]    // two more in each row of hall-1
			s.Budgets[3].Limit = 9050 // the roomiest, but only until a pod is there
		}, outcome{map[string]int{"row-12": 4, "row-11": 1}, power.AllReserved, "hall-1"}},
		"three rows":     {9000, 9000, 9000, 6, "", nil, outcome{map[string]int{"row-11": 2, "row-12": 2, "row-21": 2}, power.AllReserved, "site"}},
		"short of nodes": {9000, 9000, 9000, 9, "", nil, outcome{map[string]int{}, power.NoAccelerators, ""}},
		"short of watts in rows": {9000, 9000, 100, 4, "", nil,
			outcome{map[string]int{"row-11": 1, "row-12": 1, "row-21": 1, "row-22": 1}, power.AllReserved, "site"}},
		"short of watts in a hall":   {9000, 100, 100, 3, "", nil, outcome{map[string]int{}, power.NoRoom, ""}},
		"short of watts at the site": {399, 9000, 100, 4, "", nil, outcome{map[string]int{}, power.NoRoom, ""}},
		"a row is halted": {9000, 9000, 9000, 6, "", func(s *power.Site) { s.Budgets[2].Halted = "stop" },
			outcome{map[string]int{"row-12": 2, "row-21": 2, "row-22": 2}, power.AllReserved, "site"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := rows(tt.site, tt.hall, tt.row)
			gang(&s, tt.pods, tt.pods, 100).Budget = tt.ask
			if tt.change != nil {
				tt.change(&s)
			}
			p := power.Decide(s)
			w := workload(t, p, "gang")
			if diff := cmp.Diff(tt.want, outcome{where(p), w.Reason, w.Budget}); diff != "" {
				t.Errorf("%s\n%s", diff, w.Message)
			}
		})
	}
}

// TestMinersMakeRoomForASpreadGang in each of its rows for the pods that go there, and no more.
func TestMinersMakeRoomForASpreadGang(t *testing.T) {
	s := rows(9000, 9000, 1000)
	for _, row := range []string{"row-11", "row-12"} {
		mine(&s, row, 1000, 1000)
	}
	gang(&s, 4, 4, 100).Budget = "hall-1"
	p := power.Decide(s)
	w := workload(t, p, "gang")
	if len(w.Pods) != 0 || w.Reason != power.WaitingForMiners {
		t.Errorf("%v reserved: %s %s", holds(w), w.Reason, w.Message)
	}
	for name, want := range map[string]power.Watts{"row-11": 200, "row-12": 200, "hall-1": 400, "site": 400, "row-21": 0} {
		if got := budget(t, p, name).Demand; got != want {
			t.Errorf("%s: miners make room for %v, want %v", name, got, want)
		}
	}
}

// TestASpreadGangIsTooLargeForWhatItsPartsShare: what its own pods take counts when the next is placed.
func TestASpreadGangIsTooLargeForWhatItsPartsShare(t *testing.T) {
	s := rows(399, 9000, 200)
	gang(&s, 4, 4, 100)
	work(&s, "later", power.Gated, 1, 100).Created = in(-time.Minute)
	p := power.Decide(s)
	if w := workload(t, p, "gang"); len(w.Pods) != 0 || w.Reason != power.NoRoom {
		t.Errorf("%v reserved: %s %s", holds(w), w.Reason, w.Message)
	}
	if news(p)["later"] != 1 {
		t.Error("what can never fit holds up others")
	}
	// With 400 W it would fit but for a pod that runs: it waits for that, and its watts are kept for it.
	s = rows(400, 9000, 200)
	gang(&s, 4, 4, 100)
	running := work(&s, "running", power.Admitted, 1, 50)
	place(running, "row-22")
	work(&s, "later", power.Gated, 1, 100).Created = in(-time.Minute)
	p = power.Decide(s)
	if w := workload(t, p, "gang"); len(w.Pods) != 0 || w.Reason != power.NoRoom {
		t.Errorf("%v reserved: %s %s", holds(w), w.Reason, w.Message)
	}
	if w := workload(t, p, "later"); w.Reason != power.Outranked {
		t.Errorf("later: %s %s", w.Reason, w.Message)
	}
}

// TestASpreadGangTakesOverWhatEndedPodsHold, and only what it needs.
func TestASpreadGangTakesOverWhatEndedPodsHold(t *testing.T) {
	s := rows(9000, 9000, 200)
	ended := work(&s, "ended", power.Releasing, 3, 100)
	for i, row := range []string{"row-11", "row-12", "row-22"} {
		ended.Pods[i].Budget, ended.Pods[i].Until = row, in(time.Minute+time.Duration(i)*time.Second)
	}
	gang(&s, 7, 7, 100)
	p := power.Decide(s)
	w := workload(t, p, "gang")
	if len(w.Pods) != 7 || w.Reason != power.AllReserved {
		t.Fatalf("%v reserved: %s %s", holds(w), w.Reason, w.Message)
	}
	if kept := holds(workload(t, p, "ended")); len(kept) != 1 {
		t.Errorf("of 3 ended pods %v keep their watts, want the one that is in nobody's way", kept)
	}
	for _, b := range p.Budgets {
		if b.Over > 0 {
			t.Errorf("%s is over by %v", b.Name, b.Over)
		}
	}
}

// TestASpreadGangLeavesNoMoreThanACurtailmentDoes to the ended pods whose watts it could take over.
func TestASpreadGangLeavesNoMoreThanACurtailmentDoes(t *testing.T) {
	for limit, want := range map[power.Watts]int{800: 1, 799: 0} {
		s := rows(9000, 9000, 200)
		s.Budgets[0].Cuts = []power.Cut{{Name: "evening", Start: in(time.Hour), End: in(2 * time.Hour), Limit: limit}}
		ended := work(&s, "ended", power.Releasing, 3, 100)
		for i, row := range []string{"row-11", "row-12", "row-22"} {
			ended.Pods[i].Budget, ended.Pods[i].Until = row, in(3*time.Hour)
		}
		gang(&s, 7, 7, 100)
		p := power.Decide(s)
		if w := workload(t, p, "gang"); len(w.Pods) != 7 {
			t.Fatalf("%v reserved: %s %s", holds(w), w.Reason, w.Message)
		}
		if kept := holds(workload(t, p, "ended")); len(kept) != want {
			t.Errorf("where %v are left, %v keep their watts beside a gang of 700 W, want %d", limit, kept, want)
		}
	}
}
