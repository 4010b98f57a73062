package whatsminer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func TestPowerOffAndOn(t *testing.T) {
	r := start(t, v2)
	full := r.d.Watts()
	r.want(131, "power_off", map[string]string{"respbefore": "true"})
	if m := r.msg("status"); m["mineroff"] != "true" || m["mineroff_reason"] != "by whatsminer api" {
		t.Errorf("%v", m)
	}
	r.clock.Advance(15 * time.Second)
	r.asleep("15 s after power_off")
	if s := r.summary(); s.HSRT != 0 || s.Power > 37 || s.HashStable || r.ask("edevs").Devs[0].Status != "Initialising" {
		t.Errorf("%+v", s)
	}
	// Not without a percentage to be of.
	r.want(132, "set_power_pct", map[string]string{"percent": "60"})
	r.want(131, "power_on", nil)
	r.clock.Advance(8*time.Second + 5*time.Minute)
	r.settled(full/3, 15, "five minutes of fifteen into the search")
	if s := r.summary(); s.HashStable || r.ask("edevs").Devs[0].UpfreqComplete != 0 {
		t.Errorf("%+v", s)
	}
	r.want(132, "set_power_pct", map[string]string{"percent": "60"})
	r.clock.Advance(10 * time.Minute)
	r.settled(full, 3, "after fifteen minutes")
	if s := r.summary(); !s.HashStable {
		t.Errorf("%+v", s)
	}
}

// TestPowerOffWithoutAReply: where it is not told to reply before, it never does.
func TestPowerOffWithoutAReply(t *testing.T) {
	r := start(t, v2)
	r.mute("power_off", nil)
	r.clock.Advance(15 * time.Second)
	r.asleep("15 s after power_off")
}

// TestUpfreqAndFastBoot: how long a start takes.
func TestUpfreqAndFastBoot(t *testing.T) {
	r := start(t, v2fast)
	full := r.d.Watts()
	off := map[string]string{"respbefore": "true"}
	r.want(131, "power_off", off)
	r.clock.Advance(time.Minute)
	r.want(131, "power_on", nil)
	r.clock.Advance(68 * time.Second)
	r.settled(full, 3, "a minute with fast boot")
	r.want(131, "disable_btminer_fast_boot", nil)
	r.want(131, "adjust_upfreq_speed", map[string]string{"upfreq_speed": "6"})
	r.want(131, "power_off", off)
	r.clock.Advance(time.Minute)
	r.want(131, "power_on", nil)
	r.clock.Advance(8 * time.Minute)
	if w := r.d.Watts(); w > full*0.95 {
		t.Errorf("%.0f W after eight minutes at speed 6", w)
	}
	r.clock.Advance(70 * time.Second)
	r.settled(full, 3, "nine minutes at speed 6")
}

// TestPowerLimitRestarts: the limit is kept to, after a blackout that costs minutes.
func TestPowerLimitRestarts(t *testing.T) {
	r := start(t, v2)
	r.want(131, "adjust_power_limit", map[string]string{"power_limit": "2400"})
	if m := r.msg("status"); m["power_limit_set"] != "2400" {
		t.Errorf("%v", m)
	}
	r.clock.Advance(5 * time.Second)
	r.asleep("in the restart")
	for _, command := range []string{"summary", "edevs", "summary+status"} {
		if out, err := r.raw(`{"cmd":"` + command + `"}`); err == nil {
			t.Errorf("%s in the restart: %q", command, out)
		}
	}
	r.clock.Advance(7 * time.Minute)
	if w := r.d.Watts(); w > 1300 {
		t.Errorf("%.0f W seven minutes later", w)
	}
	r.clock.Advance(9 * time.Minute)
	r.settled(2400, 2, "16 minutes later")
	if s := r.summary(); s.PowerLimit != 2400 {
		t.Errorf("%+v", s)
	}
	// A limit above what it draws raises nothing, one below what boards can run is not reached.
	r.want(131, "adjust_power_limit", map[string]string{"power_limit": "6000"})
	r.clock.Advance(17 * time.Minute)
	r.settled(3441, 5, "with a high limit")
	r.want(131, "adjust_power_limit", map[string]string{"power_limit": "200"})
	r.clock.Advance(17 * time.Minute)
	r.settled(0.3*3441, 5, "with a low limit")
	r.want(131, "adjust_power_limit", map[string]string{"power_limit": "99999"})
	r.clock.Advance(17 * time.Minute)
	r.settled(3441, 5, "with the default")
	if m := r.msg("status"); m["power_limit_set"] != "" {
		t.Errorf("%v", m)
	}
}

// TestLimitWhileOff waits for the start; a restart of the software is one.
func TestLimitWhileOff(t *testing.T) {
	r := start(t, v2)
	r.want(131, "power_off", map[string]string{"respbefore": "true"})
	r.want(131, "adjust_power_limit", map[string]string{"power_limit": "2000"})
	r.clock.Advance(20 * time.Minute)
	r.asleep("with a limit")
	r.want(131, "restart_btminer", nil)
	r.clock.Advance(16 * time.Minute)
	r.settled(2000, 2, "after restart_btminer")
	if m := r.msg("status"); m["mineroff"] != "false" {
		t.Errorf("%v", m)
	}
}

