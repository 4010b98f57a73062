package protorig

import (
	"context"
	"fmt"
	"net/http"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Apply commands one setting. For a wake the target is set first and mining started after it: the machine
// starts towards the target it has.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	switch {
	case s.Kind == miner.Sleep:
		return d.client.tell(ctx, http.MethodPost, "mining/stop", nil, &struct{}{})
	case s.Kind == miner.HashWatts:
		return d.hash(ctx, s.Watts)
	case s.Kind == miner.HashMode && s.Mode == "":
		return d.wake(ctx)
	default:
		return fmt.Errorf("%s: setting %q %q: %w", d.client.Address, s.Kind, s.Mode, miner.ErrUnsupported)
	}
}

// wake starts mining where the machine does not, nor is on its way there.
func (d *Driver) wake(ctx context.Context) error {
	var now mining
	if err := d.client.get(ctx, "mining", &now); err != nil {
		return err
	}
	if now.word().awake() {
		return nil
	}
	return d.client.tell(ctx, http.MethodPost, "mining/start", nil, &struct{}{})
}

// hash sets the target and wakes the machine. What else belongs to a target is sent as it is: nobody says
// whether what is left out stays.
func (d *Driver) hash(ctx context.Context, watts int64) error {
	var was target
	if err := d.client.get(ctx, "mining/target", &was); err != nil {
		return err
	}
	if err := d.inRange(was, watts); err != nil {
		return err
	}
	var taken target
	if err := d.client.tell(ctx, http.MethodPut, "mining/target", orders(was, watts), &taken); err != nil {
		return err
	}
	if some(taken.Watts) == nil {
		if err := d.client.get(ctx, "mining/target", &taken); err != nil {
			return d.halfway(err, watts)
		}
	}
	switch said := some(taken.Watts); {
	case said == nil:
		return fmt.Errorf("%s: %w: it does not say which target it took for the %d W it was told, and was not woken",
			d.client.Address, miner.ErrHalfApplied, watts)
	case *said > watts:
		return fmt.Errorf("%s: %w: it took a target of %d W for the %d W it was told, and was not woken",
			d.client.Address, miner.ErrHalfApplied, *said, watts)
	}
	return d.halfway(d.wake(ctx), watts)
}

// orders is a target with what stands beside it left as it is.
func orders(was target, watts int64) map[string]any {
	body := map[string]any{"power_target_watts": watts}
	if was.Mode != "" {
		body["performance_mode"] = string(was.Mode)
	}
	if was.Balance.Set {
		body["balance_bays"] = was.Balance.Value
	}
	if was.Poolless.Set {
		body["hash_on_disconnect"] = was.Poolless.Value
	}
	return body
}

// halfway hides the reason of a failure from errors.Is where the target is set already: then it must not
// read as "nothing was done".
func (d *Driver) halfway(err error, watts int64) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: a target of %d W was taken, but is not known to be in force: %v",
		d.client.Address, miner.ErrHalfApplied, watts, err) //nolint:errorlint // see above
}

// inRange checks a target before it is sent.
func (d *Driver) inRange(now target, watts int64) error {
	least, most, ok := now.bounds()
	if !ok {
		return fmt.Errorf("%s: target of %d W: %w: the machine names no range for its target",
			d.client.Address, watts, miner.ErrUnsupported)
	}
	if watts < least || watts > most {
		return fmt.Errorf("%s: target of %d W: %w of %d to %d W", d.client.Address, watts, miner.ErrOutOfRange, least, most)
	}
	return nil
}
