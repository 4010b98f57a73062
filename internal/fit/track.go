package fit

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// Poll is how often an agent looks at each device.
	Poll = 5 * time.Second
	// QuickPoll is how soon after a write should have settled an agent looks whether it did.
	QuickPoll = time.Second

	// missedPolls make a device unreachable (L5); volatileMissed is how many end the word of a reading
	// of a sleep that a reboot would undo (liveness h).
	missedPolls    = 3
	volatileMissed = 1

	// refusedRest is how long a device is left alone that refused a write; it doubles with each
	// refusal in a row, up to refusedLongest.
	refusedRest    = 10 * time.Second
	refusedLongest = 600 * time.Second

	// overUnit is measured watts like the target; it forgets a higher share by one part per reading.
	overUnit = 16_000

	never = time.Duration(math.MinInt64 / 2)
)

// Device is what is known of one machine: its newest reading, the writes that may still be taking
// effect, and the command it should be following. It is used by one goroutine at a time.
type Device struct {
	key         string
	uncertainty Watts // percent on top of estimated watts
	observe     bool
	traits      Traits
	highest     Watts // of its profiles and its range

	last   Reading
	inMode int // the profile of last, -1 where it names none that is known
	seen   bool
	first  time.Duration // At of this run's first reading (L3)
	missed int
	doubts int // readings in a row whose watts were implausible

	learned learned
	prior   Setting // Kind Sleep where it is not known

	standing
	writes []write
	// held is the bound before the unsettled writes; it counts until a valid reading replaces it.
	held Watts

	faults faults
}

// learned is what readings taught about a machine.
type learned struct {
	highest Watts   // most ever measured, uncertainty included
	hashed  bool    // a hashing reading was among them
	usual   Watts   // most measured hashing by a setting that names no watts, before any command; 0 where there was none
	asleep  float64 // watts asleep as measured, uncertainty included: the peak, slowly forgotten; 0 before the first
	over    Watts   // measured by target in parts of overUnit, never less than one
	studied bool    // over was learned
	metered bool    // the newest watts were no estimate
	health  int     // hash rate by what its traits promise, in twentieths; 0 before the first
	hashAvg float64
	calm    float64 // settled bound, smoothed
	sway    float64 // how far it strays from that
}

// standing is what was commanded; a refused write puts the former state back.
type standing struct {
	command   Setting
	commanded bool
	judged    bool // a valid reading was compared with command
	verified  bool // the newest such reading did not draw above it
	blind     bool // commanded while nobody could see the device
	// unanswered says that the device gave the last write no answer: it may never have arrived.
	unanswered bool
	// validFrom is when the last write settles at worst; a reading begun earlier proves nothing (L5).
	validFrom time.Duration
	lastWrite time.Duration
	restarted time.Duration // the last write that restarts mining
}

// write is a command that may be taking effect until end.
type write struct {
	end    time.Duration
	watts  Watts // the most it can make the device draw
	wakes  bool  // it makes the device hash
	former standing
}

// NewDevice starts tracking a machine. key is its identity, uncertaintyPercent goes on top of watts
// that its firmware estimates, and observe forbids every order to it.
func NewDevice(key string, uncertaintyPercent int, observe bool) *Device {
	return &Device{
		key: key, inMode: -1, uncertainty: Watts(max(uncertaintyPercent, 0)), observe: observe,
		learned:  learned{over: overUnit},
		standing: standing{validFrom: never, lastWrite: never, restarted: never},
		faults:   faults{retryAt: never, raiseAt: never, writeAt: never, trimAt: never},
	}
}

// Again is the device under another uncertainty, or another right to command it. What it was told and what was learned
// of it by the former is forgotten; since when this run looks on (L3) and the rests between writes are not.
func (d *Device) Again(uncertaintyPercent int, observe bool) *Device {
	again := NewDevice(d.key, uncertaintyPercent, observe)
	again.Learn(d.traits)
	again.prior, again.seen, again.first, again.last = d.prior, d.seen, d.first, d.last
	again.lastWrite, again.restarted = d.lastWrite, d.restarted
	return again
}

// Key is the device's identity.
func (d *Device) Key() string { return d.key }

// Learn takes what the device's driver found it can do.
func (d *Device) Learn(t Traits) {
	d.traits, d.highest = t, t.Max
	for _, m := range t.Modes {
		d.highest = max(d.highest, m.Watts)
	}
	d.inMode = d.mode(d.last.Mode)
}

