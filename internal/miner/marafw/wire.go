package marafw

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of recorded replies, and of what other clients of the firmware take.

type overview struct {
	MAC      wire.Text `json:"mac"`
	Version  wire.Text `json:"version_firmware"`
	Model    wire.Text `json:"model"`
	Extended wire.Text `json:"model_extended"`
}

type brief struct {
	Elapsed       wire.Number `json:"elapsed"`
	Rate          wire.Number `json:"hashrate_realtime"`
	Ideal         wire.Number `json:"hashrate_ideal"` // GH/s
	Stock         wire.Number `json:"hashrate_stock"` // GH/s
	Unit          wire.Text   `json:"hashrate_unit"`
	Watts         wire.Number `json:"power_consumption_estimated"`
	Source        wire.Text   `json:"power_source"` // PSU or EST
	Status        wire.Text   `json:"status"`
	StatusLong    wire.Text   `json:"status_long"`
	Mode          wire.Text   `json:"work_mode"`
	Indicator     wire.Text   `json:"indicator"`
	IndicatorLong wire.Text   `json:"indicator_long"`
	TempMax       wire.Number `json:"temperature_max"`
}

// UnmarshalJSON never fails. Releases that name no hash rate of now name one of ten minutes.
func (b *brief) UnmarshalJSON(data []byte) error {
	type plain brief
	var p plain
	_ = wire.Decode(data, &p)
	*b = brief(p)
	if b.Rate.Set {
		return nil
	}
	var older struct {
		Rate wire.Number `json:"hashrate_realtime_10m"`
		Unit wire.Text   `json:"hashrate_realtime_10m_unit"`
	}
	_ = wire.Decode(data, &older)
	b.Rate, b.Unit = older.Rate, cmp.Or(older.Unit, b.Unit)
	return nil
}

// tells says whether a reply is one at all.
func (b brief) tells() bool { return b.Status != "" || b.Rate.Set }

const gigaPerTera = 1000

// rate is the hash rate in TH/s; nil where the machine gives none, or in a unit nobody knows. Where it names no unit,
// releases differ between GH/s and TH/s, and the ideal rate, which is always in GH/s, tells which it is.
func (b brief) rate() *float64 {
	const apart = gigaPerTera / 2 // in TH/s, it is at most twice the ideal
	unit, _, _ := strings.Cut(strings.ToUpper(string(b.Unit)), "/")
	switch {
	case unit == "TH", unit == "" && b.Ideal.Set && b.Rate.Value < b.Ideal.Value/apart:
		return b.Rate.Scaled(1)
	case unit == "GH", unit == "":
		return b.Rate.Scaled(1. / gigaPerTera)
	case unit == "MH":
		return b.Rate.Scaled(1. / gigaPerTera / gigaPerTera)
	case unit == "PH":
		return b.Rate.Scaled(gigaPerTera)
	}
	return nil
}

// hashes says that the boards work. A rate below a fiftieth of the ideal is what a ramp leaves in an average.
func (b brief) hashes() bool {
	const leastShare = 1. / 50
	rate := b.rate()
	if rate == nil { // in a unit nobody knows
		return b.Rate.Set && b.Rate.Value > 0
	}
	ideal := 0.
	if b.Ideal.Set {
		ideal = b.Ideal.Value / gigaPerTera
	}
	return *rate > 0 && *rate >= ideal*leastShare
}

// powered says that more is drawn than any sleeping machine draws.
func (b brief) powered() bool {
	return b.Watts.Set && b.Watts.Value > awakeWatts
}

// hottest a machine may be said to be, degrees Celsius; more is noise.
const hottest = 150

func (b brief) temperature() *float64 {
	if !b.TempMax.Set || b.TempMax.Value <= 0 || b.TempMax.Value > hottest {
		return nil
	}
	return &b.TempMax.Value
}

// faults are what a person should see.
func (b brief) faults() []string {
	var faults []string
	if b.Indicator != "" && !strings.EqualFold(string(b.Indicator), "fully functional") {
		faults = append(faults, described(b.Indicator, b.IndicatorLong))
	}
	if wordOf(b.Status) == failed || wordOf(b.Status) == idle {
		faults = append(faults, described(b.Status, b.StatusLong))
	}
	return faults
}

func described(short, long wire.Text) string {
	if long == "" || long == short {
		return string(short)
	}
	return string(short) + ": " + string(long)
}

// word is what a status means.
type word int

const (
	unknown word = iota
	mining
	starting
	stopping
	sleeping
	idle
	failed
)

// words are looked for in a status, in this order. Only "Mining" and "Sleep" were seen.
var words = []struct {
	part string
	word word
}{
	{"fail", failed},
	{"error", failed},
	{"fatal", failed},
	{"critical", failed},
	{"stopping", stopping},
	{"shutting", stopping},
	{"sleep", sleeping},
	{"start", starting},
	{"initial", starting},
	{"tuning", starting},
	{"mining", mining},
	{"pause", idle},
	{"curtail", idle},
	{"stopped", idle},
	{"idle", idle},
	{"suspend", idle},
}

func wordOf(status wire.Text) word {
	folded := strings.ToLower(string(status))
	for _, w := range words {
		if strings.Contains(folded, w.part) {
			return w.word
		}
	}
	return unknown
}

// payload takes a reply out of {"data": {...}}, where it is in one.
func payload(body []byte) []byte {
	var wrapped struct {
		Data json.RawMessage `json:"data"`
	}
	if wire.Decode(body, &wrapped) == nil && len(wrapped.Data) > 0 && (wrapped.Data[0] == '{' || wrapped.Data[0] == '[') {
		return wrapped.Data
	}
	return body
}

// change is one line of the history of the configuration.
type change struct {
	Path []wire.Text `json:"path"`
	From wire.Text   `json:"from"`
	To   wire.Text   `json:"to"`
}

// lastAwake is the mode that a history shows last which is no sleep; empty where it shows none.
func lastAwake(body []byte) string {
	var entries []map[string]wire.List[change]
	if wire.Decode(payload(body), &entries) != nil {
		return ""
	}
	last := ""
	for _, entry := range entries {
		for _, key := range slices.Sorted(maps.Keys(entry)) {
			for _, c := range entry[key] {
				if len(c.Path) == 0 || folded(string(c.Path[len(c.Path)-1])) != folded(selectorKey) {
					continue
				}
				for _, text := range []wire.Text{c.From, c.To} {
					if mode := awakeMode(string(text)); mode != "" {
						last = mode
					}
				}
			}
		}
	}
	return last
}

// folded writes "WorkModeSelector" and "work-mode-selector" alike.
func folded(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}

// awakeMode is a mode that is known and no sleep, as the firmware writes it; empty for anything else.
func awakeMode(text string) string {
	for _, mode := range []string{modeAuto, modeFixed, modeStock} {
		if strings.EqualFold(text, mode) {
			return mode
		}
	}
	return ""
}

// version is the reply to "version" of the RPC.
type version struct {
	Rows wire.List[map[string]wire.Text] `json:"VERSION"`
	Text wire.Statuses                   `json:"STATUS"`
}

// names says whether the reply names the firmware.
func (v version) names() bool {
	for _, text := range v.Rows.First() {
		if isOurs(string(text)) {
			return true
		}
	}
	return isOurs(string(v.Text.First().Description))
}

func isOurs(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, "marafw") || strings.Contains(lower, "kaonsu")
}
