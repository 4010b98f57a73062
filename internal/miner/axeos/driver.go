// Package axeos drives the small machines with AxeOS (ESP-Miner: Bitaxe and its kin) through their HTTP API, which
// has no credentials. It pauses and resumes mining, where the release has that, and changes nothing else. Where each
// fact comes from is in docs/firmware.md.
package axeos

import (
	"cmp"
	"context"
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

// Port is where the firmware serves HTTP.
const Port = 80

const (
	// residualWatts is assumed for a machine that is paused: the controller, its fan and converters that stay on.
	residualWatts = 5
	// awakeWatts is a draw that no machine of one chip has that is paused; larger boards draw so much of their most.
	awakeWatts, awakePart = 8, 5
	// hashingGHs is the hash rate from which a machine counts as hashing; the firmware smooths what it gives.
	hashingGHs = 10
)

// Driver minds one machine.
type Driver struct {
	client       *wire.Client
	capabilities miner.Capabilities
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing.
func New(t miner.Target) *Driver {
	return &Driver{client: &wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port))),
		Root:    "/api/system/",
	}}
}

// info is what the machine says of itself.
type info struct {
	Chip      wire.Text   `json:"ASICModel"`
	Model     wire.Text   `json:"deviceModel"`
	Version   wire.Text   `json:"version"`
	Pages     wire.Text   `json:"axeOSVersion"` // of its web pages, which come with the firmware
	MAC       wire.Text   `json:"macAddr"`
	GHs       wire.Number `json:"hashRate"`
	Expected  wire.Number `json:"expectedHashrate"` // GH/s
	Watts     wire.Number `json:"power"`
	MaxWatts  wire.Number `json:"maxPower"`
	Temp      wire.Number `json:"temp"`
	Temp2     wire.Number `json:"temp2"` // of boards with two chips
	Regulator wire.Number `json:"vrTemp"`
	Uptime    wire.Number `json:"uptimeSeconds"`
	Paused    wire.Flag   `json:"miningPaused"` // since 2.14
	Overheat  wire.Flag   `json:"overheat_mode"`
	Fault     wire.Text   `json:"power_fault"`
}

func (i info) hashes() bool { return i.GHs.Set && i.GHs.Value >= hashingGHs }

// powered says that more is drawn than by any machine that is paused.
func (i info) powered() bool { return i.Watts.Value > max(awakeWatts, i.MaxWatts.Value/awakePart) }

// info reads one.
func (d *Driver) info(ctx context.Context) (info, error) {
	var now info
	err := d.client.Get(ctx, "info", &now)
	if errors.Is(err, miner.ErrUnauthorized) {
		err = fmt.Errorf("%w: it answers private addresses only: does the agent's own reach it?", err)
	}
	return now, err
}

// who is info of a machine that may be another.
func (d *Driver) who(ctx context.Context) (info, error) {
	now, err := d.info(ctx)
	if wire.Answered(err) || wire.Unreadable(err) {
		return info{}, fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	}
	if err == nil && (now.Chip == "" && now.Model == "" || !now.GHs.Set || !now.Uptime.Set && now.Version == "") {
		err = fmt.Errorf("%s: info: %w: it names no chip or board and hash rate", d.client.Address, miner.ErrNotThisFirmware)
	}
	return now, err
}

// Identify reads who the machine is, and whether it can be paused.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	now, err := d.who(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	var board struct {
		Model wire.Text `json:"deviceModel"`
	}
	if now.Model == "" {
		err = d.client.Get(ctx, "asic", &board)
		if err != nil && !wire.Answered(err) && !wire.Unreadable(err) {
			return miner.Identity{}, err
		}
	}
	d.learn(now)
	return miner.Identity{
		Firmware:        miner.AxeOS,
		FirmwareVersion: string(cmp.Or(now.Version, now.Pages)),
		Model:           string(cmp.Or(now.Model, board.Model, now.Chip)),
		MAC:             wire.MAC(now.MAC),
	}, nil
}

// Capabilities are known after Identify, and follow what later readings find.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

