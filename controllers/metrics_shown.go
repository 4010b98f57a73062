package controllers

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/metric"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// gauges show the newest pass. Their series are made when somebody asks, since passes are far more frequent.
type gauges struct {
	newest atomic.Pointer[shownPass]
	leads  atomic.Pointer[func() bool] // the fence of L7
	certs  expiries
}

var exported = &gauges{}

// shownPass is what is shown of one pass. It holds on to what the pass made anyway; only what needs the pass
// before, or all pods, is reckoned in the pass.
type shownPass struct {
	at, readAt time.Time
	epoch      uint64
	tree       []power.Budget
	budgets    []power.BudgetPlan
	pools      []power.Pool
	agents     []agentView
	cuts       []powerv1.CurtailmentEvent
	draw       map[string]power.Watts
	running    map[string]power.Watts // AI pods let in, by the budget they are on
	waits      map[waitKey]wait
	reserved   int                // pods
	over       map[string]float64 // seconds
	planned    float64            // TH/s
	bound      float64
}

// waitKey is by what waiting pods are told apart: as many series as namespaces times reasons at most.
type waitKey struct{ namespace, reason string }

// wait is how many pods wait, and since when the first does.
type wait struct {
	pods  int
	since time.Time
}

// show makes one pass what is shown.
func (r *SiteReconciler) show(s *snapshot, p power.Plan) {
	next := &shownPass{
		at: s.now, readAt: r.readAt, epoch: r.epoch, tree: s.site.Budgets, budgets: p.Budgets, pools: s.site.Pools, agents: s.agents, cuts: s.cuts,
		draw: r.board.draws(), planned: p.THs, bound: p.BoundTHs,
		running: map[string]power.Watts{}, waits: map[waitKey]wait{},
	}
	for i := range s.workloads {
		next.count(&s.workloads[i], &p.Workloads[i])
	}
	next.overSince(exported.newest.Load())
	exported.newest.Store(next)
}

// count enters one workload's pods.
func (n *shownPass) count(w *workloadFacts, p *power.WorkloadPlan) {
	n.reserved += len(p.Pods)
	first, at, running := time.Time{}, "", power.Watts(0)
	for i := range w.power.Pods {
		switch pod := &w.power.Pods[i]; {
		case pod.Phase == power.Admitted:
			if pod.Budget != at { // most of a workload's pods are on one budget
				n.running[at] += running
				at, running = pod.Budget, 0
			}
			running += pod.Watts
		case pod.Phase == power.Gated && (first.IsZero() || pod.Created.Before(first)):
			first = pod.Created
		}
	}
	n.running[at] += running
	if p.Waiting > 0 {
		n.wait(w, p, first)
	}
}

// wait enters the pods of a workload that wait, the first since so long.
func (n *shownPass) wait(w *workloadFacts, p *power.WorkloadPlan, first time.Time) {
	key := waitKey{w.object.Namespace, string(p.Reason)}
	sum := n.waits[key]
	sum.pods += p.Waiting
	if !first.IsZero() && (sum.since.IsZero() || first.Before(sum.since)) {
		sum.since = first
	}
	n.waits[key] = sum
}

// overSince counts the time over the limit: what was so at the pass before is taken to have been so until now.
// Another leader's passes are not this one's.
func (n *shownPass) overSince(before *shownPass) {
	n.over = make(map[string]float64, len(n.budgets))
	for i := range n.budgets {
		n.over[n.budgets[i].Name] = 0
	}
	if before == nil || before.epoch != n.epoch {
		return
	}
	for i := range before.budgets {
		b := &before.budgets[i]
		seconds := before.over[b.Name]
		if before.draw[b.Name] > b.Limit {
			seconds += max(0, n.at.Sub(before.at).Seconds())
		}
		if _, there := n.over[b.Name]; there {
			n.over[b.Name] = seconds
		}
	}
}

// Describe is of prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) { table.Describe(out) }

// Collect is of prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	leads := g.leads.Load()
	if leads == nil || !(*leads)() {
		out <- leading.At(0)
		return // another leads: what this process decided long ago is nobody's business
	}
	out <- leading.At(1)
	g.certs.collect(out)
	p := g.newest.Load()
	if p == nil {
		return
	}
	p.collectBudgets(out)
	p.collectAgents(out)
	p.collectPods(out)
	out <- epochNumber.At(float64(p.epoch))
	out <- lastPass.At(unix(p.at))
	out <- lastRead.At(unix(p.readAt))
	p.collectDispatch(out)
	p.collectCuts(out)
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (n *shownPass) collectBudgets(out chan<- prometheus.Metric) {
	headroom := map[string]power.Watts{}
	for i := range n.tree {
		headroom[n.tree[i].Name] = n.tree[i].Headroom
	}
	mining := upTree(n.tree, func(add func(string, power.Watts)) {
		for i := range n.agents {
			add(n.agents[i].agent.Budget, n.agents[i].drawn())
		}
	})
	volatile := upTree(n.tree, func(add func(string, power.Watts)) {
		for i := range n.agents {
			add(n.agents[i].agent.Budget, power.Watts(n.agents[i].report.Volatile))
		}
	})
	running := upTree(n.tree, func(add func(string, power.Watts)) {
		for budget, w := range n.running {
			add(budget, w)
		}
	})
	for i := range n.budgets {
		b := &n.budgets[i]
		for _, v := range []struct {
			of    *metric.Definition
			watts power.Watts
		}{
			{budgetLimit, b.Limit}, {budgetPlanned, b.Planned}, {budgetDraw, n.draw[b.Name]}, {budgetBase, b.Base},
			{budgetMining, mining[b.Name]}, {budgetWorkload, running[b.Name]}, {budgetReserved, b.Reserved},
			{budgetHeadroom, headroom[b.Name]}, {budgetHeld, b.Held}, {budgetLeased, b.Leased}, {budgetUnfound, b.Unfound},
			{budgetVolatile, volatile[b.Name]}, {budgetDemand, b.Demand}, {budgetFree, b.Free}, {budgetAvailable, b.Available},
			{budgetOver, b.Over}, {budgetShort, b.Short},
		} {
			out <- v.of.At(float64(v.watts), b.Name)
		}
		out <- budgetOverSeconds.At(n.over[b.Name], b.Name)
	}
}

