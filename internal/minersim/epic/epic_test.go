package epic_test

import (
	"strings"
	"testing"
	"time"
)

// TestItIsKnownForWhatItIs the way clients in the field find out: by the page at port 80, the
// model among the capabilities, the address of the network card, and the last word of the software.
func TestItIsKnownForWhatItIs(t *testing.T) {
	for device, want := range map[int]string{newest: "AntMiner S21 v1.38.3", middle: "AntMiner S19 XP v1.30.0", oldest: "AntMiner S19 XP v1.5.13"} {
		t.Run(want, func(t *testing.T) {
			r := start(t, device)
			code, page, err := r.send(r.d.Doors[0], "GET", "", "")
			if err != nil || code != 200 || !strings.Contains(string(page), "Miner Web Dashboard") {
				t.Errorf("%d %q %v", code, page, err)
			}
			var cap struct {
				Model    string
				Hashrate float64 `json:"Default Hashrate"`
				Boards   int     `json:"Max HBs"`
			}
			r.get("capabilities", &cap)
			var net struct {
				DHCP struct {
					MAC string `json:"mac_address"`
				} `json:"dhcp"`
			}
			r.get("network", &net)
			s := r.summary()
			words := strings.Fields(s.Software)
			if got := cap.Model + " " + words[len(words)-1]; got != want || cap.Hashrate < 100 || cap.Boards != 3 || s.Hostname == "" {
				t.Errorf("%q, %+v", got, cap)
			}
			if !strings.EqualFold(net.DHCP.MAC, r.d.MAC) {
				t.Errorf("%+v", net)
			}
		})
	}
}

func TestReadsOfAMiningMachine(t *testing.T) {
	r := start(t, newest)
	s := r.after(time.Hour)
	truth := r.d.Truth()
	if s.Status.State != "Mining" || !near(s.Supply.Watts, truth.Watts, 1.1) || !near(s.tera(), truth.TeraHashes, 1) || !near(s.Session.Average/1e6, truth.TeraHashes, 1) {
		t.Errorf("%+v of %+v", s, truth)
	}
	tune, ok := s.Tune.Algorithm["VoltageOptimizer"]
	if !s.Tune.Running || !ok || len(s.Tune.Algorithm) != 1 || tune.Target != 200 || tune.Unit != "TH/s" || !tune.Optimized {
		t.Errorf("%+v", s.Tune)
	}
	if len(s.Rpm) != 12 || s.Rpm["Fans Speed 4"] == nil || s.Rpm["Fans Speed 5"] != nil {
		t.Errorf("fans %v", s.Rpm)
	}
	for path, boards := range map[string]int{"hashrate": 3, "clocks": 3, "voltages": 3, "temps": 3, "temps/chip": 3, "temps/board": 3} {
		var list []struct {
			Index int
			Data  []any
		}
		if r.get(path, &list); len(list) != boards || len(list[2].Data) == 0 || list[2].Index != 2 {
			t.Errorf("%s: %d boards", path, len(list))
		}
	}
	for _, path := range []string{"ethernet", "history", "hashrate/history/continuous", "hashratesplit/config", "hashratesplit/status", "timezone"} {
		var v any
		r.get(path, &v)
	}
}

func TestStopAndAutostart(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.ok("miner", `"Stop"`)
	if s := r.after(2 * time.Second); s.Status.State != "Stopping" {
		t.Errorf("%+v", s.Status)
	}
	r.refused("miner", `"Autostart"`, `{"LastCmdStillPending":"Stop"}`)
	r.refused("perpetualtune/algo", `{"algo":"PowerTune","target":2000}`, `{"LastCmdStillPending":"Stop"}`)
	if s := r.after(4 * time.Second); s.Status.State != "Idling" || s.Supply.Watts > 60 || s.Supply.Watts < 30 || s.tera() > 0.5*200 {
		t.Errorf("%+v", s)
	}
	if s := r.after(10 * time.Second); s.tera() != 0 || s.Session.Average == 0 {
		t.Errorf("%+v", s)
	}
	r.ok("miner", `"Stop"`)
	if s := r.summary(); s.Status.State != "Idling" {
		t.Errorf("stopped again it is %+v", s.Status)
	}
	r.ok("miner", `"Autostart"`)
	for _, step := range []struct {
		after time.Duration
		state string
	}{{10 * time.Second, "PreInitCooldown"}, {20 * time.Second, "Initializing"}, {30 * time.Second, "AdjustingClockVoltage"}, {time.Minute, "Mining"}} {
		if s := r.after(step.after); s.Status.State != step.state {
			t.Errorf("%+v, want %s", s.Status, step.state)
		}
	}
	if !near(r.d.Watts(), full, 2) {
		t.Errorf("%g W, had %g W", r.d.Watts(), full)
	}
}

