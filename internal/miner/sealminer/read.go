package sealminer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// reply is any reply; what the command does not give stays empty.
type reply struct {
	Status  wire.Statuses      `json:"STATUS"`
	Version wire.List[version] `json:"VERSION"`
	Summary wire.List[summary] `json:"SUMMARY"`
	Stats   wire.List[stats]   `json:"STATS"`
	Details wire.List[details] `json:"DEVDETAILS"`
}

type version struct {
	BDMiner wire.Text `json:"BDMiner"`
	Miner   wire.Text `json:"Miner"`
}

type details struct {
	Model wire.Text `json:"Model"`
}

// summary has hash rates over a time, in MH/s. The one over 5 s was recorded at a ninth of the others, and the one
// over the machine's life says nothing of now.
type summary struct {
	MHS1m   wire.Number `json:"MHS 1m"`
	MHS5m   wire.Number `json:"MHS 5m"`
	Elapsed wire.Number `json:"Elapsed"`
}

func (s summary) ths() *float64 {
	if ths := s.MHS1m.Scaled(1e-6); ths != nil {
		return ths
	}
	return s.MHS5m.Scaled(1e-6)
}

// stats is the first entry of stats.
type stats struct {
	Firmware wire.Text   `json:"Firmware"`
	Model    wire.Text   `json:"Model"`
	MAC      wire.Text   `json:"MAC"`
	Serial   wire.Text   `json:"Ctrl Board SN"`
	State    wire.Text   `json:"PM State"`
	Mode     wire.Text   `json:"Mining Mode"`
	Input    wire.Number `json:"PSU Input Power"`  // W
	Output   wire.Number `json:"PSU Output Power"` // W
	Limit    wire.Number `json:"Power Limit"`      // W
	Rated    wire.Number `json:"MHS(Rated)"`
	Uptime   wire.Number `json:"System Uptime"`
	MHS1m    wire.Number `json:"MHS(1m)"`
	MHS5m    wire.Number `json:"MHS(5m)"`
	Code     wire.Text   `json:"Error Code"`
	Chip     wire.Text   `json:"Error Chip"`
	BadChips wire.Number `json:"Bad Chip Count"`
	boards   boards
}

// boards are the sensors and chips of boards, whose names begin with the board's number.
type boards struct {
	hottest *float64
	bad     []int
}

// maxBoards and maxSensors bound what is looked for.
const maxBoards, maxSensors = 8, 4

// UnmarshalJSON never fails.
func (s *stats) UnmarshalJSON(data []byte) error {
	type plain stats // without this method
	_ = wire.Decode(data, (*plain)(s))
	var all map[string]json.RawMessage
	_ = wire.Decode(data, &all)
	for board := range maxBoards {
		for sensor := range maxSensors {
			s.boards.warm(all[fmt.Sprintf("%d Temp %d", board, sensor)])
		}
		var bad wire.Number
		_ = bad.UnmarshalJSON(all[fmt.Sprintf("%d Bad Chip Count", board)])
		if bad.Value > 0 {
			s.boards.bad = append(s.boards.bad, board)
		}
	}
	return nil
}

func (b *boards) warm(raw json.RawMessage) {
	var n wire.Number
	if _ = n.UnmarshalJSON(raw); n.Set && n.Value > 0 && (b.hottest == nil || n.Value > *b.hottest) {
		b.hottest = &n.Value
	}
}

// faults are what a person should see. An error code alone is none: code 602 was recorded on a machine that works.
func (s stats) faults() []string {
	var faults []string
	for _, board := range s.boards.bad {
		faults = append(faults, fmt.Sprintf("board %d has bad chips", board))
	}
	if s.Chip != "" {
		faults = append(faults, "chip "+string(s.Chip))
	}
	if s.Code != "" && (len(faults) > 0 || s.BadChips.Value > 0) {
		faults = append(faults, "error "+string(s.Code))
	}
	return faults
}

// look is what one reading is made of.
type look struct {
	stats
	ths    *float64
	uptime *time.Duration
}

const (
	// hashingTHs is the hash rate from which a machine counts as hashing.
	hashingTHs = 0.1
	// awakeWatts is a draw that no machine has that is suspended.
	awakeWatts = 200
)

func (l look) hashes() bool { return l.ths != nil && *l.ths >= hashingTHs }

