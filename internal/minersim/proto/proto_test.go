package proto_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// TestDiscovery is how clients tell a Rig: by the title of its page and by what it says of its
// system to anybody.
func TestDiscovery(t *testing.T) {
	r := start(t, awake)
	resp, err := http.Get("http://" + r.d.Address.String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || !strings.Contains(string(body), "<title>Proto OS</title>") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%v %q %v", resp.Header, body, err)
	}
	s := r.object(200, "GET", "/system", "")["system-info"].(map[string]any)
	if s["model"] != "Rig" || s["manufacturer"] != "Proto" || s["cb_sn"] != r.d.Serial || s["os"].(map[string]any)["version"] != "1.8.2" {
		t.Errorf("%v", s)
	}
	n := r.object(200, "GET", "/network", "")["network-info"].(map[string]any)
	if n["mac"] != r.d.MAC || n["mac_address"] != r.d.MAC || n["ip"] != r.d.Address.Addr().String() {
		t.Errorf("%v", n)
	}
	if p := r.object(200, "GET", "/pairing/info", ""); p["mac"] != r.d.MAC || p["cb_sn"] != r.d.Serial {
		t.Errorf("%v", p)
	}
	if s := r.object(200, "GET", "/system/status", ""); s["password_set"] != false || s["onboarded"] != true {
		t.Errorf("%v", s)
	}
	r.want(200, "GET", "/hardware", "")
	r.refused(404, "NOT_FOUND", "GET", "/no/such", "")
}

// TestReads: every path answers with an object of the name that clients look for.
func TestReads(t *testing.T) {
	r := enter(t, awake)
	for path, key := range map[string]string{
		"/hardware": "hardware-info", "/hashboards": "hashboards-info", "/telemetry?level=hashboard": "hashboards", "/telemetry?level=psu": "psus",
		"/power-supplies": "psus", "/hardware/psus": "psus", "/cooling": "cooling-status", "/pools": "pools", "/mining/tuning": "algorithm",
		"/curtailment/status": "active", "/curtailment/config": "enabled", "/system/logs?lines=100": "logs",
		"/hashrate?duration=1h": "hashrate-data", "/power": "power-data", "/efficiency": "efficiency-data", "/temperature": "temperature-data",
	} {
		if o := r.object(200, "GET", path, ""); o[key] == nil {
			t.Errorf("%s: %v without %s", path, o, key)
		}
	}
	if out := r.want(200, "GET", "/errors", ""); out != "[]\n" {
		t.Errorf("errors: %q", out)
	}
	o := r.object(200, "GET", "/telemetry?level=miner,asic", "")
	boards := o["hashboards"].([]any)
	rate := 0.0
	for _, b := range boards {
		rate += b.(map[string]any)["hashrate"].(map[string]any)["value"].(float64)
		if chips := b.(map[string]any)["asics"].(map[string]any)["hashrate"].(map[string]any)["values"].([]any); len(chips) != 120 {
			t.Errorf("%d chips", len(chips))
		}
	}
	if len(boards) != 9 || !near(rate, r.d.Truth().TeraHashes, 1) || o["miner"] == nil {
		t.Errorf("%d boards at %g TH/s: %v", len(boards), rate, o["miner"])
	}
	in := 0.0
	for _, s := range r.object(200, "GET", "/power-supplies", "")["psus"].([]any) {
		in += s.(map[string]any)["input_power_w"].(float64)
	}
	if !near(in, r.d.Watts(), 2) {
		t.Errorf("supplies draw %g W of %g", in, r.d.Watts())
	}
}

// TestStopAndStart.
func TestStopAndStart(t *testing.T) {
	r := enter(t, awake)
	r.says("Mining")
	r.draws(full, fullRate)
	if o := r.object(202, "POST", "/mining/stop", ""); o["message"] != "Mining stopped" {
		t.Errorf("%v", o)
	}
	r.says("PoweringOff")
	r.clock.Advance(6 * time.Second)
	r.says("Stopped")
	r.draws(stopped, 0)
	// What is stopped stays so, and a second word changes nothing.
	r.want(202, "POST", "/mining/stop", "")
	r.says("Stopped")
	r.clock.Advance(30 * time.Minute)
	r.draws(stopped, 0)
	r.want(202, "POST", "/mining/start", "{}")
	r.says("PoweringOn")
	r.clock.Advance(time.Minute)
	r.want(202, "POST", "/mining/start", "")
	r.clock.Advance(25 * time.Second)
	r.says("Mining")
	r.draws(full, fullRate)
	if up := r.mining()["mining_uptime_s"]; up != 85.0 {
		t.Errorf("up for %v s", up)
	}
}

// TestAsleepFromTheStart says so at once.
func TestAsleepFromTheStart(t *testing.T) {
	r := enter(t, asleep)
	r.says("Stopped")
	r.draws(stopped, 0)
	if m := r.mining(); m["mining_uptime_s"] != 0.0 || m["hashboards_mining"] != 0.0 || m["power_efficiency_jth"] != 0.0 {
		t.Errorf("%v", m)
	}
}

// target reads the target.
func (r *rig) target() map[string]any {
	r.t.Helper()
	return r.object(200, "GET", "/mining/target", "")
}

