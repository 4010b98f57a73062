// Package avalon drives Canaan Avalon machines with their own firmware through the RPC on port 4028, which
// has no credentials. It puts a machine to sleep and wakes it, by what its firmware has for that, and sets the
// work mode of models whose modes have known watts; it changes nothing else. Where each fact comes from is in
// docs/firmware.md.
package avalon

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

// residualWatts is assumed for a machine whose boards are off: 11 W and 17 W were recorded at the wall, fans
// and all, and 146 W just after the boards went off.
const residualWatts = 50

// method is how a machine is put to sleep and woken.
type method int

const (
	// none: the firmware has nothing for it.
	none method = iota
	// scheduled: softoff and softon, each with the time it is for.
	scheduled
	// bare: softoff; what wakes it is a reboot.
	bare
	// cut: hashpower takes the boards' power away, and a reboot gives it back.
	cut
)

// statsCommands give the same module; which of them a machine has, or has it in, differs.
var statsCommands = []string{"stats", "estats", "litestats"}

// Driver minds one machine.
type Driver struct {
	client *client
	// clock tells the time where the machine does not tell it.
	clock        func() time.Time
	capabilities miner.Capabilities

	who      version
	how      method
	settable bool // the work mode, by "workmode,set"
	// source is the first of statsCommands to ask.
	source int
	// targets are the watts that the boards get in a mode, as the machine said while in it.
	targets map[int64]int64
	// loss is what the wall gives for a watt that the boards get, in percent; 0 until it was measured.
	loss int64
	// toldToSleep is what was commanded last.
	toldToSleep bool
	// told is the mode commanded last, until the machine is in it.
	told miner.Mode
}

var _ miner.Driver = (*Driver)(nil)

// New makes a driver; it sends nothing. There are no credentials.
func New(t miner.Target) *Driver {
	return &Driver{
		client:  &client{address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port)))},
		clock:   wallClock,
		targets: map[int64]int64{},
	}
}

// version asks who is there.
func (d *Driver) version(ctx context.Context) (version, error) {
	r, err := d.client.ask(ctx, "version")
	if wire.Unreadable(err) {
		r, err = d.inText(ctx, r, err)
	}
	if err != nil && !silent(err) {
		return version{}, err
	}
	v := r.Version.First()
	if v.isAvalon() || !v.named() && d.hasModules(ctx) {
		return v, nil
	}
	if err == nil {
		err = fmt.Errorf("%s: version names no Avalon", d.client.address)
	}
	return version{}, fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
}

// inText asks in text what was not answered in JSON; some know no other form, and hang up. What was made of JSON stands where
// that is no better.
func (d *Driver) inText(ctx context.Context, said reply, failed error) (reply, error) {
	before := d.client.text
	d.client.text = true
	r, err := d.client.ask(ctx, "version")
	if err != nil {
		d.client.text = before
		return said, failed
	}
	return r, nil
}

// hasModules says that there are modules in its statistics, as no other make has them: a controller of 2016 to 2019 names
// nothing but its mining program.
func (d *Driver) hasModules(ctx context.Context) bool {
	r, err := d.client.ask(ctx, statsCommands[0])
	return err == nil && len(r.modules()) > 0
}

