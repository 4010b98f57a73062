package proto

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// release is what every part of the software says of itself.
const release = "1.8.2"

func part(name string) object { return object{"name": name, "version": release} }

func (c *call) hostname() string {
	return "proto-miner-" + strings.ReplaceAll(c.d.MAC, ":", "")[8:]
}

func system(c *call) (any, error) {
	return object{"system-info": object{
		"product_name": "Proto Rig", "manufacturer": "Proto", "model": "Rig", "board": "C3", "cb_sn": c.serial, "soc": "STM32MP157F",
		"uptime_seconds":   c.seconds(),
		"os":               object{"name": "ProtoOS", "version": release, "variant": "release", "git_hash": "0000000", "hostname": c.hostname()},
		"sw_update_status": object{"status": "current", "current_version": release},
		"mining_driver_sw": part("mcdd"), "web_server": part("miner-api-server"), "web_dashboard": part("miner-web"),
		"pool_interface_sw": part("stratum-client"), "hashboard_firmware": part("hashboard-fw"),
	}}, nil
}

func (c *call) seconds() int { return int(c.m.Uptime() / time.Second) }

func systemStatus(c *call) (any, error) {
	return object{"onboarded": true, "password_set": c.password != "", "default_password_active": false}, nil
}

func network(c *call) (any, error) {
	address := c.d.Address.Addr().String()
	return object{"network-info": object{
		"hostname": c.hostname(), "dhcp": true, "netmask": "255.255.255.0", "gateway": "127.0.0.1",
		// Clients of two generations read one name or the other.
		"mac": c.d.MAC, "mac_address": c.d.MAC, "ip": address, "ip_address": address,
	}}, nil
}

func (c *call) boardSerial(i int) string { return fmt.Sprintf("HB-%s-%d", c.serial, i) }

func (c *call) boards() []object {
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		list[i] = object{
			"slot": i + 1, "port": i, "hb_sn": c.boardSerial(i), "chip_id": c.m.Model.Chip, "mining_asic": c.m.Model.Chip,
			"mining_asic_count": c.m.Model.ChipsPerBoard, "board": "B4",
		}
	}
	return list
}

// supplyCount and fanCount are the Rig's.
const supplyCount, fanCount = 3, 4

func hardware(c *call) (any, error) {
	psus, fans := make([]object, supplyCount), make([]object, fanCount)
	for i := range psus {
		psus[i] = object{"slot": i + 1, "psu_sn": fmt.Sprintf("PSU-%s-%d", c.serial, i), "manufacturer": "Proto", "model": "PSU"}
	}
	for i := range fans {
		fans[i] = object{"slot": i + 1, "name": fmt.Sprintf("Fan %d", i+1), "min_rpm": 1000, "max_rpm": 6000}
	}
	return object{"hardware-info": object{
		"cb-info":         object{"machine_name": "Rig", "board_id": "C3", "serial_number": c.serial},
		"hashboards-info": c.boards(), "psus-info": psus, "fans-info": fans,
	}}, nil
}

func hashboards(c *call) (any, error) { return object{"hashboards-info": c.boards()}, nil }

func logs(*call) (any, error) {
	return object{"logs": object{"content": []string{}, "lines": 0, "source": "miner_sw"}}, nil
}

// tenth rounds as the interface does.
func tenth(v float64) float64 { return math.Round(10*v) / 10 }

// warmth rises with the load; nothing depends on it.
func (c *call) warmth() float64 { return tenth(25 + 35*c.m.Watts()/c.m.NominalWatts) }

// perTera is the efficiency in J/TH; 0 where nothing is hashed.
func (c *call) perTera() float64 {
	if c.m.TeraHashes() == 0 {
		return 0
	}
	return tenth(c.m.ReportedWatts() / c.m.TeraHashes())
}

// working boards: all or none.
func (c *call) working() int {
	if c.m.TeraHashes() == 0 {
		return 0
	}
	return c.m.Model.Boards
}

// mining is the summary.
func mining(c *call) (any, error) {
	now := c.m.Now()
	since := 0
	if !c.stopped && now >= c.turned {
		since = int(min(now-c.turned, c.m.Uptime()) / time.Second)
	}
	return object{"mining-status": object{
		"status": c.status(now), "reboot_uptime_s": c.seconds(), "mining_uptime_s": since,
		"hashrate_ghs": tenth(1e3 * c.m.TeraHashes()), "average_hashrate_ghs": tenth(1e3 * c.m.AverageTeraHashes(30*time.Minute)),
		"ideal_hashrate_ghs": tenth(1e3 * c.m.TeraHashesFor(float64(c.followed()))),
		"power_usage_watts":  tenth(c.m.ReportedWatts()), "power_target_watts": c.followed(), "power_efficiency_jth": c.perTera(),
		"average_hb_temp_c": c.warmth(), "average_asic_temp_c": c.warmth() + 5, "average_hb_efficiency_jth": c.perTera(),
		"hw_errors": 0, "hashboards_installed": c.m.Model.Boards, "hashboards_mining": c.working(),
	}}, nil
}

// followed is the target in force, which the firmware may have lowered under the one it was told.
func (c *call) followed() int { return int(math.Round(float64(c.target) * c.m.Drift())) }

func metric(value float64, unit string) object { return object{"value": tenth(value), "unit": unit} }

