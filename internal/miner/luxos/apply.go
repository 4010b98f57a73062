package luxos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// logoffTimeout bounds the end of a session, which happens even where the order's own time is over.
const logoffTimeout = 3 * time.Second

// Apply commands one setting within one session: log on, act, log off.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	target, err := d.choose(s)
	if err != nil {
		return err
	}
	before, err := d.now(ctx)
	if err != nil {
		return err
	}
	if target.Name == string(before.Profile) {
		target = miner.Mode{} // nothing to change
	}
	if target.Name != "" && before.ATM.Value {
		return d.atmOwns(target.Name)
	}
	if s.Kind != miner.Sleep && target.Name == "" && !before.asleep() {
		return nil // it is what it should be
	}
	return d.inSession(ctx, func(sid string) error {
		if s.Kind == miner.Sleep {
			return d.sleep(ctx, sid)
		}
		return d.hash(ctx, sid, before, target)
	})
}

// inSession logs on, acts, and logs off whatever came of it.
func (d *Driver) inSession(ctx context.Context, act func(sid string) error) error {
	sid, err := d.logon(ctx)
	if err != nil {
		return err
	}
	defer d.logoff(ctx, sid)
	return act(sid)
}

// now reads the configuration that a command meets.
func (d *Driver) now(ctx context.Context) (config, error) {
	r, err := d.client.ask(ctx, "config", "")
	if err == nil {
		d.last = r.Config.First()
	}
	return d.last, err
}

func (d *Driver) sleep(ctx context.Context, sid string) error {
	d.toldToSleep = true
	_, err := d.client.ask(ctx, "curtail", sid+",sleep")
	return err
}

func (d *Driver) atmOwns(profile string) error {
	return fmt.Errorf("%s: profile %q: %w: automatic tuning (ATM) is on and owns the profile; "+
		"turn it off on the machine (atmset enabled=false), or let the machine be only put to sleep and woken",
		d.client.address, profile, miner.ErrUnsupported)
}

// choose turns a setting into a profile; an empty one keeps what is set. Nothing is sent.
func (d *Driver) choose(s miner.Setting) (miner.Mode, error) {
	offered := modes(d.profiles)
	switch {
	case s.Kind == miner.Sleep, s.Kind == miner.HashMode && s.Mode == "":
		return miner.Mode{}, nil
	case s.Kind == miner.HashMode:
		return d.byName(offered, s.Mode)
	case s.Kind == miner.HashWatts && len(offered) > 0:
		return d.byWatts(offered, s.Watts)
	default:
		return miner.Mode{}, fmt.Errorf("%s: setting %q: %w", d.client.address, s.Kind, miner.ErrUnsupported)
	}
}

func (d *Driver) byName(offered []miner.Mode, name string) (miner.Mode, error) {
	for _, mode := range offered {
		if mode.Name == name {
			return mode, nil
		}
	}
	return miner.Mode{}, fmt.Errorf("%s: profile %q: %w: it is not among the %d it offers",
		d.client.address, name, miner.ErrUnsupported, len(offered))
}

// byWatts takes the highest profile that draws no more than watts.
func (d *Driver) byWatts(offered []miner.Mode, watts int64) (miner.Mode, error) {
	lowest, highest := offered[0], offered[len(offered)-1]
	if watts < lowest.Watts {
		return miner.Mode{}, fmt.Errorf("%s: target of %d W: %w: its profiles draw %d to %d W",
			d.client.address, watts, miner.ErrOutOfRange, lowest.Watts, highest.Watts)
	}
	best := lowest
	for _, mode := range offered {
		if mode.Watts <= watts {
			best = mode
		}
	}
	return best, nil
}

// hash sets the profile, where there is one to set, and wakes the machine. The profile goes first: woken
// first, the machine would ramp towards the old one, which may be higher.
func (d *Driver) hash(ctx context.Context, sid string, before config, target miner.Mode) error {
	var refused error
	if target.Name != "" {
		err := d.setProfile(ctx, sid, target)
		if err != nil && !(before.asleep() && d.lowerAsItIs(before, target) && isRefusal(err)) {
			return err
		}
		refused = err
	}
	if before.asleep() {
		d.toldToSleep = false
		if _, err := d.client.ask(ctx, "curtail", sid+",wakeup"); err != nil {
			return d.halfway(err, target.Name != "" && refused == nil, target)
		}
	}
	if refused != nil {
		return fmt.Errorf("%s: %w: woken in profile %q, because %q was refused while it slept: command it again",
			d.client.address, miner.ErrHalfApplied, before.Profile, target.Name)
	}
	return nil
}

// setProfile names a profile and checks that the machine understood the same one.
func (d *Driver) setProfile(ctx context.Context, sid string, target miner.Mode) error {
	r, err := d.client.ask(ctx, "profileset", sid+","+target.Name)
	if err != nil {
		return err
	}
	if set := r.Profile.First().Profile; set != "" && string(set) != target.Name {
		return fmt.Errorf("%s: %w: told profile %q, it set %q", d.client.address, miner.ErrHalfApplied, target.Name, set)
	}
	d.told = &target.Watts
	return nil
}

// halfway hides the reason of a failed wake from errors.Is where the profile was changed before it: then
// it must not read as "nothing was done".
func (d *Driver) halfway(err error, changed bool, target miner.Mode) error {
	if !changed {
		return err
	}
	return fmt.Errorf("%s: %w: profile %q is set, but waking failed: %v",
		d.client.address, miner.ErrHalfApplied, target.Name, err) //nolint:errorlint // see above
}

// lowerAsItIs says that waking in the present profile draws no more than the one asked for.
func (d *Driver) lowerAsItIs(before config, target miner.Mode) bool {
	present := wattsOf(d.profiles, before.Profile)
	return present != nil && *present <= target.Watts
}

// taken says that logon failed because there is a session: by its code, or by its words where the code is
// another.
func taken(err error) bool {
	var no *refusal
	return errors.Is(err, miner.ErrBusy) ||
		errors.As(err, &no) && strings.Contains(strings.ToLower(no.message), "session")
}

func isRefusal(err error) bool {
	var no *refusal
	return errors.As(err, &no) && no.code != codeBusy
}

// logon opens the machine's only session. A session of somebody else is left alone; one of our own that
// could not be ended before is ended now.
func (d *Driver) logon(ctx context.Context) (string, error) {
	r, err := d.client.ask(ctx, "logon", "")
	if taken(err) && d.leftover != "" {
		d.logoff(ctx, d.leftover)
		r, err = d.client.ask(ctx, "logon", "")
	}
	if taken(err) {
		return "", fmt.Errorf("%s: logon: %w: it is left alone, and ends after a minute without use",
			d.client.address, &miner.Busy{After: sessionLife})
	}
	if err != nil {
		return "", err
	}
	sid := string(r.Session.First().ID)
	if sid == "" {
		return "", fmt.Errorf("%s: logon: %w: no session in the reply", d.client.address, miner.ErrRefused)
	}
	return sid, nil
}

// logoff ends our session, also when the order failed or its time is over. Where that fails the session
// ends by itself after a minute.
func (d *Driver) logoff(ctx context.Context, sid string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoffTimeout)
	defer cancel()
	d.leftover = sid
	_, err := d.client.ask(ctx, "logoff", sid)
	var no *refusal
	if err == nil || errors.As(err, &no) {
		d.leftover = ""
	}
}
