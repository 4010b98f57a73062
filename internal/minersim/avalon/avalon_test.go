package avalon_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim/avalon"
)

type versionRow struct{ CGMiner, API, PROD, MODEL, HWTYPE, SWTYPE, VERSION, LVERSION, DNA, MAC string }

// TestIdentity: what clients in the field tell models apart by.
func TestIdentity(t *testing.T) {
	r := start(t, rack)
	for device, want := range map[int]versionRow{
		rack:  {PROD: "AvalonMiner 1566-185", MODEL: "1566-185", HWTYPE: "MM4v2_X3", SWTYPE: "MM319", VERSION: "24102401_25462b2_9ddf522"},
		a13:   {PROD: "AvalonMiner 1346-110", MODEL: "1346-110", HWTYPE: "MM4v1_X3", SWTYPE: "MM317", VERSION: "24041001_08b0955_0196aba"},
		q:     {PROD: "Avalon Q", MODEL: "Q", HWTYPE: "Q_MM1v1_X1", SWTYPE: "MM319", LVERSION: "25052801_14a19a2"},
		mini:  {PROD: "Avalon Mini3", MODEL: "Mini3", HWTYPE: "Mini3_MM1v1_X1", SWTYPE: "MM319", LVERSION: "25021401_56abae7"},
		nano:  {PROD: "Avalon Nano3s", MODEL: "Nano3s", HWTYPE: "N_MM1v1_X1", SWTYPE: "MM319", LVERSION: "25021401_56abae7"},
		other: {PROD: "AvalonMiner Antminer-S21", MODEL: "Antminer-S21", HWTYPE: "MM4v2_X3", SWTYPE: "MM319", VERSION: "24102401_25462b2_9ddf522"},
	} {
		r.d = r.site.Fleet.Devices[device]
		var rows []versionRow
		if st := r.ask("version", "", "VERSION", &rows); st[0].STATUS != "S" || st[0].Code != 22 || st[0].Description != "cgminer 4.11.1" {
			t.Errorf("%+v", st)
		}
		got := rows[0]
		want.CGMiner, want.API, want.MAC = "4.11.1", "3.7", strings.ReplaceAll(r.d.MAC, ":", "")
		want.DNA = "0201" + want.MAC
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if m := r.machine(); m["Ver"] != want.MODEL+"-"+got.VERSION+got.LVERSION || m["DNA"] != want.DNA {
			t.Errorf("Ver %s, DNA %s", m["Ver"], m["DNA"])
		}
	}
}

// TestTextProtocol: fields in order, a bar behind each row, no escaping.
func TestTextProtocol(t *testing.T) {
	r := start(t, rack)
	want := "STATUS=S,When=1800,Code=22,Msg=CGMiner versions,Description=cgminer 4.11.1|VERSION,CGMiner=4.11.1,API=3.7," +
		"STM8=20.08.01,PROD=AvalonMiner 1566-185,MODEL=1566-185,HWTYPE=MM4v2_X3,SWTYPE=MM319,VERSION=24102401_25462b2_9ddf522,LOADER=d0d779de.00,"
	for _, command := range []string{"version", "version\n", "version|", "version\x00"} {
		if got := r.text(command); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", command, got)
		}
	}
	if got := r.text("estats"); !strings.Contains(got, "|STATS=0,ID=AVA100,Elapsed=1800,Calls=0,Wait=0.000000,") ||
		!strings.Contains(got, "MM ID0=Ver[1566-185-") || !strings.Contains(got, "SYSTEMSTATU[Work: In Work, Hash Board: 3 ]") ||
		!strings.HasSuffix(got, "|STATS=1,ID=POOL0,Elapsed=1800,Calls=0,Wait=0.000000,Max=0.000000,Min=99999999.000000") {
		t.Errorf("%s", got)
	}
	if got := r.text("summary"); !strings.Contains(got, "|SUMMARY,Elapsed=1800,MHS av=1") {
		t.Errorf("%s", got)
	}
	if got := r.text("pools"); !strings.Contains(got, "|POOL=0,URL=stratum+tcp://pool.example:3333,Status=Alive,") {
		t.Errorf("%s", got)
	}
}

