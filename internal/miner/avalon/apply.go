package avalon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Apply commands one setting. An order that gets no reply is an error that leaves open whether it was done.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	target, err := d.choose(s)
	if err != nil {
		return err
	}
	if s.Kind == miner.Sleep {
		return d.sleep(ctx)
	}
	_, now, err := d.look(ctx)
	if err != nil {
		return err
	}
	return d.hash(ctx, now, target)
}

// choose turns a setting into a mode; an empty one keeps what is set. Nothing is sent.
func (d *Driver) choose(s miner.Setting) (miner.Mode, error) {
	offered := d.capabilities.Modes
	switch {
	case s.Kind == miner.Sleep || s.Kind == miner.HashMode && s.Mode == "":
		if d.how == none {
			return miner.Mode{}, fmt.Errorf("%s: %w: its firmware has no order to sleep or to wake", d.client.address, miner.ErrUnsupported)
		}
		return miner.Mode{}, nil
	case s.Kind == miner.HashMode:
		return d.byName(offered, s.Mode)
	case s.Kind == miner.HashWatts && len(offered) > 0:
		return d.byWatts(offered, s.Watts)
	}
	return miner.Mode{}, fmt.Errorf("%s: setting %q: %w", d.client.address, s.Kind, miner.ErrUnsupported)
}

func (d *Driver) byName(offered []miner.Mode, name string) (miner.Mode, error) {
	for _, mode := range offered {
		if mode.Name == name {
			return mode, nil
		}
	}
	return miner.Mode{}, fmt.Errorf("%s: mode %q: %w: it is not among the %d it offers",
		d.client.address, name, miner.ErrUnsupported, len(offered))
}

// byWatts takes the highest mode that draws no more than watts.
func (d *Driver) byWatts(offered []miner.Mode, watts int64) (miner.Mode, error) {
	best := offered[0]
	if watts < best.Watts {
		return miner.Mode{}, fmt.Errorf("%s: target of %d W: %w: its modes draw %d to %d W",
			d.client.address, watts, miner.ErrOutOfRange, best.Watts, offered[len(offered)-1].Watts)
	}
	for _, mode := range offered {
		if mode.Watts <= watts {
			best = mode
		}
	}
	return best, nil
}

func (d *Driver) sleep(ctx context.Context) error {
	d.toldToSleep = true
	var err error
	switch d.how {
	case scheduled:
		err = d.schedule(ctx, "softoff")
	case bare:
		_, err = d.client.set(ctx, "softoff")
	default:
		_, err = d.client.set(ctx, "hashpower,0")
	}
	if miner.NotApplied(err) {
		d.toldToSleep = false
	}
	return err
}

func (d *Driver) wake(ctx context.Context) error {
	d.toldToSleep = false
	if d.how == scheduled {
		return d.schedule(ctx, "softon")
	}
	_, err := d.client.set(ctx, "reboot,0")
	return err
}

const (
	// ahead is how far in the future an order is set: nobody knows what becomes of one whose time is past.
	ahead = 5 * time.Second
	// earliest is the beginning of 2020 in Unix time. Some machines count the seconds since they started, which
	// are no time to set an order by.
	earliest = 1_577_836_800
)

// schedule gives an order for a few seconds from now, by the machine's own clock where it tells the time.
func (d *Driver) schedule(ctx context.Context, order string) error {
	r, err := d.client.ask(ctx, "version")
	if err != nil && !silent(err) {
		return err
	}
	now, whole := r.Status.First().When.Int()
	if !whole || now < earliest {
		now = d.clock().Unix()
	}
	_, err = d.client.set(ctx, fmt.Sprintf("%s,1:%d", order, now+int64(ahead/time.Second)))
	return err
}

// asleep says whether the machine has to be woken. One that was told to sleep last may be about to.
func (d *Driver) asleep(now look) bool {
	return d.how != none && (d.toldToSleep || now.work == "idle" || now.off.Value && !now.hashes())
}

// hash sets the mode, where there is another to set, and wakes the machine. The mode goes first: woken first, the
// machine would climb towards the old one.
func (d *Driver) hash(ctx context.Context, now look, target miner.Mode) error {
	var refused error
	changes := target.Name != "" && target.Name != d.modeName(now.mode)
	if changes {
		refused = d.setMode(ctx, target)
	}
	if refused != nil && !d.wakesLower(now, refused, target) {
		return refused
	}
	if d.asleep(now) {
		if err := d.wake(ctx); err != nil {
			return d.halfway(err, changes && refused == nil, target)
		}
	}
	if refused != nil {
		return fmt.Errorf("%s: %w: woken in mode %q, because %q was refused while it slept: command it again",
			d.client.address, miner.ErrHalfApplied, d.modeName(now.mode), target.Name)
	}
	return nil
}

func (d *Driver) setMode(ctx context.Context, target miner.Mode) error {
	number, known := d.number(target.Name)
	if !known {
		return fmt.Errorf("%s: mode %q: %w", d.client.address, target.Name, miner.ErrUnsupported)
	}
	_, err := d.client.set(ctx, fmt.Sprintf("workmode,set,%d", number))
	if !miner.NotApplied(err) {
		d.told = target
	}
	return err
}

// wakesLower says that a machine that would not take a mode while it sleeps may be woken in the one it has.
func (d *Driver) wakesLower(now look, refused error, target miner.Mode) bool {
	var no *refusal
	return errors.As(refused, &no) && miner.NotApplied(refused) && d.asleep(now) &&
		now.target != nil && d.atWall(*now.target) <= target.Watts
}

// halfway hides the reason of a failed wake from errors.Is where the mode was changed before it: then it must
// not read as "nothing was done".
func (d *Driver) halfway(err error, changed bool, target miner.Mode) error {
	if !changed {
		return err
	}
	return fmt.Errorf("%s: %w: mode %q is set, but waking failed: %v",
		d.client.address, miner.ErrHalfApplied, target.Name, err) //nolint:errorlint // see above
}
