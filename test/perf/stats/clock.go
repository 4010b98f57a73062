package stats

import "time"

// Stopwatch reads the wall clock once and again.
type Stopwatch struct{ began time.Time }

// Start starts one.
func Start() Stopwatch { return Stopwatch{time.Now()} }

// Ms is the milliseconds since.
func (s Stopwatch) Ms() float64 { return Ms(time.Since(s.began)) }

// Now is the wall clock.
func Now() time.Time { return time.Now() }

// Ms is a duration in milliseconds.
func Ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
