package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// snapshot is everything that one pass knows. After it is taken nothing reads the API.
type snapshot struct {
	*lists
	// stale is why lists are those of an earlier pass; nil where they are not.
	stale     error
	now       time.Time
	site      power.Site
	workloads []workloadFacts // as site.Workloads
	peers     []peer
	agents    []agentView
	splits    splits // the reconciler's
	resplit   []resplit
	inForce   map[types.NamespacedName]int64 // generation of pools whose newest edit agents are told by
	valid     map[types.NamespacedName]bool  // pools whose addresses could be read, now or once
	asked     map[string]bool                // nodes to be heard once the leases are out
}

// lists are the objects of one reading of the caches: shared with them, read only.
type lists struct {
	budgets  []powerv1.PowerBudget
	pools    []powerv1.MinerPool
	claims   []powerv1.GPUWorkload
	cuts     []powerv1.CurtailmentEvent
	nodes    []corev1.Node
	pods     []*corev1.Pod
	podByUID map[types.UID]*corev1.Pod
	ordered  map[types.UID]bool // StatefulSets with podManagementPolicy OrderedReady
	poolOf   setOwners
}

// readTimeout bounds the reading of the caches. They wait for writes in flight to come back, and a hung
// API server must not stop leases.
const readTimeout = 2 * time.Second

// snapshot reads the caches and the agents' newest reports into one Site.
func (r *SiteReconciler) snapshot(ctx context.Context) (*snapshot, error) {
	s := &snapshot{now: r.Clock(), splits: r.splits, valid: map[types.NamespacedName]bool{}, asked: map[string]bool{}}
	var err error
	switch s.lists, err = r.readAll(ctx); {
	case err == nil:
		r.last, r.readAt = s.lists, s.now
	case r.last == nil:
		return nil, err
	default:
		s.lists, s.stale = r.last, err
	}
	s.site.Now = s.now
	s.site.Budgets = budgetsOf(s.budgets, s.cuts, s.nodes)
	if s.now.Before(r.hush) {
		for i := range s.site.Budgets {
			s.site.Budgets[i].Halted = "the API server's store went back in time; the ledger is renewed first"
		}
	}
	s.site.Nodes = nodesOf(r.Table, s.site.Budgets, s.nodes, s.pods)
	s.poolsOf(r.links, r.priors)
	for i := range s.agents {
		if a := &s.agents[i]; len(a.report.PriorSettings) > 0 {
			r.priors[a.key] = a.report.PriorSettings
		}
	}
	if err := r.workloadsOf(ctx, s); err != nil {
		return nil, err
	}
	s.refusals()
	return s, nil
}

