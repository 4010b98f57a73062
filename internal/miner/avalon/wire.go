package avalon

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// reply is any reply; what the command does not give stays empty.
type reply struct {
	Status  wire.Statuses                         `json:"STATUS"`
	Version wire.List[version]                    `json:"VERSION"`
	Summary wire.List[summary]                    `json:"SUMMARY"`
	Stats   wire.List[map[string]json.RawMessage] `json:"STATS"`
}

type version struct {
	Product  wire.Text `json:"PROD"`
	Model    wire.Text `json:"MODEL"`
	Hardware wire.Text `json:"HWTYPE"`
	Software wire.Text `json:"SWTYPE"`
	Version  wire.Text `json:"VERSION"`
	// Loader is where home machines have their version.
	Loader wire.Text `json:"LVERSION"`
	DNA    wire.Text `json:"DNA"`
	MAC    wire.Text `json:"MAC"`
	Type   wire.Text `json:"Type"` // of other makes
}

// named says that the machine has a name, which is no Avalon's unless it says so.
func (v version) named() bool { return v.Product != "" || v.Type != "" }

// isAvalon: the product's name says so, or the names of its control board and software, which are "MM" and a
// number on every Avalon.
func (v version) isAvalon() bool {
	return strings.Contains(strings.ToLower(string(v.Product)), "avalon") ||
		v.DNA != "" && (strings.HasPrefix(string(v.Software), "MM") || strings.HasPrefix(string(v.Hardware), "MM"))
}

// summary has hash rates over a time, in MH/s; which times there are differs.
type summary struct {
	MHS5s   wire.Number `json:"MHS 5s"`
	MHS30s  wire.Number `json:"MHS 30s"`
	MHS1m   wire.Number `json:"MHS 1m"`
	Elapsed wire.Number `json:"Elapsed"`
}

// ths is the hash rate over the shortest time. The average over all its life says nothing of now.
func (s summary) ths() *float64 {
	for _, rate := range []wire.Number{s.MHS5s, s.MHS30s, s.MHS1m} {
		if ths := rate.Scaled(1e-6); ths != nil {
			return ths
		}
	}
	return nil
}

// module is one "MM ID" of stats: what stands in brackets, by the name before it.
type module map[string]string

// modules are those of a reply to stats. Newer firmware says "MM ID0:Summary" and has braces around it.
func (r reply) modules() []module {
	var found []module
	for _, entry := range r.Stats {
		var names []string
		for name := range entry {
			if strings.HasPrefix(name, "MM ID") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			var text string
			if json.Unmarshal(entry[name], &text) != nil {
				continue
			}
			if m := parseModule(text); len(m) > 0 {
				found = append(found, m)
			}
		}
	}
	return found
}

// maxFields bounds how much of a module is kept; a machine of three boards has some 80.
const maxFields = 512

// parseModule reads `Temp[31] PS[0 1209 1187] …`. The first of two fields of one name counts.
func parseModule(text string) module {
	m := module{}
	for len(m) < maxFields {
		before, rest, opened := strings.Cut(text, "[")
		value, after, closed := strings.Cut(rest, "]")
		if !opened || !closed {
			break
		}
		name := before[strings.LastIndexFunc(before, notOfName)+1:]
		if _, twice := m[name]; !twice && name != "" {
			m[name] = value
		}
		text = after
	}
	return m
}

func notOfName(r rune) bool {
	return !(r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
}

func (m module) has(names ...string) bool {
	for _, name := range names {
		if _, there := m[name]; !there {
			return false
		}
	}
	return true
}

// text of a field, fit for a log line.
func (m module) text(name string) string { return wire.Clean(m[name]) }

// number of a field that holds one.
func (m module) number(name string) wire.Number {
	all := m.numbers(name)
	if len(all) == 0 {
		return wire.Number{}
	}
	return all[0]
}

// maxNumbers bounds how many numbers of one field are read; PS has 7.
const maxNumbers = 16

// numbers of a field that holds some. One that is none is unset and keeps its place.
func (m module) numbers(name string) []wire.Number {
	parts := strings.Fields(m[name])
	parts = parts[:min(len(parts), maxNumbers)]
	all := make([]wire.Number, len(parts))
	for i, part := range parts {
		_ = all[i].UnmarshalJSON([]byte(strings.TrimSuffix(part, "%")))
	}
	return all
}

// mac of version, which has no colons.
func mac(text wire.Text) string {
	const digits = 12
	if len(text) != digits {
		return wire.MAC(text)
	}
	var b strings.Builder
	for i := 0; i < digits; i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(string(text[i : i+2]))
	}
	return wire.MAC(wire.Text(b.String()))
}

// serial is the DNA, a number burnt into the control board; boards without one have zeros.
func serial(dna wire.Text) string {
	if strings.Trim(string(dna), "0") == "" {
		return ""
	}
	return wire.Serial(dna)
}

// maxOptions bounds the list of what ascset takes, in bytes.
const maxOptions = 4096

// optionsOf reads the reply to "ascset 0,help", in either form: "… set info: help|voltage|fan-spd|…". In text
// the bars look like ends of sections, so it is read as it came.
func optionsOf(data []byte) map[string]bool {
	_, list, found := bytes.Cut(data, []byte("set info:"))
	if !found {
		return nil
	}
	list = list[:min(len(list), maxOptions)]
	if end := bytes.IndexByte(list, '"'); end >= 0 {
		list = list[:end]
	}
	list, _, _ = bytes.Cut(list, []byte(",Description"))
	options := map[string]bool{}
	for _, word := range bytes.FieldsFunc(list, func(r rune) bool { return r == '|' || r == ' ' || r == ':' || r == ',' }) {
		options[strings.ToLower(string(word))] = true
	}
	if len(options) < 2 { // a machine that has the question in its vocabulary only, or not even that
		return nil
	}
	return options
}
