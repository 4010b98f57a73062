package braiins

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Apply commands one setting. For a wake the target is set first and mining resumed after it, so that the
// machine never ramps towards an older, higher target.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	if d.older != nil {
		return fmt.Errorf("%s: setting %q: %w: Braiins OS before 25.07 is only read; install a newer release",
			d.client.Address, s.Kind, miner.ErrUnsupported)
	}
	switch s.Kind {
	case miner.Sleep:
		d.awake = false // from here on it may have stopped
		return d.client.put(ctx, "actions/pause", nil, nil)
	case miner.HashWatts:
		return d.hash(ctx, s.Watts)
	case miner.HashMode:
		if s.Mode != "" {
			return fmt.Errorf("%s: mode %q: %w: Braiins OS has watt targets, no modes",
				d.client.Address, s.Mode, miner.ErrUnsupported)
		}
		return d.wake(ctx)
	default:
		return fmt.Errorf("%s: setting %q: %w", d.client.Address, s.Kind, miner.ErrUnsupported)
	}
}

// hash sets a target and wakes the machine where it is not known to hash.
func (d *Driver) hash(ctx context.Context, watts int64) error {
	if err := d.inRange(watts); err != nil {
		return err
	}
	var accepted watt
	if err := d.client.put(ctx, "performance/power-target", map[string]int64{"watt": watts}, &accepted); err != nil {
		return err
	}
	taken := watts
	if said := accepted.Watt.Watts(); said != nil {
		taken = *said
	}
	d.configured = &taken
	if taken > watts {
		return fmt.Errorf("%s: %w: it took a target of %d W for the %d W it was told, and was not woken",
			d.client.Address, miner.ErrHalfApplied, taken, watts)
	}
	if d.awake {
		return nil
	}
	if err := d.wake(ctx); err != nil {
		// The target stands, so the reason must not read as "nothing was done": it is text, not a cause.
		return fmt.Errorf("%s: %w: target %d W is set, but resuming failed: %v",
			d.client.Address, miner.ErrHalfApplied, taken, err) //nolint:errorlint // see above
	}
	return nil
}

// inRange checks a target before anything is sent.
func (d *Driver) inRange(watts int64) error {
	c := d.capabilities
	if !c.Continuous {
		return fmt.Errorf("%s: target of %d W: %w: the machine names no range for power targets; "+
			"choose a power target mode in its tuner settings", d.client.Address, watts, miner.ErrUnsupported)
	}
	if watts < c.MinWatts || watts > c.MaxWatts {
		return fmt.Errorf("%s: target of %d W: %w of %d to %d W",
			d.client.Address, watts, miner.ErrOutOfRange, c.MinWatts, c.MaxWatts)
	}
	return nil
}

// wake resumes mining. A machine whose mining was stopped rather than paused needs start.
func (d *Driver) wake(ctx context.Context) error {
	action := "actions/resume"
	if d.status == notStarted {
		action = "actions/start"
	}
	return d.client.put(ctx, action, nil, nil)
}
