package auradine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Probe asks an address once, without credentials, whether Auradine's mining program answers there; nil is yes.
// Where a host refuses the connection, its web server is asked: one that refuses in the words of an RPC may
// be this firmware's, which is miner.ErrPerhaps.
func Probe(ctx context.Context, t miner.Target) error {
	c := newClient(t)
	reply, err := c.program(ctx)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.perhaps(ctx)
	case err != nil:
		return wire.Foreign(err)
	case reply.isFluxOS():
		return nil
	}
	return fmt.Errorf("%s: %w: version names another mining program", c.rpc, miner.ErrNotThisFirmware)
}

// isFluxOS says whether a version is one of this maker's mining program.
func (e envelope) isFluxOS() bool {
	said := e.Status.First()
	for _, text := range []wire.Text{said.Message, said.Description} {
		name := strings.ToLower(string(text))
		if strings.HasPrefix(name, "gcminer") || strings.HasPrefix(name, "fluxos") {
			return true
		}
	}
	return e.Version.First().GCMiner != ""
}

// perhaps asks for what wants a token, without one.
func (c *client) perhaps(ctx context.Context) error {
	answer, err := c.Exchange(ctx, wire.Request{Path: "ipreport"})
	if err != nil {
		return err
	}
	var reply envelope
	if wire.Decode(answer.Body, &reply) == nil && (reply.Status.First().Letter != "" || reply.Report.First().isAuradine()) {
		return fmt.Errorf("%s: %w: GET ipreport wants a token", c.Address, miner.ErrPerhaps)
	}
	return fmt.Errorf("%s: %w: GET ipreport: HTTP %d is not the FluxOS API", c.Address, miner.ErrNotThisFirmware, answer.Status)
}