// TestSameWattsAndHashrate by every way clients read them.
func TestSameWattsAndHashrate(t *testing.T) {
	r := start(t, rack)
	for device, watts := range map[int]float64{rack: 3420, a13: 3300, q: 1674, mini: 800, nano: 140} {
		r.d = r.site.Fleet.Devices[device]
		truth := r.d.Truth()
		m := r.machine()
		if !near(r.wall(), truth.Watts, 2) || !near(truth.Watts, watts, 6) {
			t.Errorf("%s: %g W of %g W", truth.Model, r.wall(), truth.Watts)
		}
		if wall, has := m["WALLPOWER"]; has != (device == rack) || has && float(t, wall) != r.wall() {
			t.Errorf("%s: WALLPOWER %q", truth.Model, wall)
		}
		objective := watts
		if device == rack || device == a13 {
			objective *= 0.945
		}
		if !near(float(t, m["MPO"]), objective, 4) {
			t.Errorf("%s: MPO %s, want about %g", truth.Model, m["MPO"], objective)
		}
		var devs []map[string]any
		r.ask("devs", "", "DEVS", &devs)
		var sum []map[string]any
		r.ask("summary", "", "SUMMARY", &sum)
		boards := 0.0
		for rate := range strings.FieldsSeq(m["MGHS"]) {
			boards += float(t, rate) / 1e3
		}
		for name, got := range map[string]float64{
			"GHSspd": float(t, m["GHSspd"]) / 1e3, "GHSmm": float(t, m["GHSmm"]) / 1e3, "MGHS": boards, "GHSavg": float(t, m["GHSavg"]) / 1e3,
			"devs": devs[0]["MHS 1m"].(float64) / 1e6, "summary": sum[0]["MHS av"].(float64) / 1e6,
		} {
			if !near(got, truth.TeraHashes, 3) {
				t.Errorf("%s: %s %g TH/s of %g TH/s", truth.Model, name, got, truth.TeraHashes)
			}
		}
		if _, short := devs[0]["MHS 5s"]; short != (device == q) {
			t.Errorf("%v", devs)
		}
		if devs[0]["ASC"] != 0.0 || devs[0]["Status"] != "Alive" {
			t.Errorf("%v", devs)
		}
	}
}

// TestSupplies: which number is which differs between models.
func TestSupplies(t *testing.T) {
	r := start(t, rack)
	ps := func() (out []float64) {
		for s := range strings.FieldsSeq(r.machine()["PS"]) {
			out = append(out, float(t, s))
		}
		return out
	}
	if p := ps(); p[4] >= p[6] || !near(p[4], 0.945*p[6], 1) || !near(p[2]*p[3]/100, p[4], 1) || p[5] != 1188 {
		t.Errorf("rack %v", p)
	}
	r.d = r.site.Fleet.Devices[nano]
	if p := ps(); p[4] != 0 || p[2] < 20000 || !near(p[6], r.d.Watts(), 2) {
		t.Errorf("nano %v", p)
	}
	r.d = r.site.Fleet.Devices[sleeper]
	if p := ps(); p[2] > 1 || p[3] != 0 || p[4] != 0 || p[5] != 1188 || p[6] > 20 {
		t.Errorf("asleep %v", p)
	}
}

// TestChipsAreListed, a board's under its number.
func TestChipsAreListed(t *testing.T) {
	r := start(t, rack)
	m := r.machine()
	for _, key := range []string{"PVT_T0", "PVT_T2", "PVT_V1", "MW2"} {
		if n := len(strings.Fields(m[key])); n != 160 {
			t.Errorf("%s has %d", key, n)
		}
	}
	r.d = r.site.Fleet.Devices[q]
	var rows []map[string]any
	r.ask("litestats", "", "STATS", &rows)
	blob, _ := rows[0]["MM ID0:Summary"].(string)
	if _, has := rows[0]["HBinfo"]; has || !strings.HasPrefix(blob, "'STATS':{Ver[Q-25052801_14a19a2] ") || !strings.HasSuffix(blob, "}") {
		t.Errorf("%v", rows[0])
	}
	if n := len(strings.Fields(r.machine()["PVT_T0"])); n != 160 {
		t.Errorf("%d chips", n)
	}
}

// TestJoined: several reads in one, each under its name.
func TestJoined(t *testing.T) {
	r := start(t, rack)
	out, err := r.raw(`{"command":"version+devs+nothing"}`)
	var got map[string]json.RawMessage
	if err != nil || json.Unmarshal([]byte(strings.TrimRight(out, "\x00")), &got) != nil || len(got) != 3 {
		t.Fatalf("%q %v", out, err)
	}
	var version []struct{ VERSION []versionRow }
	if err := json.Unmarshal(got["version"], &version); err != nil || version[0].VERSION[0].MODEL != "1566-185" || strings.Contains(string(got["version"]), `"id"`) {
		t.Errorf("%s %v", got["version"], err)
	}
}