func (n *shownPass) collectAgents(out chan<- prometheus.Metric) {
	devices, agents := map[[2]string]int{}, map[[2]string]int{}
	for i := range n.agents {
		v := &n.agents[i]
		a, c := &v.agent, v.report.Counts
		heard := 0.0
		if a.Heard {
			heard = 1
		}
		for _, series := range []prometheus.Metric{
			agentHeard.At(heard, a.Pool, a.Key), agentLease.At(float64(a.Lease), a.Pool, a.Key), agentHeld.At(float64(a.Hold), a.Pool, a.Key),
			agentBound.At(float64(a.Bound), a.Pool, a.Key), agentDraw.At(float64(v.report.Draw), a.Pool, a.Key),
			agentFloor.At(float64(a.Floor), a.Pool, a.Key), agentRated.At(float64(a.Rated), a.Pool, a.Key),
		} {
			out <- series
		}
		agents[[2]string{a.Pool, v.state()}]++
		for state, count := range map[string]int{"Hashing": c.Hashing, "Sleeping": c.Sleeping, "Unreachable": c.Unreachable, "Stuck": c.Stuck} {
			devices[[2]string{a.Pool, state}] += count
		}
	}
	for i := range n.pools {
		p := &n.pools[i]
		out <- poolRated.At(float64(p.Rated), p.Key)
		for _, state := range []string{"Hashing", "Sleeping", "Unreachable", "Stuck"} {
			out <- poolDevices.At(float64(devices[[2]string{p.Key, state}]), p.Key, state)
		}
		for _, state := range []string{"Heard", "Unheard", "Refused", "Quarantined"} {
			out <- poolAgents.At(float64(agents[[2]string{p.Key, state}]), p.Key, state)
		}
	}
}

// state is how an agent is heard, the most serious first.
func (v *agentView) state() string {
	switch {
	case v.quarantine != "":
		return "Quarantined"
	case v.agent.Heard:
		return "Heard"
	case v.refused != "":
		return "Refused"
	}
	return "Unheard"
}

func (n *shownPass) collectPods(out chan<- prometheus.Metric) {
	for at, w := range n.waits {
		out <- waitingPods.At(float64(w.pods), at.namespace, at.reason)
		if !w.since.IsZero() {
			out <- longestWait.At(max(0, n.at.Sub(w.since).Seconds()), at.namespace, at.reason)
		}
	}
	out <- reservedPods.At(float64(n.reserved))
}

func (n *shownPass) collectDispatch(out chan<- prometheus.Metric) {
	const tera = 1e12
	out <- dispatchPlanned.At(n.planned * tera)
	out <- dispatchBound.At(n.bound * tera)
	gap := 0.0
	if n.bound > 0 {
		gap = max(0, 1-n.planned/n.bound)
	}
	out <- dispatchGap.At(gap)
}

func (n *shownPass) collectCuts(out chan<- prometheus.Metric) {
	counts := map[[3]string]int{}
	for i := range n.cuts {
		c := &n.cuts[i]
		counts[[3]string{c.Spec.Budget, string(c.Status.State), conditionOf(c.Status.Conditions, powerv1.ConditionMet).Reason}]++
	}
	for at, count := range counts {
		out <- curtailments.At(float64(count), at[:]...)
	}
}

// expiries is when certificates end, by what they are for.
type expiries struct {
	mu sync.Mutex
	at map[[2]string]time.Time // certificate and pool
}

func (e *expiries) set(certificate, pool string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == nil {
		e.at = map[[2]string]time.Time{}
	}
	e.at[[2]string{certificate, pool}] = at
}

// forget leaves out a pool that is gone.
func (e *expiries) forget(pool types.NamespacedName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.at, func(at [2]string, _ time.Time) bool { return at[1] == pool.String() })
}

func (e *expiries) collect(out chan<- prometheus.Metric) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for at, ends := range e.at {
		out <- certificateExpiry.At(unix(ends), at[0], at[1])
	}
}
