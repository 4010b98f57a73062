package antminer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	text := func(conf map[string]any) []byte { b, _ := json.Marshal(conf); return b }
	f.Add([]byte(s21stats), text(confOf2025()), []byte(s21summary), []byte("miner power:3500"))
	f.Add([]byte(s19rpcAsleep), text(confOf2020()), []byte(`{"SUMMARY":[]}`), []byte("error 6060 cmd"))
	f.Add([]byte(t17rpcAsleep), []byte(`{"pools":[],"bitmain-work-mode":1}`), []byte(`[]`), []byte("miner power:1e3W"))
	f.Add([]byte(statsOf("1e300", `"1"`, `"-5 W"`)), []byte(`{"pools":[],"miner-mode":"5"}`), []byte(`{"SUMMARY":{"status":{"status":"e"}}}`), []byte(":"))
	f.Add([]byte(`{"STATS":{"temp_max":"NaN","chain":{"temp_chip":"1-2-x"},"GHS 5s":1}}`), []byte(`{"pools":null,"bitmain-work-mode":{}}`), []byte(`7`), []byte{})
	f.Fuzz(func(t *testing.T, statsBody, confBody, summaryBody, power []byte) {
		d := New(miner.Target{})
		var s stats
		_ = wire.Decode(statsBody, &s)
		var checks summary
		_ = wire.Decode(summaryBody, &checks)
		l := look{row: s.row(), metered: powerText(power), checks: &checks}
		if c, ok := confOf(confBody); ok {
			l.conf = &c
		}
		d.notice(l)
		d.learn()
		r := d.reading(l)
		if r.Watts != nil && (*r.Watts <= 0 || *r.Watts > wire.MaxWatts) || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("watts %v from %q", r.Watts, r.WattsSource)
		}
		if r.HashrateTHs != nil && *r.HashrateTHs < 0 || r.TemperatureC != nil && (*r.TemperatureC <= 0 || *r.TemperatureC > hottest) {
			t.Errorf("hash rate %v, temperature %v", r.HashrateTHs, r.TemperatureC)
		}
		if r.State == miner.Sleeping && (l.row.hashes() || d.set != sleep || r.Watts != nil && *r.Watts > awakeWatts) {
			t.Errorf("%+v sleeps", r)
		}
		if r.State == "" || len(r.Faults) > maxFaults || r.Uptime != nil && *r.Uptime < 0 {
			t.Errorf("%+v", r)
		}
		c := d.Capabilities()
		if c.NameplateWatts < 0 || c.NameplateWatts > wire.MaxWatts || c.NameplateTHs < 0 || c.Sleep && d.set == "" {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzConfiguration: what goes back to a machine is what came from it, but for the mode.
func FuzzConfiguration(f *testing.F) {
	for _, conf := range []map[string]any{confOf2020(), confOf2025()} {
		body, _ := json.Marshal(conf)
		f.Add(body)
	}
	f.Add([]byte(`{"pools":[{"url":"\u003c","pass":"a b"}],"miner-mode":1,"x":1e400,"freq-level":"7"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, ok := confOf(body)
		if !ok {
			return
		}
		bodies, err := c.bodies(sleep)
		if err != nil {
			return
		}
		for _, sent := range bodies {
			back, ok := confOf(sent)
			if !ok || bytes.ContainsAny(sent, " \t\n") || back.mode() != sleep {
				t.Fatalf("sent %q", sent)
			}
			for key, raw := range c.fields {
				if key == minerMode || key == workMode || key == "freq-level" || string(raw) == "null" {
					continue
				}
				var had, has any
				if json.Unmarshal(raw, &had) == nil && (json.Unmarshal(back.fields[key], &has) != nil || !same(had, has)) {
					t.Errorf("%s: %s became %s", key, raw, back.fields[key])
				}
			}
		}
	})
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// FuzzEscaped: what goes into a form comes out of its script as it was, which undoes one escape after the other.
func FuzzEscaped(f *testing.F) {
	for _, s := range []string{"", "stratum+tcp://pool.example.com:3333", "a b", "%25", "%2B", "#$&,;<=>?@[]^{|}/", "é", `"\`, "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		sent, err := escaped(value)
		if err != nil {
			return
		}
		got := strings.ReplaceAll(sent, "+", " ")
		for _, r := range "#$%&,+:;<=>?@[]^{|}/" {
			got = strings.ReplaceAll(got, fmt.Sprintf("%%%02X", r), string(r))
		}
		if got != value || strings.ContainsAny(sent, " \t\n&=") {
			t.Errorf("%q went out as %q and came out as %q", value, sent, got)
		}
	})
}
