package luxos

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// reads need no session and change nothing.
var reads = map[string]func(*call) object{
	"version": version, "config": config, "summary": summary, "devs": devs, "stats": stats,
	"power": power, "profiles": profiles, "limits": limits, "pools": pools, "fans": fans, "temps": temps,
	"groups": groups, "tempctrl": tempctrl,
	"atm": func(c *call) object {
		return c.ok(339, "ATM configuration values", "ATM", []object{c.atmValues()})
	},
	"asccount": func(c *call) object {
		return c.ok(104, "ASC count", "ASCS", []object{{"Count": c.m.Model.Boards}})
	},
}

const compiled = "Tue Apr  8 22:05:35 UTC 2025"

func version(c *call) object {
	return c.ok(22, "LUXminer versions", "VERSION", []object{{
		"API": "3.7", "CompileTime": compiled, "LUXminer": strings.TrimPrefix(firmware, "LUXminer "),
		"Miner": "2025.4.8.220305", "Type": c.m.Model.Name,
	}})
}

func config(c *call) object {
	mode := "None"
	if c.asleep {
		mode = "Sleep"
	}
	p := c.profiles[c.current]
	return c.ok(33, "LUXminer config", "CONFIG", []object{{
		"ASC Count": c.m.Model.Boards, "BcastAddr": "127.255.255.255", "ControlBoardType": "cvitek", "Cooling": "Air",
		"CurtailMode": mode, "DHCP": true, "DNS Servers": "", "Device Code": "", "FPGABuildIdHex": "0x18351835",
		"FPGABuildIdStr": "2018-35-18 35:00", "FeeStatus": "Ok", "Gateway": "127.0.0.1", "GreenLed": "auto",
		"Hostname": "LuxOS", "Hotplug": "None", "IPAddr": c.d.Address.Addr().String(), "ImmersionMode": false,
		"IsAtmEnabled": c.atm.enabled, "IsPowerSupplyOn": !c.asleep, "IsSingleVoltage": true,
		"IsTuning": false, "Log Interval": 0, "LogFileLevel": "info", "MACAddr": c.d.MAC,
		"Model": c.m.Model.Name, "NameplateTHS": math.Round(10*c.m.NominalTeraHashes) / 10, "Netmask": "255.0.0.0",
		"OS": "LuxOS", "PGA Count": 0, "PSUHwVersion": "75", "PSULabel": "APW121215e", "Pool Count": 1,
		"Profile": p.name, "ProfileStep": strconv.Itoa(p.step), "RedLed": "auto", "SerialNumber": c.d.Serial,
		"Strategy": "Failover", "SystemStatus": c.systemStatus(), "UpdateOnStartup": "off", "UpdateOnTimeout": "off",
		"UpdateOnUser": "full", "UpdateSource": "", "UpdateTimeout": 60,
	}})
}

// systemStatus is Initializing until the mining software is up (assumed).
func (c *call) systemStatus() string {
	if c.m.Uptime() < bootInit {
		return "Initializing"
	}
	return "Normal"
}

// giga is an average hashrate in GH/s, as all of summary and stats is.
func (c *call) giga(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over)*1e5) / 100
}

func summary(c *call) object {
	elapsed := int(c.m.Uptime() / time.Second)
	return c.ok(11, "Summary", "SUMMARY", []object{{
		"Accepted": elapsed / 2, "Best Share": 32768, "Device Hardware%": 0.0, "Device Rejected%": 0.0,
		"Difficulty Accepted": elapsed * 12000, "Difficulty Rejected": 0, "Difficulty Stale": 0, "Discarded": 0,
		"Elapsed": elapsed, "Found Blocks": 0,
		"GHS 5s": c.giga(5 * time.Second), "GHS 1m": c.giga(time.Minute), "GHS 5m": c.giga(5 * time.Minute),
		"GHS 15m": c.giga(15 * time.Minute), "GHS 30m": c.giga(30 * time.Minute), "GHS 24h": c.giga(24 * time.Hour),
		"GHS av": c.giga(24 * time.Hour), "Get Failures": 0, "Getworks": elapsed / 5, "Hardware Errors": 0,
		"Last getwork": c.now.Unix() - 4, "Local Work": 0, "Network Blocks": 0, "Pool Rejected%": 0.0, "Pool Stale%": 0.0,
		"Rejected": 0, "Remote Failures": 0, "Stale": 0, "Total MH": c.giga(24*time.Hour) * 1000 * float64(elapsed),
		"Utility": 26.03, "Work Utility": 11.5,
	}})
}

