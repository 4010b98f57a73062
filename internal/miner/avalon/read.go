package avalon

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// look is what one reading is made of; nil, unset and empty is what the machine did not say.
type look struct {
	// work is what it says it does: "work", "init" or "idle".
	work string
	// off: an order to sleep came after the last one to wake.
	off     wire.Flag
	ths     *float64
	watts   *int64
	source  miner.Source
	boards  *int64 // watts the boards get
	target  *int64 // watts the boards shall get
	mode    *int64
	maxTemp *float64
	uptime  *time.Duration
	faults  []string
}

const (
	// hashingTHs is the hash rate from which a machine counts as hashing. A minute's average was recorded at
	// 0.001 TH/s after the boards had gone off.
	hashingTHs = 0.1
	// awakeWatts and boardWatts are draws that no machine has whose boards are off, at the wall and at the boards.
	awakeWatts, boardWatts = 200, 50
	// booting is how long a machine that idles may be about to work by itself.
	booting = 3 * time.Minute
)

func (l look) hashes() bool { return l.ths != nil && *l.ths >= hashingTHs }

// powered says that more is drawn than with the boards off.
func (l look) powered() bool {
	return l.watts != nil && *l.watts > awakeWatts || l.boards != nil && *l.boards > boardWatts
}

func (l look) quiet() bool { return !l.hashes() && !l.powered() }

// loss is what the wall gives for a watt of the boards now, in percent; 0 where that can't be told.
func (l look) loss() int64 {
	const (
		most = 125 // more is no loss of a supply
		near = 80  // percent of the target from which a supply does what it will do: it loses more on the way up
	)
	if l.source != miner.Wall || l.boards == nil || l.target == nil || *l.boards*100 < *l.target*near {
		return 0
	}
	return min((*l.watts*100+*l.boards-1) / *l.boards, most)
}

// look takes one connection, or two where the module has no hash rate of now.
func (d *Driver) look(ctx context.Context) ([]module, look, error) {
	all, err := d.modules(ctx)
	if err != nil {
		return nil, look{}, err
	}
	var now look
	if len(all) == 1 {
		now = lookOf(all[0])
	}
	for _, m := range all { // of several, the rest is in the summary
		now.maxTemp = hotter(now.maxTemp, m.number("TMax"))
	}
	if now.ths != nil {
		return all, now, nil
	}
	r, err := d.client.ask(ctx, "summary")
	if err != nil && !silent(err) {
		return nil, look{}, err
	}
	s := r.Summary.First()
	now.ths = s.ths()
	if now.uptime == nil {
		now.uptime = s.Elapsed.Seconds()
	}
	return all, now, nil
}

// modules asks for them in the way that worked last, then in the others.
func (d *Driver) modules(ctx context.Context) ([]module, error) {
	for range statsCommands {
		r, err := d.client.ask(ctx, statsCommands[d.source])
		if err != nil && !silent(err) {
			return nil, err
		}
		if all := r.modules(); len(all) > 0 {
			return all, nil
		}
		d.source = (d.source + 1) % len(statsCommands)
	}
	return nil, nil
}

func lookOf(m module) look {
	now := look{
		work: workOf(m), off: offOf(m), ths: m.number("GHSspd").Scaled(1e-3), target: positive(m.number("MPO").Watts()),
		uptime: m.number("Elapsed").Seconds(), faults: faultsOf(m),
	}
	if mode, whole := m.number("WORKMODE").Int(); whole {
		now.mode = &mode
	}
	now.setWatts(m)
	return now
}

// hotter is the higher of two temperatures; 0 is of no sensor.
func hotter(most *float64, n wire.Number) *float64 {
	if n.Set && n.Value > 0 && (most == nil || n.Value > *most) {
		return &n.Value
	}
	return most
}

// workOf reads SYSTEMSTATU[Work: In Work, Hash Board: 3 ], else the number that home machines have for it.
func workOf(m module) string {
	said := strings.ToLower(m["SYSTEMSTATU"])
	for _, word := range []string{"work", "init", "idle"} {
		if strings.Contains(said, "in "+word) {
			return word
		}
	}
	state, whole := m.number("STATE").Int()
	words := []string{"init", "work", "idle"}
	if !whole || said != "" || state < 0 || state >= int64(len(words)) {
		return ""
	}
	return words[state]
}

// offOf says whether the machine was told to sleep last: by the times of both orders, else by SoftOFF, which is 0
// on a machine that was not, and several numbers on one that was.
func offOf(m module) wire.Flag {
	off, on := m.number("SoftOffTime"), m.number("SoftOnTime")
	if off.Set && on.Set && (off.Value != 0 || on.Value != 0) {
		return wire.Flag{Value: off.Value > on.Value, Set: true}
	}
	soft := m.number("SoftOFF")
	return wire.Flag{Value: soft.Set && soft.Value != 0, Set: soft.Set}
}

