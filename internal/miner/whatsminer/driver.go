// Package whatsminer drives MicroBT WhatsMiner machines with their own firmware: API v3 on port 4433 where it
// answers, else API v2 on port 4028; machines of API v1 are only read. It puts a machine to sleep and wakes it
// and sets its power limit; it changes nothing else, and never opens an API switch that a person has left
// off. Where each fact comes from is in docs/firmware.md.
package whatsminer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Port is where API v2 is served.
const Port = 4028

const (
	// framedOffset is how far above Port API v3 is served.
	framedOffset = 4433 - Port

	// defaultPassword is of API v2's only user, admin; the other two are of API v3.
	defaultPassword       = "admin"
	defaultAccount        = "super"
	defaultFramedPassword = "super"

	// ordersSince is the first release that takes orders as API v2 has them, framedSince the first that takes
	// them by API v3 alone: 8 digits, as releases begin.
	ordersSince = 20220729
	framedSince = 20241101

	// residualWatts is assumed for a machine that is off: control board and a supply that stays on.
	residualWatts = 50
	// stepWatts is the smallest change worth a restart.
	stepWatts = 50
	// leastPercent of the highest limit is the lowest that is commanded. No machine names its least; below the
	// boards' own it was reported to restart again and again, at 30 % of it, and to hold 60 %.
	leastPercent = 60
	// noLimit and more say that no limit is set: 99999 resets it, and 2147483647 was recorded.
	noLimit = 99_999
)

// accounts of API v3; one of another name is of API v2.
var accounts = []string{"super", "user1", "user2", "user3"}

