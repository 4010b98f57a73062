package whatsminer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// protocol is one generation of the vendor's API.
type protocol interface {
	who(context.Context) (miner.Identity, error)
	look(context.Context) (look, error)
	command(context.Context, action) error
}

// look is what one reading is made of; nil and unset is what the machine did not say.
type look struct {
	// off: mining was ended by an order, or by the machine itself; reason says by whom, where known.
	off    wire.Flag
	reason string
	// climbed: the boards have found their frequency.
	climbed wire.Flag
	ths     *float64
	watts   *int64
	// limit is the power limit in force, told the one that was set; nil where none is.
	limit, told *int64
	factoryTHs  *float64
	joulesPerTH *float64
	mode        string
	temperature *float64
	uptime      *time.Duration
	faults      []string
	// firmware is its release, where this is said beside the rest.
	firmware string
}

const (
	// hashingTHs is the hash rate from which a machine counts as hashing.
	hashingTHs = 0.1
	// awakeWatts is a draw that no machine has that is off.
	awakeWatts = 200
)

func (l look) hashes() bool { return l.ths != nil && *l.ths >= hashingTHs }

// powered says that more is drawn than by any machine that is off.
func (l look) powered() bool { return l.watts != nil && *l.watts > awakeWatts }

// inForce is the limit the machine follows now.
func (l look) inForce() *int64 {
	if l.limit == nil {
		return l.told
	}
	return l.limit
}

// ratedWatts is what the machine would draw at its rated hash rate with the efficiency it has now, which a
// lower limit hardly makes worse; nil while it does not hash. The firmware keeps to its own standard anyway.
func (l look) ratedWatts() *int64 {
	if !l.hashes() || !l.climbed.Value || l.factoryTHs == nil || l.joulesPerTH == nil {
		return nil
	}
	watts := int64(min(*l.factoryTHs**l.joulesPerTH, noLimit))
	if watts <= 0 || watts >= noLimit {
		return nil
	}
	return &watts
}

// limitOf is a number as a power limit; nil where it says that there is none.
func limitOf(n wire.Number) *int64 {
	watts := n.Watts()
	if watts == nil || *watts == 0 || *watts >= noLimit {
		return nil
	}
	return watts
}

// warmest of some temperatures, °C; those not above 0 are of sensors that were not read.
func warmest(all ...wire.Number) *float64 {
	var most *float64
	for _, n := range all {
		if n.Set && n.Value > 0 && (most == nil || n.Value > *most) {
			most = &n.Value
		}
	}
	return most
}

// Read takes a reading over two connections, now and then three.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	d.knock(ctx)
	now, err := d.api.look(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	d.learn(now)
	r := d.reading(now)
	if d.shut {
		r.Faults = append(slices.Clip(r.Faults), clipped(d.readOnly))
	}
	return r, nil
}

// knockEvery is how many readings pass before API v3 is tried again where it did not answer.
const knockEvery = 12

// knock takes up API v3 once it is there.
func (d *Driver) knock(ctx context.Context) {
	if !d.shut {
		return
	}
	if d.readings++; d.readings%knockEvery != 0 {
		return
	}
	if _, err := d.framed.who(ctx); err == nil {
		d.api, d.readOnly, d.shut = d.framed, "", false
	}
}

func (d *Driver) reading(now look) miner.Reading {
	r := miner.Reading{
		State:        d.state(now),
		HashrateTHs:  now.ths,
		Watts:        now.watts,
		TargetWatts:  now.told,
		Mode:         strings.ToLower(now.mode),
		TemperatureC: now.temperature,
		Uptime:       now.uptime,
		Faults:       now.faults,
	}
	if r.Watts != nil {
		r.WattsSource = miner.PSU
	}
	if now.off.Value && now.reason != "" && !byOrder(now.reason) {
		r.Faults = append(slices.Clip(r.Faults), clipped("mining is off: "+now.reason))
	}
	if r.TargetWatts == nil {
		r.TargetWatts = d.told
	}
	if r.State != miner.Sleeping {
		d.setTargets(&r, now)
	}
	return r
}

// setTargets fills in the limit in force, and the most the machine may go to by itself: the limit that was
// set where the one in force is not there yet, and its highest where it names none.
func (d *Driver) setTargets(r *miner.Reading, now look) {
	r.Effective = now.inForce()
	r.Ceiling = r.Effective
	if r.TargetWatts != nil && (r.Ceiling == nil || *r.TargetWatts > *r.Ceiling) {
		r.Ceiling = r.TargetWatts
	}
	if r.Effective == nil && d.most > 0 && (r.Ceiling == nil || d.most > *r.Ceiling) {
		most := d.most
		r.Ceiling = &most
	}
}

// state judges the machine by its own word, hash rate and watts together: no hash rate alone is no sleep.
func (d *Driver) state(now look) miner.State {
	switch {
	case now.off.Value:
		return d.stateOff(now)
	case now.hashes() && (!now.climbed.Set || now.climbed.Value):
		return miner.Hashing
	case now.hashes():
		return miner.Starting
	case !now.off.Set:
		return miner.Unknown
	case now.watts != nil && !now.powered() && len(now.faults) > 0:
		return miner.Failed
	default:
		return miner.Starting
	}
}

// stateOff is of a machine that says it is off. One that ended mining by itself may begin again by itself, and
// does not count as asleep.
func (d *Driver) stateOff(now look) miner.State {
	switch {
	case !now.hashes() && !now.powered() && (now.reason == "" || byOrder(now.reason)):
		return miner.Sleeping
	case !now.hashes() && !now.powered():
		return miner.Failed
	case now.hashes() && !d.toldToSleep:
		return miner.Hashing
	default:
		return miner.Stopping
	}
}

// byOrder says that a person or a program ended mining, as far as the reason's words tell.
func byOrder(reason string) bool {
	reason = strings.ToLower(reason)
	for _, word := range []string{"api", "user", "tool", "web", "manual"} {
		if strings.Contains(reason, word) {
			return true
		}
	}
	return false
}

// clipped bounds a fault.
func clipped(text string) string {
	if len(text) > longestFault {
		text = strings.ToValidUTF8(text[:longestFault], "")
	}
	return text
}
