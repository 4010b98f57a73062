package protorig

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestIdentify(t *testing.T) {
	m := rig()
	d := open(t, m)
	got, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{
		Firmware: miner.ProtoRig, FirmwareVersion: "1.8.0", Model: "Proto Rig", MAC: "82:11:d2:94:0d:6d", Serial: "YWWLMMMMRRFSSSSS",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET system", "GET pairing/info", "POST auth/login", "GET mining/target"}, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	c := d.Capabilities()
	if !c.Sleep || !c.Continuous || c.MinWatts != 2000 || c.MaxWatts != 4000 || c.StepWatts != 10 || c.NameplateWatts != 4000 || c.NameplateTHs != 819 || c.NominalWatts != 11550 || c.SleepSurvivesReboot {
		t.Errorf("capabilities %+v", c)
	}
}

func TestIdentifyWithLess(t *testing.T) {
	cases := map[string]struct {
		change     func(*machine)
		mac        string
		serial     string
		model      string
		continuous bool
	}{
		"no pairing": {func(m *machine) { delete(m.Replies, "pairing/info") }, "82:11:d2:94:0d:6e", "YWWLMMMMRRFSSSSS", "Proto Rig", true},
		"the maker's own name for the MAC": {func(m *machine) {
			delete(m.Replies, "pairing/info")
			m.Replies["network"] = `{"network-info":{"mac":"82:11:D2:94:0D:6F"}}`
		}, "82:11:d2:94:0d:6f", "YWWLMMMMRRFSSSSS", "Proto Rig", true},
		"no address at all": {func(m *machine) { delete(m.Replies, "pairing/info"); delete(m.Replies, "network") }, "", "YWWLMMMMRRFSSSSS", "Proto Rig", true},
		"a serial number for pairing only": {func(m *machine) {
			m.Replies["system"] = `{"system-info":{"product_name":"Proto Rig","os":null}}`
		}, "82:11:d2:94:0d:6d", "YWWLMMMMRRFSSSSS", "Proto Rig", true},
		"no target now":  {func(m *machine) { m.Statuses["mining/target"] = http.StatusNoContent }, "82:11:d2:94:0d:6d", "YWWLMMMMRRFSSSSS", "Proto Rig", false},
		"no target ever": {func(m *machine) { delete(m.Replies, "mining/target") }, "82:11:d2:94:0d:6d", "YWWLMMMMRRFSSSSS", "Proto Rig", false},
		"a range that is none": {func(m *machine) {
			m.Replies["mining/target"] = `{"power_target_min_watts":4000,"power_target_max_watts":2000}`
		}, "82:11:d2:94:0d:6d", "YWWLMMMMRRFSSSSS", "Proto Rig", false},
		"half a range": {func(m *machine) { m.Replies["mining/target"] = `{"power_target_max_watts":4000}` }, "82:11:d2:94:0d:6d", "YWWLMMMMRRFSSSSS", "Proto Rig", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := rig()
			c.change(m)
			d := open(t, m)
			got, err := d.Identify(t.Context())
			if err != nil || got.MAC != c.mac || got.Serial != c.serial || got.Model != c.model || d.Capabilities().Continuous != c.continuous {
				t.Errorf("%+v, %v, %+v", got, err, d.Capabilities())
			}
		})
	}
}

// A range that was not there at first is there after a reading, and stays when it is not said once.
func TestRangeIsLearnedLater(t *testing.T) {
	m := rig()
	m.Statuses["mining/target"] = http.StatusNoContent
	d := identified(t, m)
	for _, status := range []int{0, http.StatusNoContent} {
		m.Fail("mining/target", status)
		if err := reads(t.Context(), d); err != nil || !d.Capabilities().Continuous || d.Capabilities().MaxWatts != 4000 {
			t.Errorf("%+v, %v", d.Capabilities(), err)
		}
	}
}

func TestRead(t *testing.T) {
	m := rig()
	d := identified(t, m)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(140.5), Watts: new(int64(3481)), WattsSource: miner.PSU,
		TargetWatts: new(int64(3120)), Effective: new(int64(3000)), Ceiling: new(int64(3120)), Mode: "Efficiency",
		TemperatureC: new(61.25), Uptime: new(86461 * time.Second),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET mining", "GET mining/target", "GET telemetry", "GET errors"}, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if err := reads(t.Context(), d); err != nil || len(m.Taken()) != 3 {
		t.Errorf("the second reading: %v", err)
	}
}

