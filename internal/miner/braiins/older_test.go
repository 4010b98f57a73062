package braiins

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// olderMachine is a tiny mining program: one command per connection.
type olderMachine struct {
	mu      sync.Mutex
	replies map[string]string
	taken   []string
	web     miner.Target
}

const boser = `"STATUS":[{"STATUS":"S","When":1776367337,"Code":22,"Msg":"%s","Description":"BOSer boser-buildroot 0.1.0-75912fc7"}]`

func says(message, body string) string {
	if body != "" {
		body = "," + body
	}
	return "{" + fmt.Sprintf(boser, message) + body + `,"id":1}`
}

// s9 has the vendor's example, and recorded replies of 24.09. It has a web server without the REST API.
func s9(t testing.TB) *olderMachine {
	t.Helper()
	return &olderMachine{
		web: wiretest.Serve(t, http.NotFoundHandler()),
		replies: map[string]string{
			"version":     says("BOSer versions", `"VERSION":[{"API":"3.7","BOSer":"boser-buildroot 0.1.0-75912fc7"}]`),
			"devdetails":  says("Device Details", `"DEVDETAILS":[{"Chips":63,"DEVDETAILS":0,"Frequency":799682118,"ID":6,"Model":"Bitmain Antminer S9","Name":"Hash Chain 6","Voltage":8.4}]`),
			"tunerstatus": tuned(`1419`, `1420`, `"Disabled"`, "Tuning individual chips"),
			"summary":     summarised("13450000.5"),
			"temps":       says("3 Temp(s)", `"TEMPS":[{"Board":81.875,"Chip":104.625,"ID":6,"TEMP":0},{"Board":85.875,"Chip":108.9375,"ID":7,"TEMP":1},{"Board":84.4375,"Chip":0,"ID":8,"TEMP":2}]`),
		},
	}
}

func tuned(watts, limit, scaling, chain string) string {
	return says("Tuner Status", fmt.Sprintf(`"TUNERSTATUS":[{"ApproximateChainPowerConsumption":1344,"ApproximateMinerPowerConsumption":%s,
		"DynamicPowerScaling":%s,"PowerLimit":%s,"TunerChainStatus":[{"HashchainIndex":6,"Status":%q},{"HashchainIndex":7,"Status":%q}]}]`,
		watts, scaling, limit, chain, chain))
}

func summarised(mhs string) string {
	return says("Summary", fmt.Sprintf(`"SUMMARY":[{"Accepted":5231,"Elapsed":7204,"MHS 5s":%s,"MHS 1m":13300000,"MHS av":13000000}]`, mhs))
}

// unavailable is what a machine without running boards answers to devdetails.
const unavailable = `{"STATUS":[{"STATUS":"W","Code":123,"Msg":"Unavailable","Description":"BOSer boser-buildroot 0.1.0-75912fc7"}],"id":1}`

// serve starts the program and says where machine and program are.
func (m *olderMachine) serve(t testing.TB) miner.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.answer(conn)
		}
	}()
	target := m.web
	target.SecondPort = int(netip.MustParseAddrPort(listener.Addr().String()).Port())
	return target
}

func (m *olderMachine) answer(conn net.Conn) {
	defer conn.Close()
	var in struct{ Command, Parameter string }
	if json.NewDecoder(conn).Decode(&in) != nil {
		return
	}
	m.mu.Lock()
	m.taken = append(m.taken, strings.TrimSpace(in.Command+" "+in.Parameter))
	reply, ok := m.replies[in.Command]
	m.mu.Unlock()
	if !ok {
		reply = strings.Replace(says("Invalid command", ""), `"S"`, `"E"`, 1)
	}
	fmt.Fprint(conn, reply)
}

func (m *olderMachine) set(command, reply string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replies[command] = reply
}

// asked are the commands since the last call.
func (m *olderMachine) asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.taken
	m.taken = nil
	return taken
}

func olderIdentified(t testing.TB, m *olderMachine) *Driver {
	t.Helper()
	d := New(m.serve(t))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.asked()
	return d
}

func TestOlderIdentify(t *testing.T) {
	for name, change := range map[string]func(*olderMachine){
		"no REST API":       func(*olderMachine) {},
		"nobody on the web": func(m *olderMachine) { m.web = wiretest.Nobody(t) },
		"a login that is forbidden to post": func(m *olderMachine) {
			m.web = wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }))
		},
		"a page for every path": func(m *olderMachine) {
			m.web = wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, wiretest.Page) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := s9(t)
			change(m)
			d := New(m.serve(t))
			got, err := d.Identify(t.Context())
			want := miner.Identity{Firmware: miner.BraiinsOS, FirmwareVersion: "BOSer boser-buildroot 0.1.0-75912fc7", Model: "Bitmain Antminer S9"}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff([]string{"version", "devdetails", "tunerstatus"}, m.asked()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			c := d.Capabilities()
			if c.Sleep || c.Continuous || len(c.Modes) > 0 || c.NameplateWatts != 1420 || c.ResidualWatts != residualWatts {
				t.Errorf("capabilities %+v", c)
			}
			m.asked()
			if err := Probe(t.Context(), m.serve(t)); err != nil {
				t.Errorf("probe: %v", err)
			}
			if diff := cmp.Diff([]string{"version"}, m.asked()); diff != "" {
				t.Errorf("the probe asked (-want +got):\n%s", diff)
			}
		})
	}
}

