package antminer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/antminer"
)

// TestSleepAndWake: the reply is prompt, then the mining software is away, then watts move.
func TestSleepAndWake(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	if got := r.post("set_miner_conf", `{"miner-mode":1,"bitmain-work-mode":1}`); got != (said{"success", "M000", "OK!"}) {
		t.Fatalf("%+v", got)
	}
	if r.workMode() != "1" {
		t.Error("the new mode does not show")
	}
	if r.ask(`{"command":"stats"}`) != nil || r.power("miner_power") != "" {
		t.Error("the mining software answers while it restarts")
	}
	for _, name := range []string{"stats", "summary", "pools"} {
		r.page(500, "GET", name, "", nil)
	}
	r.draws(5*time.Second, full)
	r.draws(5*time.Second, 30)
	r.clock.Advance(10 * time.Second)
	if got := r.rpc("stats", "STATS"); got["Elapsed"] != 0.0 {
		t.Errorf("restarted, but %v", got["Elapsed"])
	}
	r.post("set_miner_conf", `{"miner-mode":0}`)
	r.draws(79*time.Second, 30)
	r.draws(31*time.Second, full/2)
	r.draws(time.Minute, full)
	if r.workMode() != "0" {
		t.Error("awake, but the mode is another")
	}
}

// TestOldMachinesTakeTheirTime: 21 s or so to the reply, and a minute more until watts fall.
func TestOldMachinesTakeTheirTime(t *testing.T) {
	r := start(t, old)
	full := r.d.Watts()
	wait := antminer.WaitOf(r.d)
	if wait < 15*time.Second || wait > 27*time.Second {
		t.Errorf("replies after %s", wait)
	}
	out := r.slowly("set_miner_conf", `{"miner-mode":1}`, wait)
	contains(t, out, `"code":"M000"`)
	if r.ask(`{"command":"version"}`) != nil {
		t.Error("answers while it restarts")
	}
	r.draws(59*time.Second, full)
	r.draws(20*time.Second, 30)
	if got := r.rpc("summary", "SUMMARY"); got["GHS 5s"] != 0.0 {
		t.Errorf("%v", got)
	}
}

// TestWhichKeyCounts: on machines of 2022 the key that is read is not the one that is written, and the
// reply is the same.
func TestWhichKeyCounts(t *testing.T) {
	r := start(t, young)
	r.post("set_miner_conf", `{"bitmain-work-mode":"1"}`)
	r.draws(20*time.Second, 30)
	r.post("set_miner_conf", `{"miner-mode":"0","bitmain-work-mode":"1"}`)
	r.clock.Advance(5 * time.Minute)
	if r.workMode() != "0" {
		t.Error("where the keys differ, miner-mode is the one")
	}
	r.to(old)
	full := r.d.Watts()
	contains(t, r.slowly("set_miner_conf", `{"bitmain-work-mode":"1"}`, antminer.WaitOf(r.d)), `"code":"M000"`)
	r.draws(10*time.Minute, full)
	if r.workMode() != "0" {
		t.Error("it took the key that it only reads")
	}
}

func TestModes(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	for _, c := range []struct {
		mode  string
		share float64
	}{{"3", 0.8}, {"2", 1.15}, {`"0"`, 1}} {
		r.post("set_miner_conf", `{"miner-mode":`+c.mode+`}`)
		r.draws(10*time.Second, 30)
		r.draws(5*time.Minute, full*c.share)
	}
	for _, body := range []string{`{"miner-mode":4}`, `{"miner-mode":254}`, `{"miner-mode":"Sleep"}`, `{"miner-mode":true}`, `{"pools":1}`, `{`, ``} {
		if got := r.post("set_miner_conf", body); got.Stats != "error" || got.Code != "M001" {
			t.Errorf("%s: %+v", body, got)
		}
	}
	r.draws(time.Minute, full)
}

