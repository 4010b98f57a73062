package fit

import "time"

// Condition of a device, for counts and for people.
type Condition string

// The conditions of a device.
const (
	IsHashing     Condition = "Hashing"
	IsSleeping    Condition = "Sleeping"
	IsStarting    Condition = "Starting"
	IsStopping    Condition = "Stopping"
	IsFailed      Condition = "Failed"
	IsUnreadable  Condition = "Unreadable"
	IsUnreachable Condition = "Unreachable"
	IsStuck       Condition = "Stuck"
)

// Trouble is why a person may have to look at a device; empty where there is no reason to.
type Trouble string

// The troubles of a device.
const (
	TroubleStuck       Trouble = "Stuck"
	TroubleUnreachable Trouble = "Unreachable"
	TroubleUnreadable  Trouble = "Unreadable"
	TroubleRebooted    Trouble = "Rebooted"
)

// Counts of devices by condition.
type Counts struct {
	Total, Hashing, Sleeping, Unreachable, Stuck int
}

// Totals of an agent's devices.
type Totals struct {
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
	case d.stuck:
		return IsStuck
	case !d.last.HasWatts:
		return IsUnreadable
	case d.isAsleep(d.last):
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
	switch c := d.Condition(now); {
	case c == IsUnreachable:
		return TroubleUnreachable
	case c == IsStuck:
		return TroubleStuck
	case c == IsUnreadable:
		return TroubleUnreadable
	case d.rebooted:
		return TroubleRebooted
	}
	return ""
}

// Sum adds the devices up.
func Sum(devices []*Device, now time.Duration) Totals {
	t := Totals{Counts: Counts{Total: len(devices)}}
	for _, d := range devices {
		bound := d.Bound(now)
		t.Bound += bound
		t.Floor += d.Floor(now)
		t.Rated += d.Rated()
		if d.unreachable(now) || !d.last.HasWatts {
			t.Draw += d.Rated()
		} else {
			t.Draw += d.last.Watts
		}
		switch d.Condition(now) {
		case IsUnreachable:
			t.Counts.Unreachable++
		case IsStuck:
			t.Counts.Stuck++
		case IsSleeping:
			t.Counts.Sleeping++
			if !d.traits.SleepSurvivesReboot {
				t.Volatile += d.Rated() - min(bound, d.Rated())
			}
			continue
		default:
			t.Counts.Hashing++
		}
		if d.obeys(now) && d.traits.CanSleep {
			t.Settle = max(t.Settle, d.traits.Sleep.Worst+QuickPoll)
		}
	}
	return t
}