// Driver minds one machine.
type Driver struct {
	plain  *plain
	framed *framed
	// api is the one of the two that the machine is spoken to by.
	api protocol
	// readOnly says why the machine takes no orders from here; empty where it does.
	readOnly string
	// shut says that it does not for want of API v3, which nobody answered by when it was met; readings counts until that
	// is tried again.
	shut         bool
	readings     int
	capabilities miner.Capabilities

	// model is the one the machine names.
	model string
	// most is the highest power limit the machine was seen to have, watts; 0 where none was seen yet.
	most int64
	// factoryTHs is its rated hash rate, TH/s.
	factoryTHs float64
	// told is the limit commanded last; nil before the first.
	told *int64
	// toldToSleep is what was commanded last.
	toldToSleep bool
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. Empty credentials are the firmware's defaults. A port moves both
// APIs: v3 is looked for 405 above v2, as 4433 is above 4028, unless it has a port of its own.
func New(t miner.Target) *Driver {
	port := cmp.Or(t.Port, Port)
	above := cmp.Or(t.SecondPort, port+framedOffset)
	if above > 0xffff {
		above = 0 // there is none; nothing can be there
	}
	d := &Driver{
		plain: &plain{rpc: &rpc{
			address: netip.AddrPortFrom(t.Address, uint16(port)), password: cmp.Or(t.Password, defaultPassword),
		}},
		framed: &framed{
			address: netip.AddrPortFrom(t.Address, uint16(above)), account: defaultAccount,
			password: cmp.Or(t.Password, defaultFramedPassword),
		},
	}
	if slices.Contains(accounts, t.Username) {
		d.framed.account = t.Username
	}
	d.api = d.plain
	return d
}

// Identify finds out which API the machine speaks, who it is and its power limit.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	v, err := d.plain.version(ctx)
	if err != nil && !errors.Is(err, miner.ErrUnreachable) {
		return miner.Identity{}, err
	}
	id, err := d.choose(ctx, v, err)
	if err != nil {
		return miner.Identity{}, err
	}
	id.Firmware = miner.WhatsMiner
	id.FirmwareVersion = cmp.Or(id.FirmwareVersion, string(v.Firmware))
	id.Model = cmp.Or(id.Model, string(v.Model))
	now, err := d.api.look(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	d.model = id.Model
	id.FirmwareVersion = cmp.Or(id.FirmwareVersion, now.firmware)
	d.learn(now)
	return id, nil
}

// choose takes API v3 where it answers, and API v2 where the release is old enough for its orders to work:
// newer firmware answers there, and starts to mine again by itself some minutes after a power_off. It is only read there.
func (d *Driver) choose(ctx context.Context, v version, noVersion error) (miner.Identity, error) {
	released := releaseOf(string(v.Firmware))
	if d.readOnly, d.shut = "", false; noVersion == nil && tooOld(v, released) {
		d.api, d.readOnly = d.plain, fmt.Sprintf("firmware %q speaks API v1, which is only read; update it", v.Firmware)
		return d.plain.who(ctx)
	}
	id, err := d.framed.who(ctx)
	switch {
	case err == nil:
		d.api = d.framed
		return id, nil
	case noVersion != nil:
		return id, err
	case released >= framedSince && !errors.Is(err, miner.ErrUnreachable):
		return id, fmt.Errorf("firmware %q takes orders by API v3 alone: %w", v.Firmware, err)
	case ctx.Err() != nil:
		return id, err
	case released >= framedSince:
		d.shut = true
		d.readOnly = fmt.Sprintf("firmware %q takes orders by API v3 alone, which does not answer at port %d: open it",
			v.Firmware, d.framed.address.Port())
	}
	d.api = d.plain
	return d.plain.who(ctx)
}

// tooOld says that a machine speaks API v1. One that does not say when it was made counts as old.
func tooOld(v version, released int) bool {
	api := strings.ToLower(string(v.API))
	return released < ordersSince && !strings.HasPrefix(api, "3") || strings.HasPrefix(api, "whatsminer v1")
}

// releaseOf takes 20230803 from "20230803.11.REL"; 0 where there is no date.
func releaseOf(firmware string) int {
	date, _, _ := strings.Cut(firmware, ".")
	n, err := strconv.Atoi(date)
	if err != nil || len(date) != 8 || n < 2018_01_01 || n >= 2100_00_00 {
		return 0
	}
	return n
}

// Capabilities are known after Identify; the range follows the highest limit that was seen.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

// learn keeps what a look shows of the machine, and works out the capabilities from it.
func (d *Driver) learn(now look) {
	if now.factoryTHs != nil && *now.factoryTHs > 0 {
		d.factoryTHs = *now.factoryTHs
	}
	if inForce := now.inForce(); inForce != nil {
		d.most = max(d.most, *inForce)
	}
	// A limit that was set may be below the machine's own, which it names no more.
	if rated := now.ratedWatts(); rated != nil && now.told != nil {
		d.most = max(d.most, *rated)
	}
	if plate, ok := miner.NameplateOf(d.model); ok {
		d.most = max(d.most, plate.Watts)
	}
	c := miner.Capabilities{NameplateWatts: d.most, NameplateTHs: d.factoryTHs, ResidualWatts: residualWatts}
	if d.readOnly == "" {
		c.Sleep = true
		d.addRange(&c)
		// Reported: no hash rate 15 s after a stop by API v3, hashing again 10 s after a start. Worst is until
		// an order shows, not until the boards have found their frequency, which takes 6 to 25 minutes: that
		// long the machine is read as starting.
		c.SleepTiming = miner.Timing{Typical: 15 * time.Second, Worst: 30 * time.Second}
		c.WakeTiming = miner.Timing{Typical: 60 * time.Second, Worst: 180 * time.Second}
		c.TrimTiming = miner.Timing{Typical: 60 * time.Second, Worst: 180 * time.Second, Restarts: true}
	}
	d.capabilities = c
}

// addRange offers power limits where the machine has shown one.
func (d *Driver) addRange(c *miner.Capabilities) {
	if d.most == 0 {
		return
	}
	least := (d.most*leastPercent + 99) / 100
	c.Continuous, c.MaxWatts, c.StepWatts = true, d.most, stepWatts
	c.MinWatts = min((least+stepWatts-1)/stepWatts*stepWatts, d.most)
}
