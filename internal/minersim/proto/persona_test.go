package proto_test

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

// TestDeafSaysStoppedAndHashesOn is what makes an agent measure.
func TestDeafSaysStoppedAndHashesOn(t *testing.T) {
	r := enter(t, awake)
	r.persona(minersim.Deaf)
	r.want(202, "POST", "/mining/stop", "")
	r.clock.Advance(time.Minute)
	r.says("Stopped")
	r.draws(full, fullRate)
}

// TestLateHoldsBackCommandsOnly.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := enter(t, awake)
	r.persona(minersim.Late)
	done := make(chan error, 1)
	go func() {
		_, _, err := r.send("POST", "/mining/stop", "")
		done <- err
	}()
	r.clock.AwaitWaiter()
	select {
	case err := <-done:
		t.Fatalf("replied before its time: %v", err)
	default:
	}
	r.mining()
	r.clock.Advance(2 * time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(7900 * time.Millisecond)
	r.truly(full)
	r.clock.Advance(6 * time.Second)
	r.truly(stopped)
}

// TestRebootsHotForgetsTheTarget and ends a stop.
func TestRebootsHotForgetsTheTarget(t *testing.T) {
	r := enter(t, awake)
	r.want(200, "PUT", "/mining/target", `{"power_target_watts":4000,"performance_mode":"Efficiency"}`)
	r.want(202, "POST", "/mining/stop", "")
	r.persona(minersim.RebootsHot)
	for step := 0; step < 400 && r.d.Truth().State != minersim.Booting; step++ {
		r.clock.Advance(5 * time.Second)
	}
	r.persona(minersim.Good)
	r.clock.Advance(10 * time.Minute)
	r.login("")
	r.says("Mining")
	r.draws(full, fullRate)
	if o := r.target(); o["power_target_watts"] != 11550.0 || o["performance_mode"] != "MaximumHashrate" {
		t.Errorf("%v", o)
	}
}

// TestDarkCutsWhatIsOpen.
func TestDarkCutsWhatIsOpen(t *testing.T) {
	r := enter(t, awake)
	r.says("Mining")
	r.persona(minersim.Dark)
	if _, out, err := r.send("GET", "/mining", ""); err == nil {
		t.Errorf("answers %q", out)
	}
	r.truly(full)
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := enter(t, awake)
	r.persona(minersim.Busy)
	r.want(200, "PUT", "/mining/target", `{"power_target_watts":6000}`)
	r.want(202, "POST", "/mining/stop", "")
	r.clock.Advance(10 * time.Second)
	r.truly(stopped)
	r.clock.Advance(5 * time.Minute)
	r.says("Mining")
	r.draws(full, fullRate)
}

// TestDriftShowsInTheTargetInForce: the one it was told stays what it was.
func TestDriftShowsInTheTargetInForce(t *testing.T) {
	r := enter(t, awake)
	told := r.object(200, "GET", "/mining/target", "")["power_target_watts"].(float64)
	r.persona(minersim.Drifts)
	r.clock.Advance(20 * time.Minute)
	still := r.object(200, "GET", "/mining/target", "")["power_target_watts"].(float64)
	if m := r.mining(); still != told || !near(m["power_target_watts"].(float64), 0.8*told, 0.1) {
		t.Errorf("told %g W, then %g W, follows %v W", told, still, m["power_target_watts"])
	}
}
