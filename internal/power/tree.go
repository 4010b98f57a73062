package power

import (
	"cmp"
	"slices"
	"time"
)

// tree is the budgets by index, with the sums the ledger needs. Budgets whose parent is unknown or that
// lie on a cycle are roots here: their own limit still binds, and the caller halts them.
type tree struct {
	b     []Budget
	index map[string]int
	// up[i] is i and every budget above it; down[i] is every budget below i that feeds nodes, or is above one that does.
	// reach[i] is every budget whose watts a pod pinned to i may draw before it is bound to a node: both of them.
	up, down, reach [][]int
	root            []int
	// feeds is the budgets that feed nodes, by name; all is every one.
	feeds, all []int
}

func newTree(budgets []Budget) *tree {
	t := &tree{b: budgets, index: make(map[string]int, len(budgets))}
	for i := range budgets {
		t.index[budgets[i].Name] = i
		t.all = append(t.all, i)
	}
	t.up, t.down, t.reach = make([][]int, len(budgets)), make([][]int, len(budgets)), make([][]int, len(budgets))
	passes := make([]bool, len(budgets)) // what nodes draw
	for i := range budgets {
		t.up[i] = t.climb(i)
		if t.parent(i) < 0 {
			t.root = append(t.root, i)
		}
		if budgets[i].Feeds {
			t.feeds = append(t.feeds, i)
			for _, a := range t.up[i] {
				passes[a] = true
			}
		}
	}
	for i := range budgets {
		if !passes[i] {
			continue
		}
		for _, a := range t.up[i][1:] {
			t.down[a] = append(t.down[a], i)
		}
	}
	for i := range budgets {
		t.reach[i] = slices.Concat(t.up[i], t.down[i])
	}
	slices.SortFunc(t.feeds, func(a, b int) int { return cmp.Compare(budgets[a].Name, budgets[b].Name) })
	return t
}

func (t *tree) parent(i int) int {
	p, ok := t.index[t.b[i].Parent]
	if !ok || t.b[i].Parent == "" {
		return -1
	}
	return p
}

// climb lists i and its ancestors, and stops where it meets itself.
func (t *tree) climb(i int) []int {
	var chain []int
	for ; i >= 0 && !slices.Contains(chain, i); i = t.parent(i) {
		chain = append(chain, i)
	}
	return chain
}

// chain is the budgets that feed the named one, itself first; all roots where the name is unknown, so
// that nothing is charged nowhere.
func (t *tree) chain(name string) []int {
	if i, ok := t.index[name]; ok {
		return t.up[i]
	}
	return t.root
}

// under tells whether budget i is the named one or below it; every budget is under "".
func (t *tree) under(i int, name string) bool {
	if name == "" {
		return true
	}
	above, ok := t.index[name]
	return ok && slices.Contains(t.up[i], above)
}

// at is the limit of budget i at one time, less its margin, and the cut that sets it, -1 for the spec.
func (t *tree) at(i int, when time.Time) (Watts, int) {
	b := &t.b[i]
	limit, by := b.Limit, -1
	var reduce Watts
	for c := range b.Cuts {
		cut := &b.Cuts[c]
		switch {
		case when.Before(cut.Start) || !when.Before(cut.End):
		case cut.Reduce > 0:
			// Reductions come on top of whatever limit would be in force otherwise.
			reduce += cut.Reduce
			by = c
		case cut.Limit < limit:
			limit, by = cut.Limit, c
		}
	}
	return less(max(0, limit-reduce), b.MarginPercent), by
}

// least is the lowest limit of budget i from now until end, and the cut that sets it.
func (t *tree) least(i int, now, end time.Time) (Watts, int) {
	low, by := t.at(i, now)
	for c := range t.b[i].Cuts {
		start := t.b[i].Cuts[c].Start
		if start.After(now) && !start.After(end) {
			if w, at := t.at(i, start); w < low {
				low, by = w, at
			}
		}
	}
	return low, by
}

// fall is the first time after the given one at which the limit of budget i is below w; zero is never.
func (t *tree) fall(i int, after time.Time, w Watts) (first time.Time) {
	for c := range t.b[i].Cuts {
		start := t.b[i].Cuts[c].Start
		if !start.After(after) || (!first.IsZero() && !start.Before(first)) {
			continue
		}
		if low, _ := t.at(i, start); low < w {
			first = start
		}
	}
	return first
}

func less(w Watts, percent int) Watts { return w - w*Watts(percent)/100 }
