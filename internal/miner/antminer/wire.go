package antminer

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of recorded replies of 2020 to 2026, with the vendor's own CGI scripts for
// what a configuration is made of.

type systemInfo struct {
	Type     wire.Text `json:"minertype"`
	MAC      wire.Text `json:"macaddr"`
	Serial   wire.Text `json:"serinum"`
	SerialNo wire.Text `json:"serial_no"` // an S19 XP of 2025
	Release  wire.Text `json:"system_filesystem_version"`
}

func (s systemInfo) serial() string {
	for _, text := range []wire.Text{s.Serial, s.SerialNo} {
		if number := wire.Serial(text); strings.Trim(number, "0") != "" {
			return number
		}
	}
	return ""
}

// status is STATUS of a reply, which the web writes as an object and the RPC as a list.
type status struct {
	Letter wire.Text `json:"STATUS"`
}

// stats is the reply to stats.cgi, and to "stats" of the RPC, whose first row is a header.
type stats struct {
	Status wire.List[status] `json:"STATUS"`
	Rows   wire.List[row]    `json:"STATS"`
}

// isStats says whether a reply is one at all: a mining process that is down leaves an empty page.
func (s stats) isStats() bool {
	letter := s.Status.First().Letter
	return letter == "S" || letter == "I"
}

// row is the first one that tells anything.
func (s stats) row() row {
	for _, r := range s.Rows {
		if r.tells() {
			return r
		}
	}
	return row{}
}

// row takes the fields of the web (rate_5s) and of the RPC (GHS 5s).
type row struct {
	Elapsed    wire.Number      `json:"elapsed"`
	Rate       wire.Number      `json:"rate_5s"`
	Ideal      wire.Number      `json:"rate_ideal"`
	Unit       wire.Text        `json:"rate_unit"`
	GHs        wire.Number      `json:"GHS 5s"`
	MHs        wire.Number      `json:"MHS 5s"`
	TotalIdeal wire.Number      `json:"total_rateideal"`
	Running    wire.Text        `json:"miner-mode"`
	LegacyMode wire.Text        `json:"Mode"` // of the RPC; another number than miner-mode but for 254
	Watt       wire.Text        `json:"watt"`
	Power      wire.Text        `json:"power"`
	ChainPower wire.Text        `json:"chain_power"` // "3250 W"
	TempMax    wire.Number      `json:"temp_max"`
	Chains     wire.List[chain] `json:"chain"`
	// spread are the temperatures of the RPC, which has a key for each board.
	spread spread
}

// UnmarshalJSON never fails.
func (r *row) UnmarshalJSON(data []byte) error {
	type plain row
	var p plain
	_ = wire.Decode(data, &p)
	*r = row(p)
	r.spread = spreadOf(data)
	return nil
}

type chain struct {
	Chip temperatures `json:"temp_chip"`
}

func (r row) tells() bool {
	return r.Rate.Set || r.GHs.Set || r.MHs.Set || len(r.Chains) > 0
}

// perTH is how many of a unit one TH/s is; 0 where it is no unit of hash rate.
func perTH(unit wire.Text) float64 {
	name, _, _ := strings.Cut(strings.ToUpper(string(unit)), "/")
	switch name {
	case "", "GH", "GHS":
		return 1e3
	case "KH", "KHS":
		return 1e9
	case "MH", "MHS":
		return 1e6
	case "TH", "THS":
		return 1
	case "PH", "PHS":
		return 1e-3
	}
	return 0
}

// unitOf is the unit of models of 2017 that name none: those of other algorithms wrote MH/s under a key of GH/s.
func unitOf(model wire.Text) wire.Text {
	for _, other := range []string{"antminer l3", "antminer d3", "antminer e3"} {
		if strings.HasPrefix(strings.ToLower(string(model)), other) {
			return "MH"
		}
	}
	return ""
}

// scaled is a number of a unit in TH/s; nil where the unit is none.
func scaled(n wire.Number, unit wire.Text) *float64 {
	per := perTH(unit)
	if per == 0 {
		return nil
	}
	return n.Scaled(1 / per)
}

// rate is the present hash rate in TH/s; nil where the machine gives none.
func (r row) rate() *float64 {
	switch {
	case r.Rate.Set:
		return scaled(r.Rate, r.Unit)
	case r.GHs.Set: // whose key names no unit that binds: an L7 writes MH/s there, and says so beside it
		return scaled(r.GHs, cmp.Or(r.Unit, "GH"))
	}
	return scaled(r.MHs, "MH")
}

// ideal is the hash rate at the clocks the machine has, in TH/s; 0 where it gives none.
func (r row) ideal() float64 {
	ideal := scaled(r.Ideal, r.Unit)
	if !r.Ideal.Set {
		ideal = scaled(r.TotalIdeal, r.Unit)
	}
	if ideal == nil || *ideal > wire.MaxWatts { // no machine hashes a TH/s by a watt
		return 0
	}
	return *ideal
}

// hashes says that the boards work. A rate below a fiftieth of the ideal is what a ramp leaves in an average.
func (r row) hashes() bool {
	rate := r.rate()
	if rate == nil { // in a unit nobody knows
		return r.Rate.Set && r.Rate.Value > 0
	}
	const leastShare = 1. / 50
	return *rate > 0 && *rate >= r.ideal()*leastShare
}

