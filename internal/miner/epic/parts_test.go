package epic

import (
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// Older releases name neither a hash rate of each board nor what the supply takes, and not all was kept of each machine.
func TestSummaryAlone(t *testing.T) {
	target := wiretest.Kept(t, "/", map[string]string{"summary": `{"Status":{"Operating State":"Mining"},"Software":"PowerPlay v1.5.3",
		"Session":{"Uptime":700,"Average MHs":1,"LastAverageMHs":{"Hashrate":110500000.0,"Timestamp":1}},
		"HBs":[{"Index":0,"Input Power":1001.5,"Temperature":61},{"Index":1,"Input Power":1002.5,"Temperature":64}]}`})
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.FirmwareVersion != "PowerPlay v1.5.3" || id.Model != "" {
		t.Fatalf("%+v, %v", id, err)
	}
	r, err := d.Read(t.Context())
	if err != nil || r.State != miner.Hashing || *r.HashrateTHs != 110.5 || *r.TemperatureC != 64 || r.Uptime == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Watts == nil || *r.Watts != 2004 || r.WattsSource != miner.DC {
		t.Errorf("%v W by %q", r.Watts, r.WattsSource)
	}
}

func TestOneBoardWithoutWatts(t *testing.T) {
	for _, board := range []string{`{"Input Power":0}`, `{}`} {
		target := wiretest.Kept(t, "/", map[string]string{
			"summary": `{"Status":{"Operating State":"Mining"},"Software":"x","HBs":[{"Input Power":1000},` + board + `]}`,
		})
		d := New(target)
		if _, err := d.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, err := d.Read(t.Context()); err != nil || r.Watts != nil || r.WattsSource != "" {
			t.Errorf("%s: %+v, %v", board, r, err)
		}
	}
}
