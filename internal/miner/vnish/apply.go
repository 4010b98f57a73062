package vnish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Apply commands one setting.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	if s.Kind == miner.Sleep {
		_, err := d.client.post(ctx, "mining/stop", nil)
		return err
	}
	target, err := d.choose(s)
	if err != nil {
		return err
	}
	var now minerStatus
	if err := d.client.Get(ctx, "status", &now); err != nil {
		return err
	}
	if target.Name == "" {
		return d.wake(ctx, now.State)
	}
	return d.hash(ctx, now, target)
}

// choose turns a setting into a preset; an empty one keeps what is set. Nothing is sent.
func (d *Driver) choose(s miner.Setting) (miner.Mode, error) {
	offered := d.capabilities.Modes
	switch {
	case s.Kind == miner.HashMode && s.Mode == "":
		return miner.Mode{}, nil
	case s.Kind == miner.HashMode:
		return d.byName(offered, s.Mode)
	case s.Kind == miner.HashWatts && len(offered) > 0:
		return d.byWatts(offered, s.Watts)
	default:
		return miner.Mode{}, d.unsupported(fmt.Sprintf("setting %q", s.Kind))
	}
}

func (d *Driver) unsupported(what string) error {
	why := d.owned()
	if why == "" {
		why = "it has no such tuned preset: tune it on the machine"
	}
	return fmt.Errorf("%s: %s: %w: %s", d.client.Address, what, miner.ErrUnsupported, why)
}

func (d *Driver) byName(offered []miner.Mode, name string) (miner.Mode, error) {
	for _, mode := range offered {
		if mode.Name == name {
			return mode, nil
		}
	}
	return miner.Mode{}, d.unsupported(fmt.Sprintf("preset %q", name))
}

// byWatts takes the highest preset that draws no more than watts.
func (d *Driver) byWatts(offered []miner.Mode, watts int64) (miner.Mode, error) {
	lowest, highest := offered[0], offered[len(offered)-1]
	if watts < lowest.Watts {
		return miner.Mode{}, fmt.Errorf("%s: target of %d W: %w: its tuned presets draw %d to %d W",
			d.client.Address, watts, miner.ErrOutOfRange, lowest.Watts, highest.Watts)
	}
	best := lowest
	for _, mode := range offered {
		if mode.Watts <= watts {
			best = mode
		}
	}
	return best, nil
}

// wake starts mining where the machine does not, nor is on its way there.
func (d *Driver) wake(ctx context.Context, now state) error {
	if now.awake() {
		return nil
	}
	action := "mining/start"
	if now == paused {
		action = "mining/resume"
	}
	_, err := d.client.post(ctx, action, nil)
	return err
}

// hash sets the preset, where it is not set yet, and brings it into force. The preset goes first: started
// first, the machine would go for the old one, which may be higher. Where the new one wants a restart of
// mining that is the wake as well: a start might bring up the old one.
func (d *Driver) hash(ctx context.Context, now minerStatus, target miner.Mode) error {
	wrote, restart, err := d.set(ctx, target)
	if err != nil {
		return d.halfway(err, wrote, target)
	}
	if restart || now.RestartRequired.Value {
		_, err = d.client.post(ctx, "mining/restart", nil)
	} else {
		err = d.wake(ctx, now.State)
	}
	return d.halfway(err, wrote, target)
}

// halfway hides the reason of a failure from errors.Is where the settings may be changed already: then it
// must not read as "nothing was done".
func (d *Driver) halfway(err error, wrote bool, target miner.Mode) error {
	if err == nil || !wrote {
		return err
	}
	return fmt.Errorf("%s: %w: preset %q is set, but not known to be in force: %v",
		d.client.Address, miner.ErrHalfApplied, target.Name, err) //nolint:errorlint // see above
}

// saved is the reply to new settings.
type saved struct {
	RestartRequired wire.Flag `json:"restart_required"`
	RebootRequired  wire.Flag `json:"reboot_required"`
}