// silent says that no board works by the machine's own word: a rate of nothing, or no mining process.
func (r row) silent() bool {
	return !r.tells() || r.rate() != nil && !r.hashes() || r.Rate.Set && r.Rate.Value == 0
}

// watts is the draw that a row names; nil where it names none. A 0 says that nothing measures it: machines
// that hash were seen to write one.
func (r row) watts() *int64 {
	var said *int64
	for _, text := range []wire.Text{r.Watt, r.Power, r.ChainPower} {
		if watts := wattsIn(string(text)); watts != nil && (said == nil || *said == 0) {
			said = watts
		}
	}
	return said
}

// wattsIn reads "3250", "3250.5" and "3250 W".
func wattsIn(text string) *int64 {
	text = strings.TrimSpace(text)
	if cut := len(text) - 1; cut > 0 && (text[cut] == 'W' || text[cut] == 'w') {
		text = strings.TrimSpace(text[:cut])
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return wire.Number{Value: value, Set: true}.Watts()
}

// powerText is the reply of the power port: "miner power:3250".
func powerText(body []byte) *int64 {
	const longest = 256
	if len(body) > longest {
		return nil
	}
	name, value, found := strings.Cut(string(body), ":")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "miner power") {
		return nil
	}
	return wattsIn(value)
}

// summary is the reply to summary.cgi, of which only what the machine finds wrong with itself is read.
type summary struct {
	Rows wire.List[struct {
		SafeMode wire.Flag          `json:"safe_mode"`
		Checks   wire.List[verdict] `json:"status"`
	}] `json:"SUMMARY"`
}

type verdict struct {
	Type   wire.Text   `json:"type"`
	Letter wire.Text   `json:"status"` // s: good
	Code   wire.Number `json:"code"`
	Text   wire.Text   `json:"msg"`
}

// maxFaults bounds what one reading carries.
const maxFaults = 8

// faults are what a person should see. One that sleeps has no hash rate, and says so as an error.
func (s summary) faults(asleep bool) []string {
	var faults []string
	first := s.Rows.First()
	if first.SafeMode.Value {
		faults = append(faults, "safe mode")
	}
	for _, v := range first.Checks {
		if v.bad() && (!asleep || v.Type != "rate") && len(faults) < maxFaults {
			faults = append(faults, v.String())
		}
	}
	return faults
}

func (v verdict) bad() bool {
	letter := strings.ToLower(string(v.Letter))
	return letter == "e" || letter == "w" || letter == "f"
}

// String is the verdict for people.
func (v verdict) String() string {
	fault := string(v.Type)
	if v.Text != "" {
		fault += ": " + string(v.Text)
	}
	if code, ok := v.Code.Int(); ok && code != 0 {
		fault += " (" + strconv.FormatInt(code, 10) + ")"
	}
	return fault
}

// program is what a mining process says of itself: in its "version", and in the first row of its "stats".
type program struct {
	Type     wire.Text `json:"Type"`
	Miner    wire.Text `json:"Miner"`
	BMMiner  wire.Text `json:"BMMiner"`
	CGMiner  wire.Text `json:"CGMiner"`
	Compiled wire.Text `json:"CompileTime"` // what the web pages call the release, in most
	// description is beside it; another maker's program may name itself only there.
	description wire.Text
}

// version is the reply to "version" of the RPC, or to its "stats".
type version struct {
	Status wire.Statuses      `json:"STATUS"`
	Rows   wire.List[program] `json:"VERSION"`
	Stats  wire.List[program] `json:"STATS"`
}

// program is the first of some rows, with the description.
func (v version) program(rows wire.List[program]) program {
	p := rows.First()
	p.description = v.Status.First().Description
	return p
}

// other is the firmware of another maker that a mining process names.
func (p program) other() string {
	return anotherIn(p.Type, p.Miner, p.BMMiner, p.CGMiner, p.description)
}

// isBitmain says that it names an Antminer, or is the program that Bitmain made of cgminer and names no machine, and that
// it names no other maker's firmware.
func (p program) isBitmain() bool {
	made := p.Type == "" && strings.HasPrefix(strings.ToLower(string(p.description)), "bmminer")
	return (isAntminer(p.Type) || made) && p.other() == ""
}

// statsPath is the page with the readings, and statsHead what it says of the machine.
const statsPath = "stats.cgi"

type statsHead struct {
	Info struct {
		Type     wire.Text `json:"type"`
		Compiled wire.Text `json:"CompileTime"`
	} `json:"INFO"`
}

// isAntminer says that a model is one of Bitmain's.
func isAntminer(model wire.Text) bool {
	return strings.HasPrefix(strings.ToLower(string(model)), "antminer")
}

// others are the firmwares of other makers that keep Bitmain's web pages or its login.
var others = []string{
	"hiveon", "vnish", "anthill", "luxminer", "luxos", "braiins", "bosminer", "marafw", "kaonsu", "powerplay",
	"foundry", "bitfufu", "hashmaster", "spideros", "pitbit", "mskminer",
}

// anotherIn is the other firmware that texts name; empty where they name none.
func anotherIn(texts ...wire.Text) string {
	for _, text := range texts {
		folded := strings.ToLower(string(text))
		for _, name := range others {
			if strings.Contains(folded, name) {
				return name
			}
		}
	}
	return ""
}
