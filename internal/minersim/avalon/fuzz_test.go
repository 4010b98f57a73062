package avalon

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// FuzzRequests: whatever is sent, the machine stays one that can be: its mode known, its watts
// between asleep and full, its replies whole. What is refused changes nothing it was told.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		"version", "estats", "ascset|0,softoff,1:1767323050", "ascset|0,softon,1:1767323060", "ascset|0,workmode,0", "ascset|0,hashpower,0",
		`{"command":"ascset","parameter":"0,workmode,set,1"}`, `{"command":"version+devs"}`, `{"command":"ascset","parameter":7}`, "{", "", "|", "ascset|0,reboot,0",
		"ascset|0,work_mode_lvl,set,2,-1", "ascset|0,worklevel,set,-128", "ascset|0,softoff,1:-9223372036854775808", "restart",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, home bool) {
		name := "Avalon A1466"
		if home {
			name = "Avalon Mini 3"
		}
		model, err := minersim.FindModel(name)
		if err != nil {
			t.Fatal(err)
		}
		traits := minersim.NewTraits(1, "a", model, typicalResidual, minersim.DefaultTuning())
		st := newState(&traits, minersim.Start{})
		m := minersim.NewMachine(traits, st, 0, minersim.Order{Watts: st.watts()})
		c := &call{state: st, m: m, d: &minersim.Device{MAC: "02:00"}, now: time.Unix(1767323045, 0)}
		c.settle(m)
		told := func() [6]int64 {
			return [6]int64{int64(st.mode), int64(st.level), int64(st.power), int64(st.offAt), int64(st.onAt), int64(number(st.led))}
		}
		before := told()
		q, code := parse(raw)
		if code == 0 {
			r := c.run(q)
			if !json.Valid([]byte(r.object(true))) {
				t.Fatalf("%q answers %s", raw, r.object(true))
			}
			if r.letter == "E" && told() != before {
				t.Fatalf("%q was refused, but %v became %v", raw, before, told())
			}
			if text := string(r.text()); !strings.HasSuffix(text, "|") {
				t.Fatalf("%q answers %q", raw, text)
			}
		}
		for range 3 {
			m.Advance(m.Now() + 40*time.Minute)
			c.settle(m)
			if st.mode < 0 || st.mode >= len(st.modes) || st.level < st.lowest || st.level > 0 {
				t.Fatalf("mode %d, level %d", st.mode, st.level)
			}
			if w := m.Watts(); w < m.ResidualWatts-1e-9 || w > 1.05*m.NominalWatts {
				t.Fatalf("%q: %g W", raw, w)
			}
			for name, read := range reads {
				if r := read(c); !json.Valid([]byte(r.object(true))) {
					t.Fatalf("%s: %s", name, r.object(true))
				}
			}
		}
	})
}
