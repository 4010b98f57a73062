package fit

import (
	"math"
	"slices"
	"time"
)

const (
	// plainYield is TH/s per watt where nothing is known of a machine: about that of an old one.
	plainYield = 0.03
	// worthLevel is how much better the hash rate per watt below a level must be than above it (in
	// percent) for devices to be left there rather than slept: every level more is more writes.
	worthLevel = 3
	// mostLevels of one device, sleep and full included.
	mostLevels = 5
)

// level is one thing a device can do for longer. It holds no pointers: a plan sorts many of them.
type level struct {
	what  int   // index of a profile, or one of the negative ones below
	watts Watts // as named by the setting; 0 asleep
	cost  Watts // its bound while that is being settled
	ths   float64
}

// What a level is, if not a profile.
const (
	asleep   = -1 - iota
	atTarget // a watt target
	asFull   // full, where that is in no list of profiles
)

func (d *Device) level(s Setting) level {
	switch {
	case s.Kind == Sleep:
		return level{what: asleep, cost: d.cost(s)}
	case s.Kind == HashWatts:
		return level{what: atTarget, watts: d.nominal(s), cost: d.cost(s), ths: d.ths(s)}
	}
	if i := d.mode(s.Mode); i >= 0 {
		return d.modeLevel(i)
	}
	return level{what: asFull, watts: d.nominal(s), cost: d.cost(s), ths: d.ths(s)}
}

func (d *Device) modeLevel(i int) level {
	m := d.traits.Modes[i]
	return level{what: i, watts: m.Watts, cost: d.flight(m.Watts), ths: d.share() * d.modeTHs(m)}
}

func (d *Device) targetLevel(w Watts) level {
	return level{what: atTarget, watts: w, cost: d.flight(w), ths: d.share() * float64(w) * d.yield()}
}

// setting that brings a device to a level.
func (d *Device) setting(l level) Setting {
	switch l.what {
	case asleep:
		return Setting{Kind: Sleep}
	case atTarget:
		return Setting{Kind: HashWatts, Watts: l.watts}
	case asFull:
		return d.full()
	}
	return modeSetting(d.traits.Modes[l.what])
}

func modeSetting(m Mode) Setting { return Setting{Kind: HashMode, Watts: m.Watts, Mode: m.Name} }

// lowest is the least the device can be told to do; false where it can be told nothing.
func (d *Device) lowest() (level, bool) {
	if d.traits.CanSleep {
		return d.level(Setting{Kind: Sleep}), true
	}
	return d.leastHash()
}

// leastHash is the lowest level at which a device still hashes, where there is any but full.
func (d *Device) leastHash() (level, bool) {
	best, ok := level{}, false
	if t := d.traits; t.Max > 0 {
		best, ok = d.targetLevel(max(t.Min, 1)), true
	}
	if len(d.traits.Modes) > 0 {
		if m := d.modeLevel(0); !ok || m.cost < best.cost {
			best, ok = m, true
		}
	}
	return best, ok
}

// full is what the device does when nothing holds it back: what it ran before it was first commanded,
// as far as that is known, else its nameplate. Fit never goes above it: to overclock is a person's choice.
func (d *Device) full() Setting {
	if d.prior.Kind != Sleep && d.has(d.prior) {
		return d.clipped(d.prior)
	}
	if !d.commanded && d.seen {
		if d.inMode >= 0 {
			return modeSetting(d.traits.Modes[d.inMode])
		}
		if d.last.Target > 0 && d.traits.Max > 0 {
			return d.clipped(Setting{Kind: HashWatts, Watts: d.last.Target})
		}
	}
	if d.learned.usual > 0 {
		return d.clipped(Setting{Kind: HashWatts, Watts: d.learned.usual})
	}
	return d.traits.normal()
}

// has says whether the machine has a setting: what is remembered may be of another that was taken for it.
func (d *Device) has(s Setting) bool {
	if s.Kind == HashWatts {
		return d.traits.Max > 0
	}
	return s.Mode == "" || slices.ContainsFunc(d.traits.Modes, func(m Mode) bool { return m.Name == s.Mode })
}

// normal is the highest setting up to the nameplate.
func (t *Traits) normal() Setting {
	top := t.Nameplate
	if top == 0 {
		top = math.MaxInt64
	}
	if t.Max > 0 {
		return Setting{Kind: HashWatts, Watts: max(t.Min, min(t.Max, top))}
	}
	for i, m := range slices.Backward(t.Modes) {
		if i == 0 || m.Watts <= top {
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

// doing is what the newest reading shows the device at.
func (d *Device) doing() Setting {
	if d.sleeps() {
		return Setting{Kind: Sleep}
	}
	return d.running()
}

// running is what the newest reading shows the device at, when it is not asleep.
func (d *Device) running() Setting {
	if d.inMode >= 0 {
		return modeSetting(d.traits.Modes[d.inMode])
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
	l := level{what: asleep}
	switch {
	case d.unsettled() && !d.doubtful(now):
		l = d.level(d.command)
	case !d.sleeps():
		l = d.level(d.running())
		if d.last.State != Hashing && d.last.State != Unknown && d.last.State != Starting {
			l.ths = 0
		}
	}
	l.cost = d.expected(now)
	return l
}

// ths is the hash rate at a setting, by the machine's traits and how it has kept to them.
func (d *Device) ths(s Setting) float64 { return d.share() * d.promised(s) }

func (d *Device) share() float64 {
	if d.learned.health == 0 {
		return 1
	}
	return float64(d.learned.health) / 20
}

// promised is the hash rate at a setting by the machine's traits alone.
func (d *Device) promised(s Setting) float64 {
	if s.Kind == HashMode {
		if i := d.mode(s.Mode); i >= 0 {
			return d.modeTHs(d.traits.Modes[i])
		}
	}
	w := d.nominal(s)
	if d.open(s) && d.traits.Nameplate > 0 {
		w = d.traits.Nameplate
	}
	return float64(w) * d.yield()
}

func (d *Device) modeTHs(m Mode) float64 {
	if m.THs > 0 {
		return m.THs
	}
	return float64(m.Watts) * d.yield()
}

// yield is TH/s per watt by the machine's traits.
func (d *Device) yield() float64 {
	t := &d.traits
	if t.Nameplate > 0 && t.NameplateTHs > 0 {
		return t.NameplateTHs / float64(t.Nameplate)
	}
	for _, m := range slices.Backward(t.Modes) {
		if m.THs > 0 && m.Watts > 0 {
			return m.THs / float64(m.Watts)
		}
	}
	return plainYield
}

// trims says whether targets or profiles between sleep and full can be used now.
func (d *Device) trims(now time.Duration) bool {
	return (d.traits.Max > 0 || len(d.traits.Modes) > 0) && now >= d.faults.trimAt
}

// within is the most the device can do for at most cost watts, strictly below so many named watts.
func (d *Device) within(cost, below Watts) (level, bool) {
	best, ok := level{}, false
	if t := &d.traits; t.Max > 0 {
		target := min(d.targetWithin(min(cost, d.flight(below)-1)), t.Max)
		if target >= max(t.Min, 1) && target < below {
			best, ok = d.targetLevel(target), true
		}
	}
	for i, m := range d.traits.Modes {
		if m.Watts <= 0 || m.Watts >= below || d.flight(m.Watts) > cost {
			continue
		}
		if l := d.modeLevel(i); !ok || l.ths > best.ths {
			best, ok = l, true
		}
	}
	return best, ok
}

// targetWithin is the highest target on the machine's steps whose flight is within cost, 0 for none.
func (d *Device) targetWithin(cost Watts) Watts {
	t := &d.traits
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
