package avalon_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/avalon"
)

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(minersim.Selector{Address: r.d.Address.Addr().String()}, p); err != nil {
		r.t.Fatal(err)
	}
}

// TestDeafSaysIdleAndHashesOn is what makes an agent measure.
func TestDeafSaysIdleAndHashesOn(t *testing.T) {
	r := start(t, rack)
	full := r.d.Watts()
	r.persona(minersim.Deaf)
	r.ok("softoff,1:" + r.at(0))
	r.clock.Advance(time.Minute)
	if m := r.machine(); !strings.HasPrefix(m["SYSTEMSTATU"], "Work: In Idle") || m["SoftOFF"] != "5" || !near(r.d.Watts(), full, 2) || !near(r.wall(), full, 3) {
		t.Errorf("%s, SoftOFF %s, %.0f W", m["SYSTEMSTATU"], m["SoftOFF"], r.d.Watts())
	}
}

// TestLateHoldsBackSettingsOnly.
func TestLateHoldsBackSettingsOnly(t *testing.T) {
	r := start(t, rack)
	full := r.d.Watts()
	r.persona(minersim.Late)
	done := make(chan string, 1)
	go func() {
		out, err := r.raw("ascset|0,softoff")
		if err != nil {
			out = err.Error()
		}
		done <- out
	}()
	r.clock.AwaitWaiter()
	select {
	case got := <-done:
		t.Fatalf("replied before its time: %s", got)
	default:
	}
	if m := r.machine(); m["Elapsed"] == "" {
		t.Error("reads are held back too")
	}
	r.clock.Advance(2 * time.Second)
	if got := <-done; !strings.Contains(got, "Code=119") {
		t.Error(got)
	}
	r.clock.Advance(7900 * time.Millisecond)
	if w := r.d.Watts(); !near(w, full, 3) {
		t.Errorf("%g W before the effect", w)
	}
	r.clock.Advance(10 * time.Second)
	r.asleep()
}

// TestRebootsHotForgetsTheMode and wakes a sleeper.
func TestRebootsHotForgetsTheMode(t *testing.T) {
	r := start(t, q)
	full := r.d.Watts()
	r.ok("workmode,set,0")
	r.clock.Advance(3 * time.Minute)
	r.set("softoff,1:1", "I", 118, "ASC 0 set info: success softoff:1:1")
	r.persona(minersim.RebootsHot)
	for step := 0; step < 400 && r.d.Truth().State != minersim.Booting; step++ {
		r.clock.Advance(5 * time.Second)
	}
	r.persona(minersim.Good)
	r.clock.Advance(6 * time.Minute)
	r.hashes(full)
}

// TestAPulledPlug: no word, on no connection.
func TestAPulledPlug(t *testing.T) {
	r := start(t, rack)
	r.persona(minersim.Dark)
	if out, err := r.raw("version"); err == nil {
		t.Errorf("answers %q", out)
	}
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("%g W in the dark", w)
	}
}

// TestABootingMachineHearsNothing, not even over a connection from before.
func TestABootingMachineHearsNothing(t *testing.T) {
	r := start(t, rack)
	client, machine := net.Pipe()
	r.ok("reboot,0")
	done := make(chan struct{})
	go func() {
		avalon.New().Serve(r.d, machine)
		close(done)
	}()
	if _, err := fmt.Fprint(client, "ascset|0,led,1-1"); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(client); err != nil || len(out) > 0 {
		t.Errorf("answers %q, %v", out, err)
	}
	<-done
	r.clock.Advance(time.Minute)
	if m := r.machine(); m["Led"] != "0" {
		t.Errorf("Led %s", m["Led"])
	}
}

// TestSleepersBeginAsleep and wake by a reboot.
func TestSleepersBeginAsleep(t *testing.T) {
	r := start(t, sleeper)
	r.asleep()
	r.ok("reboot,0")
	r.clock.Advance(6 * time.Minute)
	r.hashes(3230)
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	for name, device := range map[string]int{"rack": rack, "home": q} {
		t.Run(name, func(t *testing.T) {
			r := start(t, device)
			full := r.d.Watts()
			r.persona(minersim.Busy)
			r.text("ascset|0,softoff,1:" + r.at(time.Second))
			r.clock.Advance(10 * time.Second)
			r.asleep()
			r.clock.Advance(10 * time.Minute)
			r.hashes(full)
		})
	}
}

// TestDriftShowsInTheClocks: the objective stays what it was.
func TestDriftShowsInTheClocks(t *testing.T) {
	r := start(t, rack)
	before := r.machine()
	r.persona(minersim.Drifts)
	r.clock.Advance(20 * time.Minute)
	now := r.machine()
	for _, key := range []string{"Freq", "GHSmm"} {
		if float(t, now[key]) >= 0.95*float(t, before[key]) {
			t.Errorf("%s is %s of %s", key, now[key], before[key])
		}
	}
	if now["MPO"] != before["MPO"] {
		t.Errorf("MPO %s, was %s", now["MPO"], before["MPO"])
	}
}
