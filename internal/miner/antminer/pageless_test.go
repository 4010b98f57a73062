package antminer

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

const hiveonRPC = `{"STATUS":[{"STATUS":"S"}],"VERSION":[{"BMMiner":"4.11.1","Miner":"0.0.1.3","Type":"Antminer S19x88 Hiveon"}],"id":1}`

// bare is a machine of which only the RPC is reached: its STATS lack the comma between their rows, as those of 2017 do.
func bare() *machine {
	m := s21()
	m.pages, m.conf = nil, nil
	m.rpc = map[string]string{
		"version": `{"STATUS":[{"STATUS":"S"}],"VERSION":[{"BMMiner":"2.0.0","Miner":"16.8.1.3","CompileTime":"Fri Nov 17 2017","Type":"Antminer S9"}],"id":1}`,
		"stats": `{"STATUS":[{"STATUS":"S"}],"STATS":[{"BMMiner":"2.0.0","Type":"Antminer S9"}{"STATS":0,"ID":"BC50","Elapsed":77,"GHS 5s":"13500.5",` +
			`"temp_num":3,"temp6":60,"temp2_6":74,"temp2_7":81,"temp3_6":0,"temp_max":60,"total_rateideal":13501}],"id":1}`,
	}
	return m
}

func TestWithoutPages(t *testing.T) {
	m := bare()
	d := m.serve(t)
	got, err := d.Identify(t.Context())
	want := miner.Identity{Firmware: miner.Antminer, FirmwareVersion: "Fri Nov 17 2017", Model: "Antminer S9"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	read := miner.Reading{State: miner.Hashing, HashrateTHs: new(13.5005), TemperatureC: new(81.), Uptime: new(77 * time.Second)}
	for range 2 {
		r, err := d.Read(t.Context())
		if diff := cmp.Diff(read, r); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if d.Capabilities().Sleep || !isUnsupported(d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})) || len(m.orders()) != 0 {
		t.Error("it has no pages to be told by")
	}
	m.set(func() { p := s21(); m.pages, m.conf = p.pages, p.conf })
	for range pagesEvery {
		if _, err := d.Read(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if !d.Capabilities().Sleep {
		t.Error("its pages are back, and not used")
	}
}

// What is left of a reading where a mining program answers to some commands only.
func TestPartsOfTheRPC(t *testing.T) {
	const summary = `{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"Elapsed":9,"GHS 5s":"14000.0","GHS av":1}],"id":1}`
	for name, c := range map[string]struct {
		change func(*machine)
		ths    float64
		model  string
	}{
		"no version": {func(m *machine) { delete(m.rpc, "version") }, 13.5005, "Antminer S9"},
		"version refused": {func(m *machine) {
			m.rpc["version"] = `{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied"}],"id":1}`
		},
			13.5005, "Antminer S9"},
		"no stats": {func(m *machine) { m.rpc["stats"] = `{"STATUS":[{"STATUS":"E","Code":14}]}`; m.rpc["summary"] = summary }, 14, "Antminer S9"},
		"a unit that its model has": {func(m *machine) {
			m.rpc["version"] = `{"STATUS":[{"STATUS":"S"}],"VERSION":[{"CGMiner":"4.9.0","Miner":"1.0.1.3","Type":"Antminer L3+"}],"id":1}`
			m.rpc["stats"] = `{"STATUS":[{"STATUS":"S"}],"STATS":[{"Type":"Antminer L3+"}{"Elapsed":1,"GHS 5s":"504.5"}],"id":1}`
		}, .0005045, "Antminer L3+"},
		"a unit that its key belies": {func(m *machine) {
			m.rpc["stats"] = `{"STATUS":[{"STATUS":"S"}],"STATS":[{"Type":"Antminer L7"},{"Elapsed":1,"GHS 5s":9500.0,"rate_unit":"MH"}],"id":1}`
		}, .0095, "Antminer S9"},
	} {
		t.Run(name, func(t *testing.T) {
			m := bare()
			c.change(m)
			d := m.serve(t)
			id, err := d.Identify(t.Context())
			if err != nil || id.Model != c.model {
				t.Fatalf("%+v, %v", id, err)
			}
			r, err := d.Read(t.Context())
			if err != nil || r.HashrateTHs == nil || math.Abs(*r.HashrateTHs-c.ths) > 1e-12 || r.Uptime == nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Where its "summary" is all that a mining program answers with, its name tells whose it is, and nothing tells the model.
func TestASummaryAlone(t *testing.T) {
	const summary = `{"STATUS":[{"STATUS":"S","Code":11,"Msg":"Summary","Description":"%s"}],"SUMMARY":[{"Elapsed":50731,"GHS 5s":"7903.729"}],"id":1}`
	for description, want := range map[string]error{
		"bmminer 1.0.0": nil, "BMMiner 2.0.0 rwglr": nil, "cgminer 4.11.1": miner.ErrNotThisFirmware, "bmminer 1.0.0 vnish": miner.ErrNotThisFirmware, "": miner.ErrNotThisFirmware,
	} {
		m := bare()
		m.rpc = map[string]string{"summary": fmt.Sprintf(summary, description)}
		for name, refused := range map[string]string{"refused": `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}],"id":1}`, "cut off": ""} {
			m.rpc["version"], m.rpc["stats"] = refused, refused
			d := m.serve(t)
			id, err := d.Identify(t.Context())
			if want != nil {
				if err == nil {
					t.Errorf("%s, %s: %+v", description, name, id)
				}
				continue
			}
			if diff := cmp.Diff(miner.Identity{Firmware: miner.Antminer}, id); err != nil || diff != "" {
				t.Fatalf("%s, %s: %v (-want +got):\n%s", description, name, err, diff)
			}
			r, err := d.Read(t.Context())
			if diff := cmp.Diff(miner.Reading{State: miner.Hashing, HashrateTHs: new(7.903729), Uptime: new(50731 * time.Second)}, r); err != nil || diff != "" {
				t.Errorf("%s, %s: %v (-want +got):\n%s", description, name, err, diff)
			}
		}
	}
}

// Without the page that says who a machine is, the head of its readings does.
func TestStatsPageAlone(t *testing.T) {
	m := s21()
	m.pages, m.conf, m.rpc = map[string]string{"stats": s21stats}, nil, nil
	d := m.serve(t)
	id, err := d.Identify(t.Context())
	want := miner.Identity{Firmware: miner.Antminer, FirmwareVersion: "Thu Apr 30 20:05:42 CST 2026", Model: "Antminer S21 Pro+"}
	if diff := cmp.Diff(want, id); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || r.Watts == nil || *r.Watts != 3499 {
		t.Errorf("%+v, %v", r, err)
	}
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/stats.cgi") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(s21stats))
	}))
	t.Cleanup(served.Close)
	if err := Probe(t.Context(), targetOf(netip.MustParseAddrPort(served.Listener.Addr().String()), 1)); !errors.Is(err, miner.ErrPerhaps) {
		t.Errorf("probe: %v", err)
	}
}

// A machine whose script does not show its configuration is read all the same.
func TestNoConfigurationPage(t *testing.T) {
	m := s21()
	m.conf = nil
	d := identified(t, m)
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || r.Watts == nil || d.Capabilities().Sleep {
		t.Errorf("%+v, %v, %+v", r, err, d.Capabilities())
	}
}

// Boards of newer programs have a key each, and 0 where there is no sensor.
func TestTemperaturesOfTheRPC(t *testing.T) {
	for text, want := range map[string]*float64{
		`{"temp1":73,"temp2_1":78,"temp2":66,"temp_chip1":"78-50-69-79","temp_chip4":"0-0-0-0","temp_pcb1":"90-1-1-1","temp_max":0}`: new(79.),
		`{"temp_num":3,"temp6":74,"temp2_6":89,"temp3_6":0,"temp_max":74}`:                                                           new(89.),
		`{"temp1":50,"temp3_1":81,"temp2_1":80}`:                                                                                     new(81.),
		`{"temp1":50,"temp31":99,"temp_max":51}`:                                                                                     new(51.),
		`{"temp1":50,"temp2":52,"temp_num":88}`:                                                                                      new(52.),
		`{"temp1":0,"temp_chip1":"","temp_max":0,"temp_num":3}`:                                                                      nil,
		`{"temp1":"x","temp2_1":[1],"temp_chip1":{},"temp2_2":}`:                                                                     nil,
	} {
		var r row
		_ = r.UnmarshalJSON([]byte(text))
		if diff := cmp.Diff(want, r.temperature()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// Without a login page there are two other ways to tell, and neither is sure.
func TestProbeWithoutALoginPage(t *testing.T) {
	web := func(status int, body string) miner.Target {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/cgi-bin/get_system_info.cgi" {
				status, body = http.StatusNotFound, ""
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return targetOf(netip.MustParseAddrPort(server.Listener.Addr().String()), 1)
	}
	program := func(m *machine) netip.AddrPort { return m.listen(t) }
	other := bare()
	other.rpc = map[string]string{"version": hiveonRPC}
	lux := bare()
	lux.rpc = map[string]string{"version": `{"STATUS":[{"STATUS":"S","Description":"LUXminer 2025.4.8"}],"VERSION":[{"LUXminer":"2025.4.8","Miner":"2025.4.8","Type":"Antminer S21"}]}`}
	none := netip.MustParseAddrPort("127.0.0.1:1")
	for name, c := range map[string]struct {
		target miner.Target
		want   error
	}{
		"the RPC alone":               {targetOf(none, program(bare()).Port()), miner.ErrPerhaps},
		"the RPC where pages belong":  {targetOf(program(bare()), 1), miner.ErrPerhaps},
		"the RPC of another firmware": {targetOf(none, program(other).Port()), miner.ErrUnreachable},
		"the RPC of LuxOS":            {targetOf(none, program(lux).Port()), miner.ErrUnreachable},
		"pages of something else":     {web(http.StatusOK, `{"minertype":"Fluminer L1"}`), miner.ErrNotThisFirmware},
	} {
		if err := Probe(t.Context(), c.target); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "get_system_info.cgi") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(system))
	}))
	t.Cleanup(served.Close)
	if err := Probe(t.Context(), targetOf(netip.MustParseAddrPort(served.Listener.Addr().String()), 1)); !errors.Is(err, miner.ErrPerhaps) {
		t.Errorf("a page without a login: %v", err)
	}
	d := New(targetOf(program(bare()), 1))
	if id, err := d.Identify(t.Context()); err != nil || id.Model != "Antminer S9" {
		t.Errorf("%+v, %v: its RPC is where its pages belong", id, err)
	}
}

func targetOf(address netip.AddrPort, second uint16) miner.Target {
	return miner.Target{Address: address.Addr(), Port: int(address.Port()), SecondPort: int(second)}
}
