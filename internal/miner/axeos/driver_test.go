package axeos

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// gamma212 was recorded of a Bitaxe Gamma with a release that can't be paused; pools and network are cut.
const gamma212 = `{"power":18.7522583,"voltage":5093.75,"current":12015.625,"temp":60.125,"temp2":-1,"vrTemp":62,"maxPower":40,
	"nominalVoltage":5,"hashRate":1072.2407227,"hashRate_1m":1088.9354248,"expectedHashrate":1071,"errorPercentage":0,"bestDiff":49224525,
	"coreVoltage":1150,"coreVoltageActual":1144,"frequency":525,"macAddr":"10:F5:12:33:BB:F0","hostname":"bitaxe","sharesAccepted":4768,
	"uptimeSeconds":18574,"smallCoreCount":2040,"ASICModel":"BM1370","version":"v2.12.2","axeOSVersion":"v2.12.2","boardVersion":"601",
	"overheat_mode":0,"overclockEnabled":0,"fanrpm":3915}`

const asic = `{"ASICModel":"BM1370","deviceModel":"Gamma","swarmColor":"purple","asicCount":1,"defaultFrequency":490,
	"frequencyOptions":[400,425,450],"defaultVoltage":1200,"voltageOptions":[1100,1150]}`

func gamma(info string) *wiretest.Machine {
	return &wiretest.Machine{
		Root: "/api/system/",
		Replies: map[string]string{
			"GET info": info, "GET asic": asic, "POST pause": `{"message":"Mining paused"}`, "POST resume": `{"message":"Mining resumed"}`,
		},
		Statuses: map[string]int{},
	}
}

// with214 is the same machine with a release that can be paused.
func with214(more string) string {
	return strings.Replace(strings.Replace(gamma212, "v2.12.2", "v2.14.0", 2), `"power"`, `"miningPaused":false,`+more+`"power"`, 1)
}

func replaced(info string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(info, pairs[i]) {
			panic("no " + pairs[i])
		}
		info = strings.Replace(info, pairs[i], pairs[i+1], 1)
	}
	return info
}

func paused(info string) string {
	return replaced(info, `"miningPaused":false`, `"miningPaused":true`, `"hashRate":1072.2407227`, `"hashRate":0`, "18.7522583", "3.1")
}

func identified(t *testing.T, m *wiretest.Machine) *Driver {
	t.Helper()
	d := New(wiretest.Serve(t, m))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Taken()
	return d
}

func TestIdentify(t *testing.T) {
	cases := map[string]struct {
		m    *wiretest.Machine
		want miner.Identity
	}{
		"Bitaxe":                 {gamma(gamma212), miner.Identity{FirmwareVersion: "v2.12.2", Model: "Gamma", MAC: "10:f5:12:33:bb:f0"}},
		"it names its model":     {gamma(with214(`"deviceModel":"NerdQAxe++",`)), miner.Identity{FirmwareVersion: "v2.14.0", Model: "NerdQAxe++", MAC: "10:f5:12:33:bb:f0"}},
		"no word on the board":   {boardless(`{}`), miner.Identity{FirmwareVersion: "v2.12.2", Model: "BM1370", MAC: "10:f5:12:33:bb:f0"}},
		"the board is no JSON":   {boardless(`x`), miner.Identity{FirmwareVersion: "v2.12.2", Model: "BM1370", MAC: "10:f5:12:33:bb:f0"}},
		"no board (old release)": {boardless(""), miner.Identity{FirmwareVersion: "v2.12.2", Model: "BM1370", MAC: "10:f5:12:33:bb:f0"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Firmware = miner.AxeOS
			target := wiretest.Serve(t, c.m)
			got, err := New(target).Identify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if commands := c.m.Commands(); len(commands) > 0 {
				t.Errorf("it was told %q", commands)
			}
			if err := Probe(t.Context(), target); err != nil {
				t.Errorf("probe: %v", err)
			}
		})
	}
}

func boardless(reply string) *wiretest.Machine {
	m := gamma(gamma212)
	if m.Replies["GET asic"] = reply; reply == "" {
		delete(m.Replies, "GET asic")
	}
	return m
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		info   string
		status int
		want   error
	}{
		"another machine's API": {`{"version":"1.0","hashRate":5}`, 0, miner.ErrNotThisFirmware},
		"no release":            {`{"ASICModel":"BM1370","hashRate":5}`, 0, miner.ErrNotThisFirmware},
		"no hash rate":          {`{"ASICModel":"BM1370","version":"v2.14.0"}`, 0, miner.ErrNotThisFirmware},
		"a web page":            {wiretest.Page, 0, miner.ErrNotThisFirmware},
		"nothing there":         {gamma212, http.StatusNotFound, miner.ErrNotThisFirmware},
		"a public address":      {gamma212, http.StatusUnauthorized, miner.ErrUnauthorized},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := gamma(c.info)
			m.Statuses["GET info"] = c.status
			target := wiretest.Serve(t, m)
			if _, err := New(target).Identify(t.Context()); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("error %v, want %v with an address", err, c.want)
			}
			if err := Probe(t.Context(), target); !errors.Is(err, c.want) {
				t.Errorf("probe: %v", err)
			}
		})
	}
	if _, err := New(wiretest.Nobody(t)).Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

