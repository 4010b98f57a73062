package braiins

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Probe asks an address once, without credentials, whether Braiins OS may answer there; nil is "log in
// and see". It is yes where the API gives its version, and where it wants a token for it: a machine that
// wants HTTP's own Digest or Basic authentication is another make.
func Probe(ctx context.Context, t miner.Target) error {
	c := &client{address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))}
	status, header, body, err := c.exchangeHeader(ctx, http.MethodGet, "version", "", nil)
	if err != nil {
		return err
	}
	var api struct {
		Major wire.Number `json:"major"`
	}
	switch {
	case status/100 == 2 && wire.Decode(body, &api) == nil && api.Major.Set:
		return nil
	case status == http.StatusUnauthorized && !challenges(header):
		return nil
	}
	return fmt.Errorf("%s: %w: GET version: HTTP %d is not the Braiins OS REST API",
		c.address, miner.ErrNotThisFirmware, status)
}

func challenges(header http.Header) bool {
	scheme := strings.ToLower(header.Get("WWW-Authenticate"))
	return strings.HasPrefix(scheme, "digest") || strings.HasPrefix(scheme, "basic")
}
