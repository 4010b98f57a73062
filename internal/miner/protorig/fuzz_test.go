package protorig

import (
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	f.Add([]byte(miningText("Mining")), []byte(targetText), []byte(telemetryText), []byte(`{}`))
	f.Add([]byte(miningText("Stopped")), []byte(targetText), []byte(telemetryOf("0", "31", "48.5")), []byte(`null`))
	f.Add([]byte(miningText("Curtailed")), []byte(`{"power_target_watts":-1}`), []byte(telemetryOf("-1", "1e300", `"x"`)), []byte(`{"restore_pending":"off"}`))
	f.Add([]byte(`{"mining-status":{"state":"NoPools","power_target_watts":1e9}}`), []byte(`[]`), []byte(`{"psus":{"power":{"input":5}}}`), []byte(``))
	f.Fuzz(func(t *testing.T, rawMining, rawTarget, rawTelemetry, rawCurtailed []byte) {
		var now look
		_ = wire.Decode(rawMining, &now.mining)
		_ = wire.Decode(rawTarget, &now.target)
		_ = wire.Decode(rawTelemetry, &now.telemetry)
		_ = wire.Decode(rawCurtailed, &now.curtailed)
		r := now.reading()
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts <= 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the target in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || now.hashes() || r.Watts != nil && *r.Watts > awakeWatts) {
			t.Errorf("asleep: %+v", r)
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
		}
		if r.HashrateTHs != nil && *r.HashrateTHs < 0 || r.Uptime != nil && *r.Uptime < 0 {
			t.Errorf("%+v", r)
		}
	})
}

// FuzzCapabilities: a range of watts is one, and no longer than a machine can draw.
func FuzzCapabilities(f *testing.F) {
	f.Add([]byte(targetText))
	f.Add([]byte(`{"power_target_min_watts":"1","power_target_max_watts":1e9,"default_power_target_watts":-3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var told target
		_ = wire.Decode(body, &told)
		d := &Driver{}
		d.learn(told)
		c := d.Capabilities()
		if c.Continuous != (c.MinWatts > 0 && c.MinWatts <= c.MaxWatts && c.MaxWatts <= wire.MaxWatts && c.StepWatts > 0) || c.NameplateWatts < 0 {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzAnswer: a reply never tells what it was sent, and its errors are bounded.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"error":{"code":"OUT_OF_RANGE","message":"s3cr3t"}}`, `{"error":"s3cr3t"}`, `[{"error_code":"FanSlow","message":"x"}]`,
		`{"errors":[{}]}`, `{"access_token":"a.b.c"}`, `default password must be changed`, ``,
	} {
		f.Add([]byte(seed), 200)
		f.Add([]byte(seed), 403)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		c := &client{password: "s3cr3t"}
		why, kind := c.judge(wire.Reply{Status: status, Body: body})
		if (why == "") != (kind == nil) || len(why) > 4096 || strings.Contains(why, c.password) {
			t.Errorf("%q, %v", why, kind)
		}
		var found problems
		var opened session
		var who system
		_ = wire.Decode(body, &found)
		_ = wire.Decode(body, &opened)
		_ = wire.Decode(body, &who)
		if faults := found.faults(); len(faults) > maxFaults {
			t.Errorf("%d faults", len(faults))
		}
		if who.isProto() && len(who.model()) > 1024 {
			t.Errorf("model %q", who.model())
		}
	})
}
