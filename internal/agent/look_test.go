package agent

import (
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
)

func TestALookThatEndsLateIsMissedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRanch(2)
		o := lit(t, r, addresses(2))
		r.at(1).become(hung)
		time.Sleep(2*fit.Poll + 100*time.Millisecond) // a look is overdue
		r.free()                                      // it fails, and so does the one that is due by now
		time.Sleep(time.Second)
		if got := o.report(); got.Counts.Unreachable != 0 {
			t.Fatalf("counts %+v: two looks came to nothing, and three are unreachable", got.Counts)
		}
		time.Sleep(fit.Poll)
		if got := o.report(); got.Counts.Unreachable != 1 {
			t.Fatalf("counts %+v, want one unreachable", got.Counts)
		}
	})
}
