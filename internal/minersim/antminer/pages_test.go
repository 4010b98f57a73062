package antminer_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

// TestWhoAsksComesFirst: every page, even one that is not there, asks for the password.
func TestWhoAsksComesFirst(t *testing.T) {
	r := start(t, old)
	full := r.d.Watts()
	for _, who := range [][2]string{{"root", "root"}, {"admin", "secret"}} {
		r.login(who[0], who[1])
		for _, path := range []string{"", "cgi-bin/stats.cgi", "cgi-bin/get_miner_conf.cgi", "nothing"} {
			if code, _, err := r.send("GET", path, ""); code != 401 || err != nil {
				t.Errorf("%v %q: %d %v", who, path, code, err)
			}
		}
		if code, _, _ := r.send("POST", "cgi-bin/set_miner_conf.cgi", `{"miner-mode":1}`); code != 401 {
			t.Errorf("%v: %d", who, code)
		}
	}
	r.draws(5*time.Minute, full)
	r.http.Transport = &http.Transport{}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.d.Address.String()+"/", nil)
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if h := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || !strings.HasPrefix(h, `Digest realm="antMiner Configuration", nonce="`) {
		t.Errorf("%d %s", resp.StatusCode, h)
	}
	r.login("root", "secret")
	if code, _, _ := r.send("GET", "", ""); code != 200 {
		t.Errorf("%d", code)
	}
	if code, _, _ := r.send("GET", "nothing", ""); code != 404 {
		t.Errorf("%d", code)
	}
	if code, _, _ := r.send("POST", "cgi-bin/set_miner_conf.cgi", strings.Repeat("x", 70_000)); code != 413 {
		t.Errorf("%d", code)
	}
}

func TestIdentity(t *testing.T) {
	r := start(t, young)
	var kind, info map[string]string
	r.get("miner_type", &kind)
	r.get("get_system_info", &info)
	if kind["miner_type"] != "Antminer S21" || kind["fw_version"] != "Thu Jul 11 16:38:25 CST 2024" || !strings.HasPrefix(kind["subtype"], "AML") {
		t.Errorf("%v", kind)
	}
	if info["minertype"] != "Antminer S21" || info["serinum"] != r.d.Serial || info["macaddr"] != strings.ToUpper(r.d.MAC) ||
		info["system_filesystem_version"] != "Thu Jul 11 16:38:25 CST 2024" || info["firmware_type"] != "Release" {
		t.Errorf("%v", info)
	}
	r.get("get_network_info", &info)
	if info["macaddr"] != strings.ToUpper(r.d.MAC) || info["conf_nettype"] != "DHCP" {
		t.Errorf("%v", info)
	}
	r.to(old)
	info = nil
	if r.get("get_system_info", &info); info["serinum"] != "" {
		t.Errorf("a machine of 2022 knows its serial: %v", info)
	}
	r.to(form)
	r.page(404, "GET", "miner_type", "", nil)
	r.page(404, "GET", "stats", "", nil)
	r.to(asleep)
	if r.get("get_system_info", &info); info["minertype"] != "Antminer S19 XP Hyd." {
		t.Errorf("%v", info)
	}
}

// TestBuildDates: clients parse them, the day of the week included.
func TestBuildDates(t *testing.T) {
	r := start(t, young)
	for _, device := range []int{young, youngest, old} {
		r.to(device)
		var page struct {
			INFO struct{ CompileTime, Type string }
		}
		r.get("summary", &page)
		built := strings.Replace(page.INFO.CompileTime, "CST ", "", 1)
		if at, err := time.Parse("Mon Jan _2 15:04:05 2006", built); err != nil || at.Format("Mon Jan _2 15:04:05 2006") != built {
			t.Errorf("%q: %v", built, err)
		}
	}
}

func TestWhatIsReadOfAHashingMachine(t *testing.T) {
	r := start(t, young)
	summary := row(t, r.get("summary", nil), "SUMMARY")
	stats := row(t, r.get("stats", nil), "STATS")
	tera := r.d.Truth().TeraHashes
	for name, page := range map[string]map[string]any{"summary": summary, "stats": stats} {
		if page["rate_unit"] != "GH/s" || !simtest.Near(page["rate_5s"].(float64), tera*1000, 1) || !simtest.Near(page["rate_ideal"].(float64), tera*1000, 2) || page["elapsed"] != 1800.0 {
			t.Errorf("%s: %v", name, page)
		}
	}
	chain := stats["chain"].([]any)
	board := chain[1].(map[string]any)
	if len(chain) != 3 || board["index"] != 1.0 || !simtest.Near(3*board["rate_real"].(float64), tera*1000, 1) || board["asic_num"] != 108.0 ||
		len(board["temp_pcb"].([]any)) != 4 || len(stats["fan"].([]any)) != 4 || stats["miner-mode"] != 0.0 || stats["watt"] != nil {
		t.Errorf("%v", stats)
	}
	contains(t, r.get("stats", nil), `"STATUS":{"Msg":"stats","STATUS":"S","api_version":"1.0.0","when":`)
	var pools struct {
		Pools []struct{ URL, User, Status string }
	}
	if r.get("pools", &pools); len(pools.Pools) != 1 || pools.Pools[0].Status != "Alive" {
		t.Errorf("%+v", pools)
	}
	r.to(youngest)
	if got := row(t, r.get("stats", nil), "STATS")["watt"].(float64); !simtest.Near(got, r.d.Watts(), 1.5) {
		t.Errorf("%g W of %g W", got, r.d.Watts())
	}
}