func (l look) powered() bool { return l.Input.Value > awakeWatts || l.Output.Value > awakeWatts }

func (l look) running() bool { return strings.EqualFold(string(l.State), "running") }

// said is whether the state's word has one of these in it. Only "Running" was recorded.
func (l look) said(words ...string) bool {
	for _, word := range words {
		if strings.Contains(strings.ToLower(string(l.State)), word) {
			return true
		}
	}
	return false
}

// limit is the power limit it follows; nil where it names none.
func (l look) limit() *int64 {
	watts := l.Limit.Watts()
	if watts == nil || *watts == 0 {
		return nil
	}
	return watts
}

// look takes two connections.
func (d *Driver) look(ctx context.Context) (look, error) {
	s, err := d.client.ask(ctx, "stats")
	if err != nil && !silent(err) {
		return look{}, err
	}
	unsaid := err
	r, err := d.client.ask(ctx, "summary")
	if err != nil && (unsaid != nil || !silent(err)) {
		return look{}, err
	}
	now := look{stats: s.Stats.First(), ths: r.Summary.First().ths()}
	if now.ths == nil {
		now.ths = summary{MHS1m: now.MHS1m, MHS5m: now.MHS5m}.ths()
	}
	now.uptime = now.Uptime.Seconds()
	if now.uptime == nil {
		now.uptime = r.Summary.First().Elapsed.Seconds()
	}
	return now, nil
}

// Read takes a reading over two connections.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	now, err := d.look(ctx)
	if err != nil {
		return miner.Reading{}, err
	}
	d.learn(now)
	return d.reading(now), nil
}

func (d *Driver) reading(now look) miner.Reading {
	r := miner.Reading{
		State: d.state(now), HashrateTHs: now.ths, TargetWatts: now.limit(), Mode: strings.ToLower(string(now.Mode)),
		TemperatureC: now.boards.hottest, Uptime: now.uptime, Faults: now.faults(),
	}
	r.Watts, r.WattsSource = now.watts()
	if r.State == miner.Failed {
		r.Faults = append(r.Faults, "it does not run, and not because it was told to: "+string(now.stats.State))
	}
	if r.State != miner.Sleeping {
		r.Effective = now.limit()
		r.Ceiling = d.ceiling(r.Effective)
		return r
	}
	if r.Watts == nil {
		watts := int64(residualWatts)
		r.Watts, r.WattsSource = &watts, miner.Estimate
	}
	return r
}

// watts are those the supply takes, else those it gives. A supply that takes none was not read.
func (l look) watts() (*int64, miner.Source) {
	if watts := l.Input.Watts(); watts != nil && *watts > 0 {
		return watts, miner.PSU
	}
	if watts := l.Output.Watts(); watts != nil && *watts > 0 {
		return watts, miner.DC
	}
	return nil, ""
}

// ceiling is the limit, one that was commanded and comes with the next boot, or one that stays until then.
func (d *Driver) ceiling(limit *int64) *int64 {
	most := limit
	for _, other := range []*int64{d.told, d.before} {
		if other != nil && (most == nil || *other > *most) {
			most = other
		}
	}
	return most
}

// state judges the machine by its own word, hash rate and watts together.
func (d *Driver) state(now look) miner.State {
	if now.stats.State == "" {
		return d.stateUnsaid(now)
	}
	if now.running() {
		return d.stateRunning(now)
	}
	return d.stateHalted(now)
}

// stateHalted is of a machine that says it does not run.
func (d *Driver) stateHalted(now look) miner.State {
	quiet := !now.hashes() && !now.powered()
	suspended := now.said("suspend", "sleep", "standby", "pause")
	switch {
	case quiet && (suspended || d.toldToSleep):
		return miner.Sleeping
	case suspended:
		return miner.Stopping
	case quiet && now.said("idle", "stop", "fault", "error", "fail"):
		return miner.Failed // and it may begin again by itself
	case now.hashes():
		return miner.Hashing
	}
	return miner.Starting
}

func (d *Driver) stateRunning(now look) miner.State {
	switch {
	case d.toldToSleep:
		return miner.Stopping
	case now.hashes():
		return miner.Hashing
	}
	return miner.Starting
}

func (d *Driver) stateUnsaid(now look) miner.State {
	if now.hashes() {
		return miner.Hashing
	}
	return miner.Unknown
}
