package vnish

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestIdentify(t *testing.T) {
	m := s21pro()
	d := New(wiretest.Serve(t, m))
	got, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{
		Firmware: miner.VNish, FirmwareVersion: "1.2.7", Model: "Antminer S21 Pro", MAC: "02:95:23:b3:e0:79",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantRequests := []string{"GET info", "POST unlock", "GET settings", "GET autotune/presets", "GET perf-summary"}
	if diff := cmp.Diff(wantRequests, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	// No MAC: then its serial number is the machine.
	m.Set("GET info", strings.NewReplacer("02:95:23:B3:E0:79", "", `"serial":"N/A"`, `"serial":"SMTT123"`).Replace(m.Replies["GET info"]))
	if got, err = d.Identify(t.Context()); err != nil || got.MAC != "" || got.Serial != "SMTT123" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSupported(t *testing.T) {
	for release, want := range map[string]bool{
		"1.2.7": true, "1.2.0-beta10": true, "1.3": true, "1.10.1": true, "2.0.0": true, "3": true, "nightly": true, "1.3-rc1": true,
		"1.1.9": false, "1.0": false, "0.9.3": false, "1": false, "0": false,
	} {
		if got := supported(wireText(release)); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}

// The recorded machine: told 3160 W, at 2800 W, drawing 2583 W, free to go to 4690 W: all of them are said.
func TestReadRecorded(t *testing.T) {
	m := s21pro()
	d := identified(t, m)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(173870.94 / 1e3), Watts: new(int64(2583)), WattsSource: miner.PSU,
		TargetWatts: new(int64(3160)), Effective: new(int64(2800)), Ceiling: new(int64(4690)), Mode: "2800",
		TemperatureC: new(65.0), Uptime: new(115 * time.Minute),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET summary", "GET perf-summary", "GET info"}, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	c := d.Capabilities()
	if len(c.Modes) != 0 || c.Continuous || c.NameplateWatts != 4690 || !c.SleepSurvivesReboot || !c.Sleep {
		t.Errorf("capabilities %+v", c)
	}
	if ths := c.NameplateTHs; ths < 237 || ths > 237.1 {
		t.Errorf("nameplate %v TH/s", ths)
	}
}

func TestReadTuned(t *testing.T) {
	m := s19()
	d := identified(t, m)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if *got.TargetWatts != 2700 || *got.Effective != 2700 || *got.Ceiling != 2700 || got.Mode != "2700" || got.State != miner.Hashing {
		t.Errorf("%+v", got)
	}
	if want := 9*24*time.Hour + 3*time.Hour + 58*time.Minute; *got.Uptime != want {
		t.Errorf("uptime %v", *got.Uptime)
	}
	c := d.Capabilities()
	want := []miner.Mode{{Name: "1740", Watts: 1740, THs: 65}, {Name: "2300", Watts: 2300, THs: 87}, {Name: "2700", Watts: 2700, THs: 96}}
	if diff := cmp.Diff(want, c.Modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	for _, p := range d.presets {
		if p.Tune != nil {
			t.Errorf("keeps the clocks of preset %s", p.Name)
		}
	}
	if c.NameplateWatts != 3068 || !c.TrimTiming.Restarts {
		t.Errorf("capabilities %+v", c)
	}
}

func TestState(t *testing.T) {
	cases := map[string]struct {
		word, ghs, watts string
		want             miner.State
	}{
		"mining":                         {"mining", "97000", "2700", miner.Hashing},
		"mining with no hash rate yet":   {"mining", "0", "2700", miner.Starting},
		"mining, hash rate not said":     {"mining", "null", "2700", miner.Unknown},
		"tuning":                         {"auto-tuning", "97000", "2700", miner.Hashing},
		"tuning, spelt otherwise":        {"Auto_Tuning", "97000", "2700", miner.Hashing},
		"initializing":                   {"initializing", "0", "30", miner.Starting},
		"starting":                       {"starting", "97000", "2700", miner.Starting},
		"restarting":                     {"restarting", "0", "30", miner.Starting},
		"shutting down":                  {"shutting-down", "0", "30", miner.Stopping},
		"stopped":                        {"stopped", "0", "30", miner.Sleeping},
		"paused":                         {"paused", "0", "30", miner.Sleeping},
		"stopped and still hashing":      {"stopped", "97000", "30", miner.Stopping},
		"stopped and still drawing":      {"stopped", "0", "2700", miner.Stopping},
		"failure":                        {"failure", "0", "0", miner.Failed},
		"a word nobody knows":            {"dreaming", "0", "0", miner.Unknown},
		"no word and no hash rate: none": {"", "0", "0", miner.Unknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19()
			d := identified(t, m)
			m.Set("GET summary", summaryOf(c.word, c.ghs, c.watts))
			m.Set("GET status", `{}`)
			r, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.State != c.want {
				t.Errorf("state %q, want %q", r.State, c.want)
			}
			if (r.State == miner.Sleeping) != (r.Effective == nil && r.Ceiling == nil) {
				t.Errorf("effective %v, ceiling %v", r.Effective, r.Ceiling)
			}
		})
	}
}

// Where no mining process runs, the firmware itself says what it does; watts stay unknown.
func TestReadWithoutProcess(t *testing.T) {
	m := s19()
	d := identified(t, m)
	m.Set("GET summary", `{"miner":null}`)
	m.is("stopped")
	r, err := d.Read(t.Context())
	if err != nil || r.State != miner.Sleeping || r.Watts != nil || r.WattsSource != "" || r.HashrateTHs != nil {
		t.Errorf("%+v, %v", r, err)
	}
	m.Fail("GET status", http.StatusInternalServerError)
	if r, err = d.Read(t.Context()); err != nil || r.State != miner.Unknown {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWatts(t *testing.T) {
	cases := map[string]struct {
		state, watts string
		metered      bool
		want         *int64
		source       miner.Source
	}{
		"metered":                         {"mining", "2583", true, new(int64(2583)), miner.PSU},
		"reckoned":                        {"mining", "2583.2", false, new(int64(2584)), miner.Estimate},
		"0 while it mines":                {"mining", "0", false, nil, ""},
		"0 metered while it mines":        {"mining", "0", true, nil, ""},
		"asleep, metered":                 {"stopped", "21", true, new(int64(21)), miner.PSU},
		"asleep, reckoned without boards": {"stopped", "0", false, new(int64(residualWatts)), miner.Estimate},
		"asleep, reckoned":                {"stopped", "90", false, new(int64(90)), miner.Estimate},
		"not said":                        {"mining", "null", true, new(int64(2583)), miner.Estimate}, // but under its other name
		"as text":                         {"mining", `"2583"`, true, new(int64(2583)), miner.PSU},
		"impossible":                      {"mining", "2583000", true, nil, ""},
		"negative":                        {"mining", "-1", true, nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19()
			d := identified(t, m)
			ghs := "97000"
			if c.state == "stopped" {
				ghs = "0"
			}
			reply := summaryOf(c.state, ghs, c.watts)
			if !c.metered {
				reply = strings.Replace(reply, `"psu_power_metering":true`, `"psu_power_metering":null`, 1)
			}
			m.Set("GET summary", reply)
			r, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, r.Watts); diff != "" || r.WattsSource != c.source {
				t.Errorf("from %q (-want +got):\n%s", r.WattsSource, diff)
			}
		})
	}
}

// Scrypt models count in MH/s; a unit that is not named is GH/s.
func TestHashrateUnit(t *testing.T) {
	for unit, want := range map[string]float64{"GH/s": 16.2, "MH/s": 0.0162, "N/A": 16.2, "TH/s": 16200} {
		m := s19()
		m.Replies["GET info"] = strings.Replace(m.Replies["GET info"], "GH/s", unit, 1)
		m.Replies["GET summary"] = summaryOf("mining", "16200", "3300")
		r, err := identified(t, m).Read(t.Context())
		if err != nil || *r.HashrateTHs < want*0.999 || *r.HashrateTHs > want*1.001 || r.State != miner.Hashing {
			t.Errorf("%s: %v TH/s, %v, %v", unit, *r.HashrateTHs, r.State, err)
		}
	}
}

func TestUptime(t *testing.T) {
	hour := time.Hour
	for text, want := range map[string]*time.Duration{
		"0:06": new(6 * time.Minute), "1:55": new(hour + 55*time.Minute), "23:00": new(23 * hour), "1 day, 0:00": new(24 * hour),
		"9 days,  3:58": new(9*24*hour + 3*hour + 58*time.Minute), "3 days": new(72 * hour),
		"": nil, "soon": nil, "55": nil, "1:2:3": nil, "25:00": nil, "1:60": nil, "-1:00": nil, "-1 days, 1:00": nil, "days, 1:00": nil,
	} {
		if diff := cmp.Diff(want, uptime(wireText(text))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// What may change the preset by itself owns it; so does a person who set the clocks.
func TestOwned(t *testing.T) {
	cases := map[string]struct {
		change  func(*machine)
		ceiling *int64
		plate   int64
	}{
		"switcher": {func(m *machine) { m.Replies["GET perf-summary"] = perfText("2700", tuned, true) }, new(int64(4690)), 4690},
		"switcher without a top": {func(m *machine) {
			m.Replies["GET perf-summary"] = strings.Replace(perfText("2700", tuned, true), `"4690"`, "null", 1)
		}, new(int64(3900)), 3900},
		"switcher, by settings alone": {func(m *machine) {
			m.Replies["GET settings"] = settingsText("2700", true)
			delete(m.Replies, "GET perf-summary")
		}, new(int64(4690)), 4690},
		"clocks by hand": {func(m *machine) {
			m.Replies["GET settings"] = settingsText(manual, false)
			m.Replies["GET perf-summary"] = perfText(manual, "untuned", false)
		}, nil, 3068},
		"settings out of reach": {func(m *machine) { delete(m.Replies, "GET settings") }, new(int64(2700)), 3068},
		"settings that name no preset": {func(m *machine) {
			m.Replies["GET settings"] = `{"miner":{"overclock":{"preset":null}}}`
		}, new(int64(2700)), 3068},
		"settings of another shape": {func(m *machine) { m.Replies["GET settings"] = `{"miner":{"overclock":["2700"]}}` }, new(int64(2700)), 3068},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19()
			c.change(m)
			d := identified(t, m)
			r, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.ceiling, r.Ceiling); diff != "" {
				t.Errorf("ceiling (-want +got):\n%s", diff)
			}
			if caps := d.Capabilities(); len(caps.Modes) != 0 || caps.NameplateWatts != c.plate {
				t.Errorf("capabilities %+v", caps)
			}
			err = d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: "2300"})
			if !errors.Is(err, miner.ErrUnsupported) {
				t.Errorf("error %v is no ErrUnsupported", err)
			}
			if commands := m.Commands(); len(commands) != 0 {
				t.Errorf("sent %v", commands)
			}
		})
	}
}

// A name that is no draw one machine can have is no preset to command, and no list is kept without end.
func TestOddPresets(t *testing.T) {
	m := s19()
	odd := `{"name":"0","status":"tuned"},{"name":"-5","status":"tuned"},{"name":"100001","status":"tuned"},{"name":"2.5e3","status":"tuned"},
		{"name":"2300 W","status":"tuned"},{"name":null,"status":"tuned"},{"name":["9"],"status":"tuned"},7,{"name":2300,"status":"tuned"},`
	m.Replies["GET autotune/presets"] = "[" + odd + strings.Repeat(`{"name":"2300","status":"tuned"},`, 200) + `{"name":"9000","status":"tuned"}]`
	d := identified(t, m)
	if diff := cmp.Diff([]miner.Mode{{Name: "2300", Watts: 2300}}, d.Capabilities().Modes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(d.presets) != maxPresets {
		t.Errorf("keeps %d presets", len(d.presets))
	}
}

// A preset for a modded supply is offered where there is one.
func TestModdedSupply(t *testing.T) {
	m := s19()
	m.Replies["GET settings"] = strings.Replace(m.Replies["GET settings"], `"modded_psu":false`, `"modded_psu":true`, 1)
	modes := identified(t, m).Capabilities().Modes
	if len(modes) != 4 || modes[3].Name != "3900" {
		t.Errorf("modes %v", modes)
	}
}

// A preset that is set and waits for a restart of mining counts: recorded for 32 hours.
func TestPendingPresetCounts(t *testing.T) {
	m := s19()
	m.Replies["GET perf-summary"] = perfText("2300", tuned, false)
	r, err := identified(t, m).Read(t.Context())
	if err != nil || *r.Effective != 2300 || *r.TargetWatts != 2700 || *r.Ceiling != 2700 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFaults(t *testing.T) {
	m := s19()
	d := identified(t, m)
	m.Set("GET summary", `{"miner":{"miner_status":{"miner_state":"failure","miner_state_time":1,"throttled":60,
		"description":"Failed to parse\nminer configuration","failure_code":1002},"hr_realtime":0.0,"power_consumption":0,
		"chains":[{"id":1,"status":{"state":"mining"}},{"id":2,"status":{"state":"failure","description":"overheat"}},
		{"id":3,"status":{"state":"disconnected"}},7]}}`)
	r, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"failure 1002: Failed to parseminer configuration", "throttled to 60 % on the machine",
		"board 2: failure: overheat", "board 3: disconnected",
	}
	if diff := cmp.Diff(want, r.Faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What changes slowly is looked at in turn, one more request every fourth reading, and stands without.
func TestSlowReads(t *testing.T) {
	m := s19()
	d := identified(t, m)
	var extra []string
	for range 12 {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		extra = append(extra, strings.Join(m.Taken()[2:], "+"))
	}
	want := []string{"GET info", "", "", "", "GET settings", "", "", "", "GET autotune/presets", "", "", ""}
	if diff := cmp.Diff(want, extra); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, path := range []string{"GET info", "GET settings", "GET autotune/presets", "GET perf-summary"} {
		m.Fail(path, http.StatusInternalServerError)
	}
	for range 12 {
		if r, err := d.Read(t.Context()); err != nil || *r.TargetWatts != 2700 || len(d.Capabilities().Modes) != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	m.Fail("GET summary", http.StatusInternalServerError)
	if _, err := d.Read(t.Context()); err == nil {
		t.Error("a reading without a summary")
	}
}

// Settings that change are followed: a person turns the switcher on, and tunes another preset.
func TestCapabilitiesFollow(t *testing.T) {
	m := s19()
	d := identified(t, m)
	m.Set("GET autotune/presets", `{"presets":[{"name":"2300","pretty":"","status":"tuned"}]}`)
	m.Set("GET settings", strings.Replace(settingsText("2300", false), `"remain_stopped_on_reboot":true`, `"remain_stopped_on_reboot":false`, 1))
	for range 9 {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c := d.Capabilities()
	if diff := cmp.Diff([]miner.Mode{{Name: "2300", Watts: 2300}}, c.Modes); diff != "" || c.SleepSurvivesReboot {
		t.Errorf("capabilities %+v", c)
	}
	m.Set("GET autotune/presets", `[]`)
	m.Set("GET perf-summary", perfText("2300", tuned, true))
	for range 12 {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c = d.Capabilities(); len(c.Modes) != 0 || len(d.presets) != 1 {
		t.Errorf("capabilities %+v, presets %v", c, d.presets)
	}
}
