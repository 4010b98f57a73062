package proto

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func newCall(t testing.TB, body []byte, stopped bool) *call {
	model, err := minersim.FindModel("Proto Rig")
	if err != nil {
		t.Fatal(err)
	}
	traits := minersim.NewTraits(1, "a", model, typicalResidual, minersim.DefaultTuning())
	d := &minersim.Device{Serial: "S"}
	st := newState(d, &traits, minersim.Start{Asleep: stopped})
	m := minersim.NewMachine(traits, st, 0, minersim.Order{Watts: float64(st.target)})
	return &call{state: st, m: m, d: d, body: body, r: &http.Request{Header: http.Header{}}, now: time.Unix(1700000000, 0)}
}

// FuzzTarget: whatever is written, the target stays within its bounds and so do the watts. What is
// refused changes nothing.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		`{"power_target_watts":6000,"performance_mode":"Efficiency"}`, `{"power_target_watts":-1}`, `{"power_target_watts":1e308}`, `null`, `{`,
		`{"POWER_TARGET_WATTS":12700,"balance_bays":true}`, `{"power_target_watts":99999999999999999999}`, `{"performance_mode":null}`,
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, stopped bool) {
		c := newCall(t, body, stopped)
		was := [4]any{c.target, c.mode, c.balance, c.onDisconnect}
		out, err := writeTarget(c)
		if is := [4]any{c.target, c.mode, c.balance, c.onDisconnect}; err != nil && is != was {
			t.Fatalf("refused (%v), but %v became %v", err, was, is)
		}
		if c.target < c.lowest || c.target > c.highest || c.mode != maximum && c.mode != efficiency {
			t.Fatalf("%d W, %q", c.target, c.mode)
		}
		if _, err := json.Marshal(out); err != nil {
			t.Fatal(err)
		}
		c.state.start(c.m)
		c.m.Advance(c.m.Now() + time.Hour)
		if w := c.m.Watts(); w < c.m.ResidualWatts || w > 1.05*float64(c.highest) {
			t.Fatalf("%s: %g W", body, w)
		}
	})
}

// FuzzAccess: no body of a login, a pairing or a token gets anybody in who has neither the
// password nor the key.
func FuzzAccess(f *testing.F) {
	for _, seed := range []string{
		`{"password":"x"}`, `{"public_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}`, `{"refresh_token":""}`, `null`,
		`{"current_password":"","new_password":"12345678"}`, "a.b.c", "eyJhbGciOiJFZERTQSJ9.eyJtaW5lcl9zbiI6IlMifQ.AAAA",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newCall(t, body, false)
		c.password = "nobody would guess this one, no fuzzer either"
		for _, act := range []func(*call) (any, error){login, refresh, setPassword, changePassword} {
			if out, err := act(c); err == nil {
				t.Fatalf("%s: %v", body, out)
			}
		}
		if _, err := pair(c); (err == nil) != (c.paired != nil) {
			t.Fatalf("%s: %v, %v", body, err, c.paired)
		}
		c.r.Header.Set("Authorization", "Bearer "+string(body))
		if c.allows(c.r, c.now) {
			t.Fatalf("%s is a token", body)
		}
	})
}
