package whatsminer

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// action is one order to a machine.
type action struct {
	kind  kind
	watts int64 // limit only
}

type kind int

const (
	sleep kind = iota
	wake
	limit
)

// Apply commands one setting. An order that gets no reply is an error that leaves open whether it was done.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	if d.readOnly != "" {
		return fmt.Errorf("%s: %w: %s", d.plain.address, miner.ErrUnsupported, d.readOnly)
	}
	switch {
	case s.Kind == miner.Sleep:
		d.toldToSleep = true
		return d.api.command(ctx, action{kind: sleep})
	case s.Kind == miner.HashMode && s.Mode != "":
		return fmt.Errorf("%s: mode %q: %w: nobody knows how many watts a mode draws; set a power limit",
			d.plain.address, s.Mode, miner.ErrUnsupported)
	case s.Kind == miner.HashMode:
		now, err := d.api.look(ctx)
		if err != nil {
			return err
		}
		return d.wake(ctx, now)
	case s.Kind == miner.HashWatts:
		return d.hash(ctx, s.Watts)
	default:
		return fmt.Errorf("%s: setting %q: %w", d.plain.address, s.Kind, miner.ErrUnsupported)
	}
}

// asleep says whether the machine has to be woken. One that was told to sleep last may be about to.
func (d *Driver) asleep(now look) bool {
	return d.toldToSleep || !now.off.Set || now.off.Value
}

func (d *Driver) wake(ctx context.Context, now look) error {
	if !d.asleep(now) {
		return nil
	}
	d.toldToSleep = false
	return d.api.command(ctx, action{kind: wake})
}

// hash sets a limit, where it is another, and wakes the machine. The limit goes first: woken first, the
// machine would climb towards the old one.
func (d *Driver) hash(ctx context.Context, watts int64) error {
	if err := d.inRange(watts); err != nil {
		return err
	}
	now, err := d.api.look(ctx)
	if err != nil {
		return err
	}
	var refused error
	changes := !now.limitedTo(watts)
	if changes {
		refused = d.setLimit(ctx, watts)
	}
	if refused != nil && !d.wakesLower(now, refused, watts) {
		return refused
	}
	if err := d.wake(ctx, now); err != nil {
		return d.halfway(err, changes && refused == nil, watts)
	}
	if refused != nil {
		return fmt.Errorf("%s: %w: woken at its lower limit, because %d W was refused while it slept: command it again",
			d.plain.address, miner.ErrHalfApplied, watts)
	}
	return nil
}

// wakesLower says that a machine that would not take a limit while it is off may be woken with the one it has.
func (d *Driver) wakesLower(now look, refused error, watts int64) bool {
	return isRefusal(refused) && miner.NotApplied(refused) && d.asleep(now) && now.keepsUnder(watts)
}

func (d *Driver) setLimit(ctx context.Context, watts int64) error {
	err := d.api.command(ctx, action{kind: limit, watts: watts})
	if !miner.NotApplied(err) {
		d.told = &watts
	}
	return err
}

// limitedTo says that a limit is set already: to set it once more would restart the machine for nothing.
func (l look) limitedTo(watts int64) bool {
	if l.told != nil {
		return *l.told == watts
	}
	return l.limit != nil && *l.limit == watts
}

// keepsUnder says that the machine as it is set draws no more than watts.
func (l look) keepsUnder(watts int64) bool {
	known := l.limit != nil || l.told != nil
	return known && (l.limit == nil || *l.limit <= watts) && (l.told == nil || *l.told <= watts)
}

// halfway hides the reason of a failed wake from errors.Is where the limit was changed before it: then it must
// not read as "nothing was done".
func (d *Driver) halfway(err error, changed bool, watts int64) error {
	if !changed {
		return err
	}
	return fmt.Errorf("%s: %w: a limit of %d W is set, but waking failed: %v",
		d.plain.address, miner.ErrHalfApplied, watts, err) //nolint:errorlint // see above
}

// inRange checks a limit before anything is sent. Where no limit was seen yet, as of a machine that slept when
// it was met, it is checked against what the API takes: the firmware keeps to its own standard.
func (d *Driver) inRange(watts int64) error {
	least, most := int64(1), int64(noLimit-1)
	if c := d.capabilities; c.Continuous {
		least, most = c.MinWatts, c.MaxWatts
	}
	if watts < least || watts > most {
		return fmt.Errorf("%s: limit of %d W: %w of %d to %d W", d.plain.address, watts, miner.ErrOutOfRange, least, most)
	}
	return nil
}
