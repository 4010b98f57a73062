package protorig

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// TestRigsThatSpeakHTTPSOnly: with a certificate that nobody vouches for.
func TestRigsThatSpeakHTTPSOnly(t *testing.T) {
	m := rig()
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	d := New(miner.Target{Address: at.Addr(), Port: int(at.Port()), Password: "correct horse"})
	for range 2 {
		id, err := d.Identify(t.Context())
		if err != nil || id.Firmware != miner.ProtoRig {
			t.Fatalf("%+v, %v", id, err)
		}
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing {
		t.Errorf("%+v, %v", r, err)
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Error(err)
	}
}

// TestHTTPSOfSomethingElse is no rig, and what plain HTTP said is told.
func TestHTTPSOfSomethingElse(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	c := newClient(miner.Target{Address: at.Addr(), Port: int(at.Port())})
	if _, err := c.who(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) || c.Secure || c.Address != at {
		t.Errorf("%v, secure %v at %s", err, c.Secure, c.Address)
	}
}