func TestState(t *testing.T) {
	cases := map[string]struct {
		word, ths, input, restore string
		want                      miner.State
	}{
		"mining":                            {"Mining", "140", "3400", "", miner.Hashing},
		"mining, no hash rate yet":          {"Mining", "0", "3400", "", miner.Starting},
		"degraded":                          {"DegradedMining", "90", "2400", "", miner.Hashing},
		"degraded, spelt otherwise":         {"degraded_mining", "90", "2400", "", miner.Hashing},
		"powering on":                       {"PoweringOn", "0", "300", "", miner.Starting},
		"uninitialized":                     {"Uninitialized", "0", "40", "", miner.Starting},
		"powering off":                      {"PoweringOff", "0", "40", "", miner.Stopping},
		"stopped":                           {"Stopped", "0", "40", "", miner.Sleeping},
		"stopped, at the simulator's watts": {"Stopped", "0", "210", "", miner.Sleeping},
		"stopped, nothing else said":        {"Stopped", "null", "null", "", miner.Sleeping},
		"stopped and still hashing":         {"Stopped", "140", "40", "", miner.Stopping},
		"stopped and still drawing":         {"Stopped", "0", "3400", "", miner.Stopping},
		"curtailed, and will start":         {"Curtailed", "0", "30", `{"restore_pending":true}`, miner.Failed},
		"curtailed, and stays":              {"Curtailed", "0", "30", `{"restore_pending":false}`, miner.Sleeping},
		"curtailed, and does not say":       {"Curtailed", "0", "30", `{}`, miner.Failed},
		"curtailed and still drawing":       {"Curtailed", "0", "3400", `{"restore_pending":false}`, miner.Stopping},
		"no pools":                          {"NoPools", "0", "200", "", miner.Failed},
		"no pools, and hashes":              {"NoPools", "140", "3400", "", miner.Hashing},
		"error":                             {"Error", "0", "40", "", miner.Failed},
		"a word nobody knows":               {"Dreaming", "0", "0", "", miner.Unknown},
		"no word":                           {"", "0", "0", "", miner.Unknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := rig()
			d := identified(t, m)
			m.Set("mining", strings.Replace(miningText(c.word), `"power_usage_watts":3100,`, "", 1))
			m.Set("telemetry", telemetryOf(c.ths, "null", c.input))
			m.Set("curtailment/status", c.restore)
			r, err := d.Read(t.Context())
			if err != nil || r.State != c.want {
				t.Fatalf("state %q, %v, want %q", r.State, err, c.want)
			}
			if (r.State == miner.Sleeping) != (r.Effective == nil && r.Ceiling == nil) {
				t.Errorf("effective %v, ceiling %v", r.Effective, r.Ceiling)
			}
			if r.State == miner.Failed && len(r.Faults) != 1 {
				t.Errorf("faults %v", r.Faults)
			}
		})
	}
}

