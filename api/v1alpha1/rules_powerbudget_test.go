package v1alpha1_test

import "slices"

var powerBudgetRules = slices.Concat(commonRules("PowerBudget"), []rule{
	{kind: "PowerBudget", field: "metadata.name", pass: []any{"site-a", name(63)}, fail: []any{name(64)}},
	{kind: "PowerBudget", field: "spec.parent", pass: append([]any{absent}, goodBudgetNames...), fail: badBudgetNames},
	{kind: "PowerBudget", field: "spec.parent", pass: []any{"site-a"}, fail: []any{"hall-1"}}, // itself
	{kind: "PowerBudget", field: "spec.parent", before: "site-a", pass: []any{"site-a"}, fail: []any{"site-b", absent}},
	{kind: "PowerBudget", field: "spec.parent", before: absent, pass: []any{absent}, fail: []any{"site-b"}},
	{kind: "PowerBudget", field: "spec.limitWatts", pass: goodWatts, fail: append([]any{absent}, badWatts...)},
	{kind: "PowerBudget", field: "spec.marginPercent", pass: []any{absent, 0, 50}, fail: []any{-1, 51}},
	{kind: "PowerBudget", field: "spec.baseLoadWatts", with: map[string]any{"spec.limitWatts": "1T"}, pass: append([]any{absent}, goodWatts...), fail: badWatts},
	{kind: "PowerBudget", field: "spec.baseLoadWatts", with: map[string]any{"spec.limitWatts": "20k"}, pass: []any{0, "20k", 20000, "19.999k"}, fail: []any{20001, "20001", "1M"}},
	{kind: "PowerBudget", field: "spec.headroomWatts", pass: append([]any{absent}, goodWatts...), fail: badWatts},
	{kind: "PowerBudget", field: "spec.nodeSelector", pass: append([]any{absent}, goodNodeSelectors...), fail: badNodeSelectors},
	{kind: "PowerBudget", field: "spec.leaseSeconds", pass: []any{absent, 15, 600}, fail: []any{0, 14, 601}},
	{kind: "PowerBudget", field: "spec.declaredWatts", pass: []any{absent, "TableFloor", "Trusted"}, fail: []any{"", "trusted"}},
	{kind: "PowerBudget", field: "spec.onShortfall", pass: []any{absent, "Protect", "EvictInterruptible"}, fail: []any{"", "Evict"}},

	{kind: "PowerBudget", field: "status.limitWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "PowerBudget", field: "status.limitReason", pass: []any{"Spec", "Curtailment", "ParentLimit"}, fail: []any{"Margin"}},
	{kind: "PowerBudget", field: "status.reservedWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "PowerBudget", field: "status.leasedWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "PowerBudget", field: "status.baseWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "PowerBudget", field: "status.availableWatts", pass: goodStatusWatts, fail: badStatusWatts},
})
