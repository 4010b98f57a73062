package chaos

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// books are the sums of one decision, computed from its facts by the rules as they are written down, and
// by none of the code that decides.
type books struct {
	s     *power.Site
	p     *power.Plan
	index map[string]int
	up    [][]int
	nodes map[string]string // budget of each
	// settle is the slowest shed under each budget; limit the least until that would be done (L1); planned
	// looks a little further, to where a shed is begun.
	settle         []time.Duration
	limit, planned []power.Watts
	// Sums over each subtree. reserved is what stands and stays, added what the plan lets in, raised what
	// its leases promise beyond what was held.
	base, held, unfound, unfoundNow, reserved, added, raised []power.Watts
	// leased is the plan's leases and aimed where they are heading; floors what their agents can't shed;
	// unleased the holds of agents that get no lease, and silent of those among them that say nothing.
	leased, aimed, floors, unleased, silent []power.Watts
	// lone is the floors and holds of agents whose pool is no more: nobody plans with them.
	lone   []power.Watts
	kept   map[string]*power.PodPlan // by UID
	agents map[string]*power.Agent
	pools  map[string]*power.Pool
	grain  power.Watts // what may be left as it is, not being worth a write
}

// booked are the slack of every shed and how long before its last moment it is begun.
const (
	shedSlack = 2 * time.Second
	leadIn    = 5 * time.Second
	leastShed = 5 * time.Second
)

// rounding is what sums of whole watts may be off for one agent.
const rounding = 8

func newBooks(s *power.Site, p *power.Plan) *books {
	n := len(s.Budgets)
	b := &books{
		s: s, p: p, index: make(map[string]int, n), up: make([][]int, n), nodes: make(map[string]string, len(s.Nodes)),
		settle: make([]time.Duration, n), kept: map[string]*power.PodPlan{}, agents: map[string]*power.Agent{}, pools: map[string]*power.Pool{},
	}
	sums := []*[]power.Watts{
		&b.limit, &b.planned, &b.base, &b.held, &b.unfound, &b.unfoundNow, &b.reserved, &b.added, &b.raised,
		&b.leased, &b.aimed, &b.floors, &b.unleased, &b.silent, &b.lone,
	}
	all := make([]power.Watts, n*len(sums))
	for k, sum := range sums {
		*sum = all[k*n : (k+1)*n : (k+1)*n]
	}
	for i := range s.Budgets {
		b.index[s.Budgets[i].Name] = i
	}
	for i := range s.Budgets {
		for at, ok := i, true; ok && len(b.up[i]) <= n; at, ok = b.parent(at) {
			b.up[i] = append(b.up[i], at)
		}
		charge(b.base, b.up[i], s.Budgets[i].Base)
	}
	for i := range s.Nodes {
		b.nodes[s.Nodes[i].Name] = s.Nodes[i].Budget
	}
	b.enterMining()
	for i := range b.limit {
		b.limit[i] = b.least(i, b.settle[i]+shedSlack)
		b.planned[i] = b.least(i, b.settle[i]+shedSlack+leadIn)
	}
	b.enterLeases()
	b.enterPods()
	return b
}

func (b *books) parent(i int) (int, bool) {
	at, ok := b.index[b.s.Budgets[i].Parent]
	return at, ok
}

func charge(sums []power.Watts, at []int, w power.Watts) {
	for _, i := range at {
		sums[i] += w
	}
}

// limitAt is one budget's limit at one time, less its margin.
func (b *books) limitAt(i int, when time.Time) power.Watts {
	is := &b.s.Budgets[i]
	limit, reduce := is.Limit, power.Watts(0)
	for c := range is.Cuts {
		cut := &is.Cuts[c]
		switch {
		case when.Before(cut.Start) || !when.Before(cut.End):
		case cut.Reduce > 0:
			reduce += cut.Reduce
		default:
			limit = min(limit, cut.Limit)
		}
	}
	limit = max(0, limit-reduce)
	return limit - limit*power.Watts(is.MarginPercent)/100
}

// least is the lowest limit of a budget from now on for so long.
func (b *books) least(i int, within time.Duration) power.Watts {
	low, end := b.limitAt(i, b.s.Now), b.s.Now.Add(within)
	for c := range b.s.Budgets[i].Cuts {
		if at := b.s.Budgets[i].Cuts[c].Start; at.After(b.s.Now) && !at.After(end) {
			low = min(low, b.limitAt(i, at))
		}
	}
	return low
}

