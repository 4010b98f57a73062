package minersim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

// echo is a front without a protocol: it says hello and hangs up, and remembers sleep.
type echo struct{}

type echoMemory struct{ order minersim.Order }

func (m echoMemory) Boot(bool) minersim.Order { return m.order }

func (echo) Port() uint16           { return 17007 }
func (echo) ResidualWatts() float64 { return 30 }

func (echo) Adopt(_ *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	o := minersim.Order{Watts: t.NominalWatts}
	if s.Asleep {
		o.Watts = 0
	}
	return echoMemory{o}, o
}

func (echo) Serve(_ *minersim.Device, c net.Conn) {
	_, _ = c.Write([]byte("hello"))
	_ = c.Close()
}

var echoes = map[string]minersim.Front{"Echo": echo{}}

const echoFleet = `
seed: 5
groups:
- {name: east, count: 8, model: S21, firmware: Echo, firstAddress: BASE1, budget: hall-1, personas: {deaf: 2, dark: 1}}
- {name: west, count: 4, model: S19 XP, firmware: Echo, firstAddress: BASE101, budget: hall-1, initial: Sleeping, ports: {Echo: 17008}}
- {name: north, count: 2, model: S19 XP, firmware: Echo, firstAddress: BASE201, budget: hall-2}
`

// hello asks a device for its greeting.
func hello(d *minersim.Device) (string, error) {
	c, err := net.DialTimeout("tcp", d.Address.String(), time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	b := make([]byte, 16)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func call(t *testing.T, h http.Handler, method, path, body string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
		}
	}
	return w.Code
}

type truth struct {
	At      time.Time        `json:"at"`
	Watts   float64          `json:"watts"`
	Devices []minersim.Truth `json:"devices"`
}

func TestTruthAndWattsAgree(t *testing.T) {
	site, clock := simtest.Start(t, echoes, echoFleet)
	clock.Advance(time.Hour)
	h := site.Handler()
	var all truth
	call(t, h, "GET", "/truth", "", &all)
	var sums minersim.Sums
	call(t, h, "GET", "/watts", "", &sums)
	if len(all.Devices) != 14 || !all.At.Equal(clock.Now()) || !sums.At.Equal(clock.Now()) {
		t.Fatalf("%d devices at %s, sums at %s", len(all.Devices), all.At, sums.At)
	}
	total, groups := 0.0, map[string]float64{}
	for _, d := range all.Devices {
		total += d.Watts
		groups[d.Group] += d.Watts
	}
	if math.Abs(total-sums.Watts) > 1 || math.Abs(total-all.Watts) > 0.2 {
		t.Errorf("devices %g W, truth %g W, sum %g W", total, all.Watts, sums.Watts)
	}
	for g, w := range groups {
		if math.Abs(w-sums.Groups[g]) > 1 {
			t.Errorf("group %s: devices %g W, sum %g W", g, w, sums.Groups[g])
		}
	}
	if b := sums.Budgets["hall-1"]; math.Abs(b-groups["east"]-groups["west"]) > 1 {
		t.Errorf("hall-1: %g W", b)
	}
	if east := groups["east"]; math.Abs(east/(8*3500)-1) > 0.05 {
		t.Errorf("east draws %g W", east)
	}
	if west := groups["west"]; west > 4*36.1 {
		t.Errorf("west sleeps at %g W", west)
	}
	if d := all.Devices[8]; d.Address != simtest.Base()+"101" || d.Port != 17008 || d.State != minersim.Sleeping || d.Model != "Antminer S19 XP" {
		t.Errorf("first of west is %+v", d)
	}
}

