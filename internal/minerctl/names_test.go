package minerctl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestFirmwaresAreNamedInAnyCase(t *testing.T) {
	for text, want := range map[string]miner.Firmware{"": miner.Auto, "auto": miner.Auto, "luxos": miner.LuxOS, "WHATSMINER": miner.WhatsMiner} {
		if got, err := ParseFirmware(text); got != want || err != nil {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	if _, err := ParseFirmware("Whatever"); err == nil || !strings.Contains(err.Error(), "LuxOS") {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestPorts(t *testing.T) {
	got, err := ParsePorts([]string{"luxos=14028", "WhatsMiner = 1", "WhatsMinerV3=65535"})
	if diff := cmp.Diff(map[string]int{"LuxOS": 14028, "WhatsMiner": 1, "WhatsMinerV3": 65535}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for want, texts := range map[string][]string{
		"is no FIRMWARE=PORT":     {"LuxOS"},
		"port of 1 to 65535":      {"LuxOS=0"},
		`"LuxOS=65536" is no`:     {"LuxOS=65536"},
		`"LuxOS=-1" is no`:        {"LuxOS=-1"},
		"names no firmware":       {"LuxOSV3=80"},
		"LuxOS has two ports":     {"LuxOS=1", "luxos=2"},
		`"=80" names no`:          {"=80"},
		`"Auto=80" names no firm`: {"Auto=80"},
	} {
		if _, err := ParsePorts(texts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q, got %v", texts, want, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.1": "10.0.0.1", "::ffff:10.0.0.1": "10.0.0.1", "fe80::1": "fe80::1"} {
		if got, err := ParseAddress(text); err != nil || got.String() != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"10.0.0.1:80": "--port", "miner-7": "is no IP address", "": "is no IP address"} {
		if _, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
}

func TestRanges(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7": "10.0.0.7", "10.0.0.9/30": "10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11", "10.0.0.255-10.0.1.0": "10.0.0.255 10.0.1.0",
		"10.0.0.2,10.0.0.1-10.0.0.3": "10.0.0.1 10.0.0.2 10.0.0.3", "255.255.255.254/31": "255.255.255.254 255.255.255.255",
	} {
		addrs, err := ParseRanges(strings.Split(text, ","))
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	if addrs, err := ParseRanges([]string{"10.1.2.3/16"}); err != nil || len(addrs) != 1<<16 || addrs[0].String() != "10.1.0.0" {
		t.Errorf("a /16 has %d addresses, %v", len(addrs), err)
	}
	for text, want := range map[string]string{
		"10.0.0.0/15": "wider than a /16", "10.0.0.0-10.1.0.0": "more than 65536", "10.0.0.2-10.0.0.1": "ends before it begins",
		"fe80::/64": "no IPv4 network", "fe80::1": "no IPv4 address", "miners": "no IPv4 address", "": "no IPv4 address",
		"10.0.0.0/33": "no IPv4 network", "1.0.0.0/16,2.0.0.0/16,3.0.0.0/16,4.0.0.0/16,5.0.0.0/16,6.0.0.0/16": "scan in parts",
	} {
		if _, err := ParseRanges(strings.Split(text, ",")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", text, want, err)
		}
	}
}

func FuzzRanges(f *testing.F) {
	for _, text := range []string{"10.0.0.0/24", "10.0.0.1-10.0.0.9", "10.0.0.1", "-", "/", "1.1.1.1-", "0.0.0.0-255.255.255.255"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addrs, err := ParseRanges([]string{text})
		if err == nil && (len(addrs) == 0 || len(addrs) > mostOfOne) {
			t.Errorf("%q has %d addresses", text, len(addrs))
		}
		for i, a := range addrs {
			if !a.Is4() || i > 0 && !addrs[i-1].Less(a) {
				t.Fatalf("%q: %s after %s", text, a, addrs[i-1])
			}
		}
	})
}
