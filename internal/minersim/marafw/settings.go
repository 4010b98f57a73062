package marafw

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Work modes, as the settings spell them.
const (
	auto  = "Auto"
	fixed = "Fixed"
	stock = "Stock"
	sleep = "Sleep"
)

// What mode Auto steers by.
const (
	byPower = "PowerTarget"
	byHash  = "Hashrate"
)

// mode is the part of the settings that moves watts.
type mode struct {
	Selector string   `json:"work-mode-selector"`
	Concorde concorde `json:"concorde"`
	Fixed    clocks   `json:"fixed"`
}

// concorde is the tuner of mode Auto.
type concorde struct {
	Select string  `json:"mode-select"`
	Power  float64 `json:"power-target"` // W
	Hash   float64 `json:"hash-target"`  // TH/s
}

// clocks are those of mode Fixed.
type clocks struct {
	Frequency flexible `json:"frequency"` // MHz
	Voltage   flexible `json:"voltage"`   // V
}

// flexible is a number that clients send as text too; it is shown as text.
type flexible float64

// UnmarshalJSON takes 600 and "600".
func (f *flexible) UnmarshalJSON(data []byte) error {
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	v, err := n.Float64()
	*f = flexible(v)
	return err
}

// MarshalJSON writes "600".
func (f flexible) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%g"`, float64(f)), nil }

// Bounds of what may be asked for, as shares of the nameplate and of the default clock (assumed).
const (
	leastWatts, mostWatts = 0.3, 1.3
	leastClock, mostClock = 0.3, 1.3
)

func defaultMode(model minersim.Model) mode {
	return mode{
		auto, concorde{byPower, model.Watts, model.TeraHashes}, clocks{flexible(model.DefaultMegaHertz), 14},
	}
}

// check tells what no machine could be set to; empty where nothing is.
func (m mode) check(model minersim.Model) string {
	within := func(v, least, most float64) bool { return v >= least && v <= most }
	switch {
	case !slices.Contains([]string{auto, fixed, stock, sleep}, m.Selector):
		return "unknown work-mode-selector"
	case m.Concorde.Select != byPower && m.Concorde.Select != byHash:
		return "unknown mode-select"
	case !within(m.Concorde.Power, leastWatts*model.Watts, mostWatts*model.Watts):
		return "power-target out of range"
	case !within(m.Concorde.Hash, leastClock*model.TeraHashes, mostClock*model.TeraHashes):
		return "hash-target out of range"
	case !within(float64(m.Fixed.Frequency), leastClock*float64(model.DefaultMegaHertz), mostClock*float64(model.DefaultMegaHertz)):
		return "frequency out of range"
	case !within(float64(m.Fixed.Voltage), 0, 20):
		return "voltage out of range"
	}
	return ""
}

// watts that a mode settles at on this machine.
func (st *state) watts(m mode) float64 {
	switch {
	case m.Selector == sleep:
		return 0
	case m.Selector == stock:
		return st.nominal
	case m.Selector == fixed:
		return st.nominal * minersim.WattShare(float64(m.Fixed.Frequency)/float64(st.model.DefaultMegaHertz))
	case m.Concorde.Select == byHash:
		return st.nominal * minersim.WattShare(m.Concorde.Hash/st.nominalHash)
	default:
		return m.Concorde.Power
	}
}

// change is one entry of the log of settings.
type change struct {
	Type string   `json:"type"`
	Path []string `json:"path"`
	From any      `json:"from"`
	To   any      `json:"to"`
}

// written is what was changed at one moment.
type written struct {
	at      time.Time
	changes []change
}

// maxHistory bounds the log (assumed).
const maxHistory = 50

// note writes down what differs, under the names the firmware itself has for them.
func (st *state) note(now time.Time, was, is mode) {
	var changes []change
	differ := func(from, to any, path ...string) {
		if from != to {
			changes = append(changes, change{"update", append([]string{"Mode"}, path...), from, to})
		}
	}
	differ(was.Selector, is.Selector, "WorkModeSelector")
	differ(was.Concorde.Select, is.Concorde.Select, "Concorde", "ModeSelect")
	differ(was.Concorde.Power, is.Concorde.Power, "Concorde", "PowerTarget")
	differ(was.Concorde.Hash, is.Concorde.Hash, "Concorde", "HashTarget")
	differ(was.Fixed, is.Fixed, "Fixed")
	if changes == nil {
		return
	}
	if len(st.history) >= maxHistory {
		st.history = slices.Delete(st.history, 0, 1)
	}
	st.history = append(st.history, written{now, changes})
}
