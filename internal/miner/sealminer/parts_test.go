package sealminer

import (
	"math"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// One of two replies is enough for what it says.
func TestParts(t *testing.T) {
	for name, c := range map[string]struct {
		without string
		ths     float64
		watts   bool
	}{"no summary": {"summary", 220.315525, true}, "no stats": {"stats", 205.0123451, false}} {
		t.Run(name, func(t *testing.T) {
			m := a2()
			m.stats += `,"MHS(1m)":220315525`
			m.refuse[c.without] = "Invalid command"
			d := m.serve(t)
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, err := d.Read(t.Context())
			if err != nil || r.State != miner.Hashing || r.HashrateTHs == nil || math.Abs(*r.HashrateTHs-c.ths) > 1e-9 {
				t.Errorf("%+v, %v", r, err)
			}
			if (r.Watts != nil) != c.watts || r.Uptime == nil {
				t.Errorf("%+v", r)
			}
		})
	}
}
