package vnish

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	hostname = "antminer"
	// hrMeasure is the unit of every hashrate without a unit in its name, but the deprecated two.
	hrMeasure = "GH/s"
)

// code is a model as the firmware spells it: s21, s19jpro (that of other models is assumed).
func (c *call) code() string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(c.m.Model.Name, "Antminer "), " ", ""))
}

// serial is unknown to 1.2, as recorded.
func (c *call) serial() string {
	if c.newer {
		return c.d.Serial
	}
	return "N/A"
}

func info(c *call) (any, error) {
	host := ""
	if c.allowed {
		host = hostname
	}
	return object{
		"miner": c.m.Model.Name, "model": c.code(), "fw_name": "Vnish", "fw_version": c.version,
		"build_name": "vnishnet", "build_uuid": "00000000-0000-4000-8000-000000000000", "build_time": "2025-05-29 19:22:26+00:00",
		"platform": "aml", "install_type": "nand", "algorithm": "sha256d", "hr_measure": hrMeasure, "serial": c.serial(),
		"system": object{
			"os": "GNU/Linux", "miner_name": c.code(), "file_system_version": "", "uptime": uptime(c.m.Uptime()),
			"mem_total": 233712, "mem_free": 173956, "mem_free_percent": 74, "mem_buf": 31928, "mem_buf_percent": 13,
			"network_status": object{
				"mac": strings.ToUpper(c.d.MAC), "dhcp": true, "ip": c.d.Address.Addr().String(), "netmask": "255.0.0.0",
				"gateway": "127.0.0.1", "dns": []string{"127.0.0.1"}, "hostname": host,
			},
		},
	}, nil
}

// uptime is "0:06" or "10 days, 18:00".
func uptime(d time.Duration) string {
	clock := fmt.Sprintf("%d:%02d", int(d.Hours())%24, int(d.Minutes())%60)
	if days := int(d.Hours()) / 24; days > 0 {
		return fmt.Sprintf("%d days, %s", days, clock)
	}
	return clock
}

func model(c *call) (any, error) {
	overclock := object{
		"min_freq": minClock, "max_freq": maxClock, "default_freq": c.clock, "warn_freq": maxClock * 17 / 20,
		"min_voltage": minVolt, "max_voltage": maxVolt, "default_voltage": defaultVolt, "max_voltage_stock_psu": 1500,
	}
	if c.newer {
		overclock["max_power_limit"] = c.presets[len(c.presets)-1].watts
	}
	series := "x19"
	if strings.Contains(c.m.Model.Name, "S21") {
		series = "x21"
	}
	return object{
		"full_name": c.m.Model.Name, "model": c.code(), "algorithm": "sha256d", "series": series, "platform": "aml",
		"install_type": "nand", "hr_measure": hrMeasure, "serial": c.serial(), "overclock": overclock,
		"chain": object{"chips_per_chain": c.m.Model.ChipsPerBoard, "chips_per_domain": 2, "num_chains": c.m.Model.Boards},
		"cooling": object{
			"min_fan_pwm": 10, "min_target_temp": 20, "max_target_temp": 90,
			"fan_min_count": object{"min": 1, "max": 4, "default": 4},
		},
	}, nil
}

// minerStatus is the state, and on 1.3 the throttle: the percent that is left.
func (c *call) minerStatus() object {
	name, since := c.minerState(c.m.Now())
	s := object{"miner_state": name, "miner_state_time": int(since / time.Second)}
	if c.newer {
		s["throttled"] = c.throttle
	}
	return s
}

func status(c *call) (any, error) {
	s := c.minerStatus()
	delete(s, "throttled")
	s["find_miner"], s["unlocked"] = c.locating, c.allowed
	s["restart_required"], s["reboot_required"] = c.restartRequired, false
	return s, nil
}

func (c *call) presetObject(index int, tuned bool) object {
	p := c.presets[index]
	s := "untuned"
	if tuned {
		s = "tuned"
	}
	return object{"name": p.name, "pretty": p.pretty, "status": s, "modded_psu_required": p.modded}
}

// inForce is the preset that runs. A machine that has lowered its own target is between two: it names the upper one.
func (c *call) inForce() int {
	i := c.effective()
	least := float64(c.presets[i].watts) * c.m.Drift()
	for i > lowestPreset && float64(c.presets[i-1].watts) >= least {
		i--
	}
	return i
}

// perfSummary is the preset that runs, which need not be the settings'.
func perfSummary(c *call) (any, error) {
	i := c.inForce()
	current := c.presetObject(i, c.wasTuned(i) && c.tuner == 0)
	current["globals"] = object{"freq": c.settings.freq, "volt": c.settings.volt}
	return object{"current_preset": current, "preset_switcher": c.switcherObject()}, nil
}

// listPresets begins with "disabled", whose chips are zeroed. Voltages are ten times those of
// globals here.
func listPresets(c *call) (any, error) {
	list := make([]object, len(c.presets))
	for i := range list {
		list[i] = c.presetObject(i, c.wasTuned(i))
	}
	chains := make([]object, c.m.Model.Boards)
	for i := range chains {
		chains[i] = object{"freq": 0, "chips": make([]int, c.m.Model.ChipsPerBoard)}
	}
	list[manual]["tune_settings"] = object{
		"hashrate": 0, "volt": 10 * c.settings.volt, "freq": c.settings.freq, "chains": chains, "modified": true,
	}
	return list, nil
}

// giga is an average hashrate in GH/s.
func (c *call) giga(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over)*1e5) / 100
}