func (r *SiteReconciler) readAll(ctx context.Context) (*lists, error) {
	ctx, cancel := r.timeout.of(ctx, readTimeout)
	defer cancel()
	// What this controller wrote it has to see again: reservations and gates. For what others of this process
	// wrote, such as the status of a budget, no hand-over waits.
	own := []client.ListOption{client.UnsafeDisableDeepCopyOption(true)}
	others := []client.ListOption{own[0], client.DisableReadYourWritesConsistency}
	var (
		budgets powerv1.PowerBudgetList
		pools   powerv1.MinerPoolList
		claims  powerv1.GPUWorkloadList
		cuts    powerv1.CurtailmentEventList
		nodes   corev1.NodeList
		pods    corev1.PodList
		sets    appsv1.StatefulSetList
	)
	for _, read := range []struct {
		what string
		list client.ObjectList
		by   []client.ListOption
	}{
		{"power budgets", &budgets, others}, {"miner pools", &pools, others}, {"GPU workloads", &claims, own},
		{"curtailment events", &cuts, others}, {"nodes", &nodes, others}, {"pods", &pods, own},
		{"stateful sets", &sets, others},
	} {
		if err := r.List(ctx, read.list, read.by...); err != nil {
			return nil, fmt.Errorf("listing %s: %w", read.what, err)
		}
	}
	s := &lists{
		budgets: budgets.Items, pools: pools.Items, claims: claims.Items, cuts: cuts.Items, nodes: nodes.Items,
		pods: make([]*corev1.Pod, len(pods.Items)), podByUID: map[types.UID]*corev1.Pod{}, ordered: map[types.UID]bool{}, poolOf: ownersOf(sets.Items),
	}
	sort.Slice(s.budgets, func(a, b int) bool { return s.budgets[a].Name < s.budgets[b].Name })
	for i := range pods.Items {
		s.pods[i] = &pods.Items[i]
		s.podByUID[s.pods[i].UID] = s.pods[i]
	}
	slices.SortFunc(s.pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for i := range sets.Items {
		set := &sets.Items[i]
		s.ordered[set.UID] = set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
	}
	return s, nil
}

// budgetsOf turns specs into the decision's budgets. What is wrong with a budget halts it: nothing is
// raised or admitted there, and sheds go on.
func budgetsOf(budgets []powerv1.PowerBudget, cuts []powerv1.CurtailmentEvent, nodes []corev1.Node) []power.Budget {
	byName := map[string]*powerv1.PowerBudget{}
	selects := false
	for i := range budgets {
		byName[budgets[i].Name] = &budgets[i]
		selects = selects || len(budgets[i].Spec.NodeSelector) > 0
	}
	pins := pinsOf(byName)
	doubles := doublesOf(byName, pins, nodes)
	out := make([]power.Budget, len(budgets))
	for i := range budgets {
		b := &budgets[i]
		fault, message := budgetFault(byName, doubles, b)
		out[i] = power.Budget{
			Name: b.Name, Parent: b.Spec.Parent, Limit: power.Watts(b.Spec.LimitWatts.Value()),
			MarginPercent: int(powerv1.Or(b.Spec.MarginPercent, powerv1.DefaultMarginPercent)),
			LeaseTTL:      time.Duration(powerv1.OrZero(b.Spec.LeaseSeconds, powerv1.DefaultLeaseSeconds)) * time.Second,
			Evict:         b.Spec.OnShortfall == powerv1.ShortfallEvictInterruptible,
			Feeds:         len(b.Spec.NodeSelector) > 0 || (!selects && b.Spec.Parent == ""),
			Pin:           pins[b.Name],
		}
		if b.Spec.BaseLoadWatts != nil {
			out[i].Base = power.Watts(b.Spec.BaseLoadWatts.Value())
		}
		if b.Spec.HeadroomWatts != nil {
			out[i].Headroom = power.Watts(b.Spec.HeadroomWatts.Value())
		}
		if fault != "" {
			out[i].Halted = message
		}
		if b.DeletionTimestamp != nil {
			out[i].Halted = "it is being deleted"
		}
		out[i].Cuts = cutsOf(cuts, b.Name)
	}
	return out
}

func cutsOf(cuts []powerv1.CurtailmentEvent, budget string) []power.Cut {
	var out []power.Cut
	for i := range cuts {
		c := &cuts[i]
		if c.Spec.Budget != budget {
			continue
		}
		cut := power.Cut{Name: c.Name, Start: c.Spec.Start.Time, End: c.Spec.End.Time}
		if c.Spec.LimitWatts != nil {
			cut.Limit = power.Watts(c.Spec.LimitWatts.Value())
		}
		if c.Spec.ReduceByWatts != nil {
			if cut.Reduce = power.Watts(c.Spec.ReduceByWatts.Value()); cut.Reduce == 0 {
				continue // nothing is asked
			}
		}
		out = append(out, cut)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Name < out[b].Name })
	return out
}

// pinsOf is every budget's pin.
func pinsOf(byName map[string]*powerv1.PowerBudget) map[string]map[string]string {
	pins := make(map[string]map[string]string, len(byName))
	for name, b := range byName {
		pins[name] = pinOf(byName, b)
	}
	return pins
}

// pinOf is the node selector that keeps a pod on a budget's nodes: its own and those above.
func pinOf(byName map[string]*powerv1.PowerBudget, b *powerv1.PowerBudget) map[string]string {
	pin := map[string]string{}
	for n := 0; b != nil && n <= len(byName); n++ {
		for k, v := range b.Spec.NodeSelector {
			if _, own := pin[k]; !own {
				pin[k] = v
			}
		}
		b = byName[b.Spec.Parent]
	}
	return pin
}

