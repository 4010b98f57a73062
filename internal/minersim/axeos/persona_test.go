package axeos_test

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

// TestDeafSaysPausedAndHashesOn is what makes an agent measure.
func TestDeafSaysPausedAndHashesOn(t *testing.T) {
	r := start(t, gamma)
	full := r.d.Watts()
	r.persona(minersim.Deaf)
	r.want(200, "POST", "/api/system/pause", "")
	r.clock.Advance(time.Minute)
	if i := r.info(); i["miningPaused"] != true || i["power"].(float64) < 16 || i["hashRate"].(float64) < 1000 || !near(r.d.Watts(), full, 2) {
		t.Errorf("%v at %v W, %v GH/s, truly %g W", i["miningPaused"], i["power"], i["hashRate"], r.d.Watts())
	}
}

// TestLateHoldsBackCommandsOnly.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := start(t, gamma)
	full := r.d.Watts()
	r.persona(minersim.Late)
	done := make(chan error, 1)
	go func() {
		_, _, _, err := r.send("POST", "/api/system/pause", "", "")
		done <- err
	}()
	r.clock.AwaitWaiter()
	select {
	case err := <-done:
		t.Fatalf("replied before its time: %v", err)
	default:
	}
	r.info()
	r.clock.Advance(2 * time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(7900 * time.Millisecond)
	if w := r.d.Watts(); !near(w, full, 3) {
		t.Errorf("%g W before the effect", w)
	}
	r.clock.Advance(3 * time.Second)
	if w := r.d.Watts(); w > 3.2 {
		t.Errorf("%g W after the effect", w)
	}
}

// TestRebootsHotForgetsTheClock and ends a pause.
func TestRebootsHotForgetsTheClock(t *testing.T) {
	r := start(t, gamma)
	full := r.d.Watts()
	r.want(200, "PATCH", "/api/system", `{"frequency":400}`)
	r.want(200, "POST", "/api/system/pause", "")
	r.persona(minersim.RebootsHot)
	for step := 0; step < 400 && r.d.Truth().State != minersim.Booting; step++ {
		r.clock.Advance(5 * time.Second)
	}
	if _, _, out, err := r.send("POST", "/api/system/pause", "", ""); err == nil {
		t.Errorf("hears %q while it boots", out)
	}
	r.persona(minersim.Good)
	r.clock.Advance(2 * time.Minute)
	r.draws(full, 1.07)
	if i := r.info(); i["frequency"] != 525.0 || i["miningPaused"] != false {
		t.Errorf("%v MHz, %v", i["frequency"], i["miningPaused"])
	}
}

// TestDarkCutsWhatIsOpen.
func TestDarkCutsWhatIsOpen(t *testing.T) {
	r := start(t, gamma)
	r.info()
	r.persona(minersim.Dark)
	if _, _, out, err := r.send("GET", "/api/system/info", "", ""); err == nil {
		t.Errorf("answers %q", out)
	}
	if w := r.d.Watts(); w < 16 {
		t.Errorf("%g W in the dark", w)
	}
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := start(t, gamma)
	full := r.d.Watts()
	r.persona(minersim.Busy)
	r.want(200, "POST", "/api/system/pause", "")
	r.want(200, "PATCH", "/api/system", `{"frequency":400}`)
	r.clock.Advance(10 * time.Second)
	if w := r.d.Watts(); w > 3.2 {
		t.Errorf("%g W before the other comes back", w)
	}
	r.clock.Advance(2 * time.Minute)
	if i := r.info(); i["miningPaused"] != false || i["frequency"] != 525.0 || !near(r.d.Watts(), full, 3) {
		t.Errorf("paused %v, %v MHz, %g W of %g W", i["miningPaused"], i["frequency"], r.d.Watts(), full)
	}
	r.clock.Advance(30 * time.Second) // the other is away
	r.want(200, "POST", "/api/system/pause", "")
	r.clock.Advance(5 * time.Minute)
	if w := r.d.Watts(); w > 3.2 {
		t.Errorf("%g W, told when nobody else was there", w)
	}
}
