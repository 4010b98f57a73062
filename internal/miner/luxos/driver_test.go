package luxos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestIdentify(t *testing.T) {
	m := s19kpro()
	got, err := New(m.serve(t)).Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{
		Firmware: miner.LuxOS, FirmwareVersion: "2025.4.8.220305-0a1b2c3d", Model: "Antminer S19K Pro",
		MAC: "62:f7:5e:b7:10:46", Serial: "JYZZB0UBDJABF06RB",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	_, commands := m.taken()
	if diff := cmp.Diff([]string{"version", "config", "profiles", "atm"}, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]func(*machine){
		"another cgminer": func(m *machine) {
			m.refuse["version"] = `{"STATUS":"S","Msg":"CGMiner versions","Description":"cgminer 4.11.1","Code":22}`
		},
		"invalid command": func(m *machine) {
			m.refuse["version"] = `{"STATUS":"E","Msg":"Invalid command","Description":"anthill","Code":14}`
		},
		"closes at once": func(m *machine) { m.silent["version"] = true },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			change(m)
			target := m.serve(t)
			_, err := New(target).Identify(t.Context())
			if !errors.Is(err, miner.ErrNotThisFirmware) || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("error %v is no ErrNotThisFirmware with an address", err)
			}
			if err := Probe(t.Context(), target); !errors.Is(err, miner.ErrNotThisFirmware) {
				t.Errorf("probe: error %v is no ErrNotThisFirmware", err)
			}
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(listener.Addr().String())
	listener.Close()
	_, err = New(miner.Target{Address: at.Addr(), Port: int(at.Port())}).Identify(t.Context())
	if !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

func TestCapabilities(t *testing.T) {
	base := miner.Capabilities{
		Sleep: true, SleepSurvivesReboot: true, NameplateWatts: 2808, NameplateTHs: 121.8, ResidualWatts: 25,
		Modes: []miner.Mode{
			{Name: "290MHz", Watts: 1188, THs: 58.1}, {Name: "390MHz", Watts: 1613, THs: 78.1},
			{Name: "default", Watts: 2808, THs: 118.2}, {Name: "690MHz", Watts: 3611, THs: 138.3},
		},
		SleepTiming: miner.Timing{Typical: 5 * time.Second, Worst: 10 * time.Second},
		WakeTiming:  miner.Timing{Typical: 10 * time.Second, Worst: 60 * time.Second},
		TrimTiming:  miner.Timing{Typical: 20 * time.Second, Worst: 60 * time.Second, Restarts: true},
	}
	old := base
	old.SleepSurvivesReboot = false
	tuned := base
	tuned.Modes, tuned.NameplateWatts, tuned.NameplateTHs = nil, 3611, 138.3
	cool := tuned
	cool.NameplateWatts, cool.NameplateTHs = 2808, 121.8
	blind := base
	blind.Modes, blind.NameplateWatts = nil, 2760
	cases := map[string]struct {
		change func(*machine)
		want   miner.Capabilities
	}{
		"as recorded": {func(*machine) {}, base},
		"2024: sleep may end with a reboot": {func(m *machine) {
			m.refuse["version"] = `{"STATUS":"S","Code":22,"Description":"LUXminer 2024.1.26.143259-2d8448bf"}`
		}, old},
		"no year in the release": {func(m *machine) {
			m.refuse["version"] = `{"STATUS":"S","Code":22,"Description":"LUXminer 0.1.0-15436f7140"}`
		}, old},
		"ATM on: no profiles to command": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true`)
		}, tuned},
		"ATM on, and bounded": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":"true"`).with("atm", `"MaxProfile":""`, `"MaxProfile":"390MHz"`)
		}, cool},
		"no profiles": {func(m *machine) { delete(m.bodies, "profiles") }, blind},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			c.change(m)
			if diff := cmp.Diff(c.want, identified(t, m).Capabilities()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Names that profileset would take for something else are not offered.
func TestCommandable(t *testing.T) {
	cases := map[string]bool{
		"default": true, "290MHz": true, "eco-2": true, "W": true, "my profile": true, "3 boards": true,
		"": false, "0": false, "3": false, "2.0": false, "+1": false, "-2": false, "-eco": false, "104THs": false, "3.2kW": false,
		"3200W": false, "3200 w": false, "a,b": false, "enabled=true": false,
	}
	for name, want := range cases {
		if got := commandable(name); got != want {
			t.Errorf("commandable(%q) is %v", name, got)
		}
	}
}

func TestReadAsRecorded(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(57.8031), Watts: new(int64(1051)), WattsSource: miner.Estimate,
		TargetWatts: new(int64(1188)), Effective: new(int64(1188)), Ceiling: new(int64(1188)), Mode: "290MHz",
		Uptime: new(7204 * time.Second), TemperatureC: new(52.25),
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadIsCheap(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	var counts []int
	for range 25 {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		orders, commands := m.taken()
		if len(orders) != 0 {
			t.Errorf("a reading ordered %v", orders)
		}
		counts = append(counts, len(commands))
	}
	want := []int{2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("connections per reading (-want +got):\n%s", diff)
	}
}

// The reply ends by NUL, by close, or not at all; it may be joined, merged or not joinable.
func TestReadFramings(t *testing.T) {
	merged := func(m *machine) {
		m.bodies["summary+power+config"] = m.bodies["summary"] + "," + m.bodies["power"] + "," + m.bodies["config"]
		m.joinless = true
	}
	cases := map[string]struct {
		change func(*machine)
		first  []string // connections of the second reading
	}{
		"closed without NUL":     {func(m *machine) { m.end = "" }, []string{"summary+power+config"}},
		"kept open, no NUL":      {func(m *machine) { m.end, m.keepOpen = "\n", true }, []string{"summary+power+config"}},
		"kept open after NUL":    {func(m *machine) { m.keepOpen = true }, []string{"summary+power+config"}},
		"garbage after the NUL":  {func(m *machine) { m.end = "\x00}{garbage" }, []string{"summary+power+config"}},
		"merged":                 {merged, []string{"summary+power+config"}},
		"joined refused":         {func(m *machine) { m.joinless = true }, []string{"config", "summary", "power"}},
		"joined closes silently": {func(m *machine) { m.silent["summary+power+config"] = true }, []string{"config", "summary", "power"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			c.change(m)
			d := identified(t, m)
			for range 2 {
				m.taken()
				got, err := d.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got.State != miner.Hashing || got.Watts == nil || *got.Watts != 1051 || got.Mode != "290MHz" {
					t.Errorf("reading %+v", got)
				}
			}
			if _, commands := m.taken(); !cmp.Equal(c.first, commands) {
				t.Errorf("connections %v, want %v", commands, c.first)
			}
		})
	}
}

func TestReadStates(t *testing.T) {
	type want struct {
		state     miner.State
		effective int64 // 0 is none
		ceiling   int64
		source    miner.Source
	}
	cases := map[string]struct {
		change func(*machine)
		told   bool // this driver commanded sleep before
		want   want
	}{
		"hashing":      {func(*machine) {}, false, want{miner.Hashing, 1188, 1188, miner.Estimate}},
		"PSU measures": {func(m *machine) { m.with("power", `"PSU":false`, `"PSU":true`) }, false, want{miner.Hashing, 1188, 1188, miner.PSU}},
		"asleep":       {func(m *machine) { asleep(m) }, false, want{miner.Sleeping, 0, 0, miner.Estimate}},
		"asleep, supply said to be on, little drawn": {func(m *machine) {
			asleep(m).with("config", `"IsPowerSupplyOn":false`, `"IsPowerSupplyOn":true`)
		}, false, want{miner.Sleeping, 0, 0, miner.Estimate}},
		"asleep by its word, and drawing": {func(m *machine) {
			asleep(m).with("power", `24`, `900`)
		}, false, want{miner.Stopping, 1188, 1188, miner.Estimate}},
		"on the way to sleep": {func(m *machine) {
			m.with("config", `"CurtailMode":"None"`, `"CurtailMode":"Sleep"`)
		}, true, want{miner.Stopping, 1188, 1188, miner.Estimate}},
		"a sleep mode nobody asked for, and hashing": {func(m *machine) {
			m.with("config", `"CurtailMode":"None"`, `"CurtailMode":"Sleep"`)
		}, false, want{miner.Hashing, 1188, 1188, miner.Estimate}},
		"asleep by its word, and hashing": {func(m *machine) {
			asleep(m).with("summary", `"GHS 5s":0`, `"GHS 5s":57000`)
		}, true, want{miner.Stopping, 1188, 1188, miner.Estimate}},
		"waking": {func(m *machine) { m.with("summary", `57803.1`, `"0.00"`) }, false, want{miner.Starting, 1188, 1188, miner.Estimate}},
		"ATM on, unbounded": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true`)
		}, false, want{miner.Hashing, 1188, 3611, miner.Estimate}},
		"ATM on, bounded": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true`).with("atm", `"MaxProfile":""`, `"MaxProfile":"390MHz"`)
		}, false, want{miner.Hashing, 1188, 1613, miner.Estimate}},
		"ATM on, bounded by a step": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true`).
				with("atm", `"MaxProfile":""`, `"MaxProfile":"-8","MaxProfileStep":"-8"`)
		}, false, want{miner.Hashing, 1188, 1613, miner.Estimate}},
		"ATM on, with power targeting": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true,"IsPowerTargetEnabled":true`).
				with("atm", `"MaxProfile":""`, `"MaxProfile":"default","MaxProfileStep":"0","PowerLimit":3500,"PowerMin":2800,"PowerTarget":3320`)
		}, false, want{miner.Hashing, 3320, 3500, miner.Estimate}},
		"a profile it does not list": {func(m *machine) {
			m.with("config", `"Profile":"290MHz"`, `"Profile":"custom"`)
		}, false, want{miner.Hashing, 0, 3611, miner.Estimate}},
		"power targeting": {func(m *machine) {
			m.with("config", `"IsTuning":false`, `"IsPowerTargetEnabled":true,"ActualPowerTarget":3320,"IdealPowerTarget":3300`)
		}, false, want{miner.Hashing, 3320, 3320, miner.Estimate}},
		"no power, no summary": {func(m *machine) {
			delete(m.bodies, "power")
			delete(m.bodies, "summary")
			m.with("config", `"CurtailMode":"None",`, ``)
		}, false, want{miner.Unknown, 1188, 1188, ""}},
	}
	value := func(p *int64) int64 {
		if p == nil {
			return 0
		}
		return *p
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			c.change(m)
			d := identified(t, m)
			d.toldToSleep = c.told
			r, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := want{r.State, value(r.Effective), value(r.Ceiling), r.WattsSource}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// What is known of a machine is not lost when it says less for a while.
func TestCapabilitiesOutliveGaps(t *testing.T) {
	m := s19kpro().with("profiles", `"Watts":2808`, `"Watts":2700`) // under the model's nameplate
	d := identified(t, m)
	want := d.Capabilities()
	m.mu.Lock()
	m.bodies["profiles"] = `"PROFILES":[]`
	m.bodies["config"] = `"CONFIG":[{"CurtailMode":"None","Profile":"290MHz"}]`
	m.mu.Unlock()
	for range 2 * slowEvery {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, d.Capabilities()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Switching automatic tuning on takes the profiles away, and off gives them back.
func TestCapabilitiesFollowATM(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	for _, on := range []bool{true, false} {
		m.with("config", fmt.Sprintf(`"IsAtmEnabled":%v`, !on), fmt.Sprintf(`"IsAtmEnabled":%v`, on))
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := d.Capabilities(); (len(c.Modes) == 0) != on || (c.NameplateWatts == 3611) != on {
			t.Errorf("ATM %v: %d modes, nameplate %d W", on, len(c.Modes), c.NameplateWatts)
		}
	}
}

func TestFaultsFromSystemStatus(t *testing.T) {
	m := s19kpro().with("config", `"SystemStatus":"Normal"`, `"SystemStatus":"PSU Failure\u0007"`)
	r, err := identified(t, m).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"system status: PSU Failure"}, r.Faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeadlineIsObeyed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = conn.Read(make([]byte, 100))
			_, _ = conn.Write([]byte(`{"STATUS":`))
			cancel() // and never another byte
		}
	}()
	at := netip.MustParseAddrPort(listener.Addr().String())
	_, err = New(miner.Target{Address: at.Addr(), Port: int(at.Port())}).Read(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
}

func BenchmarkRead(b *testing.B) {
	m := s19kpro()
	d := New(m.serve(b))
	if _, err := d.Identify(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
