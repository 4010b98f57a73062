package axeos_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func TestDiscovery(t *testing.T) {
	r := start(t, gamma)
	if page := r.want(200, "GET", "/", ""); !strings.Contains(page, "<title>AxeOS</title>") {
		t.Error(page)
	}
	for device, want := range map[int][4]string{
		gamma: {"BM1370", "601", "v2.14.0", "Gamma"}, older: {"BM1368", "401", "v2.13.0", "Supra"},
		gt: {"BM1370", "800", "v2.14.0", "GT"}, other: {"BM1368", "601", "v2.14.0", "Antminer S21"},
	} {
		r.d = r.site.Fleet.Devices[device]
		i := r.info()
		if i["ASICModel"] != want[0] || i["boardVersion"] != want[1] || i["version"] != want[2] || i["axeOSVersion"] != want[2] || i["macAddr"] != strings.ToUpper(r.d.MAC) {
			t.Errorf("%v %v %v %v", i["ASICModel"], i["boardVersion"], i["version"], i["macAddr"])
		}
		var a map[string]any
		if err := json.Unmarshal([]byte(r.want(200, "GET", "/api/system/asic", "")), &a); err != nil || a["deviceModel"] != want[3] || a["ASICModel"] != want[0] ||
			a["defaultFrequency"] != i["frequency"] || len(a["frequencyOptions"].([]any)) < 5 || a["defaultVoltage"] != i["coreVoltage"] {
			t.Errorf("%v %v", a, err)
		}
	}
}

// TestWattsAndHashrate: GH/s, watts with fractions, and what the chip should do at its clock.
func TestWattsAndHashrate(t *testing.T) {
	r := start(t, gamma)
	r.draws(18, 1.07)
	i := r.info()
	if e := i["expectedHashrate"].(float64); !near(e, 1071, 0.1) {
		t.Errorf("expects %g GH/s", e)
	}
	if v, a := i["voltage"].(float64), i["current"].(float64); !near(v*a/1e6, i["power"].(float64), 0.1) || v < 4900 || v > 5300 || i["nominalVoltage"] != 5.0 {
		t.Errorf("%g mV, %g mA", v, a)
	}
	asics := i["hashrateMonitor"].(map[string]any)["asics"].([]any)
	if len(asics) != 1 || !near(asics[0].(map[string]any)["total"].(float64), i["hashRate"].(float64), 0.1) {
		t.Errorf("%v", asics)
	}
	if i["miningPaused"] != false || i["uptimeSeconds"] != 1800.0 || i["smallCoreCount"] != 2040.0 {
		t.Errorf("%v %v %v", i["miningPaused"], i["uptimeSeconds"], i["smallCoreCount"])
	}
	r.d = r.site.Fleet.Devices[older]
	r.draws(12, 0.625)
	if i := r.info(); i["bestDiff"] != "431M" {
		t.Errorf("%v", i["bestDiff"])
	}
	r.d = r.site.Fleet.Devices[gt]
	if i := r.info(); !near(i["expectedHashrate"].(float64), 2142, 0.1) || i["nominalVoltage"] != 12.0 || i["miningPaused"] != true || i["hashRate"] != 0.0 {
		t.Errorf("%v", i)
	}
	if w := r.d.Watts(); w > 7 || w < 3 {
		t.Errorf("%g W paused", w)
	}
}

