package marafw

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// FuzzConfig: whatever is written, the machine stays one that can be and everything can be read; what is
// refused changes nothing.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		`{"mode":{"work-mode-selector":"Sleep"}}`, `{"mode":{"concorde":{"power-target":2000}}}`, `{"mode":{"work-mode-selector":"Fixed","fixed":{"frequency":"400","voltage":13}}}`,
		`{"mode":{"concorde":{"power-target":1e999}}}`, `{"pools":null}`, `null`, `{"mode":null}`, `{"mode":{"fixed":{"frequency":null}}}`,
	} {
		f.Add([]byte(seed))
	}
	model, err := minersim.FindModel("S21")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		traits := minersim.NewTraits(1, "a", model, 25, minersim.DefaultTuning())
		d := &minersim.Device{FirmwareVersion: olderVersion}
		st := newState(d, &traits, minersim.Start{})
		m := minersim.NewMachine(traits, st, 0, minersim.Order{Watts: st.watts(st.mode)})
		c := &call{state: st, m: m, d: d, body: body}
		before, others := st.mode, maps.Clone(st.others)
		if reply := setConfig(c).(object); reply["error"] == true && (st.mode != before || len(st.history) > 0 || string(others["pools"]) != string(st.others["pools"])) {
			t.Fatalf("refused (%v), but %+v became %+v", reply, before, st.mode)
		}
		if wrong := st.mode.check(model); wrong != "" {
			t.Fatalf("%+v: %s", st.mode, wrong)
		}
		for range 3 {
			m.Advance(m.Now() + time.Minute)
			if w := m.Watts(); w < m.ResidualWatts || w > 2*m.NominalWatts {
				t.Fatalf("%g W", w)
			}
			for name, read := range reads {
				if _, err := json.Marshal(read(c)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if _, err := json.Marshal(c.log("miner_config_history")); err != nil {
				t.Fatal(err)
			}
		}
	})
}
