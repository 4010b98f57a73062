package power_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestDispatchIsTheBest compares the greedy dispatch with every dispatch of small sites of nested caps,
// watt by watt: it makes as much as the best of them, stays under every cap, and states a bound that is
// not below the best.
func TestDispatchIsTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := smallSite(t)
		p := power.Decide(s)
		best := bestTHs(s, make([]power.Watts, len(s.Agents)), 0)
		if math.Abs(p.THs-best) > 1e-6 {
			t.Fatalf("dispatch makes %v TH/s, the best is %v: %v", p.THs, best, targets(p))
		}
		if p.BoundTHs < best-1e-6 {
			t.Fatalf("the bound %v is below what can be made, %v", p.BoundTHs, best)
		}
		given := make([]power.Watts, len(s.Agents))
		made := 0.0
		for i, l := range p.Leases {
			given[i] = l.Target
			made += thsAt(&s.Agents[i], l.Target)
		}
		if !withinCaps(s, given) || math.Abs(made-p.THs) > 1e-6 {
			t.Fatalf("targets %v are over a cap, or make %v and not %v", given, made, p.THs)
		}
	})
}

// smallSite is a site over two halls, one with a row below it, and up to four agents of a few watts.
func smallSite(t *rapid.T) power.Site {
	draw := func(what string, low, high int) int { return rapid.IntRange(low, high).Draw(t, what) }
	s := power.Site{Now: now}
	for _, b := range []power.Budget{{Name: "site"}, {Name: "a", Parent: "site"}, {Name: "b", Parent: "site"}, {Name: "row", Parent: "a"}} {
		b.Limit, b.Base = power.Watts(draw("limit", 0, 14)), power.Watts(draw("base", 0, 1))
		s.Budgets = append(s.Budgets, b)
	}
	for n := range draw("agents", 1, 4) {
		a := power.Agent{
			Key: fmt.Sprintf("agent-%d", n), Budget: s.Budgets[draw("budget", 0, 3)].Name, Heard: true, Curve: []power.Point{{}},
		}
		slope := 9
		for range draw("pieces", 1, 3) {
			last := a.Curve[len(a.Curve)-1]
			w := draw("watts", 0, 2)
			slope = draw("slope", 0, slope)
			a.Curve = append(a.Curve, power.Point{Watts: last.Watts + power.Watts(w), THs: last.THs + float64(slope*w)})
			a.Rated = a.Curve[len(a.Curve)-1].Watts
		}
		s.Agents = append(s.Agents, a)
	}
	return s
}

// bestTHs tries every whole watt of every agent from the given one on.
func bestTHs(s power.Site, given []power.Watts, from int) float64 {
	if from == len(given) {
		if !withinCaps(s, given) {
			return 0
		}
		ths := 0.0
		for i := range given {
			ths += thsAt(&s.Agents[i], given[i])
		}
		return ths
	}
	best := 0.0
	for w := range s.Agents[from].Rated + 1 {
		given[from] = w
		best = max(best, bestTHs(s, given, from+1))
	}
	given[from] = 0
	return best
}

// withinCaps tells whether no budget is over its limit, but for those that base load alone takes over it.
func withinCaps(s power.Site, given []power.Watts) bool {
	parent := map[string]string{}
	base, mined := map[string]power.Watts{}, map[string]power.Watts{}
	for _, b := range s.Budgets {
		parent[b.Name] = b.Parent
	}
	sum := func(sums map[string]power.Watts, at string, w power.Watts) {
		for ; at != ""; at = parent[at] {
			sums[at] += w
		}
	}
	for _, b := range s.Budgets {
		sum(base, b.Name, b.Base)
	}
	for i, w := range given {
		sum(mined, s.Agents[i].Budget, w)
	}
	for _, b := range s.Budgets {
		if mined[b.Name] > 0 && base[b.Name]+mined[b.Name] > b.Limit {
			return false
		}
	}
	return true
}

