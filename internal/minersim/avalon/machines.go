package avalon

import (
	"slices"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// spec is what the firmware of one model is like.
type spec struct {
	model string
	// home machines have the newer commands; rack machines those of the A10 manual.
	home bool
	// product, id, hardware, software and build are what the version command says.
	product, id, hardware, software, build string
	// modes are shares of the nominal watts, by the number of the work mode.
	modes []float64
	// start is the mode a machine comes with.
	start int
	// lowest work level; the highest is 0.
	lowest int
	// wall tells that the watts at the wall have a field of their own.
	wall bool
	// summary tells that statistics hang under "MM ID0:Summary", with the boards beside them.
	summary bool
	// residual is what it draws asleep, watts.
	residual float64
	fans     int
	// options are those that ascset knows and that change nothing here.
	options []string
}

// normalHash is the hashrate of a rack machine's normal mode, as a share of its high performance
// mode: 31 and 37 TH/s in the vendor's manual.
const normalHash = 31.0 / 37

// ecoLevel is what the lower work level of a Mini 3 draws of the higher one (assumed).
const ecoLevel = 0.85

var (
	rackOptions = []string{"fan-spd", "ip", "dns", "restore", "password", "frequency", "voltage", "facopts", "faclock", "upgrade"}
	homeOptions = []string{
		"voltage", "fan-spd", "lcd", "hash-sn-read", "hash-sn-write", "volt-tuning", "filter-clean", "facopts", "faclock",
		"activate", "solo-allowed", "frequency", "loop", "password", "qr_auth", "time",
	}
)

// specs of the models that are known. Watts of the Q's modes are the vendor's, those of the lower
// modes of Nano 3S and Mini 3 are assumed.
func specs() []spec {
	normal := minersim.WattShare(normalHash)
	return []spec{
		{
			model: "Avalon A1346", product: "AvalonMiner 1346-110", id: "1346-110", hardware: "MM4v1_X3", software: "MM317",
			build: "24041001_08b0955_0196aba", modes: []float64{normal, 1}, start: 1, residual: 11, fans: 2, options: rackOptions,
		},
		{
			model: "Avalon A1466", product: "AvalonMiner 1466-150", id: "1466-150", hardware: "MM4v2_X3", software: "MM319",
			build: "24102401_25462b2_9ddf522", modes: []float64{normal, 1, normal}, start: 1, wall: true, residual: 12, fans: 2,
			options: rackOptions,
		},
		{
			model: "Avalon A1566", product: "AvalonMiner 1566-185", id: "1566-185", hardware: "MM4v2_X3", software: "MM319",
			build: "24102401_25462b2_9ddf522", modes: []float64{normal, 1}, start: 1, wall: true, residual: 12, fans: 2,
			options: rackOptions,
		},
		{
			model: "Avalon Q", home: true, product: "Avalon Q", id: "Q", hardware: "Q_MM1v1_X1", software: "MM319",
			build: "25052801_14a19a2", modes: []float64{800.0 / 1674, 1300.0 / 1674, 1}, start: 2, summary: true, residual: 17,
			fans: 4, options: homeOptions,
		},
		{
			model: "Avalon Mini 3", home: true, product: "Avalon Mini3", id: "Mini3", hardware: "Mini3_MM1v1_X1", software: "MM319",
			build: "25021401_56abae7", modes: []float64{1, 1, 0.5}, start: 1, lowest: -1, residual: 12, fans: 1,
			options: append([]string{"smart-speed", "target-temp", "nightlamp"}, homeOptions...),
		},
		{
			model: "Avalon Nano 3S", home: true, product: "Avalon Nano3s", id: "Nano3s", hardware: "N_MM1v1_X1", software: "MM319",
			build: "25021401_56abae7", modes: []float64{0.5, 0.75, 1}, start: 2, residual: 4, fans: 1,
			options: append([]string{"ledmode", "ledset", "nightlamp", "wallpaper"}, homeOptions...),
		},
	}
}

// specOf finds a model's; any other machine is taken for one of the newest rack machines.
func specOf(model string) *spec {
	all := specs()
	if i := slices.IndexFunc(all, func(s spec) bool { return s.model == model }); i >= 0 {
		return &all[i]
	}
	other := all[slices.IndexFunc(all, func(s spec) bool { return s.model == "Avalon A1566" })]
	other.id = strings.ReplaceAll(model, " ", "-")
	other.product = "AvalonMiner " + other.id
	return &other
}

// share of the nominal watts in a mode at a level.
func (s *spec) share(mode, level int) float64 {
	if level < 0 {
		return s.modes[mode] * ecoLevel
	}
	return s.modes[mode]
}
