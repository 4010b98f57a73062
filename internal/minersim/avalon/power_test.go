package avalon_test

import (
	"strings"
	"testing"
	"time"
)

// TestSoftOffAndOnAtHome: a few seconds ahead, as clients send it.
func TestSoftOffAndOnAtHome(t *testing.T) {
	r := start(t, q)
	for _, device := range []int{q, mini, nano} {
		r.d = r.site.Fleet.Devices[device]
		full := r.d.Watts()
		off := "1:" + r.at(5*time.Second)
		r.set("softoff,"+off, "I", 118, "ASC 0 set info: success softoff:"+off)
		r.clock.Advance(4 * time.Second)
		r.hashes(full)
		r.clock.Advance(6 * time.Second)
		r.asleep()
		if m := r.machine(); m["SoftOFF"] != "4" || float(t, m["GHSmm"]) == 0 || float(t, m["GHSavg"]) == 0 {
			t.Errorf("asleep SoftOFF %s, GHSmm %s, GHSavg %s", m["SoftOFF"], m["GHSmm"], m["GHSavg"])
		}
		before := r.machine()["GHSavg"]
		r.clock.Advance(2 * time.Hour)
		if after := r.machine()["GHSavg"]; float(t, after) == 0 || float(t, after) >= float(t, before) {
			t.Errorf("the life's average went from %s to %s in two hours of sleep", before, after)
		}
		wake := "1:" + r.at(5*time.Second)
		r.set("softon,"+wake, "I", 118, "ASC 0 set info: success softon:"+wake)
		r.clock.Advance(4 * time.Second)
		r.asleep()
		r.clock.Advance(2 * time.Second)
		if m := r.machine(); !strings.HasPrefix(m["SYSTEMSTATU"], "Work: In Init,") || m["SoftOFF"] != "0" || r.d.Watts() > 25 {
			t.Errorf("%s at %.0f W", m["SYSTEMSTATU"], r.d.Watts())
		}
		r.clock.Advance(3 * time.Minute)
		r.hashes(full)
	}
}

// TestSoftOffInARack says OK in other words, and softon nothing at all.
func TestSoftOffInARack(t *testing.T) {
	r := start(t, rack)
	full := r.d.Watts()
	r.ok("softoff,1:" + r.at(5*time.Second))
	r.clock.Advance(11 * time.Second)
	r.asleep()
	if m := r.machine(); m["SoftOFF"] != "5" || m["GHSmm"] != "0.00" || float(t, m["GHSavg"]) == 0 {
		t.Errorf("asleep SoftOFF %s, GHSmm %s, GHSavg %s", m["SoftOFF"], m["GHSmm"], m["GHSavg"])
	}
	for _, request := range []string{"ascset|0,softon,1:" + r.at(5*time.Second), `{"command":"ascset","parameter":"0,softon,1:` + r.at(5*time.Second) + `"}`} {
		if out, err := r.raw(request); err != nil || out != "" {
			t.Errorf("%q %v", out, err)
		}
	}
	r.clock.Advance(time.Minute)
	if w := r.d.Watts(); w > 20 {
		t.Errorf("%g W while the boards are looked for", w)
	}
	r.clock.Advance(5 * time.Minute)
	r.hashes(full)
	// Without a moment, and with one that has passed or is of another clock, it is at once.
	for _, moment := range []string{"", ",1:0", ",1:17", ",1:" + r.at(30*24*time.Hour)} {
		r.ok("softoff" + moment)
		r.clock.Advance(6 * time.Second)
		r.asleep()
		r.ok("reboot,0")
		r.clock.Advance(6 * time.Minute)
		r.hashes(full)
	}
}

// TestOffThenOn: both are scheduled, one after the other.
func TestOffThenOn(t *testing.T) {
	r := start(t, q)
	full := r.d.Watts()
	for _, s := range []struct{ word, at string }{{"softoff", "1:" + r.at(5*time.Second)}, {"softon", "1:" + r.at(65*time.Second)}} {
		r.set(s.word+","+s.at, "I", 118, "ASC 0 set info: success "+s.word+":"+s.at)
	}
	r.clock.Advance(30 * time.Second)
	r.asleep()
	r.clock.Advance(4 * time.Minute)
	r.hashes(full)
	// Told to wake before it is told to sleep, or while it works, it does neither more nor less.
	r.set("softon,1:1", "I", 118, "ASC 0 set info: success softon:1:1")
	r.clock.Advance(time.Second)
	r.hashes(full)
}

// TestAQWantsAMoment: without it nothing happens; others take it as now.
func TestAQWantsAMoment(t *testing.T) {
	r := start(t, q)
	r.refused("softoff", "softoff parameter invalid")
	r.refused("softoff,1", "softoff parameter invalid")
	r.d = r.site.Fleet.Devices[nano]
	r.ok("softoff")
	r.clock.Advance(6 * time.Second)
	r.asleep()
}

