package vnish_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDiscovery(t *testing.T) {
	r := start(t, older)
	r.header = nil
	if page := r.want(200, "GET", "", "", nil); !strings.Contains(string(page), `<meta name="firmware" content="AnthillOS">`) {
		t.Errorf("%s", page)
	}
	var info struct {
		Firmware string `json:"fw_name"`
		Version  string `json:"fw_version"`
		Miner    string
		Measure  string `json:"hr_measure"`
		Serial   string
		System   struct {
			Uptime  string
			Network struct{ MAC, Hostname string } `json:"network_status"`
		}
	}
	r.get("info", &info)
	if info.Firmware != "Vnish" || info.Version != "1.2.7" || info.Miner != "Antminer S21 Pro" || info.Measure != "GH/s" || info.Serial != "N/A" ||
		info.System.Uptime != "0:30" || info.System.Network.MAC == "" || info.System.Network.Hostname != "" {
		t.Errorf("%+v", info)
	}
	r.login()
	r.clock.Advance(26 * time.Hour)
	r.login()
	if r.get("info", &info); info.System.Network.Hostname == "" || info.System.Uptime != "1 days, 2:30" {
		t.Errorf("unlocked %+v", info)
	}
	r.d = r.site.Fleet.Devices[newer]
	if r.get("info", &info); info.Version != "1.3.4" || info.Serial != r.d.Serial {
		t.Errorf("1.3: %+v", info)
	}
}

// TestWhoMayWhat: what is open, and what wants a token or a key.
func TestWhoMayWhat(t *testing.T) {
	r := start(t, older)
	good := r.header.Get("Authorization")
	bare := strings.TrimPrefix(good, "Bearer ")
	for name, h := range map[string]http.Header{
		"nothing": nil, "another token": {"Authorization": {"Bearer x"}}, "another scheme": {"Authorization": {"Basic " + bare}},
		"another key": {"X-Api-Key": {"x"}}, "no key": {"X-Api-Key": {""}},
	} {
		r.header = h
		for _, path := range []string{"info", "model", "status", "perf-summary", "chains", "chains/factory-info"} {
			r.get(path, nil)
		}
		for _, path := range []string{"summary", "settings", "autotune/presets", "auth-check", "apikeys"} {
			r.want(401, "GET", "api/v1/"+path, "", nil)
		}
		for _, path := range []string{"settings", "mining/stop", "mining/pause", "system/reboot", "apikeys", "lock"} {
			if code, _, _ := r.send("POST", "api/v1/"+path, "{}"); code != 401 {
				t.Errorf("POST %s with %s: %d", path, name, code)
			}
		}
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("a refused command took effect: %g W", w)
	}
	r.header = http.Header{"Authorization": {bare}}
	r.get("summary", nil)
	r.want(401, "POST", "api/v1/system/reboot", "", nil)
	r.header = http.Header{"Authorization": {good}}
	r.get("summary", nil)
	r.post("lock", "")
	r.want(401, "GET", "api/v1/summary", "", nil)
}

func TestUnlocking(t *testing.T) {
	r := start(t, asleep)
	if token := strings.TrimPrefix(r.header.Get("Authorization"), "Bearer "); len(token) != 32 {
		t.Errorf("token %q", token)
	}
	for _, body := range []string{`{"pw":"admin"}`, `{"pw":""}`, `{}`} {
		r.want(403, "POST", "api/v1/unlock", body, nil)
	}
	for _, body := range []string{`{"pw":1}`, `{`, `nothing`, ``} {
		r.want(400, "POST", "api/v1/unlock", body, nil)
	}
	// Ten a minute, right or wrong; what is no JSON at all does not reach the counter.
	for range 4 {
		r.unlock("secret")
	}
	r.want(429, "POST", "api/v1/unlock", `{"pw":"secret"}`, nil)
	r.get("summary", nil)
	r.clock.Advance(time.Minute)
	r.login()
}

