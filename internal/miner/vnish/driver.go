// Package vnish drives VNish (AnthillOS) 1.2 and later through its REST API. It chooses among the
// machine's own tuned presets, stops mining and starts it; it never tunes, throttles or reboots a machine
// and never changes any other setting. Where each fact comes from is in docs/firmware.md.
package vnish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its API.
const Port = 80

const (
	// defaultPassword is what a fresh installation accepts; there are no users.
	defaultPassword = "admin"
	// residualWatts is assumed for a stopped machine. One was reported to draw about 25 W; control board
	// and fans of others take more.
	residualWatts = 50
	// slowEvery is how many readings pass between two looks at what changes slowly.
	slowEvery = 4
)

// Driver minds one machine.
type Driver struct {
	client       *client
	capabilities miner.Capabilities

	who info
	// clocks are the settings of presets as last read, without the fields to write back.
	clocks overclock
	// persists says that a stopped machine stays so through a reboot.
	persists bool
	presets  presetList
	// now is the preset in force and what may change it, as last read.
	now perfSummary
	// stockTHs is the rated hash rate by the machine's own word.
	stockTHs float64

	readings int
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. An empty password is the firmware's default, a user name has no
// meaning here.
func New(t miner.Target) *Driver { return &Driver{client: newClient(t)} }

// Identify reads who the machine is, and only then logs in and reads its presets.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	var who info
	if err := d.client.open(ctx, "info", &who); err != nil {
		return miner.Identity{}, foreign(err)
	}
	if !who.isVNish() {
		return miner.Identity{}, fmt.Errorf("%s: %w: info has no VNish fields", d.client.Address, miner.ErrNotThisFirmware)
	}
	if !supported(who.Version) {
		return miner.Identity{}, fmt.Errorf("%s: %w: VNish %s is older than 1.2", d.client.Address, miner.ErrVersion, who.Version)
	}
	d.who = who
	// Settings may be read by nobody but who is let in: they come first and prove the password.
	for _, read := range []func(context.Context) error{d.readSettings, d.readPresets, d.readPerformance} {
		if err := read(ctx); err != nil {
			return miner.Identity{}, err
		}
	}
	d.learn()
	return miner.Identity{
		Firmware:        miner.VNish,
		FirmwareVersion: string(who.Version),
		Model:           string(cmp.Or(who.Miner, who.Model)),
		MAC:             wire.MAC(who.System.Network.MAC),
		Serial:          wire.Serial(who.Serial),
	}, nil
}

// foreign turns "no such resource" and what is no JSON into "no such firmware".
func foreign(err error) error {
	if errors.Is(err, miner.ErrUnreachable) || errors.Is(err, miner.ErrBusy) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var status *wire.StatusError
	if errors.As(err, &status) && status.Kind == nil { // 5xx: its own trouble
		return err
	}
	return fmt.Errorf("%w: %v", miner.ErrNotThisFirmware, err) //nolint:errorlint // a 401 to no credentials refuses none
}

// Capabilities are known after Identify, and follow what later readings find: with the preset switcher
// on there are no presets to command.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// owned says why no preset can be commanded; empty where one can.
func (d *Driver) owned() string {
	switch {
	case d.now.Switcher.Enabled.Value || d.clocks.switcher.Enabled.Value:
		return "its preset switcher is on and changes presets by temperature: turn it off on the machine"
	case d.clocks.preset == "":
		return "its settings name no preset"
	case d.clocks.preset == manual:
		return "its clocks are set by hand (preset \"disabled\"): choose a preset on the machine"
	}
	return ""
}

// learn works out the capabilities from what was last read.
func (d *Driver) learn() {
	c := miner.Capabilities{
		Sleep:               true,
		SleepSurvivesReboot: d.persists,
		ResidualWatts:       residualWatts,
		// Nobody has published how long the machine takes. One driver gives a stop 90 s and a start 180 s and
		// repeats the order after 30 s; a restart of mining for a preset was reported to take 15 to 20 s
		// before the ramp.
		SleepTiming: miner.Timing{Typical: 10 * time.Second, Worst: 30 * time.Second},
		WakeTiming:  miner.Timing{Typical: 90 * time.Second, Worst: 180 * time.Second},
		TrimTiming:  miner.Timing{Typical: 90 * time.Second, Worst: 180 * time.Second, Restarts: true},
	}
	if plate, ok := miner.NameplateOf(string(d.who.Miner)); ok {
		c.NameplateWatts, c.NameplateTHs = plate.Watts, plate.THs
	}
	if d.stockTHs > 0 {
		c.NameplateTHs = d.stockTHs
	}
	if d.owned() == "" {
		c.Modes = d.presets.offered(d.clocks.modded)
	}
	if len(c.Modes) == 0 {
		// Only on and off are left, and on means whatever is set, or the switcher makes of it.
		if most := d.ceiling(); most != nil {
			c.NameplateWatts = max(c.NameplateWatts, *most)
		}
	}
	d.capabilities = c
}

// ceiling is the most watts of any preset that may come into force with no further command: the one in
// force, the one that is set (a restart of mining is enough for it) and the highest that the switcher may
// choose. Nil where clocks are set by hand: then no watts are named at all.
func (d *Driver) ceiling() *int64 {
	most := larger(wattsOf(d.now.Current.Name), wattsOf(d.clocks.preset))
	for _, s := range []switcher{d.now.Switcher, d.clocks.switcher} {
		if !s.Enabled.Value {
			continue
		}
		top := wattsOf(s.Top)
		if top == nil {
			top = d.presets.highest()
		}
		most = larger(most, top)
	}
	return most
}

func (d *Driver) readSettings(ctx context.Context) error {
	var found settings
	if err := d.client.Get(ctx, "settings", &found); err != nil {
		return wire.OnlyIfSilent(err)
	}
	d.persists = found.Miner.Misc.RemainStopped.Value
	d.clocks = found.overclock()
	d.clocks.fields = nil
	return nil
}

func (d *Driver) readPresets(ctx context.Context) error {
	var found presetList
	if err := d.client.Get(ctx, "autotune/presets", &found); err != nil {
		return wire.OnlyIfSilent(err)
	}
	if len(found) == 0 { // a machine on its way up may list none yet
		return nil
	}
	for i := range found {
		found[i].Tune = nil // large, and read anew where it is needed
	}
	d.presets = found
	return nil
}

func (d *Driver) readPerformance(ctx context.Context) error {
	var found perfSummary
	if err := d.client.Get(ctx, "perf-summary", &found); err != nil {
		return wire.OnlyIfSilent(err)
	}
	d.now = found
	return nil
}

func (d *Driver) readInfo(ctx context.Context) error {
	var found info
	if err := d.client.Get(ctx, "info", &found); err != nil {
		return wire.OnlyIfSilent(err)
	}
	if found.isVNish() {
		d.who = found
	}
	return nil
}
