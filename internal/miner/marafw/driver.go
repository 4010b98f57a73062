// Package marafw drives MaraFW, the firmware of Marathon, through its web API: sleep, wake, and the power target of
// its tuner where the machine runs by one. Where each fact comes from is in docs/firmware.md.
package marafw

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its web API.
const Port = 80

const (
	// defaultUser and defaultPassword are the maker's.
	defaultUser, defaultPassword = "root", "root"
	// residualWatts is assumed for a sleeping machine; one wrote an estimate of 25 W.
	residualWatts = 50
	// awakeWatts is a draw that no sleeping machine has.
	awakeWatts = 200
	// slowEvery is how many readings pass between two looks at the configuration of a machine that hashes.
	slowEvery = 4
	// stepWatts is assumed, and leastShare of the highest target as well: nobody says how low a target may be.
	stepWatts  = 50
	leastShare = 0.6
)

// Driver minds one machine.
type Driver struct {
	web *wire.Client

	capabilities miner.Capabilities
	who          overview
	// conf is the configuration as last read, empty where the machine has none to read.
	conf conf
	// before is the last mode that was no sleep.
	before string
	// mostWatts is the highest target seen: above it nobody knows that the machine can go.
	mostWatts int64
	stockTHs  float64
	// active says that it hashed, or drew as much, when last read; stopped that it said it sleeps.
	active, stopped bool
	readings        int
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. No credentials are the maker's.
func New(t miner.Target) *Driver {
	return &Driver{web: &wire.Client{
		Address: at(t), Root: "/kaonsu/v1/",
		RoundTripper: &wire.Digest{
			Username: cmp.Or(t.Username, defaultUser), Password: cmp.Or(t.Password, defaultPassword),
		},
	}}
}

func at(t miner.Target) netip.AddrPort {
	return netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))
}

// Identify reads who the machine is, its mode, and the one it ran before where it sleeps.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	var who overview
	if err := d.get(ctx, "overview", &who); err != nil {
		return miner.Identity{}, foreign(err)
	}
	model := strings.TrimSpace(string(cmp.Or(who.Model, who.Extended)))
	if who.Version == "" || model == "" {
		return miner.Identity{}, fmt.Errorf("%s: %w: overview names no model or no version", d.web.Address, miner.ErrNotThisFirmware)
	}
	d.who = who
	d.who.Model = wire.Text(model)
	l, err := d.look(ctx, true)
	if err != nil {
		return miner.Identity{}, err
	}
	d.notice(l)
	if d.conf.asleep() && d.before == "" {
		d.before = d.history(ctx)
	}
	d.learn()
	return miner.Identity{
		Firmware:        miner.MaraFW,
		FirmwareVersion: string(who.Version),
		Model:           model,
		MAC:             wire.MAC(who.MAC),
	}, nil
}

// foreign turns "no such page" and what is no JSON into "no such firmware", and says how to be let in.
func foreign(err error) error {
	var status *wire.StatusError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, miner.ErrUnauthorized):
		return fmt.Errorf("%w: set username and password of the pool's credentials secret", err)
	case errors.As(err, &syntax), errors.Is(err, wire.ErrTooLarge):
		return fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	case errors.As(err, &status) && status.Kind != nil && !errors.Is(err, miner.ErrBusy):
		return fmt.Errorf("%w: %v", miner.ErrNotThisFirmware, err) //nolint:errorlint // it refuses nothing of ours
	}
	return err
}

// get reads one reply, out of its wrapping.
func (d *Driver) get(ctx context.Context, path string, out any) error {
	reply, err := d.web.Do(ctx, wire.Request{Path: path})
	if err != nil {
		return err
	}
	reply.Body = payload(reply.Body)
	return d.web.Decode(path, reply, out)
}

// history looks for the mode a machine ran before it slept; empty where it can't be told.
func (d *Driver) history(ctx context.Context) string {
	reply, err := d.web.Do(ctx, wire.Request{Path: "log?type=miner_config_history"})
	if err != nil {
		return ""
	}
	return lastAwake(reply.Body)
}

// Capabilities are known after Identify.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn works out the capabilities from what was last read. A target is offered only where the machine runs by one:
// what its tuner makes of a first target is the site's own choice.
func (d *Driver) learn() {
	c := miner.Capabilities{
		Sleep: d.conf.selector() != "",
		// The mode stands in the configuration; nobody has said that he saw a machine sleep on after a reboot.
		SleepSurvivesReboot: false,
		ResidualWatts:       residualWatts,
		// Assumed, as for Bitmain's own firmware on the same machines; a tuner may take longer than worst to settle.
		SleepTiming: miner.Timing{Typical: 60 * time.Second, Worst: 150 * time.Second},
		WakeTiming:  miner.Timing{Typical: 90 * time.Second, Worst: 180 * time.Second},
		TrimTiming:  miner.Timing{Typical: 60 * time.Second, Worst: 180 * time.Second, Restarts: true},
	}
	if plate, ok := miner.NameplateOf(string(d.who.Model)); ok {
		c.NameplateWatts, c.NameplateTHs = max(plate.Watts, d.mostWatts), plate.THs
	}
	if c.NameplateTHs > 0 && d.stockTHs > c.NameplateTHs { // one model is sold in several ratings
		watts := math.Ceil(float64(c.NameplateWatts) * d.stockTHs / c.NameplateTHs)
		c.NameplateWatts = int64(min(watts, wire.MaxWatts))
	}
	c.NameplateTHs = max(c.NameplateTHs, d.stockTHs)
	if d.conf.target() != nil && (d.tuned() || d.conf.asleep() && d.before == modeAuto) {
		c.Continuous, c.StepWatts = true, stepWatts
		c.MaxWatts = max(d.mostWatts, c.NameplateWatts)
		c.MinWatts = int64(math.Ceil(float64(c.MaxWatts)*leastShare/stepWatts)) * stepWatts
		c.MinWatts = min(c.MinWatts, c.MaxWatts)
	}
	d.capabilities = c
}

// tuned says that the machine follows a target.
func (d *Driver) tuned() bool {
	return strings.EqualFold(d.conf.selector(), modeAuto) && d.conf.target() != nil
}

// missing is a page that this machine does not have.
func missing(err error) bool {
	var status *wire.StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}