func TestCapabilities(t *testing.T) {
	fixed := miner.Capabilities{NameplateWatts: 40, NameplateTHs: 1.071, NominalWatts: 17, ResidualWatts: 5}
	pausable := fixed
	pausable.Sleep = true
	pausable.SleepTiming = miner.Timing{Typical: 2 * time.Second, Worst: 30 * time.Second}
	pausable.WakeTiming = miner.Timing{Typical: 20 * time.Second, Worst: 2 * time.Minute}
	for info, want := range map[string]miner.Capabilities{
		gamma212: fixed, with214(""): pausable, paused(with214("")): pausable,
		`{"ASICModel":"BM1366","version":"v2.4.1","hashRate":512.34,"power":14.2}`:           {ResidualWatts: 5},
		`{"ASICModel":"BM9999","version":"v2.4.1","hashRate":512.34,"expectedHashrate":500}`: {NameplateTHs: 0.5, NominalWatts: 8, ResidualWatts: 5},
	} {
		if diff := cmp.Diff(want, identified(t, gamma(info)).Capabilities(), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestReadAsRecorded(t *testing.T) {
	got, err := identified(t, gamma(gamma212)).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(1.0722407227), Watts: new(int64(19)), WattsSource: miner.DC, TemperatureC: new(60.125),
		Uptime: new(18574 * time.Second),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestState(t *testing.T) {
	still := replaced(with214(""), `"hashRate":1072.2407227`, `"hashRate":0`)
	cases := map[string]struct {
		info string
		want miner.State
	}{
		"hashing":                             {with214(""), miner.Hashing},
		"paused":                              {paused(with214("")), miner.Sleeping},
		"paused, and hashes still":            {replaced(paused(with214("")), `"hashRate":0`, `"hashRate":800`), miner.Stopping},
		"paused, and draws still":             {replaced(paused(with214("")), `"power":3.1`, `"power":17`), miner.Stopping},
		"a large board, paused":               {replaced(paused(with214("")), `"power":3.1`, `"power":17`, `"maxPower":40`, `"maxPower":100`), miner.Sleeping},
		"paused, with no word on watts":       {replaced(paused(with214("")), `"power":3.1,`, ""), miner.Sleeping},
		"no hash rate, as without a pool":     {still, miner.Starting},
		"too hot":                             {replaced(still, `"overheat_mode":0`, `"overheat_mode":1`), miner.Failed},
		"a fault":                             {replaced(still, `"power"`, `"power_fault":"VOUT","power"`), miner.Failed},
		"an old release that hashes":          {gamma212, miner.Hashing},
		"an old release that does not":        {replaced(gamma212, `"hashRate":1072.2407227`, `"hashRate":0`), miner.Unknown},
		"no word on the rate":                 {replaced(with214(""), `"hashRate":1072.2407227,`, ""), miner.Unknown},
		"paused, with no word on the rate":    {replaced(paused(with214("")), `"hashRate":0,`, ""), miner.Sleeping},
		"the pause is a number":               {replaced(paused(with214("")), `"miningPaused":true`, `"miningPaused":1`), miner.Sleeping},
		"a hash rate, and what was a fault":   {replaced(with214(""), `"overheat_mode":0`, `"overheat_mode":1`), miner.Hashing},
		"what is paused has no say in a word": {replaced(with214(""), `"miningPaused":false`, `"miningPaused":"maybe"`), miner.Hashing},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := gamma(with214(""))
			d := identified(t, m)
			m.Set("GET info", c.info)
			r, err := d.Read(t.Context())
			if err != nil || r.State != c.want {
				t.Errorf("%s, %v, want %s", r.State, err, c.want)
			}
			if r.State == miner.Failed && len(r.Faults) != 1 {
				t.Errorf("faults %q", r.Faults)
			}
		})
	}
}

func TestApply(t *testing.T) {
	sleep, wake := miner.Setting{Kind: miner.Sleep}, miner.Setting{Kind: miner.HashMode}
	cases := map[string]struct {
		info   string
		s      miner.Setting
		change func(*wiretest.Machine)
		want   []string
		err    error
		open   bool // an error that leaves open whether it was done
	}{
		"pause":                    {info: with214(""), s: sleep, want: []string{"pause"}},
		"resume":                   {info: paused(with214("")), s: wake, want: []string{"resume"}},
		"it is awake, and is told": {info: with214(""), s: wake, want: []string{"resume"}},
		"an old release":           {info: gamma212, s: sleep, err: miner.ErrUnsupported},
		"an old release, awake":    {info: gamma212, s: wake, err: miner.ErrUnsupported},
		"watts":                    {info: with214(""), s: miner.Setting{Kind: miner.HashWatts, Watts: 15}, err: miner.ErrUnsupported},
		"a mode":                   {info: with214(""), s: miner.Setting{Kind: miner.HashMode, Mode: "eco"}, err: miner.ErrUnsupported},
		"no such route": {
			info: with214(""), s: sleep, want: []string{"pause"}, err: miner.ErrUnsupported,
			change: func(m *wiretest.Machine) { delete(m.Replies, "POST pause") },
		},
		"a public address": {
			info: with214(""), s: sleep, want: []string{"pause"}, err: miner.ErrUnauthorized,
			change: func(m *wiretest.Machine) { m.Statuses["POST pause"] = http.StatusUnauthorized },
		},
		"it fails": {
			info: with214(""), s: sleep, want: []string{"pause"}, open: true,
			change: func(m *wiretest.Machine) { m.Statuses["POST pause"] = http.StatusInternalServerError },
		},
		"its words say no": {
			info: with214(""), s: sleep, want: []string{"pause"}, open: true,
			change: func(m *wiretest.Machine) { m.Replies["POST pause"] = `{"message":"Failed to pause"}` },
		},
		"its words are an error": {
			info: with214(""), s: sleep, want: []string{"pause"}, open: true,
			change: func(m *wiretest.Machine) { m.Replies["POST pause"] = `{"error":"busy"}` },
		},
		"a web page": {
			info: with214(""), s: sleep, want: []string{"pause"}, open: true,
			change: func(m *wiretest.Machine) { m.Replies["POST pause"] = wiretest.Page },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := gamma(c.info)
			if c.change != nil {
				c.change(m)
			}
			d := identified(t, m)
			err := d.Apply(t.Context(), c.s)
			if c.open != (err != nil && !miner.NotApplied(err)) || !c.open && !errors.Is(err, c.err) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(c.want, m.Commands()); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHostileMachines(t *testing.T) {
	wiretest.Hostile(t, "info", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		t.Helper()
		m := gamma(with214(""))
		d := identified(t, m)
		return m, func(ctx context.Context) error { _, err := d.Read(ctx); return err }
	})
}

func TestRedirectIsNotFollowed(t *testing.T) {
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
}

func TestSilentMachine(t *testing.T) {
	m := gamma(with214(""))
	d := identified(t, m)
	wiretest.Silent(t, m, func(ctx context.Context) error { _, err := d.Read(ctx); return err })
}

// A sensor that is not there reads -1.
func TestAbsentSensors(t *testing.T) {
	m := gamma(replaced(gamma212, `"temp":60.125`, `"temp":-1`, `"vrTemp":62`, `"vrTemp":-1`))
	r, err := identified(t, m).Read(t.Context())
	if err != nil || r.TemperatureC != nil {
		t.Errorf("%v °C, %v", *r.TemperatureC, err)
	}
}

// Boards of kin name themselves, not all name a chip, and the regulator is hotter than any chip is.
func TestKin(t *testing.T) {
	for info, want := range map[string]float64{
		`{"deviceModel":"NerdQAxe++","hashRate":4800.673,"power":81.6,"temp":57.4375,"vrTemp":65.5,"uptimeSeconds":77,"axeOSVersion":"v1.0.30"}`:       57.4375,
		`{"deviceModel":"GT 801","ASICModel":"BM1370","hashRate":2100,"temp":61,"temp2":63.5,"vrTemp":80,"uptimeSeconds":77,"axeOSVersion":"v1.0.30"}`: 63.5,
		`{"ASICModel":"BM1366","hashRate":500,"temp":-1,"temp2":-1,"vrTemp":48,"version":"v1.0.30"}`:                                                   48,
	} {
		target := wiretest.Serve(t, gamma(info))
		if err := Probe(t.Context(), target); err != nil {
			t.Error(err)
		}
		d := New(target)
		id, err := d.Identify(t.Context())
		if err != nil || id.FirmwareVersion != "v1.0.30" || id.Model == "" {
			t.Fatalf("%+v, %v", id, err)
		}
		if r, err := d.Read(t.Context()); err != nil || r.TemperatureC == nil || *r.TemperatureC != want {
			t.Errorf("%s: %v, %v", info, deref(r.TemperatureC), err)
		}
	}
}

func deref(n *float64) any {
	if n == nil {
		return "none"
	}
	return *n
}
