package fit

import (
	"math"
	"time"
)

// assumedRated stands for a machine of which neither nameplate nor range nor profile is known, until
// it was read hashing; it is above every nameplate this project has figures for.
const assumedRated Watts = 8000

// Bound is the most the device can draw with no further command (L5).
func (d *Device) Bound(now time.Duration) Watts {
	b := d.held
	switch {
	case d.observe || !d.stands(now) || !d.watched():
		b = max(b, d.Rated())
	case d.unsettled():
		b = max(b, d.unproven())
	default:
		b = max(b, d.settled())
	}
	for _, w := range d.writes {
		b = max(b, w.watts)
	}
	return b
}

// Floor is what the device draws once told to sleep, or to do the least it can; its bound where it
// can't be told.
func (d *Device) Floor(now time.Duration) Watts {
	low, ok := d.lowest()
	if !ok || !d.obeys(now) {
		return d.Bound(now)
	}
	return low.cost
}

// Rated is the most the device can draw: the largest of nameplate + 5 %, of nameplate, highest profile and
// target (with uncertainty, as its bound would be there), of the target it follows now, whatever it is said
// to offer, and the highest it was ever measured at.
func (d *Device) Rated() Watts { return max(d.declared(), d.doubt(d.target())) }

func (d *Device) declared() Watts {
	t := &d.traits
	declared := t.Nameplate + (t.Nameplate*5+99)/100
	declared = max(declared, d.doubt(max(t.Nameplate, d.highest)))
	if declared > 0 {
		return max(declared, d.learned.highest)
	}
	if d.learned.hashed {
		return d.learned.highest + (d.learned.highest*5+99)/100
	}
	return max(assumedRated, d.learned.highest)
}

// obeys says whether an order to the device can be expected to work.
func (d *Device) obeys(now time.Duration) bool {
	return !d.observe && !d.balks(now) && !d.unreachable(now)
}

// unreachable is three missed polls in a row, or as long without any news.
func (d *Device) unreachable(now time.Duration) bool {
	return !d.seen || d.missed >= missedPolls || now-d.last.At > (missedPolls+1)*Poll
}

// stands says whether the newest reading may still stand for a bound (liveness h).
func (d *Device) stands(now time.Duration) bool {
	if !d.unsettled() && d.sleeps() && !d.traits.SleepSurvivesReboot {
		return d.seen && d.missed < volatileMissed && now-d.last.At <= (volatileMissed+1)*Poll
	}
	return !d.unreachable(now)
}

// watched says whether this run has looked on for so long that no write of an earlier run can still
// be taking effect (L3).
func (d *Device) watched() bool {
	return d.seen && d.last.At-d.first >= d.slowest()
}

// slowest is how long any order to the device may take to settle.
func (d *Device) slowest() time.Duration {
	t := &d.traits
	return max(t.Sleep.Worst, t.Wake.Worst, t.Trim.Worst)
}

// unsettled says that no reading was begun since the last write settled.
func (d *Device) unsettled() bool { return d.last.At < d.validFrom }

// settled is what the newest reading alone says of the bound. Unknown is rated.
func (d *Device) settled() Watts {
	r, target := &d.last, d.target()
	switch {
	case !r.HasWatts || r.State == Starting:
		return d.Rated()
	case d.sleeps():
		return d.padded()
	case target == 0 && (r.State == Unknown || r.Uptime > 0 && r.Uptime < d.traits.Wake.Worst):
		// Nothing says how far it will go: it may be ramping up after a restart.
		return d.Rated()
	}
	return max(d.padded(), target)
}

// unproven is what a reading says of the bound while a write is settling: it proves nothing gone, but
// may show more than was held, as of a machine that reboots instead of going to sleep.
func (d *Device) unproven() Watts {
	r := &d.last
	switch {
	case !r.HasWatts || r.At <= d.lastWrite:
		return 0 // held knows
	case r.State == Starting && !d.waking():
		return d.Rated()
	case r.State == Starting:
		return max(d.padded(), d.flight(d.target()))
	case r.State == Hashing:
		return max(d.padded(), d.target())
	}
	return d.padded()
}

// waking says that a write in flight explains why the device starts.
func (d *Device) waking() bool {
	for _, w := range d.writes {
		if w.wakes {
			return true
		}
	}
	return false
}

