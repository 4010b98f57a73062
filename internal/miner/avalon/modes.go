package avalon

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// knownMode is a work mode and what its boards get.
type knownMode struct {
	number int64
	name   string
	watts  int64 // what the boards get, the machine's MPO
	ths    float64
}

// knownModes by model. No machine lists its modes: it says the watts of the one it is in. These are of the
// Avalon Q, by those who drive it.
var knownModes = map[string][]knownMode{
	"q": {{0, "eco", 800, 52.5}, {1, "standard", 1300, 80}, {2, "super", 1600, 90}},
}

func (d *Driver) known() []knownMode { return knownModes[strings.ToLower(string(d.who.Model))] }

// modes of the model, ascending, with the watts the machine itself gave where those are more.
func (d *Driver) modes() []miner.Mode {
	var all []miner.Mode
	for _, k := range d.known() {
		boards := max(d.targets[k.number], k.watts)
		all = append(all, miner.Mode{Name: k.name, Watts: d.atWall(boards), THs: k.ths})
	}
	slices.SortStableFunc(all, func(a, b miner.Mode) int { return cmp.Compare(a.Watts, b.Watts) })
	return all
}

// modeName is how a mode is called: by its name, else by its number.
func (d *Driver) modeName(number *int64) string {
	if number == nil {
		return ""
	}
	for _, k := range d.known() {
		if k.number == *number {
			return k.name
		}
	}
	return strconv.FormatInt(*number, 10)
}

// number of a mode that is known by name.
func (d *Driver) number(name string) (int64, bool) {
	for _, k := range d.known() {
		if k.name == name {
			return k.number, true
		}
	}
	return 0, false
}

// ratedTHs takes the hash rate from the model of a big machine: "1346-110", "15-194", "1166Pro-S-68".
func ratedTHs(model string) float64 {
	series, rated, found := strings.Cut(model, "-")
	rated = rated[strings.LastIndexByte(rated, '-')+1:]
	ths, err := strconv.Atoi(rated)
	const least, most = 10, 1000 // others are no hash rate of one machine, but a variant or a release
	if !found || err != nil || ths < least || ths > most || series == "" || series[0] < '0' || series[0] > '9' {
		return 0
	}
	return float64(ths)
}
