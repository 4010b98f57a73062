package power

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// kind is what like pods ask of their nodes, and what was found for them: it is the same for all of them.
type kind struct {
	selector map[string]string
	refused  NodeSet
	wants    []want
	// shut is the budgets where they can never run, full those that have no room for one more: nobody
	// leaves while workloads are considered.
	shut, full []bool
	// candidates are the budgets where they may run, by the one that their workload asks for.
	candidates map[string][]int
}

// want is so many accelerators of one resource; -1 is one that no node has.
type want struct {
	resource int
	n        int64
}

// guest is a pod that looks for a room.
type guest struct {
	*Pod
	kind *kind
}

// picky tells whether it matters on which node of a budget they run.
func (k *kind) picky() bool { return len(k.wants) > 0 || k.refused != nil }

// guests are pods with their kinds.
func (l *ledger) guests(pods []*Pod) []guest {
	all := make([]guest, len(pods))
	for i, p := range pods {
		if i > 0 && p.like(pods[i-1]) {
			all[i] = guest{p, all[i-1].kind}
		} else {
			all[i] = guest{p, l.kind(p)}
		}
	}
	return all
}

// like tells whether two pods ask the same of their nodes.
func (p *Pod) like(q *Pod) bool {
	return maps.Equal(p.Ask, q.Ask) && maps.Equal(p.Selector, q.Selector) && slices.Equal(p.Refused, q.Refused)
}

// kind is the pod's, the same one for all that are like it.
func (l *ledger) kind(p *Pod) *kind {
	key := fmt.Appendf(nil, "%v%q", p.Ask, p.Selector)
	for _, word := range p.Refused {
		key = binary.LittleEndian.AppendUint64(key, word)
	}
	k := l.rooms.kinds[string(key)]
	if k != nil {
		return k
	}
	k = &kind{
		selector: p.Selector, refused: p.Refused, candidates: map[string][]int{},
		shut: make([]bool, len(l.b)), full: make([]bool, len(l.b)),
	}
	for name, n := range p.Ask {
		at, ok := l.rooms.names[name]
		if !ok {
			at = -1
		}
		k.wants = append(k.wants, want{at, n})
	}
	for _, i := range l.feeds {
		k.shut[i] = clash(p.Selector, l.b[i].Pin) || l.rooms.refuse(i, k)
	}
	l.rooms.kinds[string(key)] = k
	return k
}

// sorted orders pods by age, then name, then UID.
func sorted(pods []*Pod) []*Pod {
	slices.SortStableFunc(pods, func(x, y *Pod) int {
		return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.Name, y.Name), cmp.Compare(x.UID, y.UID))
	})
	return pods
}
