package minersim

import (
	"slices"
	"time"
)

// historyKept is how long passed levels are kept, for the averages that firmware reports.
const historyKept = 30 * time.Minute

// knot fixes a level at an instant; between knots the level is linear, so that watts never
// jump. Instants are durations since the simulation's epoch.
type knot struct {
	at    time.Duration
	level float64
}

// path is a level over time: past, present and what is already on its way.
type path struct{ knots []knot }

func newPath(at time.Duration, level float64) path {
	return path{knots: []knot{{at, level}}}
}

// level is the value at t; before the first knot and after the last it is constant.
func (p *path) level(t time.Duration) float64 {
	// From the newest: nearly every question is about now.
	for i, k := range slices.Backward(p.knots) {
		if t < k.at {
			continue
		}
		if i == len(p.knots)-1 {
			return k.level
		}
		next := p.knots[i+1]
		return k.level + (next.level-k.level)*float64(t-k.at)/float64(next.at-k.at)
	}
	return p.knots[0].level
}

// moving tells whether the level changes at or after t.
func (p *path) moving(t time.Duration) bool {
	now := p.level(t)
	for i := len(p.knots) - 1; i >= 0 && p.knots[i].at > t; i-- {
		if p.knots[i].level != now {
			return true
		}
	}
	return false
}

// steady tells whether the level has been the same from t on, and nothing is coming.
func (p *path) steady(t time.Duration) bool { return p.knots[len(p.knots)-1].at <= t }

// end is the level everything settles at.
func (p *path) end() float64 { return p.knots[len(p.knots)-1].level }

// replace forgets what was coming after t and puts the given knots there, each later than the
// one before and all later than t.
func (p *path) replace(t time.Duration, next ...knot) {
	now := p.level(t)
	keep := len(p.knots)
	for keep > 0 && p.knots[keep-1].at >= t {
		keep--
	}
	p.knots = append(append(p.knots[:keep], knot{t, now}), next...)
	p.prune(t)
}

// prune drops knots that no question can reach any more.
func (p *path) prune(t time.Duration) {
	first := 0
	for first+1 < len(p.knots) && p.knots[first+1].at < t-historyKept {
		first++
	}
	if first > 0 {
		p.knots = slices.Delete(p.knots, 0, first)
	}
}
