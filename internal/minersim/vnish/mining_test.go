package vnish_test

import (
	"strings"
	"testing"
	"time"
)

// TestPauseAndResume: seconds, without the software going down. There is no state for it.
func TestPauseAndResume(t *testing.T) {
	r := start(t, older)
	full := r.read()
	if full.state != "mining" || full.since != 1800 || full.desired != "3510" || full.effective.Name != "3510" || full.effective.Status != "tuned" {
		t.Fatalf("%+v", full)
	}
	r.post("mining/pause", "")
	if got := r.after(2 * time.Second); got.state != "stopped" || !near(got.watts, float64(full.watts)/2, 5) {
		t.Errorf("half way down %+v", got)
	}
	if got := r.after(3 * time.Second); got.watts > 50 || got.average < 200_000 || got.nominal == 0 {
		t.Errorf("paused %+v", got)
	}
	r.post("mining/pause", "")
	if got := r.after(10 * time.Second); got.giga != 0 || got.since != 15 {
		t.Errorf("paused for long %+v", got)
	}
	r.post("mining/resume", "")
	if got := r.after(15 * time.Second); got.state != "starting" || !near(got.watts, float64(full.watts)/2, 5) {
		t.Errorf("half way up %+v", got)
	}
	// What is not up yet can't be paused: the client must try later.
	if got := string(r.want(500, "POST", "api/v1/mining/pause", "", nil)); !strings.Contains(got, `"err":"CGMiner err: Cgminer error failed-to-activate-pause-mode "`) {
		t.Error(got)
	}
	if got := r.after(20 * time.Second); got.state != "mining" || !near(got.watts, float64(full.watts), 2) {
		t.Errorf("resumed %+v", got)
	}
	r.post("mining/resume", "")
	if got := r.after(time.Second); !near(got.watts, float64(full.watts), 2) {
		t.Errorf("resumed twice %+v", got)
	}
}

// TestStopAndStart: the software goes down, and takes minutes to come up.
func TestStopAndStart(t *testing.T) {
	r := start(t, older)
	full := r.read()
	r.post("mining/stop", "")
	if got := r.after(3 * time.Second); got.state != "shutting-down" || got.since != 3 {
		t.Errorf("stopping %+v", got)
	}
	if got := r.after(3 * time.Second); got.state != "stopped" || got.since != 1 || got.watts > 50 {
		t.Errorf("stopped %+v", got)
	}
	r.post("mining/stop", "")
	r.want(500, "POST", "api/v1/mining/pause", "", nil)
	if got := r.after(time.Minute); got.state != "stopped" || got.since != 61 {
		t.Errorf("after refusals %+v", got)
	}
	r.post("mining/start", "")
	for _, step := range []struct {
		after time.Duration
		state string
		share float64
	}{
		{89 * time.Second, "initializing", 0}, {31 * time.Second, "starting", 0.5}, {32 * time.Second, "mining", 1},
	} {
		if got := r.after(step.after); got.state != step.state || !near(got.watts-40, step.share*float64(full.watts-40)+1, 15) && got.watts > 50 {
			t.Errorf("%+v, want %s at %g", got, step.state, step.share)
		}
	}
	r.post("mining/start", "")
	if got := r.after(time.Second); got.state != "mining" || !near(got.watts, float64(full.watts), 2) {
		t.Errorf("started twice %+v", got)
	}
}

// TestRestartIsABlackoutAndWakes.
func TestRestartIsABlackoutAndWakes(t *testing.T) {
	r := start(t, older)
	full := float64(r.read().watts)
	for _, before := range []string{"", "mining/stop", "mining/pause"} {
		if before != "" {
			r.post(before, "")
			r.clock.Advance(time.Minute)
		}
		r.post("mining/restart", "")
		for _, step := range []struct {
			after time.Duration
			state string
		}{{4 * time.Second, "shutting-down"}, {10 * time.Second, "restarting"}, {90 * time.Second, "initializing"}} {
			if got := r.after(step.after); got.state != step.state || got.watts > 50 {
				t.Errorf("%q: %+v, want %s", before, got, step.state)
			}
		}
		if got := r.after(70 * time.Second); got.state != "mining" || !near(got.watts, full, 3) {
			t.Errorf("%q: restarted %+v", before, got)
		}
	}
}

