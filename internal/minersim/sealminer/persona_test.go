package sealminer_test

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

// TestDeafSaysSuspendedAndMinesOn is what makes an agent measure.
func TestDeafSaysSuspendedAndMinesOn(t *testing.T) {
	r := start(t, 0)
	r.persona(minersim.Deaf)
	r.want("S", ok, "ascset", "0,suspend")
	if s := r.after(time.Minute); s.State == "Running" || !near(s.Watts, 3500, 3) {
		t.Errorf("%+v", s)
	}
}

// TestLateHoldsBackCommandsOnly: reads are prompt.
func TestLateHoldsBackCommandsOnly(t *testing.T) {
	r := start(t, 0)
	r.login()
	r.persona(minersim.Late)
	r.open("GET", "get_system_info", "", nil)
	for name, send := range map[string]func() error{
		"RPC": func() error { _, err := r.raw(`{"command":"ascset","parameter":"0,suspend"}`); return err },
		"web": func() error { _, _, err := r.page("POST", "mining_setting", `{"params_data":0}`); return err },
	} {
		done := make(chan error, 1)
		go func() { done <- send() }()
		r.clock.AwaitWaiter()
		select {
		case err := <-done:
			t.Fatalf("%s replied before its time: %v", name, err)
		default:
		}
		r.clock.Advance(2 * time.Second)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if s := r.after(20 * time.Second); s.Watts > 60 {
		t.Errorf("after the effect %+v", s)
	}
}

// TestDarkCutsBothPorts.
func TestDarkCutsBothPorts(t *testing.T) {
	r := start(t, 0)
	r.login()
	r.persona(minersim.Dark)
	if code, _, err := r.page("GET", "", ""); err == nil {
		t.Errorf("a dark machine answers %d", code)
	}
	if out, err := r.raw(`{"command":"version"}`); err == nil {
		t.Errorf("a dark machine says %q", out)
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("%g W in the dark", w)
	}
}

// TestRebootsHotForgetsEverything; on its way it hears nothing.
func TestRebootsHotForgetsEverything(t *testing.T) {
	r := start(t, 0)
	r.login()
	r.persona(minersim.RebootsHot)
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"2000"}`)
	r.want("S", ok, "ascset", "0,suspend")
	if s := r.after(10 * time.Second); s.Watts > 60 {
		t.Errorf("obeys until it reboots, but reads %+v", s)
	}
	for r.d.Truth().State != minersim.Booting {
		r.clock.Advance(5 * time.Second)
	}
	if code, _, err := r.page("POST", "led_conf", `{"key":"led","value":"on"}`); err == nil {
		t.Errorf("answers %d while it boots", code)
	}
	r.persona(minersim.Good)
	if s := r.after(20 * time.Minute); s.State != "Running" || s.Limit != 3500 || !near(s.Watts, 3500, 3) {
		t.Errorf("%+v", s)
	}
	if code, _, _ := r.page("GET", "get_system_info", ""); code != 302 {
		t.Errorf("a session outlives a boot: %d", code)
	}
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := start(t, 0)
	r.login()
	r.persona(minersim.Busy)
	r.want("S", ok, "ascset", `0,powerlimit,{"value":"2000"}`)
	r.want("S", ok, "ascset", "0,suspend")
	if s := r.after(10 * time.Second); s.Watts > 60 || s.Limit != 2000 {
		t.Errorf("before the other comes back %+v", s)
	}
	if s := r.after(20 * time.Minute); s.State != "Running" || s.Limit != 3500 || !near(s.Watts, 3500, 3) {
		t.Errorf("%+v", s)
	}
	r.persona(minersim.Good)
	r.persona(minersim.Busy)
	r.open("POST", "mining_setting", `{"params_data":0}`, nil)
	if s := r.after(20 * time.Minute); s.State != "Running" || !near(s.Watts, 3500, 3) {
		t.Errorf("told by the pages: %+v", s)
	}
}