func (d *Driver) learn(now info) {
	c := miner.Capabilities{ResidualWatts: residualWatts}
	if most := now.MaxWatts.Watts(); most != nil {
		c.NameplateWatts = *most
	}
	if ths := now.Expected.Scaled(1e-3); ths != nil {
		c.NameplateTHs, c.NominalWatts = *ths, nominal(string(now.Chip), *ths)
	}
	if now.Paused.Set {
		c.Sleep = true
		// The firmware looks at the order ten times a second; its hash rate follows smoothed, and clocks rise by steps.
		c.SleepTiming = miner.Timing{Typical: 2 * time.Second, Worst: 30 * time.Second}
		c.WakeTiming = miner.Timing{Typical: 20 * time.Second, Worst: 2 * time.Minute}
	}
	d.capabilities = c
}

// efficiency of each chip in J/TH, by the nameplate of the Antminer it was made for.
var efficiency = map[string]float64{"BM1366": 21.5, "BM1368": 17.5, "BM1370": 15}

// thriftiest is the best of them, for chips that are not known here.
const thriftiest = 15

// nominal is what a hash rate takes. maxPower is no word on that: it is the most that the board may draw, often
// twice as much.
func nominal(chip string, ths float64) int64 {
	joules, known := efficiency[chip]
	if !known {
		joules = thriftiest
	}
	return int64(math.Ceil(ths * joules))
}

// Read takes a reading by one request.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	now, err := d.info(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	d.learn(now)
	return now.reading(), nil
}

func (i info) reading() miner.Reading {
	r := miner.Reading{
		State: i.state(), HashrateTHs: i.GHs.Scaled(1e-3), Watts: i.Watts.Watts(), TemperatureC: i.hottest(),
		Uptime: i.Uptime.Seconds(), Faults: i.faults(),
	}
	if r.Watts != nil {
		r.WattsSource = miner.DC // behind a supply that is no part of the machine
	}
	return r
}

// hottest is the hottest chip; the regulator beside it, which runs hotter, only where no chip is told.
func (i info) hottest() *float64 {
	var most *float64
	for _, n := range []wire.Number{i.Temp, i.Temp2} {
		if n.Set && n.Value > 0 && (most == nil || n.Value > *most) { // -1 is a sensor that is not there
			most = &n.Value
		}
	}
	if most == nil && i.Regulator.Set && i.Regulator.Value > 0 {
		return &i.Regulator.Value
	}
	return most
}

func (i info) faults() []string {
	var faults []string
	if i.Overheat.Value {
		faults = append(faults, "it stopped because it was too hot")
	}
	if i.Fault != "" {
		faults = append(faults, "power fault: "+string(i.Fault))
	}
	return faults
}

// state judges the machine by its own word, hash rate and watts together. It mines nothing without a pool or after
// a fault either, and goes on by itself then: that is no sleep.
func (i info) state() miner.State {
	switch {
	case i.Paused.Value && !i.hashes() && !i.powered():
		return miner.Sleeping
	case i.Paused.Value:
		return miner.Stopping
	case i.hashes():
		return miner.Hashing
	case len(i.faults()) > 0:
		return miner.Failed
	case !i.Paused.Set || !i.GHs.Set:
		return miner.Unknown
	}
	return miner.Starting
}

// Apply commands one setting.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	switch {
	case s.Kind == miner.HashMode && s.Mode != "", s.Kind != miner.Sleep && s.Kind != miner.HashMode:
		return fmt.Errorf("%s: setting %q %q: %w: it takes clocks and voltages, and nobody says how many watts those are",
			d.client.Address, s.Kind, s.Mode, miner.ErrUnsupported)
	case !d.capabilities.Sleep:
		return fmt.Errorf("%s: %w: its release can't be paused; 2.14 can", d.client.Address, miner.ErrUnsupported)
	case s.Kind == miner.Sleep:
		return d.post(ctx, "pause")
	}
	return d.post(ctx, "resume")
}

// post gives an order, which may be given twice, and judges the words of its reply as well.
func (d *Driver) post(ctx context.Context, order string) error {
	reply, err := d.client.Command(ctx, wire.Request{Method: http.MethodPost, Path: order})
	if err != nil {
		return err
	}
	var said struct {
		Message wire.Text `json:"message"`
		Error   wire.Text `json:"error"`
	}
	if err := d.client.Decode(order, reply, &said); err != nil {
		return err
	}
	text := strings.ToLower(string(said.Message))
	if said.Error != "" || strings.Contains(text, "fail") || strings.Contains(text, "error") {
		return fmt.Errorf("%s: %s: it says %q", d.client.Address, order, cmp.Or(said.Error, said.Message))
	}
	return nil
}