func TestWhatIsRefused(t *testing.T) {
	r := start(t, oldest)
	r.refused("miner", `null`, `"MissingParam"`)
	r.refused("miner", `"Start"`, `{"UnknownError":"invalid param"}`)
	r.refused("miner", `7`, `{"UnknownError":"invalid param"}`)
	r.refused("perpetualtune/algo", `{"algo":"Sleep","target":0}`, `{"UnknownError":"invalid param"}`)
	r.refused("perpetualtune/algo", `{"algo":"ChipTune"}`, `{"UnknownError":"invalid param"}`)
	r.refused("reboot", `-1`, `{"UnknownError":"invalid param"}`)
	r.refused("boardenable", `[{"Index":3,"Data":false}]`, `"InvalidBoardId"`)
	r.refused("boardenable", `[{"Index":0,"Data":false},{"Index":1,"Data":false},{"Index":2,"Data":false}]`, `"NoActiveHashboards"`)
	r.password = "letmein"
	for _, path := range []string{"miner", "reboot", "authenticate", "tune"} {
		r.refused(path, `"Stop"`, `"BadPassword"`)
	}
	for _, q := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "nothing", "", 404}, {"POST", "nothing", "{}", 404}, {"GET", "miner", "", 405}, {"PUT", "summary", "", 405}, {"POST", "miner", "{", 400},
	} {
		if code, out, err := r.send(r.d.Address, q.method, q.path, q.body); err != nil || code != q.code || !strings.Contains(string(out), `"result":false`) {
			t.Errorf("%+v: %d %q %v", q, code, out, err)
		}
	}
	if code, _, _ := r.send(r.d.Doors[0], "GET", "summary", ""); code != 404 {
		t.Errorf("the page's port has a summary: %d", code)
	}
	if s := r.summary(); s.Status.State != "Idling" || len(s.HBs) != 3 {
		t.Errorf("%+v", s)
	}
	r.password = "secret"
	r.ok("authenticate", `null`)
}

// TestAReboot in every way that clients ask for it: a number, text and nothing at all.
func TestAReboot(t *testing.T) {
	for _, body := range []string{`{"param":0,"password":"letmein"}`, `{"param":"0","password":"letmein"}`, `{"password":"letmein"}`} {
		t.Run(body, func(t *testing.T) {
			r := start(t, newest)
			r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":2000}`)
			r.ok("miner", `"Stop"`)
			code, out, err := r.send(r.d.Address, "POST", "reboot", body)
			if err != nil || code != 200 || strings.TrimSpace(string(out)) != done {
				t.Fatalf("%s: %d %q %v", body, code, out, err)
			}
			r.clock.Advance(5 * time.Second)
			if code, _, err := r.send(r.d.Address, "GET", "summary", ""); err == nil {
				t.Errorf("a booting machine answers %d", code)
			}
			r.clock.Advance(time.Minute)
			if s := r.after(3 * time.Minute); s.Status.State != "Mining" || !near(s.Supply.Watts, 2000, 3) || s.Tune.Algorithm["PowerTune"].Target != 2000 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestASoftReboot(t *testing.T) {
	r := start(t, newest)
	r.ok("softreboot", `null`)
	if s := r.after(5 * time.Second); s.Status.State != "SoftRebooting" || s.Supply.Watts > 60 {
		t.Errorf("%+v", s)
	}
	if s := r.after(3 * time.Minute); s.Status.State != "Mining" || !near(s.Supply.Watts, r.nominal(), 5) {
		t.Errorf("%+v", s)
	}
}

func TestSettingsAreShown(t *testing.T) {
	r := start(t, newest)
	r.ok("identify", "true")
	r.ok("coin", `{"coin":"BTC","stratum_configs":[{"pool":"stratum+tcp://a:1","login":"b","password":"c"}],"unique_id":false}`)
	r.ok("hashratesplit/enable", "false")
	r.ok("fanspeed", `{"Manual":700}`)
	r.ok("password", `"new"`)
	r.refused("identify", "false", `"BadPassword"`)
	var s struct {
		Misc struct {
			Locate bool `json:"Locate Miner State"`
		}
		StratumConfigs []struct{ Pool string }
		Fans           struct {
			Mode struct{ Manual int } `json:"Fan Mode"`
		}
	}
	if r.get("summary", &s); !s.Misc.Locate || s.StratumConfigs[0].Pool != "stratum+tcp://a:1" || s.Fans.Mode.Manual != 100 {
		t.Errorf("%+v", s)
	}
	r.password = "new"
	r.refused("fanspeed", `{}`, `{"UnknownError":"invalid param"}`)
	r.refused("coin", `{"coin":"BTC","stratum_configs":[]}`, `"InvalidPoolConfig"`)
}
