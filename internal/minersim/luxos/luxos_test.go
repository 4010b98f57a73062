package luxos_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"
)

func TestFraming(t *testing.T) {
	r := start(t)
	for name, request := range map[string]string{
		"bare": `{"command":"version"}`, "with a line end": `{"command":"version"}` + "\n", "with a NUL": `{"command":"version"}` + "\x00",
	} {
		out, err := r.raw(request)
		if err != nil || bytes.Count(out, []byte{0}) != 1 || out[len(out)-1] != 0 || !bytes.Contains(out, []byte(`"LUXminer"`)) {
			t.Errorf("%s: %q %v", name, out, err)
		}
	}
	for request, code := range map[string]string{
		"hello\n": `"Code":23`, `{"parameter":"x"}`: `"Code":24`, `{"command":"dance"}`: `"Code":14`,
	} {
		out, err := r.raw(request)
		if err != nil || !bytes.Contains(out, []byte(code)) || !bytes.Contains(out, []byte(`"STATUS":"E"`)) {
			t.Errorf("%q: %q %v", request, out, err)
		}
	}
	joined := r.ask("version+power+dance", "")
	for _, name := range []string{"version", "power", "dance"} {
		if joined.fields[name] == nil {
			t.Errorf("no %s in a joined reply", name)
		}
	}
}

func TestReadsOfAHashingMachine(t *testing.T) {
	r := start(t)
	c := r.config()
	if c.CurtailMode != "None" || c.Profile != "default" || c.ProfileStep != "0" || !c.IsPowerSupplyOn || c.IsAtmEnabled ||
		c.SystemStatus != "Normal" || c.Model != "Antminer S19k Pro" || c.MACAddr == "" || c.SerialNumber == "" {
		t.Errorf("config %+v", c)
	}
	def := r.profiles()[16]
	if w := r.watts(); !near(w, float64(def.Watts), 3) {
		t.Errorf("%d W at a profile of %d W", w, def.Watts)
	}
	s := section[map[string]float64](r, r.want("S", 11, "summary", ""), "SUMMARY")
	if th := s["GHS 5s"] / 1000; math.Abs(th/def.Hashrate-1) > 0.02 {
		t.Errorf("GHS 5s says %g TH/s, the profile %g", th, def.Hashrate)
	}
	board := section[struct {
		MHS       float64 `json:"MHS 5s"`
		IsRamping bool
	}](r, r.want("S", 9, "devs", ""), "DEVS")
	if th := 3 * board.MHS / 1e6; math.Abs(th/def.Hashrate-1) > 0.02 || board.IsRamping {
		t.Errorf("devs say %g TH/s", th)
	}
	for command, code := range map[string]int{
		"version": 22, "stats": 70, "pools": 7, "limits": 333, "fans": 202, "temps": 201, "atm": 339, "asccount": 104,
		"groups": 80, "tempctrl": 205,
	} {
		r.want("S", code, command, "")
	}
}

func TestProfiles(t *testing.T) {
	r := start(t)
	list := r.profiles()
	if len(list) != 25 {
		t.Fatalf("%d profiles", len(list))
	}
	for i, p := range list {
		name := fmt.Sprintf("%dMHz", 590+25*(i-16))
		if i == 16 {
			name = "default"
		}
		if p.Name != name || p.Frequency != 590+25*(i-16) || p.Step != fmt.Sprint(i-16) {
			t.Errorf("profile %d is %+v", i, p)
		}
		if i > 0 && (p.Watts <= list[i-1].Watts || p.Hashrate <= list[i-1].Hashrate) {
			t.Errorf("profile %d is not above the one before", i)
		}
	}
	// 784 and 4,195 W of 2,794 W were recorded for this model.
	if low, high := float64(list[0].Watts)/float64(list[16].Watts), float64(list[24].Watts)/float64(list[16].Watts); math.Abs(low-0.281) > 0.01 || math.Abs(high-1.501) > 0.01 {
		t.Errorf("profiles span %g to %g of the default", low, high)
	}
}

// TestSessions: one per machine, a minute idle, renewed by use, needed by writes only.
func TestSessions(t *testing.T) {
	r := start(t)
	session := func() string {
		return section[struct{ SessionID string }](r, r.want("S", 319, "session", ""), "SESSION").SessionID
	}
	if session() != "" {
		t.Error("a session before any logon")
	}
	sid := section[struct{ SessionID string }](r, r.want("S", 316, "logon", ""), "SESSION").SessionID
	if len(sid) != 8 || session() != sid {
		t.Errorf("session %q, reads %q", sid, session())
	}
	r.want("E", 402, "logon", "")
	r.want("E", 401, "curtail", "other123,sleep")
	r.want("E", 401, "curtail", "sleep")
	r.want("E", 401, "curtail", "")
	for range 3 {
		r.clock.Advance(59 * time.Second)
		r.want("S", 340, "atmset", sid+",temp_window=4")
	}
	r.clock.Advance(time.Minute)
	r.want("E", 401, "curtail", sid+",sleep")
	if session() != "" {
		t.Error("an expired session still reads")
	}
	next := section[struct{ SessionID string }](r, r.want("S", 316, "logon", ""), "SESSION").SessionID
	if next == sid {
		t.Error("the same session again")
	}
	r.want("E", 401, "logoff", sid)
	r.want("S", 317, "logoff", next)
	r.want("E", 401, "logoff", next)
	r.want("S", 316, "logon", "")
}