// TestTokensDie: an hour after they were given, whatever use was made of them, and at a reboot.
func TestTokensDie(t *testing.T) {
	r := start(t, newer)
	token := strings.TrimPrefix(r.header.Get("Authorization"), "Bearer ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JSON web token", token)
	}
	var claims struct{ Iat, Exp int64 }
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(b, &claims) != nil || claims.Exp-claims.Iat != 3600 || claims.Iat != r.clock.Now().Unix() {
		t.Errorf("claims %s %v", b, err)
	}
	r.clock.Advance(3599 * time.Second)
	var left struct {
		Timeout int `json:"unlock_timeout"`
	}
	if r.get("auth-check", &left); left.Timeout != 1 {
		t.Errorf("%d s left", left.Timeout)
	}
	r.clock.Advance(time.Second)
	r.want(401, "GET", "api/v1/summary", "", nil)
	r.login()
	r.post("system/reboot", "")
	r.clock.Advance(2 * time.Minute)
	r.want(401, "GET", "api/v1/summary", "", nil)
}

// TestTokensMakeRoom: a client that unlocks for every request does not fill the machine.
func TestTokensMakeRoom(t *testing.T) {
	r := start(t, older)
	first := r.header
	for range 16 {
		r.clock.Advance(10 * time.Second)
		r.login()
	}
	r.get("summary", nil)
	r.header = first
	r.want(401, "GET", "api/v1/summary", "", nil)
}

