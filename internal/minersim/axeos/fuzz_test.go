package axeos

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// FuzzPatch: whatever is written, the machine stays one that can be: its settings of the kind they
// were, its watts between paused and the fastest clock. What is refused changes nothing.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{"frequency":400,"coreVoltage":1000}`, `{"frequency":1e308}`, `{"FREQUENCY":1}`, `{"frequency":-1}`, `null`, `{`, `{"hostname":"x","temptarget":66}`,
		`{"autofanspeed":true,"overclockEnabled":1}`, `{"frequency":65535}`, `{"rotation":91.5}`, `{"frequency":1.0000001}`,
	} {
		f.Add([]byte(seed), true)
	}
	model, err := minersim.FindModel("Bitaxe Gamma")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, paused bool) {
		traits := minersim.NewTraits(1, "a", model, typicalResidual, minersim.DefaultTuning())
		d := &minersim.Device{FirmwareVersion: "2.14.0"}
		st := newState(d, &traits, minersim.Start{Asleep: paused})
		m := minersim.NewMachine(traits, st, 0, minersim.Order{Watts: st.watts()})
		c := &call{state: st, m: m, d: d, body: body}
		before := maps.Clone(st.settings)
		if _, err := patch(c); err != nil && !maps.Equal(st.settings, before) {
			t.Fatalf("refused (%v), but %v became %v", err, before, st.settings)
		}
		for key, v := range st.settings {
			if _, text := v.(string); text != fields[key].text {
				t.Fatalf("%s became %v", key, v)
			}
		}
		st.resume(m)
		m.Advance(m.Now() + time.Hour)
		if w := m.Watts(); w < m.ResidualWatts-1e-9 || w > 1.05*m.NominalWatts*minersim.WattShare(fastest) {
			t.Fatalf("%s: %g W", body, w)
		}
		for _, read := range []func(*call) (any, error){info, asic, statistics} {
			out, _ := read(c)
			if _, err := json.Marshal(out); err != nil {
				t.Fatal(err)
			}
		}
	})
}
