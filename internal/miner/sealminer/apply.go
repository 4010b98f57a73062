package sealminer

import (
	"context"
	"errors"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Apply commands one setting. An order that gets no reply is an error that leaves open whether it was done.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	switch {
	case s.Kind == miner.Sleep:
		return d.sleep(ctx)
	case s.Kind == miner.HashMode && s.Mode == "":
		now, err := d.look(ctx)
		if err != nil {
			return err
		}
		return d.wake(ctx, now)
	case s.Kind == miner.HashMode:
		return fmt.Errorf("%s: mode %q: %w: nobody knows how many watts a mining mode draws; set a power limit",
			d.client.address, s.Mode, miner.ErrUnsupported)
	case s.Kind == miner.HashWatts && d.capabilities.Continuous:
		return d.hash(ctx, s.Watts)
	}
	return fmt.Errorf("%s: setting %q: %w", d.client.address, s.Kind, miner.ErrUnsupported)
}

func (d *Driver) sleep(ctx context.Context) error {
	err := d.client.set(ctx, "suspend", "")
	if !miner.NotApplied(err) {
		d.toldToSleep = true
	}
	return err
}

// wake begins mining anew, where it does not run: the firmware has no order to go on.
func (d *Driver) wake(ctx context.Context, now look) error {
	if !d.asleep(now) {
		return nil
	}
	d.toldToSleep = false
	return d.client.restart(ctx)
}

// asleep says whether the machine has to be woken. One that was told to sleep last may be about to.
func (d *Driver) asleep(now look) bool { return d.toldToSleep || !now.running() }

// hash sets a limit, where it is another, and lets the machine boot, which brings it into force and wakes it.
func (d *Driver) hash(ctx context.Context, watts int64) error {
	if c := d.capabilities; watts < c.MinWatts || watts > c.MaxWatts {
		return fmt.Errorf("%s: limit of %d W: %w of %d to %d W",
			d.client.address, watts, miner.ErrOutOfRange, c.MinWatts, c.MaxWatts)
	}
	now, err := d.look(ctx)
	if err != nil {
		return err
	}
	if limit := now.limit(); d.before == nil && limit != nil && *limit == watts {
		return d.wake(ctx, now)
	}
	// A limit that can't be rebooted for would come into force whenever the machine boots: no limit without a login.
	if err := d.web.admitted(ctx); err != nil {
		return err
	}
	if err := d.setLimit(ctx, now, watts); err != nil {
		return d.wakeLower(ctx, now, err, watts)
	}
	if err := d.web.reboot(ctx); err != nil { // hidden from errors.Is: it must not read as "nothing was done"
		return fmt.Errorf("%s: %w: a limit of %d W is set and comes into force with a reboot, which failed: %v",
			d.client.address, miner.ErrHalfApplied, watts, err) //nolint:errorlint // see above
	}
	d.before, d.toldToSleep = nil, false
	return nil
}

func (d *Driver) setLimit(ctx context.Context, now look, watts int64) error {
	err := d.client.set(ctx, "powerlimit", fmt.Sprintf(`{"value":"%d"}`, watts))
	if miner.NotApplied(err) {
		return err
	}
	d.told = &watts
	if d.before == nil { // what it follows until it boots, whatever it says
		before := max(d.most, watts)
		if limit := now.limit(); limit != nil {
			before = *limit
		}
		d.before = &before
	}
	return err
}

// wakeLower wakes a machine that would not take a limit while it sleeps, where the one it has is no higher.
func (d *Driver) wakeLower(ctx context.Context, now look, refused error, watts int64) error {
	var no *refusal
	limit := now.limit()
	if !errors.As(refused, &no) || !miner.NotApplied(refused) || !d.asleep(now) || limit == nil || *limit > watts || d.before != nil {
		return refused
	}
	if err := d.wake(ctx, now); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w: woken at its limit of %d W, because %d W was refused while it slept: command it again",
		d.client.address, miner.ErrHalfApplied, *limit, watts)
}
