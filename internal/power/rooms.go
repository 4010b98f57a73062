package power

import (
	"math"
	"slices"
)

// rooms is the free accelerators of every node, so that watts are not spent on a pod that can't be
// scheduled. Pods are placed best fit; it follows the scheduler only as far as accelerators, node
// selectors, required node affinity and taints go.
type rooms struct {
	nodes  [][]room       // by budget
	budget map[string]int // of each node; -1 where it is unknown
	// anywhere is where a pod is put to which it does not matter.
	anywhere room
	names    map[string]int // each accelerator resource's place in room.free
	kinds    map[string]*kind
}

type room struct {
	at     int // in Site.Nodes
	open   bool
	labels map[string]string
	free   []int64
}

// absent stands for accelerators that a node has none of, free or not.
const absent = math.MinInt64

func newRooms(s *Site, budgets map[string]int) *rooms {
	r := &rooms{
		nodes: make([][]room, len(s.Budgets)), budget: make(map[string]int, len(s.Nodes)),
		names: map[string]int{}, kinds: map[string]*kind{},
	}
	for i := range s.Nodes {
		for name := range s.Nodes[i].Free {
			if _, known := r.names[name]; !known {
				r.names[name] = len(r.names)
			}
		}
	}
	free := slices.Repeat([]int64{absent}, len(s.Nodes)*len(r.names))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		at := room{at: i, open: n.Open, labels: n.Labels, free: free[:len(r.names)]}
		free = free[len(r.names):]
		for name, f := range n.Free {
			at.free[r.names[name]] = f
		}
		b, ok := budgets[n.Budget]
		if !ok {
			r.budget[n.Name] = -1
			continue
		}
		r.budget[n.Name] = b
		r.nodes[b] = append(r.nodes[b], at)
	}
	return r
}

// opens tells whether some node of the budget is open.
func (r *rooms) opens(budget int) bool {
	return slices.ContainsFunc(r.nodes[budget], func(n room) bool { return n.open })
}

// refuse tells whether every node of the budget that has what such pods ask for, free or not, refuses them. A
// budget without such a node refuses nobody: one may come.
func (r *rooms) refuse(budget int, k *kind) bool {
	if k.refused == nil {
		return false
	}
	some := false
	for i := range r.nodes[budget] {
		n := &r.nodes[budget][i]
		if slices.ContainsFunc(k.wants, func(w want) bool { return n.has(w.resource) == absent }) {
			continue
		}
		if !k.refused.Has(n.at) {
			return false
		}
		some = true
	}
	return some
}

// full tells whether the budget has no room for one more such pod.
func (r *rooms) full(budget int, k *kind) bool {
	k.full[budget] = k.full[budget] || r.find(budget, k) == nil
	return k.full[budget]
}

// takes tells whether the budget has room for one such pod now.
func (r *rooms) takes(budget int, k *kind) bool {
	return !k.shut[budget] && !k.full[budget] && r.find(budget, k) != nil
}

// find is the node of the budget that such a pod fits most tightly; nil where there is none.
func (r *rooms) find(budget int, k *kind) *room {
	if !k.picky() {
		return &r.anywhere
	}
	var best *room
	var slack int64
	for i := range r.nodes[budget] {
		n := &r.nodes[budget][i]
		if rest, ok := n.after(k); ok && (best == nil || rest < slack) {
			best, slack = n, rest
		}
	}
	return best
}

// has is the accelerators of one resource that are free on the node.
func (n *room) has(resource int) int64 {
	if resource < 0 {
		return absent
	}
	return n.free[resource]
}

// after is the accelerators left on the node once such a pod is there.
func (n *room) after(k *kind) (rest int64, ok bool) {
	if !n.open || k.refused.Has(n.at) {
		return 0, false
	}
	for _, w := range k.wants {
		have := n.has(w.resource)
		if have < w.n {
			return 0, false
		}
		rest += have - w.n
	}
	for name, v := range k.selector {
		if n.labels[name] != v {
			return 0, false
		}
	}
	return rest, true
}

// add puts such a pod there; with sign -1 it takes it away.
func (n *room) add(k *kind, sign int64) {
	for _, w := range k.wants {
		n.free[w.resource] -= sign * w.n
	}
}

// place finds a node for every pod in one budget, or for none.
func (r *rooms) place(budget int, guests []guest) (at []*room, ok bool) {
	at = make([]*room, 0, len(guests))
	for _, g := range guests {
		n := r.find(budget, g.kind)
		if n == nil {
			leave(at, guests)
			return nil, false
		}
		n.add(g.kind, 1)
		at = append(at, n)
	}
	return at, true
}

// leave takes pods away from where they were placed.
func leave(at []*room, guests []guest) {
	for i, g := range guests[:len(at)] {
		at[i].add(g.kind, -1)
	}
}
