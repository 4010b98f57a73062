package fit

import (
	"slices"
	"time"
)

// Curve is what more watts would buy: it starts at the sum of floors, rises and is concave.
func Curve(devices []*Device, now time.Duration) []Point {
	var start Point
	points := []Point{}
	sorted := byEfficiency(devices)
	for _, d := range devices {
		start.Watts += d.Floor(now)
	}
	points = append(points, start)
	slope := 0.0
	for _, d := range slices.Backward(sorted) {
		if !d.obeys(now) {
			continue
		}
		more := d.cost(d.full()) - d.Floor(now)
		if more <= 0 {
			continue
		}
		p := points[len(points)-1]
		q := Point{Watts: p.Watts + more, THs: p.THs + d.yield()*float64(more)}
		if len(points) > 1 && (d.yield() == slope || len(points) == 32) {
			points[len(points)-1] = q
		} else {
			points = append(points, q)
		}
		slope = d.yield()
	}
	return points
}
