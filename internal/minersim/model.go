package minersim

import (
	"fmt"
	"slices"
	"strings"
)

// Model is the nameplate of one kind of miner.
type Model struct {
	// Name as firmware reports it.
	Name string
	// TeraHashes is the nameplate hashrate in TH/s.
	TeraHashes float64
	// Watts is the nameplate draw at the wall.
	Watts float64
	// DefaultMegaHertz is the chip clock of the default profile, in MHz.
	DefaultMegaHertz int
	// Boards, ChipsPerBoard and Chip describe the hashboards firmware lists.
	Boards, ChipsPerBoard int
	Chip                  string
	// Provenance says where TH/s and W come from: read in a source, secondary or unverified.
	Provenance string
}

// JoulesPerTera is the nameplate efficiency in J/TH.
func (m Model) JoulesPerTera() float64 { return m.Watts / m.TeraHashes }

// Clocks of the S19j Pro (545 MHz), S19k Pro (590 MHz) and S21 Pro (632 MHz) were read in
// recorded replies; the other clocks are assumed and shape nothing but profile names.
var models = []Model{
	{"Antminer S19j Pro", 104, 3068, 545, 3, 126, "BM1362", "unverified"},
	{"Antminer S19 XP", 140, 3010, 600, 3, 110, "BM1366", "read"},
	{"Antminer S19 XP Hyd", 255, 5304, 600, 4, 204, "BM1366", "read"},
	{"Antminer S19k Pro", 120, 2760, 590, 3, 77, "BM1366", "unverified"},
	{"Antminer S21", 200, 3500, 585, 3, 108, "BM1368", "J/TH read, W computed"},
	{"Antminer S21+", 216, 3564, 600, 3, 55, "BM1370", "W unverified"},
	{"Antminer S21 Pro", 234, 3510, 630, 3, 65, "BM1370", "unverified"},
	{"Antminer S21 XP", 270, 3645, 640, 3, 91, "BM1370", "TH/s and J/TH read"},
}

// Models lists every model a fleet may name.
func Models() []Model { return slices.Clone(models) }

// FindModel looks a model up by name; "S21" finds "Antminer S21". Case does not matter.
func FindModel(name string) (Model, error) {
	want := strings.ToLower(strings.TrimPrefix(name, "Antminer "))
	names := make([]string, 0, len(models))
	for _, m := range models {
		if strings.ToLower(strings.TrimPrefix(m.Name, "Antminer ")) == want {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Model{}, fmt.Errorf("unknown model %q; known: %s", name, strings.Join(names, ", "))
}
