package miner

import "strings"

// Nameplate is the rated draw and hash rate of a model.
type Nameplate struct {
	Watts int64
	THs   float64
}

// nameplates by folded model name. Figures are vendor sheets as collected by third parties; tolerance is
// about 5 % on watts, which the reader adds.
var nameplates = map[string]Nameplate{
	"s19jpro":  {3068, 104},
	"s19xp":    {3010, 140},
	"s19xphyd": {5304, 255},
	"s19kpro":  {2760, 120},
	"s21":      {3500, 200},
	"s21+":     {3564, 216},
	"s21pro":   {3510, 234},
	"s21xp":    {3645, 270},
	"s23hyd":   {5510, 580},
	"at2880":   {4160, 260},
	"protorig": {11550, 819},
}

// NameplateOf looks a model up by the name its firmware gives. Only an exact model counts: "S21 Pro Hyd"
// is not "S21 Pro". Unknown models have none.
func NameplateOf(model string) (Nameplate, bool) {
	folded := strings.ToLower(model)
	folded = strings.NewReplacer("bitmain", "", "antminer", "", "auradine", "", "teraflux", "", "flux", "", " ", "", ".", "", "-", "", "_", "").Replace(folded)
	plate, ok := nameplates[folded]
	return plate, ok
}
