package vnish_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPresetList(t *testing.T) {
	r := start(t, older)
	list := r.presets()
	if len(list) != 16 || list[0].Name != "disabled" || list[0].Pretty != "Disabled" || list[0].Status != "untuned" {
		t.Fatalf("%+v", list)
	}
	last := 0
	for i, p := range list[1:] {
		var watts, tera int
		if _, err := fmt.Sscanf(p.Pretty, "%d watt ~ %d TH", &watts, &tera); err != nil || fmt.Sprint(watts) != p.Name || watts <= last || tera < 40 {
			t.Errorf("%+v %v", p, err)
		}
		last = watts
		if tuned := i+1 >= 2 && i+1 <= 10; (p.Status == "tuned") != tuned || p.Modded != (i == 14) {
			t.Errorf("%d: %+v", i+1, p)
		}
	}
	// 1,100 to 4,690 W around 3,200 were recorded for an S19.
	if list[1].Name != "1210" || list[10].Pretty != "3510 watt ~ 234 TH" || list[15].Name != "5140" {
		t.Errorf("%+v", list)
	}
	var raw []struct {
		Tune *struct {
			Volt   int
			Chains []struct{ Chips []int }
		} `json:"tune_settings"`
	}
	r.get("autotune/presets", &raw)
	if first := raw[0].Tune; first == nil || len(first.Chains) != 3 || len(first.Chains[0].Chips) != 65 || first.Chains[0].Chips[64] != 0 || first.Volt != 13800 || raw[1].Tune != nil {
		t.Errorf("%+v", raw[0])
	}
}

// TestTunedPresetWorksAtOnce, and its watts are this machine's own.
func TestTunedPresetWorksAtOnce(t *testing.T) {
	r := start(t, older)
	name := r.presets()[5].Name
	if got := r.choose(name); got.Restart || got.Reboot {
		t.Errorf("%+v", got)
	}
	got := r.after(2 * time.Minute)
	if got.desired != name || got.effective.Name != name || got.effective.Status != "tuned" || got.state != "mining" || got.since != 1920 {
		t.Errorf("%+v", got)
	}
	if name != "2080" || !near(got.watts, r.atWall(2080), 2.5) || near(got.watts, 3510, 20) {
		t.Errorf("%d W at %s, %g W at this wall", got.watts, name, r.atWall(2080))
	}
}

// TestUntunedPresetNeedsARestartThenTunes: three numbers apart, for long.
func TestUntunedPresetNeedsARestartThenTunes(t *testing.T) {
	r := start(t, newer)
	list := r.presets()
	want, below := list[13], list[12]
	if want.Name != "4390" || below.Name != "4110" {
		t.Fatalf("%+v %+v", want, below)
	}
	if got := r.choose(want.Name); !got.Restart || got.Reboot {
		t.Errorf("%+v", got)
	}
	if got := r.after(10 * time.Minute); got.desired != "4390" || got.effective.Name != "3510" || !near(got.watts, r.atWall(3510), 2.5) || !got.restart {
		t.Errorf("before the restart %+v", got)
	}
	r.post("mining/restart", "")
	if got := r.after(3 * time.Minute); got.state != "auto-tuning" || got.desired != "4390" || got.effective.Name != "4110" ||
		got.effective.Status != "untuned" || !near(got.watts, 0.9225*r.atWall(4110), 2.5) || got.restart {
		t.Errorf("tuning %+v", got)
	}
	// A throttle does not end it.
	r.post("mining/throttle", `{"percent":50}`)
	if got := r.after(time.Minute); got.state != "auto-tuning" || !near(got.watts, 0.5*0.9225*r.atWall(4110), 3) {
		t.Errorf("tuning, throttled %+v", got)
	}
	r.post("mining/throttle", `{"percent":100}`)
	if got := r.hourOn(85 * time.Minute); got.state != "auto-tuning" || got.since < 5000 {
		t.Errorf("tuning for long %+v", got)
	}
	if got := r.hourOn(5 * time.Minute); got.state != "mining" || got.effective.Name != "4390" || got.effective.Status != "tuned" || !near(got.watts, r.atWall(4390), 2.5) {
		t.Errorf("tuned %+v", got)
	}
	if got := r.presets()[13].Status; got != "tuned" {
		t.Errorf("the list says %s", got)
	}
	r.choose("3510")
	r.clock.Advance(2 * time.Minute)
	if got := r.choose("4390"); got.Restart {
		t.Errorf("tuned once, it wants a restart: %+v", got)
	}
}

