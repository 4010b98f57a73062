package stats

import (
	"context"
	"sync"
	"time"
)

// beat is how often a Yardstick wants to be woken.
const beat = 5 * time.Millisecond

// Yardstick tells how late this machine wakes a process that only wants to be woken: what a time measured
// meanwhile owes to the machine and not to what was measured.
type Yardstick struct {
	mu   sync.Mutex
	late []lateness
}

type lateness struct {
	at time.Time
	by time.Duration
}

// Run wakes and notes until ctx ends.
func (y *Yardstick) Run(ctx context.Context) {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	due := Now().Add(beat)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := Now()
		y.note(now, now.Sub(due))
		due = now.Add(beat)
		timer.Reset(beat)
	}
}

func (y *Yardstick) note(at time.Time, by time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.late = append(y.late, lateness{at, by})
}

// Ms is every lateness seen, in milliseconds.
func (y *Yardstick) Ms() []float64 {
	y.mu.Lock()
	defer y.mu.Unlock()
	out := make([]float64, 0, len(y.late))
	for _, l := range y.late {
		out = append(out, Ms(l.by))
	}
	return out
}

// Worst is the longest lateness that reaches into a span of time.
func (y *Yardstick) Worst(from, to time.Time) (worst time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, l := range y.late {
		if !l.at.Before(from) && !l.at.Add(-l.by).After(to) {
			worst = max(worst, l.by)
		}
	}
	return worst
}