// Saw takes a successful reading. One begun before the newest known is ignored.
func (d *Device) Saw(r Reading) {
	if d.seen && r.At < d.last.At {
		return
	}
	d.note(r)
	r = d.last
	if d.arrived() {
		d.writes[len(d.writes)-1].end = r.At
	}
	if d.unsettled() {
		return
	}
	d.held = 0
	d.writes = pending(d.writes, r.At)
	moved := d.commanded && !d.judged
	d.judge(r)
	d.study(r)
	d.studySway(moved)
}

// note keeps the reading and what counts of it whatever is in flight.
func (d *Device) note(r Reading) {
	if !d.seen {
		d.first = r.At
	}
	d.seen, d.missed, d.last = true, 0, r
	d.inMode = d.mode(r.Mode)
	d.doubts++
	if !d.implausible() {
		d.doubts = 0
	}
	// One that is off may be noise. Where a target bounds the machine, that counts, and its watts are only told of.
	d.last.HasWatts = r.HasWatts && (!d.lies() || d.target() > 0)
	if d.last.HasWatts {
		d.learned.highest = max(d.learned.highest, d.padded())
		d.learned.hashed = d.learned.hashed || r.State == Hashing
		d.learned.metered = !r.Estimated
		d.studyUsual()
	}
}

// studyUsual learns what a machine draws by a setting of its own that names no watts (a mode, say), so that it can
// be put back to that. One that has just started may have yet to get there.
func (d *Device) studyUsual() {
	r, t := &d.last, &d.traits
	started := r.Uptime > 0 && r.Uptime < t.Wake.Worst
	if r.State != Hashing || started || d.commanded || d.target() > 0 || t.Max == 0 {
		return
	}
	step := max(t.Step, 1)
	d.learned.usual = max(d.learned.usual, (r.Watts+step-1)/step*step)
}

// lies says that the newest readings in a row told watts that can't be true.
func (d *Device) lies() bool { return d.doubts >= missedPolls }

// implausible says that a machine owns up to less than two thirds of what its hash rate takes at its nameplate's
// efficiency, and of its target where it has one. Hardly any tuning saves as much: its watts are no watts.
func (d *Device) implausible() bool {
	t, r := &d.traits, &d.last
	if r.State != Hashing || t.NameplateTHs <= 0 {
		return false
	}
	takes := r.THs * float64(cmp.Or(t.Nominal, t.Nameplate)) / t.NameplateTHs
	if float64(r.Watts)*3 >= takes*2 {
		return false
	}
	// On the way to another target the hash rate, often an average, lags behind.
	target := d.target()
	return target == 0 || !d.unsettled() && r.Watts*3 < target*2
}

// pending keeps the writes that may still be taking effect.
func pending(writes []write, at time.Duration) []write {
	return slices.DeleteFunc(writes, func(w write) bool { return w.end <= at })
}

// arrived says that the newest reading shows the last raise in effect before its time. It counts on while
// it settles; a later write need not wait for it, since it can't happen once more. A lower draw proves
// nothing early (L5).
func (d *Device) arrived() bool {
	if !d.unsettled() || len(d.writes) == 0 || d.command.Kind == Sleep || d.open(d.command) {
		return false
	}
	raised := d.writes[len(d.writes)-1].watts >= d.held && d.last.At > d.lastWrite
	want := d.nominal(d.command)
	off := d.target() - want
	return raised && d.last.State == Hashing && d.last.Watts*10 >= want*9 && max(off, -off) <= d.near(want)
}

// near is how far a target may be off and still be the one that was told.
func (d *Device) near(want Watts) Watts { return max(d.traits.Step, want/50) }

// studySway learns how much the bound flutters by itself, so that raises leave that much. What a write
// moved is no flutter, nor is a change too large for it.
func (d *Device) studySway(moved bool) {
	b, l := float64(d.settled()), &d.learned
	stray := math.Abs(b - l.calm)
	if moved || l.calm == 0 || stray > float64(d.worthwhile())*3 {
		l.calm = b
		return
	}
	l.calm += (b - l.calm) / 8
	l.sway = max(stray, l.sway*63/64)
}

// Missed counts a poll that failed.
func (d *Device) Missed(_ time.Duration) { d.missed++ }

