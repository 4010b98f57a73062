package sealminer

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestIdentify(t *testing.T) {
	m := a2()
	d := m.serve(t)
	got, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{
		Firmware: miner.SealMiner, FirmwareVersion: "2025091001", Model: "A2", MAC: "50:d4:48:4b:86:78", Serial: "S127200252001850",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if orders, pages := m.taken(); len(orders)+len(pages) > 0 {
		t.Errorf("it was told %q, and asked for %q", orders, pages)
	}
	m.with(`"MAC"`, `"Model":"K10Pro","MAC"`)
	if got, _ = d.Identify(t.Context()); got.Model != "K10Pro" {
		t.Errorf("model %q", got.Model)
	}
	target := miner.Target{Address: d.client.address.Addr(), Port: int(d.client.address.Port())}
	if err := Probe(t.Context(), target); err != nil {
		t.Errorf("probe: %v", err)
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]func(*machine){
		"another cgminer": func(m *machine) {
			m.replies["version"] = `{"STATUS":[{"STATUS":"S","Description":"cgminer 4.11.1"}],"VERSION":[{"CGMiner":"4.11.1"}]}`
		},
		"invalid command": func(m *machine) { m.replies["version"] = `{"STATUS":"E","Code":14,"Description":"luxminer"}` },
		"closes at once":  func(m *machine) { m.silent["version"] = true },
		"no JSON":         func(m *machine) { m.replies["version"] = "HTTP/1.1 400 Bad Request\r\n" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			m := a2()
			change(m)
			d := m.serve(t)
			if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("error %v is no ErrNotThisFirmware with an address", err)
			}
		})
	}
	if _, err := New(wiretest.Nobody(t)).Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

