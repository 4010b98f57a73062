package antminer

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// FuzzWrites: whatever is written, the machine stays one that can be, every page can be read, and what
// is refused changes nothing.
func FuzzWrites(f *testing.F) {
	for _, seed := range []string{
		`{"miner-mode":1}`, `{"miner-mode":"1","bitmain-work-mode":"0"}`, `{"pools":[{"url":"a"}]}`, `{"miner-mode":9e9}`, `null`, `[]`,
		`{"miner-mode":null}`, "_ant_work_mode=254&_ant_pool1url=a", "_ant_work_mode=%", `{"bitmain-fan-ctrl":1}`,
	} {
		for i := range generations {
			f.Add(seed, i)
		}
	}
	model, err := minersim.FindModel("S21")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string, generation int) {
		if generation < 0 || generation >= len(generations) {
			return
		}
		traits := minersim.NewTraits(1, "a", model, 30, minersim.DefaultTuning())
		d := &minersim.Device{FirmwareVersion: generations[generation].name}
		st := newState(d, &traits, minersim.Start{})
		m := minersim.NewMachine(traits, st, 0, minersim.Order{Watts: st.watts()})
		c := &call{state: st, m: m, d: d, body: []byte(body)}
		before := st.settings
		out := c.look(http.MethodPost, "/cgi-bin/set_miner_conf.cgi")
		if reply, ok := out.(object); ok && reply["stats"] == "error" && st.settings != before {
			t.Fatalf("refused (%v), but %+v became %+v", reply, before, st.settings)
		}
		if _, ok := shares[st.settings.mode]; !ok {
			t.Fatalf("%+v", st.settings)
		}
		for range 3 {
			m.Advance(m.Now() + time.Minute)
			if w := m.Watts(); w < m.ResidualWatts || w > 1.3*m.NominalWatts {
				t.Fatalf("%g W", w)
			}
			for name, read := range c.reads() {
				if _, err := json.Marshal(read(c)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			for name := range commands {
				if _, err := json.Marshal(c.run(overrpc.Request{Command: name, NewAPI: true}, nil)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	})
}
