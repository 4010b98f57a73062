package marafw

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// rpcPort is where the mining process answers the RPC, which names the firmware to anyone.
	rpcPort = 4028
	// rpcTimeout bounds that: there are other ways to tell.
	rpcTimeout = 3 * time.Second
)

// Probe asks an address once, without credentials, whether this firmware is there; nil is yes. Its web pages ask for
// a login much as those of Bitmain do, so that its RPC tells more surely.
func Probe(ctx context.Context, t miner.Target) error {
	return probe(ctx, t, netip.AddrPortFrom(t.Address, rpcPort))
}

func probe(ctx context.Context, t miner.Target, rpc netip.AddrPort) error {
	if namedByRPC(ctx, rpc) {
		return nil
	}
	web := &wire.Client{Address: at(t)}
	reply, err := web.Exchange(ctx, wire.Request{Path: "/"})
	if err != nil {
		return err
	}
	if isOpen(ctx, t) {
		return nil
	}
	for _, challenge := range reply.Header.Values("WWW-Authenticate") {
		if reply.Status == http.StatusUnauthorized && isOurs(challenge) {
			return nil
		}
	}
	return fmt.Errorf("%s: %w: neither its RPC nor its login names MaraFW", web.Address, miner.ErrNotThisFirmware)
}

func namedByRPC(ctx context.Context, address netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	data, err := wire.Exchange(ctx, address, "version", []byte(`{"command":"version"}`+"\n"), wire.ReadReply)
	var v version
	return err == nil && wire.Decode(data, &v) == nil && v.names()
}

// isOpen says that its own pages are there, for whoever asks: what was kept of a machine has no login.
func isOpen(ctx context.Context, t miner.Target) bool {
	var who overview
	web := &wire.Client{Address: at(t), Root: "/kaonsu/v1/"}
	reply, err := web.Exchange(ctx, wire.Request{Path: "overview"})
	return err == nil && reply.OK() && wire.Decode(payload(reply.Body), &who) == nil && who.Version != ""
}
