package v1alpha1_test

import (
	"fmt"
	"slices"
)

func port(firmware any, number any) map[string]any {
	return map[string]any{"firmware": firmware, "port": number}
}

// without is a map less one of its keys.
func without(all map[string]any, key string) map[string]any {
	rest := map[string]any{}
	for k, v := range all {
		if k != key {
			rest[k] = v
		}
	}
	return rest
}

// The 256 entries of the most expensive lists pin what CEL's run-time budget allows.
var (
	manyCIDRs  = many(256, func(i int) any { return fmt.Sprintf("10.%d.0.0/16", i) })
	manyCIDR6s = many(256, func(i int) any { return fmt.Sprintf("fd00:1234:1234:1234:1234:1234:%x:0/112", i+0x1000) })
	halfRanges = many(256, func(i int) any {
		if i%2 == 0 {
			return fmt.Sprintf("10.%d.0.0/16", i)
		}
		return fmt.Sprintf("10.%d.0.1-10.%d.0.100", i, i)
	})
)

func split(per int, addresses ...any) any {
	return map[string]any{"addresses": append([]any{}, addresses...), "devicesPerAgent": per}
}

var minerPoolRules = slices.Concat(commonRules("MinerPool"), []rule{
	{kind: "MinerPool", field: "metadata.name", pass: []any{"hydro-1", name(45)}, fail: []any{name(46), "hydro.1"}},
	{kind: "MinerPool", field: "spec.budget", pass: goodBudgetNames, fail: append([]any{absent}, badBudgetNames...)},
	{kind: "MinerPool", field: "spec.budget", before: "hall-1", pass: []any{"hall-1"}, fail: []any{"hall-2"}},
	{kind: "MinerPool", field: "spec.control", pass: []any{absent, "Manage", "Observe"}, fail: []any{"", "manage"}},
	{kind: "MinerPool", field: "spec.devices", pass: []any{map[string]any{"addresses": []any{"10.0.0.1"}}}, fail: []any{absent}},
	{
		kind: "MinerPool", field: "spec.devices.addresses",
		pass: []any{
			[]any{"10.20.0.0/22", "10.21.0.5-10.21.0.90", "10.22.0.1"}, []any{"10.20.0.0/16"}, []any{"10.20.0.7/32"},
			[]any{"fd00::/112", "fd01::1", "fd02::1-fd02::9"}, []any{"10.20.0.0/22", "10.20.4.0/22"}, manyCIDRs, manyCIDR6s, halfRanges,
		},
		fail: []any{
			absent, []any{}, many(257, func(i int) any { return fmt.Sprintf("10.0.%d.%d", i/250, i%250) }),
			[]any{"10.20.0.1", "10.20.0.1"},
			[]any{"1"}, []any{"miner-7"}, []any{"10.20.0.0-"}, []any{"10.0.0.1-10.0.0.2-10.0.0.3"}, []any{"10.20.0.256"}, []any{" 10.20.0.1"},
			[]any{name(80)},
			[]any{"10.20.0.1/22"}, []any{"10.0.0.0/15"}, []any{"fd00::/111"},
			[]any{"10.0.0.1-fd00::1"},
			[]any{"10.20.0.0/22", "10.20.1.0/24"},
			[]any{"10.20.0.0/22", "10.20.1.7"}, []any{"10.20.0.0/22", "10.20.1.7-10.20.9.9"},
		},
	},
	{kind: "MinerPool", field: "spec.devices.firmware", pass: []any{absent, "Auto", "Antminer", "MaraFW", "ProtoRig", "BraiinsOS", "LuxOS", "VNish", "WhatsMiner", "ePIC", "Auradine", "Avalon", "AxeOS", "SealMiner"}, fail: []any{"", "Stock"}},
	{
		kind: "MinerPool", field: "spec.devices.ports",
		pass: []any{absent, []any{}, []any{port("BraiinsOS", 1), port("LuxOS", 65535), port("VNish", 8080)}},
		fail: []any{
			[]any{port("BraiinsOS", 0)}, []any{port("BraiinsOS", 65536)}, []any{port("Auto", 80)}, []any{port("Stock", 80)},
			[]any{port("LuxOS", 80), port("LuxOS", 81)}, []any{without(port("LuxOS", 80), "port")}, []any{without(port("LuxOS", 80), "firmware")},
			many(17, func(i int) any { return port(fmt.Sprint("F", i), 80) }),
		},
	},
	{kind: "MinerPool", field: "spec.devices.credentialsSecret", pass: []any{absent, "asic-credentials", name(253)}, fail: []any{"", "Asic", name(254)}},
	{kind: "MinerPool", field: "spec.devicesPerAgent", pass: []any{absent, 1, 1024}, fail: []any{0, 1025}},
	{kind: "MinerPool", field: "spec.ratedWatts", pass: []any{1, "3600k", "1T"}, fail: append([]any{absent, 0}, badWatts...)},
	{kind: "MinerPool", field: "spec.uncertaintyPercent", pass: []any{absent, 0, 100}, fail: []any{-1, 101}},
	{kind: "MinerPool", field: "spec.floorWatts", with: map[string]any{"spec.ratedWatts": "1T"}, pass: append([]any{absent}, goodWatts...), fail: badWatts},
	{kind: "MinerPool", field: "spec.floorWatts", with: map[string]any{"spec.ratedWatts": "20k"}, pass: []any{"20k"}, fail: []any{20001}},
	{kind: "MinerPool", field: "spec.priority", pass: []any{absent, -1000000, 0, 1000000}, fail: []any{-1000001, 1000001}},
	{kind: "MinerPool", field: "spec.agent.image", pass: []any{absent, "registry.example/miner-agent:v1"}, fail: []any{"", name(513)}},
	{kind: "MinerPool", field: "spec.agent.imagePullPolicy", pass: []any{absent, "Always", "IfNotPresent", "Never"}, fail: []any{"", "Sometimes"}},
	{kind: "MinerPool", field: "spec.agent.nodeSelector", pass: append([]any{absent}, goodNodeSelectors...), fail: badNodeSelectors},
	{
		kind: "MinerPool", field: "spec.agent.tolerations",
		pass: []any{absent, many(32, func(int) any { return map[string]any{"operator": "Exists"} })},
		fail: []any{many(33, func(int) any { return map[string]any{"operator": "Exists"} })},
	},
	{kind: "MinerPool", field: "spec.agent.hostNetwork", pass: []any{absent, "Disabled", "Enabled"}, fail: []any{"", true, "true"}},
	{kind: "MinerPool", field: "spec.agent.serviceAccountName", pass: []any{absent, "miners", name(253)}, fail: []any{"", "Miners", name(254)}},

	{
		kind: "MinerPool", field: "status.splits",
		pass: []any{
			absent, []any{}, many(8, func(int) any { return split(8, "10.0.0.0/28") }),
			[]any{split(1, "::", name(79))}, []any{split(1024, manyCIDRs...)},
		},
		fail: []any{
			many(9, func(int) any { return split(8, "10.0.0.0/28") }), []any{map[string]any{"devicesPerAgent": 8}},
			[]any{map[string]any{"addresses": []any{"::"}}}, []any{split(8)}, []any{split(8, "1")}, []any{split(8, name(80))},
			[]any{split(8, many(257, func(i int) any { return fmt.Sprint("10.0.0.", i) })...)}, []any{split(0, "::")}, []any{split(1025, "::")},
		},
	},
	count("MinerPool", "status.agents"),
	count("MinerPool", "status.devices.total"),
	count("MinerPool", "status.devices.hashing"),
	count("MinerPool", "status.devices.sleeping"),
	count("MinerPool", "status.devices.unreachable"),
	count("MinerPool", "status.devices.stuck"),
	{kind: "MinerPool", field: "status.leasedWatts", pass: goodStatusWatts, fail: badStatusWatts},
})
