package braiins

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Probe asks an address once, without credentials, whether Braiins OS answers there. It is yes where the API
// gives its version, and miner.ErrPerhaps where it wants a token for it: a machine that wants HTTP's own
// Digest or Basic authentication is another make. Unless the API is sure, the mining program is asked once, which
// names Braiins OS in every release.
func Probe(ctx context.Context, t miner.Target) error {
	err := newClient(t).probe(ctx)
	rpc := newOlder(t)
	if err == nil || !rpc.instead(err) {
		return err
	}
	if _, olderErr := rpc.find(ctx); olderErr != nil {
		return err
	}
	return nil
}

func (c *client) probe(ctx context.Context) error {
	reply, err := c.Exchange(ctx, wire.Request{Path: "version"})
	if err != nil {
		return err
	}
	var api struct {
		Major wire.Number `json:"major"`
	}
	switch {
	case reply.OK() && wire.Decode(reply.Body, &api) == nil && api.Major.Set:
		return nil
	case reply.Status == http.StatusUnauthorized && !challenges(reply.Header):
		return fmt.Errorf("%s: %w: GET version wants a token", c.Address, miner.ErrPerhaps)
	}
	if c.shown(ctx) {
		return nil
	}
	return fmt.Errorf("%s: %w: GET version: HTTP %d is not the Braiins OS REST API",
		c.Address, miner.ErrNotThisFirmware, reply.Status)
}

// shown says that it tells of itself: whatever stands before it has logged in.
func (c *client) shown(ctx context.Context) bool {
	var who details
	known, err := c.Exchange(ctx, wire.Request{Path: "miner/details"})
	return err == nil && known.OK() && wire.Decode(known.Body, &who) == nil && who.Version.Current != ""
}

func challenges(header http.Header) bool {
	scheme := strings.ToLower(header.Get("WWW-Authenticate"))
	return strings.HasPrefix(scheme, "digest") || strings.HasPrefix(scheme, "basic")
}
