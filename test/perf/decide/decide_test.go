package decide

import (
	"math"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

var small = Shape{Agents: 12, DevicesPerAgent: 250, Halls: 2, RowsPerHall: 3, Workloads: 8, Pods: 48, Nodes: 12, Pieces: 4}

// line is an agent of one straight piece.
func line(budget, pool int, watts, slope float64) Supply {
	return Supply{Budget: budget, Pool: pool, Pieces: []Piece{{watts, slope}}}
}

func TestExactSolversOnSitesDoneByHand(t *testing.T) {
	for name, tt := range map[string]struct {
		p    Problem
		want float64
	}{
		"all of it": {Problem{Cap: []float64{1000}, Parent: []int{-1}, Floor: []float64{0}, Agents: []Supply{line(0, 0, 800, 0.05)}}, 40},
		"best first": {Problem{
			Cap: []float64{1000}, Parent: []int{-1}, Floor: []float64{0, 0},
			Agents: []Supply{line(0, 0, 800, 0.05), line(0, 1, 800, 0.07)},
		}, 800*0.07 + 200*0.05},
		"a row holds the best back": {Problem{
			Cap: []float64{1000, 300}, Parent: []int{-1, 0}, Floor: []float64{0, 0},
			Agents: []Supply{line(0, 0, 800, 0.05), line(1, 1, 800, 0.07)},
		}, 300*0.07 + 700*0.05},
		"pieces of one curve": {Problem{
			Cap: []float64{500}, Parent: []int{-1}, Floor: []float64{0},
			Agents: []Supply{{Pieces: []Piece{{200, 0.07}, {400, 0.03}}}, {Pieces: []Piece{{200, 0.05}, {400, 0.04}}}},
		}, 200*0.07 + 200*0.05 + 100*0.04},
		"floorWatts first": {Problem{
			Cap: []float64{1000}, Parent: []int{-1}, Floor: []float64{300, 0},
			Agents: []Supply{line(0, 0, 800, 0.05), line(0, 1, 800, 0.07)},
		}, 300*0.05 + 700*0.07},
		"floorWatts over the cap": {Problem{
			Cap: []float64{200}, Parent: []int{-1}, Floor: []float64{300, 0},
			Agents: []Supply{line(0, 0, 800, 0.05), line(0, 1, 800, 0.07)},
		}, 200 * 0.05},
		"nothing left": {Problem{Cap: []float64{0}, Parent: []int{-1}, Floor: []float64{0}, Agents: []Supply{line(0, 0, 800, 0.05)}}, 0},
		"three levels, each binds somewhere": {Problem{
			Cap: []float64{900, 500, 700, 100}, Parent: []int{-1, 0, 0, 1}, Floor: []float64{0, 0, 0},
			Agents: []Supply{line(3, 0, 400, 0.09), line(1, 1, 600, 0.05), line(2, 2, 800, 0.06)},
		}, 100*0.09 + 700*0.06 + 100*0.05},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.p.Simplex()
			if err != nil || math.Abs(got-tt.want) > 1e-6 {
				t.Errorf("simplex: %v, %v, want %v", got, err, tt.want)
			}
			if got := tt.p.Merge(); math.Abs(got-tt.want) > 1e-6 {
				t.Errorf("merge: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSolversAgreeOnRandomSites: two ways that share nothing but the problem find the same; the decision
// finds no more than they do, and its own bound is never below it nor far above.
func TestSolversAgreeOnRandomSites(t *testing.T) {
	binding := 0
	for seed := range uint64(12) {
		s := NewSite(seed, small)
		plan := power.Decide(s)
		p, err := NewProblem(s, plan)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		simplex, err := p.Simplex()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if merge := p.Merge(); math.Abs(simplex-merge) > 1e-6*merge {
			t.Errorf("seed %d: simplex %v, merge %v", seed, simplex, merge)
		}
		if plan.THs > simplex*(1+1e-9) {
			t.Errorf("seed %d: the plan makes %v TH/s, the most there can be is %v", seed, plan.THs, simplex)
		}
		if plan.BoundTHs < simplex*(1-1e-9) || plan.BoundTHs > simplex*(1+1e-6) {
			t.Errorf("seed %d: the plan's bound is %v TH/s, the most there can be is %v", seed, plan.BoundTHs, simplex)
		}
		for i, up := range p.Parent {
			if up >= 0 {
				p.Cap[i] = math.Inf(1)
			}
		}
		if simplex < p.Merge()*(1-1e-6) {
			binding++
		}
	}
	if binding == 0 {
		t.Error("no inner budget bound in any site: the sites prove nothing")
	}
}

func TestSitesAreWhatTheySay(t *testing.T) {
	s := NewSite(7, small)
	if len(s.Agents) != small.Agents || len(s.Budgets) != small.Budgets() || len(s.Workloads) != small.Workloads || len(s.Nodes) != small.Nodes {
		t.Errorf("%d agents, %d budgets, %d workloads, %d nodes", len(s.Agents), len(s.Budgets), len(s.Workloads), len(s.Nodes))
	}
	phases := map[power.Phase]int{}
	for i := range s.Workloads {
		for n := range s.Workloads[i].Pods {
			phases[s.Workloads[i].Pods[n].Phase]++
		}
	}
	if phases[power.Gated] == 0 || phases[power.Admitted] == 0 {
		t.Errorf("pods by phase: %v", phases)
	}
	for i := range s.Agents {
		a := &s.Agents[i]
		for n := 2; n < len(a.Curve); n++ {
			if slope(a.Curve[n-1], a.Curve[n]) > slope(a.Curve[n-2], a.Curve[n-1]) {
				t.Fatalf("%s: not concave at %d", a.Key, n)
			}
		}
		if last := a.Curve[len(a.Curve)-1].Watts; last > a.Rated {
			t.Errorf("%s: the curve goes to %d W, rated %d W", a.Key, last, a.Rated)
		}
	}
	for _, b := range power.Decide(s).Budgets {
		if b.Over > 0 && b.Limit == b.Planned && b.Reason == power.LimitSpec {
			t.Errorf("%s is %d W over its limit with mining settled", b.Name, b.Over)
		}
	}
}

func slope(a, b power.Point) float64 { return (b.THs - a.THs) / float64(b.Watts-a.Watts) }

// TestOtherLimitsAreNoticed: a plan whose mining does not follow from the site is no problem to solve.
func TestOtherLimitsAreNoticed(t *testing.T) {
	s := NewSite(7, small)
	plan := power.Decide(s)
	s.Budgets[0].Limit /= 2
	s.Budgets[0].Cuts = nil
	if _, err := NewProblem(s, plan); err == nil {
		t.Error("the plan's watts for mining passed against another limit")
	}
}

func TestLimitsOverTime(t *testing.T) {
	now := time.Unix(epoch, 0)
	in := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	b := power.Budget{Limit: 1000, MarginPercent: 10, Cuts: []power.Cut{
		{Start: in(-10), End: in(60), Reduce: 100}, {Start: in(20), End: in(60), Limit: 500}, {Start: in(-60), End: in(-30), Limit: 1},
	}}
	for until, want := range map[int]power.Watts{0: 810, 19: 810, 20: 360} {
		if got := limitUntil(&b, now, in(until)); got != want {
			t.Errorf("until %d s: %d W, want %d W", until, got, want)
		}
	}
}
