package fit

import (
	"cmp"
	"slices"
	"time"
)

// mostPoints of a curve.
const mostPoints = 32

// Curve is what watts buy: it starts at the sum of floors, rises and is concave, with at most 32 points.
// Watts are counted as Fit counts them (bounds, uncertainty included), so that an allowance of any
// point's watts lets Fit run what makes its hash rate; the last point is everything at full.
func Curve(devices []*Device, now time.Duration) []Point {
	var start Point
	var moves []move
	levels := make([]level, 0, len(devices)*2+mostLevels)
	for _, d := range devices {
		start.Watts += d.Floor(now)
		first := len(levels)
		levels = d.offers(now, levels)
		for i, to := range levels[first:] {
			if i == 0 {
				start.THs += to.ths
				continue
			}
			from := levels[first+i-1]
			moves = append(moves, move{from: from, to: to, slope: slope(from, to)})
		}
	}
	slices.SortStableFunc(moves, func(a, b move) int { return cmp.Compare(b.slope, a.slope) })
	points := []Point{start}
	last := 0.0
	for _, m := range moves {
		p := points[len(points)-1]
		p.Watts += m.to.cost - m.from.cost
		p.THs += m.to.ths - m.from.ths
		if len(points) > 1 && m.slope > last*(1-1e-9) {
			points[len(points)-1] = p
			continue
		}
		last = m.slope
		points = append(points, p)
	}
	return thin(points)
}

// offers appends the levels more watts would really bring a device to, from its floor up. One that can't
// be told, or does not follow raises, offers no more than it does.
func (d *Device) offers(now time.Duration, levels []level) []level {
	low, ok := d.lowest()
	switch at := d.present(now); {
	case d.unreachable(now):
		return levels
	case !ok || !d.obeys(now) || d.oversleeps():
		return append(levels, at)
	case d.faults.shorts >= balkAfter:
		if low.cost < at.cost && low.ths < at.ths {
			levels = append(levels, low)
		}
		return append(levels, at)
	}
	return d.ladder(now, levels)
}

// thin keeps the ends and about evenly spaced points between: a choice of a concave curve's points is
// concave and nowhere above it.
func thin(points []Point) []Point {
	if len(points) <= mostPoints {
		return points
	}
	first, last := points[0], points[len(points)-1]
	span := last.Watts - first.Watts
	kept := []Point{first}
	for _, p := range points[1 : len(points)-1] {
		if (p.Watts-first.Watts)*(mostPoints-1) >= span*Watts(len(kept)) && len(kept) < mostPoints-1 {
			kept = append(kept, p)
		}
	}
	return append(kept, last)
}
