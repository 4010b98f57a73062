package avalon

import (
	"context"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Probe asks an address once whether an Avalon answers there; nil is yes.
func Probe(ctx context.Context, t miner.Target) error {
	_, err := New(t).version(ctx)
	return err
}
