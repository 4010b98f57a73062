package epic

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of the vendor's API description 1.38.3, with those of 1.5 to 1.30 where they
// differ.

type summary struct {
	Status struct {
		State   state   `json:"Operating State"`
		Command word    `json:"Last Command"`
		Error   problem `json:"Last Error"`
	} `json:"Status"`
	Software wire.Text `json:"Software"`
	Session  struct {
		Uptime wire.Number `json:"Uptime"` // seconds
		// Last is the hash rate of the last minutes, MH/s; the boards say none before 1.9.
		Last struct {
			Hashrate wire.Number `json:"Hashrate"`
		} `json:"LastAverageMHs"`
	} `json:"Session"`
	Boards wire.List[board] `json:"HBs"`
	Supply struct {
		Input wire.Number `json:"Input Power"` // watts
	} `json:"Power Supply Stats"`
	Tune struct {
		Running   wire.Flag  `json:"Running"`
		Algorithm algorithms `json:"Algorithm"`
	} `json:"PerpetualTune"`
	Scheduler struct {
		Enabled wire.Flag `json:"Enable"`
		Idle    presence  `json:"CurrentIdlePeriod"`
	} `json:"Scheduler"`
	Cooldown wire.Number `json:"PreInitCooldown Max Duration"` // seconds
}

// isEPIC says whether a reply is one of this firmware.
func (s summary) isEPIC() bool { return s.Status.State != "" && s.Software != "" }

// board is a hash board that works.
type board struct {
	Hashrate    []wire.Number `json:"Hashrate"` // MH/s, then percent of what it should be
	Temperature wire.Number   `json:"Temperature"`
	Input       wire.Number   `json:"Input Power"` // watts, behind the supply
}

type capabilities struct {
	Model  wire.Text   `json:"Model"`
	Serial wire.Text   `json:"Miner Serial Number"`
	Rated  wire.Number `json:"Default Hashrate"` // TH/s
	Tune   options     `json:"PerpetualTune"`
	Preset wire.List[struct {
		Power wire.Number `json:"power"`
	}] `json:"Tune Presets"`
	Supply struct {
		// Metered says that the supply measures what it takes; otherwise the firmware reckons it.
		Metered wire.Flag `json:"True Power"`
	} `json:"Psu Info"`
	Control struct {
		Serial wire.Text `json:"cpuSerial"`
	} `json:"Control Board Version"`
}

// network is one of two objects, named by how the machine came by its address.
type network struct {
	DHCP, Static struct {
		MAC wire.Text `json:"mac_address"`
	}
}

// mac is the hardware address that either of them names.
func (n network) mac() string {
	if mac := wire.MAC(n.DHCP.MAC); mac != "" {
		return mac
	}
	return wire.MAC(n.Static.MAC)
}

// answer is the reply to a command, and to a question that could not be answered.
type answer struct {
	Result wire.Flag `json:"result"`
	Error  problem   `json:"error"`
}

// option is one algorithm of perpetual tuning that a machine offers.
type option struct {
	Algorithm wire.Text   `json:"algorithm"`
	Min       wire.Number `json:"min"`
	Max       wire.Number `json:"max"`
}

// most bounds how many algorithms of one machine are looked at; there are four.
const most = 16

// options takes a list, and an object of options by the algorithm's name.
type options []option

// UnmarshalJSON never fails.
func (o *options) UnmarshalJSON(data []byte) error {
	*o = nil
	var byName map[string]json.RawMessage
	if json.Unmarshal(data, &byName) != nil {
		var list wire.List[option]
		_ = list.UnmarshalJSON(data)
		*o = options(list[:min(len(list), most)])
		return nil //nolint:nilerr // a list instead
	}
	for _, name := range slices.Sorted(maps.Keys(byName))[:min(len(byName), most)] {
		var one option
		if wire.Decode(byName[name], &one) == nil {
			if one.Algorithm == "" {
				one.Algorithm = wire.Text(wire.Clean(name))
			}
			*o = append(*o, one)
		}
	}
	return nil
}

