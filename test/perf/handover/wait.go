package handover

import (
	"context"
	"fmt"
	"time"
)

// until tries at intervals until it works; the last failure is told.
func until(ctx context.Context, most, every time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if wait(ctx, every) != nil {
			return fmt.Errorf("waited %s: %w", most, err)
		}
	}
}

// wait waits so long, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
