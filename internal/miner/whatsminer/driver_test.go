package whatsminer

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestIdentify(t *testing.T) {
	cases := map[string]struct {
		machine  *machine
		want     miner.Identity
		commands []string
	}{
		"API v2": {
			m30s(),
			miner.Identity{
				Firmware: miner.WhatsMiner, FirmwareVersion: "20240624.18.REL", Model: "M30S+VH30",
				MAC: "ce:02:01:00:8c:36", Serial: "HHM38S98302B24K40073",
			},
			[]string{"get_version", "get_miner_info", "devdetails", "status", "summary", "edevs", "get_error_code"},
		},
		"API v3": {
			m60s(),
			miner.Identity{
				Firmware: miner.WhatsMiner, FirmwareVersion: "20251209.16.Rel2", Model: "M60S_VK40",
				MAC: "ce:02:01:00:8c:36", Serial: "HBM1XXX",
			},
			[]string{"get_version", "get.device.info", "get.device.info", "get.miner.status summary"},
		},
		"API v3 on firmware of before": {
			m60s().with("get_version", "20251209.16.Rel2", "20240722.07.51.REL"),
			miner.Identity{
				Firmware: miner.WhatsMiner, FirmwareVersion: "20251209.16.Rel2", Model: "M60S_VK40",
				MAC: "ce:02:01:00:8c:36", Serial: "HBM1XXX",
			},
			[]string{"get_version", "get.device.info", "get.device.info", "get.miner.status summary"},
		},
		"API v3 alone": {
			func() *machine { m := m60s(); m.noPlain = true; return m }(),
			miner.Identity{
				Firmware: miner.WhatsMiner, FirmwareVersion: "20251209.16.Rel2", Model: "M60S_VK40",
				MAC: "ce:02:01:00:8c:36", Serial: "HBM1XXX",
			},
			[]string{"get.device.info", "get.device.info", "get.miner.status summary"},
		},
		"API v1": {
			oldMachine(),
			miner.Identity{Firmware: miner.WhatsMiner, FirmwareVersion: "20210109.22.REL", Model: "M31SV10", MAC: "c6:06:12:00:2d:63"},
			[]string{"get_version", "get_miner_info", "devdetails", "summary", "status", "summary", "get_error_code"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := c.machine.serve(t).Identify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			orders, commands := c.machine.taken()
			if diff := cmp.Diff(c.commands, commands); diff != "" || len(orders) > 0 {
				t.Errorf("orders %v, commands (-want +got):\n%s", orders, diff)
			}
		})
	}
}

