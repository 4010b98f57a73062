// Package braiins drives Braiins OS 25.07 and later through its public REST API. It reads and writes
// power targets and pause; it never changes any other setting of the machine. Older releases are read through
// the RPC of their mining program, and told nothing. Where each fact comes from is in docs/firmware.md.
package braiins

import (
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
	// defaultUser and defaultPassword are what a fresh installation accepts.
	defaultUser     = "root"
	defaultPassword = "root"
	// stepWatts is the smallest change worth sending. The API takes whole watts, the tuner works in
	// coarser steps and its own estimate is off by more.
	stepWatts = 10
	// residualWatts is assumed for a paused machine: control board, fans and a PSU that stays on.
	residualWatts = 50
	// slowEvery is how many readings pass between two looks at what changes slowly.
	slowEvery = 4
)

// Driver minds one machine.
type Driver struct {
	client       *client
	capabilities miner.Capabilities
	// rpc is the way to a machine without the REST API, and older is it where the machine is one.
	rpc, older *older
	// awake is true once the machine was seen hashing and nothing was sent since that may have ended it.
	awake bool
	// status is the one last read.
	status state
	// configured is the target the machine was told last, by anyone; nil where not known.
	configured *int64
	// Ramp times, seconds: as configured, and the default for where they are not.
	rampUp, rampDown, usualRamp wire.Number

	readings    int
	faults      []string
	temperature *float64
	troubled    bool
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. Empty credentials are the firmware's defaults.
func New(t miner.Target) *Driver { return &Driver{client: newClient(t), rpc: newOlder(t)} }

// Identify logs in and reads who the machine is, its range of watts and its configured target. Where there is no
// REST API, the mining program is asked.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	d.older = nil
	id, err := d.identify(ctx)
	if err == nil || !d.rpc.instead(err) {
		return id, err
	}
	who, olderErr := d.rpc.find(ctx)
	if olderErr != nil {
		return miner.Identity{}, err
	}
	id, can, err := d.rpc.identify(ctx, who)
	if err != nil {
		return miner.Identity{}, err
	}
	d.older, d.capabilities = d.rpc, can
	return id, nil
}

func (d *Driver) identify(ctx context.Context) (miner.Identity, error) {
	var who details
	if err := d.client.Get(ctx, "miner/details", &who); err != nil {
		return miner.Identity{}, notThis(err)
	}
	if !who.isBraiins() {
		return miner.Identity{}, fmt.Errorf("%s: %w: miner/details has no Braiins OS fields",
			d.client.Address, miner.ErrNotThisFirmware)
	}
	var limits constraints
	if err := d.client.Get(ctx, "configuration/constraints", &limits); err != nil && !wire.Answered(err) {
		return miner.Identity{}, err
	}
	if err := d.readConfigured(ctx); err != nil {
		return miner.Identity{}, err
	}
	d.capabilities = capabilitiesOf(who, limits)
	d.usualRamp = limits.Hashboards.QuickRamping.Default
	d.setTimings()
	return miner.Identity{
		Firmware:        miner.BraiinsOS,
		FirmwareVersion: string(who.Version.Current),
		Model:           string(who.Identity.Name),
		MAC:             wire.MAC(who.MAC),
		Serial:          wire.Serial(who.Serial),
	}, nil
}

// notThis turns "no such resource" into "no such firmware".
func notThis(err error) error {
	if errors.Is(err, miner.ErrUnsupported) {
		return fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	}
	return err
}

// Capabilities are known after Identify; timings follow the ramp times of later readings.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

func capabilitiesOf(who details, limits constraints) miner.Capabilities {
	c := miner.Capabilities{
		Sleep:         true,
		ResidualWatts: residualWatts,
	}
	target := limits.Tuner.PowerTarget
	least, most := target.Min.Watt.Watts(), target.Max.Watt.Watts()
	// Each of them may be null. Without both there is no range to check a target against, so none is
	// offered: such a machine is only put to sleep and woken.
	if least != nil && most != nil && *least > 0 && *least <= *most {
		c.Continuous = true
		c.MinWatts, c.MaxWatts, c.StepWatts = *least, *most, stepWatts
	}
	if plate, ok := miner.NameplateOf(string(who.Identity.Name)); ok {
		c.NameplateWatts, c.NameplateTHs = plate.Watts, plate.THs
	}
	if usual := target.Default.Watt.Watts(); usual != nil {
		c.NameplateWatts = max(c.NameplateWatts, *usual)
	}
	if ths := who.Sticker.GHs.Scaled(1e-3); ths != nil && *ths > 0 {
		c.NameplateTHs = *ths
	}
	return c
}

// longestRamp is the longest quick ramp the API takes.
const longestRamp = 600 * time.Second

