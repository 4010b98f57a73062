package luxos_test

import (
	"fmt"
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

// TestDeafSaysSleepAndHashesOn is what makes an agent measure.
func TestDeafSaysSleepAndHashesOn(t *testing.T) {
	r := start(t)
	full := float64(r.watts())
	r.persona(minersim.Deaf)
	r.in("S", 335, "curtail", "sleep")
	r.clock.Advance(time.Minute)
	if c := r.config(); c.CurtailMode != "Sleep" || !near(r.watts(), full, 3) {
		t.Errorf("%s at %d W", c.CurtailMode, r.watts())
	}
}

func TestRebootsHotWakesASleeper(t *testing.T) {
	r := start(t)
	full := float64(r.watts())
	r.persona(minersim.RebootsHot)
	r.in("S", 321, "profileset", "-5")
	r.in("S", 335, "curtail", "sleep")
	// When it reboots depends on its address, which differs from run to run; while it boots nobody answers.
	r.clock.Advance(30 * time.Second)
	for step := 0; step < 200 && r.d.Watts() < full*0.98; step++ {
		r.clock.Advance(5 * time.Second)
	}
	r.clock.Advance(30 * time.Second)
	if c := r.config(); c.CurtailMode != "None" || c.Profile != "default" || !near(r.watts(), full, 3) {
		t.Errorf("%s, %s at %d W", c.CurtailMode, c.Profile, r.watts())
	}
}

// TestLateHoldsBackWritesOnly.
func TestLateHoldsBackWritesOnly(t *testing.T) {
	r := start(t)
	full := float64(r.watts())
	r.persona(minersim.Late)
	sid := section[struct{ SessionID string }](r, r.want("S", 316, "logon", ""), "SESSION").SessionID
	done := make(chan error, 1)
	go func() {
		_, err := r.raw(fmt.Sprintf(`{"command":"curtail","parameter":"%s,sleep"}`, sid))
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
	r.clock.Advance(7900 * time.Millisecond)
	if w := r.watts(); !near(w, full, 3) {
		t.Errorf("%d W before the effect", w)
	}
	r.clock.Advance(6 * time.Second)
	if w := r.watts(); w > 31 {
		t.Errorf("%d W after the effect", w)
	}
}

// TestBusyRefusesLogons: while somebody else holds the session, and not for ever.
func TestBusyRefusesLogons(t *testing.T) {
	r := start(t)
	r.persona(minersim.Busy)
	r.want("E", 402, "logon", "")
	r.clock.Advance(25 * time.Second)
	r.in("S", 335, "curtail", "sleep")
}
