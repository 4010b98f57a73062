package braiins

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// object is a JSON object.
type object = map[string]any

// reads are the calls that change nothing, in the shapes recorded from firmware 26.04.
var reads = map[string]func(*call) (any, error){
	"miner/details":             details,
	"miner/stats":               stats,
	"miner/errors":              func(*call) (any, error) { return object{"errors": []any{}}, nil },
	"miner/hw/hashboards":       hashboards,
	"performance/tuner-state":   tunerState,
	"performance/mode":          performanceMode,
	"configuration/constraints": constraints,
	"configuration/miner":       configuration,
	"cooling/state":             cooling,
	"network":                   network,
	"pools":                     pools,
}

func version(*call) (any, error) { return object{"major": 1, "minor": 3, "patch": 0}, nil }

func watt(w float64) object          { return object{"watt": int(math.Round(w))} }
func gigahash(th float64) object     { return object{"gigahash_per_second": th * 1000} }
func celsius(c float64) object       { return object{"degree_c": c} }
func uptime(m *minersim.Machine) int { return int(m.Uptime() / time.Second) }

func details(c *call) (any, error) {
	return object{
		"bos_mode": 4,
		"bos_version": object{
			"bos_plus": true, "current": bosVersion,
			"major": "2022-09-13-0-11012d53-22.08-plus",
		},
		"bosminer_uptime_s": uptime(c.m), "control_board_soc_family": 3,
		"hostname": "Antminer", "kernel_version": "4.9.113", "mac_address": c.d.MAC,
		"miner_identity": object{
			"brand": 1, "miner_model": c.m.Model.Name, "model": 0, "name": c.m.Model.Name,
		},
		"platform": 4,
		"psu_info": object{
			"fw_version": 6920, "max_voltage": object{"volt": 15.0}, "min_voltage": object{"volt": 12.0},
			"model_name": "APW171215a/c", "serial_number": c.d.Serial + "P", "version": 193,
		},
		"serial_number":    c.d.Serial,
		"status":           c.status,
		"sticker_hashrate": gigahash(c.m.Model.TeraHashes),
		"system_uptime":    uptime(c.m), "system_uptime_s": uptime(c.m),
		"uid": fmt.Sprintf("uid%s", c.d.Serial),
	}, nil
}

// windows are the averages firmware keeps; the longest are cut at what the simulator remembers.
var windows = map[string]time.Duration{
	"last_5s": 5 * time.Second, "last_15s": 15 * time.Second, "last_30s": 30 * time.Second,
	"last_1m": time.Minute, "last_5m": 5 * time.Minute, "last_15m": 15 * time.Minute,
	"last_30m": 30 * time.Minute, "last_1h": time.Hour, "last_24h": 24 * time.Hour,
	"since_restart": 24 * time.Hour,
}

// work is what firmware says of the hashing of a machine or, with a share below 1, of a board.
func work(m *minersim.Machine, share float64) object {
	real := object{}
	for name, over := range windows {
		real[name] = gigahash(m.AverageTeraHashes(over) * share)
	}
	return object{
		"best_share": 499065300, "best_share_str": "499065300", "found_blocks": 0,
		"error_hashrate":   object{"megahash_per_second": 0.0},
		"nominal_hashrate": gigahash(m.TeraHashesFor(m.TargetWatts()) * share),
		"real_hashrate":    real,
	}
}

func poolStats(c *call) object {
	return object{
		"accepted_shares": uptime(c.m) / 8, "best_share": 499065300, "best_share_str": "499065300",
		"generated_work": uptime(c.m) * 250000, "last_difficulty": 524288,
		"last_share_time": object{"nanos": c.now.Nanosecond(), "seconds": c.now.Unix()},
		"rejected_shares": 0, "stale_shares": 0,
	}
}

func stats(c *call) (any, error) {
	watts := c.m.ReportedWatts()
	efficiency := 0.0
	if th := c.m.TeraHashes(); th > 0 {
		efficiency = watts / th
	}
	return object{
		"miner_stats": work(c.m, 1),
		"pool_stats":  poolStats(c),
		"power_stats": object{
			"approximated_consumption": watt(watts),
			"efficiency":               object{"joule_per_terahash": efficiency},
		},
	}, nil
}

