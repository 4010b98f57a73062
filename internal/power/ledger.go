package power

import (
	"sort"
	"time"
)

const (
	// shedSlack is added to the slowest shed wherever a limit falls (L1).
	shedSlack = 2 * time.Second
	// leadIn is how long before the last moment for a shed it is begun, so that a lease cut short by a
	// coming fall is replaced by a lower one before it runs out.
	leadIn = 5 * time.Second
	// leastSettle stands in where no agent has said how long it takes to shed.
	leastSettle = 5 * time.Second
	// horizon is how far ahead coming curtailments bar work that must not be interrupted.
	horizon = 24 * time.Hour
)

// ledger is the commitments of a site, summed up the tree, and what is left of each limit.
type ledger struct {
	*tree
	s *Site

	settle []time.Duration // slowest shed of the subtree
	// planned is the least limit until the slowest shed would be done (L1); low the least within the
	// horizon, and lowBy the cut that sets it.
	planned, low []Watts
	lowBy        []int

	// Sums over each subtree. unfoundNow leaves out pools still in their grace (L4).
	base, unfound, unfoundNow, held, leased, res []Watts
	// fixed is mining that no shed can take: floors, unheard holds, observed pools, floorWatts.
	fixed []Watts
	// demand is what feasible waiting pods need: mining makes room for it.
	demand []Watts
	// standby is kept free for the next pods, headroom included.
	standby []Watts

	// free is what the ledger has now, room what firm load leaves within the horizon; both shrink as
	// workloads are considered in their order.
	free, room []Watts

	agents map[string][]int // by pool
	rooms  rooms
	yields []yield
}

// yield is a reservation of an ended pod: it may be let go for a pod that waits.
type yield struct {
	workload, pod int
	priority      int
	dropped       bool
}

func newLedger(s *Site) *ledger {
	n := len(s.Budgets)
	l := &ledger{
		tree: newTree(s.Budgets), s: s,
		settle: make([]time.Duration, n), lowBy: make([]int, n),
		agents: map[string][]int{},
	}
	for _, sums := range []*[]Watts{
		&l.planned, &l.low, &l.base, &l.unfound, &l.unfoundNow, &l.held, &l.leased, &l.res,
		&l.fixed, &l.demand, &l.standby, &l.free, &l.room,
	} {
		*sums = make([]Watts, n)
	}
	for i := range s.Budgets {
		add(l.base, l.up[i], s.Budgets[i].Base)
		l.standby[i] += s.Budgets[i].Headroom
	}
	l.countAgents()
	l.countPools()
	l.limits()
	l.rooms = newRooms(s)
	l.countPods()
	for i := range s.Budgets {
		l.free[i] = l.planned[i] - l.base[i] - l.unfound[i] - l.held[i] - l.res[i]
		l.room[i] = l.low[i] - l.base[i] - l.unfound[i] - l.fixed[i] - l.res[i]
	}
	return l
}

func add(sums []Watts, at []int, w Watts) {
	for _, i := range at {
		sums[i] += w
	}
}

// countAgents enters every hold (L2, L3): an agent that fell silent counts what it may draw.
func (l *ledger) countAgents() {
	for i := range l.s.Agents {
		a := &l.s.Agents[i]
		l.agents[a.Pool] = append(l.agents[a.Pool], i)
		chain := l.chain(a.Budget)
		add(l.held, chain, a.Hold)
		add(l.leased, chain, a.Lease)
		for _, b := range chain {
			l.settle[b] = max(l.settle[b], a.Settle)
		}
	}
}

// countPools enters what of each pool's rated watts nobody accounts for (L4), and what of its mining no
// workload can take.
func (l *ledger) countPools() {
	for i := range l.s.Pools {
		p := &l.s.Pools[i]
		var found, floor, most, fixed Watts
		for _, n := range l.agents[p.Key] {
			a := &l.s.Agents[n]
			if !a.Heard || p.Observe {
				fixed += a.Hold
			} else {
				floor += a.Floor
				most += top(a)
			}
			found += a.Rated
		}
		unfound := max(0, p.Rated-found)
		chain := l.chain(p.Budget)
		add(l.unfound, chain, unfound)
		if !l.s.Now.Before(p.GraceUntil) {
			add(l.unfoundNow, chain, unfound)
		}
		if !p.Leaving {
			floor = max(floor, min(p.Floor, most))
		}
		add(l.fixed, chain, fixed+floor)
	}
}

// top is the watts at which an agent runs everything it can.
func top(a *Agent) Watts {
	if len(a.Curve) == 0 {
		return a.Floor
	}
	return max(a.Floor, a.Curve[len(a.Curve)-1].Watts)
}

func (l *ledger) limits() {
	for i := range l.b {
		if l.settle[i] == 0 {
			l.settle[i] = leastSettle
		}
		now := l.s.Now
		l.planned[i], _ = l.least(i, now, now.Add(l.settle[i]+shedSlack+leadIn))
		l.low[i], l.lowBy[i] = l.least(i, now, now.Add(horizon))
	}
}

// countPods enters every pod that draws or may draw (L6, L8).
func (l *ledger) countPods() {
	for i := range l.s.Workloads {
		w := &l.s.Workloads[i]
		for n := range w.Pods {
			p := &w.Pods[n]
			if p.Phase == Gated || (p.Phase == Releasing && !l.s.Now.Before(p.Until)) {
				continue
			}
			add(l.res, l.where(p), p.Watts)
			if p.Phase == Releasing {
				l.yields = append(l.yields, yield{workload: i, pod: n, priority: w.Priority})
			} else if p.Node == "" {
				l.rooms.take(p)
			}
		}
	}
	for i := range l.s.Strays {
		add(l.res, l.where(&l.s.Strays[i]), l.s.Strays[i].Watts)
	}
	sort.SliceStable(l.yields, func(a, b int) bool { return l.yields[a].priority < l.yields[b].priority })
}

// where is the budgets a drawing pod counts on: its node's where it is bound, else all it may reach (L8).
func (l *ledger) where(p *Pod) []int {
	if p.Node != "" {
		if budget, ok := l.rooms.budget[p.Node]; ok {
			return l.chain(budget)
		}
	}
	if p.Budget != "" {
		return l.reach(p.Budget)
	}
	return l.admits(p)
}

// admits is every budget whose nodes the pod's own selector allows; all of them where it can't be told.
func (l *ledger) admits(p *Pod) []int {
	mark := make([]bool, len(l.b))
	var found []int
	for i := range l.b {
		if !l.b[i].Feeds || clash(p.Selector, l.b[i].Pin) {
			continue
		}
		for _, a := range l.up[i] {
			if !mark[a] {
				mark[a] = true
				found = append(found, a)
			}
		}
	}
	if len(found) == 0 {
		return l.all()
	}
	return found
}

func clash(a, b map[string]string) bool {
	for k, v := range a {
		if w, ok := b[k]; ok && w != v {
			return true
		}
	}
	return false
}

// over is how much the ledger is over the planned limit of budget i, pools in their grace left out.
func (l *ledger) over(i int) Watts {
	return l.base[i] + l.unfoundNow[i] + l.held[i] + l.res[i] - l.planned[i]
}
