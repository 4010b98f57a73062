package vnish

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// FuzzSettings: whatever is sent, the machine stays one that can be: its preset known, its clocks
// within bounds, its watts between asleep and the highest preset. What is refused changes
// nothing.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{
		`{"miner":{"overclock":{"preset":"3240"}}}`, `{"miner":{"overclock":{"preset":"disabled","globals":{"freq":50}}}}`,
		`{"miner":{"overclock":{"preset":"5140","modded_psu":true}}}`, `{"miner":{"overclock":{"preset":3240}}}`, `null`, `[]`, `{`,
		`{"miner":{"misc":{"remain_stopped_on_reboot":true}}}`, `{"miner":{"overclock":{"preset_switcher":{"top_preset":"1"}}}}`,
	} {
		f.Add([]byte(seed))
	}
	model, err := minersim.FindModel("S21 Pro")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		traits := minersim.NewTraits(1, "a", model, 40, minersim.DefaultTuning())
		d := &minersim.Device{FirmwareVersion: "1.2.7"}
		st := newState(d, &traits, minersim.Start{}, presetsOf(model))
		m := minersim.NewMachine(traits, st, 0, st.hashing(minersim.Order{}))
		st.m = m
		c := &call{state: st, m: m, d: d, body: body}
		before := st.settings
		if _, err := writeSettings(c); err != nil && st.settings != before {
			t.Fatalf("refused (%v), but %+v became %+v", err, before, st.settings)
		}
		st.restart(m)
		for range 3 {
			m.Advance(m.Now() + 40*time.Minute)
			st.settle(m.Now())
			s := st.settings
			if s.preset < 0 || s.preset >= len(st.presets) || s.freq < minClock || s.freq > maxClock || s.volt < minVolt || s.volt > maxVolt {
				t.Fatalf("%+v", s)
			}
			if w := m.Watts(); w < m.ResidualWatts || w > 2*m.NominalWatts && st.applied != manual {
				t.Fatalf("%g W", w)
			}
			for name, read := range map[string]func(*call) (any, error){"settings": readSettings, "summary": summary, "perf": perfSummary, "presets": listPresets} {
				out, _ := read(c)
				if _, err := json.Marshal(out); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	})
}
