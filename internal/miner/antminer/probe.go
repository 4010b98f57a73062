package antminer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Probe asks an address once, without credentials, whether Bitmain's web pages or mining program may be there. It is
// never sure, for other makers kept the login and the program: Identify tells them apart.
func Probe(ctx context.Context, t miner.Target) error {
	err := probePages(ctx, t)
	if !pageless(err) {
		return err
	}
	for _, door := range doors(t) {
		if said, asked := door.program(ctx); asked == nil && said.isBitmain() {
			return fmt.Errorf("%s: %w: its mining program names an Antminer", door.address, miner.ErrPerhaps)
		}
	}
	return err
}

// probePages asks for the first page, and for those that say who the machine is, which some serve alone.
func probePages(ctx context.Context, t miner.Target) error {
	web := &wire.Client{Address: at(t)}
	status := 0
	for _, path := range []string{"/", "/cgi-bin/get_system_info.cgi", "/cgi-bin/" + statsPath} {
		reply, err := web.Exchange(ctx, wire.Request{Path: path})
		if err != nil {
			return err
		}
		if reply.Status == http.StatusUnauthorized && asksLikeBitmain(reply.Header) || reply.OK() && namesAntminer(reply.Body) {
			return fmt.Errorf("%s: %w: it answers as an Antminer does", web.Address, miner.ErrPerhaps)
		}
		status = cmp.Or(status, reply.Status)
		if path != "/" && reply.Status != http.StatusNotFound {
			break
		}
	}
	return fmt.Errorf("%s: %w: GET /: HTTP %d does not ask for a login as an Antminer does",
		web.Address, miner.ErrNotThisFirmware, status)
}

// namesAntminer says that a page is one that tells an Antminer's model.
func namesAntminer(page []byte) bool {
	var who struct {
		systemInfo
		statsHead
	}
	return wire.Decode(page, &who) == nil && (isAntminer(who.systemInfo.Type) || isAntminer(who.Info.Type))
}

// pageless says of an error that Bitmain's pages are not there: nobody listens, or what answers has none. A machine
// that is silent, busy or refuses the login has them.
func pageless(err error) bool {
	var status *wire.StatusError
	var network net.Error
	switch {
	case err == nil, errors.Is(err, miner.ErrPerhaps), errors.Is(err, miner.ErrUnauthorized):
		return false
	case errors.As(err, &status):
		return status.Status == http.StatusNotFound
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, miner.ErrNotThisFirmware):
		return true
	case errors.Is(err, miner.ErrUnreachable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	}
	return !errors.As(err, &network) || !network.Timeout()
}

// asksLikeBitmain looks for the realm "antMiner Configuration" of HTTP Digest.
func asksLikeBitmain(header http.Header) bool {
	for _, challenge := range header.Values("WWW-Authenticate") {
		folded := strings.ToLower(challenge)
		if strings.HasPrefix(folded, "digest ") && strings.Contains(folded, `realm="antminer`) {
			return true
		}
	}
	return false
}
