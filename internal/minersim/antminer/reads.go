package antminer

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// kind is the model as the firmware spells it: with a dot behind an abbreviation.
func (c *call) kind() string {
	if strings.HasSuffix(c.m.Model.Name, " Hyd") {
		return c.m.Model.Name + "."
	}
	return c.m.Model.Name
}

const hostname = "Antminer"

func (c *call) systemInfo() object {
	info := object{
		"minertype": c.kind(), "nettype": "DHCP", "netdevice": "eth0", "macaddr": strings.ToUpper(c.d.MAC), "hostname": hostname,
		"ipaddress": c.d.Address.Addr().String(), "netmask": "255.0.0.0", "gateway": "", "dnsservers": "",
		"system_mode": "GNU/Linux", "system_kernel_version": "Linux 4.9.113 #1 SMP PREEMPT " + c.compiled,
		"system_filesystem_version": c.compiled,
	}
	if !c.form {
		info["firmware_type"] = "Release"
	}
	if c.either {
		// Not among what a machine of 2022 says.
		info["serinum"], info["Algorithm"] = c.d.Serial, "sha256d"
	}
	return info
}

func (c *call) networkInfo() object {
	return object{
		"nettype": "DHCP", "netdevice": "eth0", "macaddr": strings.ToUpper(c.d.MAC), "ipaddress": c.d.Address.Addr().String(),
		"netmask": "255.0.0.0", "conf_nettype": "DHCP", "conf_hostname": hostname, "conf_ipaddress": "", "conf_netmask": "",
		"conf_gateway": "", "conf_dnsservers": "",
	}
}

// giga is an average hash rate in GH/s, as everything here but devs is.
func (c *call) giga(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over)*1e5) / 100
}

// ideal is what the mode that is set should bring.
func (c *call) ideal() float64 {
	return math.Round(c.m.TeraHashesFor(c.watts())*1e5) / 100
}

const (
	now5s  = 5 * time.Second
	half   = 30 * time.Minute
	always = 24 * time.Hour
)

// frame is what every page about mining has around it. STATUS is no list here.
func (c *call) frame(message, section string, rows []object) object {
	return object{
		"STATUS": object{"STATUS": "S", "when": c.now.Unix(), "Msg": message, "api_version": "1.0.0"},
		"INFO":   object{"miner_version": c.miner, "CompileTime": c.compiled, "type": c.kind()},
		section:  rows,
	}
}

// rates are those of the whole machine.
func (c *call) rates() object {
	return object{
		"elapsed": c.elapsed(c.m), "rate_5s": c.giga(now5s), "rate_30m": c.giga(half), "rate_avg": c.giga(always),
		"rate_ideal": c.ideal(), "rate_unit": "GH/s",
	}
}

func (c *call) webSummary() object {
	if c.asleep() && c.empty {
		return c.frame("summary", "SUMMARY", []object{})
	}
	row := c.rates()
	row["hw_all"], row["bestshare"] = 0, 13416269
	checks := make([]object, 0, 4)
	for _, kind := range []string{"rate", "network", "fans", "temp"} {
		checks = append(checks, object{"type": kind, "status": "s", "code": 0, "msg": ""})
	}
	row["status"] = checks
	return c.frame("summary", "SUMMARY", []object{row})
}

func (c *call) webStats() object {
	if c.asleep() && c.empty {
		return c.frame("stats", "STATS", []object{})
	}
	row := c.rates()
	boards := make([]object, c.m.Model.Boards)
	n := float64(len(boards))
	for i := range boards {
		t := c.warmth()
		boards[i] = object{
			"index": i, "freq_avg": c.megaHertz(), "rate_ideal": math.Round(100*c.ideal()/n) / 100,
			"rate_real": math.Round(100*c.giga(now5s)/n) / 100, "asic_num": c.m.Model.ChipsPerBoard,
			"asic": c.chips(), "temp_pic": []int{t - 15, t - 15, t, t}, "temp_pcb": []int{t - 5, t - 5, t + 5, t + 5},
			"temp_chip": []int{t, t, t + 14, t + 14}, "hw": 0, "eeprom_loaded": true,
			"sn": fmt.Sprintf("%sB%d", c.d.Serial, i+1), "hwp": 0.0,
		}
	}
	row["chain_num"], row["fan_num"], row["fan"], row["hwp_total"] = len(boards), fans, c.fanSpeeds(), 0.0
	row["miner-mode"], row["freq-level"], row["chain"] = c.settings.mode, 100, boards
	if c.watt {
		row["watt"] = c.reported()
	}
	return c.frame("stats", "STATS", []object{row})
}

func (c *call) webPools() object {
	rows := make([]object, 0, maxPools)
	for i, p := range c.settings.pools {
		if p.URL == "" {
			continue
		}
		rows = append(rows, object{
			"index": i, "url": p.URL, "user": p.User, "status": c.poolStatus(), "priority": i, "getworks": c.elapsed(c.m) / 30,
			"accepted": c.shares(i), "rejected": 0, "discarded": 0, "stale": 0, "diff": "262K", "diff1": 0, "diffa": 0.0,
			"diffr": 0, "diffs": 0, "lsdiff": 0, "lstime": "0",
		})
	}
	return c.frame("pools", "POOLS", rows)
}

func (c *call) poolStatus() string {
	if c.asleep() {
		return "Disabled"
	}
	return "Alive"
}

// shares of a pool: the first gets all of them.
func (c *call) shares(index int) int {
	if index > 0 {
		return 0
	}
	return c.elapsed(c.m) / 8
}

// reported are the watts that the firmware tells.
func (c *call) reported() int { return int(math.Round(c.m.ReportedWatts())) }

// warmth is a board temperature that rises with the load; nothing depends on it.
func (c *call) warmth() int { return int(30 + 30*c.m.Watts()/c.m.NominalWatts) }

func (c *call) megaHertz() int {
	return int(math.Round(float64(c.clock) * c.m.TeraHashes() / c.m.NominalTeraHashes))
}

// chips is a letter for each chip of a board, in groups of eight.
func (c *call) chips() string {
	return strings.Repeat(" oooooooo", c.m.Model.ChipsPerBoard/8) + " " + strings.Repeat("o", c.m.Model.ChipsPerBoard%8)
}

// fans is how many there are, in those cooled by water too.
const fans = 4

func (c *call) fanSpeeds() []int {
	speed := 0
	if !c.asleep() {
		speed = int(2000 + 4500*math.Min(1, c.m.Watts()/c.m.NominalWatts))
	}
	return []int{speed, speed, speed, speed}
}

// more6060 is what newer machines answer on port 6060 beside watts.
var more6060 = map[string]func(*call) any{
	"/warning":     func(*call) any { return object{"error_message": "None"} },
	"/rate":        func(c *call) any { return text(fmt.Sprintf("%.0f", c.ideal())) },
	"/productName": func(c *call) any { return text(c.kind()) },
	"/get_sn":      func(c *call) any { return text(c.d.Serial) },
}

// powerPage answers on port 6060; nil while there is no mining software to answer.
func (c *call) powerPage(path string) any {
	if !c.answers(c.m.Now()) {
		return nil
	}
	if path == "/miner_power" && c.power {
		return text(fmt.Sprintf("miner power:%d", c.reported()))
	}
	if more, ok := more6060[path]; ok && c.either {
		return more(c)
	}
	return text("error 6060 cmd")
}