func TestSleepAndWake(t *testing.T) {
	r := start(t)
	full := float64(r.watts())
	action := section[struct{ Action string }](r, r.in("S", 335, "curtail", "sleep"), "CURTAIL").Action
	if action != "sleep mode" || r.config().CurtailMode != "Sleep" || r.config().IsPowerSupplyOn {
		t.Errorf("%s: %+v", action, r.config())
	}
	r.clock.Advance(2300 * time.Millisecond)
	if w := r.watts(); !near(w, full/2, 5) {
		t.Errorf("%d W half way down", w)
	}
	r.clock.Advance(2500 * time.Millisecond)
	if w := r.watts(); w < 19 || w > 31 {
		t.Errorf("%d W within five seconds of a sleep", w)
	}
	r.in("E", 403, "reboot", "0")
	action = section[struct{ Action string }](r, r.in("S", 335, "curtail", "wakeup"), "CURTAIL").Action
	if action != "wake up" || r.config().CurtailMode != "None" {
		t.Errorf("%s: %+v", action, r.config())
	}
	r.clock.Advance(9500 * time.Millisecond)
	if w := r.watts(); !near(w, full, 3) {
		t.Errorf("%d W ten seconds after a wake", w)
	}
	r.in("E", 15, "curtail", "nap")
}

// TestSleepOutlivesAReboot, and the first wake after it is slow and can't be forced.
func TestSleepOutlivesAReboot(t *testing.T) {
	r := start(t)
	full := float64(r.watts())
	r.in("S", 335, "curtail", "sleep")
	r.in("S", 328, "rebootdevice", "")
	if out, err := r.raw(`{"command":"version"}`); err == nil {
		t.Errorf("answers %q while booting", out)
	}
	r.clock.Advance(2 * time.Minute)
	if c := r.config(); c.CurtailMode != "Sleep" || r.watts() > 31 {
		t.Errorf("after a reboot: %s, %d W", c.CurtailMode, r.watts())
	}
	r.in("E", 403, "curtail", "wakeup,mode=unsafe")
	r.in("S", 335, "curtail", "wakeup")
	r.clock.Advance(10 * time.Second)
	if w := float64(r.watts()); w > full/2 {
		t.Errorf("%g W ten seconds after the first wake", w)
	}
	r.clock.Advance(time.Minute)
	if w := r.watts(); !near(w, full, 3) {
		t.Errorf("%d W in the end", w)
	}
	r.in("S", 335, "curtail", "sleep")
	r.clock.Advance(10 * time.Second)
	r.in("S", 335, "curtail", "wakeup,mode=unsafe")
	r.clock.Advance(10 * time.Second)
	if w := r.watts(); !near(w, full, 3) {
		t.Errorf("%d W ten seconds after the second wake", w)
	}
}

func TestProfileset(t *testing.T) {
	r := start(t)
	list := r.profiles()
	for _, c := range []struct {
		arg  string
		want int // index
	}{
		{"490MHz", 12}, {"+1", 13}, {"-2", 11}, {"default", 16}, {"0,565MHz", 15}, {"3,default", 16},
		{fmt.Sprintf("%dW", list[5].Watts), 5}, {fmt.Sprintf("%.1fTHs", list[7].Hashrate), 7},
		{fmt.Sprintf("%.2fkW", float64(list[9].Watts)/1000), 9},
	} {
		got := section[struct {
			Profile     string
			Board       int
			VoltageStep float64
		}](r, r.in("S", 321, "profileset", c.arg), "PROFILE")
		if got.Profile != list[c.want].Name || r.config().Profile != list[c.want].Name || got.VoltageStep != 0.05 {
			t.Errorf("%s: %+v, config %s, want %s", c.arg, got, r.config().Profile, list[c.want].Name)
		}
		r.clock.Advance(30 * time.Second)
		if w := r.watts(); !near(w, float64(list[c.want].Watts), 3) {
			t.Errorf("%s: %d W, the profile has %d", c.arg, w, list[c.want].Watts)
		}
	}
	// A bare number up to 3 is a board, whose profile is then missing.
	for _, arg := range []string{"2", "5", "491MHz", "+20", "-20", "1W", "xW", "THs", ""} {
		r.in("E", 15, "profileset", arg)
	}
	if got := r.config().Profile; got != list[9].Name {
		t.Errorf("refused profiles left %s", got)
	}
}

