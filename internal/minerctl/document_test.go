package minerctl

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

var place = netip.MustParseAddr("10.0.0.7")

// keys are the names in a JSON object.
func document(t *testing.T, d any) map[string]any {
	t.Helper()
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUnknownIsAbsentAndZeroIsZero(t *testing.T) {
	d := identified(place, miner.Identity{Firmware: miner.LuxOS})
	d.read(miner.Reading{State: miner.Unknown, WattsSource: miner.PSU}, miner.Capabilities{})
	want := map[string]any{
		"address": "10.0.0.7", "firmware": "LuxOS", "state": "Unknown", "faults": []any{},
		"capabilities": map[string]any{"sleep": false, "sleepSurvivesReboot": false, "continuous": false},
	}
	if diff := cmp.Diff(want, document(t, d)); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	d.read(miner.Reading{
		State: miner.Sleeping, HashrateTHs: new(0.0), Watts: new(int64(0)), WattsSource: miner.PSU, TargetWatts: new(int64(0)),
		Effective: new(int64(0)), TemperatureC: new(0.0), Uptime: new(time.Duration(0)), Faults: []string{"x"},
	}, miner.Capabilities{})
	got := document(t, d)
	for _, key := range []string{"hashrateTHs", "watts", "targetWatts", "effectiveTargetWatts", "temperatureC", "uptimeSeconds"} {
		if got[key] != 0.0 {
			t.Errorf("%s is %v, a true 0", key, got[key])
		}
	}
	if got["wattsSource"] != "PSU" || len(got["faults"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
}

func TestTargetsAreKeptApart(t *testing.T) {
	d := identified(place, miner.Identity{})
	d.read(miner.Reading{TargetWatts: new(int64(3031)), Effective: new(int64(2431)), Ceiling: new(int64(3100))}, miner.Capabilities{})
	got := document(t, d)
	if got["targetWatts"] != 3031.0 || got["effectiveTargetWatts"] != 2431.0 || got["ceilingWatts"] != 3100.0 {
		t.Errorf("%v", got)
	}
}

func TestWhatAMachineSaysCanNotMoveACursor(t *testing.T) {
	d := identified(place, miner.Identity{Firmware: "LuxOS", Model: "S21\x1b[2J\u009b31m\nSTATE  fine", MAC: "a\tb"})
	d.read(miner.Reading{State: miner.Failed, Faults: []string{"hot\x1b]0;x\a"}, Mode: "m\r"}, miner.Capabilities{
		Modes: []miner.Mode{{Name: "fast\x1b[0m", Watts: 1}},
	})
	var single, table strings.Builder
	if err := d.Print(&single); err != nil {
		t.Fatal(err)
	}
	if err := PrintRows(&table, []Row{{Address: "10.0.0.7", addr: place, Document: &d, Error: "x\x1b\ny"}}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{single.String(), table.String()} {
		if strings.ContainsAny(text, "\x1b\a\r\u009b") {
			t.Errorf("%q", text)
		}
	}
	if lines := strings.Count(table.String(), "\n"); lines != 2 {
		t.Errorf("%d lines:\n%s", lines, table.String())
	}
}

func TestPrintedForAPerson(t *testing.T) {
	d := identified(place, miner.Identity{Firmware: "VNish", FirmwareVersion: "1.2.7"})
	d.read(miner.Reading{
		State: miner.Hashing, HashrateTHs: new(0.0), Watts: new(int64(2583)), WattsSource: miner.Estimate, Uptime: new(90 * time.Second),
	}, miner.Capabilities{
		Sleep: true, Continuous: true, MinWatts: 1000, MaxWatts: 3000, StepWatts: 10,
		TrimTiming: miner.Timing{Typical: time.Second, Worst: 2 * time.Second, Restarts: true},
	})
	var out strings.Builder
	if err := d.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"VNish 1.2.7", "0 TH/s", "2583 W by the firmware's own estimate", "1m30s", "yes, lost at a reboot",
		"1000 to 3000 W in steps of 10 W", "1 s, 2 s at worst, mining restarts",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	for _, absent := range []string{"Temperature", "Target", "Mode", "Nameplate", "Serial"} {
		if strings.Contains(out.String(), absent) {
			t.Errorf("%q is in\n%s", absent, out.String())
		}
	}
}

// TestANameplateIsNoLimit: where the most a machine may draw is known beside what it is rated at, both are told.
func TestANameplateIsNoLimit(t *testing.T) {
	d := identified(place, miner.Identity{Firmware: "Auradine", Model: "AT2880"})
	d.read(miner.Reading{State: miner.Hashing}, miner.Capabilities{NameplateWatts: 4784, NominalWatts: 4160, NameplateTHs: 260})
	var out strings.Builder
	if err := d.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Draws at most  4784 W\n", "Nameplate      4160 W 260 TH/s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if c := d.Capabilities; c.NominalWatts != 4160 || c.NameplateWatts != 4784 {
		t.Errorf("%+v", c)
	}
}