// nodesOf finds each accelerator node's budget, the deepest whose selector it matches, and what is free
// on it after the pods that are bound there.
func nodesOf(table *gate.Table, budgets []power.Budget, nodes []corev1.Node, pods []*corev1.Pod) []power.Node {
	index := map[string]int{}
	var out []power.Node
	for i := range nodes {
		n := &nodes[i]
		free := map[string]int64{}
		for name, q := range n.Status.Allocatable {
			if table.Covers(name) {
				free[string(name)] = q.Value()
			}
		}
		index[n.Name] = len(out)
		out = append(out, power.Node{
			Name: n.Name, Labels: n.Labels, Free: free, Open: !n.Spec.Unschedulable && nodeReady(n),
			Budget: feeder(budgets, n.Labels),
		})
	}
	for _, p := range pods {
		at, bound := index[p.Spec.NodeName]
		if !bound || p.Spec.NodeName == "" || ended(p) {
			continue
		}
		for name, n := range table.Accelerators(&p.Spec) {
			out[at].Free[string(name)] -= n
		}
	}
	return out
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// feeder is the budget that feeds a node: of those whose whole pin the labels match, the one that asks
// the most; ties by name.
func feeder(budgets []power.Budget, labels map[string]string) string {
	best, most := "", -1
	for i := range budgets {
		b := &budgets[i]
		if !b.Feeds || len(b.Pin) <= most {
			continue
		}
		match := true
		for k, v := range b.Pin {
			match = match && labels[k] == v
		}
		if match {
			best, most = b.Name, len(b.Pin)
		}
	}
	return best
}

// poolsOf enters pools and agents, and lists the agent pods to keep streams to.
func (s *snapshot) poolsOf(l *links, priors map[string]map[string]string) {
	byName := map[string]*powerv1.PowerBudget{}
	for i := range s.budgets {
		byName[s.budgets[i].Name] = &s.budgets[i]
	}
	budget := map[string]string{}
	s.agents = l.view(s.now)
	sort.Slice(s.agents, func(a, b int) bool { return s.agents[a].key < s.agents[b].key })
	expected := s.peersOf(priors)
	young := map[string]time.Time{}
	for i := range s.pools {
		p := &s.pools[i]
		key := client.ObjectKeyFromObject(p).String()
		budget[key] = p.Spec.Budget
		if !s.entered(p) {
			continue
		}
		if !s.made(p) {
			young[key] = p.CreationTimestamp.Add(settleIn) // whether it is sound is being looked at
		}
		pool := power.Pool{
			Key: key, Budget: p.Spec.Budget, Rated: power.Watts(p.Spec.RatedWatts.Value()),
			Priority: int(powerv1.Or(p.Spec.Priority, 0)), Observe: p.Spec.Control == powerv1.ControlObserve,
			Leaving: p.DeletionTimestamp != nil,
		}
		if p.Spec.FloorWatts != nil {
			pool.Floor = power.Watts(p.Spec.FloorWatts.Value())
		}
		s.site.Pools = append(s.site.Pools, pool)
	}
	for i := range s.agents {
		a := &s.agents[i]
		a.agent.Budget = budget[a.agent.Pool]
		s.site.Agents = append(s.site.Agents, a.agent)
	}
	for i := range s.site.Pools {
		p := &s.site.Pools[i]
		p.GraceUntil = later(young[p.Key], s.grace(p.Key, expected[p.Key], l.began, leaseOf(byName[p.Budget])))
	}
}

// entered tells whether a pool is in the ledger: from its creation, unless its spec was faulty from its
// first day. Then no agent was ever made for it, nobody commands its machines, and they are what they were
// without it: part of the site's base load. A typo thus costs the others nothing.
func (s *snapshot) entered(p *powerv1.MinerPool) bool {
	return s.made(p) || s.valid[client.ObjectKeyFromObject(p)] && !meta.IsStatusConditionTrue(p.Status.Conditions, powerv1.ConditionStalled)
}

// made tells whether agents were ever made for a pool.
func (s *snapshot) made(p *powerv1.MinerPool) bool {
	for _, uid := range s.poolOf {
		if uid == p.UID {
			return true
		}
	}
	key := client.ObjectKeyFromObject(p).String()
	return slices.ContainsFunc(s.agents, func(a agentView) bool { return a.agent.Pool == key && !a.since.IsZero() })
}

// discovery is how long an agent's run may take to find its devices, from when it was first met.
const discovery = 10 * time.Second

// grace is until when a pool's unfound watts bar raises and admissions and shed nobody (L4, liveness a): until every
// agent has had time to find its devices, and at most leaseSeconds from a takeover or an agent's restart.
func (s *snapshot) grace(pool string, expected int, began time.Time, lease time.Duration) time.Time {
	latest, found, known := began, began, 0
	for i := range s.agents {
		a := &s.agents[i]
		if a.agent.Pool != pool {
			continue
		}
		if a.since.After(latest) {
			latest = a.since
		}
		if a.known && !a.slotless {
			known++
			if at := a.since.Add(discovery); at.After(found) {
				found = at
			}
		}
	}
	if known >= expected {
		return found
	}
	return latest.Add(lease)
}

func leaseOf(b *powerv1.PowerBudget) time.Duration {
	if b == nil {
		return time.Duration(powerv1.DefaultLeaseSeconds) * time.Second
	}
	return time.Duration(powerv1.OrZero(b.Spec.LeaseSeconds, powerv1.DefaultLeaseSeconds)) * time.Second
}
