package fit

import "time"

const (
	// retries of a write that was verified not done; after them the device is stuck.
	retries = 2
	// retryRest spaces them, growing with each; stuckRest spaces the attempts after the last.
	retryRest = 10 * time.Second
	stuckRest = 600 * time.Second
	// shortRest follows a raise that the device did not follow, shortLongest the ones after it.
	shortRest    = 60 * time.Second
	shortLongest = 3600 * time.Second
	// failedRest keeps a machine asleep that was put to sleep because it had failed.
	failedRest = 1800 * time.Second
	// untrimRest is how long no target is tried on a device that did not follow targets.
	untrimRest = 3600 * time.Second
	// balkAfter raises or refusals in a row the device counts as stuck where it is.
	balkAfter = 3
	// mostOver is the most that measured watts may exceed a target and still be its overshoot.
	mostOver = overUnit * 13 / 10
)

// faults is what the device did not do as told.
type faults struct {
	tries    int  // writes of the command found undone, in a row
	stuck    bool // tries are used up: it can't be shed
	rebooted bool // it had obeyed, then was read above its command
	shorts   int  // raises not followed, in a row
	refusals int  // writes refused, in a row

	retryAt time.Duration // no repeat of the command before
	raiseAt time.Duration // no raise before
	writeAt time.Duration // nothing at all before
	trimAt  time.Duration // no targets or profiles before
}

// verdict on a command.
type verdict int

const (
	done verdict = iota
	above
	below
)

// judge compares a valid reading with the command in force. Watts decide, never an acknowledgement.
func (d *Device) judge(r Reading) {
	if !d.commanded || !r.HasWatts || (r.State == Starting && d.command.Kind != Sleep) {
		return
	}
	first, f := !d.judged, &d.faults
	d.judged = true
	if first {
		f.refusals = 0 // it took a write
	}
	v := d.compare(r)
	switch {
	case v != above:
		d.verified = true
		f.tries, f.stuck, f.rebooted = 0, false, false
		d.rose(v, first, r.At)
	case d.verified:
		// It obeyed once and no more: it rebooted hot, or somebody else commands it.
		d.verified = false
		f.rebooted, f.retryAt = true, r.At
	case first:
		d.undone(r.At, d.unanswered || r.restartedAfter(d.lastWrite))
	}
}

// rose counts the raises that a device did not follow.
func (d *Device) rose(v verdict, first bool, at time.Duration) {
	f := &d.faults
	switch {
	case v == below && first:
		f.shorts++
		f.raiseAt = at + min(shortRest*time.Duration(f.shorts*f.shorts), shortLongest)
	case v == done && d.command.Kind != Sleep:
		f.shorts = 0
	}
}

// undone counts a write that took no effect, and gives up after the last retry. One that got no answer, or before the
// machine restarted, was lost rather than ignored, and the first repeat of it does not wait: a limit may be about to fall.
func (d *Device) undone(at time.Duration, lost bool) {
	f := &d.faults
	f.tries++
	f.retryAt = at + retryRest*time.Duration(f.tries)
	if f.tries == 1 && lost {
		f.retryAt = at
	}
	switch {
	case f.tries <= retries:
	case d.command.Kind != Sleep && d.traits.CanSleep:
		// Targets do not work here; sleep is the other method.
		d.commanded = false
		f.tries, f.trimAt = 0, at+untrimRest
	default:
		f.stuck, f.retryAt = true, at+stuckRest
		if lost {
			f.retryAt = at + blindRest // it may do as told yet, once an order gets through
		}
	}
}

// compare says whether a reading agrees with the command.
func (d *Device) compare(r Reading) verdict {
	if d.command.Kind == Sleep {
		if d.sleeps() {
			return done
		}
		return above
	}
	want := d.nominal(d.command)
	switch {
	case d.sleeps():
		return below
	case d.open(d.command):
		return done
	case d.exceeds(want):
		return above
	case r.State != Hashing && r.State != Unknown || d.short(want):
		return below
	}
	return done
}

// exceeds says that the device goes past its target, by the one it names or by its watts.
func (d *Device) exceeds(want Watts) bool {
	return d.target() > want+d.near(want) || d.last.Watts*overUnit*10 > want*d.learned.over*11
}

// short says that the device stays below its target: by the one it names, else by its watts.
func (d *Device) short(want Watts) bool {
	if target := d.target(); target > 0 {
		return target < want-d.near(want)
	}
	return d.last.Watts*10 < want*7
}

// oversleeps says that the device does not wake when told.
func (d *Device) oversleeps() bool { return d.faults.shorts >= balkAfter && d.sleeps() }

// balks says that the device can't be counted on to take orders. One that only refused them gets
// another chance some time after its last rest.
func (d *Device) balks(now time.Duration) bool {
	return d.faults.stuck || d.faults.refusals >= balkAfter && now < d.faults.writeAt+refusedLongest
}