// TestTarget moves the true watts within its bounds.
func TestTarget(t *testing.T) {
	r := enter(t, awake)
	was := r.target()
	if was["power_target_watts"] != 11550.0 || was["power_target_min_watts"] != 1850.0 || was["power_target_max_watts"] != 12700.0 ||
		was["default_power_target_watts"] != 11550.0 || was["performance_mode"] != "MaximumHashrate" {
		t.Fatalf("%v", was)
	}
	for body, code := range map[string]string{
		`{"power_target_watts":1849,"hash_on_disconnect":true}`:                   "OUT_OF_RANGE",
		`{"power_target_watts":12701}`:                                            "OUT_OF_RANGE",
		`{"power_target_watts":0}`:                                                "OUT_OF_RANGE",
		`{"power_target_watts":5000,"performance_mode":"Turbo"}`:                  "INVALID_PERFORMANCE_MODE",
		`{"performance_mode":"efficiency","balance_bays":true}`:                   "INVALID_PERFORMANCE_MODE",
		`{"power_target_watts":12701,"performance_mode":"Efficiency","x":[1,{}]}`: "OUT_OF_RANGE",
	} {
		r.refused(422, code, "PUT", "/mining/target", body)
	}
	for _, body := range []string{"", "{", "[]", `{"power_target_watts":"5000"}`, `{"power_target_watts":5000.5}`} {
		r.refused(400, "INVALID_REQUEST", "PUT", "/mining/target", body)
	}
	if is := r.target(); fmt.Sprint(is) != fmt.Sprint(was) {
		t.Errorf("what was refused changed %v to %v", was, is)
	}
	r.clock.Advance(time.Minute)
	r.draws(full, fullRate)
	if o := r.object(200, "PUT", "/mining/target", `{"power_target_watts":6000,"performance_mode":"Efficiency","hash_on_disconnect":true}`); o["power_target_watts"] != 6000.0 ||
		o["performance_mode"] != "Efficiency" || o["hash_on_disconnect"] != true || o["balance_bays"] != false {
		t.Errorf("%v", o)
	}
	r.clock.Advance(16 * time.Second)
	r.says("Mining")
	r.truly(6000)
	if m := r.mining(); m["power_target_watts"] != 6000.0 {
		t.Errorf("%v", m)
	}
	// What does not name watts leaves them.
	r.want(200, "PUT", "/mining/target", `{"performance_mode":"MaximumHashrate"}`)
	r.clock.Advance(time.Minute)
	r.truly(6000)
}

// TestTargetOfAStoppedMachine waits for its start, and one on the way up takes another.
func TestTargetOfAStoppedMachine(t *testing.T) {
	r := enter(t, asleep)
	r.want(200, "PUT", "/mining/target", `{"power_target_watts":4000}`)
	r.clock.Advance(time.Hour)
	r.login("")
	r.says("Stopped")
	r.draws(stopped, 0)
	r.want(202, "POST", "/mining/start", "")
	r.clock.Advance(10 * time.Second)
	r.want(200, "PUT", "/mining/target", `{"power_target_watts":8000}`)
	r.clock.Advance(9 * time.Second)
	r.truly(stopped)
	r.clock.Advance(62 * time.Second)
	r.says("Mining")
	r.truly(8000)
}

// TestReboot ends a stop and every login, and keeps the target; until the software is up, none is
// known.
func TestReboot(t *testing.T) {
	r := enter(t, awake)
	r.want(200, "PUT", "/mining/target", `{"power_target_watts":5000}`)
	r.want(202, "POST", "/mining/stop", "")
	r.clock.Advance(time.Minute)
	r.want(202, "POST", "/system/reboot", "")
	r.clock.Advance(3 * time.Second)
	if _, out, err := r.send("GET", "/system", ""); err == nil {
		t.Errorf("hears %q while it boots", out)
	}
	for step := 0; step < 400 && r.d.Truth().State == minersim.Booting; step++ {
		r.clock.Advance(5 * time.Second)
	}
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.login("")
	r.says("Uninitialized")
	if out := r.want(204, "GET", "/mining/target", ""); out != "" {
		t.Errorf("%q", out)
	}
	r.clock.Advance(30 * time.Second)
	r.says("PoweringOn")
	r.clock.Advance(90 * time.Second)
	r.says("Mining")
	r.truly(5000)
	if o := r.target(); o["power_target_watts"] != 5000.0 {
		t.Errorf("%v", o)
	}
}

// TestSmallWrites are answered and checked.
func TestSmallWrites(t *testing.T) {
	r := enter(t, awake)
	r.want(202, "POST", "/system/locate?led_on_time=30", "")
	r.refused(400, "INVALID_REQUEST", "POST", "/system/locate?led_on_time=x", "")
	r.want(200, "PUT", "/mining/tuning", `{"algorithm":"Fuzzing"}`)
	r.refused(422, "INVALID_ALGORITHM", "PUT", "/mining/tuning", `{"algorithm":"fast"}`)
	r.refused(422, "INVALID_REQUEST", "PUT", "/cooling", `{"mode":"Loud"}`)
	r.want(200, "PUT", "/cooling", `{"mode":"Off"}`)
	if o := r.object(200, "GET", "/cooling", "")["cooling-status"].(map[string]any); o["fan_mode"] != "Off" {
		t.Errorf("%v", o)
	}
	r.want(200, "POST", "/pools", `[{"url":"x"}]`)
}
