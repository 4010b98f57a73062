package auradine

import (
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of recorded replies, of releases from 2022 to 2.2.0.

// envelope is any reply of either API; what the command does not give stays empty.
type envelope struct {
	Status  wire.Statuses      `json:"STATUS"`
	Token   wire.List[token]   `json:"Token"`
	Report  wire.List[report]  `json:"IPReport"`
	Mode    wire.List[mode]    `json:"Mode"`
	Supply  wire.List[supply]  `json:"PSU"`
	Version wire.List[version] `json:"VERSION"`
	Summary wire.List[summary] `json:"SUMMARY"`
	Sensors wire.List[sensors] `json:"Temperature"`
	LED     wire.List[led]     `json:"LED"`
	Boards  wire.List[reading] `json:"DEVS"`
}

type token struct {
	Token string `json:"Token"`
}

// report is who the machine is.
type report struct {
	Serial  wire.Text `json:"SerialNo"`
	MAC     wire.Text `json:"mac"`
	Model   wire.Text `json:"model"`
	Version wire.Text `json:"version"`
}

// isAuradine says whether a reply is one of this firmware.
func (r report) isAuradine() bool { return r.Model != "" && (r.MAC != "" || r.Serial != "") }

// version names the mining program.
type version struct {
	GCMiner wire.Text `json:"GCMiner"`
}

// mode is how the machine runs. The message beside it was recorded saying something else.
type mode struct {
	Name  word      `json:"Mode"`
	Sleep wire.Flag `json:"Sleep"`
	Power quantity  `json:"Power"` // what custom tunes for, watts
	Tune  word      `json:"Tune"`  // was seen only where it is set: "power" or "ths"
}

// custom is the mode whose target is a number.
const custom = "custom"

// told is the watts that are set, where they are what the machine tunes for.
func (m mode) told() *int64 {
	if m.Name != custom || m.Tune != "" && m.Tune != "power" {
		return nil
	}
	if watts := m.Power.Watts(); watts != nil && *watts > 0 {
		return watts
	}
	return nil
}

// supply is one power supply.
type supply struct {
	In  quantity `json:"PowerIn"`
	Max quantity `json:"PoutMax"` // the most it can put out
}

type summary struct {
	MHs     wire.Number `json:"MHS 5s"`
	Elapsed wire.Number `json:"Elapsed"` // seconds
	Watts   quantity    `json:"Wattage"` // not in every release
}

type reading struct {
	Celsius wire.Number `json:"Temperature"`
}

// sensors of one board; 0 is the control board.
type sensors struct {
	Boards wire.List[reading] `json:"BoardTemp"`
	Chips  wire.List[reading] `json:"ChipTemp"`
}

// led tells how the machine feels.
type led struct {
	Code    wire.Number `json:"Code"`
	Message wire.Text   `json:"Msg"`
}

// quantity is a number of watts: 58.94, "58.94", "58.94W" or "3.45 kW".
type quantity struct{ wire.Number }

// UnmarshalJSON never fails.
func (q *quantity) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	number, factor := strings.ToLower(strings.TrimSpace(string(text))), 1.0
	if rest, ok := strings.CutSuffix(number, "kw"); ok {
		number, factor = rest, 1e3
	}
	number = strings.TrimSpace(strings.TrimSuffix(number, "w"))
	_ = q.Number.UnmarshalJSON([]byte(`"` + number + `"`))
	q.Value *= factor
	return nil
}

// word is a text in lower case.
type word string

// UnmarshalJSON never fails.
func (w *word) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	*w = word(strings.ToLower(string(text)))
	return nil
}
