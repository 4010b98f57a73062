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
	first := !d.judged
	d.judged = true
	f := &d.faults
	switch v := d.compare(r); {
	case v == done:
		d.verified = true
		f.tries, f.refusals, f.stuck, f.rebooted = 0, 0, false, false
		if d.command.Kind != Sleep {
			f.shorts = 0
		}
	case v == below:
		d.verified = true
		f.tries, f.stuck, f.rebooted = 0, false, false
		if first {
			f.shorts++
			f.raiseAt = r.At + min(shortRest*time.Duration(f.shorts*f.shorts), shortLongest)
		}
	case d.verified:
		// It obeyed once and no more: it rebooted hot, or somebody else commands it.
		d.verified = false
		f.rebooted, f.retryAt = true, r.At
	case first:
		d.undone(r.At)
	}
}

// undone counts a write that took no effect, and gives up after the last retry.
func (d *Device) undone(at time.Duration) {
	f := &d.faults
	f.tries++
	f.retryAt = at + retryRest*time.Duration(f.tries)
	switch {
	case f.tries <= retries:
	case d.command.Kind != Sleep && d.traits.CanSleep:
		// Targets do not work here; sleep is the other method.
		d.commanded = false
		f.tries, f.trimAt = 0, at+untrimRest
	default:
		f.stuck, f.retryAt = true, at+stuckRest
	}
}

// compare says whether a reading agrees with the command.
func (d *Device) compare(r Reading) verdict {
	sleeps := d.sleeps()
	if d.command.Kind == Sleep {
		if sleeps {
			return done
		}
		return above
	}
	want, target := d.nominal(d.command), d.target()
	near := max(d.traits.Step, want/50)
	switch {
	case sleeps:
		return below
	case d.open(d.command):
		return done
	case target > want+near || r.Watts*overUnit*10 > want*d.learned.over*11:
		return above
	case r.State != Hashing && r.State != Unknown:
		return below
	case target > 0 && target < want-near:
		return below
	case target == 0 && r.Watts*10 < want*7:
		return below
	}
	return done
}

// oversleeps says that the device does not wake when told.
func (d *Device) oversleeps() bool { return d.faults.shorts >= balkAfter && d.sleeps() }

// balks says that the device can't be counted on to take orders. One that only refused them gets
// another chance some time after its last rest.
func (d *Device) balks(now time.Duration) bool {
	return d.faults.stuck || d.faults.refusals >= balkAfter && now < d.faults.writeAt+refusedLongest
}
