package controllers

import (
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// TestKeeps: a run that sheds to its floor already is not told to draw again what it still drew a moment ago.
func TestKeeps(t *testing.T) {
	tests := map[string]struct {
		report lease.Report
		age    time.Duration
		want   lease.Watts
	}{
		"young, it draws on":         {lease.Report{AsOf: lease.Grace / 2, Draw: 3000}, time.Second, 3000},
		"a former leader's lease":    {lease.Report{AsOf: lease.Grace * 2, LeaseWatts: 2000, Draw: 3000}, 0, 2000},
		"no lease, it sheds by now":  {lease.Report{AsOf: lease.Grace, Draw: 3000}, 0, 0},
		"young when it reported":     {lease.Report{AsOf: lease.Grace / 2, Draw: 3000}, lease.Grace / 2, 0},
		"young, with an older lease": {lease.Report{AsOf: lease.Grace / 2, LeaseWatts: 4000, Draw: 3000}, 0, 4000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := keeps(tt.report, tt.age); got != tt.want {
				t.Errorf("keeps %d W, want %d W", got, tt.want)
			}
		})
	}
}
