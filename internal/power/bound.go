package power

// bound is the most TH/s that any dispatch could make under the same limits that gives each pool as much of
// its floorWatts. It is what the dual of that linear program says when a watt has a price at each budget that turned
// some away, what the first of them was worth less what the budgets above ask already, and a bonus in each pool
// that got floorWatts, as high as the last of them needed. Whatever the prices, nothing can make more; with these
// the greedy dispatch makes as much, so what it makes less than that it may lack at most.
func (d *dispatch) bound() (most float64) {
	price := d.prices()
	asks := make([]float64, len(d.agents))
	for i := range asks {
		for _, b := range d.agents[i].chain {
			asks[i] += price[b]
		}
	}
	bonus := make([]float64, len(d.want))
	for _, p := range d.kept {
		pool := d.agents[p.agent].pool
		bonus[pool] = max(bonus[pool], asks[p.agent]-p.slope)
	}
	for i := range asks {
		if pool := d.agents[i].pool; pool >= 0 {
			asks[i] -= bonus[pool]
		}
	}
	for i := range price {
		most += price[i] * float64(max(0, d.given[i]))
	}
	for _, p := range d.kept {
		most += (max(0, p.slope-asks[p.agent]) - bonus[d.agents[p.agent].pool]) * float64(p.watts)
	}
	for _, p := range d.pieces {
		most += max(0, p.slope-asks[p.agent]) * float64(p.watts)
	}
	return most
}

// prices of a watt at each budget.
func (d *dispatch) prices() []float64 {
	price := make([]float64, len(d.b))
	for i := range price {
		above := 0.0
		for _, up := range d.up[i][1:] {
			above = max(above, d.turned[up])
		}
		price[i] = max(0, d.turned[i]-above)
	}
	return price
}