// TestNumbersComeEitherWay: as numbers and as text, and are shown as text.
func TestNumbersComeEitherWay(t *testing.T) {
	r := start(t, young)
	for _, body := range []string{
		`{"bitmain-fan-pwm":70,"freq-level":90,"bitmain-fan-ctrl":true}`, `{"bitmain-fan-pwm":"70","freq-level":"90","bitmain-fan-ctrl":true}`,
	} {
		r.post("reset_conf", "")
		if got := r.post("set_miner_conf", body); got.Code != "M000" {
			t.Errorf("%s: %+v", body, got)
		}
		contains(t, r.get("get_miner_conf", nil), `"bitmain-fan-pwm":"70"`, `"bitmain-freq-level":"90"`, `"bitmain-fan-ctrl":true`)
	}
}

// TestWhatAWriteLeavesOut stays on newer machines, and goes on older ones.
func TestWhatAWriteLeavesOut(t *testing.T) {
	pools := func(r *rig) (urls []string) {
		var conf struct{ Pools []struct{ URL string } }
		r.get("get_miner_conf", &conf)
		for _, p := range conf.Pools {
			urls = append(urls, p.URL)
		}
		return urls
	}
	r := start(t, young)
	r.post("set_miner_conf", `{"pools":[{"url":"a"},{"url":"b"},{"url":"c"},{"url":"d"}]}`)
	r.post("set_miner_conf", `{"pools":[{"url":"x"}]}`)
	r.post("set_miner_conf", `{"miner-mode":1}`)
	if got := pools(r); got[0] != "x" || got[1] != "b" || got[2] != "c" || len(got) != 3 {
		t.Errorf("%q", got)
	}
	r.to(old)
	r.slowly("set_miner_conf", `{"miner-mode":1}`, antminer.WaitOf(r.d))
	if got := pools(r); got[0] != "" || r.workMode() != "1" {
		t.Errorf("%q", got)
	}
}

// TestForms: the oldest generation takes no JSON, and sleeps as mode 254.
func TestForms(t *testing.T) {
	r := start(t, form)
	full := r.d.Watts()
	if out := r.slowly("set_miner_conf", asForm("254"), 32*time.Second); string(out) != "ok\n" {
		t.Errorf("%q", out)
	}
	r.draws(0, 30)
	stats := r.rpc("stats", "STATS")
	if r.workMode() != "254" || stats["Mode"] != 254.0 || stats["GHS 5s"] != "0.00" || stats["chain_acn16"] == nil {
		t.Errorf("mode %s, %v", r.workMode(), stats)
	}
	for _, body := range []string{asForm("1"), asForm("x"), `{"miner-mode":0}`} {
		r.slowly("set_miner_conf", body, 32*time.Second)
		r.draws(5*time.Minute, 30)
	}
	// Fields are counted: one that is left out shifts all behind it.
	r.slowly("set_miner_conf", strings.Replace(asForm("0"), "_ant_nobeeper=false&", "", 1), 32*time.Second)
	r.draws(5*time.Minute, 30)
	r.slowly("set_miner_conf", asForm("0"), 32*time.Second)
	r.draws(5*time.Minute, full)
	contains(t, r.get("get_miner_conf", nil), `"url":"aaa:700"`, `"pass":"x \u0026y"`)
}

// TestSleepLastsThroughAReboot, and the mode that ran comes back from one.
func TestSleepLastsThroughAReboot(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	r.post("set_miner_conf", `{"miner-mode":3}`)
	r.clock.Advance(5 * time.Minute)
	for _, method := range []string{"GET", "POST"} {
		r.page(200, method, "reboot", "", nil)
		if code, _, err := r.send("GET", "", ""); err == nil {
			t.Errorf("answers %d while it boots", code)
		}
		r.clock.Advance(55 * time.Second)
		if got := r.rpc("stats", "STATS"); got["Elapsed"].(float64) > 30 {
			t.Errorf("%v", got["Elapsed"])
		}
		r.draws(5*time.Minute, full*0.8)
	}
	r.post("set_miner_conf", `{"miner-mode":1}`)
	r.clock.Advance(time.Minute)
	r.page(200, "GET", "reboot", "", nil)
	r.draws(10*time.Minute, 30)
	if r.workMode() != "1" {
		t.Error("sleep is gone")
	}
	r.page(200, "GET", "reset_conf", "", nil)
	r.draws(5*time.Minute, full)
}

