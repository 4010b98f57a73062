package fit

import "time"

// assumedRated stands for a machine of which neither nameplate nor range nor profile is known, until
// it was read hashing; it is above every nameplate on sale.
const assumedRated Watts = 8000

// Bound is the most the device can draw with no further command (L5).
func (d *Device) Bound(now time.Duration) Watts {
	var b Watts
	switch {
	case d.observe || !d.seen || !d.stands(now) || !d.watched():
		b = d.Rated()
	case d.unsettled():
		b = d.held
	default:
		b = d.settled()
	}
	b = max(b, d.held)
	for _, w := range d.writes {
		b = max(b, w.watts)
	}
	return b
}

// Floor is what the device draws once told to sleep; its bound where it can't be told.
func (d *Device) Floor(now time.Duration) Watts {
	if !d.obeys(now) || !d.traits.CanSleep {
		return d.Bound(now)
	}
	return d.sleepCost()
}

// Rated is the most the device can draw: nameplate + 5 %, highest profile or target, highest measured.
func (d *Device) Rated() Watts {
	declared := d.traits.Nameplate + (d.traits.Nameplate*5+99)/100
	top := d.traits.Max
	for _, m := range d.traits.Modes {
		top = max(top, m.Watts)
	}
	declared = max(declared, d.pad(top))
	if declared == 0 && !d.hashed {
		declared = assumedRated
	}
	return max(declared, d.highest)
}

// obeys says whether an order to the device can be expected to work.
func (d *Device) obeys(now time.Duration) bool {
	return !d.observe && d.seen && !d.stuck && !d.unreachable(now)
}

// unreachable is three missed polls in a row, or as long without any news.
func (d *Device) unreachable(now time.Duration) bool {
	return !d.seen || d.missed >= missedPolls || now-d.last.At > (missedPolls+1)*Poll
}

// stands says whether the newest reading may still stand for a bound (liveness h).
func (d *Device) stands(now time.Duration) bool {
	if d.isAsleep(d.last) && !d.traits.SleepSurvivesReboot {
		return d.missed < volatileMissed && now-d.last.At <= (volatileMissed+1)*Poll
	}
	return !d.unreachable(now)
}

// watched says whether this run has looked on for so long that no write of an earlier run can still
// be taking effect (L3).
func (d *Device) watched() bool {
	t := d.traits
	return d.last.At >= d.first+max(t.Sleep.Worst, t.Wake.Worst, t.Trim.Worst)
}

// unsettled says that no reading was begun since the last write settled.
func (d *Device) unsettled() bool { return d.last.At < d.validFrom }

// settled is what the newest reading alone says of the bound.
func (d *Device) settled() Watts {
	r := d.last
	if !r.HasWatts || r.State == Starting {
		return d.Rated()
	}
	if d.isAsleep(r) {
		return d.padded(r)
	}
	return max(d.padded(r), d.targetOf(r))
}

// expected is the bound once everything in flight has settled as commanded.
func (d *Device) expected(now time.Duration) Watts {
	switch {
	case d.observe || d.unreachable(now):
		return d.Bound(now)
	case !d.unsettled():
		return d.settled()
	case d.tries > 0:
		return d.Bound(now)
	default:
		return d.cost(d.command)
	}
}

// cost is the most a device draws when it follows s.
func (d *Device) cost(s Setting) Watts {
	if s.Kind == Sleep {
		return d.sleepCost()
	}
	w := s.Watts
	if s.Kind == HashMode {
		if m, ok := d.mode(s.Mode); ok {
			w = m.Watts
		}
	}
	if w == 0 {
		return d.Rated()
	}
	return d.pad((w*d.over + 999) / 1000)
}

// sleepCost is measured once it was ever measured, else what the driver knows.
func (d *Device) sleepCost() Watts {
	if d.slept {
		return d.asleep
	}
	return d.pad(d.traits.Residual)
}

// isAsleep says that a reading shows a machine that sleeps, by its watts too.
func (d *Device) isAsleep(r Reading) bool {
	return r.State == Sleeping && r.HasWatts && r.Watts <= d.traits.Residual+d.Rated()/10
}

// targetOf is the watts the firmware follows, 0 where it names none.
func (d *Device) targetOf(r Reading) Watts {
	if r.Target > 0 {
		return r.Target
	}
	m, _ := d.mode(r.Mode)
	return m.Watts
}

func (d *Device) mode(name string) (Mode, bool) {
	for _, m := range d.traits.Modes {
		if m.Name == name {
			return m, name != ""
		}
	}
	return Mode{}, false
}

// pad adds the uncertainty of estimates.
func (d *Device) pad(w Watts) Watts { return w + (w*d.uncertainty+99)/100 }

// padded is a reading's watts with uncertainty where they are an estimate.
func (d *Device) padded(r Reading) Watts {
	if r.Estimated {
		return d.pad(r.Watts)
	}
	return r.Watts
}

// full is what the device runs when nothing holds it back: what it ran before it was first commanded.
func (d *Device) full() Setting {
	if d.prior.Kind != Sleep {
		return d.prior
	}
	t := d.traits
	switch {
	case !d.commanded && d.seen && d.last.Mode != "":
		m, _ := d.mode(d.last.Mode)
		return Setting{Kind: HashMode, Mode: d.last.Mode, Watts: m.Watts}
	case !d.commanded && d.seen && d.last.Target > 0:
		return Setting{Kind: HashWatts, Watts: d.last.Target}
	case t.Max > 0 && t.Nameplate > 0:
		return Setting{Kind: HashWatts, Watts: max(t.Min, min(t.Max, t.Nameplate))}
	case t.Max > 0:
		return Setting{Kind: HashWatts, Watts: t.Max}
	case len(t.Modes) > 0:
		m := t.Modes[len(t.Modes)-1]
		return Setting{Kind: HashMode, Mode: m.Name, Watts: m.Watts}
	default:
		return Setting{Kind: HashMode}
	}
}
