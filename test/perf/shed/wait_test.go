package shed

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/test/perf/await"
)

func TestRangeOf(t *testing.T) {
	for n, want := range map[int]string{1: "127.120.0.1-127.120.0.1", 128: "127.120.0.1-127.120.0.128", 256: "127.120.0.1-127.120.1.0"} {
		if got := rangeOf("127.120.0.1", n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

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
