package minersim

import (
	"strings"
	"testing"
)

const goodGroup = `{name: a, count: 3, model: S21, firmware: BraiinsOS, firstAddress: 127.5.0.254, budget: x`

func TestFleetFileErrorsNameTheField(t *testing.T) {
	for want, file := range map[string]string{
		"reading the fleet file":      "groups: [",
		`unknown field "color"`:       "groups: [" + goodGroup + ", color: red}]",
		`unknown field "bootMinutes"`: "groups: [" + goodGroup + ", physics: {bootMinutes: 1}}]",
		"groups: at least one":        "seed: 1",
		"groups[0].name: must":        "groups: [{count: 1, model: S21, firmware: LuxOS, firstAddress: 127.0.0.1}]",
		"groups[0].count: 0":          "groups: [{name: a, model: S21, firmware: LuxOS, firstAddress: 127.0.0.1}]",
		`groups[0].model: unknown model "S9"; known: Antminer S19j Pro,`:    strings.Replace("groups: ["+goodGroup+"}]", "S21", "S9", 1),
		"groups[0].firstAddress: 10.0.0.1 is not in 127.0.0.0/8":            strings.Replace("groups: ["+goodGroup+"}]", "127.5.0.254", "10.0.0.1", 1),
		`groups[0].firstAddress: "here" is not an address`:                  strings.Replace("groups: ["+goodGroup+"}]", "127.5.0.254", "here", 1),
		"beyond 127.255.255.254":                                            strings.Replace("groups: ["+goodGroup+"}]", "127.5.0.254", "127.255.255.253", 1),
		"beyond 198.19.255.254":                                             strings.Replace("groups: ["+goodGroup+"}]", "127.5.0.254", "198.19.255.253", 1),
		`groups[0].initial: "Off" is not one of ["Hashing" "Sleeping"]`:     "groups: [" + goodGroup + ", initial: \"Off\"}]",
		"groups[0].whatsMiner.maxTokens: 1001 is not between 0 and 1000":    "groups: [" + goodGroup + ", whatsMiner: {maxTokens: 1001}}]",
		`groups[0].powerSource: "Guess"`:                                    "groups: [" + goodGroup + ", powerSource: Guess}]",
		`groups[0].personas: unknown persona "lazy"`:                        "groups: [" + goodGroup + ", personas: {lazy: 1}}]",
		"groups[0].personas: 4 machines named, the group has 3":             "groups: [" + goodGroup + ", personas: {deaf: 2, dark: 2}}]",
		"groups[0].personas.deaf: -1 is negative":                           "groups: [" + goodGroup + ", personas: {deaf: -1}}]",
		"groups[0].ports.LuxOS: 70000 is not a port":                        "groups: [" + goodGroup + ", ports: {LuxOS: 70000}}]",
		"groups[0].physics.tolerancePercent: 9 is not between 0 and 5":      "groups: [" + goodGroup + ", physics: {tolerancePercent: 9}}]",
		`groups[1].name: "a" is taken by groups[0]`:                         "groups: [" + goodGroup + "}, " + strings.Replace(goodGroup, "127.5", "127.6", 1) + "}]",
		"groups[1].firstAddress: 127.5.1.0 to 127.5.1.2 overlaps groups[0]": "groups: [" + goodGroup + "}, " + strings.NewReplacer("name: a", "name: b", "127.5.0.254", "127.5.1.0").Replace(goodGroup) + "}]",
		"one process serves at most 50000":                                  strings.Replace("groups: ["+goodGroup+"}]", "count: 3", "count: 60000", 1),
	} {
		_, err := ParseFleet([]byte(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestPodsReachTheNetworkForTests(t *testing.T) {
	for _, first := range []string{"198.18.0.1", "198.19.255.252", "127.255.255.252"} {
		if _, err := ParseFleet([]byte("groups: [" + strings.Replace(goodGroup, "127.5.0.254", first, 1) + "}]")); err != nil {
			t.Errorf("three machines from %s on: %v", first, err)
		}
	}
}

func TestFleetFilePhysicsKeepsOtherDefaults(t *testing.T) {
	f, err := ParseFleet([]byte("groups: [" + goodGroup + ", physics: {bootSeconds: 5, reportErrorPercent: 0}}]"))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultTuning()
	want.BootSeconds, want.ReportErrorPercent = 5, 0
	if got := f.Groups[0].tuning(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestModelsAreFoundWithoutTheirMaker(t *testing.T) {
	for name, want := range map[string]string{
		"S21": "Antminer S21", "antminer s21": "Antminer S21", "M60S": "WhatsMiner M60S", "Whatsminer m63s": "WhatsMiner M63S",
		"Nano 3S": "Avalon Nano 3S", "avalon a1566": "Avalon A1566", "Gamma": "Bitaxe Gamma", "bitaxe gt": "Bitaxe GT",
	} {
		if m, err := FindModel(name); err != nil || m.Name != want {
			t.Errorf("%q is %q, %v", name, m.Name, err)
		}
	}
}