// Either of what names the firmware is enough.
func TestNamesOfTheFirmware(t *testing.T) {
	for name, reply := range map[string]string{
		"the description": `{"STATUS":[{"STATUS":"S","Description":"bdminer 4.11.1"}]}`,
		"its version":     `{"STATUS":[{"STATUS":"S"}],"VERSION":[{"BDMiner":"4.11.1"}]}`,
		"the miner":       `{"STATUS":[{"STATUS":"S"}],"VERSION":[{"Miner":"BDMiner 4.11.1"}]}`,
	} {
		m := a2()
		m.replies["version"] = reply
		if _, err := m.serve(t).Identify(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCapabilities(t *testing.T) {
	sleeps := miner.Capabilities{
		Sleep: true, ResidualWatts: 50, NameplateTHs: 230.83940728559,
		SleepTiming: miner.Timing{Typical: 70 * time.Second, Worst: 90 * time.Second},
		WakeTiming:  miner.Timing{Typical: 3 * time.Minute, Worst: 6 * time.Minute},
	}
	limited := sleeps
	limited.Continuous, limited.MinWatts, limited.MaxWatts, limited.StepWatts, limited.NameplateWatts = true, 2100, 3500, 50, 3500
	limited.TrimTiming = miner.Timing{Typical: 4 * time.Minute, Worst: 8 * time.Minute, Restarts: true}
	odd := sleeps
	odd.NameplateWatts = 20
	cases := map[string]struct {
		m    *machine
		want miner.Capabilities
	}{
		"as recorded":  {a2(), limited},
		"asleep":       {a2().asleep(), limited},
		"no limit":     {a2().with(`"Power Limit":3500`, `"Power Limit":0`), sleeps},
		"an odd limit": {a2().with(`"Power Limit":3500`, `"Power Limit":20`), odd},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, identified(t, c.m).Capabilities(), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	m := a2()
	d := identified(t, m)
	m.with(`"Power Limit":3500`, `"Power Limit":2500`)
	read(t, d)
	if got := d.Capabilities().MaxWatts; got != 3500 {
		t.Errorf("a lower limit made %d W the highest", got)
	}
}

// The web pages are where the port of the RPC says.
func TestPorts(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.1")
	for port, want := range map[int]int{0: 80, 4028: 80, 24028: 20080, 3948: 0, 100: 0} {
		if got := int(New(miner.Target{Address: at, Port: port}).web.Address.Port()); got != want {
			t.Errorf("RPC at %d, web at %d, want %d", port, got, want)
		}
	}
}

func TestReadAsRecorded(t *testing.T) {
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(205.0123451), Watts: new(int64(3504)), WattsSource: miner.PSU, TargetWatts: new(int64(3500)),
		Effective: new(int64(3500)), Ceiling: new(int64(3500)), Mode: "normal", TemperatureC: new(67.5), Uptime: new(27942 * time.Second),
	}
	if diff := cmp.Diff(want, read(t, identified(t, a2())), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = miner.Reading{
		State: miner.Sleeping, HashrateTHs: new(0.0), Watts: new(int64(31)), WattsSource: miner.PSU, TargetWatts: new(int64(3500)), Mode: "normal",
		TemperatureC: new(67.5), Uptime: new(27942 * time.Second),
	}
	if diff := cmp.Diff(want, read(t, identified(t, a2().asleep()))); diff != "" {
		t.Errorf("asleep (-want +got):\n%s", diff)
	}
}

func TestReadWithLess(t *testing.T) {
	m := a2().with(`"PSU Input Power":3504`, `"PSU Input Power":0`).with(`"System Uptime":27942,`, "").with(`"MHS 1m":205012345.1,`, "")
	r := read(t, identified(t, m))
	if *r.Watts != 3232 || r.WattsSource != miner.DC || *r.Uptime != 27784*time.Second || *r.HashrateTHs != 206 {
		t.Errorf("%+v", r)
	}
	m = a2().asleep().with(`"PSU Input Power":31,`, "").with(`"PSU Output Power":12,`, "")
	if r = read(t, identified(t, m)); r.State != miner.Sleeping || *r.Watts != 50 || r.WattsSource != miner.Estimate {
		t.Errorf("%+v", r)
	}
	m = a2()
	d := identified(t, m)
	m.refuse["summary"] = "no"
	if r = read(t, d); r.HashrateTHs != nil || r.State != miner.Starting {
		t.Errorf("%+v", r)
	}
}

func TestState(t *testing.T) {
	said := func(word string) *machine { return a2().asleep().with("Suspended", word) }
	cases := map[string]struct {
		m    *machine
		told bool
		want miner.State
	}{
		"running, no rate yet":        {a2().with("205012345.1", "0"), false, miner.Starting},
		"running, and told to sleep":  {a2(), true, miner.Stopping},
		"suspended, and hashes":       {a2().asleep().with(`"MHS 1m":0`, `"MHS 1m":5000000`), false, miner.Stopping},
		"suspended, and draws":        {a2().asleep().with(`"PSU Input Power":31`, `"PSU Input Power":900`), false, miner.Stopping},
		"sleeping, by another word":   {said("SLEEP"), false, miner.Sleeping},
		"stopped, told":               {said("Stopped"), true, miner.Sleeping},
		"stopped, not told":           {said("Stopped"), false, miner.Failed},
		"a fault":                     {said("PSU Fault"), false, miner.Failed},
		"another word, told":          {said("X"), true, miner.Sleeping},
		"another word, not told":      {said("X"), false, miner.Starting},
		"another word, and it hashes": {a2().with(`"PM State":"Running"`, `"PM State":"Tuning"`), false, miner.Hashing},
		"no word, and it hashes":      {a2().with(`"PM State":"Running",`, ""), false, miner.Hashing},
		"no word":                     {a2().with(`"PM State":"Running",`, "").with("205012345.1", "0"), true, miner.Unknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.m)
			d.toldToSleep = c.told
			r := read(t, d)
			if r.State != c.want {
				t.Errorf("%s, want %s", r.State, c.want)
			}
			if (r.State == miner.Failed) != (len(r.Faults) > 0) || (r.State == miner.Sleeping) != (r.Ceiling == nil) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A bare code is no fault: 602 was recorded on a machine that works.
func TestFaults(t *testing.T) {
	m := a2().with(`"0 Bad Chip Count":0`, `"0 Bad Chip Count":0,"1 Bad Chip Count":"2"`).with(`"Error Chip":""`, `"Error Chip":"0x0A"`)
	want := []string{"board 1 has bad chips", "chip 0x0A", "error 602"}
	if diff := cmp.Diff(want, read(t, identified(t, m)).Faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
