package protorig

import (
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of the maker's OpenAPI page (MDK-API 1.8.2), and of what the maker's own
// simulator answers where it differs from that page.

type session struct {
	Token token `json:"access_token"`
}

// token is a JWT, far longer than any name.
type token string

// UnmarshalJSON never fails: what is no text is no token.
func (t *token) UnmarshalJSON(data []byte) error {
	*t = ""
	if text := string(data); len(text) > 2 && text[0] == '"' && !strings.Contains(text, `\`) {
		*t = token(strings.Trim(text, `"`))
	}
	return nil
}

// system is open to all.
type system struct {
	Info struct {
		Product      wire.Text `json:"product_name"`
		Manufacturer wire.Text `json:"manufacturer"`
		Model        wire.Text `json:"model"`
		Serial       wire.Text `json:"cb_sn"`
		OS           struct {
			Version wire.Text `json:"version"`
		} `json:"os"`
	} `json:"system-info"`
}

// isProto says whether a reply is one of a Proto Rig at all. Other makers may build on the same kit: they
// name themselves, and what their machines do is not known.
func (s system) isProto() bool {
	maker, product := strings.ToLower(string(s.Info.Manufacturer)), strings.ToLower(string(s.Info.Product))
	return maker == "proto" || maker == "" && strings.HasPrefix(product, "proto")
}

// model is the name a person knows the machine by.
func (s system) model() string {
	if s.Info.Manufacturer != "" && s.Info.Model != "" {
		return string(s.Info.Manufacturer + " " + s.Info.Model)
	}
	return string(s.Info.Product)
}

// pairing is open to all.
type pairing struct {
	MAC    wire.Text `json:"mac"`
	Serial wire.Text `json:"cb_sn"`
}

type mining struct {
	Now struct {
		Status     word        `json:"status"`
		State      word        `json:"state"` // as older releases call it
		UptimeS    wire.Number `json:"reboot_uptime_s"`
		GHs        wire.Number `json:"hashrate_ghs"`
		AverageGHs wire.Number `json:"average_hashrate_ghs"` // since it began to mine
		Watts      wire.Number `json:"power_usage_watts"`
		Target     wire.Number `json:"power_target_watts"`
		BoardC     wire.Number `json:"average_hb_temp_c"`
	} `json:"mining-status"`
}

func (m mining) word() word {
	if m.Now.Status != "" {
		return m.Now.Status
	}
	return m.Now.State
}

// target is what the machine is told, and with it its range.
type target struct {
	Watts    wire.Number `json:"power_target_watts"`
	Min      wire.Number `json:"power_target_min_watts"`
	Max      wire.Number `json:"power_target_max_watts"`
	Default  wire.Number `json:"default_power_target_watts"`
	Mode     wire.Text   `json:"performance_mode"`
	Balance  wire.Flag   `json:"balance_bays"`
	Poolless wire.Flag   `json:"hash_on_disconnect"`
}

// bounds are the least and the most watts it can be told; ok is false where it does not say both.
func (t target) bounds() (least, most int64, ok bool) {
	low, high := t.Min.Watts(), t.Max.Watts()
	if low == nil || high == nil || *low <= 0 || *low > *high {
		return 0, 0, false
	}
	return *low, *high, true
}

type telemetry struct {
	Miner struct {
		Hashrate    metric `json:"hashrate"`
		Temperature metric `json:"temperature"`
		Power       metric `json:"power"`
	} `json:"miner"`
	Boards wire.List[struct {
		Temperature struct {
			Average wire.Number `json:"average"`
		} `json:"temperature"`
	}] `json:"hashboards"`
	Supplies wire.List[struct {
		Power struct {
			Unit  wire.Text   `json:"unit"`
			Input wire.Number `json:"input"`
		} `json:"power"`
	}] `json:"psus"`
}

// metric is a number with its unit.
type metric struct {
	Value wire.Number `json:"value"`
	Unit  wire.Text   `json:"unit"`
}

// in scales a metric by its unit; a unit that nobody knows leaves it unset. Without one it is the unit of the
// maker's page.
func (m metric) in(units map[wire.Text]float64) wire.Number {
	factor, known := units[m.Unit]
	if !m.Value.Set || !known {
		return wire.Number{}
	}
	return wire.Number{Value: m.Value.Value * factor, Set: true}
}

var (
	terahashes = map[wire.Text]float64{"": 1, "TH/s": 1, "GH/s": 1e-3, "MH/s": 1e-6, "PH/s": 1e3}
	powers     = map[wire.Text]float64{"": 1, "W": 1, "kW": 1e3, "mW": 1e-3}
)

// input is what the supplies take together; unset where one of them does not say.
func (t telemetry) input() wire.Number {
	var sum wire.Number
	for _, s := range t.Supplies {
		one := metric{s.Power.Input, s.Power.Unit}.in(powers)
		if !one.Set || one.Value < 0 {
			return wire.Number{}
		}
		sum = wire.Number{Value: sum.Value + one.Value, Set: true}
	}
	return sum
}

// temperature is the hottest board's, else what the machine calls its own.
func (t telemetry) temperature() wire.Number {
	var hottest wire.Number
	for _, b := range t.Boards {
		if n := b.Temperature.Average; n.Set && n.Value > max(hottest.Value, 0) {
			hottest = n
		}
	}
	if hottest.Set {
		return hottest
	}
	return t.Miner.Temperature.Value
}

// curtailment is what the machine's own service for that intends.
type curtailment struct {
	Restore wire.Flag `json:"restore_pending"`
}

type problem struct {
	Code    wire.Text `json:"error_code"`
	Message wire.Text `json:"message"`
}

// problems is a list, or an object that holds one.
type problems wire.List[problem]

// UnmarshalJSON never fails.
func (p *problems) UnmarshalJSON(data []byte) error {
	var held struct {
		Errors wire.List[problem] `json:"errors"`
	}
	if len(data) > 0 && data[0] == '{' {
		_ = wire.Decode(data, &held)
	} else {
		_ = held.Errors.UnmarshalJSON(data)
	}
	*p = problems(held.Errors)
	return nil
}

// maxFaults bounds what one reading carries.
const maxFaults = 8

func (p problems) faults() []string {
	var faults []string
	for _, e := range p {
		text := string(e.Message)
		if text == "" {
			text = string(e.Code)
		}
		if text != "" && len(faults) < maxFaults {
			faults = append(faults, text)
		}
	}
	return faults
}

// failure is an error by its code, as {"code","message"} or as text.
type failure string

// UnmarshalJSON never fails.
func (f *failure) UnmarshalJSON(data []byte) error {
	var parts struct {
		Code    wire.Text `json:"code"`
		Message wire.Text `json:"message"`
	}
	var text wire.Text
	if _ = text.UnmarshalJSON(data); text == "" && len(data) > 0 && data[0] == '{' {
		_ = wire.Decode(data, &parts)
		text = wire.Text(strings.TrimSpace(string(parts.Code + " " + parts.Message)))
	}
	*f = failure(text)
	return nil
}

// word is a text in lower case, without spaces and the like: "PoweringOn" is "powering_on" too.
type word string

// UnmarshalJSON never fails.
func (w *word) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	*w = word(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(string(text))))
	return nil
}

// What the machine calls what it does.
const (
	uninitialized word = "uninitialized"
	poweringOn    word = "poweringon"
	running       word = "mining"
	degraded      word = "degradedmining"
	poweringOff   word = "poweringoff"
	stopped       word = "stopped"
	curtailed     word = "curtailed"
	noPools       word = "nopools"
	failing       word = "error"
)

// awake says that a machine mines, is on its way there, or only waits for a pool.
func (w word) awake() bool {
	return w == running || w == degraded || w == poweringOn || w == noPools
}
