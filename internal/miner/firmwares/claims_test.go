package firmwares

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestAllClaimsAreHeard(t *testing.T) {
	cases := map[string]struct {
		rpc  func(string) string
		web  http.HandlerFunc
		want []miner.Firmware
	}{
		"one":                           {rpc: lux, want: []miner.Firmware{miner.LuxOS}},
		"two that are sure":             {rpc: lux, web: bosWith(says(`{"major":1}`)), want: []miner.Firmware{miner.LuxOS, miner.BraiinsOS}},
		"sure, and perhaps":             {web: vnishWith(http.StatusUnauthorized), want: []miner.Firmware{miner.VNish}},
		"perhaps, as nobody is surer":   {web: bosWith(unauthorized("")), want: []miner.Firmware{miner.BraiinsOS}},
		"something else":                {web: says("<html>")},
		"something else that is secret": {web: unauthorized(`Basic realm="printer"`)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ports := nobody(t)
			if c.rpc != nil {
				ports["LuxOS"] = (&rpc{reply: c.rpc}).serve(t)
			}
			server := &web{handle: c.web}
			if c.web != nil {
				ports["BraiinsOS"] = server.serve(t)
			}
			ports["VNish"] = ports["BraiinsOS"]
			target := miner.Target{Address: netip.MustParseAddr("127.0.0.1"), Username: "root", Password: "s3cr3t"}
			answers := Ask(t.Context(), target, ports, []miner.Firmware{miner.BraiinsOS, miner.LuxOS, miner.VNish})
			if len(answers) != 3 {
				t.Errorf("three were to be asked: %v", answers)
			}
			if diff := cmp.Diff(c.want, Claims(answers)); diff != "" {
				t.Errorf("claims (-want +got):\n%s%v", diff, answers)
			}
			if server.secrets {
				t.Error("credentials were sent")
			}
		})
	}
}

func TestAnAddressWithoutAnswerHasNoClaims(t *testing.T) {
	target := miner.Target{Address: netip.MustParseAddr("127.0.0.1")}
	answers := Ask(t.Context(), target, nobody(t), nil)
	if len(answers) != len(Supported()) || len(Claims(answers)) != 0 {
		t.Errorf("%v", answers)
	}
	for _, a := range answers {
		if !errors.Is(a.Err, miner.ErrUnreachable) {
			t.Errorf("%s: %v", a.Firmware, a.Err)
		}
	}
}

func TestPortsAreWhereTheProbesKnock(t *testing.T) {
	for name, c := range map[string]struct {
		mapped map[string]int
		want   map[miner.Firmware][]int
	}{
		"their own": {nil, map[miner.Firmware][]int{
			miner.LuxOS: {4028}, miner.WhatsMiner: {4028, 4433}, miner.VNish: {80}, miner.BraiinsOS: {80, 4028}, miner.EPIC: {4028}, miner.Auradine: {4028, 8080},
		}},
		"mapped": {
			map[string]int{"LuxOS": 5000, "WhatsMiner": 6000, "VNish": 7000},
			map[miner.Firmware][]int{miner.LuxOS: {5000}, miner.WhatsMiner: {6000, 6405}, miner.VNish: {7000}, miner.BraiinsOS: {80, 4028}},
		},
		"the second alone": {
			map[string]int{"WhatsMinerV3": 6001}, map[miner.Firmware][]int{miner.WhatsMiner: {4028, 6001}},
		},
	} {
		found := Ports(t.Context(), c.mapped)
		for f, want := range c.want {
			if diff := cmp.Diff(want, found[f]); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, f, diff)
			}
		}
		for _, f := range Supported() {
			if len(found[f]) == 0 {
				t.Errorf("%s knocks nowhere", f)
			}
		}
	}
	if names := PortNames(); !slices.Contains(names, "WhatsMinerV3") || slices.Contains(names, "LuxOSV3") {
		t.Errorf("ports may be mapped for %v", names)
	}
}

func TestWhoWantsALogin(t *testing.T) {
	for f, want := range map[miner.Firmware]bool{miner.LuxOS: false, miner.VNish: true, miner.BraiinsOS: true, miner.WhatsMiner: true} {
		if WantsLogin(f) != want {
			t.Errorf("%s wants a login: %t", f, !want)
		}
	}
}

// TestSecurePortOfRigsIsLookedFor beside the plain one, so that a scan knocks there.
func TestSecurePortOfRigsIsLookedFor(t *testing.T) {
	if got := Ports(t.Context(), nil)[miner.ProtoRig]; !slices.Equal(got, []int{80, 443}) {
		t.Errorf("%v", got)
	}
}
