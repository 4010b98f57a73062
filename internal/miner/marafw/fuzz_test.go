package marafw

import (
	"encoding/json"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	f.Add([]byte(ks5mining), []byte(configured))
	f.Add([]byte(`{"data":`+ks5asleep+`}`), []byte(changed(`"Auto"`, `"Sleep"`)))
	f.Add([]byte(`{"status":"Sleep","hashrate_realtime":1e300,"hashrate_ideal":-1}`), []byte(`{"mode":{"concorde":7}}`))
	f.Fuzz(func(t *testing.T, briefBody, confBody []byte) {
		d := New(miner.Target{})
		var b brief
		_ = wire.Decode(payload(briefBody), &b)
		l := look{brief: b}
		if c, ok := confOf(confBody); ok {
			l.conf = &c
		}
		d.notice(l)
		d.learn()
		r := d.reading(b)
		if r.Watts != nil && (*r.Watts <= 0 || *r.Watts > wire.MaxWatts) || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("watts %v from %q", r.Watts, r.WattsSource)
		}
		if r.State == miner.Sleeping && (b.hashes() || b.powered() || r.Effective != nil) {
			t.Errorf("%+v sleeps", r)
		}
		if r.HashrateTHs != nil && *r.HashrateTHs < 0 || r.State == "" || r.Uptime != nil && *r.Uptime < 0 {
			t.Errorf("%+v", r)
		}
		c := d.Capabilities()
		if c.Continuous && (c.MinWatts <= 0 || c.MinWatts > c.MaxWatts || c.MaxWatts > wire.MaxWatts) || c.NameplateWatts < 0 {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzConfiguration: what goes back to a machine is what came from it, but for the mode and the target.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(configured))
	f.Add([]byte(`{"data":{"mode":{"work-mode-selector":"Sleep","concorde":{"mode-select":"PowerTarget","power-target":"900"}},"x":1e400}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, ok := confOf(body)
		if !ok || c.selector() == "" {
			return
		}
		target := c.target()
		sent, err := c.with(modeSleep, target)
		if err != nil {
			return
		}
		back, ok := confOf(sent)
		if _, wrapped := c.fields["data"]; wrapped {
			return
		}
		if !ok || !back.is(modeSleep, target) || len(back.fields) != len(c.fields) || len(back.mode) != len(c.mode) {
			t.Fatalf("sent %q", sent)
		}
		for key, raw := range c.fields {
			var had, has any
			if key != "mode" && json.Unmarshal(raw, &had) == nil && json.Unmarshal(back.fields[key], &has) != nil {
				t.Errorf("%s: %s became %s", key, raw, back.fields[key])
			}
		}
	})
}

// FuzzHistory: a mode comes out that the firmware has, or none.
func FuzzHistory(f *testing.F) {
	f.Add([]byte(history))
	f.Add([]byte(`[{"1":{"path":["work-mode-selector"],"to":"auto"},"2":7}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if mode := lastAwake(body); mode != "" && awakeMode(mode) != mode {
			t.Errorf("mode %q", mode)
		}
	})
}
