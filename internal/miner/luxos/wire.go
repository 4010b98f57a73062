package luxos

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// codeBusy is the status code of a request that another session keeps out.
const codeBusy = 402

// isLuxOS: every reply names its maker in the description.
func (r reply) isLuxOS() bool {
	return strings.HasPrefix(strings.ToLower(string(r.Status.First().Description)), "luxminer")
}

// reply is any reply; what the command does not give stays empty.
type reply struct {
	Status   wire.Statuses         `json:"STATUS"`
	Version  wire.List[version]    `json:"VERSION"`
	Config   wire.List[config]     `json:"CONFIG"`
	Summary  wire.List[summary]    `json:"SUMMARY"`
	Power    wire.List[power]      `json:"POWER"`
	Profiles wire.List[profile]    `json:"PROFILES"`
	Profile  wire.List[profileSet] `json:"PROFILE"`
	Session  wire.List[session]    `json:"SESSION"`
	ATM      wire.List[atmSetting] `json:"ATM"`
	Temps    wire.List[boardTemps] `json:"TEMPS"`
}

type version struct {
	LUXminer wire.Text `json:"LUXminer"`
	Miner    wire.Text `json:"Miner"`
	Type     wire.Text `json:"Type"`
}

type config struct {
	CurtailMode  wire.Text   `json:"CurtailMode"`
	Profile      wire.Text   `json:"Profile"`
	SystemStatus wire.Text   `json:"SystemStatus"`
	Model        wire.Text   `json:"Model"`
	MAC          wire.Text   `json:"MACAddr"`
	Serial       wire.Text   `json:"SerialNumber"`
	NameplateTHS wire.Number `json:"NameplateTHS"`
	ATM          wire.Flag   `json:"IsAtmEnabled"`
	// The next three are of 2026 models with power targeting; their meaning is taken from their names.
	PowerTarget  wire.Flag   `json:"IsPowerTargetEnabled"`
	ActualTarget wire.Number `json:"ActualPowerTarget"`
	IdealTarget  wire.Number `json:"IdealPowerTarget"`
}

func (c config) asleep() bool {
	return strings.Contains(strings.ToLower(string(c.CurtailMode)), "sleep")
}

type summary struct {
	GHs5s   wire.Number `json:"GHS 5s"`
	Elapsed wire.Number `json:"Elapsed"`
}

type power struct {
	PSU   wire.Flag   `json:"PSU"`
	Watts wire.Number `json:"Watts"`
}

type profile struct {
	Name     wire.Text   `json:"Profile Name"`
	Hashrate wire.Number `json:"Hashrate"` // TH/s
	Watts    wire.Number `json:"Watts"`
	Step     wire.Number `json:"Step"`
}

type session struct {
	ID wire.Text `json:"SessionID"`
}

// profileSet is the answer to profileset: what was set.
type profileSet struct {
	Profile wire.Text `json:"Profile"`
}

// atmSetting is what bounds automatic tuning. MaxProfile is a name or a relative step; the watts are there
// on models with power targeting only.
type atmSetting struct {
	MaxProfile  wire.Text   `json:"MaxProfile"`
	MaxStep     wire.Number `json:"MaxProfileStep"`
	PowerLimit  wire.Number `json:"PowerLimit"`
	PowerTarget wire.Number `json:"PowerTarget"`
}

type boardTemps struct {
	TopLeft     wire.Number
	TopRight    wire.Number
	BottomLeft  wire.Number
	BottomRight wire.Number
}

// look is what one reading is made of.
type look struct {
	config  config
	summary summary
	power   power
}

// joined reads a reply to "summary+power+config": one section per command, each a list of one full reply.
// Some RPCs of this family merge the bodies into one reply instead; both are accepted. ok is false where
// the reply has no configuration, which is how a machine looks that does not join commands.
func joined(data []byte) (l look, ok bool, err error) {
	var sections map[string]json.RawMessage
	if err := wire.Decode(data, &sections); err != nil {
		return look{}, false, err
	}
	if _, merged := sections["CONFIG"]; merged {
		var r reply
		err := wire.Decode(data, &r)
		return look{r.Config.First(), r.Summary.First(), r.Power.First()}, len(r.Config) > 0, err
	}
	c, s, p := section(sections, "config"), section(sections, "summary"), section(sections, "power")
	return look{c.Config.First(), s.Summary.First(), p.Power.First()}, len(c.Config) > 0, nil
}

// section is one command's reply; one that the machine refused is empty.
func section(sections map[string]json.RawMessage, command string) reply {
	var parts wire.List[reply]
	_ = parts.UnmarshalJSON(sections[command])
	return parts.First()
}

// maxProfiles bounds how many profiles are kept; 25 are built in.
const maxProfiles = 256

// modes are the profiles that can be commanded by name, ascending by watts.
func modes(profiles []profile) []miner.Mode {
	var found []miner.Mode
	seen := map[wire.Text]bool{}
	for _, p := range profiles {
		watts := p.Watts.Watts()
		if watts == nil || *watts == 0 || !commandable(string(p.Name)) || seen[p.Name] {
			continue
		}
		seen[p.Name] = true
		mode := miner.Mode{Name: string(p.Name), Watts: *watts}
		if ths := p.Hashrate.Scaled(1); ths != nil {
			mode.THs = *ths
		}
		found = append(found, mode)
	}
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].Watts != found[j].Watts {
			return found[i].Watts < found[j].Watts
		}
		return found[i].Name < found[j].Name
	})
	return found
}

// commandable says whether profileset takes the name as a name. A bare number from 0 to 3 is read as a
// board, a signed one as a relative step, and the suffixes THs, kW and W as "choose by"; a comma would
// begin the next parameter.
func commandable(name string) bool {
	if name == "" || strings.ContainsAny(name, ",=\"\\") || name[0] == '+' || name[0] == '-' {
		return false
	}
	if _, err := strconv.ParseFloat(name, 64); err == nil {
		return false
	}
	for _, suffix := range []string{"ths", "kw", "w"} {
		rest, cut := strings.CutSuffix(strings.ToLower(name), suffix)
		if _, err := strconv.ParseFloat(strings.TrimSpace(rest), 64); cut && err == nil {
			return false
		}
	}
	return true
}

// wattsOf is the draw of a profile by name, nil where unknown.
func wattsOf(profiles []profile, name wire.Text) *int64 {
	for _, p := range profiles {
		if p.Name == name && name != "" {
			return p.Watts.Watts()
		}
	}
	return nil
}

// highest is the draw of the hungriest profile.
func highest(profiles []profile) *int64 {
	var most *int64
	for _, p := range profiles {
		most = larger(most, p.Watts.Watts())
	}
	return most
}

// larger of two that may be unknown.
func larger(a, b *int64) *int64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}