// telemetry answers the levels that are asked for; the machine's where none is.
func telemetry(c *call) (any, error) {
	out := object{"timestamp": c.now.UTC().Format(time.RFC3339)}
	levels := c.r.URL.Query().Get("level")
	if levels == "" {
		levels = "miner"
	}
	for level := range strings.SplitSeq(levels, ",") {
		switch strings.TrimSpace(level) {
		case "miner":
			out["miner"] = object{
				"hashrate": metric(c.m.TeraHashes(), "TH/s"), "temperature": metric(c.warmth(), "C"),
				"power": metric(c.m.ReportedWatts(), "W"), "efficiency": metric(c.perTera(), "J/TH"),
			}
		case "hashboard", "asic":
			out["hashboards"] = c.boardTelemetry(strings.Contains(levels, "asic"))
		case "psu":
			out["psus"] = c.supplyTelemetry()
		}
	}
	return out, nil
}

// boardShare is what the boards get of the watts at the wall (assumed).
const boardShare = 0.95

func (c *call) boardTelemetry(chips bool) []object {
	n := float64(c.m.Model.Boards)
	rate, watts := c.m.TeraHashes()/n, boardShare*c.m.ReportedWatts()/n
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		list[i] = object{
			"index": i, "serial_number": c.boardSerial(i), "hashrate": metric(rate, "TH/s"), "power": metric(watts, "W"),
			"efficiency":  metric(c.perTera(), "J/TH"),
			"temperature": object{"unit": "C", "inlet": c.warmth() - 5, "outlet": c.warmth() + 5, "average": c.warmth()},
			"voltage":     metric(12.4, "V"), "current": metric(watts/12.4, "A"),
		}
		if chips {
			list[i]["asics"] = object{
				"hashrate":    object{"unit": "TH/s", "values": repeat(rate/float64(c.m.Model.ChipsPerBoard), c.m.Model.ChipsPerBoard)},
				"temperature": object{"unit": "C", "values": repeat(c.warmth(), c.m.Model.ChipsPerBoard)},
			}
		}
	}
	return list
}

func repeat(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// gridVolts and busVolts are a supply's two sides.
const gridVolts, busVolts = 240.0, 12.4

func (c *call) supplyTelemetry() []object {
	list := make([]object, supplyCount)
	in := c.m.ReportedWatts() / supplyCount
	for i := range list {
		list[i] = object{
			"index": i, "serial_number": fmt.Sprintf("PSU-%s-%d", c.serial, i),
			"voltage":     object{"input": gridVolts, "output": busVolts, "unit": "V"},
			"current":     object{"input": tenth(in / gridVolts), "output": tenth(boardShare * in / busVolts), "unit": "A"},
			"power":       object{"input": tenth(in), "output": tenth(boardShare * in), "unit": "W"},
			"temperature": object{"ambient": 25.0, "average": c.warmth(), "hotspot": c.warmth() + 10, "unit": "C"},
		}
	}
	return list
}

func supplies(c *call) (any, error) {
	list := make([]object, supplyCount)
	in := c.m.ReportedWatts() / supplyCount
	for i := range list {
		list[i] = object{
			"slot": i + 1, "serial_number": fmt.Sprintf("PSU-%s-%d", c.serial, i), "state": "Ready", "input_voltage_v": gridVolts,
			"output_voltage_v": busVolts, "input_power_w": tenth(in), "output_power_w": tenth(boardShare * in),
		}
	}
	return object{"psus": list}, nil
}

func cooling(c *call) (any, error) {
	fans := make([]object, fanCount)
	for i := range fans {
		fans[i] = object{"slot": i + 1, "rpm": 1200 + int(3000*c.m.Watts()/c.m.NominalWatts), "speed_percentage": 50}
	}
	return object{"cooling-status": object{"fan_mode": c.state.fans, "speed_percentage": 50, "fans": fans}}, nil
}

func pools(c *call) (any, error) {
	return object{"pools": []object{{
		"id": 0, "priority": 0, "name": "Pool 1", "url": "stratum+tcp://pool.example:3333", "user": "site.worker", "status": "Active",
		"accepted": c.seconds() / 5, "rejected": 0, "accepted_shares": c.seconds() / 5, "rejected_shares": 0, "difficulty": "1048576",
		"enabled": true, "connection_status": "Active",
	}}}, nil
}

func failures(*call) (any, error) { return []any{}, nil }

// curtailmentConfig and curtailmentStatus say that nobody curtails by broker.
func curtailmentConfig(*call) (any, error) {
	return object{"enabled": false, "fail_policy": "open", "restore_policy": "respect_manual_stop", "providers": []any{}}, nil
}

func curtailmentStatus(*call) (any, error) {
	return object{"active": false, "known": false, "reason": "", "target": 100, "restore_pending": false}, nil
}

// series of one quantity: what there is now, and no past.
func series(name string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		value := map[string]float64{
			"hashrate": 1e3 * c.m.TeraHashes(), "power": c.m.ReportedWatts(), "efficiency": c.perTera(), "temperature": c.warmth(),
		}[name]
		return object{name + "-data": object{
			"aggregates": object{"avg": tenth(value), "min": tenth(value), "max": tenth(value)}, "data": []any{}, "duration": "1h",
		}}, nil
	}
}