func (c *call) nominalGiga() float64 {
	return math.Round(1e5*c.m.TeraHashesFor(c.watts(c.inForce())*float64(c.throttle)/100)) / 100
}

// warmth is a board temperature that rises with the load; nothing depends on it.
func (c *call) warmth() int { return int(28 + 22*c.m.Watts()/c.m.NominalWatts) }

func between(top int) object { return object{"min": top - 8, "max": top} }

// summary has hashrates in GH/s under hr_, in TH/s under the two deprecated names, and the
// watts a second time under a deprecated name: so it was recorded of 1.2.7, though the schema calls it an efficiency.
func summary(c *call) (any, error) {
	watts := c.m.ReportedWatts()
	efficiency := 0.0
	if th := c.m.TeraHashes(); th > 0 {
		efficiency = math.Round(100*watts/th) / 100
	}
	realtime, average := c.giga(5*time.Second), c.giga(30*time.Minute)
	miner := object{
		"miner_status": c.minerStatus(), "miner_type": c.typeName(),
		"hr_stock": c.m.Model.TeraHashes * 1000, "hr_realtime": realtime, "hr_nominal": c.nominalGiga(), "hr_average": average,
		"instant_hashrate": realtime / 1000, "average_hashrate": average / 1000,
		"pcb_temp": between(c.warmth()), "chip_temp": between(c.warmth() + 15),
		"power_consumption": int(math.Round(watts)), "power_efficiency": efficiency, "power_usage": int(math.Round(watts)),
		"hw_errors": 0, "hw_errors_percent": 0.0, "hr_error": 0.0, "devfee": 0.0, "devfee_percent": 2.0,
		"pools": c.pools(), "cooling": c.cooling(), "chains": c.boards(watts), "found_blocks": 0, "best_share": 499065300,
		"psu": object{"psu_power_metering": c.psu},
	}
	return object{"miner": miner}, nil
}

func (c *call) pools() []object {
	pool := func(id int, url, kind, state string) object {
		return object{
			"id": id, "url": url, "pool_type": kind, "user": "site.worker", "status": state, "asic_boost": true,
			"diff": "131K", "accepted": int(c.m.Uptime()/time.Second) / 8, "rejected": 0, "stale": 0,
			"ls_diff": 0.0, "ls_time": "0", "diffa": 0.0, "ping": 20,
		}
	}
	state := "working"
	if c.m.TeraHashes() > 0 {
		state = "active"
	}
	return []object{pool(0, "pool.example:3333", "UserPool", state), pool(1, "DevFee", "DevFee", "working")}
}

func (c *call) cooling() object {
	duty := int(20 + 75*math.Min(1, c.m.Watts()/c.m.NominalWatts))
	fans := make([]object, 4)
	for i := range fans {
		fans[i] = object{"id": i, "rpm": 60 * duty, "status": "ok", "max_rpm": 6000}
	}
	return object{
		"fan_num": len(fans), "fans": fans, "fan_duty": duty, "settings": object{"mode": object{"name": "auto"}},
	}
}

// chainState is that of every chain.
func (c *call) chainState() string {
	switch s, _ := c.minerState(c.m.Now()); s {
	case mining, autoTuning:
		return mining
	case stopped, shuttingDown:
		return stopped
	default:
		return initializing
	}
}

// boards are the chains as the summary has them; they share the watts of the machine.
func (c *call) boards(watts float64) []object {
	n := float64(c.m.Model.Boards)
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		list[i] = object{
			"id": i + 1, "frequency": c.megaHertz(), "voltage": 10 * c.settings.volt, "power_consumption": int(watts / n),
			"hashrate_ideal": c.nominalGiga() / n, "hashrate_rt": c.giga(5*time.Second) / n, "hashrate_percentage": 100.0,
			"hr_error": 0.0, "hw_errors": 0, "pcb_temp": between(c.warmth()), "chip_temp": between(c.warmth() + 15),
			"chip_statuses": object{"red": 0, "orange": 0, "grey": c.m.Model.ChipsPerBoard},
			"status":        object{"state": c.chainState()},
		}
	}
	return list
}

func (c *call) megaHertz() float64 {
	return math.Round(float64(c.clock) * c.m.TeraHashes() / c.m.NominalTeraHashes)
}

// chains is the list of boards: "chains" on 1.2, "boards" on 1.3, whose shape is assumed to be
// the same. Chips are left out.
func chains(c *call) (any, error) {
	list := make([]object, c.m.Model.Boards)
	n := float64(len(list))
	for i := range list {
		list[i] = object{
			"id": i + 1, "freq": c.megaHertz(), "hr_nominal": c.nominalGiga() / n, "hr_realtime": c.giga(5*time.Second) / n,
			"status": object{"state": c.chainState()}, "chips": []object{}, "sensors": []object{},
		}
	}
	return list, nil
}

func factoryInfo(c *call) (any, error) {
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		list[i] = object{
			"id": i + 1, "serial": fmt.Sprintf("%sB%d", c.d.Serial, i+1), "board_model": "SIM" + c.m.Model.Chip, "chip_bin": 1,
			"freq": c.clock, "volt": defaultVolt, "hashrate": c.m.Model.TeraHashes * 1000 / float64(len(list)),
		}
	}
	return object{
		"hr_stock": c.m.Model.TeraHashes * 1000, "has_pics": false, "psu_model": "APW171215a",
		"psu_serial": c.d.Serial + "P", "chains": list,
	}, nil
}

var _ minersim.Versioned = (*Front)(nil)
