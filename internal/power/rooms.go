package power

import (
	"maps"
	"sort"
)

// rooms is the free accelerators of every node, so that watts are not spent on a pod that can't be
// scheduled. Pods are placed best fit; it follows the scheduler only as far as accelerators, node
// selectors, required node affinity and taints go.
type rooms struct {
	nodes  map[string][]*room // that are open, by budget
	all    map[string][]*room // by budget
	budget map[string]string  // of each node
}

type room struct {
	at     int // in Site.Nodes
	labels map[string]string
	free   map[string]int64
}

func newRooms(s *Site) rooms {
	r := rooms{nodes: map[string][]*room{}, all: map[string][]*room{}, budget: make(map[string]string, len(s.Nodes))}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		r.budget[n.Name] = n.Budget
		free := make(map[string]int64, len(n.Free))
		maps.Copy(free, n.Free)
		at := &room{at: i, labels: n.Labels, free: free}
		r.all[n.Budget] = append(r.all[n.Budget], at)
		if n.Open {
			r.nodes[n.Budget] = append(r.nodes[n.Budget], at)
		}
	}
	return r
}

// picky tells whether it matters on which node of a budget the pod runs.
func (p *Pod) picky() bool { return len(p.Ask) > 0 || p.Refused != nil }

// refuse tells whether every node of the budget that has what the pod asks for, free or not, refuses it. A
// budget without such a node refuses nobody: one may come.
func (r rooms) refuse(budget string, p *Pod) bool {
	if p.Refused == nil {
		return false
	}
	some := false
	for _, n := range r.all[budget] {
		if !n.offers(p) {
			continue
		}
		if !p.Refused.Has(n.at) {
			return false
		}
		some = true
	}
	return some
}

func (n *room) offers(p *Pod) bool {
	for k := range p.Ask {
		if _, ok := n.free[k]; !ok {
			return false
		}
	}
	return true
}

// find is the node of the budget that the pod fits most tightly; nil where there is none.
func (r rooms) find(budget string, p *Pod) *room {
	var best *room
	var slack int64
	for _, n := range r.nodes[budget] {
		rest, ok := n.after(p)
		if ok && (best == nil || rest < slack) {
			best, slack = n, rest
		}
	}
	return best
}

// after is the accelerators left on the node once the pod is there.
func (n *room) after(p *Pod) (rest int64, ok bool) {
	if p.Refused.Has(n.at) {
		return 0, false
	}
	for k, v := range p.Selector {
		if n.labels[k] != v {
			return 0, false
		}
	}
	for k, want := range p.Ask {
		if n.free[k] < want {
			return 0, false
		}
		rest += n.free[k] - want
	}
	return rest, true
}

func (n *room) add(p *Pod, sign int64) {
	for k, v := range p.Ask {
		n.free[k] -= sign * v
	}
}

// take places a pod that is admitted and not bound yet.
func (r rooms) take(p *Pod) {
	if !p.picky() {
		return
	}
	if n := r.find(p.Budget, p); n != nil {
		n.add(p, 1)
	}
}

// place finds a node for every pod in one budget, or for none. The answer undoes it.
func (r rooms) place(budget string, pods []*Pod) (undo func(), ok bool) {
	type step struct {
		n *room
		p *Pod
	}
	var done []step
	undo = func() {
		for _, s := range done {
			s.n.add(s.p, -1)
		}
	}
	for _, p := range pods {
		if !p.picky() {
			continue
		}
		n := r.find(budget, p)
		if n == nil {
			undo()
			return func() {}, false
		}
		n.add(p, 1)
		done = append(done, step{n, p})
	}
	return undo, true
}

// sorted orders pods by age, then name, then UID.
func sorted(pods []*Pod) []*Pod {
	sort.SliceStable(pods, func(a, b int) bool {
		x, y := pods[a], pods[b]
		if !x.Created.Equal(y.Created) {
			return x.Created.Before(y.Created)
		}
		if x.Name != y.Name {
			return x.Name < y.Name
		}
		return x.UID < y.UID
	})
	return pods
}
