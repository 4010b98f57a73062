package auradine

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// still is a clock that stands.
type still struct{}

func (still) Now() time.Time                       { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (still) After(time.Duration) <-chan time.Time { return nil }

type plain struct{ *Front }

// Doors are none, so that the fuzzed machine needs no ports.
func (plain) Doors() []minersim.Door { return nil }

// FuzzCommands: whatever is sent, the machine stays one that can be: its watts between asleep and
// what its supply gives, its targets those that are taken, and its mode one of the four.
func FuzzCommands(f *testing.F) {
	for _, seed := range []struct{ path, body string }{
		{"mode", `{"sleep":"on"}`}, {"mode", `{"mode":"custom","tune":"power","power":2000}`}, {"mode", `{"mode":"custom","tune":"ths","ths":1e308}`},
		{"mode", `{"mode":"custom","tune":"power","power":-1e300}`}, {"mode", `{"mode":"turbo","persistStandby":"on"}`}, {"restart", `{"parameter":"gcminer"}`},
		{"restart", `{}`}, {"led", `{"code":99999999999999999999}`}, {"updatepools", `{"pools":[{},{},{}]}`}, {"password", `{"user":"admin","old":"admin","new":"x"}`},
		{"token", `{"user":"admin","password":"admin"}`}, {"factory-reset", ``}, {"mode", `null`},
	} {
		f.Add(seed.path, []byte(seed.body))
	}
	front := &Front{}
	file, err := minersim.ParseFleet([]byte("groups: [{name: a, count: 1, model: S21, firmware: Auradine, firstAddress: 127.0.0.1}]"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		fleet, err := minersim.NewFleet(file, map[string]minersim.Front{"Auradine": plain{front}}, still{})
		if err != nil {
			t.Fatal(err)
		}
		d := fleet.Devices[0]
		d.Do(func(m *minersim.Machine) {
			c := &call{state: d.Memory().(*state), m: m, d: d, body: body}
			c.tokens = []token{{"t", time.Hour}}
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
			r.URL.Path = "/" + path
			r.Header.Set("Token", "t")
			_, _, _ = c.route(r)
			for range 3 {
				m.Advance(m.Now() + 5*time.Minute)
				c.settle(m)
				if w := m.Watts(); w < m.ResidualWatts || w > 1.05*max(turboShare*m.NominalWatts, float64(c.most())) {
					t.Fatalf("%g W", w)
				}
				for name, read := range reads {
					if _, err := json.Marshal(read(c)); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
		})
	})
}
