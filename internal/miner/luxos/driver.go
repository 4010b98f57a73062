// Package luxos drives LuxOS through its RPC on port 4028. It chooses among the machine's own profiles
// and puts it to sleep and wakes it; it never ends a session that is not its own, and never changes any
// other setting. Where each fact comes from is in docs/firmware.md.
package luxos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its RPC.
const Port = 4028

const (
	// residualWatts is the vendor's figure for a sleeping machine.
	residualWatts = 25
	// slowEvery is how many readings pass between two looks at profiles, automatic tuning or temperature.
	slowEvery = 12
	// sleepPersistsSince is the first release year whose sleep is trusted to survive a restart: an older
	// edition of the manual says a reboot wakes the machine, the later one says it does not.
	sleepPersistsSince = 2025
	// awakeWatts is a draw that no sleeping machine has.
	awakeWatts = 200
)

// Driver minds one machine.
type Driver struct {
	client       *client
	capabilities miner.Capabilities

	release string
	// plate is the configuration as first read: what it says of the model.
	plate config
	// last is the configuration as last read.
	last     config
	profiles []profile
	// atm is what bounds automatic tuning.
	atm atmSetting
	// blind: nothing but its config says whether it sleeps, and it gives none. It is only read.
	blind bool
	// separate is set once the machine was found not to take joined commands.
	separate bool
	// toldToSleep is what was commanded last.
	toldToSleep bool
	// told is the watts of the profile commanded last; nil before the first.
	told *int64
	// leftover is a session of our own that could not be ended.
	leftover string

	readings    int
	temperature *float64
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. LuxOS has no credentials.
func New(t miner.Target) *Driver {
	return &Driver{client: &client{address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))}}
}

// Identify reads who the machine is and which profiles it has.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	v, err := d.client.ask(ctx, "version", "")
	if err = onlyIfSilent(err); err != nil {
		return miner.Identity{}, wire.Foreign(err)
	}
	who := v.Version.First()
	if who.LUXminer == "" && !v.isLuxOS() {
		return miner.Identity{}, fmt.Errorf("%s: %w: version does not name LUXminer",
			d.client.address, miner.ErrNotThisFirmware)
	}
	c, err := d.client.ask(ctx, "config", "")
	if err = onlyIfSilent(err); err != nil {
		return miner.Identity{}, err
	}
	if err := d.readProfiles(ctx); err != nil {
		return miner.Identity{}, err
	}
	if err := d.readATM(ctx); err != nil {
		return miner.Identity{}, err
	}
	now := c.Config.First()
	d.plate, d.last = now, now
	d.blind = len(c.Config) == 0
	d.release = cmp.Or(releaseOf(string(v.Status.First().Description)), string(who.LUXminer), string(who.Miner))
	d.learn()
	return miner.Identity{
		Firmware:        miner.LuxOS,
		FirmwareVersion: d.release,
		Model:           cmp.Or(string(now.Model), string(who.Type)),
		MAC:             wire.MAC(now.MAC),
		Serial:          wire.Serial(now.Serial),
	}, nil
}

// releaseOf takes "2025.4.8.220305" from "LUXminer 2025.4.8.220305-5ab3c1".
func releaseOf(description string) string {
	name, release, _ := strings.Cut(description, " ")
	if !strings.EqualFold(name, "luxminer") {
		return ""
	}
	return release
}

// Capabilities are known after Identify, and follow what later readings find: with automatic tuning on
// there are no profiles to command.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn works out the capabilities from what was last read.
func (d *Driver) learn() {
	if d.blind {
		plate, _ := miner.NameplateOf(string(d.plate.Model))
		d.capabilities = miner.Capabilities{NameplateWatts: plate.Watts, NameplateTHs: plate.THs, ResidualWatts: residualWatts}
		return
	}
	c := miner.Capabilities{
		Sleep:               true,
		SleepSurvivesReboot: sleepPersists(d.release),
		ResidualWatts:       residualWatts,
		// The vendor claims under 5 s down and under 10 s up, slower on the first wake after a reboot. Nobody
		// has published how long a profile change takes; it ramps like a wake, and is taken to stop mining
		// on the way.
		SleepTiming: miner.Timing{Typical: 5 * time.Second, Worst: 10 * time.Second},
		WakeTiming:  miner.Timing{Typical: 10 * time.Second, Worst: 60 * time.Second},
		TrimTiming:  miner.Timing{Typical: 20 * time.Second, Worst: 60 * time.Second, Restarts: true},
	}
	if plate, ok := miner.NameplateOf(string(d.plate.Model)); ok {
		c.NameplateWatts, c.NameplateTHs = plate.Watts, plate.THs
	}
	// The default profile is the factory's output and draw by the vendor's word.
	if usual := wattsOf(d.profiles, "default"); usual != nil {
		c.NameplateWatts = max(c.NameplateWatts, *usual)
	}
	if ths := d.plate.NameplateTHS.Scaled(1); ths != nil && *ths > 0 {
		c.NameplateTHs = *ths
	}
	if !d.last.ATM.Value {
		c.Modes = modes(d.profiles)
	} else {
		// Only on and off are left, and on means whatever automatic tuning makes of it.
		most := d.atmCeiling()
		if limit := larger(most.Watts.Watts(), d.atm.PowerLimit.Watts()); limit != nil && *limit > c.NameplateWatts {
			c.NameplateWatts = *limit
			c.NameplateTHs = max(c.NameplateTHs, most.Hashrate.Value)
		}
	}
	d.capabilities = c
}

// sleepPersists judges by the year a release name begins with; a release without one is old.
func sleepPersists(release string) bool {
	year, _, _ := strings.Cut(release, ".")
	n, err := strconv.Atoi(year)
	return err == nil && n >= sleepPersistsSince && n < 2100
}

func (d *Driver) readProfiles(ctx context.Context) error {
	p, err := d.client.ask(ctx, "profiles", "")
	if err != nil {
		return onlyIfSilent(err)
	}
	if len(p.Profiles) > 0 { // a machine on its way up may list none yet
		d.profiles = p.Profiles[:min(len(p.Profiles), maxProfiles)]
	}
	return nil
}

func (d *Driver) readATM(ctx context.Context) error {
	a, err := d.client.ask(ctx, "atm", "")
	if err != nil {
		return onlyIfSilent(err)
	}
	d.atm = a.ATM.First()
	return nil
}

func (d *Driver) readTemperature(ctx context.Context) error {
	t, err := d.client.ask(ctx, "temps", "")
	if err != nil {
		return onlyIfSilent(err)
	}
	d.temperature = nil
	for _, board := range t.Temps {
		for _, n := range []wire.Number{board.TopLeft, board.TopRight, board.BottomLeft, board.BottomRight} {
			if n.Set && n.Value > 0 && (d.temperature == nil || n.Value > *d.temperature) {
				d.temperature = &n.Value
			}
		}
	}
	return nil
}

// onlyIfSilent forgives a machine that answers no to what a reading can do without, or hangs up.
func onlyIfSilent(err error) error {
	if _, no := errors.AsType[*refusal](err); no || wire.Unreadable(err) {
		return nil
	}
	return err
}
