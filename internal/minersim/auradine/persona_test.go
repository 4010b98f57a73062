package auradine_test

import (
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(minersim.Selector{Address: r.d.Address.Addr().String()}, p); err != nil {
		r.t.Fatal(err)
	}
}

// TestDeafSaysSleepAndMinesOn is what makes an agent measure.
func TestDeafSaysSleepAndMinesOn(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.persona(minersim.Deaf)
	r.set(`{"mode":"custom","tune":"power","power":1500}`)
	r.set(`{"sleep":"on"}`)
	if w := r.after(time.Minute); r.mode().Sleep != "on" || *r.mode().Power != 1500 || !near(w, full, 3) {
		t.Errorf("%+v at %g W", r.mode(), w)
	}
}

// TestLateHoldsBackCommandsOnly: reads, tokens and refusals are prompt.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.persona(minersim.Late)
	r.login()
	r.want("E", 15, "POST", "mode", `{"mode":"fast"}`)
	done := make(chan error, 1)
	go func() {
		_, _, err := r.try("POST", "mode", `{"sleep":"on"}`)
		done <- err
	}()
	r.clock.AwaitWaiter()
	select {
	case err := <-done:
		t.Fatalf("replied before its time: %v", err)
	default:
	}
	r.clock.Advance(2 * time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w := r.after(6 * time.Second); !near(w, full, 3) {
		t.Errorf("before the effect %g W", w)
	}
	if w := r.after(10 * time.Second); w > 80 {
		t.Errorf("after the effect %g W", w)
	}
}

// TestDarkCutsBothPorts.
func TestDarkCutsBothPorts(t *testing.T) {
	r := start(t, newest)
	r.mode()
	r.persona(minersim.Dark)
	if code, _, err := r.try("GET", "mode", ""); err == nil {
		t.Errorf("a dark machine answers %d", code)
	}
	if out, err := r.rpc("summary"); err == nil {
		t.Errorf("a dark machine says %q", out)
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("%g W in the dark", w)
	}
}

// TestRebootsHotForgetsEverything, standby that should last included; on its way it hears nothing.
func TestRebootsHotForgetsEverything(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.persona(minersim.RebootsHot)
	r.set(`{"mode":"custom","tune":"power","power":1500,"sleep":"on","persistStandby":"on"}`)
	if w := r.after(10 * time.Second); w > 80 {
		t.Errorf("obeys until it reboots, but draws %g W", w)
	}
	for r.d.Truth().State != minersim.Booting {
		r.clock.Advance(5 * time.Second)
	}
	if code, _, err := r.try("POST", "led", `{"code":3}`); err == nil {
		t.Errorf("answers %d while it boots", code)
	}
	if out, err := r.rpc("summary"); err == nil && len(out) > 0 {
		t.Errorf("says %q while it boots", out)
	}
	r.persona(minersim.Good)
	r.clock.Advance(3 * time.Minute)
	r.login()
	if m := r.mode(); m.Mode != "normal" || m.Sleep != "off" || !near(r.watts(), full, 3) {
		t.Errorf("%+v at %g W", m, r.watts())
	}
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := start(t, newest)
	r.persona(minersim.Busy)
	r.set(`{"sleep":"on","mode":"custom","tune":"power","power":2500}`)
	if w := r.after(10 * time.Second); w > 100 {
		t.Errorf("%g W before the other comes back", w)
	}
	w := r.after(5 * time.Minute)
	if m := r.mode(); m.Sleep != "off" || m.Mode != "normal" || !near(w, r.nominal(), 3) {
		t.Errorf("%+v at %g W", m, w)
	}
}

// TestDriftShowsInWhatTheTunerGoesFor: the mode stays as it was told.
func TestDriftShowsInWhatTheTunerGoesFor(t *testing.T) {
	r := start(t, newest)
	told := r.set(`{"mode":"custom","tune":"power","power":3000}`)
	throttle := func() float64 {
		return section[struct{ ThsThrottle float64 }](r, r.want("S", 11, "GET", "summary", ""), "SUMMARY").ThsThrottle
	}
	before := throttle()
	r.persona(minersim.Drifts)
	w := r.after(20 * time.Minute)
	if now := r.mode(); *now.Power != *told.Power || throttle() >= 0.95*before || !near(w, 0.8*3000, 4) {
		t.Errorf("told %d W, goes for %g TH/s of %g, draws %g W", *now.Power, throttle(), before, w)
	}
}