// devs lists the boards; hashrates are MH/s here.
func devs(c *call) object {
	n := c.m.Model.Boards
	mega := func(over time.Duration) float64 { return c.giga(over) * 1000 / float64(n) }
	elapsed := int(c.m.Uptime() / time.Second)
	boards := make([]object, n)
	for i := range boards {
		boards[i] = object{
			"ASC": i, "ID": i, "Board": "SIM" + c.m.Model.Chip, "Connector": "J" + strconv.Itoa(7+i), "Name": "",
			"Accepted": elapsed / 6, "Rejected": 0, "Enabled": "Y", "Status": c.boardStatus(), "Temperature": math.Round(c.warmth()),
			"Device Elapsed": elapsed, "Device Hardware%": 0, "Device Rejected%": 0, "Hardware Errors": 0,
			"IsRamping": c.m.State() == minersim.Ramping, "IsUserShutdown": false, "Profile": c.profiles[c.current].name,
			"MHS 5s": mega(5 * time.Second), "MHS 1m": mega(time.Minute), "MHS 5m": mega(5 * time.Minute),
			"MHS 15m": mega(15 * time.Minute), "MHS 30m": mega(30 * time.Minute), "MHS av": mega(24 * time.Hour),
			"Nominal MHS":  c.profiles[c.current].teraHash * 1e6 / float64(n),
			"SerialNumber": c.d.Serial + "B" + strconv.Itoa(i), "Utility": 0,
		}
	}
	return c.ok(9, fmt.Sprintf("%d ASC(s)", n), "DEVS", boards)
}

func (c *call) boardStatus() string {
	if c.asleep {
		return "Dead"
	}
	return "Alive"
}

// warmth is a board temperature that rises with the load; nothing depends on it.
func (c *call) warmth() float64 { return 26 + 24*c.m.Watts()/c.m.NominalWatts }

func stats(c *call) object {
	clock := c.profiles[c.current].megaHertz
	return c.ok(70, "LUXminer stats", "STATS", []object{
		{"CompileTime": compiled, "Miner": "2025.4.8.220305", "Type": c.m.Model.Name},
		{
			"ID": "BTM_SOC0", "Elapsed": int(c.m.Uptime() / time.Second), "Mode": 2, "STATS": 0, "Calls": 0,
			"GHS 5s": c.giga(5 * time.Second), "GHS av": c.giga(24 * time.Hour), "rate_30m": c.giga(30 * time.Minute),
			"rate_unit": "GH", "total_rateideal": c.profiles[c.current].teraHash * 1000,
			"frequency": clock, "total_freqavg": float64(clock), "miner_count": c.m.Model.Boards,
			"miner_id": strings.ReplaceAll(c.d.MAC, ":", ""), "miner_version": "2025.4.8.220305",
			"fan_num": 4, "fan1": c.fanSpeed(), "fan2": c.fanSpeed(), "fan3": c.fanSpeed(), "fan4": c.fanSpeed(),
			"temp_num": c.m.Model.Boards, "temp_max": math.Round(c.warmth()),
		},
	})
}

// power is the draw; PSU tells whether the supply measured it or the firmware estimated it.
func power(c *call) object {
	return c.ok(311, "Power usage", "POWER", []object{{
		"PSU": c.psu, "Watts": int(math.Round(c.m.ReportedWatts())),
	}})
}

