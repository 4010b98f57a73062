package avalon

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// bootedBy is what a machine says of its last boot.
const bootedBy = "0x04.00000000"

// reads answer without changing anything.
var reads = map[string]func(*call) reply{
	"version": version, "summary": summary, "devs": devices, "edevs": devices, "devdetails": details, "pools": pools,
	"stats":     func(c *call) reply { return stats(c, true) },
	"estats":    func(c *call) reply { return stats(c, true) },
	"litestats": func(c *call) reply { return stats(c, false) },
	"config":    config,
}

func (c *call) mac() string { return strings.ReplaceAll(c.d.MAC, ":", "") }

// dna is the identity of the control board: sixteen hexadecimal digits.
func (c *call) dna() string { return "0201" + c.mac() }

func version(c *call) reply {
	pairs := []pair{{"CGMiner", "4.11.1"}, {"API", "3.7"}}
	if !c.home {
		pairs = append(pairs, pair{"STM8", "20.08.01"})
	}
	pairs = append(pairs, pair{"PROD", c.product}, pair{"MODEL", c.id}, pair{"HWTYPE", c.hardware}, pair{"SWTYPE", c.software})
	if c.home {
		pairs = append(pairs, pair{"LVERSION", c.build}, pair{"BVERSION", c.build}, pair{"CGVERSION", c.build})
	} else {
		pairs = append(pairs, pair{"VERSION", c.build}, pair{"LOADER", "d0d779de.00"})
	}
	pairs = append(pairs, pair{"DNA", c.dna()}, pair{"MAC", c.mac()}, pair{"UPAPI", "2"})
	return c.list(codeVersion, "CGMiner versions", "VERSION", "VERSION", row{plain: true, pairs: pairs})
}

// mega is a mean hashrate in MH/s. These means go on after a machine stopped.
func (c *call) mega(over time.Duration) decimal { return two(1e6 * c.m.AverageTeraHashes(over)) }

// uptime in seconds.
func (c *call) uptime() int { return int(c.m.Uptime() / time.Second) }

// rates are the means both summary and devs show.
func (c *call) rates() []pair {
	short := pair{"MHS 30s", c.mega(30 * time.Second)}
	if c.summary {
		short = pair{"MHS 5s", c.mega(5 * time.Second)}
	}
	return []pair{
		{"MHS av", two(1e6 * c.lifetime(c.m))}, short, {"MHS 1m", c.mega(time.Minute)},
		{"MHS 5m", c.mega(5 * time.Minute)}, {"MHS 15m", c.mega(15 * time.Minute)},
	}
}

// accepted shares rise with the work done; nothing depends on them.
func (c *call) accepted() int { return int(c.hashed / 1e3) }

// totalMega is the work since the boot.
func (c *call) totalMega() decimal { return decimal{1e6 * c.hashed, 4} }

func summary(c *call) reply {
	pairs := append([]pair{{"Elapsed", c.uptime()}}, c.rates()...)
	pairs = append(pairs, []pair{
		{"Found Blocks", 0}, {"Getworks", c.uptime() / 30}, {"Accepted", c.accepted()}, {"Rejected", 0},
		{"Hardware Errors", 0}, {"Utility", two(5.8)}, {"Discarded", 0}, {"Stale", 0}, {"Get Failures", 0}, {"Local Work", 0},
		{"Remote Failures", 0}, {"Network Blocks", 0}, {"Total MH", c.totalMega()}, {"Work Utility", two(0)},
		{"Difficulty Accepted", decimal{0, 8}}, {"Difficulty Rejected", decimal{0, 8}}, {"Difficulty Stale", decimal{0, 8}},
		{"Best Share", 0}, {"Device Hardware%", decimal{0, 4}}, {"Device Rejected%", decimal{0, 4}},
		{"Pool Rejected%", decimal{0, 4}}, {"Pool Stale%", decimal{0, 4}}, {"Last getwork", 0},
	}...)
	return c.list(codeSummary, "Summary", "SUMMARY", "SUMMARY", row{plain: true, pairs: pairs})
}

func devices(c *call) reply {
	pairs := append([]pair{
		{"Name", c.driver()}, {"ID", 0}, {"Enabled", "Y"}, {"Status", "Alive"}, {"Temperature", two(-273)},
	}, c.rates()...)
	pairs = append(pairs, []pair{
		{"Accepted", c.accepted()}, {"Rejected", 0}, {"Hardware Errors", 0}, {"Utility", two(5.8)}, {"Last Share Pool", 0},
		{"Last Share Time", c.when()}, {"Total MH", c.totalMega()}, {"Diff1 Work", 0},
		{"Difficulty Accepted", decimal{0, 8}}, {"Difficulty Rejected", decimal{0, 8}}, {"Last Share Difficulty", decimal{0, 8}},
		{"Last Valid Work", c.when()}, {"Device Hardware%", decimal{0, 4}}, {"Device Rejected%", decimal{0, 4}},
		{"Device Elapsed", c.uptime()},
	}...)
	return c.list(codeDevices, "1 ASC(s)", "DEVS", "ASC", row{pairs: pairs})
}

