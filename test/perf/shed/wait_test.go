package shed

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/test/perf/await"
)

func TestUntilTellsTheLastFailure(t *testing.T) {
	tries := 0
	err := await.Until(t.Context(), time.Minute, 0, func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await.Until(ctx, time.Minute, time.Hour, func() error { return errors.New("dark") }); err == nil || !strings.Contains(err.Error(), "dark") {
		t.Errorf("%v", err)
	}
}
