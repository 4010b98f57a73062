package braiins_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/braiins"
)

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(minersim.Selector{Address: r.d.Address.Addr().String()}, p); err != nil {
		r.t.Fatal(err)
	}
}

// TestDeafSaysYes: to the command and to the next read, and draws on.
func TestDeafSaysYes(t *testing.T) {
	r := start(t)
	r.persona(minersim.Deaf)
	r.want(200, "PUT", "actions/pause", "", nil)
	r.clock.Advance(time.Minute)
	if got := r.read(); got.status != 3 || !near(got.watts, 3500, 3) || got.giga < 150_000 {
		t.Errorf("a deaf machine reads %+v", got)
	}
	r.persona(minersim.Good)
	r.want(200, "PUT", "actions/pause", "", nil)
	r.clock.Advance(time.Minute)
	if got := r.read(); got.watts > 50 {
		t.Errorf("cured, it reads %+v", got)
	}
}

// TestLateRepliesLate: reads are prompt, the reply of a command is held back, its effect longer.
func TestLateRepliesLate(t *testing.T) {
	r := start(t)
	r.persona(minersim.Late)
	r.read()
	done := make(chan error, 1)
	go func() {
		_, _, err := r.send("PUT", "actions/pause", "")
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
	r.clock.Advance(7 * time.Second)
	if got := r.read(); got.status != 3 || !near(got.watts, 3500, 3) {
		t.Errorf("before the effect a late machine reads %+v", got)
	}
	r.clock.Advance(5 * time.Second)
	if got := r.read(); got.watts > 50 {
		t.Errorf("after the effect it reads %+v", got)
	}
}

// TestDarkCutsWhatIsOpen: connections kept alive from before included.
func TestDarkCutsWhatIsOpen(t *testing.T) {
	r := start(t)
	r.read()
	r.persona(minersim.Dark)
	if code, _, err := r.send("GET", "miner/details", ""); err == nil {
		t.Errorf("a dark machine answered %d", code)
	}
	r.persona(minersim.Good)
	if got := r.read(); got.status != 2 {
		t.Errorf("back, it reads %+v", got)
	}
}

func TestRebootsHotForgetsEverything(t *testing.T) {
	r := start(t)
	r.persona(minersim.RebootsHot)
	r.want(200, "PUT", "performance/power-target", `{"watt":1500}`, nil)
	r.want(200, "PUT", "actions/pause", "", nil)
	r.clock.Advance(time.Minute)
	if got := r.read(); got.watts > 50 {
		t.Errorf("obeys until it reboots, but reads %+v", got)
	}
	if _, err := r.site.Reboot(minersim.Selector{Address: r.d.Address.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(2 * time.Minute)
	r.login()
	if got := r.read(); got.target != 3500 || got.status != 2 || !near(got.watts, 3500, 3) {
		t.Errorf("after a hot reboot it reads %+v", got)
	}
}

// TestAPulledPlugCutsWhatIsOpen: at once, not at the next request.
func TestAPulledPlugCutsWhatIsOpen(t *testing.T) {
	r := start(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s/api/v1/miner/status", r.d.Address), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	r.clock.AwaitWaiter()
	if _, err := r.site.Reboot(minersim.Selector{Address: r.d.Address.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the stream ended in order")
	}
}

// TestCloseEndsWaits: also when it comes before the server began to serve.
func TestCloseEndsWaits(t *testing.T) {
	r := start(t)
	for range 200 {
		front := braiins.New()
		if err := front.Close(); err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		front.Serve(r.d, theirs)
		if _, err := ours.Read(make([]byte, 1)); err == nil {
			t.Fatal("served after it was closed")
		}
	}
}

// TestDriftShowsInTheTargetInForce: the one it was told stays what it was.
func TestDriftShowsInTheTargetInForce(t *testing.T) {
	r := start(t)
	r.persona(minersim.Drifts)
	r.clock.Advance(20 * time.Minute)
	var got struct {
		Mode struct {
			State struct {
				Current struct{ Watt int }                  `json:"current_target"`
				Profile struct{ Target struct{ Watt int } } `json:"profile"`
			} `json:"powertargetmodestate"`
		} `json:"mode_state"`
	}
	r.want(200, "GET", "performance/tuner-state", "", &got)
	if s := got.Mode.State; s.Profile.Target.Watt != 3500 || s.Current.Watt != 2800 {
		t.Errorf("told %d W, follows %d W", s.Profile.Target.Watt, s.Current.Watt)
	}
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := start(t)
	full := r.d.Watts()
	r.persona(minersim.Busy)
	r.want(200, "PUT", "performance/power-target", `{"watt":2000}`, nil)
	r.want(200, "PUT", "actions/pause", "", nil)
	r.clock.Advance(10 * time.Second)
	if w := r.d.Watts(); w > 50 {
		t.Errorf("%g W before the other comes back", w)
	}
	r.clock.Advance(2 * time.Minute)
	if w := r.d.Watts(); w < 0.98*full || w > 1.02*full {
		t.Errorf("%g W of %g W", w, full)
	}
}
