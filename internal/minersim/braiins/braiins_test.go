package braiins_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"
)

func TestVersionNeedsNoToken(t *testing.T) {
	r := start(t)
	r.token = ""
	var v struct{ Major, Minor, Patch int }
	for _, path := range []string{"version", "version/"} {
		r.want(200, "GET", path, "", &v)
		if v.Major != 1 || v.Minor != 3 {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestTokens(t *testing.T) {
	r := start(t)
	good := r.token
	for name, token := range map[string]string{"none": "", "unknown": "abc", "with a scheme": "Bearer " + good} {
		r.token = token
		if code, _, err := r.send("GET", "miner/details", ""); err != nil || code != 401 {
			t.Errorf("%s: %d %v", name, code, err)
		}
		if code, _, err := r.send("PUT", "actions/pause", ""); err != nil || code != 401 {
			t.Errorf("pause, %s: %d %v", name, code, err)
		}
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("an unauthorized pause took effect: %g W", w)
	}
	r.token = ""
	for _, body := range []string{`{"username":"root","password":"no"}`, `{"username":"admin","password":"root"}`, `{}`} {
		r.want(401, "POST", "auth/login", body, nil)
	}
	r.want(400, "POST", "auth/login", `{`, nil)
	r.token = good
	r.want(200, "GET", "miner/details", "", nil)
}

// TestTokensDieIdle: 3,600 s after their last use, which each request renews.
func TestTokensDieIdle(t *testing.T) {
	r := start(t)
	for range 3 {
		r.clock.Advance(3599 * time.Second)
		r.want(200, "GET", "miner/details", "", nil)
	}
	r.clock.Advance(3600 * time.Second)
	r.want(401, "GET", "miner/details", "", nil)
	r.login()
	r.want(200, "GET", "miner/details", "", nil)
}

func TestOwnCredentials(t *testing.T) {
	r := start(t)
	r.d, r.token = r.site.Fleet.Devices[2], ""
	r.want(401, "POST", "auth/login", `{"username":"root","password":"root"}`, nil)
	r.want(200, "POST", "auth/login", `{"username":"site","password":"secret"}`, nil)
}

// TestPauseAndResume: the boolean tells that it was so already, and quick ramping how long it takes.
func TestPauseAndResume(t *testing.T) {
	r := start(t)
	before := r.read()
	if before.status != 2 || before.target != 3500 || !near(before.watts, 3500, 3) || before.tuner != 5 {
		t.Fatalf("hashing machine reads %+v", before)
	}
	if math.Abs(before.giga/200_000-1) > 0.05 {
		t.Errorf("%g GH/s", before.giga)
	}
	var already bool
	r.want(200, "PUT", "actions/pause", "", &already)
	if already {
		t.Error("a hashing machine was paused already")
	}
	r.clock.Advance(1200 * time.Millisecond)
	if w := r.read().watts; !near(w, 1770, 10) {
		t.Errorf("%d W half way down a ramp of 2 s", w)
	}
	r.clock.Advance(8 * time.Second)
	if got := r.read(); got.status != 3 || got.watts > 50 || got.giga != 0 || got.target != 3500 {
		t.Errorf("paused machine reads %+v", got)
	}
	if got := r.read().minutes; got < 150_000 {
		t.Errorf("five minutes' average is %g GH/s right after a pause", got)
	}
	r.want(200, "PUT", "actions/pause", "", &already)
	if !already {
		t.Error("a paused machine was not paused already")
	}
	r.want(200, "PUT", "actions/resume", "", &already)
	if already {
		t.Error("a paused machine was mining already")
	}
	r.clock.Advance(2700 * time.Millisecond)
	if w := r.read().watts; !near(w, 1770, 10) {
		t.Errorf("%d W half way up a ramp of 5 s", w)
	}
	r.clock.Advance(10 * time.Second)
	if got := r.read(); got.status != 2 || !near(got.watts, 3500, 3) {
		t.Errorf("resumed machine reads %+v", got)
	}
	r.want(200, "PUT", "actions/resume", "", &already)
	if !already {
		t.Error("a mining machine was not mining already")
	}
}

func TestPowerTarget(t *testing.T) {
	r := start(t)
	var limits struct {
		Tuner struct {
			Power struct{ Min, Max, Default watt } `json:"power_target"`
		} `json:"tuner_constraints"`
	}
	r.want(200, "GET", "configuration/constraints", "", &limits)
	bounds := limits.Tuner.Power
	if bounds.Min.Watt != 1400 || bounds.Max.Watt != 3850 || bounds.Default.Watt != 3500 {
		t.Fatalf("constraints are %+v", bounds)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "performance/power-target", `{"watt":2500}`, 2500},
		{"PATCH", "performance/power-target/decrement", `{"watt":100}`, 2400},
		{"PATCH", "performance/power-target/increment", `{"watt":50}`, 2450},
		{"PATCH", "performance/power-target/relative", `{"percentage":85.5,"reference":1}`, 2993},
		{"PATCH", "performance/power-target/relative", `{"percentage":50,"reference":4}`, 1497},
		{"PATCH", "performance/power-target/relative", `{"percentage":100,"reference":3}`, 3850},
		{"PATCH", "performance/power-target/relative", `{"percentage":110,"reference":2}`, 1540},
		{"PUT", "performance/power-target/default", ``, 3500},
		{"PUT", "performance/power-target", `{"watt":2000}`, 2000},
	} {
		var got watt
		r.want(200, c.method, c.path, c.body, &got)
		if got.Watt != c.want || r.read().target != c.want {
			t.Errorf("%s %s: %d, reads %d, want %d", c.path, c.body, got.Watt, r.read().target, c.want)
		}
	}
	if got := r.read().tuner; got != 3 {
		t.Errorf("tuner %d right after a new target", got)
	}
	r.clock.Advance(5 * time.Minute)
	if got := r.read(); !near(got.watts, 2000, 3) || got.tuner != 5 || got.giga/200_000 < 0.6 {
		t.Errorf("at 2,000 W the machine reads %+v", got)
	}
	for _, body := range []string{`{"watt":1399}`, `{"watt":3851}`, `{"watt":-1}`, `{"watt":"much"}`, `{"watt":`, ``} {
		r.want(400, "PUT", "performance/power-target", body, nil)
	}
	r.want(400, "PATCH", "performance/power-target/relative", `{"percentage":50,"reference":7}`, nil)
	if got := r.read().target; got != 2000 {
		t.Errorf("refused targets left %d W", got)
	}
}

// TestTargetWhilePaused: it is kept for later and wakes nobody.
func TestTargetWhilePaused(t *testing.T) {
	r := start(t)
	r.want(200, "PUT", "actions/pause", "", nil)
	r.want(200, "PUT", "performance/power-target", `{"watt":2000}`, nil)
	r.clock.Advance(time.Minute)
	if got := r.read(); got.watts > 50 || got.target != 2000 || got.status != 3 {
		t.Errorf("paused machine reads %+v", got)
	}
	r.want(200, "PUT", "actions/resume", "", nil)
	r.clock.Advance(time.Minute)
	if got := r.read(); !near(got.watts, 2000, 3) {
		t.Errorf("resumed machine reads %+v", got)
	}
}

func TestQuickRamping(t *testing.T) {
	r := start(t)
	var q struct {
		Up   int `json:"up_s"`
		Down int `json:"down_s"`
	}
	r.want(200, "PUT", "performance/quick-ramping", `{"up_s":60,"down_s":20}`, &q)
	if q.Up != 60 || q.Down != 20 {
		t.Errorf("%+v", q)
	}
	r.want(200, "PUT", "actions/pause", "", nil)
	r.clock.Advance(10200 * time.Millisecond)
	if w := r.read().watts; !near(w, 1770, 10) {
		t.Errorf("%d W half way down a ramp of 20 s", w)
	}
	r.want(200, "PUT", "performance/quick-ramping/default", "", &q)
	if q.Up != 5 || q.Down != 2 {
		t.Errorf("default %+v", q)
	}
	for _, body := range []string{`{"up_s":-1,"down_s":1}`, `{"up_s":1}`, `{}`} {
		r.want(400, "PUT", "performance/quick-ramping", body, nil)
	}
}

func TestStopStartRestart(t *testing.T) {
	r := start(t)
	var already bool
	r.want(200, "PUT", "actions/stop", "", &already)
	r.clock.Advance(time.Minute)
	if got := r.read(); already || got.status != 1 || got.watts > 50 {
		t.Errorf("stopped %t, reads %+v", already, got)
	}
	r.want(200, "PUT", "actions/stop", "", &already)
	if !already {
		t.Error("was not stopped already")
	}
	r.want(200, "PUT", "actions/start", "", &already)
	r.clock.Advance(time.Minute)
	if got := r.read(); already || got.status != 2 || !near(got.watts, 3500, 3) {
		t.Errorf("started %t, reads %+v", already, got)
	}
	r.want(200, "PUT", "actions/restart", "", &already)
	r.clock.Advance(10 * time.Second)
	if got := r.read(); !already || got.watts > 50 {
		t.Errorf("running %t, reads %+v in the dip of a restart", already, got)
	}
	r.clock.Advance(time.Minute)
	if got := r.read(); !near(got.watts, 3500, 3) {
		t.Errorf("restarted machine reads %+v", got)
	}
}

// TestRebootForgetsPauseAndTokensKeepsTarget is the trap of this firmware.
func TestRebootForgetsPauseAndTokensKeepsTarget(t *testing.T) {
	r := start(t)
	r.want(200, "PUT", "performance/power-target", `{"watt":2600}`, nil)
	r.want(200, "PUT", "actions/pause", "", nil)
	r.want(204, "PUT", "actions/reboot", "", nil)
	if code, _, err := r.send("GET", "version", ""); err == nil {
		t.Errorf("answers %d while booting", code)
	}
	r.clock.Advance(time.Minute)
	r.want(401, "GET", "miner/details", "", nil)
	r.login()
	r.clock.Advance(2 * time.Minute)
	if got := r.read(); got.status != 2 || got.target != 2600 || !near(got.watts, 2600, 3) {
		t.Errorf("after a reboot the machine reads %+v", got)
	}
	r.want(204, "PUT", "actions/factory-reset", "", nil)
	r.clock.Advance(5 * time.Minute)
	r.login()
	if got := r.read(); got.target != 3500 || !near(got.watts, 3500, 3) {
		t.Errorf("after a factory reset the machine reads %+v", got)
	}
}

func TestShapesOfTheOtherReads(t *testing.T) {
	r := start(t)
	for path, keys := range map[string][]string{
		"miner/errors":        {"errors"},
		"miner/hw/hashboards": {"hashboards"},
		"cooling/state":       {"fans", "highest_temperature"},
		"network":             {"mac_address", "hostname", "networks"},
		"network/":            {"mac_address"},
		"configuration/miner": {"tuner", "pool_groups"},
		"performance/mode":    {"tunermode"},
		"miner/details":       {"uid", "platform", "serial_number", "miner_identity", "sticker_hashrate", "bos_version"},
	} {
		var got map[string]any
		r.want(200, "GET", path, "", &got)
		for _, key := range keys {
			if _, ok := got[key]; !ok {
				t.Errorf("%s: no %s in %v", path, key, got)
			}
		}
	}
	var pools []map[string]any
	r.want(200, "GET", "pools", "", &pools)
	if len(pools) != 1 {
		t.Errorf("%d pool groups", len(pools))
	}
	var boards struct{ Hashboards []map[string]any }
	r.want(200, "GET", "miner/hw/hashboards", "", &boards)
	if len(boards.Hashboards) != 3 || boards.Hashboards[0]["id"] != "1" {
		t.Errorf("%d boards, first %v", len(boards.Hashboards), boards.Hashboards[0]["id"])
	}
	var on bool
	r.want(200, "PUT", "actions/locate", "true", &on)
	r.want(200, "GET", "actions/locate", "", &on)
	if !on {
		t.Error("does not blink")
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := start(t)
	r.want(404, "GET", "miner/nothing", "", nil)
	r.want(404, "PUT", "actions/sleep", "", nil)
	r.want(405, "POST", "actions/pause", "", nil)
	r.want(405, "GET", "auth/login", "", nil)
	r.want(405, "GET", "performance/power-target", "", nil)
}

// TestStatusStream: one JSON value a second and no end, so a reader needs a deadline.
func TestStatusStream(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/api/v1/miner/status", r.d.Address), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		if !lines.Scan() {
			t.Fatalf("the stream ended: %v", lines.Err())
		}
		return lines.Text()
	}
	if got := next(); got != `{"status":2}` {
		t.Errorf("first %s", got)
	}
	r.want(200, "PUT", "actions/pause", "", nil)
	r.clock.AwaitWaiter()
	r.clock.Advance(time.Second)
	if got := next(); got != `{"status":3}` {
		t.Errorf("then %s", got)
	}
	r.token = "other"
	r.want(401, "GET", "miner/status", "", nil)
}
