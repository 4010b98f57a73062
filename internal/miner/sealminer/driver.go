// Package sealminer drives Bitdeer SealMiner machines, and others with bdminer, through the RPC on port 4028, and
// through the web pages where a power limit wants a reboot. It puts a machine to sleep and wakes it and sets its
// power limit; it changes nothing else. Where each fact comes from is in docs/firmware.md.
package sealminer

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its RPC.
const Port = 4028

const (
	// residualWatts is assumed for a machine that is suspended: control board and a supply that stays on.
	residualWatts = 50
	// stepWatts is the smallest change worth a reboot.
	stepWatts = 50
	// leastPercent of the highest limit that was seen is the lowest that is commanded: no machine names its range.
	leastPercent = 60
)

// Driver minds one machine.
type Driver struct {
	client       *client
	web          *web
	capabilities miner.Capabilities

	model string
	// most is the highest power limit the machine was seen to have, watts; 0 where none was seen yet.
	most int64
	// toldToSleep is what was commanded last.
	toldToSleep bool
	// told is the limit commanded last, until the machine names it.
	told *int64
	// before is the limit that stays in force until a boot that is yet to come; nil where none is.
	before *int64
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. The RPC has no credentials; empty ones are the web pages' defaults. A port
// moves both: the pages are looked for 3948 below the RPC, as 80 is below 4028.
func New(t miner.Target) *Driver {
	return &Driver{client: &client{address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))}, web: newWeb(t)}
}

// version asks who is there. Every reply names bdminer.
func (d *Driver) version(ctx context.Context) error {
	r, err := d.client.ask(ctx, "version")
	if err != nil && !silent(err) {
		return err
	}
	who := r.Version.First()
	for _, name := range []wire.Text{r.Status.First().Description, who.Miner} {
		if strings.HasPrefix(strings.ToLower(string(name)), "bdminer") {
			return nil
		}
	}
	if who.BDMiner != "" {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%s: version names no bdminer", d.client.address)
	}
	return fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
}

// Identify finds out who the machine is and its power limit.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	if err := d.version(ctx); err != nil {
		return miner.Identity{}, err
	}
	now, err := d.look(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	d.model = string(now.Model)
	if d.model == "" {
		r, err := d.client.ask(ctx, "devdetails")
		if err != nil && !silent(err) {
			return miner.Identity{}, err
		}
		d.model = string(r.Details.First().Model)
	}
	d.learn(now)
	return miner.Identity{
		Firmware:        miner.SealMiner,
		FirmwareVersion: string(now.Firmware),
		Model:           d.model,
		MAC:             wire.MAC(now.MAC),
		Serial:          wire.Serial(now.Serial),
	}, nil
}

// Capabilities are known after Identify; the rated watts follow the highest limit that was seen.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn keeps what a look shows of the machine, and works out the capabilities from it.
func (d *Driver) learn(now look) {
	if limit := now.limit(); limit != nil {
		d.most = max(d.most, *limit)
		if d.told != nil && d.before == nil && *d.told == *limit {
			d.told = nil
		}
	}
	c := miner.Capabilities{
		Sleep: true, ResidualWatts: residualWatts, NameplateWatts: d.most,
		// Nobody has published how long anything takes. What wakes is a start of mining, which tunes its boards.
		// Its hash rate is the mean of a minute, and shows the stop that much later.
		SleepTiming: miner.Timing{Typical: 70 * time.Second, Worst: 90 * time.Second},
		WakeTiming:  miner.Timing{Typical: 3 * time.Minute, Worst: 6 * time.Minute},
	}
	least := ((d.most*leastPercent+99)/100 + stepWatts - 1) / stepWatts * stepWatts
	if d.most > least {
		c.Continuous, c.MinWatts, c.MaxWatts, c.StepWatts = true, least, d.most, stepWatts
		c.TrimTiming = miner.Timing{Typical: 4 * time.Minute, Worst: 8 * time.Minute, Restarts: true}
	}
	if ths := now.Rated.Scaled(1e-6); ths != nil {
		c.NameplateTHs = *ths
	}
	if plate, ok := miner.NameplateOf(d.model); ok {
		c.NameplateWatts, c.NameplateTHs = max(plate.Watts, d.most), plate.THs
	}
	d.capabilities = c
}
