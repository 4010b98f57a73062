package marafw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	want := miner.Identity{
		Firmware: miner.MaraFW, FirmwareVersion: "MaraFW rel 3.14_584", Model: "Antminer KS5 Pro", MAC: "02:ab:cd:00:11:22",
	}
	m := ks5()
	d := m.open(t)
	got, err := d.Identify(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	c := d.Capabilities()
	if !c.Sleep || !c.Continuous || c.MaxWatts != 2400 || c.MinWatts != 1450 || c.StepWatts != 50 || c.NameplateWatts != 0 ||
		c.NameplateTHs != 21.735 || c.SleepSurvivesReboot || c.ResidualWatts != 50 {
		t.Errorf("%+v", c)
	}
	m.Replies["overview"] = `{"data":` + strings.Replace(ks5overview, `"model":"Antminer KS5 Pro"`, `"model":null`, 1) + `}`
	if got, err = d.Identify(t.Context()); err != nil || got.Model != "Antminer KS5 Pro (21.0TH)" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What a machine can be told follows from how it is run.
func TestCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		conf              string
		status            int
		sleep, continuous bool
	}{
		"runs by hash rate":   {changed("PowerTarget", "Hashrate"), 0, true, false},
		"runs by itself":      {changed(`"Auto"`, `"Stock"`), 0, true, false},
		"sleeps, history":     {changed(`"Auto"`, `"Sleep"`), 0, true, false}, // it ran in mode Fixed
		"no target":           {changed("2400", "0"), 0, true, false},
		"no mode":             {`{"pools":[]}`, 0, false, false},
		"a mode that is none": {`{"mode":"Auto"}`, 0, false, false},
		"no such page":        {"", http.StatusNotFound, false, false},
	} {
		m := ks5()
		m.Replies[configPath] = c.conf
		m.Statuses[configPath] = c.status
		got := identified(t, m).Capabilities()
		if got.Sleep != c.sleep || got.Continuous != c.continuous {
			t.Errorf("%s: %+v", name, got)
		}
	}
	m := ks5()
	m.Replies["overview"] = `{"version_firmware":"MaraFW","model":"Antminer S21"}`
	m.Replies["brief"] = strings.Replace(ks5mining, "21735", "210000", 1)
	if c := identified(t, m).Capabilities(); c.NameplateWatts != 3675 || c.NameplateTHs != 210 || c.MaxWatts != 3675 {
		t.Errorf("%+v", c)
	}
}

func TestIdentifyErrors(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(m *machine)
		want  error
	}{
		"no such page":   {func(m *machine) { delete(m.Replies, "overview") }, miner.ErrNotThisFirmware},
		"a page":         {func(m *machine) { m.Replies["overview"] = wiretest.Page }, miner.ErrNotThisFirmware},
		"names nothing":  {func(m *machine) { m.Replies["overview"] = `{"data":{}}` }, miner.ErrNotThisFirmware},
		"no version":     {func(m *machine) { m.Replies["overview"] = `{"model":"Antminer S21"}` }, miner.ErrNotThisFirmware},
		"other password": {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized},
	} {
		m := ks5()
		c.spoil(m)
		_, err := m.open(t).Identify(t.Context())
		if !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(wiretest.Nobody(t)).Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	m := ks5()
	m.Statuses["overview"] = http.StatusInternalServerError // on its way up
	if _, err := m.open(t).Identify(t.Context()); err == nil || errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
}

