package epic

import (
	"context"
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
	// awakeWatts is a draw that no idle machine has.
	awakeWatts = 200
)

// Read takes a reading in one request.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	now, err := d.now(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	return d.reading(now), nil
}

// now reads what the machine says of itself.
func (d *Driver) now(ctx context.Context) (summary, error) {
	var now summary
	if err := d.client.Get(ctx, "summary", &now); err != nil {
		return summary{}, err
	}
	if !now.isEPIC() {
		return summary{}, fmt.Errorf("%s: summary has no ePIC fields", d.client.Address)
	}
	d.setTimings(now.Cooldown)
	return now, nil
}

func (d *Driver) reading(now summary) miner.Reading {
	r := miner.Reading{
		State:        now.state(),
		HashrateTHs:  now.hashrate().Scaled(1 / perTH),
		TemperatureC: now.temperature(),
		Uptime:       now.Session.Uptime.Seconds(),
		Faults:       now.faults(),
	}
	d.setWatts(&r, now)
	setTargets(&r, now)
	return r
}

// setWatts takes the machine's word for its watts. Without a supply that meters they are reckoned from what
// it puts out: 0 on a machine that is not idle is then no reading at all, and an idle one draws what runs
// beside the boards.
func (d *Driver) setWatts(r *miner.Reading, now summary) {
	r.Watts = now.Supply.Input.Watts()
	if r.Watts == nil {
		if r.Watts = now.boardWatts(); r.Watts != nil {
			r.WattsSource = miner.DC
		}
		return
	}
	r.WattsSource = miner.Estimate
	switch {
	case d.metered && *r.Watts > 0:
		r.WattsSource = miner.PSU
	case r.State == miner.Sleeping:
		*r.Watts = max(*r.Watts, residualWatts)
	case *r.Watts == 0:
		r.Watts, r.WattsSource = nil, ""
	}
}

// setTargets fills in what it was told in watts, what it follows, and that it may go back up to the former.
// Where another algorithm is set, or none, no watts are named at all.
func setTargets(r *miner.Reading, now summary) {
	for name := range now.Tune.Algorithm {
		if len(now.Tune.Algorithm) == 1 && now.Tune.Running.Value {
			r.Mode = wire.Clean(name)
		}
	}
	told, ok := now.Tune.Algorithm.watts()
	asleep := r.State == miner.Sleeping
	if !ok || !now.Tune.Running.Value && !asleep {
		return
	}
	r.TargetWatts = told.Target.Watts()
	if !asleep {
		r.Effective, r.Ceiling = told.inForce(), told.Target.Watts()
	}
}

// hashrate is the sum over the boards, MH/s; unset where none says one.
func (s summary) hashrate() wire.Number {
	var sum wire.Number
	for _, b := range s.Boards {
		if len(b.Hashrate) > 0 && b.Hashrate[0].Set && b.Hashrate[0].Value >= 0 {
			sum = wire.Number{Value: sum.Value + b.Hashrate[0].Value, Set: true}
		}
	}
	if !sum.Set {
		return s.Session.Last.Hashrate
	}
	return sum
}

// boardWatts is what all boards take; nil where one of them does not say it.
func (s summary) boardWatts() *int64 {
	sum := wire.Number{Set: len(s.Boards) > 0}
	for _, b := range s.Boards {
		sum.Set = sum.Set && b.Input.Set && b.Input.Value > 0
		sum.Value += b.Input.Value
	}
	return sum.Watts()
}

// temperature is the hottest board's.
func (s summary) temperature() *float64 {
	var hottest *float64
	for _, b := range s.Boards {
		if b.Temperature.Set && b.Temperature.Value > 0 && (hottest == nil || b.Temperature.Value > *hottest) {
			hottest = &b.Temperature.Value
		}
	}
	return hottest
}

func (s summary) hashes() bool { return s.hashrate().Value >= hashing }

// state judges the machine by its word, hash rate and watts together. One that says it mines and does not
// hash is on its way up, and counts as rated until it does (rule L5).
func (s summary) state() miner.State {
	switch now := s.Status.State; {
	case now == mining || now == adjusting:
		switch {
		case !s.hashrate().Set:
			return miner.Unknown
		case !s.hashes():
			return miner.Starting
		}
		return miner.Hashing
	case awake(now):
		return miner.Starting
	case now == stopping:
		return miner.Stopping
	case now == idling:
		return s.idle()
	default:
		return miner.Unknown
	}
}

// idle tells a machine that was stopped from one that idles by itself and may start again by itself: it was
// last told to start, its schedule has it idle, or an error stopped it. That is nobody's sleep.
func (s summary) idle() miner.State {
	last := s.Status.Command
	switch {
	case s.hashes() || s.Supply.Input.Set && s.Supply.Input.Value > awakeWatts:
		return miner.Stopping
	case bool(s.Scheduler.Idle), last == "autostart", last != "stop" && s.Status.Error != "":
		return miner.Failed
	}
	return miner.Sleeping
}

// faults are what the machine says of itself that a person should see.
func (s summary) faults() []string {
	var faults []string
	if s.Status.Error != "" {
		faults = append(faults, "last error: "+string(s.Status.Error))
	}
	if s.Status.State == idling && s.Status.Command == "autostart" {
		faults = append(faults, "it was told to mine and idles")
	}
	if s.Scheduler.Enabled.Value || bool(s.Scheduler.Idle) {
		faults = append(faults, "its scheduler is on and stops and starts it by itself: turn it off on the machine")
	}
	if told, ok := s.Tune.Algorithm.watts(); ok && s.Tune.Running.Value {
		if now := *told.inForce(); now < *told.Target.Watts() {
			faults = append(faults, fmt.Sprintf("throttled by itself to %d W", now))
		}
	}
	return faults
}
