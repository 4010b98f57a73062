package vnish_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func onlyIt(r *rig) minersim.Selector {
	return minersim.Selector{Address: r.d.Address.Addr().String()}
}

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(onlyIt(r), p); err != nil {
		r.t.Fatal(err)
	}
}

// TestDeafSaysStoppedAndHashesOn is what makes an agent measure.
func TestDeafSaysStoppedAndHashesOn(t *testing.T) {
	r := start(t, older)
	full := float64(r.read().watts)
	r.persona(minersim.Deaf)
	r.post("mining/stop", "")
	if got := r.after(time.Minute); got.state != "stopped" || !near(got.watts, full, 3) || got.giga < 200_000 {
		t.Errorf("%+v", got)
	}
	r.persona(minersim.Good)
	r.post("mining/start", "")
	r.clock.Advance(3 * time.Minute)
	r.persona(minersim.Deaf)
	if got := r.choose("2080"); got.Restart {
		t.Errorf("%+v", got)
	}
	if got := r.after(5 * time.Minute); got.desired != "2080" || got.effective.Name != "2080" || !near(got.watts, full, 3) {
		t.Errorf("%+v", got)
	}
}

// TestLateHoldsBackCommandsOnly: reads and unlocking are prompt.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := start(t, older)
	full := float64(r.read().watts)
	r.persona(minersim.Late)
	r.login()
	r.want(404, "POST", "api/v1/mining/throttle", `{"percent":50}`, nil)
	done := make(chan error, 1)
	go func() {
		_, _, err := r.send("POST", "api/v1/mining/pause", "")
		done <- err
	}()
	r.clock.AwaitWaiter()
	select {
	case err := <-done:
		t.Fatalf("replied before its time: %v", err)
	default:
	}
	if got := r.after(2 * time.Second); got.state != "stopped" {
		t.Errorf("%+v", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := r.after(8 * time.Second); !near(got.watts, full, 3) {
		t.Errorf("before the effect %+v", got)
	}
	if got := r.after(5 * time.Second); got.watts > 50 {
		t.Errorf("after the effect %+v", got)
	}
}

// TestDarkCutsWhatIsOpen: connections kept alive from before included.
func TestDarkCutsWhatIsOpen(t *testing.T) {
	r := start(t, older)
	r.read()
	r.persona(minersim.Dark)
	if code, _, err := r.send("GET", "", ""); err == nil {
		t.Errorf("a dark machine answered %d", code)
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("%g W in the dark", w)
	}
	r.persona(minersim.Good)
	if got := r.read(); got.state != "mining" {
		t.Errorf("back, it reads %+v", got)
	}
}

// TestRebootsHotForgetsEverything, a stop that should remain included.
func TestRebootsHotForgetsEverything(t *testing.T) {
	r := start(t, older)
	full := float64(r.read().watts)
	r.persona(minersim.RebootsHot)
	r.post("apikeys", `{"key":"0123456789abcdef0123456789abcdef","description":"x"}`)
	r.save(`{"miner":{"overclock":{"preset":"2080"},"misc":{"remain_stopped_on_reboot":true}}}`)
	r.post("mining/stop", "")
	if got := r.after(30 * time.Second); got.watts > 50 || got.state != "stopped" {
		t.Errorf("obeys until it reboots, but reads %+v", got)
	}
	if _, err := r.site.Reboot(onlyIt(r)); err != nil {
		t.Fatal(err)
	}
	r.persona(minersim.Good)
	got := r.hourOn(4 * time.Minute)
	if got.desired != "3510" || got.effective.Name != "3510" || got.state != "mining" || !near(got.watts, full, 3) {
		t.Errorf("%+v", got)
	}
	var keys []any
	if r.get("apikeys", &keys); len(keys) != 0 {
		t.Errorf("%v", keys)
	}
}

// TestAPulledPlugWhileHeldBack: a reply that was held back is never sent.
func TestAPulledPlugWhileHeldBack(t *testing.T) {
	r := start(t, older)
	r.persona(minersim.Late)
	done := make(chan error, 1)
	go func() {
		_, _, err := r.send("POST", "api/v1/mining/pause", "")
		done <- err
	}()
	r.clock.AwaitWaiter()
	if _, err := r.site.Reboot(onlyIt(r)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("replied without power")
	}
}

// TestABootingMachineHearsNothing, not even over a connection from before: what it is told then
// is lost.
func TestABootingMachineHearsNothing(t *testing.T) {
	r := start(t, older)
	r.persona(minersim.RebootsHot)
	for r.d.Truth().State != minersim.Booting {
		r.clock.Advance(5 * time.Second)
	}
	if code, _, err := r.send("POST", "api/v1/find-miner", `{"on":true}`); err == nil {
		t.Errorf("answers %d", code)
	}
	r.persona(minersim.Good)
	r.clock.Advance(time.Minute)
	r.login()
	if got := string(r.want(200, "GET", "api/v1/status", "", nil)); !strings.Contains(got, `"find_miner":false`) {
		t.Error(got)
	}
}

// TestBusyRefusesToUnlock: while somebody else holds the session, and not for ever.
func TestBusyRefusesToUnlock(t *testing.T) {
	r := start(t, older)
	r.persona(minersim.Busy)
	r.want(429, "POST", "api/v1/unlock", `{"pw":"admin"}`, nil)
	r.clock.Advance(25 * time.Second)
	r.unlock("admin")
}

// TestDriftShowsInThePresetInEffect: the settings keep the one it was told.
func TestDriftShowsInThePresetInEffect(t *testing.T) {
	r := start(t, older)
	r.persona(minersim.Drifts)
	got := r.after(20 * time.Minute)
	if got.desired != "3510" || got.effective.Name != "2870" || got.nominal > 0.95*234e3 || !near(got.watts, 0.8*r.atWall(3510), 3) {
		t.Errorf("%+v", got)
	}
}