// TestTuningBeginsAnew after whatever ended it.
func TestTuningBeginsAnew(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"paused":   func(r *rig) { r.post("mining/pause", ""); r.clock.Advance(time.Minute); r.post("mining/resume", "") },
		"stopped":  func(r *rig) { r.post("mining/stop", ""); r.clock.Advance(time.Minute); r.post("mining/start", "") },
		"rebooted": func(r *rig) { r.post("system/reboot", ""); r.clock.Advance(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, older)
			lowest := r.presets()[1].Name
			r.choose(lowest)
			r.post("mining/restart", "")
			r.clock.Advance(time.Hour)
			r.login()
			end(r)
			r.login()
			// The lowest preset has none below: it works its way up within itself.
			if got := r.hourOn(time.Hour); got.state != "auto-tuning" || got.effective.Name != lowest || !near(got.watts, 0.9225*r.atWall(1210), 3) {
				t.Errorf("%+v", got)
			}
			if got := r.hourOn(40 * time.Minute); got.state != "mining" || !near(got.watts, r.atWall(1210), 3) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestTunedThoughNobodyLooked: a reboot after the end of tuning does not tune again.
func TestTunedThoughNobodyLooked(t *testing.T) {
	r := start(t, older)
	r.choose(r.presets()[1].Name)
	r.post("system/reboot", "")
	r.clock.Advance(2 * time.Hour)
	if _, err := r.site.Reboot(onlyIt(r)); err != nil {
		t.Fatal(err)
	}
	if got := r.hourOn(4 * time.Minute); got.state != "mining" || got.effective.Status != "tuned" || !near(got.watts, r.atWall(1210), 3) {
		t.Errorf("%+v", got)
	}
}

// TestPresetThatNeverWorks: the same reply as for one that works at once, and a restart changes
// nothing.
func TestPresetThatNeverWorks(t *testing.T) {
	r := start(t, older)
	modded := r.presets()[15].Name
	if got := r.choose(modded); got.Restart || got.Reboot {
		t.Errorf("%+v", got)
	}
	r.post("mining/restart", "")
	if got := r.after(5 * time.Minute); got.desired != modded || got.effective.Name != "3510" || !near(got.watts, r.atWall(3510), 3) || got.restart {
		t.Errorf("%+v", got)
	}
	if got := r.save(`{"miner":{"overclock":{"modded_psu":true}}}`); !got.Restart {
		t.Errorf("with another supply %+v", got)
	}
}

// TestPresetWhileStopped waits for the start; while paused it waits for more than a resume.
func TestPresetWhileStopped(t *testing.T) {
	r := start(t, older)
	name := r.presets()[4].Name
	r.post("mining/stop", "")
	r.clock.Advance(time.Minute)
	if got := r.choose(name); got.Restart {
		t.Errorf("%+v", got)
	}
	if got := r.after(time.Minute); got.watts > 50 || got.desired != name || got.effective.Name != "3510" {
		t.Errorf("stopped %+v", got)
	}
	r.post("mining/start", "")
	if got := r.after(3 * time.Minute); got.effective.Name != name || !near(got.watts, r.atWall(1860), 3) {
		t.Errorf("started %+v", got)
	}
	r.post("mining/pause", "")
	r.clock.Advance(time.Minute)
	if got := r.choose("3510"); !got.Restart {
		t.Errorf("%+v", got)
	}
	r.post("mining/resume", "")
	if got := r.after(time.Minute); got.effective.Name != name || !got.restart || !near(got.watts, r.atWall(1860), 3) {
		t.Errorf("resumed %+v", got)
	}
	r.post("mining/restart", "")
	if got := r.after(4 * time.Minute); got.effective.Name != "3510" || got.restart {
		t.Errorf("restarted %+v", got)
	}
}

// TestByHand: "disabled" is no number; watts follow the clock.
func TestByHand(t *testing.T) {
	r := start(t, older)
	if got := r.save(`{"miner":{"overclock":{"preset":"disabled","globals":{"freq":315,"volt":1300}}}}`); !got.Restart {
		t.Errorf("%+v", got)
	}
	r.post("mining/restart", "")
	// Half the clock is 0.060 + 0.541/2 + 0.399/4 of the watts.
	if got := r.after(5 * time.Minute); got.effective.Name != "disabled" || got.state != "mining" || !near(got.watts, 0.43025*r.atWall(3510), 2.5) {
		t.Errorf("%+v, %g W at this wall", got, r.atWall(3510))
	}
	if got := r.save(`{"miner":{"overclock":{"globals":{"freq":320}}}}`); !got.Restart {
		t.Errorf("another clock: %+v", got)
	}
	if got := r.choose("3510"); !got.Restart {
		t.Errorf("back: %+v", got)
	}
}

// TestWholeDocumentsAreTaken: a client may write what it read.
func TestWholeDocumentsAreTaken(t *testing.T) {
	r := start(t, newer)
	before := r.want(200, "GET", "api/v1/settings", "", nil)
	if got := r.save(string(before)); got.Restart || got.Reboot {
		t.Errorf("%+v", got)
	}
	if after := r.want(200, "GET", "api/v1/settings", "", nil); !bytes.Equal(before, after) {
		t.Errorf("%s became %s", before, after)
	}
	var whole struct {
		Miner struct{ Overclock map[string]any }
	}
	if err := json.Unmarshal(before, &whole); err != nil {
		t.Fatal(err)
	}
	whole.Miner.Overclock["preset"] = "3240"
	document, _ := json.Marshal(map[string]any{"miner": map[string]any{"overclock": whole.Miner.Overclock}})
	r.save(string(document))
	if got := r.after(2 * time.Minute); got.desired != "3240" || got.effective.Name != "3240" {
		t.Errorf("%+v", got)
	}
}

// TestWrongSettingsChangeNothing, not even what is right in the same document.
func TestWrongSettingsChangeNothing(t *testing.T) {
	r := start(t, older)
	before := r.want(200, "GET", "api/v1/settings", "", nil)
	for status, documents := range map[int][]string{
		500: {
			`{"miner":{"misc":{"remain_stopped_on_reboot":true},"overclock":{"preset":"3511"}}}`,
			`{"miner":{"overclock":{"preset":""}}}`,
			`{"miner":{"overclock":{"preset":"3240","globals":{"freq":1001}}}}`,
			`{"miner":{"overclock":{"preset":"3240","globals":{"volt":13800}}}}`,
			`{"miner":{"overclock":{"preset":"3240","globals":{"volt":1199}}}}`,
			`{"miner":{"overclock":{"preset":"3240","globals":{"freq":49}}}}`,
			`{"miner":{"overclock":{"preset":"3240","preset_switcher":{"enabled":true,"top_preset":"9000"}}}}`,
			`{"password":{"current":"admin","pw":"x"},"miner":{"overclock":{"preset":"3240"}}}`,
		},
		400: {`{"miner":{"overclock":{"preset":3240}}}`, `{"miner":[]}`, `{`, ``, `[]`},
	} {
		for _, d := range documents {
			r.want(status, "POST", "api/v1/settings", d, nil)
		}
	}
	if after := r.want(200, "GET", "api/v1/settings", "", nil); !bytes.Equal(before, after) {
		t.Errorf("%s became %s", before, after)
	}
	r.save(`{"miner":{"overclock":{"preset_switcher":{"enabled":true,"top_preset":"3510"}}}}`)
	r.save(`{"miner":{"overclock":{"preset_switcher":{"top_preset":"3240"}}}}`)
	if after := r.want(200, "GET", "api/v1/perf-summary", "", nil); !strings.Contains(string(after), `"enabled":true`) || !strings.Contains(string(after), `"min_preset":null,`) {
		t.Errorf("%s", after)
	}
}