// set writes the preset into the settings and reads them again: the reply is the same where the machine
// did nothing. It says whether anything may have been written, and whether a restart of mining is wanted.
func (d *Driver) set(ctx context.Context, target miner.Mode) (wrote, restart bool, err error) {
	before, err := d.settings(ctx)
	if err != nil {
		return false, false, err
	}
	if before.preset == wire.Text(target.Name) {
		return false, false, nil
	}
	tune, err := d.tuneOf(ctx, target)
	if err != nil {
		return false, false, err
	}
	answer, err := d.client.post(ctx, "settings", map[string]any{
		"miner": map[string]any{"overclock": before.with(target.Name, tune)},
	})
	if err != nil {
		return false, false, err // says itself whether it may have arrived
	}
	var reply saved
	if err := d.client.Decode("settings", answer, &reply); err != nil {
		return true, false, err
	}
	after, err := d.settings(ctx)
	switch {
	case err != nil:
		return true, false, err
	case after.preset != wire.Text(target.Name):
		return true, false, fmt.Errorf("it said yes and kept preset %q", after.preset)
	case reply.RebootRequired.Value:
		return true, false, errors.New("it wants a reboot first: reboot it on the machine")
	case reply.RestartRequired.Set:
		return true, reply.RestartRequired.Value, nil
	}
	var now minerStatus // the reply did not say
	err = d.client.Get(ctx, "status", &now)
	return true, now.RestartRequired.Value, err
}

// settings reads the settings that a command meets, and refuses where somebody else owns the preset.
func (d *Driver) settings(ctx context.Context) (overclock, error) {
	var found settings
	if err := d.client.Get(ctx, "settings", &found); err != nil {
		return overclock{}, err
	}
	o := found.overclock()
	d.clocks = o
	d.clocks.fields = nil
	if d.owned() != "" {
		return overclock{}, d.unsupported("preset")
	}
	return o, nil
}

// tuneOf reads the clocks the machine found for a preset; none where it does not show them.
func (d *Driver) tuneOf(ctx context.Context, target miner.Mode) (json.RawMessage, error) {
	var found presetList
	if err := d.client.Get(ctx, "autotune/presets", &found); err != nil {
		return nil, err
	}
	for _, p := range found {
		if string(p.Name) == target.Name && p.Status == tuned && (d.clocks.modded || !p.Modded.Value) {
			return p.Tune, nil
		}
	}
	return nil, d.unsupported(fmt.Sprintf("preset %q", target.Name))
}

// decivolts is how many units of a preset's voltage one of the settings' is.
const decivolts = 10

// with is the overclock settings with another preset. They are written whole, for what is left out might
// be reset, and with the preset's own clocks, for the old ones might be taken for them.
func (o overclock) with(name string, tune json.RawMessage) map[string]json.RawMessage {
	fields := maps.Clone(o.fields)
	fields["preset"], _ = json.Marshal(name)
	var clocks struct {
		Freq   wire.Number                  `json:"freq"`
		Volt   wire.Number                  `json:"volt"`
		Chains []map[string]json.RawMessage `json:"chains"`
	}
	if wire.Decode(tune, &clocks) != nil {
		return fields
	}
	var globals map[string]json.RawMessage
	if json.Unmarshal(fields["globals"], &globals) == nil && globals != nil {
		put(globals, "freq", clocks.Freq, 1)
		put(globals, "volt", clocks.Volt, decivolts)
		fields["globals"], _ = json.Marshal(globals)
	}
	var chains []map[string]json.RawMessage
	if json.Unmarshal(fields["chains"], &chains) == nil && len(chains) == len(clocks.Chains) {
		for i, chain := range chains {
			for _, key := range []string{"freq", "chips"} {
				if value, ok := clocks.Chains[i][key]; ok && chain != nil {
					chain[key] = value
				}
			}
		}
		fields["chains"], _ = json.Marshal(chains)
	}
	return fields
}

// put writes a whole number of another unit.
func put(fields map[string]json.RawMessage, key string, n wire.Number, unit int64) {
	if value, whole := n.Int(); whole && value > 0 {
		fields[key], _ = json.Marshal(value / unit)
	}
}