// Places in PS[error, control V, boards V, boards A, boards W, boards V as set, wall W].
const (
	psError = iota
	psControl
	psVolts
	_
	psBoards
	_
	psWall
)

// setWatts takes the watts at the wall, from WALLPOWER or from the supply, else those of the boards.
func (l *look) setWatts(m module) {
	ps := m.numbers("PS")
	if silentSupply(ps) {
		ps = nil
	}
	if nanoSupply(m, ps) {
		l.watts, l.source = ps[psWall-1].Watts(), miner.Wall
		return
	}
	wall := m.number("WALLPOWER").Watts()
	if len(ps) > psBoards {
		l.boards = ps[psBoards].Watts()
	}
	if wall == nil && len(ps) > psWall {
		wall = ps[psWall].Watts()
	}
	switch {
	case wall != nil && (l.boards == nil || *wall >= *l.boards):
		l.watts, l.source = wall, miner.Wall
	case positive(l.boards) != nil: // less at the wall than at the boards: no word on the wall
		l.watts, l.source = l.boards, miner.DC
	}
}

// silentSupply says that a supply gives nothing but zeros: it does not answer the control board.
func silentSupply(ps []wire.Number) bool {
	for _, n := range ps {
		if n.Value != 0 {
			return false
		}
	}
	return true
}

// nanoSupply is the one of the first Nano 3, without the two voltages, whose watts come one place earlier:
// PS[0 0 0 4 2756 126 330].
func nanoSupply(m module, ps []wire.Number) bool {
	return len(ps) > psWall && strings.HasPrefix(strings.ToLower(m["Ver"]), "nano3-") &&
		ps[psControl].Value == 0 && ps[psVolts].Value == 0
}

func positive(watts *int64) *int64 {
	if watts != nil && *watts == 0 {
		return nil
	}
	return watts
}

// maxFaults bounds the faults of one machine.
const maxFaults = 16

// normalBoard is an error code of a board that works: 512 was recorded on those, and is in the manual.
const normalBoard = 512

// faultsOf are the error codes that are not zero. Their meanings differ by model.
func faultsOf(m module) []string {
	var faults []string
	add := func(what string, n wire.Number) {
		if n.Set && n.Value != 0 && len(faults) < maxFaults {
			faults = append(faults, fmt.Sprintf("%s error %.0f", what, math.Trunc(n.Value)))
		}
	}
	if ps := m.numbers("PS"); len(ps) > 0 {
		add("supply", ps[psError])
	}
	for i, n := range m.numbers("ECHU") {
		if n.Value != normalBoard {
			add(fmt.Sprintf("board %d", i), n)
		}
	}
	add("control board", m.number("ECMM"))
	add("fan", m.number("FanErr"))
	return faults
}

// Read takes a reading over one connection, of some models two.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	_, now, err := d.look(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	d.learn(now)
	return d.reading(now), nil
}

func (d *Driver) reading(now look) miner.Reading {
	r := miner.Reading{
		State: d.state(now), HashrateTHs: now.ths, Watts: now.watts, WattsSource: now.source, TargetWatts: now.target,
		Mode: d.modeName(now.mode), TemperatureC: now.maxTemp, Uptime: now.uptime, Faults: now.faults,
	}
	if now.work == "idle" && r.State == miner.Failed {
		r.Faults = append(r.Faults, "it idles, and not because it was told to")
	}
	if r.State == miner.Sleeping {
		if r.Watts == nil { // only the boards are measured, and they are off
			watts := int64(residualWatts)
			r.Watts, r.WattsSource = &watts, miner.Estimate
		}
		return r
	}
	if now.target == nil {
		return r
	}
	r.Effective = now.target
	ceiling := d.atWall(*now.target)
	ceiling = max(ceiling, d.told.Watts)
	r.Ceiling = &ceiling
	return r
}

// state judges the machine by its own word, hash rate and watts together.
func (d *Driver) state(now look) miner.State {
	switch {
	case now.work == "idle":
		return d.stateIdle(now)
	case now.work == "init":
		return miner.Starting
	}
	return d.stateAtWork(now)
}

func (d *Driver) stateAtWork(now look) miner.State {
	switch {
	case d.toldToSleep && now.quiet() && now.boards != nil:
		return miner.Sleeping // of a generation that is not known to say that it idles
	case now.hashes() && !(now.off.Value && d.toldToSleep):
		return miner.Hashing
	case now.off.Value:
		return miner.Stopping
	case now.work == "":
		return miner.Unknown
	}
	return miner.Starting
}

// stateIdle is of a machine that says it idles. One that nobody told to may begin again by itself, when its pool is
// back, and does not count as asleep; neither does one that has just booted, as it idles then as well.
func (d *Driver) stateIdle(now look) miner.State {
	switch {
	case !now.quiet():
		return miner.Stopping
	case d.toldToSleep:
		return miner.Sleeping
	case now.uptime != nil && *now.uptime < booting:
		return miner.Starting
	case now.off.Value:
		return miner.Sleeping
	}
	return miner.Failed
}
