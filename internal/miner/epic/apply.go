package epic

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Apply commands one setting.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	switch {
	case s.Kind == miner.Sleep:
		return d.client.post(ctx, "miner", stop)
	case s.Kind == miner.HashWatts:
		return d.hash(ctx, s.Watts)
	case s.Kind == miner.HashMode && s.Mode == "":
		now, err := d.now(ctx)
		if err != nil {
			return err
		}
		return d.wake(ctx, now)
	default:
		return fmt.Errorf("%s: setting %q %q: %w", d.client.Address, s.Kind, s.Mode, miner.ErrUnsupported)
	}
}

// wake starts mining where the machine does not, nor is on its way there.
func (d *Driver) wake(ctx context.Context, now summary) error {
	if awake(now.Status.State) {
		return nil
	}
	return d.client.post(ctx, "miner", start)
}

// hash sets the target, where it is not set yet, turns tuning on, where it is not, and wakes the machine. The
// target goes first: woken first, the machine would go for the old one, which may be higher.
func (d *Driver) hash(ctx context.Context, watts int64) error {
	if err := d.inRange(watts); err != nil {
		return err
	}
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	if told, ok := now.Tune.Algorithm.watts(); !ok || *told.Target.Watts() != watts {
		if err := d.client.post(ctx, "perpetualtune/algo", d.target(now, watts)); err != nil {
			return err // says itself whether it may have arrived
		}
		return d.halfway(d.follow(ctx, watts), watts)
	}
	return d.turnOn(ctx, now, watts)
}

// follow brings a target into force that was just set. What the machine then shows must not be another one.
func (d *Driver) follow(ctx context.Context, watts int64) error {
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	told, ok := now.Tune.Algorithm.watts()
	switch {
	case ok && *told.Target.Watts() != watts:
		return fmt.Errorf("it still shows a target of %d W", *told.Target.Watts())
	case !ok && len(now.Tune.Algorithm) > 0:
		return fmt.Errorf("it still shows another algorithm than %s", d.algorithm)
	}
	return d.turnOn(ctx, now, watts)
}

// turnOn has the machine tune and mine.
func (d *Driver) turnOn(ctx context.Context, now summary, watts int64) error {
	if now.Tune.Running.Value {
		return d.wake(ctx, now)
	}
	if err := d.client.post(ctx, "perpetualtune", true); err != nil {
		return err
	}
	return d.halfway(d.wake(ctx, now), watts)
}

// halfway hides the reason of a failure from errors.Is where the target is set already: then it must not
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
		return fmt.Errorf("%s: target of %d W: %w: its firmware has no algorithm that tunes for watts",
			d.client.Address, watts, miner.ErrUnsupported)
	}
	if watts < c.MinWatts || watts > c.MaxWatts {
		return fmt.Errorf("%s: target of %d W: %w of %d to %d W",
			d.client.Address, watts, miner.ErrOutOfRange, c.MinWatts, c.MaxWatts)
	}
	return nil
}

// target is the algorithm for watts and its target, with the limits of throttling as a person left them:
// what is left out might be reset.
func (d *Driver) target(now summary, watts int64) map[string]any {
	param := map[string]any{"algo": d.algorithm, "target": watts}
	was, ok := now.Tune.Algorithm.watts()
	if !ok {
		return param
	}
	least, whole := was.MinThrottle.Int()
	step, wholeStep := was.ThrottleStep.Int()
	if whole && least > 0 && least < watts {
		param["min_throttle"] = least
		if wholeStep && step > 0 {
			param["throttle_step"] = step
		}
	}
	return param
}
