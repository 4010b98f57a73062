package whatsminer

import (
	"context"
	"errors"
	"syscall"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Probe asks an address once, without credentials, whether a WhatsMiner answers there; nil is yes. Where a
// host refuses the connection to API v2, it is asked by API v3 as well.
func Probe(ctx context.Context, t miner.Target) error {
	return probe(ctx, New(t))
}

func probe(ctx context.Context, d *Driver) error {
	_, err := d.plain.version(ctx)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	_, err = d.framed.who(ctx)
	return err
}
