package minerctl

import "time"

// Clock is the time that is waited by.
type Clock interface {
	// Now is the instant.
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
