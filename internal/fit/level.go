package fit

import "time"

const (
	// plainYield is TH/s per watt where nothing is known of a machine: about that of an old one.
	plainYield = 0.03
	// worthLevel is how much better the hash rate per watt below a level must be than above it (in
	// percent) for devices to be left there rather than slept: every level more is more writes.
	worthLevel = 3
	// mostLevels of one device, sleep and full included.
	mostLevels = 5
)

// level is one thing a device can do for longer.
type level struct {
	set   Setting
	watts Watts // as named by the setting; 0 asleep
	cost  Watts // its bound while that is being settled
	ths   float64
}

func (d *Device) level(s Setting) level {
	if s.Kind == Sleep {
		return level{set: s, cost: d.cost(s)}
	}
	return level{set: s, watts: d.nominal(s), cost: d.cost(s), ths: d.ths(s)}
}

// lowest is the least the device can be told to do; false where it can be told nothing.
func (d *Device) lowest() (level, bool) {
	t := d.traits
	switch {
	case t.CanSleep:
		return d.level(Setting{Kind: Sleep}), true
	case t.Max > 0:
		return d.level(Setting{Kind: HashWatts, Watts: t.Min}), true
	case len(t.Modes) > 0:
		return d.level(modeSetting(t.Modes[0])), true
	}
	return level{}, false
}

func modeSetting(m Mode) Setting { return Setting{Kind: HashMode, Watts: m.Watts, Mode: m.Name} }

// full is what the device does when nothing holds it back: what it ran before it was first commanded,
// as far as that is known, else its nameplate. Fit never goes above it: to overclock is a person's choice.
func (d *Device) full() Setting {
	if d.prior.Kind != Sleep {
		return d.clipped(d.prior)
	}
	if !d.commanded && d.seen {
		if m, ok := d.mode(d.last.Mode); ok {
			return modeSetting(m)
		}
		if d.last.Target > 0 && d.traits.Max > 0 {
			return d.clipped(Setting{Kind: HashWatts, Watts: d.last.Target})
		}
	}
	t := d.traits
	if t.Max > 0 {
		top := t.Max
		if t.Nameplate > 0 {
			top = min(top, t.Nameplate)
		}
		return d.clipped(Setting{Kind: HashWatts, Watts: top})
	}
	for i := len(t.Modes) - 1; i >= 0; i-- {
		if m := t.Modes[i]; i == 0 || t.Nameplate == 0 || m.Watts <= t.Nameplate {
			return modeSetting(m)
		}
	}
	return Setting{Kind: HashMode}
}

// clipped keeps a target inside the machine's range.
func (d *Device) clipped(s Setting) Setting {
	if s.Kind == HashWatts && d.traits.Max > 0 {
		s.Watts = max(d.traits.Min, min(s.Watts, d.traits.Max))
	}
	return s
}

// running is what the newest reading shows the device at, when it is not asleep.
func (d *Device) running() Setting {
	if m, ok := d.mode(d.last.Mode); ok {
		return modeSetting(m)
	}
	if d.last.Target > 0 {
		return Setting{Kind: HashWatts, Watts: d.last.Target}
	}
	if d.commanded && d.command.Kind != Sleep {
		return d.command
	}
	if full := d.full(); d.open(full) || d.last.Watts <= 0 {
		return full
	}
	return Setting{Kind: HashWatts, Watts: d.last.Watts}
}

// present is where the device is, or will be once what is in flight has settled.
func (d *Device) present(now time.Duration) level {
	l := level{}
	switch {
	case d.unsettled() && !d.doubtful(now):
		l = d.level(d.command)
	case !d.isAsleep(d.last):
		l = d.level(d.running())
		if d.last.State != Hashing && d.last.State != Unknown && d.last.State != Starting {
			l.ths = 0
		}
	}
	l.cost = d.expected(now)
	return l
}

// ths is the hash rate at a setting, by the machine's traits and how it has kept to them.
func (d *Device) ths(s Setting) float64 {
	p := d.promised(s)
	if d.learned.health > 0 {
		p *= float64(d.learned.health) / 20
	}
	return p
}

// promised is the hash rate at a setting by the machine's traits alone.
func (d *Device) promised(s Setting) float64 {
	if m, ok := d.mode(s.Mode); ok && s.Kind == HashMode && m.THs > 0 {
		return m.THs
	}
	w := d.nominal(s)
	if d.open(s) && d.traits.Nameplate > 0 {
		w = d.traits.Nameplate
	}
	return float64(w) * d.yield()
}

// yield is TH/s per watt by the machine's traits.
func (d *Device) yield() float64 {
	t := d.traits
	if t.Nameplate > 0 && t.NameplateTHs > 0 {
		return t.NameplateTHs / float64(t.Nameplate)
	}
	for i := len(t.Modes) - 1; i >= 0; i-- {
		if m := t.Modes[i]; m.THs > 0 && m.Watts > 0 {
			return m.THs / float64(m.Watts)
		}
	}
	return plainYield
}

// trims says whether targets or profiles between sleep and full can be used now.
func (d *Device) trims(now time.Duration) bool {
	return (d.traits.Max > 0 || len(d.traits.Modes) > 0) && now >= d.faults.trimAt
}

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
		if t := d.traits; t.Max > 0 {
			levels = climb(levels, start, d.level(Setting{Kind: HashWatts, Watts: t.Min}), full)
		}
		for _, m := range d.traits.Modes {
			levels = climb(levels, start, d.level(modeSetting(m)), full)
		}
	}
	return prune(climb(levels, start, full, full), start)
}

// climb puts a level above those from start on, and drops what that leaves under the hull. Levels not
// below full are skipped, full itself is not.
func climb(levels []level, start int, l, full level) []level {
	if l.cost <= levels[start].cost || (l.set != full.set && (l.cost >= full.cost || l.ths >= full.ths)) {
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

// within is the most the device can do for at most cost watts, strictly below full's own watts.
func (d *Device) within(cost Watts, below Watts) (level, bool) {
	best, ok := level{}, false
	if t := d.traits; t.Max > 0 {
		target := d.targetWithin(min(cost, d.flight(below)-1))
		if target >= max(t.Min, 1) && target < below {
			best, ok = d.level(Setting{Kind: HashWatts, Watts: min(target, t.Max)}), true
		}
	}
	for _, m := range d.traits.Modes {
		if m.Watts <= 0 || m.Watts >= below || d.flight(m.Watts) > cost {
			continue
		}
		if l := d.level(modeSetting(m)); !ok || l.ths > best.ths {
			best, ok = l, true
		}
	}
	return best, ok
}

// targetWithin is the highest target on the machine's steps whose flight is within cost.
func (d *Device) targetWithin(cost Watts) Watts {
	t := d.traits
	if d.flight(t.Min) > cost {
		return 0
	}
	step := max(t.Step, 1)
	target := cost * overUnit / d.learned.over
	if d.doubt(100) > 100 {
		target = target * 100 / (100 + d.uncertainty)
	}
	steps := max(target-t.Min, 0) / step
	for steps > 0 && d.flight(t.Min+steps*step) > cost {
		steps-- // rounding, a step or two
	}
	return t.Min + steps*step
}
