package epic

import (
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

func TestIdentify(t *testing.T) {
	m := s19xp()
	d := New(wiretest.Serve(t, m))
	got, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{
		Firmware: miner.EPIC, FirmwareVersion: "PowerPlay-BMS v1.38.3", Model: "Antminer S19 XP", MAC: "02:00:5e:10:00:01", Serial: "f3c6",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantRequests := []string{"GET summary", "GET capabilities", "GET network", `POST authenticate {"password":"letmein"}`}
	if diff := cmp.Diff(wantRequests, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	m.Set("network", `{"static":{"address":"192.0.2.10","mac_address":"02-00-5E-10-00-02"}}`)
	m.Set("capabilities", strings.Replace(m.Replies["capabilities"], `"Model":`, `"Miner Serial Number":"YNAHAEUBDJJBA0FBD","Model":`, 1))
	if got, err = d.Identify(t.Context()); err != nil || got.MAC != "02:00:5e:10:00:02" || got.Serial != "YNAHAEUBDJJBA0FBD" {
		t.Errorf("%+v, %v", got, err)
	}
	m.Fail("network", http.StatusNotFound)
	if got, err = d.Identify(t.Context()); err != nil || got.MAC != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
		asked  bool // for the password
	}{
		"wrong password":     {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized, true},
		"another web server": {func(m *machine) { m.Statuses["summary"] = http.StatusNotFound }, miner.ErrNotThisFirmware, false},
		"wants a login":      {func(m *machine) { m.Statuses["summary"] = http.StatusUnauthorized }, miner.ErrNotThisFirmware, false},
		"another summary":    {func(m *machine) { m.Act = nil; m.Replies["summary"] = `{"SUMMARY":[{}]}` }, miner.ErrNotThisFirmware, false},
		"a page":             {func(m *machine) { m.Act = nil; m.Replies["summary"] = wiretest.Page }, miner.ErrNotThisFirmware, false},
		"an RPC":             {func(m *machine) { m.Before = rpc }, miner.ErrNotThisFirmware, false},
		"asks for a break":   {func(m *machine) { m.Statuses["capabilities"] = http.StatusTooManyRequests }, miner.ErrBusy, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			m.password = "s3cr3t"
			c.change(m)
			target := wiretest.Serve(t, m)
			target.Password = "s3cr3t"
			_, err := New(target).Identify(t.Context())
			if !errors.Is(err, c.want) || errors.Is(err, miner.ErrUnauthorized) != errors.Is(c.want, miner.ErrUnauthorized) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), target.Address.String()) || strings.Contains(err.Error(), "s3cr3t") || len(err.Error()) > 512 {
				t.Errorf("error %q", err)
			}
			if asked := strings.Contains(strings.Join(m.Taken(), " "), "s3cr3t"); asked != c.asked {
				t.Errorf("sent the password: %v", asked)
			}
		})
	}
	m := s19xp()
	m.Statuses["summary"] = http.StatusInternalServerError
	if _, err := New(wiretest.Serve(t, m)).Identify(t.Context()); err == nil || errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
}

// rpc answers as a cgminer does that is asked for a web page.
func rpc(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = conn.Write([]byte(`{"STATUS":"E","Code":23,"Msg":"` + strings.Repeat("Invalid JSON ", 200) + "\"}\x00"))
		conn.Close()
	}
	return true
}

