package decide

import (
	"fmt"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// Problem is the dispatch of one site as a linear program, written from the statement of the problem:
// each agent's devices make what its concave curve says; what all agents below a budget draw above their
// floors may not pass what the budget has left for mining; each pool's floorWatts come before any other
// hashing. It knows nothing of how the decision goes about it.
type Problem struct {
	Agents []Supply
	// Cap is what each budget leaves to draws above floors; Parent is -1 at a root.
	Cap    []float64
	Parent []int
	// Floor is what each pool should hash above its agents' floors before anything else.
	Floor []float64
}

// Supply is one agent's curve, piece by piece, steepest first.
type Supply struct {
	Budget, Pool int
	Pieces       []Piece
}

// Piece of a curve: up to Watts more at Slope TH/s per watt.
type Piece struct {
	Watts, Slope float64
}

// NewProblem takes the problem out of a site and what its plan gave to AI: reservations and feasible
// demand are the plan's decisions, the limits and the rest are read from the site. It fails where the
// plan left mining other watts than the site says are left.
func NewProblem(s power.Site, p power.Plan) (Problem, error) {
	out := Problem{Cap: make([]float64, len(s.Budgets)), Parent: make([]int, len(s.Budgets)), Floor: make([]float64, len(s.Pools))}
	budgets, pools := map[string]int{}, map[string]int{}
	for i := range s.Budgets {
		budgets[s.Budgets[i].Name] = i
	}
	for i := range s.Pools {
		pools[s.Pools[i].Key] = i
		out.Floor[i] = float64(s.Pools[i].Floor)
	}
	for i := range s.Budgets {
		out.Parent[i] = -1
		if up, ok := budgets[s.Budgets[i].Parent]; ok {
			out.Parent[i] = up
		}
	}
	left, err := forMining(s, p, out.Parent)
	if err != nil {
		return out, err
	}
	for i := range left {
		out.Cap[i] = float64(left[i])
	}
	for i := range s.Agents {
		a := &s.Agents[i]
		out.take(budgets[a.Budget], -float64(a.Floor))
		out.Floor[pools[a.Pool]] -= float64(a.Floor)
		out.Agents = append(out.Agents, Supply{budgets[a.Budget], pools[a.Pool], pieces(a.Curve)})
	}
	for i := range out.Cap {
		out.Cap[i] = max(0, out.Cap[i])
	}
	for i := range out.Floor {
		out.Floor[i] = max(0, out.Floor[i])
	}
	return out, nil
}

// take adds watts to the cap of a budget and of all above it.
func (p *Problem) take(budget int, watts float64) {
	for ; budget >= 0; budget = p.Parent[budget] {
		p.Cap[budget] += watts
	}
}

func pieces(curve []power.Point) []Piece {
	var out []Piece
	for i := 1; i < len(curve); i++ {
		if w := float64(curve[i].Watts - curve[i-1].Watts); w > 0 {
			out = append(out, Piece{w, (curve[i].THs - curve[i-1].THs) / w})
		}
	}
	return out
}

// settleSlack is how much longer than the slowest shed a coming limit is looked for: 2 s by rule L1, and 5 s
// so that the shed begins before the last moment.
const settleSlack = 7 * time.Second

// forMining is what each budget leaves to mining, floors included: the least limit until the slowest shed
// would be done, less base load of the subtree, reservations and feasible demand.
func forMining(s power.Site, p power.Plan, parent []int) ([]power.Watts, error) {
	left := make([]power.Watts, len(s.Budgets))
	base := make([]power.Watts, len(s.Budgets))
	settle := make([]time.Duration, len(s.Budgets))
	at := map[string]int{}
	for i := range s.Budgets {
		at[s.Budgets[i].Name] = i
		for n := i; n >= 0; n = parent[n] {
			base[n] += s.Budgets[i].Base
		}
	}
	for i := range s.Agents {
		for n := at[s.Agents[i].Budget]; n >= 0; n = parent[n] {
			settle[n] = max(settle[n], s.Agents[i].Settle)
		}
	}
	for i := range left {
		b := &p.Budgets[i]
		left[i] = limitUntil(&s.Budgets[i], s.Now, s.Now.Add(settle[i]+settleSlack)) - base[i] - b.Reserved - b.Demand
		kept := s.Budgets[i].Headroom
		if b.Mining > max(0, left[i]) || (b.Mining < left[i]-kept) {
			return nil, fmt.Errorf("budget %s: the plan leaves mining %d W, the site %d W less at most %d W of headroom", b.Name, b.Mining, left[i], kept)
		}
		left[i] = b.Mining // the headroom kept is the plan's decision too
	}
	return left, nil
}

// limitUntil is the least limit from now until end, margin taken off.
func limitUntil(b *power.Budget, now, end time.Time) power.Watts {
	low := limitAt(b, now)
	for _, c := range b.Cuts {
		if c.Start.After(now) && !c.Start.After(end) {
			low = min(low, limitAt(b, c.Start))
		}
	}
	return low
}

func limitAt(b *power.Budget, at time.Time) power.Watts {
	limit, reduce := b.Limit, power.Watts(0)
	for _, c := range b.Cuts {
		if at.Before(c.Start) || !at.Before(c.End) {
			continue
		}
		if c.Reduce > 0 {
			reduce += c.Reduce
		} else {
			limit = min(limit, c.Limit)
		}
	}
	limit = max(0, limit-reduce)
	return limit - limit*power.Watts(b.MarginPercent)/100
}
