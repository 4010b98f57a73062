package whatsminer

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// reply is any reply; what the command does not give stays empty.
type reply struct {
	Status      wire.Statuses           `json:"STATUS"`
	Code        wire.Number             `json:"Code"`
	Msg         json.RawMessage         `json:"Msg"`
	Description wire.Text               `json:"Description"`
	Summary     wire.List[summary]      `json:"SUMMARY"`
	Boards      wire.List[board]        `json:"DEVS"`
	Details     wire.List[boardDetails] `json:"DEVDETAILS"`
	Enc         sealedText              `json:"enc"`
}

// sealedText is base64, longer than any wire.Text.
type sealedText string

// UnmarshalJSON never fails.
func (s *sealedText) UnmarshalJSON(data []byte) error {
	var text string
	_ = json.Unmarshal(data, &text)
	*s = sealedText(text)
	return nil
}

func (r reply) code() int64 {
	code, whole := r.Code.Int()
	if !whole {
		code, _ = r.Status.First().Code.Int()
	}
	return code
}

// message is Msg where it is text: it may be an object as well.
func (r reply) message() string {
	var text wire.Text
	_ = text.UnmarshalJSON(r.Msg)
	if text == "" {
		text = r.Status.First().Message
	}
	return string(text)
}

// isWhatsMiner: older machines name themselves in every reply, newer ones in none.
func (r reply) isWhatsMiner() bool {
	return strings.HasPrefix(strings.ToLower(string(r.Description)), "whatsminer")
}

type version struct {
	API      wire.Text `json:"api_ver"`
	Firmware wire.Text `json:"fw_ver"`
	Model    wire.Text `json:"miner_type"`
}

type minerInfo struct {
	MAC    wire.Text `json:"mac"`
	Serial wire.Text `json:"minersn"`
}

// powerState is the answer to status. The first field is API v1's, the second API v2's.
type powerState struct {
	OldOff   wire.Flag   `json:"btmineroff"`
	Off      wire.Flag   `json:"mineroff"`
	Reason   wire.Text   `json:"mineroff_reason"`
	Mode     wire.Text   `json:"power_mode"`
	LimitSet wire.Number `json:"power_limit_set"`
	Firmware wire.Text   `json:"FirmwareVersion"`
	OldName  wire.Text   `json:"Firmware Version"`
}

func (s powerState) off() wire.Flag {
	if s.Off.Set {
		return s.Off
	}
	return s.OldOff
}

type summary struct {
	Elapsed    wire.Number `json:"Elapsed"`
	Uptime     wire.Number `json:"Uptime"`
	HSRT       wire.Number `json:"HS RT"`       // MH/s
	MHS5s      wire.Number `json:"MHS 5s"`      // MH/s
	MHS1m      wire.Number `json:"MHS 1m"`      // MH/s
	Power      wire.Number `json:"Power"`       // W
	PowerRate  wire.Number `json:"Power Rate"`  // J/TH
	PowerLimit wire.Number `json:"Power Limit"` // W
	FactoryGHs wire.Number `json:"Factory GHS"`
	Mode       wire.Text   `json:"Power Mode"`
	ChipMax    wire.Number `json:"Chip Temp Max"`
	BoardTemp  wire.Number `json:"Temperature"`
	Upfreq     wire.Flag   `json:"Upfreq Complete"`
	MAC        wire.Text   `json:"MAC"`
	Firmware   wire.Text   `json:"Firmware Version"`
	Chip       wire.Text   `json:"Chip Data"`
	PSUFan     wire.Number `json:"Power Fanspeed"`
	FanSet     wire.Number `json:"fan_speed_set"`
}

// isWhatsMiner says that it has what only btminer writes, or the cgminer that was its name before.
func (s summary) isWhatsMiner() bool {
	return s.Chip != "" || s.PSUFan.Set || s.FanSet.Set || s.FactoryGHs.Set
}

// board is one entry of edevs.
type board struct {
	Upfreq wire.Flag `json:"Upfreq Complete"`
}

type boardDetails struct {
	Model wire.Text `json:"Model"`
}

type psu struct {
	Watts wire.Number `json:"pin"`
}

// summaryOf finds the summary: a list under SUMMARY, or, on firmware of 2026, the message itself.
func (r reply) summaryOf() summary {
	if len(r.Summary) > 0 {
		return r.Summary.First()
	}
	var s summary
	_ = json.Unmarshal(r.Msg, &s)
	return s
}

// upfreq says whether all boards have found their frequency; unset where none says.
func (r reply) upfreq() wire.Flag {
	all := wire.Flag{Value: true}
	for _, b := range r.Boards {
		all.Set = all.Set || b.Upfreq.Set
		all.Value = all.Value && (!b.Upfreq.Set || b.Upfreq.Value)
	}
	all.Value = all.Value && all.Set
	return all
}

const (
	// maxFaults bounds how many faults are kept of one machine.
	maxFaults = 32
	// longestFault bounds one of them, in bytes.
	longestFault = 120
)

// faultCode is a code as a key: {"329": "2024-06-15 10:30:00"}. The manual itself prints a list of such pairs
// without braces, so what carries them is not always JSON.
var faultCode = regexp.MustCompile(`"(\d{1,8})"\s*:`)

// faultsOf finds the codes in whatever a machine gives as its list of errors.
func faultsOf(list []byte) []string {
	var faults []string
	seen := map[string]bool{}
	for _, match := range faultCode.FindAllSubmatch(list, 2*maxFaults) {
		code := string(match[1])
		if !seen[code] && len(faults) < maxFaults {
			faults = append(faults, "error "+code)
		}
		seen[code] = true
	}
	return faults
}

// errorCodes is the message of get_error_code, taken out of a reply that may not be JSON.
func errorCodes(data []byte) []string {
	_, list, found := bytes.Cut(data, []byte(`"error_code"`))
	if !found {
		return nil
	}
	if end := bytes.IndexByte(list, ']'); end >= 0 {
		list = list[:end]
	}
	return faultsOf(list)
}

// mended makes JSON of what API v1 sends: control characters anywhere, and commas before a closing bracket.
// JSON it leaves alone.
func mended(data []byte) []byte {
	if json.Valid(data) {
		return data
	}
	out := make([]byte, 0, len(data))
	inString, escaped := false, false
	for _, c := range data {
		if c < ' ' {
			c = ' '
		}
		switch {
		case inString:
			inString = c != '"' || escaped
			escaped = c == '\\' && !escaped
		case c == '"':
			inString = true
		case c == '}' || c == ']':
			out = bytes.TrimRight(out, " ,")
		}
		out = append(out, c)
	}
	return out
}