// TestProfileRampsStepByStep: sixteen steps take sixteen seconds, and devs say so.
func TestProfileRampsStepByStep(t *testing.T) {
	r := start(t)
	list := r.profiles()
	r.in("S", 321, "profileset", list[0].Name)
	r.clock.Advance(8300 * time.Millisecond)
	if w := r.watts(); !near(w, float64(list[16].Watts+list[0].Watts)/2, 3) {
		t.Errorf("%d W half way", w)
	}
	if !section[struct{ IsRamping bool }](r, r.ask("devs", ""), "DEVS").IsRamping {
		t.Error("devs do not say it is ramping")
	}
}

// TestProfileWhileAsleep: it waits for the wake.
func TestProfileWhileAsleep(t *testing.T) {
	r := start(t)
	list := r.profiles()
	r.in("S", 335, "curtail", "sleep")
	r.in("S", 321, "profileset", list[4].Name)
	// Nor does it slow the fall.
	r.clock.Advance(5 * time.Second)
	if w := r.watts(); w > 31 {
		t.Errorf("%d W asleep", w)
	}
	r.in("S", 335, "curtail", "wakeup")
	r.clock.Advance(time.Minute)
	if w := r.watts(); !near(w, float64(list[4].Watts), 3) {
		t.Errorf("%d W, the profile has %d", w, list[4].Watts)
	}
}

func TestATMLocksProfiles(t *testing.T) {
	r := start(t)
	list := r.profiles()
	r.in("S", 321, "profileset", "+3")
	r.in("S", 340, "atmset", "enabled=true,startup_minutes=5,post_ramp_minutes=6,max_profile=+1,min_profile=")
	atm := section[struct {
		Enabled                         bool
		StartupMinutes, PostRampMinutes int
		MaxProfile, MaxProfileStep      string
	}](r, r.want("S", 339, "atm", ""), "ATM")
	if !atm.Enabled || atm.StartupMinutes != 5 || atm.PostRampMinutes != 6 || atm.MaxProfile != list[20].Name || atm.MaxProfileStep != "4" || !r.config().IsAtmEnabled {
		t.Errorf("%+v", atm)
	}
	r.in("E", 403, "profileset", "default")
	r.in("E", 15, "atmset", "enabled=false,startup_minutes=soon")
	r.in("E", 15, "atmset", "speed=1")
	r.in("E", 15, "atmset", "max_profile=1MHz")
	if !r.config().IsAtmEnabled {
		t.Error("a refused atmset took effect")
	}
	r.in("S", 340, "atmset", "enabled=false,prevent_oc=true")
	if c := r.config(); c.IsAtmEnabled || c.Profile != "default" {
		t.Errorf("%+v", c)
	}
	r.in("S", 321, "profileset", "-1")
}

func TestBoardRebootAndReset(t *testing.T) {
	r := start(t)
	full := float64(r.watts())
	board := section[struct {
		Board      int
		IsShutdown bool
	}](r, r.in("S", 305, "reboot", "1"), "REBOOT")
	if board.Board != 1 || board.IsShutdown {
		t.Errorf("%+v", board)
	}
	r.clock.Advance(3 * time.Second)
	if w := r.watts(); !near(w, full*2/3, 5) {
		t.Errorf("%d W with one board of three off", w)
	}
	r.clock.Advance(time.Minute)
	r.in("E", 15, "reboot", "3")
	r.in("E", 15, "reboot", "")
	r.in("S", 327, "resetminer", "")
	r.clock.Advance(5 * time.Second)
	if w := r.watts(); w > 31 {
		t.Errorf("%d W in the dip of a reset", w)
	}
	r.clock.Advance(2 * time.Minute)
	if w := r.watts(); !near(w, full, 3) {
		t.Errorf("%d W after a reset", w)
	}
}

// TestPowerSource: a supply that measures says so and errs less.
func TestPowerSource(t *testing.T) {
	r := start(t)
	source := func() bool {
		return section[struct{ PSU bool }](r, r.want("S", 311, "power", ""), "POWER").PSU
	}
	if source() {
		t.Error("an estimate says PSU")
	}
	r.d = r.site.Fleet.Devices[2]
	if !source() || r.config().CurtailMode != "Sleep" {
		t.Errorf("PSU %t, %s", source(), r.config().CurtailMode)
	}
	r.in("S", 335, "curtail", "wakeup")
	r.clock.Advance(time.Minute)
	if w := r.watts(); !near(w, r.d.Watts(), 0.25) {
		t.Errorf("%d W measured of %g W", w, r.d.Watts())
	}
}
