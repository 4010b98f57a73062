package sealminer

import (
	"encoding/json"
	"net/http"
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

// FuzzCommands: whatever is sent to either interface, the machine stays one that can be: its watts
// between asleep and the most that a limit allows, its limit one that is taken, its mode a known one.
func FuzzCommands(f *testing.F) {
	for _, seed := range []struct{ name, value string }{
		{"ascset", "0,suspend"}, {"ascset", `0,powerlimit,{"value":"2500"}`}, {"ascset", `0,powerlimit,{"value":1e300}`}, {"ascset", "0,network,{}"}, {"ascset", `0,workmode,{"mode":"custom"}`},
		{"updatepools", `{"pools":[{}]}`}, {"restart", ""}, {"reboot", ""}, {"mining_setting", `{"params_data":"0"}`}, {"set_mining_mode", `{"miningMode":5}`},
		{"set_miner_poolconf", `{"poolurl1":1,"psuInputMaxpower":4000}`}, {"led_conf", `null`}, {"update_passwd", `{"user_name":"seal","origin_pwd":"seal","new_pwd":"x"}`},
		{"login", "username=seal&origin_pwd=seal"}, {"login", "%zz"},
	} {
		f.Add(seed.name, seed.value)
	}
	front := &Front{}
	file, err := minersim.ParseFleet([]byte("groups: [{name: a, count: 1, model: S21, firmware: SealMiner, firstAddress: 127.0.0.1}]"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		fleet, err := minersim.NewFleet(file, map[string]minersim.Front{"SealMiner": plain{front}}, still{})
		if err != nil {
			t.Fatal(err)
		}
		d := fleet.Devices[0]
		d.Do(func(m *minersim.Machine) {
			c := &call{state: d.Memory().(*state), m: m, d: d}
			c.sessions = []session{{"s", 0}}
			if write, ok := writes[name]; ok {
				write(c, value)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
			r.URL.Path = "/cgi-bin/" + name + ".php"
			r.Header.Set("Cookie", "PHPSESSID=s")
			_, _, _ = c.route(httptest.NewRecorder(), r, []byte(value))
			for range 3 {
				m.Advance(m.Now() + 10*time.Minute)
				c.settle(m)
				if w := m.Watts(); w < m.ResidualWatts || w > 1.05*mostShare*m.Model.Watts {
					t.Fatalf("%g W", w)
				}
				if _, known := modeNames[c.settings.mode]; !known || !c.limitFits(c.settings.limit) {
					t.Fatalf("%+v", c.settings)
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
