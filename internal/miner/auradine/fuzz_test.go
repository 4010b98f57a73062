package auradine

import (
	"errors"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	for _, m := range []*machine{at1500(), at1500().asleep()} {
		f.Add([]byte(m.modeText()), []byte(m.Replies["GET psu"]), []byte(strings.TrimSuffix(m.summary, "\x00")))
	}
	f.Add([]byte(`{"Mode":{"Mode":"CUSTOM","Sleep":1,"Power":"1e3 W"}}`), []byte(`{"PSU":[{"PowerIn":-1},{"PowerIn":"1e4kW","PoutMax":[]}]}`), []byte(`{"SUMMARY":[{"MHS 5s":"-1","Wattage":"99999W"}]}`))
	f.Fuzz(func(t *testing.T, rawMode, rawSupply, rawSummary []byte) {
		d := &Driver{client: &client{}}
		var a, b, c envelope
		_, _, _ = wire.Decode(rawMode, &a), wire.Decode(rawSupply, &b), wire.Decode(rawSummary, &c)
		look := now{mode: a.Mode.First(), supply: b.Supply, summary: c.Summary.First()}
		d.setRange(b.Supply)
		r := d.reading(look)
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts <= 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if (r.Effective == nil) != (r.Ceiling == nil) || r.Effective != nil && *r.Ceiling < *r.Effective {
			t.Errorf("effective %v, ceiling %v", r.Effective, r.Ceiling)
		}
		if r.State == miner.Sleeping && (r.Ceiling != nil || look.hashes() || value(r.Watts) > awakeWatts && r.WattsSource == miner.PSU) {
			t.Errorf("asleep: %+v", r)
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") || r.HashrateTHs != nil && *r.HashrateTHs < 0 {
			t.Errorf("%+v", r)
		}
		if can := d.Capabilities(); can.Continuous != (can.MinWatts > 0 && can.MinWatts <= can.MaxWatts && can.MaxWatts <= wire.MaxWatts) {
			t.Errorf("%+v", can)
		}
	})
}

// FuzzAnswer: what a machine says against a request never tells what it was sent.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`{"STATUS":[{"STATUS":"E","Code":1,"Msg":"s3cr3t"}]}`, `{"STATUS":"F"}`, `{"STATUS":{"STATUS":"E","Msg":"Token expired"}}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &client{password: "s3cr3t"}
		reply := wire.Reply{Status: 200, Body: body}
		why, kind := c.judge(reply)
		if (why == "") != (kind == nil) || len(why) > 1100 || strings.Contains(why, c.password) || refusesToken(reply) && !errors.Is(kind, miner.ErrToken) {
			t.Errorf("%q, %v", why, kind)
		}
	})
}
