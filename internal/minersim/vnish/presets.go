package vnish

import (
	"fmt"
	"math"
	"strconv"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// ladder is the list of presets one S19 on 1.2.6 gave, in watts.
var ladder = []float64{
	1100, 1300, 1500, 1700, 1900, 2100, 2350, 2620, 2950, 3200, 3350, 3750, 4000, 4260, 4690,
}

const (
	// ladderNominal is the rung a machine runs at by default: nearest to that S19's nameplate.
	ladderNominal = 3200
	// manual is the index of the preset "disabled", which the list begins with: clocks by hand.
	manual = 0
	// defaultPreset, firstUntuned and firstModded divide the list (assumed): the lowest preset
	// and those above the default were never tuned, the highest needs a modded supply.
	lowestPreset  = 1
	defaultPreset = 10
	firstModded   = 15
)

// preset is one operating point, named after its watts.
type preset struct {
	name, pretty string
	watts        int // by its name; 0 for manual
	modded       bool
}

// presetsOf scales the ladder to a model's nameplate, in steps of 10 W (assumed: the vendor's
// lists are drawn up by model).
func presetsOf(model minersim.Model) []preset {
	list := []preset{{name: "disabled", pretty: "Disabled"}}
	for i, rung := range ladder {
		watts := 10 * math.Round(rung/ladderNominal*model.Watts/10)
		p := preset{name: strconv.Itoa(int(watts)), watts: int(watts), modded: i+1 >= firstModded}
		p.pretty = fmt.Sprintf("%d watt ~ %.0f TH", p.watts, model.TeraHashes*minersim.HashShare(watts/model.Watts))
		list = append(list, p)
	}
	return list
}

// wereTuned is the set of presets that were tuned before the simulation began, a bit for each.
func wereTuned() (tuned uint32) {
	for i := lowestPreset + 1; i <= defaultPreset; i++ {
		tuned |= 1 << i
	}
	return tuned
}