func profiles(c *call) object {
	list := make([]object, len(c.profiles))
	for i, p := range c.profiles {
		list[i] = object{
			"CanRestore": true, "Frequency": p.megaHertz, "HasOverrides": false, "Hashrate": p.teraHash,
			"IsDynamic": true, "IsTuned": i == c.current, "Profile Name": p.name, "Step": strconv.Itoa(p.step),
			"Voltage": p.volts, "Watts": p.watts,
		}
	}
	return c.ok(323, "List profiles", "PROFILES", list)
}

func (c *call) atmValues() object {
	step := func(name string) string {
		if i, err := c.find(name); name != "" && err == nil {
			return strconv.Itoa(c.profiles[i].step)
		}
		return ""
	}
	return object{
		"ChipTempWindow": 8.0, "Enabled": c.atm.enabled, "MaxProfile": c.atm.maxProfile, "MaxProfileStep": step(c.atm.maxProfile),
		"MinProfile": c.atm.minProfile, "MinProfileStep": step(c.atm.minProfile), "PostRampMinutes": c.atm.rampMinutes,
		"StartupMinutes": c.atm.startupMinutes, "TempWindow": c.atm.window, "WaterInletTempWindow": 7.0,
	}
}

// limits are the bounds of ramping steps; the names of the fields are assumed.
func limits(c *call) object {
	last := c.profiles[len(c.profiles)-1]
	return c.ok(333, "Limits", "LIMITS", []object{{
		"FrequencyMin": c.profiles[0].megaHertz, "FrequencyMax": last.megaHertz,
		"FrequencyStepMin": 5, "FrequencyStepMax": 100,
		"VoltageMin": c.profiles[0].volts, "VoltageMax": last.volts, "VoltageStepMin": 0.05, "VoltageStepMax": 1.0,
	}})
}

func pools(c *call) object {
	alive := "Alive"
	if c.asleep {
		alive = "Disabled"
	}
	return c.ok(7, "1 Pool(s)", "POOLS", []object{{
		"POOL": 0, "GROUP": 0, "Priority": 0, "Quota": 1.0, "Status": alive, "Stratum Active": !c.asleep,
		"URL": "stratum+tcp://pool.example:3333", "Stratum URL": "pool.example:3333", "User": "site.worker",
		"Accepted": int(c.m.Uptime()/time.Second) / 2, "Rejected": 0, "Stale": 0, "Has Stratum": true,
	}})
}

// groups and tempctrl are asked by others together with config; their fields are what those read, codes and values assumed.
func groups(c *call) object {
	return c.ok(codeGroups, "1 Group(s)", "GROUPS", []object{{"GROUP": 0, "Name": "default", "Quota": 1}})
}

func tempctrl(c *call) object {
	return c.ok(codeTempCtrl, "Temperature control values", "TEMPCTRL", []object{{"Mode": "Automatic", "Target": 60, "Hot": 70, "Dangerous": 80}})
}

const (
	codeGroups   = 80
	codeTempCtrl = 205
)

func (c *call) fanSpeed() int {
	if c.asleep {
		return 0
	}
	return int(1500 + 4500*math.Min(1, c.m.Watts()/c.m.NominalWatts))
}

func fans(c *call) object {
	list := make([]object, 4)
	for i := range list {
		list[i] = object{"FAN": i, "ID": i, "RPM": c.fanSpeed(), "Speed": c.fanSpeed() * 100 / 6000}
	}
	return c.ok(202, "4 Fan(s)", "FANS", list)
}

func temps(c *call) object {
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		t := math.Round(c.warmth())
		list[i] = object{"TEMP": i, "ID": i, "TopLeft": t, "TopRight": t - 13, "BottomLeft": t - 13, "BottomRight": t}
	}
	return c.ok(201, fmt.Sprintf("%d Temp(s)", len(list)), "TEMPS", list)
}