// setTimings works out how long the machine takes. Nobody has published that; these are assumptions, made
// longer where the machine's own ramp times are longer. A machine that is slower still is covered: it is
// judged by what is measured and by its target (rule L5).
func (d *Driver) setTimings() {
	ramp := func(configured wire.Number) time.Duration {
		if s := seconds(configured, d.usualRamp); s != nil {
			return min(*s, longestRamp)
		}
		return 0
	}
	up, down := ramp(d.rampUp), ramp(d.rampDown)
	timing := func(ramp, typical, worst time.Duration) miner.Timing {
		return miner.Timing{Typical: max(typical, ramp+typical/2), Worst: max(worst, ramp+worst/2)}
	}
	d.capabilities.SleepTiming = timing(down, 5*time.Second, 10*time.Second)
	d.capabilities.WakeTiming = timing(up, 15*time.Second, 30*time.Second)
	d.capabilities.TrimTiming = timing(max(up, down), 10*time.Second, 20*time.Second)
}

// Read takes a reading in three requests, and every fourth time one more for what changes slowly.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	if d.older != nil {
		return d.readOlder(ctx)
	}
	var who details
	if err := d.client.Get(ctx, "miner/details", &who); err != nil {
		return miner.Reading{}, err
	}
	var now stats
	if err := d.client.Get(ctx, "miner/stats", &now); err != nil && !wire.Answered(err) {
		return miner.Reading{}, err
	}
	var tuner tunerState
	if err := d.client.Get(ctx, "performance/tuner-state", &tuner); err != nil && !wire.Answered(err) {
		return miner.Reading{}, err
	}
	d.readSlowly(ctx, troubled(who.Status, tuner))
	r := readingOf(who, now, tuner, d.configured)
	r.TemperatureC = d.temperature
	r.Faults = append(r.Faults, d.faults...)
	d.status, d.awake = who.Status, r.State == miner.Hashing
	return r, nil
}

func readingOf(who details, now stats, tuner tunerState, configured *int64) miner.Reading {
	hashrate := now.hashrate()
	r := miner.Reading{
		State:       minerState(who.Status, hashrate, tuner),
		HashrateTHs: hashrate.Scaled(1e-3),
		Watts:       now.Power.Approximated.Watt.Watts(),
		TargetWatts: configured,
		Uptime:      seconds(who.UptimeS, who.MinerUptimeS),
		Faults:      faultsOf(who.Status, tuner),
	}
	if r.Watts != nil {
		r.WattsSource = miner.Estimate // the firmware computes it; recorded 3.5 % over its own target
	}
	if r.State != miner.Sleeping {
		setTargets(&r, tuner)
	}
	return r
}

// setTargets fills in the target in force and the one the firmware may go back to by itself: a machine
// told 3031 W was recorded following 2431 W with its tuner "stable".
func setTargets(r *miner.Reading, tuner tunerState) {
	r.Effective = tuner.Mode.PowerTarget.Current.Watt.Watts()
	r.Ceiling = r.Effective
	if r.TargetWatts != nil && (r.Ceiling == nil || *r.TargetWatts > *r.Ceiling) {
		r.Ceiling = r.TargetWatts
	}
}

// troubled says that the machine's own list of errors is worth a look now.
func troubled(status state, tuner tunerState) bool {
	return len(faultsOf(status, tuner)) > 0
}

// readSlowly looks at faults, temperature and configuration in turn, and at faults at once when trouble
// begins. A reading stands without them.
func (d *Driver) readSlowly(ctx context.Context, troubled bool) {
	turn := d.readings
	d.readings++
	begins := troubled && !d.troubled
	d.troubled = troubled
	reads := []func(context.Context) error{d.readFaults, d.readTemperature, d.readConfigured}
	switch {
	case begins:
		_ = d.readFaults(ctx)
	case turn%slowEvery == 0:
		_ = reads[turn/slowEvery%len(reads)](ctx)
	}
}

func (d *Driver) readFaults(ctx context.Context) error {
	var found problems
	if err := d.client.Get(ctx, "miner/errors", &found); err != nil {
		return wire.OnlyIfSilent(err)
	}
	d.faults = found.faults()
	return nil
}

func (d *Driver) readTemperature(ctx context.Context) error {
	var found cooling
	if err := d.client.Get(ctx, "cooling/state", &found); err != nil && wire.OnlyIfSilent(err) != nil {
		return err
	}
	d.temperature = nil
	if n := found.Highest.Temperature.DegreeC; n.Set {
		d.temperature = &n.Value
		return nil
	}
	var b boards
	if err := d.client.Get(ctx, "miner/hw/hashboards", &b); err != nil {
		return wire.OnlyIfSilent(err)
	}
	d.temperature = b.hottest()
	return nil
}

func (d *Driver) readConfigured(ctx context.Context) error {
	var found configuration
	if err := d.client.Get(ctx, "configuration/miner", &found); err != nil {
		return wire.OnlyIfSilent(err)
	}
	if watts := found.Tuner.PowerTarget.Watt.Watts(); watts != nil {
		d.configured = watts
	}
	d.rampUp, d.rampDown = found.Hashboards.RampUpS, found.Hashboards.RampDownS
	d.setTimings()
	return nil
}

// faultsOf is what the states themselves say.
func faultsOf(status state, tuner tunerState) []string {
	var faults []string
	if overall, _ := tuner.Overall.Int(); overall == tunerError {
		faults = append(faults, "the tuner reports an error")
	}
	if status == suspended || status == restricted {
		faults = append(faults, "mining is "+string(status)+" by the firmware")
	}
	return faults
}
