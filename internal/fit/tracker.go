package fit

import "time"

const (
	// Poll is how often an agent looks at each device.
	Poll = 5 * time.Second
	// QuickPoll is how soon after a write should have settled the agent looks whether it did.
	QuickPoll = time.Second

	// missedPolls make a device unreachable (L5); volatileMissed stops a reading of a sleep that a
	// reboot would undo from standing for a bound (liveness h).
	missedPolls    = 3
	volatileMissed = 1
)

// Device is what is known of one machine: its newest reading, the writes that may still be taking
// effect, and the command it should be following. It is used by one goroutine at a time.
type Device struct {
	key         string
	uncertainty Watts // percent on top of estimated watts
	observe     bool
	traits      Traits

	last    Reading
	seen    bool
	first   time.Duration // At of this run's first reading (L3)
	missed  int
	highest Watts // most ever measured, uncertainty included
	hashed  bool  // highest includes a hashing reading
	asleep  Watts // newest measured watts asleep, uncertainty included; 0 before the first
	slept   bool
	over    Watts // highest measured/target seen while settled, in thousandths, at least 1000

	writes []write
	// validFrom is when the last write settles at worst; a reading begun earlier proves nothing (L5).
	validFrom time.Duration
	held      Watts // bound before the unsettled writes, which still counts until a valid reading

	prior     Setting
	command   Setting
	commanded bool
	verified  bool // the newest valid reading agreed with command
	rebooted  bool // it had obeyed, then was read above its command
	stuck     bool
	tries     int           // writes of command found undone
	tryAfter  time.Duration // no retry and no raise before
	lastWrite time.Duration
	restarted time.Duration // last write that restarts mining
	hasWrite  bool
	hasReboot bool
}

// write is a command that may be taking effect until end.
type write struct {
	end     time.Duration
	watts   Watts // the most it can make the device draw
	restore undo
}

// undo is the state before a write, for when it turns out never to have reached the machine.
type undo struct {
	validFrom, lastWrite, restarted time.Duration
	held                            Watts
	command                         Setting
	commanded, verified             bool
	hasWrite, hasReboot             bool
}

// NewDevice starts tracking a machine. key is its identity, uncertaintyPercent goes on top of watts
// that its firmware estimates, and observe forbids every order to it.
func NewDevice(key string, uncertaintyPercent int, observe bool) *Device {
	return &Device{key: key, uncertainty: Watts(max(uncertaintyPercent, 0)), observe: observe, over: 1000}
}

// Key is the device's identity.
func (d *Device) Key() string { return d.key }

// Learn takes what the device's driver found it can do.
func (d *Device) Learn(t Traits) { d.traits = t }

// Saw takes a successful reading. One begun before the newest known is ignored.
func (d *Device) Saw(r Reading) {
	if d.seen && r.At < d.last.At {
		return
	}
	if !d.seen {
		d.first = r.At
	}
	d.seen, d.missed, d.last = true, 0, r
	d.measure(r)
	if r.At < d.validFrom {
		return
	}
	d.held = 0
	kept := d.writes[:0]
	for _, w := range d.writes {
		if w.end > r.At {
			kept = append(kept, w)
		}
	}
	d.writes = kept
	d.judge(r)
}

// Missed counts a poll that failed.
func (d *Device) Missed(_ time.Duration) { d.missed++ }

// Write says that a setting is about to be sent: from now on it may have happened.
func (d *Device) Write(at time.Duration, s Setting) {
	before := undo{d.validFrom, d.lastWrite, d.restarted, d.held, d.command, d.commanded, d.verified, d.hasWrite, d.hasReboot}
	if d.prior.Kind == Sleep {
		d.prior = d.full()
	}
	held := d.Bound(at)
	t := d.timing(s)
	d.writes = append(d.writes, write{end: at + t.Worst, watts: d.cost(s), restore: before})
	d.held = held
	d.validFrom = max(d.validFrom, at+t.Worst)
	if !d.commanded || s != d.command {
		d.tries, d.rebooted = 0, false
	}
	d.command, d.commanded, d.verified = s, true, false
	d.lastWrite, d.hasWrite = at, true
	if t.Restarts && s.Kind != Sleep {
		d.restarted, d.hasReboot = at, true
	}
}

// Refused says that the machine surely did not take the last Write.
func (d *Device) Refused(at time.Duration) {
	if len(d.writes) == 0 {
		return
	}
	n := len(d.writes) - 1
	u := d.writes[n].restore
	d.writes = d.writes[:n]
	d.validFrom, d.lastWrite, d.restarted = u.validFrom, u.lastWrite, u.restarted
	d.held, d.command, d.commanded, d.verified = u.held, u.command, u.commanded, u.verified
	d.hasWrite, d.hasReboot = u.hasWrite, u.hasReboot
	d.tryAfter = at + 10*time.Second
}

// Prior is what the device ran before it was first commanded away from it; its Kind is Sleep where
// that is not known.
func (d *Device) Prior() Setting { return d.prior }

// SetPrior restores what an earlier run of the agent remembered.
func (d *Device) SetPrior(s Setting) {
	if s.Kind != Sleep {
		d.prior = s
	}
}

// timing of a setting, from what the device does now.
func (d *Device) timing(s Setting) Timing {
	if s.Kind == Sleep {
		return d.traits.Sleep
	}
	if d.seen && !d.unsettled() && !d.isAsleep(d.last) {
		return d.traits.Trim
	}
	return Timing{
		Worst:    max(d.traits.Wake.Worst, d.traits.Trim.Worst),
		Restarts: d.traits.Wake.Restarts,
	}
}

// measure keeps what a reading teaches whatever is in flight.
func (d *Device) measure(r Reading) {
	if !r.HasWatts {
		return
	}
	d.highest = max(d.highest, d.padded(r))
	d.hashed = d.hashed || r.State == Hashing
}

// judge compares a valid reading with the command in force.
func (d *Device) judge(r Reading) {
	if !r.HasWatts {
		return
	}
	if d.isAsleep(r) {
		d.asleep, d.slept = d.padded(r), true
	}
	if !d.commanded {
		return
	}
	above := d.command.Kind == Sleep && !d.isAsleep(r)
	switch {
	case !above:
		d.verified, d.stuck, d.rebooted, d.tries = true, false, false, 0
	case d.verified:
		d.verified, d.rebooted, d.tryAfter = false, true, r.At
	case d.lastWrite >= d.tryAfter:
		d.tries++
		d.tryAfter = r.At + time.Duration(d.tries)*10*time.Second
		d.stuck = d.tries > 2
	}
}
