package vnish

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// hashing is the hash rate from which a machine counts as hashing, in its own unit (GH/s; MH/s on
	// Scrypt models): below it is what a ramp leaves in an average.
	hashing = 100
	// awakeWatts is a draw that no stopped machine has.
	awakeWatts = 200
	// maxFaults bounds what one reading carries.
	maxFaults = 8
)

// Read takes a reading in two requests, and every fourth time one more for what changes slowly.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	var now summary
	if err := d.client.Get(ctx, "summary", &now); err != nil {
		return miner.Reading{}, err
	}
	if now.Miner.Status.State == "" { // no mining process: the firmware itself still says what it does
		if err := d.client.Get(ctx, "status", &now.Miner.Status); wire.OnlyIfSilent(err) != nil {
			return miner.Reading{}, err
		}
	}
	if err := d.readPerformance(ctx); err != nil {
		return miner.Reading{}, err
	}
	d.readSlowly(ctx)
	if stock := now.Miner.Stock.Scaled(1 / d.who.perTH()); stock != nil && *stock > 0 {
		d.stockTHs = *stock
	}
	d.learn()
	return d.reading(now), nil
}

func (d *Driver) reading(now summary) miner.Reading {
	m := now.Miner
	r := miner.Reading{
		State:       now.state(),
		HashrateTHs: m.Realtime.Scaled(1 / d.who.perTH()),
		TargetWatts: wattsOf(d.clocks.preset),
		Mode:        string(d.now.Current.Name),
		Uptime:      uptime(d.who.System.Uptime),
		Faults:      now.faults(),
	}
	d.setWatts(&r, now)
	r.TemperatureC = now.hottest()
	if r.State != miner.Sleeping {
		r.Effective = wattsOf(d.now.Current.Name)
		r.Ceiling = d.ceiling()
	}
	return r
}

// setWatts takes the machine's word for its watts. Without a supply that meters, they are the sum of what
// the firmware reckons its boards draw: 0 on a machine that is not stopped is then no reading at all, and
// a stopped one draws what runs beside the boards.
func (d *Driver) setWatts(r *miner.Reading, now summary) {
	r.Watts = now.watts().Watts()
	if r.Watts == nil {
		return
	}
	r.WattsSource = miner.Estimate
	switch metered := now.Miner.PSU.Metering.Value; {
	case metered && now.Miner.Watts.Set && *r.Watts > 0:
		r.WattsSource = miner.PSU
	case r.State == miner.Sleeping:
		*r.Watts = max(*r.Watts, residualWatts)
	case *r.Watts == 0:
		r.Watts, r.WattsSource = nil, ""
	}
}

func (s summary) hashes() bool {
	return s.Miner.Realtime.Set && s.Miner.Realtime.Value >= hashing
}

// powered says that more is drawn than any stopped machine draws.
func (s summary) powered() bool {
	return s.watts().Set && s.watts().Value > awakeWatts
}

// state judges the machine by its word, hash rate and watts together. One that says it is stopped and
// still hashes or draws is on its way down; one that says it mines and does not hash is on its way up, and
// counts as rated until it does (rule L5).
func (s summary) state() miner.State {
	switch word := s.Miner.Status.State; {
	case word == mining || word == autoTuning:
		return s.awake()
	case word.awake():
		return miner.Starting
	case word == shuttingDown, word.asleep() && (s.hashes() || s.powered()):
		return miner.Stopping
	case word.asleep():
		return miner.Sleeping
	case word == failure:
		// The firmware gave up and may try again by itself: nobody's sleep.
		return miner.Failed
	default:
		return miner.Unknown
	}
}

// awake tells a machine that says it mines by its hash rate.
func (s summary) awake() miner.State {
	switch {
	case !s.Miner.Realtime.Set:
		return miner.Unknown
	case !s.hashes():
		return miner.Starting
	}
	return miner.Hashing
}

// faults are what the machine says of itself that a person should see.
func (s summary) faults() []string {
	var faults []string
	if s.Miner.Status.State == failure {
		faults = append(faults, s.Miner.Status.fault())
	}
	if t := s.Miner.Status.Throttled; t.Set && t.Value > 0 && t.Value < 100 {
		faults = append(faults, fmt.Sprintf("throttled to %.0f %% on the machine", t.Value))
	}
	for _, chain := range s.Miner.Chains {
		state := string(chain.Status.State)
		if (state != "failure" && state != "disconnected") || len(faults) >= maxFaults {
			continue
		}
		faults = append(faults, described(fmt.Sprintf("board %.0f: %s", chain.ID.Value, state), chain.Status.Description))
	}
	return faults
}

// fault is why the firmware gave up.
func (s minerStatus) fault() string {
	fault := string(failure)
	if code, ok := s.FailureCode.Int(); ok {
		fault += fmt.Sprintf(" %d", code)
	}
	return described(fault, s.Description)
}

func described(fault string, description wire.Text) string {
	if description == "" {
		return fault
	}
	return fault + ": " + string(description)
}

// readSlowly looks at settings, presets, and uptime in turn. A reading stands without them.
func (d *Driver) readSlowly(ctx context.Context) {
	turn := d.readings
	d.readings++
	if turn%slowEvery != 0 {
		return
	}
	reads := []func(context.Context) error{d.readInfo, d.readSettings, d.readPresets}
	_ = reads[turn/slowEvery%len(reads)](ctx)
}
