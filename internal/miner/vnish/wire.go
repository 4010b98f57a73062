package vnish

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of the vendor's API descriptions for 1.2 and 1.3, with recorded replies of
// 1.2.6 and 1.2.7 where they differ.

type info struct {
	Miner     wire.Text `json:"miner"`
	Model     wire.Text `json:"model"`
	Name      wire.Text `json:"fw_name"`
	Version   wire.Text `json:"fw_version"`
	HRMeasure wire.Text `json:"hr_measure"`
	Serial    wire.Text `json:"serial"`
	System    struct {
		Uptime  wire.Text `json:"uptime"`
		Network struct {
			MAC wire.Text `json:"mac"`
		} `json:"network_status"`
	} `json:"system"`
}

// isVNish says whether a reply is one of this firmware. Its name differs between builds of resellers.
func (i info) isVNish() bool {
	return i.Name != "" && i.Version != "" && (i.Miner != "" || i.Model != "")
}

// supported says whether a release is one whose presets are known: 1.2 or later. One whose name is no
// number is taken for a new one.
func supported(release wire.Text) bool {
	parts := strings.SplitN(string(release), ".", 3)
	major, err := strconv.Atoi(parts[0])
	if err != nil || major > 1 || len(parts) < 2 {
		return err != nil || major > 1
	}
	minor, err := strconv.Atoi(strings.TrimRight(parts[1], "-abcdefghijklmnopqrstuvwxyz"))
	return err != nil || major == 1 && minor >= 2
}

// perTH is how many of the machine's own unit of hash rate one TH/s is: GH/s, and MH/s on Scrypt models.
// The fields average_hashrate and instant_hashrate are in another unit and are not read.
func (i info) perTH() float64 {
	switch strings.ToUpper(string(i.HRMeasure)) {
	case "MH/S":
		return 1e6
	case "TH/S":
		return 1
	}
	return 1e3
}

type minerStatus struct {
	State       state       `json:"miner_state"`
	Throttled   wire.Number `json:"throttled"` // percent; 1.3
	Description wire.Text   `json:"description"`
	FailureCode wire.Number `json:"failure_code"`
	// RestartRequired: settings were saved that a restart of mining brings into force. Only in "status".
	RestartRequired wire.Flag `json:"restart_required"`
}

type summary struct {
	Miner struct {
		Status   minerStatus `json:"miner_status"`
		Realtime wire.Number `json:"hr_realtime"`
		Stock    wire.Number `json:"hr_stock"`
		Watts    wire.Number `json:"power_consumption"`
		// Usage is an efficiency by the vendor's word, and watts by a recorded reply.
		Usage wire.Number `json:"power_usage"`
		Chip  span        `json:"chip_temp"`
		PSU   struct {
			Metering wire.Flag `json:"psu_power_metering"`
		} `json:"psu"`
		Chains wire.List[struct {
			ID     wire.Number `json:"id"`
			Chip   span        `json:"chip_temp"`
			Status struct {
				State       wire.Text `json:"state"`
				Description wire.Text `json:"description"`
			} `json:"status"`
		}] `json:"chains"`
	} `json:"miner"`
}

// span is a lowest and a highest temperature.
type span struct {
	Max wire.Number `json:"max"`
}

// watts are what the machine says it draws. A number that is too high for an efficiency is watts under either name.
func (s summary) watts() wire.Number {
	if m := s.Miner; !m.Watts.Set && m.Usage.Value > awakeWatts {
		return m.Usage
	}
	return s.Miner.Watts
}

// hottest is the hottest chip; nil where none is told.
func (s summary) hottest() *float64 {
	most := s.Miner.Chip.Max
	for _, chain := range s.Miner.Chains {
		if !s.Miner.Chip.Max.Set && chain.Chip.Max.Value > most.Value {
			most = chain.Chip.Max
		}
	}
	if !most.Set || most.Value <= 0 {
		return nil
	}
	return &most.Value
}

// switcher is what lets the firmware change presets by itself.
type switcher struct {
	Enabled wire.Flag `json:"enabled"`
	Top     wire.Text `json:"top_preset"`
}

type perfSummary struct {
	Current struct {
		Name wire.Text `json:"name"`
	} `json:"current_preset"`
	Switcher switcher `json:"preset_switcher"`
}

// settings also hold credentials of mining pools, which are left where they are.
type settings struct {
	Miner struct {
		Misc struct {
			RemainStopped wire.Flag `json:"remain_stopped_on_reboot"`
		} `json:"misc"`
		Overclock json.RawMessage `json:"overclock"`
	} `json:"miner"`
}

// overclock is the part of the settings that is written back, field by field as it was.
type overclock struct {
	fields   map[string]json.RawMessage
	preset   wire.Text
	modded   bool
	switcher switcher
}

func (s settings) overclock() overclock {
	var view struct {
		Preset   wire.Text `json:"preset"`
		Modded   wire.Flag `json:"modded_psu"`
		Switcher switcher  `json:"preset_switcher"`
	}
	o := overclock{}
	if json.Unmarshal(s.Miner.Overclock, &o.fields) != nil {
		return overclock{}
	}
	_ = wire.Decode(s.Miner.Overclock, &view)
	o.preset, o.modded, o.switcher = view.Preset, view.Modded.Value, view.Switcher
	return o
}

