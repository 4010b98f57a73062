package sealminer

import (
	"context"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Probe asks an address once whether a SealMiner answers there; nil is yes.
func Probe(ctx context.Context, t miner.Target) error {
	return New(t).version(ctx)
}
