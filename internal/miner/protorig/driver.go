// Package protorig drives Proto Rigs through their REST API (MDK-API). It stops mining and starts it, and sets
// the target of watts; it never sets clocks, cooling or pools, never pairs with a machine and never changes
// its password. Where each fact comes from is in docs/firmware.md.
package protorig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its API.
const Port = 80

// SecurePort is where it does by HTTPS: the maker's own software looks there first, and takes any certificate.
const SecurePort = 443

const (
	// stepWatts is the smallest change worth sending. The API takes whole watts.
	stepWatts = 10
	// residualWatts is assumed for a stopped machine, which the maker says runs its control board only.
	residualWatts = 50
	// slowEvery is how many readings pass between two looks at the machine's list of errors.
	slowEvery = 4
)

// Driver minds one machine.
type Driver struct {
	client       *client
	capabilities miner.Capabilities
	readings     int
	troubled     bool
	faults       []string
	plate        miner.Nameplate // of its model, where that is known
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. There are no user names and no password that is known beforehand: a
// machine with its first one takes no orders.
func New(t miner.Target) *Driver { return &Driver{client: newClient(t)} }

// Identify reads who the machine is, logs in and reads its range of watts.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	who, err := d.client.who(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	var at pairing
	if err := d.client.open(ctx, "pairing/info", &at); wire.OnlyIfSilent(err) != nil {
		return miner.Identity{}, err
	}
	mac := wire.MAC(at.MAC)
	if mac == "" {
		if mac, err = d.client.mac(ctx); err != nil {
			return miner.Identity{}, err
		}
	}
	var told target
	if err := d.client.get(ctx, "mining/target", &told); wire.OnlyIfSilent(err) != nil {
		return miner.Identity{}, err
	}
	d.plate, _ = miner.NameplateOf(who.model())
	d.learn(told)
	serial := wire.Serial(who.Info.Serial)
	if serial == "" {
		serial = wire.Serial(at.Serial)
	}
	return miner.Identity{
		Firmware:        miner.ProtoRig,
		FirmwareVersion: string(who.Info.OS.Version),
		Model:           who.model(),
		MAC:             mac,
		Serial:          serial,
	}, nil
}

// who finds out whether it is a Proto Rig, and whether by HTTP or by HTTPS, at a port of its own or at one that was given
// for both. An address that says nothing at all is not asked a second time.
func (c *client) who(ctx context.Context) (system, error) {
	plain := c.Address
	who, err := c.read(ctx)
	var timeout interface{ Timeout() bool }
	if err == nil || c.Secure || ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		return who, err
	}
	c.Secure, c.Address = true, c.secure
	who, secureErr := c.read(ctx)
	if secureErr != nil {
		c.Secure, c.Address = false, plain
		return system{}, err // what is usual tells more
	}
	return who, nil
}

// read reads what is open to all and says whether it is a Proto Rig.
func (c *client) read(ctx context.Context) (system, error) {
	var who system
	if err := c.open(ctx, "system", &who); err != nil {
		return system{}, foreign(err)
	}
	if !who.isProto() {
		return system{}, fmt.Errorf("%s: %w: system names no Proto Rig", c.Address, miner.ErrNotThisFirmware)
	}
	return who, nil
}

// mac is read where the machine does not say it for pairing; the maker's page and simulator name it differently.
func (c *client) mac(ctx context.Context) (string, error) {
	var at struct {
		Info struct {
			MAC     wire.Text `json:"mac"`
			Address wire.Text `json:"mac_address"`
		} `json:"network-info"`
	}
	if err := c.open(ctx, "network", &at); wire.OnlyIfSilent(err) != nil {
		return "", err
	}
	if mac := wire.MAC(at.Info.MAC); mac != "" {
		return mac, nil
	}
	return wire.MAC(at.Info.Address), nil
}

// foreign turns a refusal of what is open to all, and what is no JSON, into "no such firmware".
func foreign(err error) error {
	var status *wire.StatusError
	if errors.As(err, &status) && status.Status < http.StatusInternalServerError {
		return fmt.Errorf("%w: %s", miner.ErrNotThisFirmware, err.Error())
	}
	return wire.Foreign(err)
}

// Capabilities are known after Identify; the range of watts follows later readings.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn works out the capabilities. What the machine does not say now, it may say later; the rated draw is the
// most it can be told. How long it takes nobody has published: these are assumptions.
func (d *Driver) learn(told target) {
	c := miner.Capabilities{
		Sleep: true, ResidualWatts: residualWatts,
		NameplateWatts: d.capabilities.NameplateWatts,
		NameplateTHs:   d.plate.THs, NominalWatts: d.plate.Watts,
		SleepTiming: miner.Timing{Typical: 15 * time.Second, Worst: 60 * time.Second},
		WakeTiming:  miner.Timing{Typical: 90 * time.Second, Worst: 5 * time.Minute},
		TrimTiming:  miner.Timing{Typical: 30 * time.Second, Worst: 2 * time.Minute},
	}
	if least, most, ok := told.bounds(); ok {
		c.Continuous = true
		c.MinWatts, c.MaxWatts, c.StepWatts = least, most, stepWatts
		c.NameplateWatts = most
	} else if usual := told.Default.Watts(); usual != nil {
		c.NameplateWatts = max(c.NameplateWatts, *usual)
	}
	d.capabilities = c
}
