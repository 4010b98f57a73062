package avalon

import (
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Some know no JSON at all, and hang up on it.
func TestHangsUpOnJSON(t *testing.T) {
	m := a1066()
	m.silent = map[string]bool{"?": true}
	target := m.serve(t)
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.Model != "AvalonMiner 10xx" || id.MAC == "" {
		t.Fatalf("%+v, %v", id, err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || r.HashrateTHs == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who hangs up on either form is asked in JSON as before.
func TestHangsUpOnBoth(t *testing.T) {
	m := a1566()
	m.silent = map[string]bool{"version": true, "stats": true}
	d := New(m.serve(t))
	if _, err := d.Identify(t.Context()); err == nil || d.client.text {
		t.Errorf("%v, in text: %t", err, d.client.text)
	}
}
