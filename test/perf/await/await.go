// Package await waits for what takes a while, and no longer than it may.
package await

import (
	"context"
	"fmt"
	"time"
)

// Until tries at intervals until it works; the last failure is told.
func Until(ctx context.Context, most, every time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if Wait(ctx, every) != nil {
			return fmt.Errorf("waited %s: %w", most, err)
		}
	}
}

// Wait waits so long, or until ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
