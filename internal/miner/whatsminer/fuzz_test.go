package whatsminer

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine of API v2 sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	m := m30s()
	f.Add([]byte(m.msgs["status"]), []byte(m.msgs["summary"]), []byte(m.msgs["edevs"]), false)
	m = m.asleep()
	f.Add([]byte(m.msgs["status"]), []byte(m.msgs["summary"]), []byte(`{}`), true)
	m = oldMachine()
	f.Add([]byte(m.msgs["status"]), []byte(m.msgs["summary"]), []byte(`[]`), true)
	f.Add([]byte(`{"Msg":{"mineroff":1,"power_limit_set":1e300}}`), []byte(`{"Msg":{"Power":-1,"HS RT":"nan","Power Limit":"5"}}`), []byte(`{"DEVS":{"Upfreq Complete":"1"}}`), false)
	f.Fuzz(func(t *testing.T, rawStatus, rawSummary, rawBoards []byte, slept bool) {
		c := &rpc{}
		first, _ := c.decode("status", rawStatus)
		second, _ := c.decode("summary", rawSummary)
		third, _ := c.decode("edevs", rawBoards)
		var s powerState
		_ = json.Unmarshal(first.Msg, &s)
		now := lookOf(s, second.summaryOf())
		if !now.climbed.Set {
			now.climbed = third.upfreq()
		}
		d := &Driver{toldToSleep: slept}
		d.learn(now)
		checkReading(t, d, now)
	})
}

// FuzzReadingV3 is the same for API v3.
func FuzzReadingV3(f *testing.F) {
	m := m60s()
	f.Add([]byte(m.frames["get.device.info"]), []byte(m.frames["get.miner.status summary"]), false)
	m = m.asleep()
	f.Add([]byte(m.frames["get.device.info"]), []byte(m.frames["get.miner.status summary"]), true)
	f.Add([]byte(`{"miner":{"working":0,"power-limit-set":"2147483647"},"error-code":{"5":7,"reason":"x"}}`), []byte(`{"summary":{"board-temperature":7}}`), true)
	f.Fuzz(func(t *testing.T, rawDevice, rawStatus []byte, slept bool) {
		var device deviceInfo
		_ = json.Unmarshal(rawDevice, &device)
		var found struct {
			Summary summaryV3 `json:"summary"`
		}
		_ = json.Unmarshal(rawStatus, &found)
		now := lookOfV3(device, found.Summary)
		d := &Driver{toldToSleep: slept}
		d.learn(now)
		checkReading(t, d, now)
	})
}

func checkReading(t *testing.T, d *Driver, now look) {
	t.Helper()
	r, c := d.reading(now), d.capabilities
	for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
		if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
			t.Errorf("%s: %d W", name, *watts)
		}
	}
	if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
		t.Errorf("ceiling %v under the limit in force %d W", r.Ceiling, *r.Effective)
	}
	if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || now.hashes() || !now.off.Value) {
		t.Error("a machine that sleeps mines, has a limit in force, or never said so")
	}
	if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") {
		t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
	}
	if c.Continuous && (c.MinWatts <= 0 || c.MinWatts > c.MaxWatts || c.MaxWatts >= noLimit || c.StepWatts <= 0) {
		t.Errorf("range %d to %d W", c.MinWatts, c.MaxWatts)
	}
	if len(r.Faults) > maxFaults+2 {
		t.Errorf("%d faults", len(r.Faults))
	}
	for _, fault := range r.Faults {
		if len(fault) > longestFault || !utf8.ValidString(fault) {
			t.Errorf("fault %q", fault)
		}
	}
}

// FuzzVerdict: no reply says yes by accident, and none that is unclear reads as surely not done.
func FuzzVerdict(f *testing.F) {
	for _, seed := range []string{
		v2ok(`"API command OK"`), v2no(45, "permission denied"), `{"STATUS":[{"STATUS":"E","Code":"135"}]}`, `{"STATUS":"S","Code":132}`, `{}`,
		`{"STATUS":{"STATUS":"I"},"Code":[]}`, `{"STATUS":"E","Code":131}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &rpc{}
		r, err := c.decode("x", in)
		if err != nil {
			return
		}
		err = c.verdict("x", r, true)
		letter := r.Status.First().Letter
		if err == nil && letter != "S" && letter != "I" {
			t.Errorf("%q says yes", in)
		}
		if miner.NotApplied(err) && letter != "E" && letter != "F" {
			t.Errorf("%q says no", in)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	})
}

// FuzzFrame: a frame is read the same however it comes, and never beyond its bounds.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00{}"))
	f.Add([]byte("\x00\x00\x00\x00\x07\x00\x00\x00{\"a\":1}"))
	f.Add([]byte("\xff\xff\xff\xff{}"))
	f.Add([]byte("\x01\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := readFrame(bytes.NewReader(in))
		bits, err2 := readFrame(iotest.OneByteReader(bytes.NewReader(in)))
		if !bytes.Equal(whole, bits) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q, %v read whole; %q, %v by bytes", whole, err, bits, err2)
		}
		if err == nil && (len(whole) == 0 || len(whole) > wire.MaxReply) {
			t.Fatalf("a reply of %d bytes", len(whole))
		}
	})
}

// FuzzOpen: what was sealed opens as it was, with zeros and with PKCS #7; anything else is an error.
func FuzzOpen(f *testing.F) {
	token, err := challenge{Time: "5626", Salt: "BQ5hoXV9", NewSalt: "jbzkfQls"}.answer("admin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"a":"b"}`), "AAAA")
	f.Add([]byte(`[1]`), token.seal([]byte(`{"a":1}`)))
	f.Fuzz(func(t *testing.T, plain []byte, sealed string) {
		_, _ = token.open(sealed)
		if !json.Valid(plain) || !bytes.HasPrefix(plain, []byte("{")) || !bytes.HasSuffix(plain, []byte("}")) || len(plain) > 1000 {
			return
		}
		pad := 16 - len(plain)%16
		for name, text := range map[string]string{
			"zeros":   token.seal(bytes.Clone(plain)),
			"PKCS #7": token.seal(append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)),
		} {
			got, err := token.open(text)
			if deep := err != nil && bytes.Count(plain, []byte("{"))+bytes.Count(plain, []byte("[")) > wire.MaxDepth; !deep && (err != nil || !bytes.Equal(got, plain)) {
				t.Errorf("%s: %q opened as %q, %v", name, plain, got, err)
			}
		}
	})
}

// FuzzMended: JSON stays as it is, and mending twice changes no more.
func FuzzMended(f *testing.F) {
	for _, seed := range []string{`{"a":1,}`, "{\"a\n\":[1,],\"b\":\"\\\",}\"}", `[,]`, `"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := mended(bytes.Clone(in))
		if json.Valid(in) && !bytes.Equal(got, in) {
			t.Errorf("%q became %q", in, got)
		}
		if again := mended(bytes.Clone(got)); !bytes.Equal(again, got) {
			t.Errorf("%q became %q, and then %q", in, got, again)
		}
		if len(errorCodes(in)) > maxFaults {
			t.Error("too many faults")
		}
	})
}
