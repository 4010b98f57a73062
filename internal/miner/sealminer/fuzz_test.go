package sealminer

import (
	"bytes"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	f.Add([]byte(`{"STATS":[{`+a2().stats+`}]}`), []byte(`{"SUMMARY":[{`+a2().summary+`}]}`), true)
	f.Add([]byte(`{"STATS":[{`+a2().asleep().stats+`}]}`), []byte(`{}`), false)
	f.Add([]byte(`{"STATS":{"PM State":7,"Power Limit":"1e300","PSU Input Power":-1,"0 Temp 0":[]}}`), []byte(`{"SUMMARY":{"MHS 1m":"x"}}`), true)
	f.Fuzz(func(t *testing.T, rawStats, rawSummary []byte, told bool) {
		var s, m reply
		_, _ = wire.Decode(rawStats, &s), wire.Decode(rawSummary, &m)
		d := New(miner.Target{})
		d.toldToSleep = told
		now := look{stats: s.Stats.First(), ths: m.Summary.First().ths()}
		d.learn(now)
		r := d.reading(now)
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the limit in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || *r.Watts > awakeWatts) {
			t.Errorf("asleep with %+v", r)
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
		}
		for _, fault := range r.Faults {
			if len(fault) > 400 || !utf8.ValidString(fault) {
				t.Errorf("fault %q", fault)
			}
		}
		if c := d.Capabilities(); c.Continuous != (c.MinWatts > 0) || c.Continuous && (c.MinWatts >= c.MaxWatts || c.MaxWatts > c.NameplateWatts) {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzShort: a short answer is read the same however it comes, within its bound.
func FuzzShort(f *testing.F) {
	for _, seed := range []string{"RESTART\x00", `{"STATUS":"RESTART"}x`, "\x00\x00", `{"RESTART"}`, "}}}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := readShort(bytes.NewReader(in))
		bits, err2 := readShort(iotest.DataErrReader(bytes.NewReader(in)))
		if !bytes.Equal(whole, bits) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q, %v read whole; %q, %v by bytes", whole, err, bits, err2)
		}
		if len(whole) > maxShort || err == nil && len(whole) == 0 {
			t.Errorf("%d bytes", len(whole))
		}
	})
}

// FuzzVerdict: no reply says yes by accident, and none that is unclear reads as surely not done.
func FuzzVerdict(f *testing.F) {
	for _, seed := range []string{
		`{"STATUS":[{"STATUS":"S","Code":119}]}`, `{"STATUS":{"STATUS":"E","Code":"45"}}`, `{"STATUS":"I"}`, `{}`, `{"STATUS":"RESTART"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := (&client{}).judge("x", in)
		letter := r.Status.First().Letter
		if err == nil && letter != "S" && letter != "I" {
			t.Errorf("%q says yes", in)
		}
		if miner.NotApplied(err) && letter != "E" && letter != "F" {
			t.Errorf("%q says no", in)
		}
	})
}
