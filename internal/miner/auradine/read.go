package auradine

import (
	"context"
	"errors"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// perTH is how many of the machine's own unit of hash rate, MH/s, one TH/s is.
	perTH = 1e6
	// hashing is the hash rate from which a machine counts as hashing, MH/s: below it is what a ramp leaves
	// in an average.
	hashing = 100e3
	// awakeWatts is a draw that no sleeping machine has.
	awakeWatts = 200
	// webEvery is how many readings pass before a machine that was met without a web server is asked for it again.
	webEvery = 12
	// overPercent is how far over its target a machine may draw and still count as one that follows it.
	overPercent = 10
	// Codes of the light of a machine that feels well, and of one that somebody looks for.
	wellCode, locateCode = 2, 3
)

// now is one look at a machine.
type now struct {
	mode    mode
	supply  wire.List[supply]
	summary summary
}

// Read takes a reading in three requests, and every fourth time one more for what changes slowly.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	if d.mute {
		return d.readByRPC(ctx)
	}
	reply, err := d.client.ask(ctx, "mode")
	if err != nil {
		return miner.Reading{}, err
	}
	if len(reply.Mode) == 0 {
		return miner.Reading{}, fmt.Errorf("%s: mode has no FluxOS fields", d.client.Address)
	}
	look := now{mode: reply.Mode.First()}
	if reply, err = d.client.ask(ctx, "psu"); wire.OnlyIfSilent(err) != nil {
		return miner.Reading{}, err
	}
	look.supply = reply.Supply
	d.setRange(reply.Supply)
	if look.summary, err = d.summary(ctx); err != nil {
		return miner.Reading{}, err
	}
	d.readSlowly(ctx)
	return d.reading(look), nil
}

// readByRPC is a reading of what the mining program says. The web server, which may only have been away, is asked again
// now and then.
func (d *Driver) readByRPC(ctx context.Context) (miner.Reading, error) {
	turn := d.readings
	d.readings++
	if turn%webEvery == webEvery-1 {
		if _, err := d.Identify(ctx); err == nil && !d.mute {
			return d.Read(ctx)
		}
	}
	reply, err := d.client.run(ctx, "summary")
	if err != nil {
		return miner.Reading{}, err
	}
	look := now{summary: reply.Summary.First()}
	if turn%slowEvery == 0 {
		if reply, err = d.client.run(ctx, "devs"); err == nil {
			d.temperature = warmest(reply.Boards)
		}
	}
	return d.reading(look), nil
}

// warmest is the warmest of what the mining program says of its boards.
func warmest(boards wire.List[reading]) *float64 {
	return hottest(wire.List[sensors]{{Boards: boards}})
}

// summary asks the mining program, and where it can't be reached the firmware in its stead. Without either
// a reading has no hash rate.
func (d *Driver) summary(ctx context.Context) (summary, error) {
	reply, err := d.client.run(ctx, "summary")
	if errors.Is(err, miner.ErrUnreachable) && ctx.Err() == nil {
		reply, err = d.client.ask(ctx, "summary")
		err = wire.OnlyIfSilent(err)
		if wire.Unreadable(err) {
			return summary{}, nil
		}
		return reply.Summary.First(), err
	}
	if ctx.Err() != nil {
		return summary{}, err
	}
	return reply.Summary.First(), nil
}

func (d *Driver) reading(look now) miner.Reading {
	r := miner.Reading{
		State:        look.state(),
		HashrateTHs:  look.summary.MHs.Scaled(1 / perTH),
		Mode:         string(look.mode.Name),
		TargetWatts:  look.mode.told(),
		TemperatureC: d.temperature,
		Uptime:       look.summary.Elapsed.Seconds(),
	}
	look.setWatts(&r)
	if r.State != miner.Sleeping && look.follows() {
		r.Effective, r.Ceiling = look.mode.told(), look.mode.told()
	}
	if code, ok := d.feels.Code.Int(); ok && code != wellCode && code != locateCode {
		r.Faults = append(r.Faults, fmt.Sprintf("its light says %d: %s", code, d.feels.Message))
	}
	return r
}

// setWatts prefers what the supplies take to what the mining program reckons. None is no reading at all.
func (n now) setWatts(r *miner.Reading) {
	taken, reckoned := sum(n.supply, func(s supply) quantity { return s.In }).Watts(), n.summary.Watts.Watts()
	switch {
	case taken != nil && *taken > 0:
		r.Watts, r.WattsSource = taken, miner.PSU
	case reckoned != nil && *reckoned > 0:
		r.Watts, r.WattsSource = reckoned, miner.Estimate
	case r.State == miner.Sleeping && (taken != nil || reckoned != nil):
		r.Watts, r.WattsSource = new(int64(residualWatts)), miner.Estimate
	}
}

// follows says that the watts that are set bound what the machine draws. Beside them it names a hash rate, and
// not which of the two it tunes for: where it draws far more, it is not the watts.
func (n now) follows() bool {
	told := n.mode.told()
	taken := sum(n.supply, func(s supply) quantity { return s.In })
	return told != nil && (!taken.Set || taken.Value <= float64(*told)*(100+overPercent)/100)
}

func (n now) hashes() bool { return n.summary.MHs.Set && n.summary.MHs.Value >= hashing }

// state judges the machine by its word, hash rate and watts together. One that says it sleeps and still hashes
// or draws is on its way down; one that says it does not sleep and does not hash is on its way up, and counts
// as rated until it does (rule L5).
func (n now) state() miner.State {
	taken := sum(n.supply, func(s supply) quantity { return s.In })
	switch sleep := n.mode.Sleep; {
	case !sleep.Set:
		return n.unsaid()
	case sleep.Value && (n.hashes() || taken.Value > awakeWatts):
		return miner.Stopping
	case sleep.Value && (n.summary.MHs.Set || taken.Set):
		return miner.Sleeping
	case !n.summary.MHs.Set: // nothing but a word
		return miner.Unknown
	case !n.hashes():
		return miner.Starting
	}
	return miner.Hashing
}

// unsaid is the state of a machine that does not say whether it sleeps.
func (n now) unsaid() miner.State {
	if n.hashes() {
		return miner.Hashing
	}
	return miner.Unknown
}

// readSlowly looks at temperature and light in turn. A reading stands without them.
func (d *Driver) readSlowly(ctx context.Context) {
	turn := d.readings
	d.readings++
	if turn%slowEvery != 0 {
		return
	}
	if turn/slowEvery%2 == 0 {
		if reply, err := d.client.ask(ctx, "led"); err == nil {
			d.feels = reply.LED.First()
		}
		return
	}
	if reply, err := d.client.ask(ctx, "temperature"); err == nil {
		d.temperature = hottest(reply.Sensors)
	}
}

// hottest is the hottest sensor of boards and chips.
func hottest(boards wire.List[sensors]) *float64 {
	var most *float64
	for _, b := range boards {
		for _, r := range append(b.Boards, b.Chips...) {
			if r.Celsius.Set && (most == nil || r.Celsius.Value > *most) {
				most = &r.Celsius.Value
			}
		}
	}
	return most
}