// TestHashPower cuts the boards off until the next reboot, and softon does not help.
func TestHashPower(t *testing.T) {
	r := start(t, rack)
	full := r.d.Watts()
	if st := r.ask("ascset", "0,hashpower", "", nil); !strings.HasPrefix(st[0].Msg, "ASC 0 set info: PS[0 1209 1187 ") || st[0].Code != 118 {
		t.Errorf("%+v", st)
	}
	r.set("hashpower,0", "I", 118, "ASC 0 set info: Power off hash now ...")
	r.clock.Advance(6 * time.Second)
	r.asleep()
	if m := r.machine(); m["SoftOFF"] != "0" {
		t.Errorf("SoftOFF %s", m["SoftOFF"])
	}
	if _, err := r.raw("ascset|0,softon,1:" + r.at(0)); err != nil {
		t.Error(err)
	}
	r.clock.Advance(10 * time.Minute)
	r.asleep()
	r.ok("reboot,0")
	if _, err := r.raw("version"); err == nil {
		t.Error("answers while it reboots")
	}
	r.clock.Advance(time.Minute)
	if m := r.machine(); m["SoftOFF"] != "6" || !strings.HasPrefix(m["SYSTEMSTATU"], "Work: In Init,") || m["GHSavg"] != "0.00" || float(t, m["Elapsed"]) > 60 {
		t.Errorf("booting SoftOFF %s, %s, %s s", m["SoftOFF"], m["SYSTEMSTATU"], m["Elapsed"])
	}
	r.clock.Advance(5 * time.Minute)
	r.hashes(full)
}

// TestRackModesWaitForAReboot.
func TestRackModesWaitForAReboot(t *testing.T) {
	r := start(t, rack)
	full := r.d.Watts()
	normal := full * 0.7933
	r.set("workmode,255", "I", 118, "ASC 0 set info: WORKMODE[1]")
	for _, form := range []string{"workmode,0", "workmode,set,0"} {
		r.set(form, "I", 118, "ASC 0 set info: WORKMODE[0]")
		r.set("workmode,255", "I", 118, "ASC 0 set info: WORKMODE[0]")
		r.clock.Advance(10 * time.Minute)
		if m := r.machine(); m["WORKMODE"] != "1" {
			t.Errorf("WORKMODE %s before the reboot", m["WORKMODE"])
		}
		r.hashes(full)
		r.ok("reboot,0")
		r.clock.Advance(6 * time.Minute)
		if m := r.machine(); m["WORKMODE"] != "0" || !near(float(t, m["MPO"]), 0.945*normal, 4) {
			t.Errorf("WORKMODE %s, MPO %s", m["WORKMODE"], m["MPO"])
		}
		r.hashes(normal)
		r.set("workmode,1", "I", 118, "ASC 0 set info: WORKMODE[1]")
		r.ok("reboot,0")
		r.clock.Advance(6 * time.Minute)
		r.hashes(full)
	}
	r.refused("workmode,2", "workmode unknown argument")
	r.ok("worklevel,set,3000 W")
	r.clock.Advance(10 * time.Minute)
	r.hashes(full)
}

// TestHomeModesAreTunedInPlace, and refused while the last one is.
func TestHomeModesAreTunedInPlace(t *testing.T) {
	r := start(t, q)
	full := r.d.Watts()
	r.set("workmode,get", "I", 118, "ASC 0 set info: workmode 2")
	r.ok("workmode,set,0")
	r.clock.Advance(10 * time.Second)
	r.set("workmode,set,1", "E", 120, "ASC 0 set failed: current mode 0 is caling Don't permit switch mode")
	r.clock.Advance(2 * time.Minute)
	if m := r.machine(); m["WORKMODE"] != "0" || !near(float(t, m["MPO"]), 800, 4) {
		t.Errorf("WORKMODE %s, MPO %s", m["WORKMODE"], m["MPO"])
	}
	r.hashes(full * 800 / 1674)
	r.ok("work_mode_lvl,set,1,0")
	r.clock.Advance(2 * time.Minute)
	r.hashes(full * 1300 / 1674)
	r.set("work_mode_lvl,get", "I", 118, "ASC 0 set info: workmode 1 worklevel 0")
	// It lasts over a sleep and over a reboot.
	r.set("softoff,1:1", "I", 118, "ASC 0 set info: success softoff:1:1")
	r.clock.Advance(time.Minute)
	r.asleep()
	r.ok("workmode,set,0")
	r.clock.Advance(time.Minute)
	r.asleep()
	r.set("softon,1:1", "I", 118, "ASC 0 set info: success softon:1:1")
	r.clock.Advance(time.Minute)
	r.set("workmode,set,1", "E", 120, "ASC 0 set failed: current mode 0 is caling Don't permit switch mode")
	r.clock.Advance(5 * time.Minute)
	r.hashes(full * 800 / 1674)
	r.ok("reboot,0")
	r.clock.Advance(6 * time.Minute)
	r.hashes(full * 800 / 1674)
	for setting, why := range map[string]string{
		"workmode,1": "workmode unknown argument", "workmode,set,3": "error:1 not support set workmode max_mode[2]", "workmode": "missing workmode setting",
		"workmode,set,x": "workmode unknown argument", "worklevel,set,1": "worklevel unknown argument", "worklevel,set,-1": "worklevel unknown argument",
		"worklevel,set,1300 W": "worklevel unknown argument", "work_mode_lvl,set,1": "error:2 parameter error", "hashpower,0": "Unknown option: hashpower",
		"work_mode_lvl,set,1,1": "worklevel unknown argument level range:0 ~ 0",
	} {
		r.refused(setting, why)
	}
}

// TestMiniLevels: eco and super, in any mode.
func TestMiniLevels(t *testing.T) {
	r := start(t, mini)
	full := r.d.Watts()
	r.ok("worklevel,set,-1")
	r.clock.Advance(2 * time.Minute)
	r.hashes(full * 0.85)
	r.set("worklevel,get", "I", 118, "ASC 0 set info: worklevel -1")
	if m := r.machine(); m["WORKLEVEL"] != "-1" {
		t.Errorf("WORKLEVEL %s", m["WORKLEVEL"])
	}
	r.ok("workmode,set,2")
	r.clock.Advance(2 * time.Minute)
	r.hashes(full * 0.5 * 0.85)
}
