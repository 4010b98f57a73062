package epic_test

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

// TestDeafSaysIdlingAndMinesOn is what makes an agent measure.
func TestDeafSaysIdlingAndMinesOn(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.persona(minersim.Deaf)
	r.ok("miner", `"Stop"`)
	if s := r.after(time.Minute); s.Status.State != "Idling" || !near(s.Supply.Watts, full, 3) || s.tera() < 150 {
		t.Errorf("%+v", s)
	}
	r.ok("miner", `"Autostart"`)
	r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":1500}`)
	if s := r.after(5 * time.Minute); s.Tune.Algorithm["PowerTune"].Target != 1500 || !near(s.Supply.Watts, full, 3) {
		t.Errorf("%+v", s)
	}
}

// TestLateHoldsBackCommandsOnly: reads, and settings that move no watts, are prompt.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.persona(minersim.Late)
	r.ok("identify", "true")
	r.refused("miner", "1", `{"UnknownError":"invalid param"}`)
	done := make(chan error, 1)
	go func() {
		_, _, err := r.send(r.d.Address, "POST", "miner", `{"param":"Stop","password":"letmein"}`)
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
	if r.after(6 * time.Second); !near(r.d.Watts(), full, 3) {
		t.Errorf("before the effect %g W", r.d.Watts())
	}
	if r.after(10 * time.Second); r.d.Watts() > 60 {
		t.Errorf("after the effect %g W", r.d.Watts())
	}
}

// TestDarkCutsWhatIsOpen, at both ports.
func TestDarkCutsWhatIsOpen(t *testing.T) {
	r := start(t, newest)
	r.summary()
	r.persona(minersim.Dark)
	for _, at := range append(r.d.Doors, r.d.Address) {
		if code, _, err := r.send(at, "GET", "", ""); err == nil {
			t.Errorf("%s answers %d in the dark", at, code)
		}
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("%g W in the dark", w)
	}
	r.persona(minersim.Good)
	if s := r.summary(); s.Status.State != "Mining" {
		t.Errorf("back, it reads %+v", s.Status)
	}
}

// TestRebootsHotForgetsEverything that was set.
func TestRebootsHotForgetsEverything(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.persona(minersim.RebootsHot)
	r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":1500}`)
	r.ok("miner", `"Stop"`)
	if s := r.after(30 * time.Second); s.Status.State != "Idling" || s.Supply.Watts > 60 {
		t.Errorf("obeys until it reboots, but reads %+v", s)
	}
	if _, err := r.site.Reboot(minersim.Selector{Address: r.d.Address.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	r.persona(minersim.Good)
	if s := r.after(5 * time.Minute); s.Status.State != "Mining" || !near(r.d.Watts(), full, 2) || s.Tune.Algorithm["VoltageOptimizer"].Target != 200 {
		t.Errorf("%+v at %g W", s, r.d.Watts())
	}
}

// TestABootingMachineHearsNothing, not even over a connection from before.
func TestABootingMachineHearsNothing(t *testing.T) {
	r := start(t, newest)
	for _, at := range append(r.d.Doors, r.d.Address) {
		_, _, _ = r.send(at, "GET", "", "")
	}
	r.persona(minersim.RebootsHot)
	for r.d.Truth().State != minersim.Booting {
		r.clock.Advance(5 * time.Second)
	}
	for _, at := range append(r.d.Doors, r.d.Address) {
		if code, _, err := r.send(at, "POST", "identify", `{"param":true,"password":"letmein"}`); err == nil {
			t.Errorf("%s answers %d", at, code)
		}
	}
	r.persona(minersim.Good)
	if s := r.after(time.Minute); s.Misc.Locate {
		t.Error("what it was told while it booted is not lost")
	}
}

// TestBusyRefusesCommands while what another client told it is not done; it can be read.
func TestBusyRefusesCommands(t *testing.T) {
	r := start(t, newest)
	r.persona(minersim.Busy)
	r.refused("miner", `"Stop"`, `{"LastCmdStillPending":"Tune"}`)
	if s := r.after(25 * time.Second); s.Status.State != "Mining" {
		t.Errorf("%+v", s.Status)
	}
	r.ok("miner", `"Stop"`)
}

// TestDriftShowsInTheThrottleTarget: the target stays what it was told.
func TestDriftShowsInTheThrottleTarget(t *testing.T) {
	r := start(t, newest)
	type stats struct {
		Target   int
		Throttle *int `json:"Throttle Target"`
	}
	read := func() stats {
		var got struct {
			Tune struct{ Algorithm map[string]stats } `json:"PerpetualTune"`
		}
		r.get("summary", &got)
		for _, s := range got.Tune.Algorithm {
			return s
		}
		t.Fatal("no algorithm")
		return stats{}
	}
	r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":3000,"min_throttle":1000,"throttle_step":100}`)
	r.clock.Advance(5 * time.Minute)
	if s := read(); s.Target != 3000 || s.Throttle != nil {
		t.Errorf("%+v", s)
	}
	r.persona(minersim.Drifts)
	r.clock.Advance(20 * time.Minute)
	if s := read(); s.Target != 3000 || s.Throttle == nil || !near(float64(*s.Throttle), 2400, 1) {
		t.Errorf("%+v", s)
	}
	r.ok("perpetualtune/algo", `{"algo":"ChipTune","target":200,"min_throttle":null,"throttle_step":null}`)
	r.clock.Advance(20 * time.Minute)
	if s := read(); s.Target != 200 || s.Throttle == nil || *s.Throttle >= 190 || *s.Throttle < 160 {
		t.Errorf("%+v", s)
	}
}