func TestWatts(t *testing.T) {
	cases := map[string]struct {
		word, telemetry string
		want            *int64
		source          miner.Source
	}{
		"supplies":                        {"Mining", telemetryOf("140", "3250", "3480"), new(int64(3480)), miner.PSU},
		"its own is more":                 {"Mining", telemetryOf("140", "3500", "3480"), new(int64(3500)), miner.Estimate},
		"in kilowatts":                    {"Mining", strings.ReplaceAll(telemetryOf("140", "3.25", "3.48"), `"W"`, `"kW"`), new(int64(3480)), miner.PSU},
		"in a unit nobody knows":          {"Mining", strings.ReplaceAll(telemetryOf("140", "1", "2"), `"W"`, `"hp"`), new(int64(3100)), miner.Estimate},
		"one supply does not say":         {"Mining", strings.NewReplacer(`"input":1740.2`, `"input":null`, `"input":1740,`, `"input":3300,`).Replace(telemetryText), new(int64(3250)), miner.Estimate},
		"no telemetry":                    {"Mining", `{}`, new(int64(3100)), miner.Estimate},
		"0 while it mines":                {"Mining", telemetryOf("140", "0", "0"), nil, ""},
		"0 asleep":                        {"Stopped", telemetryOf("0", "0", "0"), new(int64(residualWatts)), miner.Estimate},
		"asleep":                          {"Stopped", telemetryOf("0", "31", "48.5"), new(int64(49)), miner.PSU},
		"more than any machine draws":     {"Mining", telemetryOf("140", "1e9", "1e9"), new(int64(3100)), miner.Estimate},
		"as text":                         {"Mining", telemetryOf("140", `"3250"`, `"3480"`), new(int64(3480)), miner.PSU},
		"supplies that are no objects":    {"Mining", `{"psus":[1,"x",null],"miner":[]}`, new(int64(3100)), miner.Estimate},
		"negative, which is not said":     {"Mining", telemetryOf("140", "-5", "-5"), new(int64(3100)), miner.Estimate},
		"supplies at 0, boards that draw": {"Mining", telemetryOf("140", "3250", "0"), new(int64(3250)), miner.Estimate},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := rig()
			d := identified(t, m)
			m.Set("mining", miningText(c.word))
			m.Set("telemetry", c.telemetry)
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

// Without telemetry the average since mining began is the hash rate of a machine that mines, and of no other.
func TestReadWithLess(t *testing.T) {
	m := rig()
	d := identified(t, m)
	for _, path := range []string{"telemetry", "mining/target", "errors"} {
		m.Fail(path, http.StatusNotFound)
	}
	r, err := d.Read(t.Context())
	if err != nil || r.State != miner.Hashing || *r.HashrateTHs < 110 || *r.HashrateTHs > 110.1 || *r.TemperatureC != 60 ||
		r.TargetWatts != nil || *r.Effective != 3000 || *r.Ceiling != 3000 {
		t.Errorf("%+v, %v", r, err)
	}
	m.Set("mining", strings.Replace(miningText("Stopped"), `"power_usage_watts":3100`, `"power_usage_watts":40`, 1))
	if r, err = d.Read(t.Context()); err != nil || r.State != miner.Sleeping || r.HashrateTHs != nil {
		t.Errorf("%+v, %v", r, err)
	}
	m.Fail("mining", http.StatusNoContent)
	if r, err = d.Read(t.Context()); err != nil || r.State != miner.Unknown || r.Watts != nil || r.Effective != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// A target of 0 is none: a machine must not look as if it were bounded by it.
func TestNoTarget(t *testing.T) {
	m := rig()
	d := identified(t, m)
	m.Set("mining/target", strings.Replace(targetText, "3120", "0", 1))
	m.Set("mining", strings.Replace(miningText("Mining"), `"power_target_watts":3000`, `"power_target_watts":0`, 1))
	r, err := d.Read(t.Context())
	if err != nil || r.TargetWatts != nil || r.Effective != nil || r.Ceiling != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		errors string
		want   []string
	}{
		"as the page has it":             {`[{"source":"fan","slot":3,"error_code":"FanSlow","timestamp":1764160757,"message":"Fan 3 has stalled"},{"error_code":1024}]`, []string{"Fan 3 has stalled", "1024"}},
		"wrapped":                        {`{"errors":[{"message":"PSU voltage out of range"}]}`, []string{"PSU voltage out of range"}},
		"none":                           {`[]`, nil},
		"one that sounds like a refusal": {`[{"message":"Default password must be changed"}]`, []string{"Default password must be changed"}},
		"nonsense":                       {`{"errors":{"a":[]}}`, nil},
		"too many":                       {`[` + strings.Repeat(`{"message":"x"},`, 50) + `{}]`, []string{"x", "x", "x", "x", "x", "x", "x", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := rig()
			d := identified(t, m)
			m.Set("errors", c.errors)
			r, err := d.Read(t.Context())
			if diff := cmp.Diff(c.want, r.Faults); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Trouble is looked into at once, not at the fourth reading.
func TestTroubleIsLookedInto(t *testing.T) {
	m := rig()
	d := identified(t, m)
	_ = reads(t.Context(), d)
	m.Set("mining", miningText("DegradedMining"))
	m.Set("errors", `[{"message":"Hashboard 2 over temperature"}]`)
	r, err := d.Read(t.Context())
	want := []string{"it mines with less than all of its boards", "Hashboard 2 over temperature"}
	if diff := cmp.Diff(want, r.Faults); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		status int
		yes    bool
	}{
		"a rig":                    {systemText, 0, true},
		"an older one":             {`{"system-info":{"product_name":"Proto Rig"}}`, 0, true},
		"another maker's":          {`{"system-info":{"product_name":"Proto Rig","manufacturer":"Somebody"}}`, 0, false},
		"something else":           {`{"version":"2.0"}`, 0, false},
		"a page":                   {wiretest.Page, 0, false},
		"an API that wants a user": {"", http.StatusUnauthorized, false},
		"no such resource":         {"", http.StatusNotFound, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := rig()
			m.Replies["system"], m.Statuses["system"] = c.system, c.status
			err := Probe(t.Context(), wiretest.Serve(t, m))
			if (err == nil) != c.yes {
				t.Errorf("%v", err)
			}
			if diff := cmp.Diff([]string{"GET system"}, m.Taken()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}
