package v1alpha1_test

import (
	"fmt"
	"strings"
)

// watts are the values every field of watts in a spec takes and refuses.
var (
	goodWatts = []any{0, 10200, "20M", "3.5k", "10.2k", "1T", "1000G", "0.001k", "1000000000000"}
	badWatts  = []any{-5, "-5", "10.5", "0.0001k", "20MW", "20Mi", "20E", "500m", "1e6", "1.1T", 1000000000001,
		"999999999999T", "", "a", strings.Repeat("0", 16) + "1"}
)

// statusWatts are those of a status, which has no rule beside the pattern.
var (
	goodStatusWatts = []any{"0", "10200", "19600k", "1T"}
	badStatusWatts  = []any{"-5", "20Mi", strings.Repeat("0", 16) + "1"}
)

// name gives a name of so many characters.
func name(length int) string { return strings.Repeat("a", length) }

// many gives a list of so many entries.
func many(length int, entry func(i int) any) []any {
	list := make([]any, length)
	for i := range list {
		list[i] = entry(i)
	}
	return list
}

// labels gives a map of so many labels.
func labels(length int) map[string]any {
	all := map[string]any{}
	for i := range length {
		all[fmt.Sprintf("key-%d", i)] = "value"
	}
	return all
}

// commonRules are those of every kind.
func commonRules(kind string) []rule {
	return []rule{
		{kind: kind, field: "status.observedGeneration", pass: []any{-1, 1, 1 << 40}, fail: []any{-2}},
		{
			kind: kind, field: "status.conditions",
			pass: []any{[]any{}, []any{condition("Ready"), condition("Stalled")}, many(16, func(i int) any { return condition(fmt.Sprint("Type", i)) })},
			fail: []any{[]any{condition("Ready"), condition("Ready")}, many(17, func(i int) any { return condition(fmt.Sprint("Type", i)) })},
		},
		{kind: kind, field: "status", pass: []any{map[string]any{"observedGeneration": 1}}, fail: []any{map[string]any{}}},
		{kind: kind, field: "spec", pass: []any{unchanged}, fail: []any{absent}},
	}
}

// count is the rule for a count in a status.
func count(kind, field string) rule {
	return rule{kind: kind, field: field, pass: []any{0, 1, 100000}, fail: []any{-1}}
}

// nodeSelectors are good and bad maps of node labels.
var (
	goodNodeSelectors = []any{labels(1), labels(16), map[string]any{"topology.kubernetes.io/zone": "a"}, map[string]any{"hall": ""}}
	badNodeSelectors  = []any{map[string]any{}, labels(17), map[string]any{"a b": "c"}, map[string]any{"hall": name(64)}, map[string]any{name(64): "a"}}
)

// budgetNames are good and bad names of budgets.
var (
	goodBudgetNames = []any{"a", "hall-2", "site.hall-2", name(63)}
	badBudgetNames  = []any{"", "Hall", "hall_1", "-hall", name(64)}
)