func hashboards(c *call) (any, error) {
	model := c.m.Model
	warm := warmth(c.m)
	boards := make([]object, model.Boards)
	for i := range boards {
		id := strconv.Itoa(i + 1)
		boards[i] = object{
			"id": id, "enabled": true, "board_name": "SIM" + model.Chip, "model": "SIM" + model.Chip,
			"serial_number": c.d.Serial + "B" + id, "chip_type": model.Chip, "chips_count": model.ChipsPerBoard,
			"board_temp":          celsius(warm),
			"lowest_inlet_temp":   celsius(warm - 13),
			"highest_outlet_temp": celsius(warm),
			"highest_chip_temp":   object{"id": i + 1, "location": 1, "temperature": celsius(warm + 15)},
			"current_frequency": object{
				"hertz": 1e6 * math.Round(float64(model.DefaultMegaHertz)*c.m.TeraHashes()/c.m.NominalTeraHashes),
			},
			"current_voltage": object{"volt": 13.738725},
			"stats":           work(c.m, 1/float64(model.Boards)),
		}
	}
	return object{"hashboards": boards}, nil
}

// warmth is a board temperature that rises with the load; nothing depends on it.
func warmth(m *minersim.Machine) float64 { return 28 + 22*m.Watts()/m.NominalWatts }

func tunerState(c *call) (any, error) {
	consumption := float64(c.target)
	if c.status == statusNormal {
		consumption = c.m.TargetWatts() * (1 + c.m.ReportError)
	}
	return object{
		"mode_state": object{"powertargetmodestate": object{
			"current_target": power{int(math.Round(float64(c.target) * c.m.Drift()))},
			"profile": object{
				"created": nil, "target": power{c.target},
				"estimated_power_consumption": watt(consumption),
				"measured_hashrate":           gigahash(c.m.TeraHashesFor(float64(c.target))),
			},
		}},
		"overall_tuner_state": c.tuner(c.m),
	}, nil
}

func performanceMode(c *call) (any, error) {
	return object{"tunermode": object{"target": object{"powertarget": object{"power_target": power{c.target}}}}}, nil
}

func constraints(c *call) (any, error) {
	return object{
		"tuner_constraints": object{
			"default_mode": 1,
			"enabled":      object{"default": true},
			"power_target": object{
				"min": power{c.min}, "max": power{c.max}, "default": power{c.initial},
			},
			"hashrate_target": nil,
		},
		"cooling_constraints": object{"default_cooling_mode": 1},
		"dps_constraints":     nil,
		"hashboards_constraints": object{
			"hashboard_ids":        ids(c.m.Model.Boards),
			"quick_ramping_time_s": object{"min": 0, "max": 600, "default": defaultUp},
		},
	}, nil
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i + 1)
	}
	return out
}

func configuration(c *call) (any, error) {
	return object{
		"pool_groups": []any{},
		"tuner": object{
			"enabled": true, "hashrate_target": nil, "power_target": power{c.target}, "tuner_mode": 1,
		},
	}, nil
}

func cooling(c *call) (any, error) {
	ratio := 0.2 + 0.75*math.Min(1, c.m.Watts()/c.m.NominalWatts)
	fans := make([]object, 4)
	for i := range fans {
		fans[i] = object{"position": i, "rpm": int(6500 * ratio), "target_speed_ratio": math.Round(ratio*100) / 100}
	}
	return object{
		"fans":                fans,
		"highest_temperature": object{"id": nil, "location": 1, "temperature": celsius(warmth(c.m) + 15)},
	}, nil
}

func network(c *call) (any, error) {
	return object{
		"name": "eth0", "hostname": "Antminer", "mac_address": c.d.MAC, "protocol": 1,
		"default_gateway": "127.0.0.1", "dns_servers": []string{"127.0.0.1"},
		"networks": []object{{"address": c.d.Address.Addr().String(), "netmask": "255.0.0.0"}},
	}, nil
}

func pools(c *call) (any, error) {
	hashing := c.m.TeraHashes() > 0
	return []object{{
		"name": "Default", "uid": "0",
		"strategy": object{"quota": object{"value": 1}},
		"pools": []object{{
			"uid": "pool0", "url": "stratum+tcp://pool.example:3333", "user": "site.worker",
			"enabled": true, "active": hashing, "alive": true, "stats": poolStats(c),
		}},
	}}, nil
}
