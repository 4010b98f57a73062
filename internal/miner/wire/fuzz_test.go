package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		"{\"STATUS\":[{\"STATUS\":\"S\",\"Code\":311}],\"POWER\":[{\"PSU\":false,\"Watts\":1051}],\"id\":1}\x00",
		`{"a":"\"}{"}`, "\x00\n{}", "[[[[", `{"a":1}{"b":2}`, "}{", `"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := ReadReply(bytes.NewReader(in))
		bits, err2 := ReadReply(iotest.OneByteReader(bytes.NewReader(in)))
		if !bytes.Equal(whole, bits) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q, %v read whole; %q, %v by bytes", whole, err, bits, err2)
		}
		if err == nil && (len(whole) == 0 || len(whole) > MaxReply) {
			t.Fatalf("a reply of %d bytes", len(whole))
		}
		// What is one JSON object or array must be read as it is, whatever follows it.
		if trimmed := bytes.TrimSpace(in); json.Valid(in) && len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
			got, err := ReadReply(bytes.NewReader(append(bytes.Clone(in), "\x00}]garbage"...)))
			if err == nil && !bytes.Equal(got, trimmed) {
				t.Fatalf("%q was read as %q", trimmed, got)
			}
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		`{"N":5,"T":"x","F":true,"L":[{"A":1}]}`, `{"N":"5","T":7,"F":"on","L":{"A":"1"}}`, `null`, `[]`,
		`{"N":1e999,"T":"\ud800","L":[[{"A":1}]]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var got sample
		if err := Decode(in, &got); err != nil {
			if json.Valid(in) {
				t.Fatalf("valid JSON %q gave %v", in, err)
			}
			return
		}
		if math.IsNaN(got.N.Value) || math.Abs(got.N.Value) > maxMagnitude {
			t.Fatalf("number %v", got.N.Value)
		}
		if watts := got.N.Watts(); watts != nil && (*watts < 0 || *watts > MaxWatts || float64(*watts) < got.N.Value) {
			t.Fatalf("%v is %d W", got.N.Value, *watts)
		}
		if len(got.T) > maxText || !utf8.ValidString(string(got.T)) {
			t.Fatalf("text of %d bytes: %q", len(got.T), got.T)
		}
	})
}

// FuzzStatuses: STATUS comes as a list, an object or a letter, and never says yes by accident.
func FuzzStatuses(f *testing.F) {
	for _, seed := range []string{
		`[{"STATUS":"S","Code":316}]`, `{"STATUS":"E","Code":"402"}`, `"S"`, `[]`, `[["S"]]`, `null`, `7`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var s Statuses
		_ = s.UnmarshalJSON(in)
		first := s.First()
		if first.OK() && first.No() {
			t.Error("yes and no at once")
		}
		if first.OK() && !strings.ContainsAny(string(in), `SI\`) {
			t.Errorf("%q says yes", in)
		}
		if len(first.Message) > maxText {
			t.Errorf("message of %d bytes", len(first.Message))
		}
	})
}

// FuzzMend: JSON stays as it is, mending twice changes no more, and what is made is never twice as long.
func FuzzMend(f *testing.F) {
	for _, seed := range []string{
		`{"STATS":[{"a":1}{"b":2}]}`, `{"a":nan,"b":-inf,}`, "{\"a\":\"x\ty\\\"\",\"b\":[1, , ]}", "[   ,,,{}  {}]", `"`, `\`, `nannan`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := Mend(bytes.Clone(in))
		if json.Valid(in) && !bytes.Equal(got, in) {
			t.Fatalf("%q became %q", in, got)
		}
		if again := Mend(bytes.Clone(got)); !bytes.Equal(again, got) {
			t.Fatalf("%q became %q, and then %q", in, got, again)
		}
		if len(got) > 2*len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(got))
		}
	})
}
