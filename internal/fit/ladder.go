package fit

import "time"

// ladder appends the levels worth stopping at, lowest first, full last; hash rate per watt falls from
// each to the next (upper concave hull).
func (d *Device) ladder(now time.Duration, levels []level) []level {
	low, ok := d.lowest()
	if !ok {
		return levels
	}
	start := len(levels)
	levels = append(levels, low)
	full := d.level(d.full())
	if full.cost <= low.cost || full.ths <= low.ths {
		return levels
	}
	if d.trims(now) && !d.traits.Trim.Restarts {
		if d.traits.Max > 0 {
			levels = climb(levels, start, d.targetLevel(max(d.traits.Min, 1)), full)
		}
		for i := range d.traits.Modes {
			levels = climb(levels, start, d.modeLevel(i), full)
		}
	}
	return prune(climb(levels, start, full, full), start)
}

// climb puts a level above those from start on, and drops what that leaves under the hull. Levels not
// below full are skipped, full itself is not.
func climb(levels []level, start int, l, full level) []level {
	if l.cost <= levels[start].cost || (l != full && (l.cost >= full.cost || l.ths >= full.ths)) {
		return levels
	}
	for n := len(levels); n-start > 1; n = len(levels) {
		if l.cost > levels[n-1].cost && slope(levels[n-2], levels[n-1]) > slope(levels[n-1], l) {
			break
		}
		levels = levels[:n-1]
	}
	return append(levels, l)
}

// prune drops the levels from start on that gain too little, the least first.
func prune(levels []level, start int) []level {
	for {
		least, at := 0.0, -1
		for i := start + 1; i < len(levels)-1; i++ {
			gain := slope(levels[i-1], levels[i]) / slope(levels[i], levels[i+1])
			if at < 0 || gain < least {
				least, at = gain, i
			}
		}
		if at < 0 || (least >= 1+worthLevel/100.0 && len(levels)-start <= mostLevels) {
			return levels
		}
		levels = append(levels[:at], levels[at+1:]...)
	}
}

// slope is TH/s per watt between two levels.
func slope(a, b level) float64 {
	return (b.ths - a.ths) / float64(max(b.cost-a.cost, 1))
}
