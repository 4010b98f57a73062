package power

import (
	"cmp"
	"math"
	"slices"
)

// dispatch shares mining's watts among the heard agents: floors first, then each pool's floorWatts, then
// the steepest pieces of the curves. Caps on nested sets form a polymatroid, so taking the steepest piece that
// still fits is optimal.
type dispatch struct {
	*ledger
	// given is what each budget has for mining above floors, left what of it is not taken yet.
	given, left []Watts
	// targets is each agent's, ths what they make together above their floors.
	targets []Watts
	ths     float64
	// pieces are the straight pieces of all curves, steepest first, less what is kept for floorWatts.
	pieces, kept []piece
	// want is what each pool lacks of its floorWatts.
	want []Watts
	// turned is what the first watt was worth that each budget had no room for; zero is none.
	turned []float64
}

// piece is one straight piece of an agent's curve.
type piece struct {
	slope float64 // TH/s per watt
	watts Watts
	agent int
}

func (l *ledger) dispatch() *dispatch {
	d := &dispatch{
		ledger: l, given: l.mining(), targets: make([]Watts, len(l.agents)),
		pieces: l.pieces(), want: make([]Watts, len(l.s.Pools)), turned: make([]float64, len(l.b)),
	}
	for i := range l.agents {
		if a := &l.agents[i]; a.leasable {
			d.targets[i] = a.Floor
			add(d.given, a.chain, -a.Floor)
		}
	}
	d.left = slices.Clone(d.given)
	d.keepFloors()
	rest := 0.0
	for i := range d.pieces {
		p := &d.pieces[i]
		rest += p.slope * float64(d.take(p, p.watts, p.slope))
	}
	d.ths += rest
	return d
}

// mining is the most that leases may sum to at each budget.
func (l *ledger) mining() []Watts {
	caps := make([]Watts, len(l.b))
	for i := range caps {
		caps[i] = l.planned[i] - l.base[i] - l.unfoundNow[i] - l.res[i] - l.demand[i] - l.kept[i]
	}
	for i := range l.agents {
		if a := &l.agents[i]; !a.leasable {
			add(caps, a.chain, -a.Hold)
		}
	}
	return caps
}

// pieces are those of all agents that may run, steepest first; of like ones those that are leased already,
// so that nobody is shed for nothing, then the agent's that is first by key.
func (l *ledger) pieces() []piece {
	order, n := make([]int, 0, len(l.agents)), 0
	for i := range l.agents {
		a := &l.agents[i]
		if a.leasable && (a.pool < 0 || !l.s.Pools[a.pool].Leaving) {
			order = append(order, i)
			n += len(a.Curve)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(l.agents[a].Key, l.agents[b].Key) })
	all := make([]piece, 0, n)
	for _, leased := range []bool{true, false} {
		for _, i := range order {
			a := &l.agents[i]
			for n := 1; n < len(a.Curve); n++ {
				from, to := a.Curve[n-1], a.Curve[n]
				w := to.Watts - from.Watts
				part := min(max(a.Lease-from.Watts, 0), w) // of it that is leased
				if !leased {
					part = w - part
				}
				if part > 0 {
					all = append(all, piece{(to.THs - from.THs) / float64(w), part, i})
				}
			}
		}
	}
	return steepestFirst(all)
}

// few pieces are sorted faster by comparing them.
const few = 256

// steepestFirst sorts pieces by slope and leaves like ones in their order. There are tens of thousands: going
// through the bytes of all slopes, the last ones first, takes a fraction of the time that comparing them does.
func steepestFirst(all []piece) []piece {
	if len(all) < few {
		slices.SortStableFunc(all, func(a, b piece) int { return cmp.Compare(a.rank(), b.rank()) })
		return all
	}
	var ends [8][257]int
	for i := range all {
		rank := all[i].rank()
		for n := range ends {
			ends[n][rank>>(8*n)&0xff+1]++
		}
	}
	other := make([]piece, len(all))
	for n := range ends {
		end := &ends[n]
		if slices.Contains(end[:], len(all)) {
			continue // they share this byte
		}
		for b := range 256 {
			end[b+1] += end[b]
		}
		for i := range all {
			b := all[i].rank() >> (8 * n) & 0xff
			other[end[b]] = all[i]
			end[b]++
		}
		all, other = other, all
	}
	return all
}

// rank is the less, the steeper: the bits of floats of one sign are in the order of the floats.
func (p *piece) rank() uint64 {
	bits := math.Float64bits(p.slope)
	if p.slope < 0 {
		return bits
	}
	return bits ^ math.MaxInt64
}

// take gives an agent up to so many watts of a piece, as far as every budget above it has them left.
func (d *dispatch) take(p *piece, most Watts, worth float64) Watts {
	chain, take := d.agents[p.agent].chain, most
	for _, i := range chain {
		take = min(take, d.left[i])
	}
	take = max(take, 0)
	if take < most {
		for _, i := range chain {
			if d.left[i] <= take && d.turned[i] == 0 {
				d.turned[i] = worth
			}
		}
	}
	if take > 0 {
		add(d.left, chain, -take)
		d.targets[p.agent] += take
	}
	return take
}

// keepFloors gives each pool its floorWatts before anything else, and takes them out of the pieces.
func (d *dispatch) keepFloors() {
	if !d.lack() || len(d.pieces) == 0 {
		return
	}
	steepest := d.pieces[0].slope // what is turned away for floorWatts goes before any other
	for i := range d.pieces {
		p := &d.pieces[i]
		pool := d.agents[p.agent].pool
		if pool < 0 || d.want[pool] <= 0 {
			continue
		}
		got := d.take(p, min(p.watts, d.want[pool]), steepest)
		if got > 0 {
			d.ths += p.slope * float64(got)
			d.want[pool] -= got
			p.watts -= got
			d.kept = append(d.kept, piece{p.slope, got, p.agent})
		}
	}
}

// lack finds what each pool lacks of its floorWatts, and tells whether any does.
func (d *dispatch) lack() (some bool) {
	for i := range d.want {
		d.want[i] = d.s.Pools[i].Floor
		for _, n := range d.members[i] {
			d.want[i] -= d.targets[n]
		}
		some = some || d.want[i] > 0
	}
	return some
}
