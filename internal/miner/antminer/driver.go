// Package antminer drives the stock firmware of Bitmain's Antminers through its web pages. It puts a machine
// to sleep and wakes it in the mode it ran before; it changes no other setting, though it has to write the whole
// configuration for that, and it reboots nothing. Where each fact comes from is in docs/firmware.md.
package antminer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Port is where the firmware serves its web pages.
const Port = 80

const (
	// rpcPort is where a mining process answers the RPC, and powerPort where newer ones tell their watts.
	rpcPort, powerPort = 4028, 6060
	// defaultUser and defaultPassword are the maker's.
	defaultUser, defaultPassword = "root", "root"
	// residualWatts is assumed for a sleeping machine: 10 to 30 W of its control board, and its fans.
	residualWatts = 50
	// awakeWatts is a draw that no sleeping machine has.
	awakeWatts = 200
	// slowEvery is how many readings pass between two looks at what changes slowly.
	slowEvery = 4
	// pagesEvery is how many pass before one that was met without its pages is asked for them again.
	pagesEvery = 12
	// meterEvery is how many pass between two searches for watts that no page names: a closed port takes seconds.
	meterEvery = 24
)

// meter is where watts come from that stats.cgi does not name.
type meter string

const (
	noMeter    meter = ""
	powerMeter meter = "power port"
	rpcMeter   meter = "RPC"
)

// Driver minds one machine.
type Driver struct {
	web *wire.Client
	// patient is web for orders, whose answer may take its time.
	patient *wire.Client
	power   *wire.Client
	rpc     rpc
	after   func(time.Duration) <-chan time.Time

	capabilities miner.Capabilities
	who          systemInfo
	meter        meter
	// old is a model of 2019 or before, with other pages: it is read through the RPC, and told by a form.
	old bool
	// mute says that its pages did not answer when it was met: all that is known of it is what its RPC says.
	mute bool
	// doors are where its RPC may be.
	doors []rpc

	// lossy says that its configuration would not survive an order.
	lossy bool

	// set is the mode in its configuration as last read, empty where that names none.
	set mode
	// before is the last mode that was no sleep.
	before mode
	// running is the mode its mining process ran when last read; empty where it does not tell.
	running mode
	// active says that it hashed, or drew as much, when last read.
	active bool
	// idealTHs is the highest hash rate that its clocks stood for.
	idealTHs float64
	checks   summary

	pending  *pending
	readings int
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. No credentials are the maker's.
func New(t miner.Target) *Driver {
	login := &wire.Digest{Username: cmp.Or(t.Username, defaultUser), Password: cmp.Or(t.Password, defaultPassword)}
	client := func(patience time.Duration) *wire.Client {
		return &wire.Client{Address: at(t), Root: "/cgi-bin/", RoundTripper: login, Patience: patience}
	}
	return &Driver{
		web:     client(0),
		patient: client(writeTimeout),
		power:   &wire.Client{Address: netip.AddrPortFrom(t.Address, powerPort), Patience: rpcTimeout},
		rpc:     doors(t)[0],
		doors:   doors(t),
		after:   after,
	}
}

func at(t miner.Target) netip.AddrPort {
	return netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))
}

// Identify reads who the machine is, its mode, and where it tells its watts.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	var who systemInfo
	if err := d.web.Get(ctx, "get_system_info.cgi", &who); err != nil {
		told := false
		if who, told = d.whoByStats(ctx, err); !told {
			return d.identifyByRPC(ctx, err)
		}
	}
	if !isAntminer(who.Type) {
		return miner.Identity{}, fmt.Errorf("%s: %w: get_system_info names no Antminer", d.web.Address, miner.ErrNotThisFirmware)
	}
	if other := cmp.Or(anotherIn(who.Type, who.Release), d.anotherByRPC(ctx)); other != "" {
		return miner.Identity{}, fmt.Errorf("%s: %w: it has Bitmain's pages, and names itself %s",
			d.web.Address, miner.ErrNotThisFirmware, other)
	}
	d.who, d.mute, d.old = who, false, false
	if err := d.meet(ctx); err != nil {
		return miner.Identity{}, err
	}
	d.learn()
	return miner.Identity{
		Firmware:        miner.Antminer,
		FirmwareVersion: string(who.Release),
		Model:           string(who.Type),
		MAC:             wire.MAC(who.MAC),
		Serial:          who.serial(),
	}, nil
}

// foreign turns "no such page" and what is no JSON into "no such firmware", and says how to be let in.
func foreign(err error) error {
	var status *wire.StatusError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, miner.ErrNotThisFirmware):
		return err
	case errors.Is(err, miner.ErrUnauthorized):
		return fmt.Errorf("%w: set username and password of the pool's credentials secret", err)
	case errors.As(err, &syntax), errors.Is(err, wire.ErrTooLarge):
		return fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	case errors.As(err, &status) && status.Kind != nil && !errors.Is(err, miner.ErrBusy):
		return fmt.Errorf("%w: %v", miner.ErrNotThisFirmware, err) //nolint:errorlint // it refuses nothing of ours
	}
	return err
}