// watts is the algorithm whose target is watts: "PowerTune", and "Power" before 1.38; the targets of all
// others are TH/s.
func (o options) watts() (option, bool) {
	for _, one := range o {
		least, highest := one.Min.Watts(), one.Max.Watts()
		if named(string(one.Algorithm)) && least != nil && highest != nil && *least > 0 && *least <= *highest {
			return one, true
		}
	}
	return option{}, false
}

// named says whether an algorithm is one that tunes for watts, by its name.
func named(algorithm string) bool { return strings.Contains(strings.ToLower(algorithm), "power") }

// stats is what an algorithm was told and what it makes of that.
type stats struct {
	Target wire.Number `json:"Target"`
	Unit   wire.Text   `json:"Unit"`
	// Throttled and ErrorThrottled are lower targets that the firmware went to by itself.
	Throttled      wire.Number `json:"Throttle Target"`
	ErrorThrottled wire.Number `json:"Error Throttle Target"`
	MinThrottle    wire.Number `json:"Min Throttle Target"`
	ThrottleStep   wire.Number `json:"Throttle Step"`
}

// algorithms is the one that is set, by its name.
type algorithms map[string]stats

// UnmarshalJSON never fails.
func (a *algorithms) UnmarshalJSON(data []byte) error {
	*a = nil
	var byName map[string]json.RawMessage
	if json.Unmarshal(data, &byName) != nil || len(byName) > most {
		return nil //nolint:nilerr // an unreadable field is an unset one
	}
	*a = algorithms{}
	for name, raw := range byName {
		var one stats
		if wire.Decode(raw, &one) == nil {
			(*a)[name] = one
		}
	}
	return nil
}

// watts is the algorithm that is set, where its target is watts. With several nobody knows which one is.
func (a algorithms) watts() (stats, bool) {
	for name, s := range a {
		unit := strings.ToLower(string(s.Unit))
		if len(a) == 1 && (unit == "w" || strings.HasPrefix(unit, "watt") || unit == "" && named(name)) {
			return s, s.Target.Watts() != nil
		}
	}
	return stats{}, false
}

// inForce is the watts it follows: what it was told, or less where it throttles itself.
func (s stats) inForce() *int64 {
	least := s.Target.Watts()
	for _, n := range []wire.Number{s.Throttled, s.ErrorThrottled} {
		if watts := n.Watts(); watts != nil && *watts > 0 && (least == nil || *watts < *least) {
			least = watts
		}
	}
	return least
}

// word is a text in lower case, without spaces.
type word string

// UnmarshalJSON never fails.
func (w *word) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	*w = word(strings.ReplaceAll(strings.ToLower(string(text)), " ", ""))
	return nil
}

// state is the operating state.
type state = word

const (
	mining        state = "mining"
	adjusting     state = "adjustingclockvoltage"
	initializing  state = "initializing"
	loading       state = "loading"
	cooldown      state = "preinitcooldown"
	underTest     state = "testing"
	softRebooting state = "softrebooting"
	rebooting     state = "rebooting"
	stopping      state = "stopping"
	idling        state = "idling"
)

// Commands, as they are sent and as the machine names the last one it was told.
const (
	stop  = "Stop"
	start = "Autostart"
)

// awake says that a machine in this state mines, or is on its way there.
func awake(s state) bool {
	return slices.Contains([]state{mining, adjusting, initializing, loading, cooldown, underTest, softRebooting, rebooting}, s)
}

// problem is an error by its name, as text or as an object {name: details}.
type problem wire.Text

// UnmarshalJSON never fails.
func (p *problem) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	if text == "" && len(data) > 0 && data[0] == '{' {
		text = wire.Text(wire.Clean(strings.NewReplacer(`"`, "", "{", "", "}", "").Replace(string(data))))
	}
	*p = problem(text)
	return nil
}

// presence says whether a field holds anything.
type presence bool

// UnmarshalJSON never fails.
func (p *presence) UnmarshalJSON(data []byte) error {
	*p = len(data) > 0 && (data[0] == '[' || data[0] == '{') && len(data) > len("[]")
	return nil
}