func TestPersonasAreChosenBySeed(t *testing.T) {
	personas := func(site *minersim.Site) string {
		var all truth
		call(t, site.Handler(), "GET", "/truth", "", &all)
		out := ""
		for _, d := range all.Devices {
			out += string(d.Persona) + " "
		}
		return out
	}
	site, _ := simtest.Start(t, echoes, echoFleet)
	first := personas(site)
	if strings.Count(first, "deaf") != 2 || strings.Count(first, "dark") != 1 {
		t.Errorf("started with %s", first)
	}
	var answer struct {
		Changed []minersim.Change `json:"changed"`
		Count   int               `json:"count"`
	}
	if code := call(t, site.Handler(), "POST", "/persona", `{"group":"east","count":3,"persona":"late"}`, &answer); code != 200 || answer.Count != 3 {
		t.Fatalf("%d: %+v", code, answer)
	}
	for _, c := range answer.Changed {
		if c.From != minersim.Good || c.To != minersim.Late || c.Group != "east" {
			t.Errorf("changed %+v", c)
		}
	}
	second := personas(site)
	site.Close()
	again, _ := simtest.Start(t, echoes, echoFleet)
	call(t, again.Handler(), "POST", "/persona", `{"group":"east","count":3,"persona":"late"}`, nil)
	if got := personas(again); got != second {
		t.Errorf("the same seed chose\n%s\nand\n%s", second, got)
	}
	answer.Count = 0
	call(t, again.Handler(), "POST", "/persona", `{"group":"east","persona":"good"}`, &answer)
	if answer.Count != 6 || strings.Contains(personas(again), "late") {
		t.Errorf("%d came back to good: %s", answer.Count, personas(again))
	}
}

func TestDarkRefusesAndComesBack(t *testing.T) {
	site, _ := simtest.Start(t, echoes, echoFleet)
	d := site.Fleet.Devices[12]
	if got, err := hello(d); err != nil || got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	body := fmt.Sprintf(`{"address":%q,"persona":"dark"}`, d.Address.Addr())
	if code := call(t, site.Handler(), "POST", "/persona", body, nil); code != 200 {
		t.Fatal(code)
	}
	if _, err := hello(d); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dark device does not refuse: %v", err)
	}
	if w := d.Watts(); w < 2800 {
		t.Errorf("a dark device stopped drawing: %g W", w)
	}
	call(t, site.Handler(), "POST", "/persona", strings.Replace(body, "dark", "good", 1), nil)
	if got, err := hello(d); err != nil || got != "hello" {
		t.Errorf("did not come back: %q, %v", got, err)
	}
}

func TestWeakDropsSomeConnections(t *testing.T) {
	site, _ := simtest.Start(t, echoes, echoFleet)
	d := site.Fleet.Devices[12]
	if _, err := site.SetPersona(minersim.Selector{Address: d.Address.Addr().String()}, minersim.Weak); err != nil {
		t.Fatal(err)
	}
	greeted := 0
	for range 100 {
		if got, _ := hello(d); got == "hello" {
			greeted++
		}
	}
	if greeted < 55 || greeted > 90 {
		t.Errorf("greeted on %d connections of 100, of which a quarter is dropped at once", greeted)
	}
}

func TestRebootResetsConnectionsUntilItIsUp(t *testing.T) {
	site, clock := simtest.Start(t, echoes, echoFleet)
	var answer struct {
		Rebooted []string `json:"rebooted"`
		Count    int      `json:"count"`
	}
	call(t, site.Handler(), "POST", "/reboot", `{"group":"north","count":1}`, &answer)
	if answer.Count != 1 {
		t.Fatalf("%+v", answer)
	}
	var d *minersim.Device
	for _, candidate := range site.Fleet.Devices {
		if candidate.Address.Addr().String() == answer.Rebooted[0] {
			d = candidate
		}
	}
	if got, err := hello(d); err == nil {
		t.Errorf("answered %q while booting", got)
	}
	if state := d.Truth().State; state != minersim.Booting {
		t.Errorf("%s", state)
	}
	clock.Advance(time.Minute)
	if got, err := hello(d); err != nil || got != "hello" {
		t.Errorf("after the boot: %q, %v", got, err)
	}
}

