package auradine

import (
	"context"
	"errors"
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
	m := at1500()
	d := New(serve(t, m))
	got, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{Firmware: miner.Auradine, FirmwareVersion: "2023-12.27", Model: "AT1500", MAC: "1c:00:00:0e:3b:2b", Serial: "AU23200006"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"POST token", "GET ipreport", "GET psu"}, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	wantCan := miner.Capabilities{Sleep: true, Continuous: true, MinWatts: 1726, MaxWatts: 3452, StepWatts: 50, NameplateWatts: 3452, ResidualWatts: 60}
	if diff := cmp.Diff(wantCan, d.Capabilities(), cmpopts.IgnoreTypes(miner.Timing{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Supplies that say nothing leave on and off, until they do.
	m.Fail("psu", http.StatusNotFound)
	if _, err = d.Identify(t.Context()); err != nil || d.Capabilities().Continuous || d.Capabilities().NameplateWatts != 0 {
		t.Errorf("%+v, %v", d.Capabilities(), err)
	}
	m.Fail("psu", 0)
	if _, err = d.Read(t.Context()); err != nil || d.Capabilities().MaxWatts != 3452 {
		t.Errorf("%+v, %v", d.Capabilities(), err)
	}
}

// What its maker rates a model at is told beside the most that its supplies give: modes go beyond the former, and
// watts that are too few for a hash rate show by it.
func TestRated(t *testing.T) {
	for name, c := range map[string]struct {
		most           string
		rated, nominal int64
	}{
		"more than the maker says": {`"4784.00W"`, 4784, 4160},
		"less than the maker says": {`"3452.00W"`, 4160, 4160},
		"no word":                  {`null`, 4160, 4160},
	} {
		m := at1500()
		m.Replies["GET ipreport"] = status(620, `"IPReport":[{"SerialNo":"AU1","mac":"1c:00:00:0e:3b:2b","model":"AT2880","version":"2.2.0"}]`)
		m.Replies["GET psu"] = psuText(`"1994.30W"`, c.most)
		d := New(serve(t, m))
		if _, err := d.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := d.Capabilities(); got.NameplateWatts != c.rated || got.NominalWatts != c.nominal || got.NameplateTHs != 260 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
	}{
		"wrong password":        {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized},
		"wrong password, 401":   {func(m *machine) { m.Statuses["token"] = http.StatusUnauthorized }, miner.ErrUnauthorized},
		"tells the password":    {func(m *machine) { m.Admit = tells }, miner.ErrUnauthorized},
		"another web server":    {func(m *machine) { m.Statuses["token"] = http.StatusNotFound }, miner.ErrNotThisFirmware},
		"a page":                {func(m *machine) { m.Admit = page }, miner.ErrNotThisFirmware},
		"login without a token": {func(m *machine) { m.Admit = tokenless }, miner.ErrNotThisFirmware},
		"login in trouble":      {func(m *machine) { m.Statuses["token"] = http.StatusServiceUnavailable }, miner.ErrRefused},
		"too many logins":       {func(m *machine) { m.Statuses["token"] = http.StatusTooManyRequests }, miner.ErrBusy},
		"token refused":         {func(m *machine) { m.expired = 9 }, miner.ErrToken},
		"no report":             {func(m *machine) { delete(m.Replies, "GET ipreport") }, miner.ErrNotThisFirmware},
		"an empty report":       {func(m *machine) { m.Replies["GET ipreport"] = status(620, `"IPReport":[]`) }, miner.ErrNotThisFirmware},
		"another's report":      {func(m *machine) { m.Replies["GET ipreport"] = wiretest.Page }, miner.ErrNotThisFirmware},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := at1500()
			m.password, m.version = "s3cr3t", `{"STATUS":[{"STATUS":"E","Code":14}]}`
			c.change(m)
			target := serve(t, m)
			target.Username, target.Password = "admin", "s3cr3t"
			_, err := New(target).Identify(t.Context())
			if !errors.Is(err, c.want) || errors.Is(err, miner.ErrUnauthorized) != errors.Is(c.want, miner.ErrUnauthorized) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), target.Address.String()) || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "token-") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func tells([]byte, string) (int, string) {
	return http.StatusOK, `{"STATUS":[{"STATUS":"E","Msg":"s3cr3t is wrong"}]}`
}
func page([]byte, string) (int, string)      { return http.StatusOK, wiretest.Page }
func tokenless([]byte, string) (int, string) { return http.StatusOK, status(600, `"Token":[{}]`) }

// A token that is gone is fetched once more, however the machine says so.
func TestTokenIsRefreshedOnce(t *testing.T) {
	for name, forget := range map[string]func(*machine){
		"by status": func(m *machine) { m.Expire() }, "in words": func(m *machine) { m.expired = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			m := at1500()
			d := identified(t, m)
			forget(m)
			if _, err := d.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := []string{"GET mode", "POST token", "GET mode", "GET psu", "GET led"}
			if diff := cmp.Diff(want, m.Taken()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	for target, want := range map[miner.Target]string{
		{}: "4028", {Port: 18080}: "14028", {Port: 80}: "0", {Port: 18080, SecondPort: 4028}: "4028", {SecondPort: 5000}: "5000",
	} {
		target.Address = netip.MustParseAddr("192.0.2.1")
		if got := newClient(target).rpc.String(); got != "192.0.2.1:"+want {
			t.Errorf("%+v: %s", target, got)
		}
	}
}

func TestProbe(t *testing.T) {
	cases := map[string]struct {
		version string
		want    error
	}{
		"recorded":      {at1500().version, nil},
		"by the field":  {`{"STATUS":"S","VERSION":[{"GCMiner":"2.2.0"}]}`, nil},
		"by the maker":  {`{"STATUS":[{"STATUS":"S","Description":"FluxOS-2.2.0"}],"VERSION":[{}]}`, nil},
		"another one":   {`{"STATUS":[{"STATUS":"S","Description":"cgminer 4.11.1"}],"VERSION":[{"API":"3.7","CGMiner":"4.11.1"}]}`, miner.ErrNotThisFirmware},
		"no JSON":       {"HTTP/1.1 400 Bad Request\r\n\r\n", miner.ErrNotThisFirmware},
		"hangs up":      {"", miner.ErrNotThisFirmware},
		"too much":      {`{"a":"` + strings.Repeat("x", 1<<20) + `"}`, miner.ErrNotThisFirmware},
		"too deep":      {strings.Repeat("[", 1<<16), miner.ErrNotThisFirmware},
		"something NUL": {"{\"STATUS\":\x00", miner.ErrNotThisFirmware},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := at1500()
			m.version = c.version
			if err := Probe(t.Context(), serve(t, m)); !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
			if got := m.Taken(); len(got) != 0 {
				t.Errorf("sent %q", got)
			}
		})
	}
	if err := Probe(t.Context(), miner.Target{Address: netip.MustParseAddr("127.0.0.1"), SecondPort: wiretest.Nobody(t).Port, Port: wiretest.Nobody(t).Port}); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// Where nobody answers the RPC, the web server shows whose it may be.
func TestProbeWithoutTheRPC(t *testing.T) {
	for reply, want := range map[string]error{
		`{"STATUS":[{"STATUS":"E","Code":603,"Msg":"Token missing"}]}`: miner.ErrPerhaps, at1500().Replies["GET ipreport"]: miner.ErrPerhaps,
		wiretest.Page: miner.ErrNotThisFirmware, `{"error":"unauthorized"}`: miner.ErrNotThisFirmware, ``: miner.ErrNotThisFirmware,
	} {
		m := at1500()
		target := serve(t, m)
		target.SecondPort = wiretest.Nobody(t).Port
		m.Before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(reply))
			return true
		}
		if err := Probe(t.Context(), target); !errors.Is(err, want) {
			t.Errorf("%q: error %v", reply, err)
		}
		if diff := cmp.Diff([]string{"GET ipreport"}, m.Taken()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRead(t *testing.T) {
	m := at1500()
	d := identified(t, m)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(109.9797671774699), Watts: new(int64(1995)), WattsSource: miner.PSU, Mode: "custom",
		TargetWatts: new(int64(2000)), Effective: new(int64(2000)), Ceiling: new(int64(2000)), Uptime: new(56696 * time.Second),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Set("GET led", status(530, `"LED":[{"Code":4,"Msg":"Over temperature"}]`))
	m.Taken()
	for range 8 {
		if got, err = d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got.TemperatureC == nil || *got.TemperatureC != 45.827 || len(got.Faults) != 1 || !strings.Contains(got.Faults[0], "Over temperature") {
		t.Errorf("%+v", got)
	}
	if slow := strings.Count(strings.Join(m.Taken(), "\n"), "\n") + 1; slow != 8*2+2 {
		t.Errorf("%d requests", slow)
	}
}

func TestReadings(t *testing.T) {
	cases := map[string]struct {
		change  func(*machine)
		want    miner.State
		watts   int64 // 0 is nil
		source  miner.Source
		ceiling int64 // 0 is nil
	}{
		"recorded asleep":       {func(m *machine) { m.asleep() }, miner.Sleeping, 59, miner.PSU, 0},
		"a flag":                {func(m *machine) { m.asleep(); m.sleep = "true" }, miner.Sleeping, 59, miner.PSU, 0},
		"asleep, 0 W":           {func(m *machine) { m.asleep(); m.Replies["GET psu"] = psuText(`"0.00W"`, "null") }, miner.Sleeping, 60, miner.Estimate, 0},
		"asleep, no watts":      {func(m *machine) { m.asleep(); m.Statuses["psu"] = 404 }, miner.Sleeping, 0, "", 0},
		"asleep, and hashes":    {func(m *machine) { m.sleep = `"on"`; m.Replies["GET psu"] = psuText(`"90W"`, "null") }, miner.Stopping, 90, miner.PSU, 2000},
		"asleep, and draws":     {func(m *machine) { m.sleep, m.summary = `"on"`, summaryText("0") }, miner.Stopping, 1995, miner.PSU, 2000},
		"only the word asleep":  {func(m *machine) { m.asleep(); m.summary = "{}"; m.Statuses["psu"] = 404 }, miner.Unknown, 0, "", 2000},
		"asleep, program gone":  {func(m *machine) { m.asleep(); m.summary = "" }, miner.Sleeping, 59, miner.PSU, 0},
		"awake, does not hash":  {func(m *machine) { m.asleep(); m.sleep = `"off"` }, miner.Starting, 59, miner.PSU, 2000},
		"awake, program gone":   {func(m *machine) { m.summary = "" }, miner.Unknown, 1995, miner.PSU, 2000},
		"no word":               {func(m *machine) { m.sleep = "null" }, miner.Hashing, 1995, miner.PSU, 2000},
		"far over its target":   {func(m *machine) { m.Replies["GET psu"] = psuText(`"2201W"`, `"3452.00W"`) }, miner.Hashing, 2201, miner.PSU, 0},
		"tunes for TH/s":        {func(m *machine) { m.tune = `,"Tune":"ths"` }, miner.Hashing, 1995, miner.PSU, 0},
		"tunes for watts":       {func(m *machine) { m.tune = `,"Tune":"Power"` }, miner.Hashing, 1995, miner.PSU, 2000},
		"a fixed mode":          {func(m *machine) { m.mode = "turbo" }, miner.Hashing, 1995, miner.PSU, 0},
		"two supplies":          {func(m *machine) { m.Replies["GET psu"] = status(570, `"PSU":[{"PowerIn":"0.9 kW"},{"PowerIn":901}]`) }, miner.Hashing, 1801, miner.PSU, 2000},
		"one of two is silent":  {func(m *machine) { m.Replies["GET psu"] = status(570, `"PSU":[{"PowerIn":"900W"},{}]`) }, miner.Hashing, 0, "", 2000},
		"only reckoned":         {func(m *machine) { m.Statuses["psu"] = 404; m.summary = `{"SUMMARY":[{"MHS 5s":1e8,"Wattage":1950.2}]}` }, miner.Hashing, 1951, miner.Estimate, 2000},
		"watts of another unit": {func(m *machine) { m.Replies["GET psu"] = psuText(`"12.5A"`, "null") }, miner.Hashing, 0, "", 2000},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := at1500()
			d := identified(t, m)
			c.change(m)
			got, err := d.Read(t.Context())
			if err != nil || got.State != c.want || value(got.Watts) != c.watts || got.WattsSource != c.source ||
				value(got.Ceiling) != c.ceiling || value(got.Effective) != c.ceiling {
				t.Errorf("%+v, %v", got, err)
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

// Where nobody answers the RPC, the firmware may know the hash rate; a reading stands without it.
func TestReadWithoutTheRPC(t *testing.T) {
	m := at1500()
	target := serve(t, m)
	target.SecondPort = wiretest.Nobody(t).Port
	d := New(target)
	if got, err := d.Read(t.Context()); err != nil || got.State != miner.Unknown || got.HashrateTHs != nil || value(got.Watts) != 1995 {
		t.Errorf("%+v, %v", got, err)
	}
	m.Set("GET summary", strings.TrimSuffix(m.summary, "\x00"))
	if got, err := d.Read(t.Context()); err != nil || got.State != miner.Hashing || got.HashrateTHs == nil {
		t.Errorf("%+v, %v", got, err)
	}
	m.Set("GET summary", wiretest.Page)
	if got, err := d.Read(t.Context()); err != nil || got.State != miner.Unknown {
		t.Errorf("%+v, %v", got, err)
	}
	if m.asked.Load() != 0 {
		t.Error("another port was asked")
	}
}

func TestHostileReplies(t *testing.T) {
	wiretest.Hostile(t, "/mode", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := at1500()
		d := identified(t, m)
		return &m.Machine, func(ctx context.Context) error { return reads(ctx, d) }
	})
}

func TestRedirectIsNotFollowed(t *testing.T) {
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
}

func TestDeadlineIsObeyed(t *testing.T) {
	m := at1500()
	d := identified(t, m)
	wiretest.Silent(t, &m.Machine, func(ctx context.Context) error { return reads(ctx, d) })
}