func TestReadsWhatWasRecorded(t *testing.T) {
	m := ks5()
	d := identified(t, m)
	for _, c := range []struct {
		brief, conf string
		want        miner.Reading
	}{
		{ks5mining, configured, miner.Reading{
			State: miner.Hashing, HashrateTHs: new(12.724099), Watts: new(int64(1946)), WattsSource: miner.PSU,
			TargetWatts: new(int64(2400)), Effective: new(int64(2400)), Ceiling: new(int64(2400)), Mode: "Auto",
			TemperatureC: new(60.511185), Uptime: new(661101 * time.Second), Faults: []string{"Degraded: Hash board error"},
		}},
		{`{"data":` + ks5asleep + `}`, `{"data":` + changed(`"Auto"`, `"Sleep"`) + `}`, miner.Reading{
			State: miner.Sleeping, HashrateTHs: new(0.), Watts: new(int64(50)), WattsSource: miner.Estimate,
			TargetWatts: new(int64(2400)), Mode: "Sleep", TemperatureC: new(27.125), Uptime: new(264 * time.Second),
		}},
	} {
		m.Set("brief", c.brief)
		m.Set(configPath, c.conf)
		d.readings = 0
		got, err := d.Read(t.Context())
		if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(1e-9, 0)); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// What the machine was told, its word, its hash rate and its watts make its state together.
func TestState(t *testing.T) {
	const asleep = `"Sleep"`
	for name, c := range map[string]struct {
		selector, brief string
		want            miner.State
	}{
		"told to sleep, hashes":         {asleep, ks5mining, miner.Stopping},
		"told to sleep, says so, draws": {asleep, `{"status":"Sleep","hashrate_realtime":0,"power_consumption_estimated":900}`, miner.Stopping},
		"told to sleep, says it mines":  {asleep, `{"status":"Mining","hashrate_realtime":0}`, miner.Stopping},
		"told to sleep, says neither":   {asleep, `{"status":"Upgrade","hashrate_realtime":0}`, miner.Unknown},
		"told to sleep, no hash rate":   {asleep, `{"status":"Sleep"}`, miner.Unknown},
		"told to sleep, failed":         {asleep, `{"status":"Failure","hashrate_realtime":0}`, miner.Failed},
		"told to mine, says it sleeps":  {`"Auto"`, ks5asleep, miner.Starting},
		"told to mine, no hash rate":    {`"Auto"`, `{"status":"Mining","hashrate_realtime":0}`, miner.Starting},
		"a ramp":                        {`"Auto"`, `{"status":"Mining","hashrate_realtime":100,"hashrate_ideal":12000,"hashrate_unit":"GH/s"}`, miner.Starting},
		"starts":                        {`"Fixed"`, `{"status":"Starting","hashrate_realtime":0}`, miner.Starting},
		"stops":                         {`"Fixed"`, `{"status":"Stopping","hashrate_realtime":0}`, miner.Stopping},
		"paused by itself":              {`"Auto"`, `{"status":"Paused","hashrate_realtime":0}`, miner.Failed},
		"failed":                        {`"Auto"`, `{"status":"Critical error","hashrate_realtime":0}`, miner.Failed},
		"failed, and hashes":            {`"Auto"`, `{"status":"Fan error","hashrate_realtime":12000,"hashrate_ideal":12000}`, miner.Hashing},
		"a word nobody knows":           {`"Auto"`, `{"status":"Hm","hashrate_realtime":0}`, miner.Unknown},
	} {
		m := ks5()
		d := identified(t, m)
		m.Set("brief", c.brief)
		m.Set(configPath, changed(`"Auto"`, c.selector))
		d.readings = 0
		if r, err := d.Read(t.Context()); err != nil || r.State != c.want {
			t.Errorf("%s: %s, %v", name, r.State, err)
		}
	}
	// Without a configuration its word has to do.
	m := ks5()
	m.Replies["brief"] = ks5asleep
	delete(m.Replies, configPath)
	if r, err := identified(t, m).Read(t.Context()); err != nil || r.State != miner.Sleeping || r.Mode != "Sleep" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Releases write the hash rate in different units; watts of 0 are none.
func TestUnits(t *testing.T) {
	m := ks5()
	d := identified(t, m)
	for brief, want := range map[string]*float64{
		`"hashrate_realtime":100055.5,"hashrate_ideal":101000`:                       new(100.0555),
		`"hashrate_realtime":100.0555,"hashrate_ideal":101000`:                       new(100.0555),
		`"hashrate_realtime":50500,"hashrate_ideal":101000`:                          new(50.5),
		`"hashrate_realtime":"100.5","hashrate_unit":"TH/s"`:                         new(100.5),
		`"hashrate_realtime":16e6,"hashrate_unit":"MH/s"`:                            new(16.),
		`"hashrate_realtime":0.5,"hashrate_unit":"PH/s","hashrate_ideal":500000`:     new(500.),
		`"hashrate_realtime":100,"hashrate_unit":"Sol/s"`:                            nil,
		`"hashrate_realtime_10m":20.1,"hashrate_realtime_10m_unit":"TH/s"`:           new(20.1),
		`"hashrate_realtime_10m":20100,"hashrate_unit":"GH/s"`:                       new(20.1),
		`"hashrate_realtime":0,"hashrate_realtime_10m":20100,"hashrate_unit":"GH/s"`: new(0.),
		`"hashrate_realtime":null,"power_consumption_estimated":0,"power_source":""`: nil,
	} {
		m.Set("brief", `{"status":"Mining",`+brief+`}`)
		r, err := d.Read(t.Context())
		if diff := cmp.Diff(want, r.HashrateTHs, cmpopts.EquateApprox(1e-9, 0)); err != nil || diff != "" || r.Watts != nil {
			t.Errorf("%s: %v, %v (-want +got):\n%s", brief, err, r.Watts, diff)
		}
	}
}

func TestReadErrors(t *testing.T) {
	for name, spoil := range map[string]func(m *machine){
		"brief names nothing":   func(m *machine) { m.Set("brief", `{"data":{"error":true}}`) },
		"brief is a page":       func(m *machine) { m.Set("brief", wiretest.Page) },
		"brief is gone":         func(m *machine) { m.Fail("brief", http.StatusNotFound) },
		"configuration is none": func(m *machine) { m.Set(configPath, `[]`) },
		"configuration fails":   func(m *machine) { m.Fail(configPath, http.StatusBadGateway) },
	} {
		m := ks5()
		d := identified(t, m)
		spoil(m)
		if r, err := d.Read(t.Context()); err == nil || r.State != "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// The configuration of a machine that hashes as it was told is read every fourth time only.
func TestReadingsAreCheap(t *testing.T) {
	m := ks5()
	d := identified(t, m)
	for range 2 * slowEvery {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.Taken()); n != 2*slowEvery+2 {
		t.Errorf("%d requests", n)
	}
}

func TestHostileMachines(t *testing.T) {
	for _, path := range []string{"overview", "brief", configPath} {
		wiretest.Hostile(t, path, func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
			t.Helper()
			m := ks5()
			d := m.open(t)
			return m.Machine, func(ctx context.Context) error {
				_, err := d.Identify(ctx)
				return err
			}
		})
	}
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
	m := ks5()
	d := identified(t, m)
	wiretest.Silent(t, m.Machine, func(ctx context.Context) error { return d.Apply(ctx, sleepy) })
}

func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		rpc, challenge string
		want           error
	}{
		"by its RPC":         {versionRPC, `Digest realm="antMiner Configuration", nonce="n"`, nil},
		"by its description": {strings.Replace(versionRPC, "MaraFW", "", 1), "", nil},
		"by its login":       {"", `Digest realm="MaraFW", nonce="n"`, nil},
		"another RPC":        {`{"VERSION":[{"BMMiner":"1.0.0"}]}`, `Digest realm="antMiner Configuration"`, miner.ErrNotThisFirmware},
		"no RPC":             {"\x00\x00{{{", "", miner.ErrNotThisFirmware},
	} {
		web := wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("credentials")
			}
			w.Header().Set("WWW-Authenticate", c.challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		if err := probe(t.Context(), web, says(t, c.rpc)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nobody := wiretest.Nobody(t)
	if err := probe(t.Context(), nobody, netip.AddrPortFrom(nobody.Address, uint16(nobody.Port))); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// What was kept of a machine has no login.
func TestProbeWithoutALogin(t *testing.T) {
	nobody := wiretest.Nobody(t)
	for text, want := range map[string]error{
		`{"version_firmware":"rel3.12","model":"S19k Pro"}`:          nil,
		`{"data":{"version_firmware":"rel3.12","model":"S19k Pro"}}`: nil,
		`{"model":"S19k Pro"}`: miner.ErrNotThisFirmware,
	} {
		web := wiretest.Kept(t, "/kaonsu/v1/", map[string]string{"overview": text})
		if err := probe(t.Context(), web, netip.AddrPortFrom(nobody.Address, uint16(nobody.Port))); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// says answers every connection with one reply.
func says(t *testing.T, reply string) netip.AddrPort {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 64))
			_, _ = conn.Write([]byte(reply + "\x00"))
			_ = conn.Close()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}