// Moved says that the device was met where nobody looked at it yet: what was read of it elsewhere bounds it no longer.
func (d *Device) Moved() { d.missed = max(d.missed, missedPolls) }

// Write says that a setting is about to be sent: from now on it may have happened.
func (d *Device) Write(at time.Duration, s Setting) {
	if d.prior.Kind == Sleep {
		d.prior = d.full()
	}
	held, former, t := d.Bound(at), d.standing, d.timing(s)
	// What an ended write may have done is part of held.
	d.writes = pending(d.writes, at)
	d.writes = append(d.writes, write{end: at + t.Worst, watts: d.priced(s, at), wakes: s.Kind != Sleep, former: former})
	d.held = held
	if !d.commanded || s != d.command {
		d.faults.tries, d.faults.rebooted = 0, false
	}
	if s.Kind == Sleep && d.last.State == Failed {
		d.faults.raiseAt = at + failedRest
	}
	d.standing = standing{
		command: s, commanded: true, blind: d.unreachable(at),
		validFrom: at + t.Worst, lastWrite: at, restarted: former.restarted,
	}
	if t.Restarts && s.Kind != Sleep {
		d.restarted = at
	}
}

// Unanswered says that the device said nothing to the last Write: it may have happened and may not.
func (d *Device) Unanswered() { d.unanswered = true }

// Unsent says that the last Write never took place. held stays until the next valid reading, which costs one
// poll and needs no bookkeeping.
func (d *Device) Unsent() {
	if n := len(d.writes) - 1; n >= 0 {
		d.standing, d.writes = d.writes[n].former, d.writes[:n]
	}
}

// Refused says that the machine surely did not take the last Write: it is unsent, and the device is left alone
// for a while.
func (d *Device) Refused(at time.Duration) {
	if len(d.writes) == 0 {
		return
	}
	d.Unsent()
	d.faults.refusals++
	d.faults.writeAt = at + min(refusedRest<<min(d.faults.refusals-1, 10), refusedLongest)
}

// Prior is what the device ran before it was first commanded away from it; its Kind is Sleep where
// that is not known.
func (d *Device) Prior() Setting { return d.prior }

// SetPrior restores what an earlier run of the agent remembered. Fit never raises a device above it.
func (d *Device) SetPrior(s Setting) {
	if s.Kind != Sleep {
		d.prior = s
	}
}

// timing of a setting, from what the device does now; the slower one where that is not certain.
func (d *Device) timing(s Setting) Timing {
	t := d.traits
	switch {
	case s.Kind == Sleep:
		return t.Sleep
	case d.seen && !d.unsettled() && d.last.State == Hashing:
		return t.Trim
	case d.seen && !d.unsettled() && d.sleeps():
		return t.Wake
	default:
		return Timing{Worst: max(t.Wake.Worst, t.Trim.Worst), Restarts: t.Wake.Restarts || t.Trim.Restarts}
	}
}

// study learns from a valid reading how the machine keeps to its targets and its hash rate. It waits
// until no former run's write can be in flight (L3), so that a ramp teaches nothing.
func (d *Device) study(r Reading) {
	if !r.HasWatts {
		return
	}
	if d.sleeps() {
		l, w := &d.learned, float64(d.padded())
		l.asleep = max(w, l.asleep-(l.asleep-w)/64)
		return
	}
	if r.State != Hashing || !d.watched() || (d.commanded && !d.verified) {
		return
	}
	if t := d.target(); t > 0 {
		ratio := min((r.Watts*overUnit+t-1)/t, mostOver)
		d.learned.over, d.learned.studied = max(overUnit, ratio, d.learned.over-1), true
	}
	d.studyHash(r)
}

// studyHash keeps the share of the promised hash rate in coarse steps, so that noise never changes
// the order of devices.
func (d *Device) studyHash(r Reading) {
	promised := d.promised(d.running())
	if r.THs <= 0 || promised <= 0 {
		return
	}
	l, share := &d.learned, min(r.THs/promised, 4)
	if l.health == 0 {
		l.hashAvg = share
	}
	l.hashAvg += (share - l.hashAvg) / 8
	if math.Abs(l.hashAvg*20-float64(l.health)) > 0.8 {
		l.health = max(1, int(math.Round(l.hashAvg*20)))
	}
}
