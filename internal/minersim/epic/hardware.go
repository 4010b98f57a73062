package epic

import (
	"math"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// presetShares are the clocks of the presets one S19 XP listed, against its default.
var presetShares = []float64{0.56, 0.69, 0.84, 1, 1.08, 1.19}

const (
	psuLeast, psuMost = 11877, 15182 // mV, of that machine's supply
	presetVolts       = 12300        // mV, of the lowest preset
	presetVoltStep    = 240          // mV from one to the next
)

func round50(x float64) int { return 50 * int(math.Round(x/50)) }

// name is the model as the firmware spells it: AntMiner S19 XP.
func (c *call) name() string { return strings.Replace(c.model.Name, "Antminer", "AntMiner", 1) }

// capabilities are of the model, and do not change: clocks in MHz, hashrates in TH/s, voltages in
// mV.
func capabilities(c *call) any {
	chips := float64(c.model.Boards * c.model.ChipsPerBoard)
	all := object{
		"Model": c.name(), "Model Subtype": "SIM" + c.model.Chip, "Chip Type": c.model.Chip, "Chips Per Bank": 10,
		"Board Serial Numbers": c.boardSerials(), "Coins": []string{"BTC"},
		"Control Board Version": object{
			"carrierBoardVersion": "4.1.0", "cpuHardware": "STM32 (Device Tree Support)", "cpuSerial": c.d.Serial, "somBoardVersion": "7.1.0",
		},
		"Default Clock": c.model.DefaultMegaHertz, "Default Hashrate": int(math.Round(c.model.TeraHashes)), "Default Voltage": defaultVolts,
		"Display": []string{"ClksAndVoltage", "ShutdownTemp", "PerpetualTune"}, "Max Clock Configs": 1, "Max HBs": c.model.Boards,
		"Performance Estimator": object{
			"Chip Count":                 c.model.ChipsPerBoard,
			"Hashes Per Second Per Chip": math.Round(c.model.TeraHashes * 1e6 / chips / float64(c.model.DefaultMegaHertz)),
		},
		"PerpetualTune": c.options(), "Tune Presets": c.presets(), "Psu Info": c.supplyInfo(),
		"Temp Sensor Info":  object{"Count": 2, "Type": "Board"},
		"Voltage Estimator": object{"Slope": 0.0041, "Y Intercept": 11.0},
	}
	if c.version == newest {
		all["Miner Serial Number"], all["UninstallSupported"] = c.d.Serial, true
	}
	return all
}

func (c *call) supplyInfo() object {
	psu := object{"FW": 25, "Max Vout": psuMost, "Min Vout": psuLeast, "PSU Type": 118}
	if c.version != oldest {
		psu["True Power"] = c.psu
	}
	return psu
}

func (c *call) boardSerials() []string {
	list := make([]string, len(c.disabled))
	for i := range list {
		list[i] = c.d.Serial + "B" + string(rune('0'+i))
	}
	return list
}

// options are the algorithms there are, with the range of their targets.
func (c *call) options() []object {
	list := make([]object, len(c.tuning.algorithms))
	for i, a := range c.tuning.algorithms {
		list[i] = object{
			"algorithm": a.name, "name": a.title, "min": a.least, "max": a.most,
			"description": "Holds a target in " + a.unit() + ".",
		}
	}
	return list
}

func (c *call) presets() []object {
	list := make([]object, len(presetShares))
	for i, share := range presetShares {
		list[i] = object{
			"clk": int(math.Round(share * float64(c.model.DefaultMegaHertz))), "hashrate": math.Round(share * c.model.TeraHashes),
			"power": round50(c.model.Watts * minersim.WattShare(share)), "voltage": presetVolts + i*presetVoltStep,
		}
	}
	return list
}

// perChip lists one value for each chip of the enabled boards.
func (c *call) perChip(value, total any) []object {
	return c.boards(func(index int) object {
		data := make([]any, c.model.ChipsPerBoard)
		for i := range data {
			data[i] = value
		}
		return object{"Data": data, "Index": index, "Total": total}
	})
}

func hashrate(c *call) any {
	board := c.megaPerBoard(5 * time.Second)
	return c.perChip(
		[]float64{tenth(board / float64(c.model.ChipsPerBoard)), c.percent(), 0}, []float64{board, c.percent(), 0},
	)
}

func clocks(c *call) any { return c.perChip(c.clock(), c.clock()) }

func voltages(c *call) any {
	return c.boards(func(index int) object {
		return object{"Data": []float64{float64(c.manual.millivolts)}, "Index": index, "Total": 0.0}
	})
}

// temps is two sensors for each board, the coolant's way in and out; boards that are off have them
// too.
func temps(c *call) any {
	list := make([]object, len(c.disabled))
	for i := range list {
		list[i] = object{"Data": []float64{c.warmth() - 10, c.warmth()}, "Index": i, "Total": 0.0}
	}
	return list
}

// chipTemps are zeros on boards without such sensors, as recorded.
func chipTemps(c *call) any { return c.perChip(0.0, 0.0) }
