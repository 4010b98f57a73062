package vnish

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// driven is a driver with what it was answered.
func driven(info, settingsBody, presets, performance []byte) *Driver {
	d := &Driver{client: &client{}}
	var s settings
	_ = wire.Decode(info, &d.who)
	_ = wire.Decode(settingsBody, &s)
	_ = wire.Decode(presets, &d.presets)
	_ = wire.Decode(performance, &d.now)
	d.persists = s.Miner.Misc.RemainStopped.Value
	d.clocks = s.overclock()
	d.learn()
	return d
}

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	for _, m := range []*machine{s21pro(), s19()} {
		f.Add([]byte(m.Replies["GET info"]), []byte(m.Replies["GET settings"]), []byte(m.Replies["GET autotune/presets"]),
			[]byte(m.Replies["GET perf-summary"]), []byte(m.Replies["GET summary"]))
	}
	f.Add([]byte(`{"hr_measure":5,"system":{"uptime":"9 days"}}`), []byte(`{"miner":{"overclock":null}}`), []byte(`{"presets":{"name":2300}}`),
		[]byte(`{"current_preset":[],"preset_switcher":{"enabled":1}}`), []byte(summaryOf("stopped", "-1", "1e300")))
	f.Add([]byte(`{"system":{"uptime":"-1:99"}}`), []byte(`[]`), []byte(`[{"name":"1e3"},[]]`), []byte(`null`), []byte(summaryOf("failure", "[]", "{}")))
	f.Fuzz(func(t *testing.T, info, settingsBody, presets, performance, body []byte) {
		d := driven(info, settingsBody, presets, performance)
		var now summary
		_ = wire.Decode(body, &now)
		r := d.reading(now)
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the preset in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || now.hashes()) {
			t.Error("a machine that sleeps hashes or has a target in force")
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") || r.Watts != nil && *r.Watts == 0 {
			t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
		}
		if r.Uptime != nil && *r.Uptime < 0 || len(r.Faults) > maxFaults+1 {
			t.Errorf("uptime %v, %d faults", r.Uptime, len(r.Faults))
		}
	})
}

// FuzzCapabilities: presets are offered ascending, by watts, and only tuned ones that nobody else owns.
func FuzzCapabilities(f *testing.F) {
	m := s19()
	f.Add([]byte(m.Replies["GET settings"]), []byte(m.Replies["GET autotune/presets"]), []byte(m.Replies["GET perf-summary"]))
	f.Add([]byte(settingsText("2300", false)), []byte(`[{"name":"2300","status":"tuned"},{"name":2300,"status":"tuned"},{"name":" 90 ","status":"tuned"}]`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, settingsBody, presets, performance []byte) {
		d := driven(nil, settingsBody, presets, performance)
		c := d.Capabilities()
		ascends := slices.IsSortedFunc(c.Modes, func(a, b miner.Mode) int { return int(a.Watts - b.Watts) })
		if !ascends || len(c.Modes) > maxPresets || c.Continuous || c.NameplateWatts < 0 || c.NameplateWatts > wire.MaxWatts {
			t.Errorf("capabilities %+v", c)
		}
		for _, mode := range c.Modes {
			if mode.Watts <= 0 || mode.Watts > wire.MaxWatts || mode.Name == "" || mode.Name == manual || mode.THs < 0 {
				t.Errorf("mode %+v", mode)
			}
		}
		if len(c.Modes) > 0 && (d.now.Switcher.Enabled.Value || d.clocks.switcher.Enabled.Value || d.clocks.preset == manual) {
			t.Error("offers presets that somebody else owns")
		}
	})
}

// FuzzWrittenSettings: whatever stands in settings and clocks, what is written back is JSON, names the
// preset, and has every other field it had.
func FuzzWrittenSettings(f *testing.F) {
	f.Add([]byte(settingsText("2700", false)), []byte(`{"volt":14210,"freq":570,"chains":[{"freq":570,"chips":[1]},{"freq":564,"chips":[2]}]}`))
	f.Add([]byte(`{"miner":{"overclock":{"preset":"1","globals":null,"chains":[null,{}]}}}`), []byte(`{"volt":"x","freq":5,"chains":[{"freq":1},{"freq":null}]}`))
	f.Add([]byte(`{"miner":{"overclock":{"globals":[],"chains":{}}}}`), []byte(``))
	f.Fuzz(func(t *testing.T, settingsBody, tune []byte) {
		var s settings
		if wire.Decode(settingsBody, &s) != nil {
			return
		}
		o := s.overclock()
		if o.fields == nil {
			return // names no preset: nothing is written
		}
		encoded, err := json.Marshal(o.with("2300", tune))
		if err != nil {
			t.Fatal(err)
		}
		var written map[string]json.RawMessage
		if err := json.Unmarshal(encoded, &written); err != nil || string(written["preset"]) != `"2300"` {
			t.Errorf("%s: %v", encoded, err)
		}
		for key := range o.fields {
			if _, ok := written[key]; !ok {
				t.Errorf("lost %q", key)
			}
		}
	})
}

// FuzzUptime never panics and is never negative.
func FuzzUptime(f *testing.F) {
	for _, text := range []string{"1:55", "9 days,  3:58", "1 day, 0:00", "3 days", "days", "-1 days, 1:00", "24:60", "1:2:3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d := uptime(wire.Text(text)); d != nil && *d < 0 {
			t.Errorf("%q: %v", text, *d)
		}
	})
}
