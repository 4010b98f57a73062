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
// watt by watt: it stays under every cap, gives pools as much of their floorWatts as can be, makes as much as the
// best that does so, and states a bound that is just that.
func TestDispatchIsTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := smallSite(t, false)
		p := power.Decide(s)
		given, made := dispatched(s, p)
		if !withinCaps(s, given) || math.Abs(made-p.THs) > 1e-6 {
			t.Fatalf("targets %v are over a cap, or make %v and not %v", given, made, p.THs)
		}
		got := sum(floored(s, given))
		best, most := bestTHs(s, func(floors []power.Watts) bool { return sum(floors) >= got })
		if got != most {
			t.Fatalf("pools get %v of their floorWatts, they could have %v: %v", got, most, given)
		}
		if math.Abs(p.THs-best) > 1e-6 || math.Abs(p.BoundTHs-best) > 1e-6 {
			t.Fatalf("dispatch makes %v TH/s, bound %v, the best is %v: %v", p.THs, p.BoundTHs, best, given)
		}
	})
}

// TestBoundHolds: where the agents of a pool hang on several budgets the sets are not nested and the greedy
// dispatch may miss the best; the bound does not.
func TestBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := smallSite(t, true)
		p := power.Decide(s)
		given, _ := dispatched(s, p)
		got := floored(s, given)
		best, _ := bestTHs(s, func(floors []power.Watts) bool {
			return floors[0] >= got[0] && floors[1] >= got[1]
		})
		if p.BoundTHs < best-1e-6 {
			t.Fatalf("the bound %v is below what can be made, %v", p.BoundTHs, best)
		}
	})
}

// smallSite is a site over two halls, one with a row below it, and up to four agents of a few watts in up to
// two pools, each on one budget or, where they are scattered, anywhere.
func smallSite(t *rapid.T, scattered bool) power.Site {
	draw := func(what string, low, high int) int { return rapid.IntRange(low, high).Draw(t, what) }
	s := power.Site{Now: now}
	for _, b := range []power.Budget{{Name: "site"}, {Name: "a", Parent: "site"}, {Name: "b", Parent: "site"}, {Name: "row", Parent: "a"}} {
		b.Limit, b.Base = power.Watts(draw("limit", 0, 12)), power.Watts(draw("base", 0, 1))
		s.Budgets = append(s.Budgets, b)
	}
	for n := range 2 {
		s.Pools = append(s.Pools, power.Pool{
			Key: fmt.Sprintf("pool-%d", n), Budget: s.Budgets[draw("budget", 0, 3)].Name, Floor: power.Watts(max(0, draw("floorWatts", -3, 6))),
		})
	}
	for n := range draw("agents", 2, 4) {
		pool := s.Pools[draw("pool", 0, 1)]
		a := power.Agent{Key: fmt.Sprintf("agent-%d", n), Pool: pool.Key, Budget: pool.Budget, Heard: true, Curve: []power.Point{{}}}
		if scattered {
			a.Budget = s.Budgets[draw("budget", 0, 3)].Name
		}
		slope := 9
		for range draw("pieces", 1, 2) {
			last := a.Curve[len(a.Curve)-1]
			w := draw("watts", 0, 3)
			slope = draw("slope", 0, slope)
			a.Curve = append(a.Curve, power.Point{Watts: last.Watts + power.Watts(w), THs: last.THs + float64(slope*w)})
			a.Rated = a.Curve[len(a.Curve)-1].Watts
		}
		s.Agents = append(s.Agents, a)
	}
	return s
}

// dispatched is every agent's target, and what they make.
func dispatched(s power.Site, p power.Plan) (given []power.Watts, ths float64) {
	for i, l := range p.Leases {
		given = append(given, l.Target)
		ths += thsAt(&s.Agents[i], l.Target)
	}
	return given, ths
}

// floored is how much of its floorWatts each pool gets.
func floored(s power.Site, given []power.Watts) []power.Watts {
	floors := make([]power.Watts, len(s.Pools))
	for i := range s.Pools {
		for n, w := range given {
			if s.Agents[n].Pool == s.Pools[i].Key {
				floors[i] += w
			}
		}
		floors[i] = min(floors[i], s.Pools[i].Floor)
	}
	return floors
}

func sum(watts []power.Watts) (all power.Watts) {
	for _, w := range watts {
		all += w
	}
	return all
}

// bestTHs tries every whole watt of every agent: the most TH/s of those dispatches that give pools enough of
// their floorWatts, and the most of these that any gives.
func bestTHs(s power.Site, enough func(floors []power.Watts) bool) (best float64, most power.Watts) {
	given := make([]power.Watts, len(s.Agents))
	var try func(from int)
	try = func(from int) {
		if from < len(given) {
			for given[from] = 0; given[from] <= s.Agents[from].Rated; given[from]++ {
				try(from + 1)
			}
			return
		}
		floors := floored(s, given)
		if !enough(floors) || !withinCaps(s, given) {
			return
		}
		ths := 0.0
		for i := range given {
			ths += thsAt(&s.Agents[i], given[i])
		}
		best, most = max(best, ths), max(most, sum(floors))
	}
	try(0)
	return best, most
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

// TestTiesGoToWhoRuns: of agents that make the same of a watt nobody is shed for the other.
// Rules: liveness a.
func TestTiesGoToWhoRuns(t *testing.T) {
	for leased := range 2 {
		s := oneBudget(1000)
		for i := range 2 {
			have := power.Watts(0)
			if i == leased {
				have = 1000
			}
			mine(&s, "site", have, 1000)
		}
		if got := leases(power.Decide(s)); got[fmt.Sprintf("pool-%d-0", leased)] != 1000 {
			t.Errorf("agent %d ran, and leases are %v", leased, got)
		}
	}
	// A little that is left over makes neither change its mind.
	s := oneBudget(1050)
	mine(&s, "site", 50, 1000)
	mine(&s, "site", 1000, 1000)
	if got := targets(power.Decide(s)); got["pool-0-0"] != 50 || got["pool-1-0"] != 1000 {
		t.Errorf("targets are %v, want what runs", got)
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

// TestBoundSeesEveryLimit: the certificate knows the limits at every level, and what floorWatts cost.
func TestBoundSeesEveryLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		site, hall1, floor power.Watts
		want               float64 // hall-1 makes 1 TH/s of a watt, hall-2 half of that
	}{
		"no limit":                   {2000, 2000, 0, 750},
		"the site's":                 {450, 2000, 0, 450},
		"a hall's":                   {2000, 200, 0, 450},
		"both":                       {450, 200, 0, 325},
		"floorWatts":                 {450, 2000, 400, 250},
		"floorWatts and a hall":      {450, 200, 400, 250},
		"floorWatts that cost none":  {450, 200, 100, 325},
		"floorWatts above the limit": {300, 200, 400, 150},
	} {
		t.Run(name, func(t *testing.T) {
			s := twoHalls(tt.site, tt.hall1, 1000)
			mine(&s, "hall-1", 0, 500)
			pool, worse := mine(&s, "hall-2", 0, 500)
			pool.Floor, worse.Curve[1].THs = tt.floor, 250
			if p := power.Decide(s); math.Abs(p.THs-tt.want) > 1e-9 || math.Abs(p.BoundTHs-tt.want) > 1e-9 {
				t.Errorf("makes %v TH/s, bound %v, want %v", p.THs, p.BoundTHs, tt.want)
			}
		})
	}
}