func onlyIt(r *rig) minersim.Selector {
	return minersim.Selector{Address: r.d.Address.Addr().String()}
}

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(onlyIt(r), p); err != nil {
		r.t.Fatal(err)
	}
}

// TestDeafSaysAsleepAndHashesOn is what makes an agent measure.
func TestDeafSaysAsleepAndHashesOn(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	r.persona(minersim.Deaf)
	r.post("set_miner_conf", `{"miner-mode":1}`)
	r.draws(5*time.Minute, full)
	if r.workMode() != "1" || r.rpc("summary", "SUMMARY")["GHS 5s"].(float64) < 100_000 {
		t.Error("it shows that nothing happened, or nothing at all")
	}
}

// TestLateHoldsBackCommandsOnly, beyond the time the machine takes anyway.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	r.persona(minersim.Late)
	r.get("summary", nil)
	r.post("blink", `{"blink":true}`)
	contains(t, r.slowly("set_miner_conf", `{"miner-mode":1}`, 2*time.Second), "M000")
	r.draws(7*time.Second, full)
	r.draws(20*time.Second, 30)
}

func TestDarkIsDarkEverywhere(t *testing.T) {
	r := start(t, young)
	r.get("summary", nil)
	r.persona(minersim.Dark)
	if code, _, err := r.send("GET", "", ""); err == nil || r.ask(`{"command":"version"}`) != nil || r.power("warning") != "" {
		t.Errorf("a dark machine answers %d", code)
	}
	r.persona(minersim.Good)
	r.get("summary", nil)
}

// TestRebootsHotForgetsEverything, a password that was set included.
func TestRebootsHotForgetsEverything(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	r.post("passwd", `{"curPwd":"root","newPwd":"abc","confirmPwd":"abc"}`)
	r.login("root", "abc")
	r.post("set_miner_conf", `{"miner-mode":1}`)
	r.clock.Advance(time.Minute)
	r.persona(minersim.RebootsHot)
	if _, err := r.site.Reboot(onlyIt(r)); err != nil {
		t.Fatal(err)
	}
	r.persona(minersim.Good)
	r.draws(5*time.Minute, full)
	r.login("root", "root")
	if r.workMode() != "0" {
		t.Error("still asleep")
	}
}

// TestBusy: newer pages do one write at a time, and tell the next one so. A form waits, is answered nothing, and
// changed nothing. Where there is no lock, another master sets back what was written.
func TestBusy(t *testing.T) {
	r := start(t, young)
	full := r.d.Watts()
	r.persona(minersim.Busy)
	if got := r.post("set_miner_conf", `{"miner-mode":1}`); got != (said{"error", "M001", "request busy"}) {
		t.Errorf("%+v", got)
	}
	r.draws(25*time.Second, full)
	if got := r.post("set_miner_conf", `{"miner-mode":1}`); got.Code != "M000" {
		t.Errorf("%+v", got)
	}
	r.draws(time.Minute, 30)

	r.to(form)
	full = r.d.Watts()
	r.persona(minersim.Busy)
	if got := r.slowly("set_miner_conf", asForm("254"), 22*time.Second); len(got) > 0 || r.workMode() != "0" {
		t.Errorf("says %q, mode %s", got, r.workMode())
	}
	r.draws(5*time.Minute, full)

	r.to(old)
	r.login("root", "secret")
	full = r.d.Watts()
	r.clock.Advance(30 * time.Second)
	r.persona(minersim.Busy)
	r.slowly("set_miner_conf", `{"miner-mode":1}`, antminer.WaitOf(r.d))
	r.clock.Advance(10 * time.Minute)
	if mode := r.workMode(); mode != "0" {
		t.Errorf("mode %s", mode)
	}
	r.draws(time.Minute, full)
}
