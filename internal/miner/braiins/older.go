package braiins

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// rpcOffset is how far above Port the mining program answers: on 4028, in every release.
	rpcOffset = 4028 - Port
	// restEvery is how many readings pass before an older machine is asked whether it has the REST API: its
	// web server may only have been away.
	restEvery = 12
)

// older reads a machine whose release has no REST API (before 25.07) through what its mining program says.
// What that program takes as commands is not known well enough, so none is sent.
type older struct {
	address     netip.AddrPort
	readings    int
	temperature *float64
	// others are where the program may be instead, where only one port was named: it has no web server and is the
	// program's, or the program is at its own.
	others []netip.AddrPort
}

// newOlder makes a reader; it sends nothing.
func newOlder(t miner.Target) *older {
	port := cmp.Or(t.SecondPort, cmp.Or(t.Port, Port)+rpcOffset)
	if port > 0xffff {
		port = 0 // there is none; nothing can be there
	}
	o := &older{address: netip.AddrPortFrom(t.Address, uint16(port))}
	if t.Port != 0 && t.Port != Port && t.SecondPort == 0 {
		o.others = []netip.AddrPort{
			netip.AddrPortFrom(t.Address, uint16(t.Port)), netip.AddrPortFrom(t.Address, Port+rpcOffset),
		}
	}
	return o
}

// instead says of an error of the REST API that the program may be found in its stead. At a port that somebody named,
// what speaks no HTTP may be the program.
func (o *older) instead(err error) bool { return absent(err) || len(o.others) > 0 && wire.Lost(err) }

// find asks for the program's version where it belongs, else where somebody may have mapped it who knows of no web
// server.
func (o *older) find(ctx context.Context) (rpcReply, error) {
	who, err := o.ask(ctx, "version")
	if err == nil {
		return who, nil
	}
	for _, other := range o.others {
		there := &older{address: other}
		if who, elsewhere := there.ask(ctx, "version"); elsewhere == nil {
			o.address = other
			return who, nil
		}
	}
	return who, err
}

// absent says of an error of the REST API that there may be none: something else answers, or nobody listens.
// An address that says nothing at all is not asked a second time.
func absent(err error) bool {
	return errors.Is(err, miner.ErrNotThisFirmware) || errors.Is(err, miner.ErrPerhaps) || errors.Is(err, syscall.ECONNREFUSED)
}

// run has the mining program answer one command, whatever it says.
func (o *older) run(ctx context.Context, command string) (rpcReply, error) {
	line, err := json.Marshal(map[string]string{"command": command})
	if err != nil {
		return rpcReply{}, fmt.Errorf("%s: %s: %w", o.address, command, err)
	}
	data, err := wire.Exchange(ctx, o.address, command, append(line, '\n'), wire.ReadReply)
	if err != nil {
		return rpcReply{}, err
	}
	var reply rpcReply
	if err := wire.Decode(data, &reply); err != nil {
		return rpcReply{}, fmt.Errorf("%s: %s: %w", o.address, command, err)
	}
	return reply, nil
}

// perhaps is run for what a reading can do without: some programs hang up at a command that they don't know.
func (o *older) perhaps(ctx context.Context, command string) (rpcReply, error) {
	reply, err := o.run(ctx, command)
	if wire.Unreadable(err) {
		return rpcReply{}, nil
	}
	return reply, err
}

// ask wants an answer of Braiins OS that is a yes.
func (o *older) ask(ctx context.Context, command string) (rpcReply, error) {
	reply, err := o.run(ctx, command)
	if err != nil {
		return rpcReply{}, err
	}
	said := reply.Status.First()
	switch {
	case !reply.isBraiins():
		return rpcReply{}, fmt.Errorf("%s: %s: %w: it names another mining program", o.address, command, miner.ErrNotThisFirmware)
	case !said.OK():
		return rpcReply{}, fmt.Errorf("%s: %s: it said no: %q", o.address, command, said.Message)
	}
	return reply, nil
}

// identify says who the machine is that answered version. Its program knows no MAC and no serial number.
func (o *older) identify(ctx context.Context, who rpcReply) (miner.Identity, miner.Capabilities, error) {
	boards, err := o.perhaps(ctx, "devdetails")
	if err != nil {
		return miner.Identity{}, miner.Capabilities{}, err
	}
	tuner, err := o.perhaps(ctx, "tunerstatus")
	if err != nil {
		return miner.Identity{}, miner.Capabilities{}, err
	}
	model := string(cmp.Or(boards.Boards.First().Model, who.Version.First().Type))
	return miner.Identity{Firmware: miner.BraiinsOS, FirmwareVersion: who.release(), Model: model},
		olderCapabilities(model, tuner.Tuner.First()), nil
}

// olderCapabilities are that it can be read. Its rated draw is never taken as less than its limit.
func olderCapabilities(model string, tuner rpcTuner) miner.Capabilities {
	plate, _ := miner.NameplateOf(model)
	c := miner.Capabilities{NameplateWatts: plate.Watts, NameplateTHs: plate.THs, ResidualWatts: residualWatts}
	if limit := tuner.limit(); limit != nil {
		c.NameplateWatts = max(c.NameplateWatts, *limit)
	}
	return c
}

// read takes a reading over two connections, and over one more every fourth time and while it does not hash.
func (o *older) read(ctx context.Context) (miner.Reading, error) {
	summary, err := o.ask(ctx, "summary")
	if err != nil {
		return miner.Reading{}, err
	}
	tuner, err := o.perhaps(ctx, "tunerstatus") // editions without automatic tuning have none
	if err != nil {
		return miner.Reading{}, err
	}
	now := olderLook{summary: summary.Summary.First(), tuner: tuner.Tuner.First()}
	if !now.hashes() {
		boards, err := o.perhaps(ctx, "devdetails")
		if err != nil {
			return miner.Reading{}, err
		}
		now.idle = boards.unavailable()
	}
	o.readTemperature(ctx)
	r := now.reading()
	r.TemperatureC = o.temperature
	return r, nil
}

// readTemperature looks every fourth time. A reading stands without it.
func (o *older) readTemperature(ctx context.Context) {
	turn := o.readings
	o.readings++
	if turn%slowEvery != 0 {
		return
	}
	if found, err := o.run(ctx, "temps"); err == nil {
		o.temperature = found.hottest()
	}
}

// readOlder reads through the mining program. Where the REST API shows up meanwhile, it is used from then on.
func (d *Driver) readOlder(ctx context.Context) (miner.Reading, error) {
	if d.older.readings%restEvery == restEvery-1 && d.client.probe(ctx) == nil {
		if _, err := d.identify(ctx); err == nil {
			d.older = nil
			return d.Read(ctx)
		}
	}
	return d.older.read(ctx)
}
