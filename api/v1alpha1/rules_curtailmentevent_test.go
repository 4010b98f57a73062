package v1alpha1_test

import "slices"

var curtailmentEventRules = slices.Concat(commonRules("CurtailmentEvent"), []rule{
	{kind: "CurtailmentEvent", field: "metadata.name", pass: []any{"evening-peak", name(63)}, fail: []any{name(64)}},
	{kind: "CurtailmentEvent", field: "spec.budget", pass: goodBudgetNames, fail: append([]any{absent}, badBudgetNames...)},
	{kind: "CurtailmentEvent", field: "spec.budget", before: "site-a", pass: []any{"site-a"}, fail: []any{"site-b"}},
	{kind: "CurtailmentEvent", field: "spec.limitWatts", pass: goodWatts, fail: append([]any{absent}, badWatts...)},
	{kind: "CurtailmentEvent", field: "spec.reduceByWatts", with: map[string]any{"spec.limitWatts": absent}, pass: goodWatts, fail: append([]any{absent}, badWatts...)},
	{kind: "CurtailmentEvent", field: "spec.reduceByWatts", pass: []any{absent}, fail: []any{"3M"}}, // beside limitWatts
	{kind: "CurtailmentEvent", field: "spec.start", pass: []any{"2026-07-01T18:59:59Z", "2026-07-01T20:30:00+02:00"}, fail: []any{absent, "", "2026-07-01"}},
	{kind: "CurtailmentEvent", field: "spec.end", pass: []any{"2026-07-01T16:00:01Z"}, fail: []any{absent, "2026-07-01T16:00:00Z", "2026-07-01T17:00:00+02:00"}},
	{kind: "CurtailmentEvent", field: "spec.reason", pass: []any{absent, "grid emergency level 2", name(256)}, fail: []any{"", name(257)}},
	{kind: "CurtailmentEvent", field: "spec.source", pass: []any{absent, "utility", name(256)}, fail: []any{"", name(257)}},

	{kind: "CurtailmentEvent", field: "status.state", pass: []any{"Scheduled", "Active", "Ended"}, fail: []any{"", "Missed"}},
	{kind: "CurtailmentEvent", field: "status.baselineWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "CurtailmentEvent", field: "status.deliveredWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "CurtailmentEvent", field: "status.metAt", pass: []any{absent, "2026-07-01T15:59:00Z"}, fail: []any{"soon"}},
})
