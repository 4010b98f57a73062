package fit

import "time"

// Condition of a device, for counts and for people.
type Condition string

// The conditions of a device.
const (
	// IsHashing: it mines, as far as its watts and its own word show.
	IsHashing Condition = "Hashing"
	// IsSleeping: it was read asleep, and its watts agree.
	IsSleeping Condition = "Sleeping"
	// IsStarting and IsStopping: on the way, by its own word.
	IsStarting Condition = "Starting"
	IsStopping Condition = "Stopping"
	// IsFailed: it says that it can't mine.
	IsFailed Condition = "Failed"
	// IsUnreadable: it answers but gives no watts; counted as rated.
	IsUnreadable Condition = "Unreadable"
	// IsUnreachable: three polls in a row failed, or it was never read; counted as rated.
	IsUnreachable Condition = "Unreachable"
	// IsStuck: it did not do what it was told, retries included, or refuses to be told.
	IsStuck Condition = "Stuck"
)

// Trouble is why a person may have to look at a device; empty where there is no reason to.
type Trouble string

// The troubles of a device.
const (
	TroubleStuck       Trouble = "Stuck"
	TroubleUnreachable Trouble = "Unreachable"
	// TroubleUnreadable: it gives no watts, or such that can't be true.
	TroubleUnreadable Trouble = "Unreadable"
	// TroubleRebooted: it had obeyed and was then read above its command.
	TroubleRebooted Trouble = "Rebooted"
)

// Counts of devices by condition. Hashing is all that are none of the others.
type Counts struct {
	Total, Hashing, Sleeping, Unreachable, Stuck int
}

// Totals of an agent's devices.
type Totals struct {
	// Bound, Floor and Rated are sums of the devices' own; Draw is the newest readings, rated where they
	// say nothing, and nothing of devices that were never read.
	Bound, Draw, Floor, Rated Watts
	// Volatile is the watts kept down only by sleeps that a reboot would undo.
	Volatile Watts
	// Settle is the worst time from an order to shed until its watts are verified gone.
	Settle time.Duration
	Counts Counts
}

// Condition says in one word what the device does.
func (d *Device) Condition(now time.Duration) Condition {
	switch {
	case d.unreachable(now):
		return IsUnreachable
	case d.balks(now) || d.oversleeps():
		return IsStuck
	case !d.last.HasWatts:
		return IsUnreadable
	case d.sleeps():
		return IsSleeping
	}
	switch d.last.State {
	case Starting:
		return IsStarting
	case Stopping:
		return IsStopping
	case Failed:
		return IsFailed
	default:
		return IsHashing
	}
}

// Trouble says why a person may have to look at the device.
func (d *Device) Trouble(now time.Duration) Trouble {
	switch d.Condition(now) {
	case IsUnreachable:
		return TroubleUnreachable
	case IsStuck:
		return TroubleStuck
	case IsUnreadable:
		return TroubleUnreadable
	}
	switch {
	case d.faults.rebooted:
		return TroubleRebooted
	case d.lies():
		return TroubleUnreadable
	}
	return ""
}

// Unproven is the device that this run has to watch longest before its readings count, and for how long from when
// it was first read (L3); nil where all of them do.
func Unproven(devices []*Device) (slowest *Device, worst time.Duration) {
	for _, d := range devices {
		if !d.seen || d.observe || d.watched() {
			continue
		}
		if w := d.slowest(); w > worst {
			slowest, worst = d, w
		}
	}
	return slowest, worst
}

// Sum adds the devices up.
func Sum(devices []*Device, now time.Duration) Totals {
	t := Totals{Counts: Counts{Total: len(devices)}}
	for _, d := range devices {
		bound, rated := d.Bound(now), d.Rated()
		t.Bound += bound
		t.Floor += d.Floor(now)
		t.Rated += rated
		t.Draw += d.draw(now)
		if d.sleeps() && !d.traits.SleepSurvivesReboot && !d.unreachable(now) {
			t.Volatile += max(rated-bound, 0)
		}
		t.Settle = max(t.Settle, d.settle(now))
		t.Counts.add(d.Condition(now))
	}
	return t
}

// draw is the newest reading's watts, rated where it gave none or is too old. One that this run has yet to
// read adds nothing: what was counted before it stands for that, unless more is measured (L3).
func (d *Device) draw(now time.Duration) Watts {
	switch {
	case !d.seen:
		return 0
	case d.unreachable(now) || !d.last.HasWatts:
		return d.Rated()
	}
	return d.last.Watts
}

func (c *Counts) add(condition Condition) {
	switch condition {
	case IsUnreachable:
		c.Unreachable++
	case IsStuck:
		c.Stuck++
	case IsSleeping:
		c.Sleeping++
	default:
		c.Hashing++
	}
}

// settle is how long it takes at worst until an order to shed would be verified done; 0 for a device that
// can't be told, or has nothing to shed ever. One that rests counts as well: it may be raised before the next
// report is heard, under a lease that was to run out in time for a fall (L1). A write in flight must have
// settled too (L5).
func (d *Device) settle(now time.Duration) time.Duration {
	low, ok := d.lowest()
	if !ok || !d.obeys(now) {
		return 0
	}
	worst := time.Duration(0)
	for _, w := range d.writes {
		worst = max(worst, w.end-now)
	}
	if d.Rated() > low.cost {
		action := d.traits.Sleep
		if low.what != asleep {
			action = d.traits.Trim
		}
		worst = max(worst, action.Worst)
	}
	if worst <= 0 {
		return 0
	}
	return worst + QuickPoll
}
