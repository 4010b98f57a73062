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
	{"Antminer S9i", 14, 1320, 650, 3, 63, "BM1387", "unverified"},
	{"Antminer T17+", 64, 3200, 600, 3, 44, "BM1397", "unverified"},
	{"Antminer S21 XP", 270, 3645, 640, 3, 91, "BM1370", "TH/s and J/TH read"},
	{"WhatsMiner M60S", 186, 3441, 600, 3, 138, "SM", "unverified"},
	{"WhatsMiner M63S", 390, 7215, 600, 4, 204, "SM", "unverified"},
	{"Auradine AT2880", 260, 4160, 400, 3, 132, "AU", "unverified"},
	{"SealMiner A2", 226, 3729, 355, 3, 153, "Seal02", "TH/s, J/TH secondary"},
	{"Avalon Nano 3S", 6, 140, 475, 1, 12, "A3197S", "secondary"},
	{"Avalon Mini 3", 37.5, 800, 450, 1, 66, "A3197S", "secondary"},
	{"Avalon Q", 90, 1674, 500, 1, 160, "A3197S", "secondary"},
	{"Avalon A1346", 110, 3300, 590, 3, 120, "A3200C", "secondary"},
	{"Avalon A1466", 150, 3230, 500, 3, 176, "A3198", "secondary"},
	{"Avalon A1566", 185, 3420, 330, 3, 160, "A3197S", "secondary"},
	{"Bitaxe Supra", 0.625, 12, 490, 1, 1, "BM1368", "unverified"},
	{"Bitaxe Gamma", 1.07, 18, 525, 1, 1, "BM1370", "unverified"},
	{"Bitaxe GT", 2.14, 38, 525, 1, 2, "BM1370", "unverified"},
	{"Proto Rig", 819, 11550, 700, 9, 120, "BZM", "secondary"},
}

// Models lists every model a fleet may name.
func Models() []Model { return slices.Clone(models) }

// makers may be left out of a model's name.
var makers = strings.NewReplacer(
	"antminer ", "", "whatsminer ", "", "auradine ", "", "sealminer ", "", "avalon ", "", "bitaxe ", "",
)

// FindModel looks a model up by name; "S21" finds "Antminer S21". Case does not matter.
func FindModel(name string) (Model, error) {
	want := makers.Replace(strings.ToLower(name))
	names := make([]string, 0, len(models))
	for _, m := range models {
		if makers.Replace(strings.ToLower(m.Name)) == want {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Model{}, fmt.Errorf("unknown model %q; known: %s", name, strings.Join(names, ", "))
}
