package protorig

import (
	"context"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// hashingTHs is the hash rate from which a machine counts as hashing: below it is what a ramp leaves in
	// an average.
	hashingTHs = 0.1
	// awakeWatts is a draw that no stopped machine has: the least target of the maker's page. Its simulator
	// has a stopped one at 200 W.
	awakeWatts = 400
)

// look is what one reading is made of.
type look struct {
	mining    mining
	target    target
	telemetry telemetry
	curtailed curtailment
}

// Read takes a reading in three requests, and every fourth time one more for the machine's errors.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	now, err := d.look(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	if _, _, ok := now.target.bounds(); ok || !d.capabilities.Continuous {
		d.learn(now.target)
	}
	r := now.reading()
	d.readFaults(ctx, len(r.Faults) > 0)
	r.Faults = append(r.Faults, d.faults...)
	return r, nil
}

func (d *Driver) look(ctx context.Context) (look, error) {
	var now look
	if err := d.client.get(ctx, "mining", &now.mining); err != nil {
		return look{}, err
	}
	optional := []struct {
		path string
		out  any
	}{
		{"mining/target", &now.target},
		{"telemetry?level=miner,hashboard,psu", &now.telemetry},
		{"curtailment/status", &now.curtailed},
	}
	if now.mining.word() != curtailed {
		optional = optional[:2]
	}
	for _, o := range optional {
		if err := d.client.get(ctx, o.path, o.out); wire.OnlyIfSilent(err) != nil {
			return look{}, err
		}
	}
	return now, nil
}

func (l look) reading() miner.Reading {
	r := miner.Reading{
		State:       l.state(),
		HashrateTHs: l.hashrate().Scaled(1),
		TargetWatts: some(l.target.Watts),
		Mode:        string(l.target.Mode),
		Uptime:      l.mining.Now.UptimeS.Seconds(),
		Faults:      l.faults(),
	}
	if n := l.telemetry.temperature(); n.Set {
		r.TemperatureC = &n.Value
	} else if n = l.mining.Now.BoardC; n.Set {
		r.TemperatureC = &n.Value
	}
	l.setWatts(&r)
	if r.State != miner.Sleeping {
		l.setTargets(&r)
	}
	return r
}

// hashrate is the one of now, TH/s. The average since mining began stands in for it only while the machine says
// that it mines.
func (l look) hashrate() wire.Number {
	now := l.telemetry.Miner.Hashrate.in(terahashes)
	if ghs := l.mining.Now.GHs; !now.Set && ghs.Set {
		return wire.Number{Value: ghs.Value * terahashes["GH/s"], Set: true}
	}
	average := l.mining.Now.AverageGHs
	if mines := l.mining.word(); !now.Set && average.Set && (mines == running || mines == degraded) {
		return wire.Number{Value: average.Value * terahashes["GH/s"], Set: true}
	}
	return now
}

func (l look) hashes() bool { return l.hashrate().Value >= hashingTHs }

// draw is what the machine takes, and who says so. What its supplies take is metered and is more than what
// reaches the boards; in the maker's example the machine's own number is the latter. The higher one counts.
func (l look) draw() (*int64, miner.Source) {
	input := l.telemetry.input().Watts()
	own := l.telemetry.Miner.Power.in(powers).Watts()
	if own == nil {
		own = l.mining.Now.Watts.Watts()
	}
	switch {
	case input != nil && *input > 0 && (own == nil || *input >= *own):
		return input, miner.PSU
	case own != nil:
		return own, miner.Estimate
	}
	return nil, ""
}

// setWatts fills in the draw. 0 is no reading at all; a stopped machine draws what its control board does.
func (l look) setWatts(r *miner.Reading) {
	r.Watts, r.WattsSource = l.draw()
	if r.Watts == nil || *r.Watts > 0 {
		return
	}
	r.Watts, r.WattsSource = nil, ""
	if r.State == miner.Sleeping {
		r.Watts, r.WattsSource = new(int64(residualWatts)), miner.Estimate
	}
}

// setTargets fills in the target in force and the highest that the machine may follow by itself: it scales down
// where it gets too hot, and back up.
func (l look) setTargets(r *miner.Reading) {
	r.Effective = some(l.mining.Now.Target)
	if r.Effective == nil {
		r.Effective = r.TargetWatts
	}
	r.Ceiling = r.Effective
	if r.TargetWatts != nil && (r.Ceiling == nil || *r.TargetWatts > *r.Ceiling) {
		r.Ceiling = r.TargetWatts
	}
}

// some watts; 0 is no target.
func some(n wire.Number) *int64 {
	if told := n.Watts(); told != nil && *told > 0 {
		return told
	}
	return nil
}

// state judges the machine by its word, hash rate and watts together. One that says it mines and does not
// hash is on its way up, and counts as rated until it does (rule L5).
func (l look) state() miner.State {
	switch l.mining.word() {
	case running, degraded:
		switch {
		case !l.hashrate().Set:
			return miner.Unknown
		case !l.hashes():
			return miner.Starting
		}
		return miner.Hashing
	case poweringOn, uninitialized:
		return miner.Starting
	case poweringOff:
		return miner.Stopping
	case stopped, curtailed:
		return l.idle()
	case noPools:
		if l.hashes() {
			return miner.Hashing
		}
		return miner.Failed // it starts by itself as soon as it finds one
	case failing:
		return miner.Failed
	default:
		return miner.Unknown
	}
}

// idle tells a machine that was told to stop from one that its own curtailment service stopped and will start
// again: that is nobody's sleep.
func (l look) idle() miner.State {
	drawn, _ := l.draw()
	switch {
	case l.hashes() || drawn != nil && *drawn > awakeWatts:
		return miner.Stopping
	case l.restores():
		return miner.Failed
	}
	return miner.Sleeping
}

// restores says that the machine may start by itself; one that does not say counts as if it did.
func (l look) restores() bool {
	return l.mining.word() == curtailed && (!l.curtailed.Restore.Set || l.curtailed.Restore.Value)
}

// faults are what the state itself says that a person should see.
func (l look) faults() []string {
	switch now := l.mining.word(); {
	case now == degraded:
		return []string{"it mines with less than all of its boards"}
	case now == noPools:
		return []string{"it has no pool to mine for"}
	case now == failing:
		return []string{"mining stopped with an error"}
	case l.restores():
		return []string{"its own curtailment service stopped it and starts it by itself: turn that off on the machine"}
	}
	return nil
}

// readFaults looks at the machine's errors every fourth time, and at once when trouble begins. A reading stands
// without them.
func (d *Driver) readFaults(ctx context.Context, troubled bool) {
	turn, begins := d.readings, troubled && !d.troubled
	d.readings++
	d.troubled = troubled
	if turn%slowEvery != 0 && !begins {
		return
	}
	var found problems
	if err := d.client.get(ctx, "errors", &found); err == nil {
		d.faults = found.faults()
	}
}
