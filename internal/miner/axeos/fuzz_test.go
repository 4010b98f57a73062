package axeos

import (
	"testing"
	"unicode/utf8"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	for _, seed := range []string{
		gamma212, with214(""), paused(with214("")), `{"miningPaused":"on","hashRate":-1,"power":1e300,"maxPower":[],"temp":-1,"power_fault":7}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var now info
		if wire.Decode(in, &now) != nil {
			return
		}
		d := &Driver{}
		d.learn(now)
		if c := d.capabilities; c.NameplateWatts < 0 || c.NameplateWatts > wire.MaxWatts || c.NameplateTHs < 0 {
			t.Errorf("%+v", c)
		}
		r := now.reading()
		if r.Watts != nil && (*r.Watts < 0 || *r.Watts > wire.MaxWatts) || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("watts %v from %q", r.Watts, r.WattsSource)
		}
		if r.State == "" || r.State == miner.Sleeping && (!now.Paused.Value || now.hashes()) {
			t.Errorf("state %q of %+v", r.State, now)
		}
		for _, fault := range r.Faults {
			if len(fault) > 300 || !utf8.ValidString(fault) {
				t.Errorf("fault %q", fault)
			}
		}
	})
}
