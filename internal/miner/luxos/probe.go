package luxos

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Probe asks an address once whether LuxOS answers there; nil is yes.
func Probe(ctx context.Context, t miner.Target) error {
	c := &client{address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))}
	v, err := c.ask(ctx, "version", "")
	if err = onlyIfSilent(err); err != nil {
		return wire.Foreign(err)
	}
	if v.Version.First().LUXminer == "" && !v.isLuxOS() {
		return fmt.Errorf("%s: %w: version does not name LUXminer", c.address, miner.ErrNotThisFirmware)
	}
	return nil
}