func TestKeys(t *testing.T) {
	r := start(t, older)
	const key = "0123456789abcdef0123456789abcdef"
	var list []struct{ Key, Description string }
	if r.get("apikeys", &list); list == nil || len(list) != 0 {
		t.Errorf("%v", list)
	}
	r.want(500, "POST", "api/v1/apikeys", `{"key":"short","description":"x"}`, nil)
	for _, want := range []string{"inserted", "nochanges"} {
		if got := r.post("apikeys", `{"key":"`+key+`","description":"x"}`); !strings.Contains(string(got), want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := r.post("apikeys", `{"key":"`+key+`","description":"y"}`); !strings.Contains(string(got), "updated") {
		t.Errorf("%s", got)
	}
	r.post("system/reboot", "")
	r.clock.Advance(time.Minute)
	r.header = http.Header{"X-Api-Key": {key}}
	if r.get("apikeys", &list); len(list) != 1 || list[0].Description != "y" {
		t.Errorf("after a reboot %v", list)
	}
	for i := range 8 {
		body := `{"key":"` + strings.Repeat(strconv.Itoa(i), 32) + `","description":""}`
		if code, _, _ := r.send("POST", "api/v1/apikeys", body); (code == 200) != (i < 7) {
			t.Errorf("key %d: %d", i, code)
		}
	}
	r.post("apikeys/delete", `{"key":"`+key+`"}`)
	r.want(401, "GET", "api/v1/apikeys", "", nil)
}

// TestSummaryUnits: GH/s under hr_, TH/s under the deprecated names, and an efficiency that
// sounds like watts.
func TestSummaryUnits(t *testing.T) {
	r := start(t, older)
	var s struct {
		Miner struct {
			Stock      float64 `json:"hr_stock"`
			Realtime   float64 `json:"hr_realtime"`
			Nominal    float64 `json:"hr_nominal"`
			Average    float64 `json:"hr_average"`
			Instant    float64 `json:"instant_hashrate"`
			OldAverage float64 `json:"average_hashrate"`
			Watts      int     `json:"power_consumption"`
			Efficiency float64 `json:"power_efficiency"`
			Usage      int     `json:"power_usage"`
			Type       string  `json:"miner_type"`
			Chains     []struct {
				ID     int
				Rate   float64 `json:"hashrate_rt"`
				Ideal  float64 `json:"hashrate_ideal"`
				Watts  int     `json:"power_consumption"`
				Status struct{ State string }
			}
			PSU struct {
				Metering bool `json:"psu_power_metering"`
			}
		}
	}
	r.get("summary", &s)
	m := s.Miner
	for name, giga := range map[string]float64{"stock": m.Stock, "realtime": m.Realtime, "nominal": m.Nominal, "average": m.Average} {
		if math.Abs(giga/234_000-1) > 0.04 {
			t.Errorf("%s is %g GH/s", name, giga)
		}
	}
	if m.Instant != m.Realtime/1000 || m.OldAverage != m.Average/1000 || m.Type != "Antminer S21 Pro (Vnish 1.2.7)" {
		t.Errorf("%+v", m)
	}
	if math.Abs(m.Efficiency-15) > 1 || m.Usage != m.Watts || !near(m.Watts, 3510, 5) || m.PSU.Metering {
		t.Errorf("%d W, %g J/TH, usage %d", m.Watts, m.Efficiency, m.Usage)
	}
	if len(m.Chains) != 3 || m.Chains[0].ID != 1 || math.Abs(3*m.Chains[2].Rate/m.Realtime-1) > 0.001 ||
		math.Abs(3*m.Chains[0].Ideal/m.Nominal-1) > 0.001 || !near(3*m.Chains[1].Watts, float64(m.Watts), 1) || m.Chains[0].Status.State != "mining" {
		t.Errorf("chains %+v", m.Chains)
	}
	r.d = r.site.Fleet.Devices[asleep]
	r.login()
	if r.get("summary", &s); !s.Miner.PSU.Metering || s.Miner.Efficiency != 0 || s.Miner.Realtime != 0 {
		t.Errorf("asleep %+v", s.Miner)
	}
}

func TestGenerations(t *testing.T) {
	r := start(t, older)
	if got := r.read(); got.throttled != nil {
		t.Errorf("1.2 says it is throttled to %d", *got.throttled)
	}
	if got := string(r.post("mining/restart", "")); got != "{}\n" {
		t.Errorf("1.2 answers %q", got)
	}
	r.want(404, "POST", "api/v1/mining/throttle", `{"percent":50}`, nil)
	r.want(404, "GET", "api/v1/boards", "", nil)
	var older, newest struct {
		Overclock map[string]int
		Series    string
	}
	r.get("model", &older)
	r.d = r.site.Fleet.Devices[newer]
	r.login()
	if got := r.read(); got.throttled == nil || *got.throttled != 100 {
		t.Errorf("1.3: %+v", got)
	}
	if got := r.post("mining/restart", ""); string(got) != `{"success":true}`+"\n" {
		t.Errorf("1.3 answers %q", got)
	}
	var boards []struct{ ID int }
	if r.get("boards", &boards); len(boards) != 3 || boards[0].ID != 1 {
		t.Errorf("%+v", boards)
	}
	r.want(404, "GET", "api/v1/chains", "", nil)
	r.get("model", &newest)
	if _, ok := older.Overclock["max_power_limit"]; ok || newest.Overclock["max_power_limit"] < 5000 || newest.Series != "x21" {
		t.Errorf("%v, %v", older, newest)
	}
}

func TestFindMiner(t *testing.T) {
	r := start(t, older)
	r.header = nil
	var got struct{ On, Find bool }
	for _, c := range []struct {
		body string
		want bool
	}{{`{"on":true}`, true}, {`{"on":true}`, true}, {"", false}, {"", true}, {`{"on":false}`, false}} {
		r.want(200, "POST", "api/v1/find-miner", c.body, &got)
		if got.On != c.want {
			t.Errorf("%q: %t", c.body, got.On)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := start(t, older)
	r.want(404, "GET", "api/v1/nothing", "", nil)
	r.want(404, "GET", "index.html", "", nil)
	r.want(405, "GET", "api/v1/mining/stop", "", nil)
	r.want(405, "PUT", "api/v1/settings", "{}", nil)
	r.want(400, "POST", "api/v1/settings", `{"miner":"`+strings.Repeat("x", 70_000)+`"}`, nil)
}