func TestRefusals(t *testing.T) {
	r := start(t, rack)
	for request, want := range map[string]string{
		`{"command":"nothing"}`:                              `"Code":14,"Msg":"Invalid command"`,
		`{"command":"ascset"}`:                               `"Code":15,"Msg":"Missing device id parameter"`,
		`{"command":"ascset","parameter":["0","led","1-1"]}`: `"Code":15,`,
		`{"command":"ascset","parameter":"1,led,1-1"}`:       `"Code":107,"Msg":"Invalid ASC id 1 - range is 0 - 0"`,
		`{"command":"ascset","parameter":"0"}`:               `"Code":116,`,
		`{"command":"ascset","parameter":"0,dance"}`:         `"Code":120,"Msg":"ASC 0 set failed: Unknown option: dance"`,
		`{"command":7}`:                                      `"Code":24,`,
		`{"command":"version",}` + "\x00":                    `"Code":23,`,
		`{"command":"check"}`:                                `"Code":71,`,
		`{"command":"check","parameter":"stats"}`:            `"CHECK":[{"Exists":"Y","Access":"Y"}]`,
		`{"command":"check","parameter":"stat"}`:             `"CHECK":[{"Exists":"N",`,
		`{"command":"ascset","parameter":"0,workmode,9"}`:    `"Code":120,`,
		`{"command":"ascset","parameter":"0,hashpower,1"}`:   `"Code":120,`,
		`{"command":"ascset","parameter":"0,led,7"}`:         `"Code":120,`,
		`{"command":"ascset","parameter":"0,softoff,2:1"}`:   `"Code":120,`,
		`{"command":"` + strings.Repeat("x", 20000) + `"}`:   `"Code":23,`,
		`nothing`:        `STATUS=E,When=1800,Code=14,Msg=Invalid command,`,
		`ascset|0,dance`: `STATUS=E,When=1800,Code=120,Msg=ASC 0 set failed: Unknown option: dance,`,
		strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000):                 `"Code":24,`,
		`{"command":"ascset","parameter":{"a":"0,hashpower,0"}}`:                        `"Code":15,`,
		`{"command":"ascset","parameter":"0,reboot"}`:                                   `missing reboot setting`,
		`{"command":"ascset","parameter":"0,softoff,1:` + "99999999999999999999" + `"}`: `"Code":120,`,
	} {
		if got, err := r.raw(request); err != nil && len(got) == 0 || !strings.Contains(got, want) {
			t.Errorf("%.60s: %q %v, want %s", request, got, err, want)
		}
	}
	if w := r.d.Watts(); w < 3200 {
		t.Errorf("something refused took effect: %g W", w)
	}
}

// TestHelp names what a machine takes; the models differ.
func TestHelp(t *testing.T) {
	r := start(t, rack)
	for device, want := range map[int][2]string{
		rack: {"hashpower", "work_mode_lvl"}, q: {"work_mode_lvl", "hashpower"}, mini: {"smart-speed", "led"}, nano: {"ledset", "smart-speed"},
	} {
		r.d = r.site.Fleet.Devices[device]
		st := r.ask("ascset", "0,help", "", nil)
		list, ok := strings.CutPrefix(st[0].Msg, "ASC 0 set info: ")
		options := strings.Split(strings.TrimSuffix(list, "|"), "|")
		has := map[string]bool{}
		for _, o := range options {
			has[o] = true
		}
		if !ok || st[0].Code != 118 || st[0].STATUS != "I" || !has["softoff"] || !has["workmode"] || !has[want[0]] || has[want[1]] {
			t.Errorf("%+v", st)
		}
	}
}

func TestLED(t *testing.T) {
	r := start(t, rack)
	r.ok("led,1-1")
	r.set("led,1-255", "I", 118, "ASC 0 set info: LED[1]")
	if m := r.machine(); m["Led"] != "1" {
		t.Errorf("Led %s", m["Led"])
	}
	r.ok("led,0-0")
	r.ok("led,1")
	r.set("led,255", "I", 118, "ASC 0 set info: LED[1]")
	r.d = r.site.Fleet.Devices[q]
	r.refused("led,1-1", "Unknown option: led")
}

// TestOneConnectionAtATime: while one is heard no other is.
func TestOneConnectionAtATime(t *testing.T) {
	r := start(t, rack)
	client, machine := net.Pipe()
	go avalon.New().Serve(r.d, machine)
	// A pipe has no room: what was written was read.
	if _, err := fmt.Fprint(client, `{"command":`); err != nil || !avalon.Busy(r.d) {
		t.Fatalf("busy %t, %v", avalon.Busy(r.d), err)
	}
	second := make(chan string, 1)
	go func() {
		out, err := r.raw("version")
		second <- fmt.Sprint(out, err)
	}()
	if _, err := fmt.Fprint(client, `"devs"}`); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(client); err != nil || !strings.Contains(string(out), `"DEVS"`) {
		t.Errorf("%q %v", out, err)
	}
	if got := <-second; !strings.Contains(got, "PROD=AvalonMiner") || avalon.Busy(r.d) {
		t.Errorf("%s, busy %t", got, avalon.Busy(r.d))
	}
}

// TestRestartAnswersInItsOwnWay.
func TestRestartAnswersInItsOwnWay(t *testing.T) {
	r := start(t, rack)
	full := r.d.Watts()
	if out, err := r.raw(`{"command":"restart"}`); err != nil || out != `{"STATUS":"RESTART","id":1}`+"\x00" {
		t.Errorf("%q %v", out, err)
	}
	r.clock.Advance(10 * time.Second)
	if w := r.d.Watts(); w > 30 {
		t.Errorf("%g W without software", w)
	}
	r.clock.Advance(5 * time.Minute)
	r.hashes(full)
	r.d = r.site.Fleet.Devices[sleeper]
	if got := r.text("restart"); got != "RESTART" {
		t.Error(got)
	}
	r.clock.Advance(5 * time.Minute)
	r.asleep()
}
