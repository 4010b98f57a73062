package chaos

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
)

// device is the physics of one machine: it ramps from what it drew to what it was told, within the worst
// time that its traits declare, and tells of itself what firmware would.
type device struct {
	h    *history
	name string
	addr string
	// identity is what it says that it is: its name, or that of another where a maker was careless.
	identity string
	pool     *pool
	traits   fit.Traits

	estimated bool
	short     float64 // its own watts over a target, at most 1
	lie       float64 // true watts over its own watts, within the uncertainty
	flutter   float64 // share by which a reading may be low
	haste     float64 // share of an action's worst time that it may let pass before it begins
	liar      float64 // share of its watts that a lying machine owns up to; 0 for an honest one

	set, before fit.Setting
	from, to    float64 // true watts
	begin, end  time.Duration

	deaf      int // writes it will acknowledge and forget
	refuses   int // writes it will refuse
	darkUntil time.Duration
	booted    time.Duration // 0 is long ago
	bootUntil time.Duration
	faulty    bool // it misbehaved in this history
	missed    int  // orders in a row that found no connection
	// order is when the write before arrives: those of one agent keep their order.
	order time.Duration
	// coming is what writes on their way to it would have it draw; wild that it breaks the assumptions.
	coming []*float64
	wild   bool
}

// watts is the true draw now.
func (d *device) watts() float64 {
	now := d.h.now
	switch {
	case now < d.bootUntil:
		return 0
	case now >= d.end:
		return d.to
	case now <= d.begin:
		return d.from
	}
	return d.from + (d.to-d.from)*float64(now-d.begin)/float64(d.end-d.begin)
}

// ceiling is the most it can draw with no further command.
func (d *device) ceiling() float64 {
	if d.h.now >= d.end {
		return d.to
	}
	return max(d.watts(), d.to)
}

func (d *device) named(s fit.Setting) float64 {
	if s.Kind == fit.HashMode {
		for _, m := range d.traits.Modes {
			if m.Name == s.Mode {
				return float64(m.Watts)
			}
		}
	}
	if s.Watts > 0 {
		return float64(s.Watts)
	}
	return float64(d.traits.Nameplate)
}

// settles is the true watts at a setting.
func (d *device) settles(s fit.Setting) float64 {
	if s.Kind == fit.Sleep {
		return float64(d.traits.Residual)
	}
	return d.named(s) * d.short * d.lie
}

func (d *device) follow(delay, ramp time.Duration, s fit.Setting) {
	now := d.h.now
	d.from, d.before = d.watts(), d.shown()
	d.to, d.set = d.settles(s), s
	d.begin, d.end = now+delay, now+delay+ramp
	// The draw is looked at where a ramp begins and ends.
	d.h.at(d.begin, func() {})
	d.h.at(d.end, func() {})
}

// shown is the setting that the machine says it follows.
func (d *device) shown() fit.Setting {
	if d.h.now < d.begin {
		return d.before
	}
	return d.set
}

func (d *device) reachable() bool { return d.h.now >= max(d.darkUntil, d.bootUntil) }

// read is what one look shows, begun now by an agent whose clock shows at.
func (d *device) read(at time.Duration) fit.Reading {
	now, own, set := d.h.now, d.watts(), d.shown()
	if d.estimated || set.Kind != fit.Sleep && now >= d.end {
		own /= d.lie
		own *= 1 - d.flutter*d.h.rng.Float64()
	}
	if d.liar > 0 {
		own *= d.liar
	}
	r := fit.Reading{At: at, HasWatts: true, Watts: fit.Watts(own + 0.999), Estimated: d.estimated, Uptime: d.uptime()}
	switch {
	case set.Kind == fit.Sleep && now < d.end:
		r.State = fit.Stopping
	case set.Kind == fit.Sleep:
		r.State = fit.Sleeping
	case now < d.end && (d.before.Kind == fit.Sleep || now >= d.begin && d.traits.Trim.Restarts):
		r.State = fit.Starting
	default:
		r.State = fit.Hashing
		r.THs = d.named(set) * d.yield()
	}
	if set.Kind == fit.HashWatts {
		r.Target = set.Watts
	}
	if set.Kind == fit.HashMode {
		r.Mode = set.Mode
	}
	return r
}

func (d *device) uptime() time.Duration {
	if d.booted == 0 {
		return d.h.now + time.Hour
	}
	return d.h.now - d.booted
}

func (d *device) yield() float64 {
	return d.traits.NameplateTHs / float64(max(d.traits.Nameplate, 1))
}

// verdict of a write.
type verdict int

const (
	accepted verdict = iota
	refused
	busy
	away
	unanswered
)

// worst is the most that a write of s may take now, by the machine's own traits.
func (d *device) worst(s fit.Setting) time.Duration {
	switch {
	case s.Kind == fit.Sleep:
		return d.traits.Sleep.Worst
	case d.shown().Kind == fit.Sleep && d.h.now >= d.end:
		return d.traits.Wake.Worst
	}
	return min(d.traits.Trim.Worst, d.traits.Wake.Worst)
}

