package luxos

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// still is a clock that stands.
type still struct{}

func (still) Now() time.Time                       { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (still) After(time.Duration) <-chan time.Time { return nil }

// plain is a front whose machines need no ports.
type plain struct{ *Front }

func (plain) Doors() []minersim.Door { return nil }

// FuzzRequests: whatever is sent, there is an answer in JSON with a status, and the machine stays one that can be: its
// watts between asleep and its hungriest profile.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"command":"curtail","parameter":"s,sleep"}`, `{"command":"curtail","parameter":"s,wakeup,mode=unsafe"}`, `{"command":"curtail","parameter":"s"}`,
		`{"command":"profileset","parameter":"s,0,+25"}`, `{"command":"profileset","parameter":"s,9999999kW"}`, `{"command":"profileset","parameter":"s,NaNTHs"}`,
		`{"command":"atmset","parameter":"s,enabled=true,temp_window=NaN"}`, `{"command":"atmset","parameter":"s,temp_window=-Inf,max_profile=1e9W"}`,
		`{"command":"atmset","parameter":"s,startup_minutes=9223372036854775807"}`, `{"command":"reboot","parameter":"s,2"}`, `{"command":"rebootdevice","parameter":["s"]}`,
		`{"command":"summary+power+config"}`, `{"command":"+"}`, `{"command":"logon"}`, `{"command":"logoff","parameter":"s"}`, `{"command":5}`, `[]`, `{`,
	} {
		f.Add([]byte(seed), []byte(`{"command":"curtail","parameter":"s,wakeup"}`))
	}
	file, err := minersim.ParseFleet([]byte("groups: [{name: a, count: 1, model: S21, firmware: LuxOS, firstAddress: 127.0.0.1}]"))
	if err != nil {
		f.Fatal(err)
	}
	front := plain{New()}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		fleet, err := minersim.NewFleet(file, map[string]minersim.Front{"LuxOS": front}, still{})
		if err != nil {
			t.Fatal(err)
		}
		d := fleet.Devices[0]
		st := d.Memory().(*state)
		for _, raw := range [][]byte{first, second, []byte(`{"command":"atm"}`), []byte(`{"command":"config+profiles"}`)} {
			d.Do(func(m *minersim.Machine) { st.session, st.sessionUsed = "s", m.Now() })
			out, _, reachable := front.answer(d, raw)
			if reachable && !json.Valid(out) || string(out) == "null" {
				t.Fatalf("%q was answered with %q", raw, out)
			}
			d.Do(func(m *minersim.Machine) {
				m.Advance(m.Now() + 5*time.Minute)
				if w := m.Watts(); w < m.ResidualWatts || w > 1.7*m.Model.Watts {
					t.Fatalf("%q: %g W", raw, w)
				}
			})
		}
	})
}