// oldMachine is of API v1: it names itself, breaks lines inside its replies, and leaves commas behind.
func oldMachine() *machine {
	m := m30s()
	m.msgs["get_version"] = `{"STATUS":"S","When":1,"Code":131,"Msg":{"api_ver":"whatsminer v1.3","fw_ver":"'20210109.22.REL'"},"Description":"whatsminer v1.3"}`
	m.msgs["devdetails"] = "{\"STATUS\":[{\"STATUS\":\"S\"}],\n\"DEVDETAILS\":[{\"Model\":\"M31SV10\",},],\n\"id\":1}\n"
	m.msgs["status"] = `{"STATUS":"S","When":1613790817,"Code":131,"Msg":{"btmineroff":"false","Firmware Version":"'20210109.22.REL'"},"Description":"whatsminer v1.3"}`
	m.msgs["summary"] = "{\"STATUS\":[{\"STATUS\":\"S\"}],\n\"SUMMARY\":[{\"Elapsed\":33102,\"HS RT\":76718604.38,\"Power\":3400,\"MAC\":\"C6:06:12:00:2D:63\"," +
		"\"Power\nRate\":44.3,\"Factory GHS\":75697,\"Power Limit\":3600,\"Uptime\":1405529,\"Upfreq Complete\":1,}],\"id\":1,}\n"
	delete(m.msgs, "get_miner_info")
	delete(m.msgs, "edevs")
	return m
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
		says   string
	}{
		"another cgminer": {func(m *machine) {
			m.msgs["get_version"] = `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command","Description":"cgminer 4.11.1"}],"id":1}`
			m.msgs["summary"] = `{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"Elapsed":7,"MHS 5s":5.0,"Temperature":60,"Fan Speed In":7}],"id":1}`
		}, miner.ErrNotThisFirmware, "Invalid command"},
		"LuxOS": {func(m *machine) {
			m.msgs["get_version"] = `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command","Description":"LUXminer 2025.4.8"}],"id":1}`
			delete(m.msgs, "summary")
		}, miner.ErrNotThisFirmware, "Invalid command"},
		"a yes without a version": {func(m *machine) { m.msgs["get_version"] = v2ok(`{}`) }, miner.ErrNotThisFirmware, "names no WhatsMiner"},
		"closes at once":          {func(m *machine) { m.silent["get_version"], m.silent["summary"] = true, true }, miner.ErrNotThisFirmware, "cut short"},
		"full":                    {func(m *machine) { m.msgs["get_version"] = v2no(136, "over max connect") }, miner.ErrBusy, "over max"},
		"nobody":                  {func(m *machine) { m.noPlain = true }, miner.ErrUnreachable, "127.0.0.1"},
		"new firmware whose API v3 is another's": {func(m *machine) {
			m.with("get_version", "20240624", "20241101")
			m.noFramed = false
			m.silent["get.device.info"] = true
		}, nil, "API v3 alone"},
		"neither status nor summary": {func(m *machine) { delete(m.msgs, "status"); delete(m.msgs, "summary") }, miner.ErrUnsupported, "summary"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := m30s()
			c.change(m)
			_, err := m.serve(t).Identify(t.Context())
			if errors.Is(c.want, miner.ErrBusy) && errors.Is(err, miner.ErrNotThisFirmware) {
				t.Errorf("error %v says that it is another machine", err)
			}
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("error %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

// A machine that names neither API is not guessed at: what takes API v2's place on port 4433 is left alone.
func TestOtherServiceOnFramedPort(t *testing.T) {
	m := m60s()
	m.with("get_version", "20251209.16.Rel2", "20240624.18.REL")
	m.frames = map[string]string{"get.device.info": `{}`}
	d := m.serve(t)
	if id, err := d.Identify(t.Context()); err != nil || id.Model != "M30S+VH30" || d.api != protocol(d.plain) {
		t.Errorf("identity %+v, %v", id, err)
	}
}

func TestPorts(t *testing.T) {
	for port, want := range map[int][2]uint16{0: {4028, 4433}, 14028: {14028, 14433}, 65500: {65500, 0}} {
		d := New(miner.Target{Address: netip.MustParseAddr("10.0.0.1"), Port: port})
		if got := [2]uint16{d.plain.address.Port(), d.framed.address.Port()}; got != want {
			t.Errorf("port %d: %v, want %v", port, got, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	cases := map[string]struct {
		username, password      string
		plain, account, another string
	}{
		"defaults":               {"", "", "admin", "super", "super"},
		"a user of API v2":       {"admin", "pw", "pw", "super", "pw"},
		"a user of API v3":       {"user2", "pw", "pw", "user2", "pw"},
		"a user of another make": {"root", "pw", "pw", "super", "pw"},
	}
	for name, c := range cases {
		d := New(miner.Target{Address: netip.MustParseAddr("10.0.0.1"), Username: c.username, Password: c.password})
		if d.plain.password != c.plain || d.framed.account != c.account || d.framed.password != c.another {
			t.Errorf("%s: %q, %q, %q", name, d.plain.password, d.framed.account, d.framed.password)
		}
	}
}

func TestCapabilities(t *testing.T) {
	base := miner.Capabilities{
		Sleep: true, Continuous: true, MinWatts: 2200, MaxWatts: 3600, StepWatts: 50,
		NameplateWatts: 3600, NameplateTHs: 100, ResidualWatts: 50,
		SleepTiming: miner.Timing{Typical: 15 * time.Second, Worst: 30 * time.Second},
		WakeTiming:  miner.Timing{Typical: 60 * time.Second, Worst: 180 * time.Second},
		TrimTiming:  miner.Timing{Typical: 60 * time.Second, Worst: 180 * time.Second, Restarts: true},
	}
	v3 := base
	v3.NameplateTHs = 181.051
	trimmed := base // 100 TH/s at 35.03 J/TH: what it was before is not told any more
	trimmed.MaxWatts, trimmed.NameplateWatts, trimmed.MinWatts = 3503, 3503, 2150
	blind := base
	blind.Continuous, blind.MinWatts, blind.MaxWatts, blind.StepWatts, blind.NameplateWatts = false, 0, 0, 0, 0
	cases := map[string]struct {
		machine *machine
		want    miner.Capabilities
	}{
		"API v2": {m30s(), base},
		"API v3": {m60s(), v3},
		"trimmed before it was met": {
			m30s().with("status", `"power_limit_set":""`, `"power_limit_set":"2500"`).with("summary", `"Power Limit":3600`, `"Power Limit":2500`), trimmed,
		},
		"asleep, its limit unknown": {m30s().asleep().with("summary", `"Power Limit":3600`, `"Power Limit":0`), blind},
		"limits that are none":      {m30s().with("status", `"power_limit_set":""`, `"power_limit_set":"2147483647"`).with("summary", `3600`, `99999`), blind},
		"API v1: only read":         {oldMachine(), miner.Capabilities{NameplateWatts: 3600, NameplateTHs: 75.697, ResidualWatts: 50}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
			if diff := cmp.Diff(c.want, identified(t, c.machine).Capabilities(), near); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is known of a machine is not lost when it is off and says less.
func TestCapabilitiesOutliveSleep(t *testing.T) {
	m := m30s()
	d := identified(t, m)
	want := d.Capabilities()
	m.asleep().with("summary", `"Power Limit":3600`, `"Power Limit":0`).with("summary", `"Factory GHS":100000`, `"Factory GHS":0`)
	if _, err := d.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, d.Capabilities()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReleases(t *testing.T) {
	for firmware, want := range map[string]int{
		"20240624.18.REL": 20240624, "20250214.16.1": 20250214, "20240722.07.51.REL": 20240722, "": 0, "x": 0, "2024.1": 0, "99999999.1": 0, "-0240624.1": 0,
	} {
		if got := releaseOf(firmware); got != want {
			t.Errorf("%q: %d, want %d", firmware, got, want)
		}
	}
	for name, c := range map[string]struct {
		v    version
		want bool
	}{
		"v1":                    {version{API: "whatsminer v1.3", Firmware: "20210322.22.REL"}, true},
		"v1.4 of after the day": {version{API: "whatsminer v1.4.0", Firmware: "20220919.15.REL"}, true},
		"v2 of before the day":  {version{API: "2.0.0", Firmware: "20220728.1"}, true},
		"v2":                    {version{API: "2.0.3", Firmware: "20220729.1"}, false},
		"v3, no date":           {version{API: "3.0.1", Firmware: "x"}, false},
		"no date":               {version{API: "2.0.5", Firmware: "x"}, true},
	} {
		if got := tooOld(c.v, releaseOf(string(c.v.Firmware))); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestProbe(t *testing.T) {
	cases := map[string]struct {
		machine  *machine
		commands []string
	}{
		"API v2":       {m30s(), []string{"get_version"}},
		"API v3":       {m60s(), []string{"get_version"}},
		"API v1":       {oldMachine(), []string{"get_version"}},
		"API v3 alone": {func() *machine { m := m60s(); m.noPlain = true; return m }(), []string{"get.device.info"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := probe(t.Context(), c.machine.serve(t)); err != nil {
				t.Error(err)
			}
			if _, commands := c.machine.taken(); !cmp.Equal(c.commands, commands) {
				t.Errorf("asked %v", commands)
			}
		})
	}
	nobody := &machine{noPlain: true, noFramed: true}
	if err := probe(t.Context(), nobody.serve(t)); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("nobody: %v", err)
	}
	other := &machine{msgs: map[string]string{"get_version": `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}`}, noFramed: true}
	if err := probe(t.Context(), other.serve(t)); !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("another make: %v", err)
	}
}
