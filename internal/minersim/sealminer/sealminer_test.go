package sealminer_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

const (
	ok     = 119
	failed = 120
)

// TestItIsKnownForWhatItIs the way clients in the field find out: by the name of the mining
// software, the stylesheet of its page, and the model in devdetails or behind the login.
func TestItIsKnownForWhatItIs(t *testing.T) {
	r := start(t, 0)
	version, err := r.raw(`{"command":"version"}`)
	if err != nil || !bytes.Contains(bytes.ToUpper(version), []byte("BDMINER")) {
		t.Errorf("%q %v", version, err)
	}
	if got := r.open("GET", "", "", nil); !strings.Contains(got, "amazeui") {
		t.Error(got)
	}
	s := r.stats()
	d := section[struct{ Model string }](r, r.want("S", 69, "devdetails", ""), "DEVDETAILS")
	var info struct {
		Model string `json:"miner_type"`
		MAC   string `json:"macaddr"`
		FW    string `json:"firmware_version"`
		LED   string `json:"led"`
		Mode  string `json:"miningMode"`
	}
	r.login()
	r.open("GET", "get_system_info", "", &info)
	if s.Model != "S21" || d.Model != "S21" || info.Model != "S21" || s.MAC != r.d.MAC || info.MAC != r.d.MAC || s.Serial != r.d.Serial || s.Firmware != "2025091001" || info.FW != s.Firmware || info.LED != "off" || info.Mode != "2" {
		t.Errorf("%+v %+v %+v", s, d, info)
	}
}

func TestReadsOfAMiningMachine(t *testing.T) {
	r := start(t, 0)
	s := r.after(time.Hour)
	truth := r.d.Truth()
	if s.State != "Running" || s.Tune != "Fine Tuning Done" || !near(s.Watts, truth.Watts, 1.1) || !near(truth.Watts, 3500, 2) || s.Limit != 3500 ||
		!near(s.MHS/1e6, truth.TeraHashes, 1) || !near(3*s.Board2/1e6, truth.TeraHashes, 1) || s.Boards != 3 || !s.Online2 || s.Fans != 4 || s.Rated <= s.MHS || s.Mode != "Normal" {
		t.Errorf("%+v of %+v", s, truth)
	}
	sum := section[struct {
		Average float64 `json:"MHS av"`
		Now     float64 `json:"MHS 5s"`
		Elapsed int
	}](r, r.want("S", 11, "summary", ""), "SUMMARY")
	if !near(sum.Average/1e6, truth.TeraHashes, 1) || !near(sum.Now/1e6, truth.TeraHashes, 1) || sum.Elapsed < 3600 {
		t.Errorf("%+v of %+v", sum, truth)
	}
	for command, code := range map[string]int{"pools": 7, "devs": 9, "edevs": 9, "config": 33, "coin": 78, "asccount": 104, "version": 22} {
		r.want("S", code, command, "")
	}
	r.want("E", 14, "dance", "")
	for request, code := range map[string]string{"hello\n": `"Code":23`, `{"parameter":"x"}`: `"Code":24`, `{"command":"summary+restart"}`: `"Code":14`} {
		if out, err := r.raw(request); err != nil || !bytes.Contains(out, []byte(code)) {
			t.Errorf("%q: %q %v", request, out, err)
		}
	}
	r.login()
	var psu struct{ Power float64 }
	if r.open("GET", "miner-psu-status", "", &psu); !near(psu.Power, truth.Watts, 1.1) {
		t.Errorf("%+v", psu)
	}
	var status struct {
		Summary struct {
			MHS float64 `json:"mhsav"`
		}
		Pools []struct{ URL string }
	}
	if r.open("GET", "miner-status", "", &status); !near(status.Summary.MHS/1e6, truth.TeraHashes, 1) || len(status.Pools) != 1 {
		t.Errorf("%+v", status)
	}
	r.open("GET", "get_network_info", "", nil)
}

// TestSuspendAndRestart: the way back takes as long as was recorded.
func TestSuspendAndRestart(t *testing.T) {
	r := start(t, 0)
	r.want("S", ok, "ascset", "0,suspend")
	if s := r.after(6 * time.Second); s.State == "Running" || s.Watts > 60 || s.Watts < 30 {
		t.Errorf("%+v", s)
	}
	r.want("S", ok, "ascset", "0, suspend")
	if s := r.after(time.Hour); s.State == "Running" || s.MHS != 0 || s.Watts > 60 {
		t.Errorf("%+v", s)
	}
	if got := r.ask("restart", ""); string(got["STATUS"]) != `"RESTART"` {
		t.Errorf("%s", got)
	}
	r.clock.Advance(4 * time.Second)
	if out, err := r.raw(`{"command":"stats"}`); err == nil && len(out) > 0 {
		t.Errorf("the software answers while it starts: %q", out)
	}
	if s := r.after(200 * time.Second); s.State == "Running" || s.Watts > 60 {
		t.Errorf("%+v", s)
	}
	if s := r.after(5 * time.Minute); s.State != "Running" || s.Tune != "Coarse Tuning" || s.Watts < 1200 || s.Watts > 2600 {
		t.Errorf("%+v", s)
	}
	if s := r.after(7 * time.Minute); !near(s.Watts, 3500, 3) || s.Tune != "Fine Tuning Done" {
		t.Errorf("%+v", s)
	}
	r.ask("restart", "")
	if s := r.after(time.Minute); s.Watts > 60 {
		t.Errorf("a restart of one that ran: %+v", s)
	}
}

