package axeos

import (
	"context"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Probe asks an address once whether an AxeOS answers there; nil is yes.
func Probe(ctx context.Context, t miner.Target) error {
	_, err := New(t).who(ctx)
	return err
}
