package whatsminer_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// TestDeafSaysOffAndHashesOn is what makes an agent measure.
func TestDeafSaysOffAndHashesOn(t *testing.T) {
	r := start(t, v2)
	full := r.d.Watts()
	r.persona(minersim.Deaf)
	r.want(131, "power_off", map[string]string{"respbefore": "true"})
	r.clock.Advance(time.Minute)
	if m := r.msg("status"); m["mineroff"] != "true" {
		t.Errorf("%v", m)
	}
	r.settled(full, 3, "deaf")

	r = r.at(v3)
	full = r.d.Watts()
	r.persona(minersim.Deaf)
	if code := r.set("set.miner.service", "stop"); code != 0 || r.working() != "false" {
		t.Errorf("%d %s", code, r.working())
	}
	r.clock.Advance(time.Minute)
	r.settled(full, 3, "deaf")
}

// TestRebootsHotWakesASleeper, and the error list tells of it, in the shape the manual prints where
// firmware is odd.
func TestRebootsHotWakesASleeper(t *testing.T) {
	site := start(t, v2)
	for which, shape := range map[int]string{v2fast: `[{"264":"`, v2quirks: `["264":"`} {
		r := site.at(which)
		full := r.d.Watts()
		r.want(131, "power_off", map[string]string{"respbefore": "true"})
		r.want(131, "disable_btminer_init", nil)
		r.persona(minersim.RebootsHot)
		for range 40 {
			r.clock.Advance(10 * time.Second)
		}
		if r.d.Truth().Reboots == 0 {
			t.Fatal("never rebooted")
		}
		r.persona(minersim.Good)
		r.clock.Advance(17 * time.Minute)
		r.settled(full, 3, "after a hot reboot")
		out, err := r.raw(`{"cmd":"get_error_code"}`)
		if err != nil || !bytes.Contains(out, []byte(shape)) || json.Valid(out) != (which == v2fast) {
			t.Errorf("%q %v", out, err)
		}
	}
	r := site.at(v3)
	r.set("set.miner.service", "stop")
	r.persona(minersim.RebootsHot)
	if _, err := r.site.Reboot(minersim.Selector{Address: r.d.Address.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(time.Minute)
	var m struct {
		Errors []map[string]string `json:"error-code"`
	}
	if r.ask3("get.device.info", "error-code", &m); len(m.Errors) != 1 || m.Errors[0]["264"] == "" || m.Errors[0]["reason"] == "" {
		t.Errorf("%+v", m)
	}
	if r.working() != "true" {
		t.Error("not working after a hot reboot")
	}
}

func TestDarkRefuses(t *testing.T) {
	r := start(t, v2)
	full := r.d.Watts()
	r.persona(minersim.Dark)
	if out, err := r.raw(`{"cmd":"status"}`); err == nil {
		t.Errorf("%q", out)
	}
	r.settled(full, 3, "dark")
}

// TestLateHoldsBackWritesOnly.
func TestLateHoldsBackWritesOnly(t *testing.T) {
	site := start(t, v2)
	for _, which := range []int{v2, v3} {
		r := site.at(which)
		full := r.d.Watts()
		var request func() error
		if which == v2 {
			envelope := r.envelope(r.token(), "power_off", map[string]string{"respbefore": "true"})
			request = func() error { _, err := r.raw(envelope); return err }
		} else {
			stop := r.signed("set.miner.service", "stop", "super")
			c := r.dial()
			t.Cleanup(func() { _ = c.Close() })
			request = func() error { _, err := exchange(c, stop); return err }
		}
		r.persona(minersim.Late)
		done := make(chan error, 1)
		go func() { done <- request() }()
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
		r.settled(full, 3, "before the effect")
		r.clock.Advance(11 * time.Second)
		r.asleep("after the effect")
	}
}