func TestRequestsThatAreWrongChangeNothing(t *testing.T) {
	site, _ := simtest.Start(t, echoes, echoFleet)
	for body, want := range map[string]string{
		`{"persona":"deaf"}`: "either an address or a group",
		`{"group":"east","address":"127.0.0.1","persona":"deaf"}`: "either an address or a group",
		`{"group":"south","persona":"deaf"}`:                      `no group "south"; known: east, west, north`,
		`{"address":"127.0.0.1","persona":"deaf"}`:                `no miner at "127.0.0.1"`,
		`{"group":"east","count":9,"persona":"deaf"}`:             "has 5 that suit",
		`{"group":"east","count":-1,"persona":"deaf"}`:            "-1 is negative",
		`{"group":"east","persona":"odd"}`:                        `unknown persona "odd"`,
		`{"group":"east","who":1}`:                                `unknown field`,
		`]`:                                                       "not the JSON expected",
	} {
		var answer map[string]string
		if code := call(t, site.Handler(), "POST", "/persona", body, &answer); code != 400 || !strings.Contains(answer["error"], want) {
			t.Errorf("%s: %d %v, want %q", body, code, answer, want)
		}
	}
	if code := call(t, site.Handler(), "POST", "/reboot", `{"group":"nowhere"}`, nil); code != 400 {
		t.Errorf("reboot of nowhere: %d", code)
	}
	if code := call(t, site.Handler(), "GET", "/persona", "", nil); code != 405 {
		t.Errorf("GET /persona: %d", code)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	site, _ := simtest.Start(t, echoes, echoFleet)
	if code := call(t, site.Handler(), "GET", "/healthz", "", nil); code != 200 {
		t.Errorf("open: %d", code)
	}
	w := httptest.NewRecorder()
	site.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{
		`asic_sim_devices{group="east",persona="deaf",state="Hashing"} 2`,
		`asic_sim_watts{budget="hall-2",group="north"}`,
		`asic_sim_terahashes_per_second{budget="hall-1",group="west"} 0`,
		`asic_sim_reboots_total{group="west"} 0`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	site.Close()
	if code := call(t, site.Handler(), "GET", "/healthz", "", nil); code != 503 {
		t.Errorf("closed: %d", code)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", simtest.Base()+"202:17007")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	f, err := minersim.ParseFleet([]byte(strings.ReplaceAll(echoFleet, "BASE", simtest.Base())))
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := minersim.NewFleet(f, echoes, simtest.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	site := minersim.NewSite(fleet, echoes, logr.Discard())
	err = site.Open(t.Context())
	if want := `group "north": ` + simtest.Base() + `202:17007 is already taken`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	if _, err := hello(fleet.Devices[0]); err == nil {
		t.Error("the listeners before the one that failed stayed open")
	}
}

func TestUnknownFirmwareListsTheKnown(t *testing.T) {
	for file, want := range map[string]string{
		"groups: [{name: a, count: 1, model: S21, firmware: Stock, firstAddress: 127.0.0.1}]":                    `groups[0].firmware: unknown firmware "Stock"; known: Echo`,
		"groups: [{name: a, count: 1, model: S21, firmware: Echo, firstAddress: 127.0.0.1, ports: {Stock: 80}}]": `groups[0].ports: unknown firmware "Stock"; known: Echo`,
		"groups: [{name: a, count: 1, model: S21, firmware: Echo, firstAddress: 127.0.0.1, firmwareVersion: 2}]": `groups[0].firmwareVersion: Echo is simulated in one version only: leave it out`,
	} {
		f, err := minersim.ParseFleet([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := minersim.NewFleet(f, echoes, simtest.NewClock()); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func BenchmarkWattsOfTenThousand(b *testing.B) {
	f, err := minersim.ParseFleet([]byte("groups: [{name: a, count: 10000, model: S21, firmware: Echo, firstAddress: 127.9.0.1}]"))
	if err != nil {
		b.Fatal(err)
	}
	fleet, err := minersim.NewFleet(f, echoes, minersim.Wall{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		fleet.Sum()
	}
}