// TestStopMayOutliveAReboot, where the settings say so; a pause does not.
func TestStopMayOutliveAReboot(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		remain  bool
		stays   bool
	}{
		"stopped": {"mining/stop", false, false}, "stopped to remain": {"mining/stop", true, true}, "paused": {"mining/pause", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, older)
			if c.remain {
				if got := r.save(`{"miner":{"misc":{"remain_stopped_on_reboot":true}}}`); got.Restart || got.Reboot {
					t.Errorf("%+v", got)
				}
			}
			r.post("find-miner", `{"on":true}`)
			r.post(c.command, "")
			r.clock.Advance(time.Minute)
			if got := string(r.post("system/reboot", "")); got != `{"after":3}`+"\n" {
				t.Error(got)
			}
			if code, _, err := r.send("GET", "", ""); err == nil {
				t.Errorf("answers %d while booting", code)
			}
			r.clock.Advance(51 * time.Second)
			r.login()
			got := r.read()
			if blinks := string(r.want(200, "GET", "api/v1/status", "", nil)); !strings.Contains(blinks, `"find_miner":false`) {
				t.Error(blinks)
			}
			if c.stays != (got.state == "stopped") || !c.stays && got.state != "initializing" {
				t.Errorf("after a reboot %+v", got)
			}
			got = r.after(3 * time.Minute)
			if c.stays != (got.watts < 50) || !c.stays && got.state != "mining" {
				t.Errorf("long after a reboot %+v", got)
			}
			var set struct {
				Miner struct {
					Misc struct {
						Remain bool `json:"remain_stopped_on_reboot"`
					}
				}
			}
			if r.get("settings", &set); set.Miner.Misc.Remain != c.remain {
				t.Errorf("%+v", set)
			}
		})
	}
}

// TestThrottle: a share of the preset's watts, within seconds, no matter what the name of the
// preset says, gone with the next start.
func TestThrottle(t *testing.T) {
	r := start(t, newer)
	full := r.read()
	for _, percent := range []string{"19", "101", "-1", "null", `"50"`, "50.5"} {
		r.want(400, "POST", "api/v1/mining/throttle", `{"percent":`+percent+`}`, nil)
	}
	r.post("mining/throttle", `{"percent":60}`)
	got := r.after(5 * time.Second)
	if *got.throttled != 60 || got.state != "mining" || got.since != 1805 || !near(got.watts, 0.6*float64(full.watts), 3) ||
		got.desired != "3510" || got.effective.Name != "3510" || got.nominal > 0.75*full.nominal {
		t.Errorf("throttled %+v at %d", got, *got.throttled)
	}
	r.post("mining/throttle", `{"percent":20}`)
	if got = r.after(5 * time.Second); !near(got.watts, 0.2*float64(full.watts), 3) {
		t.Errorf("throttled further %+v", got)
	}
	r.post("mining/pause", "")
	r.clock.Advance(time.Minute)
	r.want(500, "POST", "api/v1/mining/throttle", `{"percent":100}`, nil)
	r.post("mining/resume", "")
	if got = r.after(time.Minute); *got.throttled != 20 || !near(got.watts, 0.2*float64(full.watts), 3) {
		t.Errorf("resumed %+v at %d", got, *got.throttled)
	}
	r.post("mining/restart", "")
	if got = r.after(4 * time.Minute); *got.throttled != 100 || !near(got.watts, float64(full.watts), 3) {
		t.Errorf("restarted %+v at %d", got, *got.throttled)
	}
}

func TestSwitchPool(t *testing.T) {
	r := start(t, older)
	r.post("mining/switch-pool", `{"pool_id":0}`)
	for _, body := range []string{`{"pool_id":7}`, `{}`} {
		if got := string(r.want(500, "POST", "api/v1/mining/switch-pool", body, nil)); !strings.Contains(got, "Could not find pool") {
			t.Error(got)
		}
	}
}

// TestAsleepFromTheStart.
func TestAsleepFromTheStart(t *testing.T) {
	r := start(t, asleep)
	if got := r.read(); got.state != "stopped" || got.watts > 50 || got.giga != 0 || got.average != 0 || got.desired != "3070" {
		t.Errorf("%+v", got)
	}
	r.post("mining/start", "")
	if got := r.after(3 * time.Minute); !near(got.watts, r.atWall(3070), 2) || !near(got.watts, r.d.Watts(), 0.25) {
		t.Errorf("%+v at %g W", got, r.d.Watts())
	}
}

// TestBootBeforeAnybodyAsked: the states follow the boot, not the beginning.
func TestBootBeforeAnybodyAsked(t *testing.T) {
	r := start(t, older)
	r.d = r.site.Fleet.Devices[older+1]
	if _, err := r.site.Reboot(onlyIt(r)); err != nil {
		t.Fatal(err)
	}
	if got := r.hourOn(51 * time.Second); got.state != "initializing" || got.since > 21 {
		t.Errorf("%+v", got)
	}
	if got := r.after(time.Hour - 10*time.Minute); got.state != "mining" {
		t.Errorf("%+v", got)
	}
}
