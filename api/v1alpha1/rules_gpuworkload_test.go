package v1alpha1_test

import (
	"fmt"
	"slices"
)

func owner() map[string]any {
	return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "llama", "uid": "0b0e"}
}

func reservation(uid string) map[string]any {
	return map[string]any{"uid": uid, "name": "llama-0", "watts": "10200", "budget": "hall-1"}
}

// with is a map with one key changed.
func with(all map[string]any, key string, value any) map[string]any {
	all[key] = value
	return all
}

// textsIn are the values for a bounded, required string within a map made by of.
func textsIn(of func() map[string]any, key string, length int) (pass, fail []any) {
	return []any{with(of(), key, "a"), with(of(), key, name(length))},
		[]any{without(of(), key), with(of(), key, ""), with(of(), key, name(length+1))}
}

func ownerRule(key string, length int) rule {
	pass, fail := textsIn(owner, key, length)
	return rule{kind: "GPUWorkload", field: "spec.owner", with: map[string]any{"spec.selector": absent}, pass: pass, fail: fail}
}

func reservationRule(key string, length int) rule {
	pass, fail := textsIn(func() map[string]any { return reservation("u-1") }, key, length)
	for _, list := range [][]any{pass, fail} {
		for i := range list {
			list[i] = []any{list[i]}
		}
	}
	return rule{kind: "GPUWorkload", field: "status.reservations", pass: pass, fail: fail}
}

func reservationOf(watts any) any { return []any{with(reservation("u-1"), "watts", watts)} }

func expressions(length int) []any {
	return many(length, func(i int) any { return map[string]any{"key": fmt.Sprint("key-", i), "operator": "Exists"} })
}

var gpuWorkloadRules = slices.Concat(commonRules("GPUWorkload"), []rule{
	{kind: "GPUWorkload", field: "metadata.name", pass: []any{"llama", name(63)}, fail: []any{name(64)}},
	{kind: "GPUWorkload", field: "spec.class", pass: []any{"Training", "Inference"}, fail: []any{absent, "", "training"}},
	{kind: "GPUWorkload", field: "spec.budget", pass: append([]any{absent}, goodBudgetNames...), fail: badBudgetNames},
	{
		kind: "GPUWorkload", field: "spec.selector",
		pass: []any{
			map[string]any{"matchLabels": labels(16)}, map[string]any{"matchExpressions": expressions(16)},
			map[string]any{"matchLabels": labels(1), "matchExpressions": expressions(1)},
		},
		fail: []any{
			absent, map[string]any{}, map[string]any{"matchLabels": map[string]any{}}, map[string]any{"matchExpressions": []any{}},
			map[string]any{"matchLabels": labels(17)}, map[string]any{"matchExpressions": expressions(17)},
		},
	},
	{kind: "GPUWorkload", field: "spec.owner", pass: []any{absent}, fail: []any{owner()}}, // beside a selector
	ownerRule("apiVersion", 317), ownerRule("kind", 63), ownerRule("name", 253), ownerRule("uid", 64),
	{kind: "GPUWorkload", field: "spec.wattsPerPod", pass: append([]any{absent}, goodWatts...), fail: badWatts},
	{kind: "GPUWorkload", field: "spec.wattsPerAccelerator", pass: append([]any{absent}, goodWatts...), fail: badWatts},
	{kind: "GPUWorkload", field: "spec.wattsPerAccelerator", with: map[string]any{"spec.wattsPerPod": "10k"}, pass: []any{absent}, fail: []any{"1k"}},
	{kind: "GPUWorkload", field: "spec.priority", pass: []any{absent, -1000000, 0, 1000000}, fail: []any{-1000001, 1000001}},
	{kind: "GPUWorkload", field: "spec.minPods", pass: []any{absent, 1, 4096}, fail: []any{0, 4097}},
	{kind: "GPUWorkload", field: "spec.standbyPods", pass: []any{absent, 0, 4096}, fail: []any{-1, 4097}},
	{kind: "GPUWorkload", field: "spec.interruptible", pass: []any{absent, "Never", "WhenShort"}, fail: []any{"", "Always", false}},
	{kind: "GPUWorkload", field: "spec.releaseDelaySeconds", pass: []any{absent, 0, 86400}, fail: []any{-1, 86401}},

	{kind: "GPUWorkload", field: "status.epoch", pass: []any{1, 1 << 60}, fail: []any{0, -1}},
	{kind: "GPUWorkload", field: "status.epoch", before: 1453, pass: []any{1453, 1454}, fail: []any{1452, 1, absent}},
	{kind: "GPUWorkload", field: "status", before: map[string]any{"epoch": 1453}, pass: []any{map[string]any{"epoch": 1453}}, fail: []any{absent}},
	{kind: "GPUWorkload", field: "status.budget", pass: []any{"hall-1", name(63)}, fail: []any{"", name(64)}},
	{kind: "GPUWorkload", field: "status.requestedWatts", pass: goodStatusWatts, fail: badStatusWatts},
	{kind: "GPUWorkload", field: "status.reservedWatts", pass: goodStatusWatts, fail: badStatusWatts},
	count("GPUWorkload", "status.pods.gated"),
	count("GPUWorkload", "status.pods.admitted"),
	count("GPUWorkload", "status.pods.running"),
	{
		kind: "GPUWorkload", field: "status.reservations",
		pass: []any{
			[]any{}, []any{reservation("u-1"), reservation("u-2")}, many(4096, func(i int) any { return reservation(fmt.Sprint("u-", i)) }),
			[]any{with(reservation("u-1"), "endedAt", "2026-07-01T16:00:00Z")}, reservationOf("0"),
			[]any{with(reservation("u-1"), "terminationGracePeriodSeconds", 31)},
		},
		fail: []any{
			[]any{reservation("u-1"), reservation("u-1")}, many(4097, func(i int) any { return reservation(fmt.Sprint("u-", i)) }),
			[]any{without(reservation("u-1"), "watts")}, []any{with(reservation("u-1"), "endedAt", "yesterday")},
			[]any{with(reservation("u-1"), "terminationGracePeriodSeconds", 30)},
			reservationOf("-5"), reservationOf("20Mi"), reservationOf("00000000000000001"),
		},
	},
	reservationRule("uid", 64), reservationRule("name", 253), reservationRule("budget", 63),
})
