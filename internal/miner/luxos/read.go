package luxos

import (
	"context"
	"errors"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Read takes a reading over one connection, and every twelfth time one more for what changes slowly.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	now, err := d.look(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	d.last = now.config
	if d.blind && now.config.CurtailMode != "" { // it was not asked in time
		d.plate, d.blind = now.config, false
	}
	d.readSlowly(ctx)
	d.learn()
	return d.reading(now), nil
}

func (d *Driver) reading(now look) miner.Reading {
	r := miner.Reading{
		State:        d.state(now),
		HashrateTHs:  now.summary.GHs5s.Scaled(1e-3),
		Watts:        now.power.Watts.Watts(),
		TargetWatts:  d.told,
		Mode:         string(now.config.Profile),
		TemperatureC: d.temperature,
		Uptime:       now.summary.Elapsed.Seconds(),
		Faults:       faults(now.config),
	}
	if r.Watts != nil {
		r.WattsSource = miner.Estimate
		if now.power.PSU.Value {
			r.WattsSource = miner.PSU
		}
	}
	d.setTargets(&r, now.config)
	return r
}

// look reads summary, power and config over one connection where the machine takes joined commands, else
// over three.
func (d *Driver) look(ctx context.Context) (look, error) {
	if d.separate {
		return d.lookSeparately(ctx)
	}
	data, err := d.client.exchange(ctx, "summary+power+config", "")
	if err != nil && !errors.Is(err, wire.ErrTruncated) {
		return look{}, err
	}
	if now, ok, err := joined(data); err == nil && ok {
		return now, nil
	}
	now, err := d.lookSeparately(ctx)
	d.separate = err == nil
	return now, err
}

func (d *Driver) lookSeparately(ctx context.Context) (look, error) {
	c, err := d.client.ask(ctx, "config", "")
	if d.blind {
		err = onlyIfSilent(err)
	}
	if err != nil {
		return look{}, err
	}
	s, err := d.client.ask(ctx, "summary", "")
	if err = onlyIfSilent(err); err != nil {
		return look{}, err
	}
	p, err := d.client.ask(ctx, "power", "")
	if err = onlyIfSilent(err); err != nil {
		return look{}, err
	}
	return look{c.Config.First(), s.Summary.First(), p.Power.First()}, nil
}

// hashingGHs is the hash rate from which a machine counts as hashing, GH/s.
const hashingGHs = 100

// state judges the machine by its curtail mode, hash rate and watts together: a curtail mode alone has been
// seen on machines that hash.
func (d *Driver) state(now look) miner.State {
	switch {
	case now.config.CurtailMode == "" && !now.summary.GHs5s.Set:
		return miner.Unknown
	case now.config.asleep() && !now.hashes() && !now.powered():
		return miner.Sleeping
	case now.config.asleep() && (d.toldToSleep || !now.hashes()):
		return miner.Stopping
	case now.hashes():
		return miner.Hashing
	default:
		return miner.Starting
	}
}

func (l look) hashes() bool {
	return l.summary.GHs5s.Set && l.summary.GHs5s.Value >= hashingGHs
}

// powered says that more is drawn than any sleeping machine draws.
func (l look) powered() bool {
	return l.power.Watts.Set && l.power.Watts.Value > awakeWatts
}

// setTargets fills in the watts of the profile in force, and the most that automatic tuning may move to by
// itself.
func (d *Driver) setTargets(r *miner.Reading, now config) {
	inForce := wattsOf(d.profiles, now.Profile)
	if now.PowerTarget.Value { // then profiles are names for watts, and any watts can be set
		for _, target := range []wire.Number{now.ActualTarget, now.IdealTarget, d.atm.PowerTarget} {
			inForce = larger(inForce, target.Watts())
		}
	}
	if r.TargetWatts == nil {
		r.TargetWatts = inForce
	}
	if r.State == miner.Sleeping {
		return
	}
	r.Effective = inForce
	r.Ceiling = inForce
	if inForce == nil {
		r.Ceiling = highest(d.profiles) // in a profile that it does not list
	}
	if now.ATM.Value {
		r.Ceiling = larger(inForce, larger(d.atmCeiling().Watts.Watts(), d.atm.PowerLimit.Watts()))
	}
}

// atmCeiling is the hungriest profile that automatic tuning may choose: its own limit, by name or by step,
// where it has one, else the hungriest of all.
func (d *Driver) atmCeiling() profile {
	var most profile
	for _, p := range d.profiles {
		if d.atm.MaxProfile != "" && (p.Name == d.atm.MaxProfile || d.atm.MaxStep.Set && p.Step == d.atm.MaxStep) {
			return p
		}
		if p.Watts.Value > most.Watts.Value {
			most = p
		}
	}
	return most
}

// readSlowly looks at temperature, profiles and automatic tuning in turn. A reading stands without them.
func (d *Driver) readSlowly(ctx context.Context) {
	turn := d.readings
	d.readings++
	if turn%slowEvery != 0 {
		return
	}
	reads := []func(context.Context) error{d.readTemperature, d.readProfiles, d.readATM}
	_ = reads[turn/slowEvery%len(reads)](ctx)
}

// faults are what the machine says of itself that a person should see.
func faults(now config) []string {
	text := strings.ToLower(string(now.SystemStatus))
	for _, word := range []string{"fail", "error", "fault", "overheat", "protect"} {
		if strings.Contains(text, word) {
			return []string{"system status: " + string(now.SystemStatus)}
		}
	}
	return nil
}
