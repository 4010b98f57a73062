package minersim

import "time"

// Clock is the time a simulation runs on.
type Clock interface {
	// Now is the instant, with a monotonic reading.
	Now() time.Time
	// After delivers once, so much later.
	After(time.Duration) <-chan time.Time
}

// Wall is the clock on the wall.
type Wall struct{}

// Now is the time of day.
func (Wall) Now() time.Time { return time.Now() }

// After waits in real time.
func (Wall) After(d time.Duration) <-chan time.Time { return time.After(d) }
