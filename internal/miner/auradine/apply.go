package auradine

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Apply commands one setting.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	switch {
	case s.Kind == miner.Sleep:
		return d.client.setMode(ctx, map[string]any{"sleep": "on"})
	case s.Kind == miner.HashWatts:
		return d.hash(ctx, s.Watts)
	case s.Kind == miner.HashMode && s.Mode == "":
		return d.wake(ctx)
	default:
		return fmt.Errorf("%s: setting %q %q: %w", d.client.Address, s.Kind, s.Mode, miner.ErrUnsupported)
	}
}

// wake starts mining; a machine that mines takes it for nothing.
func (d *Driver) wake(ctx context.Context) error {
	return d.client.setMode(ctx, map[string]any{"sleep": "off"})
}

// hash sets the target, where it was not set from here yet, and wakes the machine where it sleeps. The target
// goes first: woken first, the machine would go for the old one, which may be higher.
func (d *Driver) hash(ctx context.Context, watts int64) error {
	if err := d.inRange(watts); err != nil {
		return err
	}
	before, err := d.mode(ctx)
	if err != nil {
		return err
	}
	if is(d.told, watts) && is(before.told(), watts) {
		return d.wakeFrom(ctx, before)
	}
	// A new mode may begin to run before its reply, if there is one, is sent.
	set := d.client.setMode(ctx, map[string]any{"mode": custom, "tune": "power", "power": watts})
	if miner.NotApplied(set) {
		return set
	}
	d.told = nil
	after, err := d.mode(ctx)
	switch {
	case err == nil && is(after.told(), watts):
		d.told = &watts
		return d.halfway(d.wakeFrom(ctx, after), watts)
	case set != nil:
		return set
	case err == nil:
		err = fmt.Errorf("it still shows mode %q with %v W", after.Name, after.Power.Value)
	}
	return d.halfway(err, watts)
}

func is(watts *int64, want int64) bool { return watts != nil && *watts == want }

// mode reads the mode that a command meets.
func (d *Driver) mode(ctx context.Context) (mode, error) {
	reply, err := d.client.ask(ctx, "mode")
	return reply.Mode.First(), err
}

// wakeFrom wakes a machine that does not say that it is awake.
func (d *Driver) wakeFrom(ctx context.Context, m mode) error {
	if m.Sleep.Set && !m.Sleep.Value {
		return nil
	}
	return d.wake(ctx)
}

// halfway hides the reason of a failure from errors.Is where the target may be set already: then it must not
// read as "nothing was done".
func (d *Driver) halfway(err error, watts int64) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: target %d W is set, but not known to be in force: %v",
		d.client.Address, miner.ErrHalfApplied, watts, err) //nolint:errorlint // see above
}

// inRange checks a target before anything is sent.
func (d *Driver) inRange(watts int64) error {
	c := d.capabilities
	if !c.Continuous {
		return fmt.Errorf("%s: target of %d W: %w: its supplies do not say what they can put out",
			d.client.Address, watts, miner.ErrUnsupported)
	}
	if watts < c.MinWatts || watts > c.MaxWatts {
		return fmt.Errorf("%s: target of %d W: %w of %d to %d W",
			d.client.Address, watts, miner.ErrOutOfRange, c.MinWatts, c.MaxWatts)
	}
	return nil
}