// manual is the preset of a machine whose clocks a person set; it stands for no watts.
const manual = "disabled"

// tuned is the status of a preset that the machine can change to at once. Any other begins hours of
// tuning, or changes nothing, with the same reply.
const tuned = "tuned"

type preset struct {
	Name   wire.Text       `json:"name"` // its watts
	Pretty wire.Text       `json:"pretty"`
	Status wire.Text       `json:"status"`
	Modded wire.Flag       `json:"modded_psu_required"`
	Tune   json.RawMessage `json:"tune_settings"`
}

// maxPresets bounds how many presets of one machine are kept.
const maxPresets = 128

// presetList takes the list itself, and an object that holds it.
type presetList wire.List[preset]

// UnmarshalJSON never fails.
func (l *presetList) UnmarshalJSON(data []byte) error {
	var object struct {
		Presets wire.List[preset] `json:"presets"`
	}
	if len(data) > 0 && data[0] == '{' {
		_ = wire.Decode(data, &object)
		*l = presetList(object.Presets)
	} else {
		var list wire.List[preset]
		_ = list.UnmarshalJSON(data)
		*l = presetList(list)
	}
	*l = (*l)[:min(len(*l), maxPresets)]
	return nil
}

// wattsOf is the watts a preset is named by; nil for "disabled" and for every other word.
func wattsOf(name wire.Text) *int64 {
	watts, err := strconv.ParseInt(strings.TrimSpace(string(name)), 10, 64)
	if err != nil || watts <= 0 || watts > wire.MaxWatts {
		return nil
	}
	return &watts
}

// offered are the presets that can be commanded, ascending by watts.
func (l presetList) offered(modded bool) []miner.Mode {
	var modes []miner.Mode
	for _, p := range l {
		watts := wattsOf(p.Name)
		if watts == nil || p.Status != tuned || p.Modded.Value && !modded {
			continue
		}
		modes = append(modes, miner.Mode{Name: string(p.Name), Watts: *watts, THs: p.ths()})
	}
	slices.SortFunc(modes, func(a, b miner.Mode) int {
		return cmp.Or(cmp.Compare(a.Watts, b.Watts), strings.Compare(a.Name, b.Name))
	})
	return slices.CompactFunc(modes, func(a, b miner.Mode) bool { return a.Watts == b.Watts })
}

// ths takes 188 from "2800 watt ~ 188 TH"; 0 where it says none.
func (p preset) ths() float64 {
	_, rate, _ := strings.Cut(string(p.Pretty), "~")
	fields := strings.Fields(rate)
	if len(fields) != 2 || !strings.EqualFold(fields[1], "TH") {
		return 0
	}
	ths, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || !(ths > 0 && ths < 1e6) {
		return 0
	}
	return ths
}

// highest is the most watts that any of the presets is named by, nil where none is.
func (l presetList) highest() *int64 {
	var most *int64
	for _, p := range l {
		most = larger(most, wattsOf(p.Name))
	}
	return most
}

// larger is the larger of two, where nil is less than everything.
func larger(a, b *int64) *int64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// state is miner_state.
type state string

const (
	mining       state = "mining"
	initializing state = "initializing"
	starting     state = "starting"
	autoTuning   state = "auto-tuning"
	restarting   state = "restarting"
	shuttingDown state = "shutting-down"
	stopped      state = "stopped"
	paused       state = "paused" // in no vendor's list; one driver knows it
	failure      state = "failure"
)

// UnmarshalJSON takes a word in any case, with "_" for "-".
func (s *state) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	*s = state(strings.ReplaceAll(strings.ToLower(string(text)), "_", "-"))
	return nil
}

// asleep says that the machine says it does not mine because it was told so.
func (s state) asleep() bool { return s == stopped || s == paused }

// awake says that it mines, or is on its way there.
func (s state) awake() bool {
	return slices.Contains([]state{mining, initializing, starting, autoTuning, restarting}, s)
}

// uptime reads "1:55", "23 min" and "9 days,  3:58" (hours and minutes); nil where it is neither.
func uptime(text wire.Text) *time.Duration {
	before, rest, dated := strings.Cut(string(text), "day")
	if !dated {
		before, rest = "0", before
	}
	days, ok := between(strings.TrimSpace(before), 10_000)
	rest = strings.Trim(strings.TrimPrefix(rest, "s"), ", ")
	if dated && rest == "" {
		rest = "0:00"
	}
	if minutes, few := strings.CutSuffix(rest, "min"); few { // of the first hour
		rest = "0:" + strings.TrimSpace(minutes)
	}
	first, second, _ := strings.Cut(rest, ":")
	hours, ok1 := between(first, 24)
	minutes, ok2 := between(second, 59)
	if !ok || !ok1 || !ok2 {
		return nil
	}
	d := time.Duration(days*24+hours)*time.Hour + time.Duration(minutes)*time.Minute
	return &d
}

// between reads a whole number of 0 to most.
func between(text string, most int) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= most
}