// What is another firmware's mining program, or none, stays so.
func TestOlderIsSomethingElse(t *testing.T) {
	for name, version := range map[string]string{
		"LuxOS":           `{"STATUS":[{"STATUS":"S","Code":22,"Msg":"LUXminer versions","Description":"LUXminer 2025.4.8"}],"VERSION":[{"API":"3.7","LUXminer":"2025.4.8"}],"id":1}`,
		"a stock machine": `{"STATUS":[{"STATUS":"S","Code":22,"Msg":"CGMiner versions","Description":"cgminer 1.0.0"}],"VERSION":[{"BMMiner":"1.0.0"}],"id":1}`,
		"nothing":         "",
		"a web server":    "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a refusal":       strings.Replace(says("Access denied", ""), `"S"`, `"E"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			m := s9(t)
			m.replies["version"] = version
			target := m.serve(t)
			if _, err := New(target).Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) {
				t.Errorf("error %v is no ErrNotThisFirmware", err)
			}
			if err := Probe(t.Context(), target); !errors.Is(err, miner.ErrNotThisFirmware) {
				t.Errorf("probe: error %v is no ErrNotThisFirmware", err)
			}
			target.Port = wiretest.Nobody(t).Port
			if _, err := New(target).Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
				t.Errorf("error %v is no ErrUnreachable", err)
			}
		})
	}
}

// The REST API is the better way wherever it answers, and a sure one makes no second connection.
func TestNewerIsNotAskedTwice(t *testing.T) {
	m, rest := s9(t), s19xp()
	m.web = wiretest.Serve(t, rest)
	target := m.serve(t)
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.MAC == "" || !d.Capabilities().Sleep || Probe(t.Context(), target) != nil {
		t.Errorf("%+v, %v", id, err)
	}
	rest.Expire()
	rest.password = "changed"
	if _, err := New(target).Identify(t.Context()); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
	if asked := m.asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	// An API that wants a token may be another's; the program tells.
	rest.Fail("version", http.StatusUnauthorized)
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	m.set("version", "")
	if err := Probe(t.Context(), target); !errors.Is(err, miner.ErrPerhaps) {
		t.Errorf("error %v is no ErrPerhaps", err)
	}
}

func TestOlderRead(t *testing.T) {
	m := s9(t)
	d := olderIdentified(t, m)
	got, err := d.Read(t.Context())
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(13.4500005), Watts: new(int64(1419)), WattsSource: miner.Estimate,
		TargetWatts: new(int64(1420)), Effective: new(int64(1420)), Ceiling: new(int64(1420)),
		TemperatureC: new(108.9375), Uptime: new(7204 * time.Second),
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	if diff := cmp.Diff(want, got, near); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"summary", "tunerstatus", "temps"}, m.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if _, err := d.Read(t.Context()); err != nil || len(m.asked()) != 2 {
		t.Errorf("the second reading: %v", err)
	}
}

func TestOlderState(t *testing.T) {
	const works, scaled = "Device Details", `{"ScaledPowerLimit":1100}`
	cases := map[string]struct {
		mhs, watts, scaling, chain, boards string
		want                               miner.State
		drawn, effective                   *int64
	}{
		"hashing":                       {"13450000", "1419", `"InitialPowerLimit"`, "Stable", works, miner.Hashing, new(int64(1419)), new(int64(1420))},
		"hashing, scaled down":          {"11450000", "1098", scaled, "Stable", works, miner.Hashing, new(int64(1098)), new(int64(1100))},
		"hashing, watts not said":       {"13450000", "null", `"Disabled"`, "Stable", works, miner.Hashing, nil, new(int64(1420))},
		"hashing at 0 W":                {"13450000", "0", `"Disabled"`, "Stable", works, miner.Hashing, nil, new(int64(1420))},
		"no hash rate":                  {"0", "0", `"Disabled"`, "Stable", works, miner.Starting, nil, new(int64(1420))},
		"no hash rate, no boards, 0 W":  {"0", "0", `"Disabled"`, "Stable", "", miner.Sleeping, new(int64(residualWatts)), nil},
		"no hash rate, paused, 38 W":    {"0", "38", `"Disabled"`, "Paused", works, miner.Sleeping, new(int64(38)), nil},
		"no boards, and draws":          {"0", "1419", `"Disabled"`, "Paused", "", miner.Starting, new(int64(1419)), new(int64(1420))},
		"no boards, watts not said":     {"0", "null", `"Disabled"`, "Stable", "", miner.Unknown, nil, new(int64(1420))},
		"no boards, and hashes":         {"13450000", "0", `"Disabled"`, "Paused", "", miner.Hashing, nil, new(int64(1420))},
		"hash rate as text, a negative": {`"-1"`, `"1419"`, `"Disabled"`, "Stable", works, miner.Starting, new(int64(1419)), new(int64(1420))},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s9(t)
			d := olderIdentified(t, m)
			m.set("summary", summarised(c.mhs))
			m.set("tunerstatus", tuned(c.watts, "1420", c.scaling, c.chain))
			if c.boards == "" {
				m.set("devdetails", unavailable)
			}
			r, err := d.Read(t.Context())
			if err != nil || r.State != c.want {
				t.Fatalf("state %q, %v", r.State, err)
			}
			if diff := cmp.Diff([]*int64{c.drawn, c.effective}, []*int64{r.Watts, r.Effective}); diff != "" {
				t.Errorf("watts and effective (-want +got):\n%s", diff)
			}
			if (r.Effective == nil) != (r.Ceiling == nil) || r.Ceiling != nil && *r.Ceiling != 1420 {
				t.Errorf("ceiling %v", r.Ceiling)
			}
		})
	}
}

// An edition without automatic tuning says nothing of watts; a five-second average is not everywhere.
func TestOlderReadWithLess(t *testing.T) {
	m := s9(t)
	delete(m.replies, "tunerstatus")
	delete(m.replies, "temps")
	m.replies["summary"] = strings.Replace(summarised("1"), `"MHS 5s":1,`, "", 1)
	d := olderIdentified(t, m)
	r, err := d.Read(t.Context())
	if err != nil || r.State != miner.Hashing || *r.HashrateTHs < 13.29 || *r.HashrateTHs > 13.31 || r.Watts != nil || r.WattsSource != "" ||
		r.Effective != nil || r.Ceiling != nil || r.TargetWatts != nil || r.TemperatureC != nil {
		t.Errorf("%+v, %v", r, err)
	}
	m.set("summary", says("Summary", `"SUMMARY":[]`))
	if r, err = d.Read(t.Context()); err != nil || r.State != miner.Unknown {
		t.Errorf("%+v, %v", r, err)
	}
	m.set("summary", summarised("0"))
	m.set("tunerstatus", says("Tuner Status", `"TUNERSTATUS":[{"ApproximateMinerPowerConsumption":0}]`))
	if r, err = d.Read(t.Context()); err != nil || r.State != miner.Starting {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOlderReadErrors(t *testing.T) {
	for name, summary := range map[string]string{
		"another machine":   `{"STATUS":[{"STATUS":"S","Description":"cgminer 4.10"}],"SUMMARY":[{"MHS 5s":1}]}`,
		"a refusal":         strings.Replace(says("Not ready", ""), `"S"`, `"E"`, 1),
		"cut short":         `{"STATUS":[`,
		"nothing":           "",
		"deep":              strings.Repeat("[", 5000),
		"too large":         `{"a":"` + strings.Repeat("x", wire.MaxReply) + `"}`,
		"NUL in the middle": "{\"STATUS\":\x00[]}",
		"no JSON":           "STATUS=S,Msg=Summary|",
	} {
		t.Run(name, func(t *testing.T) {
			m := s9(t)
			d := olderIdentified(t, m)
			m.set("summary", summary)
			if r, err := d.Read(t.Context()); err == nil {
				t.Errorf("%+v", r)
			}
		})
	}
}

// An older machine is told nothing.
func TestOlderIsOnlyRead(t *testing.T) {
	m := s9(t)
	d := olderIdentified(t, m)
	for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashMode}, {Kind: miner.HashWatts, Watts: 1000}} {
		if err := d.Apply(t.Context(), s); !errors.Is(err, miner.ErrUnsupported) {
			t.Errorf("%s: %v", s.Kind, err)
		}
	}
	if asked := m.asked(); len(asked) > 0 {
		t.Errorf("told %v", asked)
	}
}

// A machine whose web server was away is read through its program, until its REST API shows up.
func TestOlderBecomesNewer(t *testing.T) {
	m, rest, up := s9(t), s19xp(), false
	m.web = wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if up {
			rest.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	d := olderIdentified(t, m)
	up = true
	for range restEvery - 1 {
		if r, err := d.Read(t.Context()); err != nil || *r.Watts != 1419 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	r, err := d.Read(t.Context())
	if err != nil || *r.Watts != 2472 || !d.Capabilities().Continuous {
		t.Errorf("%+v, %v", r, err)
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Error(err)
	}
}
