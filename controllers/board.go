package controllers

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// board is what the site's decision tells the controllers that write status: they read it, nobody writes
// back. Each kind is woken only when something that its status shows has changed.
type board struct {
	mu      sync.Mutex
	budgets map[string]power.BudgetPlan
	pools   map[types.NamespacedName]poolFacts
	draw    map[string]power.Watts

	budgetEvents chan event.GenericEvent
	poolEvents   chan event.GenericEvent
}

// poolFacts is what one pool's agents say and were given.
type poolFacts struct {
	known   bool // the site has been decided since this process leads
	agents  int  // that report under this leader
	unheard []string
	pods    []types.UID // of its agents, as they were met
	// quarantined talk nonsense; what answers for the refused is not they. Each with the reason.
	quarantined, refused []string
	counts               lease.Counts
	leased               power.Watts
	target               power.Watts
	most                 power.Watts // what it could draw
	rated                power.Watts // of the devices found
	unfound              power.Watts
	grace                time.Time
	trouble              []lease.Trouble
	limit                power.BudgetPlan // of its budget
	priors               map[string]map[string]string
	// behind are the agents that have yet to take up earlier edits of addresses, where the newest waits for them.
	waits  bool
	behind []string
	// inForce is the generation of its spec by which agents are told what to mind; 0 where they have yet to be.
	inForce int64
	surplus surplus
}

const boardBuffer = 4096

func newBoard() *board {
	return &board{
		budgets: map[string]power.BudgetPlan{}, pools: map[types.NamespacedName]poolFacts{}, draw: map[string]power.Watts{},
		budgetEvents: make(chan event.GenericEvent, boardBuffer),
		poolEvents:   make(chan event.GenericEvent, boardBuffer),
	}
}

func (b *board) budget(name string) (power.BudgetPlan, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.budgets[name]
	return p, ok
}

func (b *board) pool(key types.NamespacedName) poolFacts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pools[key]
}

// drawn is what a budget draws now as far as readings tell: base load, readings, and AI pods at their
// reservations.
func (b *board) drawn(name string) power.Watts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.draw[name]
}

// draws is what every budget draws now; nobody writes to it any more.
func (b *board) draws() map[string]power.Watts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.draw
}

// publish takes over what one pass decided and wakes who shows it.
func (b *board) publish(s *snapshot, p power.Plan, priors map[string]map[string]string, stay map[types.NamespacedName]surplus) {
	pools := poolBoard(s, p, priors)
	for i := range s.pools {
		key := client.ObjectKeyFromObject(&s.pools[i])
		facts := pools[key]
		facts.inForce, facts.surplus = s.inForce[key], stay[key]
		pools[key] = facts
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, plan := range p.Budgets {
		if shown(b.budgets[plan.Name]) != shown(plan) {
			wakeUp(b.budgetEvents, &powerv1.PowerBudget{}, types.NamespacedName{Name: plan.Name})
		}
		b.budgets[plan.Name] = plan
	}
	for key, facts := range pools {
		if !reflect.DeepEqual(b.pools[key], facts) {
			wakeUp(b.poolEvents, &powerv1.MinerPool{}, key)
		}
	}
	b.pools = pools
	b.draw = drawOf(s, p)
}

// shown is the part of a budget's plan that its status shows.
func shown(p power.BudgetPlan) power.BudgetPlan {
	p.Held, p.Free, p.Mining, p.Planned, p.Demand = 0, 0, 0, 0, 0
	p.Over = min(p.Over, 1)
	return p
}

func wakeUp(events chan event.GenericEvent, o client.Object, key types.NamespacedName) {
	o.SetNamespace(key.Namespace)
	o.SetName(key.Name)
	select {
	case events <- event.GenericEvent{Object: o}:
	default: // a full buffer means that the kind is awake
	}
}

func poolBoard(s *snapshot, p power.Plan, priors map[string]map[string]string) map[types.NamespacedName]poolFacts {
	plans := map[string]power.LeasePlan{}
	for _, l := range p.Leases {
		plans[l.Agent] = l
	}
	limits := map[string]power.BudgetPlan{}
	for _, b := range p.Budgets {
		limits[b.Name] = shown(b)
	}
	out := map[types.NamespacedName]poolFacts{}
	for i := range s.pools {
		facts := poolFacts{known: true, priors: map[string]map[string]string{}, limit: limits[s.pools[i].Spec.Budget], waits: s.waits(&s.pools[i])}
		for n := range s.agents {
			if a := &s.agents[n]; a.pool == client.ObjectKeyFromObject(&s.pools[i]) {
				facts.add(a, plans[a.key], priors[a.key])
			}
		}
		key := client.ObjectKeyFromObject(&s.pools[i])
		if n := slices.IndexFunc(s.site.Pools, func(p power.Pool) bool { return p.Key == key.String() }); n >= 0 {
			facts.unfound = max(0, s.site.Pools[n].Rated-facts.rated)
			facts.grace = s.site.Pools[n].GraceUntil
		}
		out[key] = facts
	}
	return out
}

func (f *poolFacts) add(a *agentView, plan power.LeasePlan, priors map[string]string) {
	if a.podUID != "" {
		f.pods = append(f.pods, a.podUID)
	}
	switch {
	case a.quarantine != "":
		f.quarantined = append(f.quarantined, a.key+" ("+a.quarantine+")")
	case !a.agent.Heard && a.refused != "":
		f.refused = append(f.refused, a.key+" ("+a.refused+")")
	case !a.agent.Heard:
		f.unheard = append(f.unheard, a.key)
	default:
		f.agents++
	}
	if f.waits && a.behind {
		f.behind = append(f.behind, a.key)
	}
	c := a.report.Counts
	f.counts.Total += c.Total
	f.counts.Hashing += c.Hashing
	f.counts.Sleeping += c.Sleeping
	f.counts.Unreachable += c.Unreachable
	f.counts.Stuck += c.Stuck
	f.rated += a.agent.Rated
	f.leased += plan.Watts
	f.target += plan.Target
	if n := len(a.agent.Curve); n > 0 {
		f.most += a.agent.Curve[n-1].Watts
	}
	f.trouble = append(f.trouble, a.report.Troubles...)
	if len(priors) > 0 {
		f.priors[a.key] = priors
	}
}

// drawOf sums what is drawn now up the tree.
func drawOf(s *snapshot, p power.Plan) map[string]power.Watts {
	draw := upTree(s.site.Budgets, func(add func(string, power.Watts)) {
		for i := range s.agents {
			add(s.agents[i].agent.Budget, s.agents[i].drawn())
		}
	})
	for _, b := range p.Budgets {
		draw[b.Name] += b.Base + b.Reserved
	}
	return draw
}

// drawn is what an agent's devices draw: by its report, and where it is not heard what is held for it.
func (v *agentView) drawn() power.Watts {
	if v.agent.Heard {
		return power.Watts(v.report.Draw)
	}
	return v.agent.Hold
}

// upTree sums what each is added to a budget on that one and on all above it.
func upTree(tree []power.Budget, each func(add func(budget string, w power.Watts))) map[string]power.Watts {
	parent := make(map[string]string, len(tree))
	sums := make(map[string]power.Watts, len(tree))
	for i := range tree {
		parent[tree[i].Name], sums[tree[i].Name] = tree[i].Parent, 0
	}
	each(func(at string, w power.Watts) {
		for range len(parent) + 1 {
			if _, ok := sums[at]; !ok {
				return
			}
			sums[at] += w
			at = parent[at]
		}
	})
	return sums
}