// obey is a write reaching the machine, left of its time: what of the worst time has not passed yet.
func (d *device) obey(a *agent, s fit.Setting, passed time.Duration) verdict {
	h := d.h
	switch {
	case !d.reachable() && h.chance(0.3):
		return away
	case !d.reachable():
		return unanswered
	case d.refuses > 0:
		d.refuses--
		return pick(&h.sim, []verdict{refused, refused, busy})
	case d.deaf > 0:
		d.deaf--
		h.logf("%s is deaf to %v of %s", d.name, s, a.name)
		return accepted
	}
	h.check.commanded(d, a, s)
	left := max(0, d.worst(s)*99/100-passed)
	delay := time.Duration(h.rng.Float64() * d.haste * float64(left))
	ramp := time.Duration(h.rng.Float64() * float64(left-delay))
	d.follow(delay, ramp, s)
	h.logf("%s takes %v of %s: %.0f W to %.0f W in %.1f s", d.name, s, a.name, d.from, d.to, (delay + ramp).Seconds())
	return accepted
}

// reboot takes the machine off for a while; it comes back to what it was told, where that survives.
func (d *device) reboot(hot bool) {
	h := d.h
	off := h.between(10*time.Second, 40*time.Second)
	s := d.set
	if hot {
		s = d.full()
	}
	up := h.now + off
	d.bootUntil = up
	h.at(up, func() {
		if d.bootUntil != up {
			return // it went off once more before it was up
		}
		d.booted = h.now
		d.before = fit.Setting{Kind: fit.Sleep}
		d.from, d.to, d.set = float64(d.traits.Residual), d.settles(s), s
		d.begin, d.end = h.now, h.now+h.between(time.Second, 10*time.Second)
		h.at(d.end, func() {})
	})
	h.logf("%s reboots for %.0f s, then %v", d.name, off.Seconds(), s)
}

// full is what the machine runs by itself.
func (d *device) full() fit.Setting {
	t := &d.traits
	if t.Max > 0 {
		return fit.Setting{Kind: fit.HashWatts, Watts: min(t.Max, t.Nameplate)}
	}
	for _, m := range slices.Backward(t.Modes) {
		if m.Watts <= t.Nameplate {
			return fit.Setting{Kind: fit.HashMode, Watts: m.Watts, Mode: m.Name}
		}
	}
	return fit.Setting{Kind: fit.HashMode}
}

const sec = time.Second

// models are like real machines, with times as firmware might have.
var models = []fit.Traits{
	{ // continuous, fast
		CanSleep: true, SleepSurvivesReboot: true, Min: 1800, Max: 3600, Step: 10, Nameplate: 3500, NameplateTHs: 200, Residual: 30,
		Sleep: fit.Timing{Worst: 6 * sec}, Wake: fit.Timing{Worst: 20 * sec}, Trim: fit.Timing{Worst: 8 * sec},
	},
	{ // continuous, inefficient
		CanSleep: true, SleepSurvivesReboot: true, Min: 1500, Max: 3300, Step: 1, Nameplate: 3068, NameplateTHs: 104,
		Residual: 20, Sleep: fit.Timing{Worst: 3 * sec}, Wake: fit.Timing{Worst: 30 * sec}, Trim: fit.Timing{Worst: 10 * sec},
	},
	{ // profiles, the lower the better
		CanSleep: true, SleepSurvivesReboot: true, Nameplate: 3010, NameplateTHs: 140, Residual: 25,
		Modes: []fit.Mode{{Name: "low", Watts: 1500, THs: 84}, {Name: "mid", Watts: 2200, THs: 114}, {Name: "default", Watts: 3010, THs: 140}, {Name: "high", Watts: 3600, THs: 155}},
		Sleep: fit.Timing{Worst: 5 * sec}, Wake: fit.Timing{Worst: 25 * sec}, Trim: fit.Timing{Worst: 25 * sec},
	},
	{ // on and off, slow
		CanSleep: true, Nameplate: 2760, NameplateTHs: 120, Residual: 15,
		Sleep: fit.Timing{Worst: 15 * sec}, Wake: fit.Timing{Worst: 40 * sec},
	},
	{ // profiles, each change of which restarts it
		CanSleep: true, SleepSurvivesReboot: true, Nameplate: 3250, NameplateTHs: 110, Residual: 18,
		Modes: []fit.Mode{{Name: "low", Watts: 2400, THs: 86}, {Name: "default", Watts: 3250, THs: 110}},
		Sleep: fit.Timing{Worst: 8 * sec}, Wake: fit.Timing{Worst: 30 * sec, Restarts: true}, Trim: fit.Timing{Worst: 30 * sec, Restarts: true},
	},
}