// Identify finds out who the machine is and what it can be told.
func (d *Driver) Identify(ctx context.Context) (miner.Identity, error) {
	v, err := d.version(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	options, err := d.options(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	all, now, err := d.look(ctx)
	if err != nil {
		return miner.Identity{}, err
	}
	d.who = v
	d.how, d.settable = methodOf(all, options), options["workmode"]
	d.learn(now)
	return miner.Identity{
		Firmware:        miner.Avalon,
		FirmwareVersion: cmp.Or(string(v.Version), string(v.Loader), versionOf(all)),
		Model:           cmp.Or(string(v.Product), string(v.Model), modelOf(all)),
		MAC:             mac(v.MAC),
		Serial:          serial(v.DNA),
	}, nil
}

// options asks what ascset takes; nil where the machine does not say.
func (d *Driver) options(ctx context.Context) (map[string]bool, error) {
	data, err := d.client.set(ctx, "help")
	if err != nil && !silent(err) {
		return nil, err
	}
	return optionsOf(data), nil
}

// methodOf takes what the machine lists, else what its fields go with. One controller of several modules is only
// read, as an order goes to the first of them.
func methodOf(all []module, options map[string]bool) method {
	switch {
	case len(all) != 1:
		return none
	case options == nil:
		return methodShown(all[0])
	case options["softoff"] && options["softon"]:
		return scheduled
	case options["softoff"]:
		return bare
	case options["hashpower"]:
		return cut
	}
	return none
}

// methodShown: times of orders come with scheduled ones, SoftOFF with softoff, and a supply that is read without
// either is of the first generation.
func methodShown(m module) method {
	switch {
	case m.has("SoftOffTime", "SoftOnTime"):
		return scheduled
	case m.has("SoftOFF"):
		return bare
	case m.has("SYSTEMSTATU", "PS"):
		return cut
	}
	return none
}

// versionOf takes "19101244_fe411a8" from "Ver[1066-19101244_fe411a8]".
func versionOf(all []module) string {
	if len(all) == 0 {
		return ""
	}
	name := all[0].text("Ver")
	return name[strings.LastIndexByte(name, '-')+1:]
}

// modelOf takes "Avalon 15-194" from "Ver[15-194-24102401_25462b2]", and "Avalon 741" from "Ver[7411706-3162860]", where a
// date follows.
func modelOf(all []module) string {
	const dated, digits = 7, 3
	if len(all) == 0 {
		return ""
	}
	name := all[0].text("Ver")
	name = name[:max(strings.LastIndexByte(name, '-'), 0)]
	if name == "" {
		return ""
	}
	if len(name) == dated && strings.Trim(name, "0123456789") == "" {
		name = name[:digits]
	}
	return "Avalon " + name
}

// Capabilities are known after Identify; the watts of modes follow what the machine is seen to draw in them.
func (d *Driver) Capabilities() miner.Capabilities { return d.capabilities }

const (
	// settle is how long a boot takes at worst until the machine answers and its boards draw again: 3 m 49 s
	// were reported until it answers, and a hash rate 145 s after the start.
	settle = 6 * time.Minute
	// assumedLoss is what the wall gives for a watt of the boards, in percent, until it was measured: 4 % more
	// was recorded on a Q, 6 % on an A15, and 10 % on an A12.
	assumedLoss = 110
)

// learn keeps what a look shows of the machine, and works out the capabilities from it.
func (d *Driver) learn(now look) {
	if now.mode != nil && now.target != nil {
		d.targets[*now.mode] = *now.target
	}
	d.loss = max(d.loss, now.loss())
	if d.modeName(now.mode) == d.told.Name {
		d.told = miner.Mode{}
	}
	c := miner.Capabilities{ResidualWatts: residualWatts, NameplateTHs: ratedTHs(string(d.who.Model))}
	if plate, ok := miner.NameplateOf(string(d.who.Product)); ok {
		c.NameplateWatts, c.NameplateTHs = plate.Watts, plate.THs
	}
	if now.target != nil {
		c.NameplateWatts = max(c.NameplateWatts, d.atWall(*now.target))
	}
	for _, known := range d.modes() {
		c.NameplateWatts, c.NameplateTHs = max(c.NameplateWatts, known.Watts), max(c.NameplateTHs, known.THs)
		if d.settable {
			c.Modes = append(c.Modes, known)
		}
	}
	if d.how != none {
		c.Sleep = true
		// An order is for some seconds later, and boards were off 9 s after one. What wakes is a boot.
		c.SleepTiming = miner.Timing{Typical: 15 * time.Second, Worst: 60 * time.Second}
		c.WakeTiming = miner.Timing{Typical: 3 * time.Minute, Worst: settle}
	}
	if len(c.Modes) > 0 {
		// Whether a mode needs a boot is told both ways.
		c.TrimTiming = miner.Timing{Typical: time.Minute, Worst: settle, Restarts: true}
	}
	d.capabilities = c
}

// atWall is what the wall gives for watts of the boards.
func (d *Driver) atWall(boards int64) int64 {
	return min((boards*cmp.Or(d.loss, assumedLoss)+99)/100, wire.MaxWatts)
}