// thsAt reads a curve.
func thsAt(a *power.Agent, w power.Watts) float64 {
	for i := 1; i < len(a.Curve); i++ {
		from, to := a.Curve[i-1], a.Curve[i]
		if w <= to.Watts && to.Watts > from.Watts {
			return from.THs + float64(w-from.Watts)/float64(to.Watts-from.Watts)*(to.THs-from.THs)
		}
	}
	return a.Curve[len(a.Curve)-1].THs
}

// TestPoolsShare: floors first, then each pool's floorWatts, then the best miners; a pool that leaves
// keeps its floor alone.
func TestPoolsShare(t *testing.T) {
	tests := map[string]struct {
		limit power.Watts
		edit  func(best, worst *power.Pool, a *power.Agent)
		want  map[string]power.Watts // pool-0 makes twice as much of a watt as pool-1
	}{
		"best first":       {500, func(_, _ *power.Pool, _ *power.Agent) {}, map[string]power.Watts{"pool-0-0": 400, "pool-1-0": 100}},
		"floorWatts":       {500, func(_, p *power.Pool, _ *power.Agent) { p.Floor = 300 }, map[string]power.Watts{"pool-0-0": 200, "pool-1-0": 300}},
		"a limit below it": {200, func(_, p *power.Pool, _ *power.Agent) { p.Floor = 300 }, map[string]power.Watts{"pool-0-0": 0, "pool-1-0": 200}},
		"floors":           {200, func(_, _ *power.Pool, a *power.Agent) { a.Floor = 50; a.Curve[0].Watts = 50 }, map[string]power.Watts{"pool-0-0": 150, "pool-1-0": 50}},
		"floors in floorWatts": {
			500, func(_, p *power.Pool, a *power.Agent) { p.Floor, a.Floor, a.Curve[0].Watts = 120, 50, 50 },
			map[string]power.Watts{"pool-0-0": 380, "pool-1-0": 120},
		},
		"leaving": {
			500, func(p, _ *power.Pool, _ *power.Agent) { p.Leaving, p.Floor = true, 100 },
			map[string]power.Watts{"pool-0-0": 0, "pool-1-0": 400},
		},
		"floorWatts count once": {
			1000, func(_, p *power.Pool, _ *power.Agent) { p.Floor = 300 }, map[string]power.Watts{"pool-0-0": 400, "pool-1-0": 400},
		},
		"observed": {
			500, func(p, _ *power.Pool, _ *power.Agent) { p.Observe = true },
			map[string]power.Watts{"pool-1-0": 250},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			mine(&s, "site", 250, 400)
			mine(&s, "site", 250, 400)
			s.Agents[0].Curve[1].THs = 800
			tt.edit(&s.Pools[0], &s.Pools[1], &s.Agents[1])
			if diff := cmp.Diff(tt.want, targets(power.Decide(s))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTiesGoByName: equal slopes are filled in the order of the agents' keys, whatever their order in the
// site.
func TestTiesGoByName(t *testing.T) {
	s := oneBudget(500)
	mine(&s, "site", 0, 400)
	mine(&s, "site", 0, 400)
	s.Agents[0], s.Agents[1] = s.Agents[1], s.Agents[0]
	if diff := cmp.Diff(map[string]power.Watts{"pool-0-0": 400, "pool-1-0": 100}, targets(power.Decide(s))); diff != "" {
		t.Error(diff)
	}
}

// TestBoundSeesTheRootsAlone: the certificate is what could be made if only the roots had limits.
func TestBoundSeesTheRootsAlone(t *testing.T) {
	s := twoHalls(450, 200, 500)
	mine(&s, "hall-1", 0, 500)
	p := power.Decide(s)
	if p.THs != 200 || p.BoundTHs != 450 {
		t.Errorf("makes %v TH/s, bound %v, want 200 and 450", p.THs, p.BoundTHs)
	}
}
