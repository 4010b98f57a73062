package decide

import (
	"cmp"
	"slices"
)

// Merge solves the problem exactly at any size, by another way than both the simplex and the decision: what
// a subtree can make of W watts is a concave function of W, the sup-convolution of its children's (their
// pieces merged by slope), cut off at the subtree's cap. It works from the leaves to the roots and answers
// the most TH/s.
func (p *Problem) Merge() (ths float64) {
	below := make([][]worth, len(p.Cap))
	pools := make([][]worth, len(p.Floor))
	home := make([]int, len(p.Floor))
	for i := range p.Agents {
		a := &p.Agents[i]
		home[a.Pool] = a.Budget
		for _, piece := range a.Pieces {
			pools[a.Pool] = append(pools[a.Pool], worth{Piece: piece})
		}
	}
	for i := range pools {
		below[home[i]] = append(below[home[i]], firstly(pools[i], p.Floor[i])...)
	}
	for _, i := range p.leavesFirst() {
		kept := upTo(below[i], p.Cap[i])
		if up := p.Parent[i]; up >= 0 {
			below[up] = append(below[up], kept...)
			continue
		}
		for _, w := range kept {
			ths += w.Watts * w.Slope
		}
	}
	return ths
}

// worth is a piece, and whether it counts towards a pool's floorWatts: those come first.
type worth struct {
	Piece
	floor bool
}

func (w worth) compare(v worth) int {
	if w.floor != v.floor {
		if w.floor {
			return -1
		}
		return 1
	}
	return cmp.Compare(v.Slope, w.Slope)
}

// firstly marks a pool's best pieces, so many watts of them, as its floorWatts.
func firstly(pool []worth, watts float64) []worth {
	slices.SortStableFunc(pool, worth.compare)
	var out []worth
	for _, w := range pool {
		take := min(w.Watts, watts)
		if take > 0 {
			out = append(out, worth{Piece{take, w.Slope}, true})
			watts -= take
		}
		if w.Watts > take {
			out = append(out, worth{Piece: Piece{w.Watts - take, w.Slope}})
		}
	}
	return out
}

// upTo keeps the best pieces, so many watts of them.
func upTo(all []worth, watts float64) []worth {
	slices.SortStableFunc(all, worth.compare)
	for i := range all {
		if all[i].Watts >= watts {
			all[i].Watts = watts
			return all[:i+1]
		}
		watts -= all[i].Watts
	}
	return all
}

// leavesFirst orders the budgets so that each comes after all below it.
func (p *Problem) leavesFirst() []int {
	depth := make([]int, len(p.Parent))
	order := make([]int, len(p.Parent))
	for i := range order {
		order[i] = i
		for n := p.Parent[i]; n >= 0; n = p.Parent[n] {
			depth[i]++
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(depth[b], depth[a]) })
	return order
}
