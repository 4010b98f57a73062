package epic

import (
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	for _, m := range []*machine{s19xp(), old(), s19xp().asleep()} {
		f.Add([]byte(m.summary()), m.running)
	}
	f.Add([]byte(`{"Status":{"Operating State":"Idling","Last Error":{"a":[]}},"HBs":{"Hashrate":[-1]},"Power Supply Stats":[],"PerpetualTune":{"Running":"on","Algorithm":[]}}`), true)
	f.Add([]byte(`{"Status":{"Operating State":"Mining"},"HBs":[{"Hashrate":["1e14","x"]},{"Hashrate":{}}],"PerpetualTune":{"Running":1,"Algorithm":{"power":{"Target":-1,"Throttle Target":5}}}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, metered bool) {
		d := &Driver{client: &client{}, metered: metered}
		var now summary
		_ = wire.Decode(body, &now)
		r := d.reading(now)
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the target in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || now.hashes() || *orZero(r.Watts) > awakeWatts) {
			t.Errorf("asleep: %+v", r)
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") || r.Watts != nil && *r.Watts == 0 {
			t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
		}
		if r.HashrateTHs != nil && *r.HashrateTHs < 0 || r.Uptime != nil && *r.Uptime < 0 || len(r.Faults) > 4 {
			t.Errorf("%+v", r)
		}
	})
}

func orZero(n *int64) *int64 {
	if n == nil {
		return new(int64)
	}
	return n
}

// FuzzCapabilities: a range of watts is one, and no longer than a machine can draw.
func FuzzCapabilities(f *testing.F) {
	f.Add([]byte(s19xp().Replies["capabilities"]))
	f.Add([]byte(old().Replies["capabilities"]))
	f.Add([]byte(capabilitiesText(`{"Power":{"min":1,"max":1e9}}`, `[]`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := &Driver{client: &client{}}
		var can capabilities
		_ = wire.Decode(body, &can)
		d.learn(can)
		c := d.Capabilities()
		ranged := c.MinWatts > 0 && c.MinWatts <= c.MaxWatts && c.MaxWatts <= wire.MaxWatts && c.StepWatts > 0 && d.algorithm != ""
		if c.Continuous != ranged || c.NameplateWatts < 0 || c.NameplateWatts > wire.MaxWatts || c.NameplateTHs < 0 {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzAnswer: a reply is yes, no or neither, and never tells what it was sent.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`{"result":true,"error":null}`, `{"result":false,"error":"BadPassword"}`, `{"result":false,"error":{"LastCmdStillPending":"s3cr3t"}}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &client{password: "s3cr3t"}
		why, kind := c.judge(wire.Reply{Status: 200, Body: body})
		if (why == "") != (kind == nil) || len(why) > 1100 || len(why) > 0 && strings.Contains(why, c.password) {
			t.Errorf("%q, %v", why, kind)
		}
	})
}