// identifyByRPC is for a machine without pages, whose mining program says what it is; it knows no MAC and no serial
// number. Without such a program what the pages failed with counts.
func (d *Driver) identifyByRPC(ctx context.Context, failed error) (miner.Identity, error) {
	if !pageless(failed) {
		return miner.Identity{}, foreign(failed)
	}
	for _, door := range d.doors {
		said, err := door.program(ctx)
		if err != nil || !said.isBitmain() {
			continue
		}
		first, err := door.row(ctx)
		if err != nil {
			continue
		}
		d.rpc, d.old, d.mute = door, true, true
		d.who = systemInfo{Type: said.Type, Release: cmp.Or(said.Compiled, said.Miner)}
		d.notice(look{row: first})
		d.learn()
		return miner.Identity{Firmware: miner.Antminer, FirmwareVersion: string(d.who.Release), Model: string(said.Type)}, nil
	}
	return miner.Identity{}, foreign(failed)
}

// whoByStats is who a machine is that has no page for it: stats.cgi is headed by the model and the release. failed is
// what that page was missed by.
func (d *Driver) whoByStats(ctx context.Context, failed error) (systemInfo, bool) {
	var head statsHead
	if !missing(failed) || d.web.Get(ctx, statsPath, &head) != nil || !isAntminer(head.Info.Type) {
		return systemInfo{}, false
	}
	return systemInfo{Type: head.Info.Type, Release: head.Info.Compiled}, true
}

// anotherByRPC asks the RPC whose firmware it is; empty where it names Bitmain's, or is closed.
func (d *Driver) anotherByRPC(ctx context.Context) string {
	said, err := d.rpc.program(ctx)
	if err != nil {
		return ""
	}
	return said.other()
}

// meet is the first look, which tells how the machine is written to: a script of 2019 that is sent what newer ones take
// would lose its mining pools.
func (d *Driver) meet(ctx context.Context) error {
	l, err := d.look(ctx, true)
	if missing(err) {
		d.old, d.patient.Patience = true, formTimeout
		if l, err = d.look(ctx, true); err != nil {
			return fmt.Errorf("%s: %w: its pages are those of models of 2019, and its RPC gives nothing: %v",
				d.web.Address, miner.ErrUnsupported, err) //nolint:errorlint // its web server is not unreachable
		}
	}
	if err != nil {
		return err
	}
	d.notice(l)
	if !l.metersItself() {
		d.findMeter(ctx)
	}
	return nil
}

// findMeter looks for watts where stats.cgi names none. A machine whose mining process is down has no such
// place, so it is looked for again.
func (d *Driver) findMeter(ctx context.Context) {
	if watts := d.readPower(ctx); watts != nil && *watts > 0 {
		d.meter = powerMeter
		return
	}
	var s stats
	if !d.old && d.rpc.get(ctx, "stats", &s) == nil && s.row().watts() != nil {
		d.meter = rpcMeter
	}
}

// missing is a page that this machine does not have.
func missing(err error) bool {
	var status *wire.StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}

// Capabilities are known after Identify.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// commandable says whether the machine has a mode, under names that are known.
func (d *Driver) commandable() bool {
	return !d.lossy && d.set != "" && (!d.old || d.set == normal || d.set == sleep)
}

// learn works out the capabilities from what was last read. No mode but sleep is offered: what 2 and 3 mean differs
// between models, and nobody says how many watts they are.
func (d *Driver) learn() {
	c := miner.Capabilities{
		Sleep: d.commandable(),
		// The mode stands in the configuration, which outlives a reboot; nobody has said that he saw a machine
		// stay asleep through one.
		SleepSurvivesReboot: false,
		ResidualWatts:       residualWatts,
		// One machine answered after 21 s and still hashed 60 s later. A wake restarts the mining process, and
		// the full hash rate is back after 5 to 10 minutes.
		SleepTiming: miner.Timing{Typical: 60 * time.Second, Worst: 150 * time.Second},
		WakeTiming:  miner.Timing{Typical: 90 * time.Second, Worst: 180 * time.Second},
	}
	if plate, ok := miner.NameplateOf(string(d.who.Type)); ok {
		c.NameplateWatts, c.NameplateTHs = plate.Watts, plate.THs
	}
	if c.NameplateTHs > 0 && d.idealTHs > c.NameplateTHs {
		// One model is sold in several ratings, and some have a mode above them.
		watts := math.Ceil(float64(c.NameplateWatts) * d.idealTHs / c.NameplateTHs)
		c.NameplateWatts = int64(min(watts, wire.MaxWatts))
	}
	c.NameplateTHs = max(c.NameplateTHs, d.idealTHs)
	d.capabilities = c
}
