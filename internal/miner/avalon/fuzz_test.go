package avalon

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	for _, m := range []*machine{a1566(), a1346().asleep1346(), q(), q().asleepQ(), a1066(), nano3s()} {
		for _, text := range m.modules {
			f.Add(text, "Q", true)
		}
	}
	f.Add("PS[0 0 0 0 -1 0 1e300] WORKMODE[1.5] MPO[-3] Elapsed[99999999999] TMax[x] ECHU[1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 9]", "1346-110", false)
	f.Fuzz(func(t *testing.T, text, model string, told bool) {
		d := New(miner.Target{})
		d.who, d.settable, d.toldToSleep = version{Model: wire.Text(model)}, true, told
		all := []module{parseModule(text)}
		d.how = methodOf(all, nil)
		now := lookOf(all[0])
		d.learn(now)
		checkReading(t, d.reading(now))
		checkCapabilities(t, d.Capabilities())
	})
}

func checkReading(t *testing.T, r miner.Reading) {
	t.Helper()
	for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
		if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
			t.Errorf("%s: %d W", name, *watts)
		}
	}
	if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
		t.Errorf("ceiling %v under the target in force %d W", r.Ceiling, *r.Effective)
	}
	if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || r.Watts != nil && *r.Watts > awakeWatts) {
		t.Errorf("asleep with %+v", r)
	}
	if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") {
		t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
	}
	if len(r.Faults) > maxFaults+1 {
		t.Errorf("%d faults", len(r.Faults))
	}
	for _, text := range append(r.Faults, r.Mode) {
		if len(text) > 256 || !utf8.ValidString(text) {
			t.Errorf("text %q", text)
		}
	}
}

func checkCapabilities(t *testing.T, c miner.Capabilities) {
	t.Helper()
	last := int64(0)
	for _, m := range c.Modes {
		if m.Watts < last || m.Watts <= 0 || m.Watts > wire.MaxWatts || m.Name == "" {
			t.Errorf("modes %+v", c.Modes)
		}
		last = m.Watts
	}
	if c.NameplateWatts < last || c.NameplateWatts > wire.MaxWatts {
		t.Errorf("rated %d W with modes %+v", c.NameplateWatts, c.Modes)
	}
}

// FuzzReply: a reply is read the same however it comes, and text becomes JSON whatever it holds.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"STATUS=S,When=1,Code=22,Msg=CGMiner versions,Description=cgminer 4.11.1|VERSION,CGMiner=4.11.1,PROD=AvalonMiner 10xx|\x00",
		`{"STATUS":[{"STATUS":"S"}],"STATS":[{"MM ID0":"PS[1 2]"}]}`, "STATUS=S,Msg=a,b[c,d]e,f=g", "\x00\nSTATUS=", "STATUS=E,\xff=1|",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := readReply(bytes.NewReader(in))
		bits, err2 := readReply(iotest.OneByteReader(bytes.NewReader(in)))
		if !bytes.Equal(whole, bits) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q, %v read whole; %q, %v by bytes", whole, err, bits, err2)
		}
		if err != nil || !isText(whole) {
			return
		}
		if made := jsonOf(whole); !json.Valid(made) || len(made) > 8*len(in)+64 {
			t.Fatalf("%q became %q", whole, made)
		}
		optionsOf(whole)
	})
}

// FuzzVerdict: no reply says yes by accident, and none that is unclear reads as surely not done.
func FuzzVerdict(f *testing.F) {
	for _, seed := range []string{
		`{"STATUS":[{"STATUS":"S","Code":119,"Msg":"ASC 0 set OK"}]}`, `{"STATUS":{"STATUS":"E","Code":"45"}}`, `{"STATUS":"I"}`, `{}`,
		`{"STATUS":[{"STATUS":"I","Msg":"ASC 0 set info: error:1"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r reply
		if wire.Decode(in, &r) != nil {
			return
		}
		err := (&client{}).verdict("x", r)
		letter := r.Status.First().Letter
		if err == nil && letter != "S" && letter != "I" {
			t.Errorf("%q says yes", in)
		}
		if miner.NotApplied(err) && letter != "E" && letter != "F" {
			t.Errorf("%q says no", in)
		}
	})
}

// FuzzOptions: the list of what a machine takes is bounded, and is none where it lists nothing.
func FuzzOptions(f *testing.F) {
	for _, seed := range []string{
		`{"STATUS":[{"Msg":"ASC 0 set info: ` + helpQ + `"}]}`, "STATUS=I,Msg=ASC 0 set info: help: fan-spd|softoff|,Description=x|", "set info:", "set info: help",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		options := optionsOf(in)
		if len(options) == 1 || len(options) > maxOptions {
			t.Errorf("%d options", len(options))
		}
		if options["softoff"] && !bytes.Contains(bytes.ToLower(in), []byte("softoff")) {
			t.Errorf("%q lists softoff", in)
		}
	})
}