// chain is the budgets that feed the named one, itself first; every root where nobody knows it.
func (b *books) chain(name string) []int {
	if i, ok := b.index[name]; ok {
		return b.up[i]
	}
	var roots []int
	for i := range b.up {
		if len(b.up[i]) == 1 {
			roots = append(roots, i)
		}
	}
	return roots
}

// reach is every budget that a pod may draw from while it is pinned to the named one and bound to no node.
func (b *books) reach(name string) []int {
	top, ok := b.index[name]
	out := slices.Clone(b.chain(name))
	for i := range b.up {
		if !ok || !b.s.Budgets[i].Feeds {
			continue
		}
		if n := slices.Index(b.up[i], top); n >= 0 {
			for _, below := range b.up[i][:n] {
				if !slices.Contains(out, below) {
					out = append(out, below)
				}
			}
		}
	}
	return out
}

// where is the budgets that a pod counts on (L8).
func (b *books) where(p *power.Pod) []int {
	if at, ok := b.nodes[p.Node]; ok && p.Node != "" {
		return b.chain(at)
	}
	if p.Budget != "" {
		return b.reach(p.Budget)
	}
	var out []int
	for i := range b.up {
		if b.s.Budgets[i].Feeds {
			for _, at := range b.up[i] {
				if !slices.Contains(out, at) {
					out = append(out, at)
				}
			}
		}
	}
	return out
}

// enterMining enters holds, and what of the pools' rated watts nobody accounts for (L2 to L4).
func (b *books) enterMining() {
	for i := range b.s.Pools {
		b.pools[b.s.Pools[i].Key] = &b.s.Pools[i]
	}
	found := map[string]power.Watts{}
	for i := range b.s.Agents {
		a := &b.s.Agents[i]
		b.agents[a.Key] = a
		found[a.Pool] += max(a.Rated, a.Hold)
		b.grain += max(1, a.Rated/200)
		chain := b.chain(a.Budget)
		charge(b.held, chain, a.Hold)
		for _, at := range chain {
			b.settle[at] = max(b.settle[at], a.Settle)
		}
		pool := b.pools[a.Pool]
		if pool == nil {
			charge(b.lone, chain, max(a.Hold, a.Floor))
		}
		switch {
		case !a.Heard:
			charge(b.unleased, chain, a.Hold)
			charge(b.silent, chain, a.Hold)
		case pool != nil && pool.Observe:
			charge(b.unleased, chain, a.Hold)
		default:
			charge(b.floors, chain, a.Floor)
		}
	}
	for i := range b.settle {
		if b.settle[i] == 0 {
			b.settle[i] = leastShed
		}
	}
	for i := range b.s.Pools {
		p := &b.s.Pools[i]
		unfound := max(0, p.Rated-found[p.Key])
		charge(b.unfound, b.chain(p.Budget), unfound)
		if !b.s.Now.Before(p.GraceUntil) {
			charge(b.unfoundNow, b.chain(p.Budget), unfound)
		}
	}
}

func (b *books) enterLeases() {
	for i := range b.p.Leases {
		l := &b.p.Leases[i]
		if a := b.agents[l.Agent]; a != nil {
			chain := b.chain(a.Budget)
			charge(b.leased, chain, l.Watts)
			charge(b.aimed, chain, l.Target)
			if by := l.Watts - a.Hold; by > rounding {
				charge(b.raised, chain, by)
			}
		}
	}
}

// enterPods enters what drawing pods, and ended ones whose watts are kept, hold (L6, L8), and what is new.
func (b *books) enterPods() {
	for i := range b.p.Workloads {
		for n := range b.p.Workloads[i].Pods {
			pod := &b.p.Workloads[i].Pods[n]
			b.kept[pod.UID] = pod
			if pod.New {
				charge(b.added, b.reach(pod.Budget), pod.Watts)
			}
		}
	}
	for i := range b.s.Workloads {
		for n := range b.s.Workloads[i].Pods {
			pod := &b.s.Workloads[i].Pods[n]
			if b.stands(pod) {
				charge(b.reserved, b.where(pod), pod.Watts)
			}
		}
	}
	for i := range b.s.Strays {
		charge(b.reserved, b.where(&b.s.Strays[i]), b.s.Strays[i].Watts)
	}
}

// stands tells whether a pod holds watts beside what the plan lets in.
func (b *books) stands(pod *power.Pod) bool {
	kept := b.kept[pod.UID] != nil
	return pod.Phase == power.Reserved || pod.Phase == power.Admitted || pod.Phase == power.Releasing && kept
}

// used is what counts against a budget before anything is raised or let in.
func (b *books) used(i int) power.Watts { return b.base[i] + b.unfound[i] + b.held[i] + b.reserved[i] }
