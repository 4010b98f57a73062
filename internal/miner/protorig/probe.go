package protorig

import (
	"context"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Probe asks an address once, without credentials, whether a Proto Rig answers there; nil is yes.
func Probe(ctx context.Context, t miner.Target) error {
	_, err := newClient(t).who(ctx)
	return err
}