func (c *call) driver() string {
	if c.home {
		return "AVALON"
	}
	return "AVA10"
}

func details(c *call) reply {
	return c.list(codeDetails, "Device Details", "DEVDETAILS", "DEVDETAILS", row{pairs: []pair{
		{"Name", c.driver()}, {"ID", 0}, {"Driver", strings.ToLower(c.driver())}, {"Kernel", ""}, {"Model", ""}, {"Device Path", ""},
	}})
}

func config(c *call) reply {
	return c.list(codeConfig, "CGMiner config", "CONFIG", "CONFIG", row{plain: true, pairs: []pair{
		{"ASC Count", 1}, {"PGA Count", 0}, {"Pool Count", 1}, {"Strategy", "Failover"}, {"Log Interval", 5},
		{"Device Code", ""}, {"OS", "Linux"}, {"Hotplug", "None"},
	}})
}

func pools(c *call) reply {
	return c.list(codePools, "1 Pool(s)", "POOLS", "POOL", row{pairs: []pair{
		{"URL", "stratum+tcp://pool.example:3333"}, {"Status", "Alive"}, {"Priority", 0}, {"Quota", 1}, {"Long Poll", "N"},
		{"Getworks", c.uptime() / 30}, {"Accepted", c.accepted()}, {"Rejected", 0}, {"Works", 0}, {"Discarded", 0}, {"Stale", 0},
		{"Get Failures", 0}, {"Remote Failures", 0}, {"User", "site.worker"}, {"Last Share Time", c.when()},
		{"Diff1 Shares", 0}, {"Proxy Type", ""}, {"Proxy", ""}, {"Difficulty Accepted", decimal{0, 8}},
		{"Difficulty Rejected", decimal{0, 8}}, {"Difficulty Stale", decimal{0, 8}}, {"Last Share Difficulty", decimal{0, 8}},
		{"Work Difficulty", decimal{0, 8}}, {"Has Stratum", true}, {"Stratum Active", c.phase(c.m.Now()) != idle},
		{"Stratum URL", "pool.example"}, {"Stratum Difficulty", decimal{0, 8}}, {"Has Vmask", true}, {"Has GBT", false},
		{"Best Share", 0}, {"Pool Rejected%", decimal{0, 4}}, {"Pool Stale%", decimal{0, 4}}, {"Bad Work", 0},
		{"Current Block Height", 0}, {"Current Block Version", 0},
	}})
}

// stats is the machine in one string; each chip of it only where asked.
func stats(c *call, chips bool) reply {
	id := "AVALON0"
	if !c.home {
		id = "AVA100"
	}
	pairs := []pair{
		{"ID", id}, {"Elapsed", c.uptime()}, {"Calls", 0}, {"Wait", decimal{0, 6}}, {"Max", decimal{0, 6}},
		{"Min", decimal{99999999, 6}},
	}
	if c.summary {
		pairs = append(pairs, pair{"MM ID0:Summary", "'STATS':{" + c.machine(false) + "}"})
		if chips {
			pairs = append(pairs, pair{"HBinfo", "'HB0':{" + strings.Join(c.chips(0), " ") + "}"})
		}
	} else {
		pairs = append(pairs, pair{"MM ID0", c.machine(chips)})
	}
	pairs = append(pairs, pair{"MM Count", 1}, pair{"Smart Speed", 1}, pair{"Voltage Level Offset", 0}, pair{"Nonce Mask", 25})
	pool := []pair{
		{"ID", "POOL0"}, {"Elapsed", c.uptime()}, {"Calls", 0}, {"Wait", decimal{0, 6}}, {"Max", decimal{0, 6}},
		{"Min", decimal{99999999, 6}},
	}
	return c.list(codeStats, "CGMiner stats", "STATS", "STATS", row{pairs: pairs}, row{index: 1, pairs: pool})
}

// warmth of a chip rises with the load; nothing depends on it.
func (c *call) warmth() int { return int(28 + 45*c.m.Watts()/c.m.NominalWatts) }

func (c *call) fan() int {
	if c.phase(c.m.Now()) == idle {
		return 0
	}
	return int(1200 + 3000*math.Min(1, c.m.Watts()/c.m.NominalWatts))
}

// dcShare is what the boards get of the watts at the wall: 3,526 W of 3,731 W were recorded.
const dcShare = 0.945

// supply is the list of what the supply measures: errors, controller and board voltage, current,
// watts of the boards, the voltage set, and the watts at the wall. A Nano's has no watts of the
// boards and its voltage in other units.
func (c *call) supply() string {
	wall := c.m.ReportedWatts()
	off := c.phase(c.m.Now()) == idle
	if c.model == "Avalon Nano 3S" {
		return fmt.Sprintf("PS[0 0 %d 4 0 3756 %.0f]", 27541, wall)
	}
	set := 1188
	if c.home {
		set = 2397
	}
	if off {
		return fmt.Sprintf("PS[0 1198 1 0 0 %d %.0f]", set, wall)
	}
	boards := dcShare * wall
	return fmt.Sprintf("PS[0 1209 %d %.0f %.0f %d %.0f]", set-1, boards/float64(set)*100, boards, set, wall)
}