// TestALimit is in force while it mines, and after the reboot that one client makes of it. Asleep it
// waits, and on the way up it neither hastens nor delays.
func TestALimit(t *testing.T) {
	r := start(t, 0)
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"2500"}`)
	if s := r.after(30 * time.Second); s.Limit != 2500 || s.Tune != "Coarse Tuning" || s.Watts < 2600 || s.Watts > 3400 {
		t.Errorf("%+v", s)
	}
	if s := r.after(40 * time.Second); !near(s.Watts, 2500, 3) {
		t.Errorf("%+v", s)
	}
	r.login()
	r.open("GET", "reboot", "", nil)
	r.clock.Advance(5 * time.Second)
	if code, _, err := r.page("GET", "", ""); err == nil {
		t.Errorf("a booting machine answers %d", code)
	}
	s := r.after(20 * time.Minute)
	if s.Limit != 2500 || !near(s.Watts, 2500, 3) || s.Boots != 4 || s.State != "Running" || s.Tune != "Fine Tuning Done" {
		t.Errorf("after a reboot %+v", s)
	}
	r.want("S", ok, "ascset", "0,suspend")
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"3000"}`)
	if s := r.after(10 * time.Minute); s.Watts > 60 {
		t.Errorf("woken by a limit: %+v", s)
	}
	r.ask("restart", "")
	r.clock.Advance(10 * time.Second)
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"2500"}`)
	if s := r.after(200 * time.Second); s.Watts > 60 {
		t.Errorf("%+v before its boards are up", s)
	}
	r.clock.Advance(5 * time.Minute)
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"2400"}`)
	if s := r.after(2 * time.Minute); s.Watts > 2000 {
		t.Errorf("hastened: %+v", s)
	}
	if s := r.after(4 * time.Minute); !near(s.Watts, 2400, 3) {
		t.Errorf("delayed: %+v", s)
	}
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"2500"}`)
	r.clock.Advance(2 * time.Minute)
	for value, want := range map[string]int{
		`{"value":900}`: failed, `{"value":"4300"}`: failed, `{"value":"2000.5"}`: failed, `{"value":2000.5}`: failed, `{}`: failed, `{`: failed, `2000`: failed,
	} {
		r.want("E", want, "ascset", "0,powerlimit,"+value)
	}
	for _, parameter := range []string{"1,suspend", "0,explode", "", "suspend", "0,powerlimit"} {
		r.want("E", failed, "ascset", parameter)
	}
	if s := r.stats(); s.Limit != 2500 || s.State != "Running" {
		t.Errorf("%+v", s)
	}
	r.want("S", ok, "ascset", `0,powerlimit,{"value":3000}`)
	r.want("S", ok, "ascset", `0,suspend`)
	r.want("S", 122, "reboot", "")
	if s := r.after(20 * time.Minute); !near(s.Watts, 3000, 3) {
		t.Errorf("a suspended machine after the RPC's reboot: %+v", s)
	}
}

// TestPagesWantASession: one that the client names, or one it is given; unused it dies.
func TestPagesWantASession(t *testing.T) {
	r := start(t, asleep)
	refused := func(why string) {
		t.Helper()
		if code, out, err := r.page("POST", "mining_setting", `{"params_data":1}`); err != nil || code != 302 {
			t.Errorf("%s: %d %q %v", why, code, out, err)
		}
	}
	refused("no cookie")
	for _, form := range []string{"username=me&origin_pwd=seal", "username=seal&origin_pwd=secret", "", "%"} {
		if got := r.open("POST", "login", form, nil); strings.Contains(got, `"state":0`) || r.cookie != "" {
			t.Errorf("%q: %s", form, got)
		}
	}
	r.cookie = "userLanguage=en; PHPSESSID=0123456789abcdef0123456789"
	refused("a cookie that is not logged in")
	r.login()
	if !strings.Contains(r.cookie, "PHPSESSID=0123456789abcdef0123456789") {
		t.Errorf("%s", r.cookie)
	}
	r.open("GET", "get_system_info", "", nil)
	r.clock.Advance(23 * time.Minute)
	r.open("GET", "get_system_info", "", nil)
	r.clock.Advance(23 * time.Minute)
	r.open("GET", "get_system_info", "", nil)
	r.clock.Advance(24 * time.Minute)
	refused("a session that nobody used")
	r.login()
	for _, path := range []string{"nothing", "index.html"} {
		if code, _, _ := r.page("GET", path, ""); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	if w := r.d.Watts(); w > 60 {
		t.Errorf("%g W", w)
	}
	r.open("POST", "update_passwd", `{"user_name":"me","origin_pwd":"secret","new_pwd":"fresh","confirm_pwd":"fresh"}`, nil)
	if got := r.open("POST", "login", "username=me&origin_pwd=fresh", nil); !strings.Contains(got, `"state":0`) {
		t.Error(got)
	}
}

// TestPagesThatCommand move the watts, too.
func TestPagesThatCommand(t *testing.T) {
	r := start(t, 0)
	r.login()
	if got := r.open("POST", "mining_setting", `{"params_data":0}`, nil); got != `{"result":0,"status":0}` {
		t.Error(got)
	}
	if s := r.after(10 * time.Second); s.State == "Running" || s.Watts > 60 {
		t.Errorf("%+v", s)
	}
	r.open("POST", "mining_setting", `{"params_data":1}`, nil)
	if s := r.after(20 * time.Minute); s.State != "Running" || !near(s.Watts, 3500, 3) {
		t.Errorf("%+v", s)
	}
	for path, body := range map[string]string{
		"mining_setting": `{"params_data":2}`, "set_mining_mode": `{"miningMode":1}`, "led_conf": `{"key":"x"}`, "update_passwd": `{"user_name":"seal","origin_pwd":"x","new_pwd":"y"}`,
		"set_miner_poolconf": `{"psuInputMaxpower":"9"}`,
	} {
		if got := r.open("POST", path, body, nil); strings.Contains(got, `"result":0`) || strings.Contains(got, `"result":true`) {
			t.Errorf("%s: %s", path, got)
		}
	}
	r.open("POST", "led_conf", `{"key":"led","value":"on"}`, nil)
	r.open("POST", "set_mining_mode", `{"miningMode":0}`, nil)
	r.open("POST", "set_miner_poolconf", `{"poolurl1":"stratum+tcp://a:1","pooluser1":"b","poolpwd1":"c","psuInputMaxpower":"3400"}`, nil)
	var conf struct {
		Mode  string `json:"xk-h3x-miningmode"`
		Limit string `json:"xk-h3x-psu-input-max-power"`
		Pools []struct{ URL, User string }
	}
	if r.open("GET", "get_miner_poolconf", "", &conf); conf.Mode != "0" || conf.Limit != "3400" || len(conf.Pools) != 1 || conf.Pools[0].URL != "stratum+tcp://a:1" {
		t.Errorf("%+v", conf)
	}
	r.want("S", ok, "ascset", `0,workmode,{"mode":"high_performance"}`)
	r.want("E", failed, "ascset", `0,workmode,{"mode":"fast"}`)
	if s := r.after(2 * time.Minute); !near(s.Watts, 3400, 3) {
		t.Errorf("no high performance up to the limit: %+v", s)
	}
	if r.open("GET", "get_miner_poolconf", "", &conf); conf.Mode != "3" {
		t.Errorf("%+v", conf)
	}
	r.want("S", ok, "ascset", `0,workmode,{"mode":"low_power"}`)
	if s := r.after(2 * time.Minute); s.Watts > 0.85*3500 || s.Watts < 0.75*3500 {
		t.Errorf("no low power: %+v", s)
	}
	if got := r.open("GET", "get_system_info", "", nil); !strings.Contains(got, `"led":"on"`) {
		t.Error(got)
	}
	r.want("S", 121, "updatepools", `{"pools":[{"url":"stratum+tcp://d:1","user":"e","pass":"f"}]}`)
	r.want("E", failed, "updatepools", `{"pools":[]}`)
	r.open("POST", "reboot", "", nil)
	s := r.after(20 * time.Minute)
	if code, _, err := r.page("GET", "get_system_info", ""); err != nil || code != 302 {
		t.Errorf("a session outlives a reboot: %d %v", code, err)
	}
	if s.Mode != "Low Power" || s.Watts > 0.85*3500 || s.Watts < 0.75*3500 {
		t.Errorf("%+v", s)
	}
	if p := section[struct{ URL string }](r, r.want("S", 7, "pools", ""), "POOLS"); p.URL != "stratum+tcp://d:1" {
		t.Errorf("%+v", p)
	}
}
