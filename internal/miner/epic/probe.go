package epic

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Probe asks an address once, without credentials, whether ePIC's firmware answers there; nil is yes.
func Probe(ctx context.Context, t miner.Target) error {
	c := newClient(t)
	var now summary
	if err := c.Get(ctx, "summary", &now); err != nil {
		return foreign(err)
	}
	if !now.isEPIC() {
		return fmt.Errorf("%s: %w: summary has no ePIC fields", c.Address, miner.ErrNotThisFirmware)
	}
	return nil
}
