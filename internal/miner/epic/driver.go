// Package epic drives machines with ePIC's firmware (PowerPlay, the UMC control board) through its HTTP API.
// It stops mining and starts it, and sets the target of the tuning algorithm whose target is watts, where
// the machine has one; it never sets clocks or voltages, and never reboots a machine. Where each fact comes
// from is in docs/firmware.md.
package epic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its API: HTTP on the port where others have an RPC.
const Port = 4028

const (
	// defaultPassword is what a fresh installation accepts; there are no users.
	defaultPassword = "letmein"
	// stepWatts is the step of the vendor's own dashboard.
	stepWatts = 100
	// residualWatts is assumed for an idle machine: control board, fans and a supply that stays on.
	residualWatts = 50
	// usualCooldown is how long a machine may cool before it starts, and longestCooldown the most that is
	// believed of one that names another time.
	usualCooldown   = 300 * time.Second
	longestCooldown = 30 * time.Minute
)

// Driver minds one machine.
type Driver struct {
	client       *client
	capabilities miner.Capabilities
	// algorithm is the name of the one that tunes for watts, empty where the machine has none.
	algorithm string
	// metered says that the supply measures what it takes.
	metered bool
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. An empty password is the firmware's default, a user name has no
// meaning here.
func New(t miner.Target) *Driver { return &Driver{client: newClient(t)} }

// Identify reads who the machine is and what it can do, and has it say whether the password is right.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	var now summary
	if err := d.client.Get(ctx, "summary", &now); err != nil {
		return miner.Identity{}, foreign(err)
	}
	if !now.isEPIC() {
		return miner.Identity{}, fmt.Errorf("%s: %w: summary has no ePIC fields", d.client.Address, miner.ErrNotThisFirmware)
	}
	var can capabilities
	if err := d.client.Get(ctx, "capabilities", &can); wire.OnlyIfSilent(err) != nil {
		return miner.Identity{}, err
	}
	var at network
	if err := d.client.Get(ctx, "network", &at); wire.OnlyIfSilent(err) != nil {
		return miner.Identity{}, err
	}
	if err := d.authenticate(ctx); err != nil {
		return miner.Identity{}, err
	}
	d.learn(can)
	d.setTimings(now.Cooldown)
	serial := wire.Serial(can.Serial)
	if serial == "" {
		serial = wire.Serial(can.Control.Serial)
	}
	return miner.Identity{
		Firmware:        miner.EPIC,
		FirmwareVersion: string(now.Software),
		Model:           string(can.Model),
		MAC:             at.mac(),
		Serial:          serial,
	}, nil
}

// foreign turns "no such resource" and what is no HTTP or JSON into "no such firmware".
func foreign(err error) error {
	if errors.Is(err, miner.ErrUnreachable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var status *wire.StatusError
	if errors.As(err, &status) && status.Kind == nil { // 5xx: its own trouble
		return err
	}
	// An RPC on this port answers in words of its own, of any length.
	return fmt.Errorf("%w: %s", miner.ErrNotThisFirmware, wire.Clean(err.Error()))
}

// authenticate asks whether the password is right, which changes nothing. Older releases can't say.
func (d *Driver) authenticate(ctx context.Context) error {
	_, err := d.client.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: "authenticate", Body: command{Password: d.client.password},
	})
	return wire.OnlyIfSilent(err)
}

// Capabilities are known after Identify; the time of a wake follows later readings.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn works out the capabilities.
func (d *Driver) learn(can capabilities) {
	c := miner.Capabilities{Sleep: true, ResidualWatts: residualWatts}
	plate, known := miner.NameplateOf(string(can.Model))
	c.NameplateWatts, c.NameplateTHs = plate.Watts, plate.THs
	if !known {
		for _, preset := range can.Preset {
			if watts := preset.Power.Watts(); watts != nil {
				c.NameplateWatts = max(c.NameplateWatts, *watts)
			}
		}
		if ths := can.Rated.Scaled(1); ths != nil {
			c.NameplateTHs = *ths
		}
	}
	d.algorithm, d.metered = "", can.Supply.Metered.Value
	if tune, ok := can.Tune.watts(); ok {
		d.algorithm = string(tune.Algorithm)
		c.Continuous = true
		c.MinWatts, c.MaxWatts, c.StepWatts = *tune.Min.Watts(), *tune.Max.Watts(), stepWatts
	}
	d.capabilities = c
}

// setTimings works out how long the machine takes. Nobody has published that; these are assumptions. Before
// it starts it may cool for as long as it names itself.
func (d *Driver) setTimings(limit wire.Number) {
	cool := usualCooldown
	if named := limit.Seconds(); named != nil {
		cool = min(*named, longestCooldown)
	}
	d.capabilities.SleepTiming = miner.Timing{Typical: 10 * time.Second, Worst: 60 * time.Second}
	d.capabilities.WakeTiming = miner.Timing{Typical: 2 * time.Minute, Worst: cool + 5*time.Minute}
	d.capabilities.TrimTiming = miner.Timing{Typical: time.Minute, Worst: 5 * time.Minute, Restarts: true}
}
