package power

import (
	"math"
	"slices"
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
	// horizon is how far ahead coming curtailments bar work that must not be interrupted (liveness e).
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

	// Sums over each subtree. unfoundNow leaves out pools still in their grace (L4, liveness a).
	base, unfound, unfoundNow, held, leased, res []Watts
	// stays is mining that no shed can take: floors, and the holds of observed pools and of agents that are
	// not heard, which silent is alone. fixed is what pods can't take: stays, and floorWatts.
	stays, silent, fixed []Watts
	// delayed is what of res is kept for nobody in particular, until the release delay of ended pods is over.
	delayed []Watts
	// demand is what feasible waiting pods need: mining makes room for it.
	demand []Watts
	// kept is kept free for the next pods: standby and headroom. yielding is demand that no standby has
	// yielded to yet, and counted the demand looked at for that.
	kept, yielding, counted []Watts
	// newest is when the newest pod of each subtree was made.
	newest []time.Time

	// alone is what would be left for a workload within the horizon if it were the only one: nothing ever
	// where the budget is halted.
	alone []Watts
	// free is what the ledger has now, room what firm load leaves within the horizon; both shrink as
	// workloads are considered in their order.
	free, room []Watts
	// pace is how much leases may still rise now, falls when each limit will be below planned; zero is never.
	pace  []Watts
	falls []time.Time

	agents  []agent
	members [][]int         // agents of each pool
	tops    map[int][]Watts // what above has found
	gains   map[rank]gain   // what gain has found
	// evictables is what evictableBelow has found.
	evictables map[int]map[time.Duration][]Watts
	// said is what each budget alone said to what hear was asked last, heard the worst of what each draws from,
	// and moved the budgets that may say something else by now.
	asked       question
	said, heard []verdict
	moved       []int
	rooms       *rooms
	// notice is noticeOf each workload that may be evicted.
	notice map[*Workload]time.Duration
	// ended are the ended pods whose watts may be let go, yields the order in which they are.
	ended  map[*Pod]*yield
	yields []*yield
	// evictions are the plan's, waits the reserved pods whose gates stay on in place of more of them.
	evictions []Eviction
	waits     map[*Pod]bool
}

// agent is one of the site's, with the budgets that feed it and its pool; -1 where that is unknown.
type agent struct {
	*Agent
	chain []int
	pool  int
	// leasable says that a lease can be given: it is heard, and not only observed.
	leasable bool
}

func newLedger(s *Site) *ledger {
	n := len(s.Budgets)
	l := &ledger{
		tree: newTree(s.Budgets), s: s,
		settle: make([]time.Duration, n), lowBy: make([]int, n),
		newest: make([]time.Time, n), falls: make([]time.Time, n), agents: make([]agent, len(s.Agents)), members: make([][]int, len(s.Pools)),
		tops: map[int][]Watts{}, gains: map[rank]gain{}, evictables: map[int]map[time.Duration][]Watts{}, said: make([]verdict, n),
		heard: make([]verdict, n), ended: map[*Pod]*yield{}, waits: map[*Pod]bool{},
	}
	parts := []*[]Watts{
		&l.planned, &l.low, &l.base, &l.unfound, &l.unfoundNow, &l.held, &l.leased, &l.res,
		&l.stays, &l.silent, &l.fixed, &l.delayed, &l.demand, &l.kept, &l.yielding, &l.counted, &l.alone, &l.free, &l.room,
	}
	sums := make([]Watts, len(parts)*n)
	for _, part := range parts {
		*part, sums = sums[:n:n], sums[n:]
	}
	l.notice = noticesOf(s)
	for i := range s.Budgets {
		add(l.base, l.up[i], s.Budgets[i].Base)
	}
	l.countAgents()
	l.countPools()
	l.limits()
	l.moved = slices.Clone(l.all)
	l.rooms = newRooms(s, l.index)
	l.countPods()
	for i := range s.Budgets {
		l.alone[i] = l.low[i] - l.base[i] - l.unfoundNow[i] - l.fixed[i] + l.silent[i]
		if l.b[i].Halted != "" {
			l.alone[i] = math.MinInt64 / 2
		}
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
	pools := make(map[string]int, len(l.s.Pools))
	for i := range l.s.Pools {
		pools[l.s.Pools[i].Key] = i
	}
	for i := range l.s.Agents {
		chain := l.chain(l.s.Agents[i].Budget)
		a := agent{Agent: &l.s.Agents[i], chain: chain, pool: -1}
		a.leasable = a.Heard
		if p, ok := pools[a.Pool]; ok {
			a.pool, l.members[p] = p, append(l.members[p], i)
			a.leasable = a.Heard && !l.s.Pools[p].Observe
		}
		l.agents[i] = a
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
		var found, floor, most, observed, silent Watts
		for _, n := range l.members[i] {
			a := l.agents[n].Agent
			switch {
			case !a.Heard:
				silent += a.Hold
			case p.Observe:
				observed += a.Hold
			default:
				floor += a.Floor
				most += top(a)
			}
			// A run that has said nothing yet is counted by its hold (L3): those watts are not unfound too.
			found += max(a.Rated, a.Hold)
		}
		unfound := max(0, p.Rated-found)
		chain := l.chain(p.Budget)
		add(l.unfound, chain, unfound)
		if !l.s.Now.Before(p.GraceUntil) {
			add(l.unfoundNow, chain, unfound)
		}
		add(l.silent, chain, silent)
		add(l.stays, chain, silent+observed+floor)
		if !p.Leaving {
			floor = max(floor, min(p.Floor, most))
		}
		add(l.fixed, chain, silent+observed+floor)
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
		l.countEnded(w)
		for n := range w.Pods {
			p := &w.Pods[n]
			if p.Phase != Reserved && p.Phase != Admitted {
				continue
			}
			at := l.where(p)
			add(l.res, at, p.Watts)
			l.note(p, at)
			if budget, ok := l.index[p.Budget]; ok && p.Node == "" {
				l.rooms.place(budget, []guest{{p, l.kind(p)}})
			}
		}
	}
	for i := range l.s.Strays {
		add(l.res, l.where(&l.s.Strays[i]), l.s.Strays[i].Watts)
	}
	l.sortYields()
}

// where is the budgets a drawing pod counts on: its node's where it is bound, else all it may reach (L8).
func (l *ledger) where(p *Pod) []int {
	if budget, ok := l.rooms.budget[p.Node]; ok && p.Node != "" {
		if budget < 0 {
			return l.root
		}
		return l.up[budget]
	}
	if p.Budget == "" {
		return l.admits(p)
	}
	if budget, ok := l.index[p.Budget]; ok {
		return l.reach[budget]
	}
	return l.all
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
		return l.all
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

// barred tells whether nothing may be raised or admitted in some budget of the chain: it is halted, or the
// ledger is over its limit there, watts not found yet included (L1, L4).
func (l *ledger) barred(chain []int) bool {
	for _, i := range chain {
		if l.b[i].Halted != "" || l.base[i]+l.unfound[i]+l.held[i]+l.res[i] > l.planned[i] {
			return true
		}
	}
	return false
}

// over is how much the ledger is over the planned limit of budget i, pools in their grace left out.
func (l *ledger) over(i int) Watts {
	return l.base[i] + l.unfoundNow[i] + l.held[i] + l.res[i] - l.planned[i]
}
