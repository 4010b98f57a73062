// Package auradine drives Auradine's machines with their own firmware (FluxOS): HTTP on port 8080, and the RPC
// of its mining program on port 4028, which is only read. It puts a machine to sleep and wakes it and sets the
// watts it tunes for; it never sets clocks, voltages or fans, and never reboots a machine. Where each fact
// comes from is in docs/firmware.md.
package auradine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves HTTP.
const Port = 8080

const (
	// rpcOffset is how far from Port the mining program serves its RPC.
	rpcOffset = 4028 - Port

	// defaultUser and defaultPassword are what a fresh installation accepts.
	defaultUser     = "admin"
	defaultPassword = "admin"

	// residualWatts is what a machine was recorded to draw with its boards off (58.94 W).
	residualWatts = 60
	// stepWatts is the smallest change that is assumed to be worth a restart of mining.
	stepWatts = 50
	// leastPercent of the most the supplies put out is the lowest target. No machine names its least; one was
	// recorded at 58 %.
	leastPercent = 50
	// slowEvery is how many readings pass between two looks at what changes slowly.
	slowEvery = 4
)

// Driver minds one machine.
type Driver struct {
	client       *client
	capabilities miner.Capabilities
	// told is the target commanded last, watts; nil before the first.
	told *int64

	readings    int
	temperature *float64
	feels       led
	// mute says that its web server did not answer when it was met: its mining program is all that is read.
	mute bool
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. Empty credentials are the firmware's defaults. A port moves both APIs:
// the RPC is looked for 4052 below HTTP, as 4028 is below 8080, where the second port names no other.
func New(t miner.Target) *Driver { return &Driver{client: newClient(t)} }

// Identify logs in and reads who the machine is and what its supplies can put out.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	reply, err := d.client.ask(ctx, "ipreport")
	if err != nil {
		return d.identifyByRPC(ctx, foreign(err))
	}
	d.mute = false
	who := reply.Report.First()
	if !who.isAuradine() {
		return miner.Identity{}, fmt.Errorf("%s: %w: ipreport has no FluxOS fields", d.client.Address, miner.ErrNotThisFirmware)
	}
	if reply, err = d.client.ask(ctx, "psu"); wire.OnlyIfSilent(err) != nil {
		return miner.Identity{}, err
	}
	d.learn(who, reply.Supply)
	return miner.Identity{
		Firmware:        miner.Auradine,
		FirmwareVersion: string(who.Version),
		Model:           string(who.Model),
		MAC:             wire.MAC(who.MAC),
		Serial:          wire.Serial(who.Serial),
	}, nil
}

// identifyByRPC is for a machine whose web server is not there: its mining program says what it is, and not which
// machine. failed is what the web server was found by.
func (d *Driver) identifyByRPC(ctx context.Context, failed error) (miner.Identity, error) {
	none := errors.Is(failed, syscall.ECONNREFUSED) || errors.Is(failed, miner.ErrNotThisFirmware)
	if !none && !(d.client.other.IsValid() && wire.Lost(failed)) {
		return miner.Identity{}, failed
	}
	reply, err := d.client.program(ctx)
	if err != nil || !reply.isFluxOS() {
		return miner.Identity{}, failed
	}
	d.mute, d.capabilities = true, miner.Capabilities{ResidualWatts: residualWatts}
	return miner.Identity{
		Firmware:        miner.Auradine,
		FirmwareVersion: string(cmp.Or(reply.Status.First().Description, reply.Version.First().GCMiner)),
	}, nil
}

// foreign turns "no such resource" and what is no JSON into "no such firmware".
func foreign(err error) error {
	if errors.Is(err, miner.ErrUnsupported) {
		return fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	}
	return wire.Foreign(err)
}

// Capabilities are known after Identify; a supply that it could not be asked for then is learnt later.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn works out the capabilities. How long the machine takes, and whether mining stops for a new target,
// nobody has published; these are assumptions.
func (d *Driver) learn(who report, supplies wire.List[supply]) {
	c := miner.Capabilities{
		Sleep:         true,
		ResidualWatts: residualWatts,
		SleepTiming:   miner.Timing{Typical: 10 * time.Second, Worst: 60 * time.Second},
		WakeTiming:    miner.Timing{Typical: 60 * time.Second, Worst: 5 * time.Minute},
		TrimTiming:    miner.Timing{Typical: 60 * time.Second, Worst: 5 * time.Minute, Restarts: true},
	}
	if plate, ok := miner.NameplateOf(string(who.Model)); ok {
		c.NameplateWatts, c.NominalWatts, c.NameplateTHs = plate.Watts, plate.Watts, plate.THs
	}
	d.capabilities = c
	d.setRange(supplies)
}

// setRange takes the most that the supplies put out for the highest target, and for the most that the machine may
// draw: its modes go beyond what its maker rates it at.
func (d *Driver) setRange(supplies wire.List[supply]) {
	most := sum(supplies, func(s supply) quantity { return s.Max }).Watts()
	if most == nil || *most == 0 {
		return
	}
	c := &d.capabilities
	c.Continuous = true
	c.MinWatts, c.MaxWatts, c.StepWatts = (*most*leastPercent+99)/100, *most, stepWatts
	c.NameplateWatts = max(c.NameplateWatts, *most)
}

// sum adds up what all supplies say; unset where one of them does not say it.
func sum(supplies wire.List[supply], field func(supply) quantity) wire.Number {
	total := wire.Number{Set: len(supplies) > 0}
	for _, s := range supplies {
		watts := field(s)
		if !watts.Set || watts.Value < 0 {
			return wire.Number{}
		}
		total.Value += watts.Value
	}
	return total
}