// TestPauseAndResume: in a second, and the minute's mean lingers.
func TestPauseAndResume(t *testing.T) {
	r := start(t, gamma)
	full, rate := r.d.Watts(), r.d.Truth().TeraHashes
	if got := strings.TrimSpace(r.want(200, "POST", "/api/system/pause", "")); got != `{"message":"Mining paused"}` {
		t.Error(got)
	}
	r.clock.Advance(2 * time.Second)
	if i := r.info(); r.d.Watts() > 3.2 || i["miningPaused"] != true || i["hashRate"] != 0.0 || i["hashRate_1m"].(float64) < 900 || i["coreVoltageActual"] != 0.0 {
		t.Errorf("%g W, %v, %v, %v, %v", r.d.Watts(), i["miningPaused"], i["hashRate"], i["hashRate_1m"], i["coreVoltageActual"])
	}
	r.want(200, "POST", "/api/system/pause", "{}")
	r.clock.Advance(time.Hour)
	if got := strings.TrimSpace(r.want(200, "POST", "/api/system/resume", "")); got != `{"message":"Mining resumed"}` {
		t.Error(got)
	}
	r.clock.Advance(7 * time.Second)
	if w := r.d.Watts(); w < 5 || w > 0.9*full || r.info()["miningPaused"] != false {
		t.Errorf("%g W on the way", w)
	}
	// Twice is as good as once.
	r.want(200, "POST", "/api/system/resume", "")
	r.clock.Advance(6 * time.Second)
	r.draws(full, rate)
}

// TestNoPauseBefore214: the route is unknown, and nothing says whether it is paused.
func TestNoPauseBefore214(t *testing.T) {
	r := start(t, older)
	full := r.d.Watts()
	for _, path := range []string{"/api/system/pause", "/api/system/resume"} {
		if got := strings.TrimSpace(r.want(404, "POST", path, "")); got != `{"error":"unknown route"}` {
			t.Error(got)
		}
	}
	r.clock.Advance(time.Minute)
	if _, has := r.info()["miningPaused"]; has || !near(r.d.Watts(), full, 2) {
		t.Errorf("miningPaused %t at %g W", has, r.d.Watts())
	}
}

// TestARebootEndsAPause but keeps the clock.
func TestARebootEndsAPause(t *testing.T) {
	r := start(t, gamma)
	full := r.d.Watts()
	r.want(200, "PATCH", "/api/system", `{"frequency":400,"coreVoltage":1060}`)
	r.want(200, "POST", "/api/system/pause", "")
	if got := strings.TrimSpace(r.want(200, "POST", "/api/system/restart", "")); got != `{"message":"System will restart shortly."}` {
		t.Error(got)
	}
	if _, _, out, err := r.send("GET", "/api/system/info", "", ""); err == nil {
		t.Errorf("answers %q while it reboots", out)
	}
	r.clock.Advance(90 * time.Second)
	if i := r.info(); i["miningPaused"] != false || i["frequency"] != 400.0 || i["uptimeSeconds"].(float64) > 70 {
		t.Errorf("%v, %v MHz, %v s", i["miningPaused"], i["frequency"], i["uptimeSeconds"])
	}
	r.draws(full*minersim.WattShare(400.0/525), 1.07*400/525)
}

