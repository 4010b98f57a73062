package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMend(t *testing.T) {
	for broken, want := range map[string]string{
		`{"STATS":[{"a":1}{"b":2}]}`:             `{"STATS":[{"a":1},{"b":2}]}`,
		"{\"a\":[{} \n {}]}":                     "{\"a\":[{} \n ,{}]}",
		`{"a":1,}`:                               `{"a":1}`,
		`[1,2, ]`:                                `[1,2]`,
		`[,{"a":1},,{"b":2}]`:                    `[{"a":1},{"b":2}]`,
		`{"a":nan,"b":-nan,"c":inf,"d":-Inf}`:    `{"a":null,"b":null,"c":null,"d":null}`,
		"{\"a\":\"x\ty\",\"b\":1}":               `{"a":"xy","b":1}`,
		`{"a":"}{,]\"nan","b":"inf"}`:            `{"a":"}{,]\"nan","b":"inf"}`,
		`{"a":true,"b":false,"c":null,"d":1e-3}`: `{"a":true,"b":false,"c":null,"d":1e-3}`,
	} {
		got := string(Mend([]byte(broken)))
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s, want %s", broken, got, want)
		}
	}
	var out struct{ B Number }
	if err := Decode([]byte(`[{"b":1}{"b":2}]`), &[]struct{}{}); err != nil {
		t.Error(err)
	}
	if err := Decode([]byte(`{"a":nan,"b":7,}`), &out); err != nil || out.B.Value != 7 {
		t.Errorf("%+v, %v", out, err)
	}
	for _, hopeless := range []string{"", "<html>", `{"a":`, `{"a" 1}`, `nano`} {
		if err := Decode([]byte(hopeless), &out); err == nil {
			t.Errorf("%q is read", hopeless)
		}
	}
}

// TestMendLooksAtEachByteOnce: a hostile machine sends the largest reply that makes looking back dear. Where each
// comma looked back over all the spaces, this took minutes.
func TestMendLooksAtEachByteOnce(t *testing.T) {
	half := MaxReply / 2
	for _, again := range []string{",", "{", "]", "}{"} {
		in := "[" + strings.Repeat(" ", half) + strings.Repeat(again, half/len(again))
		if got := len(Mend([]byte(in))); got > 2*len(in) {
			t.Errorf("%q again and again: %d bytes became %d", again, len(in), got)
		}
	}
}