// expected is the bound once everything in flight has settled as commanded. A write that was found
// undone before, or whose time is over with nothing seen, is not expected to work.
func (d *Device) expected(now time.Duration) Watts {
	switch {
	case d.observe || !d.seen:
		return d.Bound(now)
	case d.doubtful(now):
		return d.Bound(now)
	case d.unsettled():
		return d.cost(d.command)
	case d.unreachable(now):
		return d.Bound(now)
	}
	return d.settled()
}

// doubtful says that a write is in flight that can't be expected to work.
func (d *Device) doubtful(now time.Duration) bool {
	return d.unsettled() && (d.faults.tries > 0 || d.blind || now >= d.validFrom+2*Poll)
}

// cost is the most a device draws when it follows s: the bound of an unsettled write of s.
func (d *Device) cost(s Setting) Watts {
	switch {
	case s.Kind == Sleep && d.learned.asleep > 0:
		return Watts(math.Ceil(d.learned.asleep))
	case s.Kind == Sleep:
		return d.pad(d.traits.Residual)
	case d.open(s):
		return d.Rated()
	}
	return d.flight(d.nominal(s))
}

// priced is the cost of a setting by what is seen as well: a target below the one that is followed draws no
// more than that one does.
func (d *Device) priced(s Setting, now time.Duration) Watts {
	cost := d.cost(s)
	proven := !d.unsettled() && d.stands(now) && d.watched() && d.last.State == Hashing
	if proven && s.Kind != Sleep && !d.open(s) && d.nominal(s) <= d.target() {
		cost = min(cost, d.settled())
	}
	return cost
}

// flight is the most a device draws at a target: its known overshoot and the uncertainty included.
func (d *Device) flight(target Watts) Watts {
	return d.doubt((target*d.learned.over + overUnit - 1) / overUnit)
}

// doubt adds the uncertainty to a target, unless a real meter has shown how the machine keeps to them.
func (d *Device) doubt(target Watts) Watts {
	if d.learned.metered && d.learned.studied {
		return target
	}
	return d.pad(target)
}

// nominal is the watts a setting names.
func (d *Device) nominal(s Setting) Watts {
	if s.Kind == HashMode {
		if i := d.mode(s.Mode); i >= 0 {
			return d.traits.Modes[i].Watts
		}
	}
	if s.Kind != Sleep && s.Watts == 0 {
		return d.Rated()
	}
	return s.Watts
}

// open says that nobody knows how many watts a setting stands for.
func (d *Device) open(s Setting) bool {
	if s.Kind == Sleep || s.Watts > 0 {
		return false
	}
	return s.Kind == HashWatts || d.mode(s.Mode) < 0
}

// sleeps says that the newest reading shows a machine that sleeps, by its watts too.
func (d *Device) sleeps() bool {
	r := &d.last
	if !r.HasWatts || r.State != Sleeping && r.State != Stopping && r.State != Failed {
		return false
	}
	return (d.told() || r.State == Sleeping) && r.Watts <= d.traits.Residual+d.Rated()/10
}

// idle says that the newest reading shows a machine that any target may start.
func (d *Device) idle() bool {
	return d.last.State == Sleeping || d.last.State == Stopping || d.last.State == Failed
}

// target is the watts the firmware follows by the newest reading, 0 where it names none.
func (d *Device) target() Watts {
	if d.last.Target > 0 {
		return d.last.Target
	}
	if d.inMode >= 0 {
		return d.traits.Modes[d.inMode].Watts
	}
	return 0
}

// mode is the index of a profile with known watts, -1 where there is none of that name.
func (d *Device) mode(name string) int {
	if name == "" {
		return -1
	}
	for i := range d.traits.Modes {
		if m := &d.traits.Modes[i]; m.Name == name && m.Watts > 0 {
			return i
		}
	}
	return -1
}

// pad adds the uncertainty of estimates.
func (d *Device) pad(w Watts) Watts { return w + (w*d.uncertainty+99)/100 }

// padded is the newest reading's watts, with uncertainty where they are an estimate.
func (d *Device) padded() Watts {
	if d.last.Estimated {
		return d.pad(d.last.Watts)
	}
	return d.last.Watts
}
