package chaos

import (
	"fmt"
	"slices"
	"strings"
)

// Shrink makes a history that breaks a rule smaller for as long as the same rule breaks: fewer things done
// to it, fewer workloads, a better network.
func Shrink(seed uint64, number int) (Outcome, string) {
	best := draw(seed, number)
	out := play(best, false)
	if out.Violation == nil {
		return play(best, true), ""
	}
	rule := out.Violation.Rule
	try := func(change func(*config)) {
		next := best
		next.actions = append([]action{}, best.actions...)
		next.works = append([]workConfig{}, best.works...)
		change(&next)
		if o := play(next, false); o.Violation != nil && o.Violation.Rule == rule {
			best = next
		}
	}
	for again := true; again; {
		before := len(best.actions) + len(best.works)
		for i := range slices.Backward(best.actions) {
			try(func(c *config) { c.actions = append(c.actions[:i], c.actions[i+1:]...) })
		}
		for i := range slices.Backward(best.works) {
			try(func(c *config) { c.works = append(c.works[:i], c.works[i+1:]...) })
		}
		again = len(best.actions)+len(best.works) < before
	}
	for _, change := range []func(*config){
		func(c *config) { c.lost = 0 }, func(c *config) { c.late = 0 }, func(c *config) { c.slow = 0 },
	} {
		try(change)
	}
	var what strings.Builder
	fmt.Fprintf(&what, "shrunk to: limits %+v\n", best.budgets)
	for _, a := range best.actions {
		fmt.Fprintf(&what, "  %s\n", a.String())
	}
	return play(best, true), what.String()
}