// TestSettings work in place, all or none.
func TestSettings(t *testing.T) {
	r := start(t, gamma)
	full, rate := r.d.Watts(), r.d.Truth().TeraHashes
	r.want(200, "PATCH", "/api/system", `{"Frequency":400.5,"coreVoltage":1000,"stratumPassword":"hidden","wifiPass":"hidden","autofanspeed":false,"unknown":{"x":1}}`)
	r.clock.Advance(5 * time.Second)
	r.draws(full*minersim.WattShare(400.5/525), rate*400.5/525)
	body := r.want(200, "GET", "/api/system/info", "")
	if i := r.info(); i["frequency"] != 400.5 || i["coreVoltage"] != 1000.0 || i["coreVoltageActual"] != 988.0 || i["autofanspeed"] != 0.0 || !near(i["expectedHashrate"].(float64), 817, 0.1) || strings.Contains(body, "hidden") {
		t.Errorf("%v MHz, %v mV, %v", i["frequency"], i["coreVoltage"], i["expectedHashrate"])
	}
	for body, words := range map[string]string{
		"": "Invalid JSON", "{": "Invalid JSON", "[]": "Invalid JSON", "null": "Invalid JSON", `{"frequency":"400"}`: "Wrong API input",
		`{"frequency":0,"coreVoltage":1150}`: "Wrong API input", `{"coreVoltage":1150,"frequency":70000}`: "Wrong API input", `{"hostname":7}`: "Wrong API input",
		`{"hostname":""}`: "Wrong API input", `{"temptarget":90,"frequency":525}`: "Wrong API input", `{"frequency":null}`: "Wrong API input",
		`{"overheat_mode":true,"frequency":525}`: "Wrong API input", `{"frequency":true}`: "Wrong API input",
	} {
		if got := r.want(400, "PATCH", "/api/system", body); got != words {
			t.Errorf("%s: %q", body, got)
		}
	}
	if got := r.want(500, "PATCH", "/api/system", `{"hostname":"`+strings.Repeat("x", 10240)+`"}`); got != "content too long" {
		t.Error(got)
	}
	r.clock.Advance(time.Minute)
	r.draws(full*minersim.WattShare(400.5/525), rate*400.5/525)
	// No chip follows any clock.
	r.want(200, "PATCH", "/api/system", `{"frequency":60000}`)
	r.clock.Advance(time.Hour)
	r.draws(full*minersim.WattShare(1.5), rate*1.5)
	// Paused, it waits.
	r.want(200, "POST", "/api/system/pause", "")
	r.clock.Advance(time.Minute)
	r.want(200, "PATCH", "/api/system", `{"frequency":525}`)
	r.clock.Advance(time.Minute)
	if w := r.d.Watts(); w > 3.2 {
		t.Errorf("%g W", w)
	}
	r.want(200, "POST", "/api/system/resume", "")
	r.clock.Advance(time.Minute)
	r.draws(full, rate)
}

// TestStrangersAreRefused: who comes from a page far away, whatever it wants.
func TestStrangersAreRefused(t *testing.T) {
	r := start(t, gamma)
	for origin, want := range map[string]int{
		"": 200, "http://192.168.1.7": 200, "http://10.0.0.1:8080": 200, "http://bitaxe.local": 200, "http://bitaxe": 200,
		"https://example.com": 401, "http://8.8.8.8": 401, "null": 401, "http://%": 401, "http://[2001:db8::1]": 401,
	} {
		for _, q := range [][2]string{{"GET", "/api/system/info"}, {"POST", "/api/system/identify"}, {"OPTIONS", "/api/system"}, {"GET", "/"}} {
			code, header, out, err := r.send(q[0], q[1], "", origin)
			if err != nil || code != want || want == 401 && out != "Unauthorized" || header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %v: %d %q %v, want %d", origin, q, code, out, err, want)
			}
		}
	}
	if code, _, _, _ := r.send("POST", "/api/system/pause", "", "http://example.com"); code != 401 || r.info()["miningPaused"] != false {
		t.Errorf("%d, and it is paused: %v", code, r.info()["miningPaused"])
	}
}

func TestPaths(t *testing.T) {
	r := start(t, gamma)
	code, header, out, err := r.send("GET", "/nothing", "", "")
	if err != nil || code != 302 || header.Get("Location") != "/" || out == "" {
		t.Errorf("%d %v %q %v", code, header, out, err)
	}
	for _, q := range [][2]string{{"GET", "/api/nothing"}, {"PUT", "/api/system"}, {"GET", "/api/system/pause"}} {
		if got := strings.TrimSpace(r.want(404, q[0], q[1], "")); got != `{"error":"unknown route"}` {
			t.Error(got)
		}
	}
	for _, path := range []string{"/api/system/statistics", "/api/system/statistics/dashboard?columns=power"} {
		if got := r.want(200, "GET", path, ""); !strings.Contains(got, `"statistics":[]`) {
			t.Error(got)
		}
	}
	for _, want := range []string{`The device says \"Hi!\"`, `The device no longer says`} {
		if got := r.want(200, "POST", "/api/system/identify", ""); !strings.Contains(got, want) {
			t.Error(got)
		}
	}
}