// TestWhatIsReadOfASleepingMachine: nothing, or zeros.
func TestWhatIsReadOfASleepingMachine(t *testing.T) {
	r := start(t, asleep)
	if w := r.d.Watts(); w > 40 {
		t.Errorf("%g W", w)
	}
	contains(t, r.get("summary", nil), `"SUMMARY":[]`)
	contains(t, r.get("stats", nil), `"STATS":[]`)
	contains(t, r.get("pools", nil), `"status":"Disabled"`)
	stats := r.rpc("stats", "STATS")
	if stats["GHS 5s"] != 0.0 || stats["chain_rate1"] != "0.00" || stats["Elapsed"] != 1800.0 {
		t.Errorf("%v", stats)
	}
	r.to(youngest)
	r.post("set_miner_conf", `{"miner-mode":1}`)
	r.clock.Advance(40 * time.Minute)
	stats = row(t, r.get("stats", nil), "STATS")
	if stats["rate_5s"] != 0.0 || stats["miner-mode"] != 1.0 || stats["watt"].(float64) > 40 {
		t.Errorf("%v", stats)
	}
}

// TestOlderPagesBeginEmpty: two empty lines, as recorded.
func TestOlderPagesBeginEmpty(t *testing.T) {
	r := start(t, young)
	for device, want := range map[int]bool{young: false, old: true, form: true} {
		r.to(device)
		var conf struct {
			Pools []struct{ URL, User, Pass string }
			Mode  string `json:"bitmain-work-mode"`
			Freq  string `json:"bitmain-freq"`
		}
		out := r.get("get_miner_conf", &conf)
		if strings.HasPrefix(string(out), "\n\n{") != want || len(conf.Pools) != 3 || conf.Mode != "0" || conf.Freq == "" {
			t.Errorf("%d: %q", device, out)
		}
	}
}

func TestPassword(t *testing.T) {
	r := start(t, young)
	for body, code := range map[string]string{
		`{"curPwd":"x","newPwd":"a","confirmPwd":"a"}`: "P001",
		`nonsense`: "P001",
		`{"curPwd":"root","newPwd":"a","confirmPwd":"b"}`: "P002",
		`{"curPwd":"root","newPwd":"","confirmPwd":""}`:   "P002",
	} {
		if got := r.post("passwd", body); got.Code != code || got.Stats != "error" {
			t.Errorf("%s: %+v", body, got)
		}
	}
	if got := r.post("passwd", `{"curPwd":"root","newPwd":"abc","confirmPwd":"abc"}`); got.Code != "P000" {
		t.Errorf("%+v", got)
	}
	r.page(401, "GET", "stats", "", nil)
	r.login("root", "abc")
	r.get("stats", nil)
}

func TestBlink(t *testing.T) {
	r := start(t, young)
	for _, c := range []struct{ body, code string }{
		{`{"blink":"true"}`, "B000"}, {`{"blink":false}`, "B100"}, {`{"blink":true}`, "B000"}, {`blink=false`, "B100"}, {`blink=true`, "B000"},
	} {
		var status struct{ Blink bool }
		got := r.post("blink", c.body)
		if r.get("get_blink_status", &status); got.Code != c.code || status.Blink != (c.code == "B000") {
			t.Errorf("%s: %+v %t", c.body, got, status.Blink)
		}
	}
	r.to(form)
	for _, c := range []struct{ action, want string }{{"startBlink", "true"}, {"onPageLoaded", "true"}, {"stopBlink", "false"}} {
		contains(t, r.page(200, "POST", "blink", "action="+c.action, nil), `"isBlinking":`+c.want)
	}
}

func TestPort6060(t *testing.T) {
	r := start(t, young)
	got := r.power("miner_power")
	var watts float64
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got, "miner power:")), &watts); err != nil || !simtest.Near(watts, r.d.Watts(), 1.5) {
		t.Errorf("%q of %g W", got, r.d.Watts())
	}
	if got := r.power("warning"); strings.TrimSpace(got) != `{"error_message":"None"}` {
		t.Errorf("%q", got)
	}
	for _, c := range []struct {
		device int
		path   string
		want   string
	}{
		{young, "else", "error 6060 cmd"}, {youngest, "miner_power", "error 6060 cmd"}, {old, "warning", "error 6060 cmd"}, {form, "miner_power", ""},
	} {
		r.to(c.device)
		if got := r.power(c.path); got != c.want {
			t.Errorf("%d %s: %q", c.device, c.path, got)
		}
	}
}
