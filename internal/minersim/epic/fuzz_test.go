package epic

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// FuzzCommands: whatever is sent, the machine stays one that can be, its watts between asleep and
// what its supply gives, and every read is one. What is refused changes nothing.
func FuzzCommands(f *testing.F) {
	for _, seed := range []struct{ path, body string }{
		{"miner", `"Stop"`}, {"perpetualtune/algo", `{"algo":"PowerTune","target":2000}`}, {"perpetualtune/algo", `{"algo":"ChipTune","target":99999999999}`},
		{"tune", `{"clks":"NaN","voltage":"1e400"}`}, {"tune/withpowerlimit", `{"clks":"9","voltage":"9","power_limit":"-9"}`}, {"tune/clock/all", `1e300`},
		{"boardenable", `[{"Index":1,"Data":false},{"Index":1,"Data":true}]`}, {"boardenable", `[{"Index":0},{"Index":1}]`}, {"fanspeed", `{"Manual":-5,"Auto":null}`},
		{"coin", `{"coin":"BTC","stratum_configs":[{}]}`}, {"perpetualtune", `false`}, {"reboot", `"1.5"`}, {"hostname", `"\u0000"`}, {"password", `""`},
	} {
		f.Add(seed.path, []byte(seed.body))
	}
	model, err := minersim.FindModel("S21")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string, param []byte) {
		traits := minersim.NewTraits(1, "a", model, 45, minersim.DefaultTuning())
		d := &minersim.Device{FirmwareVersion: newest, Password: "x"}
		st := newState(d, &traits, minersim.Start{})
		m := minersim.NewMachine(traits, st, 0, minersim.Order{Watts: st.watts()})
		body, err := json.Marshal(map[string]json.RawMessage{"param": param, "password": json.RawMessage(`"x"`)})
		if err != nil {
			return
		}
		c := &call{state: st, m: m, d: d}
		before := *st
		before.tuning.algorithms, before.disabled = slices.Clone(st.tuning.algorithms), slices.Clone(st.disabled)
		if _, err := c.command(path, body); err != nil && !reflect.DeepEqual(*st, before) {
			t.Fatalf("refused (%v), but %+v became %+v", err, before, *st)
		}
		for range 3 {
			m.Advance(m.Now() + 10*time.Minute)
			st.settle(m)
			if w := m.Watts(); w < m.ResidualWatts || w > 1.05*supplyShare*m.NominalWatts {
				t.Fatalf("%g W", w)
			}
			for name, read := range reads {
				if name == "summary" {
					continue // It wants the device's clock, which only a fleet gives.
				}
				if _, err := json.Marshal(read(c)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	})
}