func TestPowerPct(t *testing.T) {
	r := start(t, v2)
	full := r.d.Watts()
	r.want(131, "set_power_pct", map[string]string{"percent": "60"})
	r.clock.Advance(time.Second)
	r.settled(0.6*full, 2, "a second after 60 %")
	// Of the watts without it, not of those it has.
	r.want(131, "set_power_pct", map[string]string{"percent": "80"})
	r.clock.Advance(time.Second)
	r.settled(0.8*full, 2, "a second after 80 %")
	r.want(131, "set_power_pct_v2", map[string]string{"percent": "50"})
	r.clock.Advance(time.Minute)
	r.settled(0.7*full, 3, "a minute into 50 %, version 2")
	r.clock.Advance(2 * time.Minute)
	r.settled(0.5*full, 2, "in the end")
	r.want(131, "restore_power_pct", nil)
	r.clock.Advance(time.Second)
	r.settled(full, 2, "restored")
}

// TestPowerPctTooLow: boards that starve restart by themselves, to everything they may draw.
func TestPowerPctTooLow(t *testing.T) {
	r := start(t, v2)
	full := r.d.Watts()
	r.want(131, "set_power_pct", map[string]string{"percent": "20"})
	r.clock.Advance(2 * time.Second)
	r.settled(0.2*full, 7, "two seconds after 20 %")
	r.clock.Advance(18 * time.Minute)
	r.settled(full, 3, "after it gave up")
}

// TestSetPower: smooth with fast boot only; gone with the next restart.
func TestSetPower(t *testing.T) {
	r := start(t, v2fast)
	full := r.d.Watts()
	r.want(131, "set_power", map[string]string{"power": "2500"})
	for range 60 {
		r.clock.Advance(time.Second)
		if w := r.d.Watts(); w < 2400 {
			t.Fatalf("%.0f W on the way", w)
		}
	}
	r.clock.Advance(2 * time.Second)
	r.settled(2500, 2, "a minute later")
	r.want(131, "restart_btminer", nil)
	r.clock.Advance(2 * time.Minute)
	r.settled(full, 3, "after a restart")

	r = r.at(v2)
	r.want(131, "set_power", map[string]string{"power": "2500"})
	r.clock.Advance(5 * time.Second)
	r.asleep("without fast boot")
	r.clock.Advance(16 * time.Minute)
	r.settled(2500, 2, "after the restart")
}

// TestModes restart without a word.
func TestModes(t *testing.T) {
	r := start(t, v2fast)
	full := r.d.Watts()
	for command, want := range map[string]struct {
		mode  string
		share float64
	}{"set_low_power": {"low", 0.8}, "set_high_power": {"high", 1.15}, "set_normal_power": {"normal", 1}} {
		r.mute(command, nil)
		r.clock.Advance(2 * time.Minute)
		r.settled(want.share*full, 3, command)
		if s := r.summary(); strings.ToLower(s.PowerMode) != want.mode {
			t.Errorf("%+v", s)
		}
	}
}

// TestReboot forgets that it was off, and what set_power_pct said, but not the limit; whether it
// mines afterwards is a setting.
func TestReboot(t *testing.T) {
	r := start(t, v2fast)
	k := r.token()
	r.want(131, "adjust_power_limit", map[string]string{"power_limit": "3000"})
	r.clock.Advance(2 * time.Minute)
	r.want(131, "set_power_pct", map[string]string{"percent": "50"})
	r.want(131, "power_off", map[string]string{"respbefore": "true"})
	r.mute("reboot", nil)
	if out, err := r.raw(`{"cmd":"status"}`); err == nil {
		t.Errorf("answers %q while booting", out)
	}
	r.clock.Advance(time.Minute)
	if m := r.msg("status"); m["mineroff"] != "false" || m["power_limit_set"] != "3000" {
		t.Errorf("%v", m)
	}
	if got, _ := r.writeWith(k, "power_on", nil); got.Code != 135 {
		t.Errorf("a token outlived a reboot: %+v", got)
	}
	r.clock.Advance(2 * time.Minute)
	r.settled(3000, 2, "after a reboot")

	r.want(131, "disable_btminer_init", nil)
	r.mute("reboot", nil)
	r.clock.Advance(20 * time.Minute)
	r.asleep("after a reboot without init")
	if m := r.msg("status"); m["mineroff"] != "true" {
		t.Errorf("%v", m)
	}
	r.want(131, "enable_btminer_init", nil)
	r.mute("reboot", nil)
	r.clock.Advance(5 * time.Minute)
	r.settled(3000, 2, "with init again")
}

// TestSoftwareComesUpAfterTheBoot: the machine answers before its mining software does.
func TestSoftwareComesUpAfterTheBoot(t *testing.T) {
	r := start(t, v2)
	if _, err := r.site.Reboot(minersim.Selector{Address: r.d.Address.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	for r.d.Truth().State == minersim.Booting {
		r.clock.Advance(time.Second)
	}
	r.clock.Advance(10 * time.Second)
	if out, err := r.raw(`{"cmd":"summary"}`); err == nil {
		t.Errorf("summary before the software is up: %q", out)
	}
	if m := r.msg("status"); m["mineroff"] != "false" {
		t.Errorf("%v", m)
	}
	r.clock.Advance(10 * time.Second)
	if s := r.summary(); s.HashStable || s.HSRT != 0 {
		t.Errorf("%+v", s)
	}
}