func TestProbe(t *testing.T) {
	m := s19xp()
	if err := Probe(t.Context(), wiretest.Serve(t, m)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"GET summary"}, m.Taken()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Before = rpc
	if err := Probe(t.Context(), wiretest.Serve(t, m)); !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
	if err := Probe(t.Context(), wiretest.Nobody(t)); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestCapabilities(t *testing.T) {
	cases := map[string]struct {
		capabilities string
		want         miner.Capabilities
	}{
		"tunes for watts": {capabilitiesText(algorithmsOf(powerTune), "{}"), miner.Capabilities{Continuous: true, MinWatts: 1000, MaxWatts: 5000, StepWatts: 100, NameplateWatts: 3010, NameplateTHs: 140}},
		"by its older name, as an object": {capabilitiesText(`{"ChipTune":{"min":1,"max":2},"Power":{"min":"1200","max":4000.0}}`, "{}"),
			miner.Capabilities{Continuous: true, MinWatts: 1200, MaxWatts: 4000, StepWatts: 100, NameplateWatts: 3010, NameplateTHs: 140}},
		"only for TH/s":   {capabilitiesText(algorithmsOf(""), "{}"), miner.Capabilities{NameplateWatts: 3010, NameplateTHs: 140}},
		"no range":        {capabilitiesText(`[{"algorithm":"PowerTune","min":0,"max":5000}]`, "{}"), miner.Capabilities{NameplateWatts: 3010, NameplateTHs: 140}},
		"range backwards": {capabilitiesText(`[{"algorithm":"PowerTune","min":5000,"max":1000}]`, "{}"), miner.Capabilities{NameplateWatts: 3010, NameplateTHs: 140}},
		"another model":   {strings.Replace(capabilitiesText(algorithmsOf(""), "{}"), "Antminer S19 XP", "BLOCKMINER 520i", 1), miner.Capabilities{NameplateWatts: 3200, NameplateTHs: 138}},
		"nothing known":   {`{"Model":"x"}`, miner.Capabilities{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			m.Replies["capabilities"] = c.capabilities
			got := identified(t, m).Capabilities()
			c.want.Sleep, c.want.ResidualWatts = true, residualWatts
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreTypes(miner.Timing{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.WakeTiming.Worst != 2*time.Minute+5*time.Minute || !got.TrimTiming.Restarts {
				t.Errorf("timings %+v %+v", got.WakeTiming, got.TrimTiming)
			}
		})
	}
}

func TestRead(t *testing.T) {
	got, err := identified(t, s19xp()).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(97.000001), Watts: new(int64(2167)), WattsSource: miner.PSU, Mode: "PowerTune",
		TargetWatts: new(int64(2200)), Effective: new(int64(2200)), Ceiling: new(int64(2200)), TemperatureC: new(61.25), Uptime: new(23170 * time.Second),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The machine that was recorded names no watts that it was told, and nobody says that it meters.
	got, err = identified(t, old()).Read(t.Context())
	if err != nil || got.State != miner.Hashing || *got.Watts != 2167 || got.WattsSource != miner.Estimate ||
		got.TargetWatts != nil || got.Ceiling != nil || got.Mode != "VoltageOptimizer" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTargets(t *testing.T) {
	cases := map[string]struct {
		algorithm                string
		stopped, asleep          bool
		told, effective, ceiling int64 // 0 is nil
		faults                   int
	}{
		"throttled":       {algorithm: tuned("PowerTune", 3000, 2600, "W"), told: 3000, effective: 2600, ceiling: 3000, faults: 1},
		"the older name":  {algorithm: `{"Power":{"Target":"3000"}}`, told: 3000, effective: 3000, ceiling: 3000},
		"in TH/s":         {algorithm: tuned("PowerTune", 93, 0, "TH/s")},
		"not running":     {algorithm: tuned("PowerTune", 3000, 0, "W"), stopped: true},
		"asleep":          {algorithm: tuned("PowerTune", 3000, 0, "W"), stopped: true, asleep: true, told: 3000},
		"two of them":     {algorithm: `{"PowerTune":{"Target":3000,"Unit":"W"},"ChipTune":{"Target":93}}`},
		"error throttled": {algorithm: `{"PowerTune":{"Target":3000,"Unit":"W","Throttle Target":2900,"Error Throttle Target":2500}}`, told: 3000, effective: 2500, ceiling: 3000, faults: 1},
		"none":            {algorithm: `{}`},
		"null":            {algorithm: `null`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			if c.asleep {
				m.asleep()
			}
			m.algorithm, m.running = c.algorithm, !c.stopped
			r, err := identified(t, m).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int64{"told": value(r.TargetWatts), "effective": value(r.Effective), "ceiling": value(r.Ceiling)}
			if diff := cmp.Diff(map[string]int64{"told": c.told, "effective": c.effective, "ceiling": c.ceiling}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(r.Faults) != c.faults {
				t.Errorf("faults %q", r.Faults)
			}
		})
	}
}

func value(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func TestStates(t *testing.T) {
	cases := map[string]struct {
		state, command, lastError, idle, hashrate, watts string
		want                                             miner.State
		wantWatts                                        int64 // 0 is nil
	}{
		"mining":                   {state: "Mining", want: miner.Hashing, wantWatts: 2167},
		"mining, no hash rate":     {state: "Mining", hashrate: "0", want: miner.Starting, wantWatts: 2167},
		"mining, none said":        {state: "Mining", hashrate: "null", want: miner.Unknown, wantWatts: 2167},
		"mining, no watts":         {state: "Mining", watts: "0", want: miner.Hashing},
		"adjusting":                {state: "AdjustingClockVoltage", want: miner.Hashing, wantWatts: 2167},
		"initializing":             {state: "Initializing", hashrate: "0", watts: "300", want: miner.Starting, wantWatts: 300},
		"loading":                  {state: "Loading", hashrate: "0", watts: "300", want: miner.Starting, wantWatts: 300},
		"cooling":                  {state: "PreInitCooldown", hashrate: "0", watts: "90", want: miner.Starting, wantWatts: 90},
		"rebooting":                {state: "SoftRebooting", hashrate: "0", watts: "90", want: miner.Starting, wantWatts: 90},
		"updating":                 {state: "UpdatingFirmware", hashrate: "0", watts: "90", want: miner.Unknown, wantWatts: 90},
		"stopping":                 {state: "Stopping", hashrate: "0", watts: "1200", want: miner.Stopping, wantWatts: 1200},
		"asleep":                   {state: "Idling", command: `"Stop"`, hashrate: "0", watts: "31.5", want: miner.Sleeping, wantWatts: 32},
		"asleep, 0 W":              {state: "Idling", command: `"stop"`, hashrate: "0", watts: "0", want: miner.Sleeping, wantWatts: 50},
		"asleep, no word":          {state: "Idling", command: "null", hashrate: "0", watts: "31.5", want: miner.Sleeping, wantWatts: 32},
		"asleep, an older error":   {state: "Idling", command: `"stop"`, lastError: `"NoNewWorkError"`, hashrate: "0", watts: "31.5", want: miner.Sleeping, wantWatts: 32},
		"idle, and draws":          {state: "Idling", command: `"stop"`, hashrate: "0", watts: "900", want: miner.Stopping, wantWatts: 900},
		"idle, and hashes":         {state: "Idling", command: `"stop"`, watts: "90", want: miner.Stopping, wantWatts: 90},
		"idle by itself":           {state: "Idling", command: `"autostart"`, hashrate: "0", watts: "31.5", want: miner.Failed, wantWatts: 32},
		"idle by an error":         {state: "Idling", command: "null", lastError: `{"ShutdownTempReached":[1,97.5]}`, hashrate: "0", watts: "31.5", want: miner.Failed, wantWatts: 32},
		"idle by its own schedule": {state: "Idling", command: `"stop"`, idle: `["Mon",{"StartTime":"04:03","EndTime":"12:37"}]`, hashrate: "0", watts: "31.5", want: miner.Failed, wantWatts: 32},
		"another state":            {state: "Dreaming", want: miner.Unknown, wantWatts: 2167},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			m.state = c.state
			for field, value := range map[*string]string{&m.command: c.command, &m.lastError: c.lastError, &m.idlePeriod: c.idle, &m.hashrate: c.hashrate, &m.watts: c.watts} {
				if value != "" {
					*field = value
				}
			}
			got, err := identified(t, m).Read(t.Context())
			if err != nil || got.State != c.want || value(got.Watts) != c.wantWatts {
				t.Errorf("%+v, %v", got, err)
			}
			if (c.lastError != "" || c.want == miner.Failed) != (len(got.Faults) > 0) {
				t.Errorf("faults %q", got.Faults)
			}
		})
	}
}

// A reading that the machine could not give is none.
func TestReadRefused(t *testing.T) {
	for _, reply := range []string{`{"result":false,"error":"UnknownError"}`, `{}`, `{"Software":"x"}`} {
		m := s19xp()
		d := identified(t, m)
		m.Act = nil
		m.Set("summary", reply)
		if _, err := d.Read(t.Context()); err == nil {
			t.Errorf("%s is a reading", reply)
		}
	}
}
