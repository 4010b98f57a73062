package marafw

import (
	"fmt"
	"math"
	"time"
)

const (
	controlBoard = "CVCtrl"
	hostname     = "MaraFW"
)

// giga is an average hash rate in GH/s.
func (c *call) giga(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over)*1e5) / 100
}

// ideal is what the mode should bring, in GH/s.
func (c *call) ideal() float64 {
	return math.Round(c.m.TeraHashesFor(c.watts(c.mode))*1e5) / 100
}

// brief has hash rates in GH/s and says so; of an older release in TH/s without a word. The ideal one
// is in GH/s always.
func brief(c *call) any {
	b := object{
		"status": c.status(c.m), "status_long": c.status(c.m), "work_mode": c.mode.Selector, "elapsed": int(c.m.Uptime() / time.Second),
		"hashrate_ideal": c.ideal(), "power_consumption_estimated": int(math.Round(c.m.ReportedWatts())),
		"power_source": "EST", "power_indicator": 0, "temperature_max": c.warmth() + 15, "temperature_average": c.warmth(),
	}
	if c.psu {
		b["power_source"] = "PSU"
	}
	unit := 1.0
	if c.older {
		unit = 1000
	} else {
		b["hashrate_unit"] = "GH/s"
	}
	for key, over := range map[string]time.Duration{
		"hashrate_realtime": 5 * time.Second, "hashrate_realtime_10m": 10 * time.Minute, "hashrate_average": 24 * time.Hour,
	} {
		b[key] = c.giga(over) / unit
	}
	if c.mode.Selector == sleep {
		// Recorded as 0 of one that had been stopped for minutes.
		b["hashrate_realtime_10m"] = b["hashrate_realtime"]
	}
	return b
}

func overview(c *call) any {
	return object{
		"model": c.model.Name, "model_extended": c.model.Name, "mac": c.d.MAC, "version_firmware": c.d.FirmwareVersion,
		"control_board": controlBoard, "serial_number": c.d.Serial, "hostname": hostname,
	}
}

// warmth is a board temperature that rises with the load; nothing depends on it.
func (c *call) warmth() float64 { return math.Round(28 + 25*c.m.Watts()/c.m.NominalWatts) }

// board calls act for each, with its share of the hash rate in GH/s.
func (c *call) boards(act func(index int, giga, ideal float64) object) []object {
	n := float64(c.model.Boards)
	list := make([]object, c.model.Boards)
	for i := range list {
		list[i] = act(i, math.Round(100*c.giga(5*time.Second)/n)/100, math.Round(100*c.ideal()/n)/100)
		list[i]["index"], list[i]["asic_num"], list[i]["serial_number"] = i, c.model.ChipsPerBoard, fmt.Sprintf("%sB%d", c.d.Serial, i)
	}
	return list
}

func hashboards(c *call) any {
	t := c.warmth()
	return object{"hashboard_num_ideal": c.model.Boards, "hashboards": c.boards(func(_ int, giga, _ float64) object {
		return object{
			"hashrate_average": giga, "asic_num_ideal": c.model.ChipsPerBoard, "status": c.status(c.m), "present": true,
			"temperature_pcb": []float64{t, t - 4}, "temperature_raw": []float64{t + 3}, "temperature_chip": []float64{t + 12, t + 15},
		}
	})}
}

func details(c *call) any {
	return object{"hashboard_infos": c.boards(func(_ int, giga, ideal float64) object {
		return object{
			"hashrate_avg": giga, "hashrate_ideal": ideal, "voltage": 14.0, "asic_infos": []object{},
			"frequency_avg": math.Round(float64(c.model.DefaultMegaHertz) * c.m.TeraHashes() / c.m.NominalTeraHashes),
		}
	})}
}

func fans(c *call) any {
	speed := 0
	if c.mode.Selector != sleep {
		speed = int(2000 + 4000*math.Min(1, c.m.Watts()/c.m.NominalWatts))
	}
	list := make([]object, 4)
	for i := range list {
		list[i] = object{"index": i, "current_speed": speed, "max_speed": 6000}
	}
	return object{"fans": list}
}

func pools(c *call) any {
	status := "Alive"
	if c.mode.Selector == sleep {
		status = "Disabled"
	}
	return []object{{
		"index": 0, "url": "stratum+tcp://pool.example:3333", "user": "site.worker", "status": status, "priority": 0,
		"accepted": int(c.m.Uptime()/time.Second) / 8, "rejected": 0, "stale": 0, "discarded": 0,
	}}
}

func networkConfig(c *call) any {
	return object{
		"hostname": hostname, "dhcp": true, "ip": c.d.Address.Addr().String(), "netmask": "255.0.0.0", "gateway": "127.0.0.1",
		"dns": []string{"127.0.0.1"}, "mac": c.d.MAC,
	}
}
