package whatsminer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// reads need no token and change nothing.
var reads = map[string]func(*call) object{
	"summary": summary, "devs": edevs, "edevs": edevs, "devdetails": devdetails, "pools": pools,
	"status": minerStatus, "get_psu": getPSU, "get_version": getVersion, "get_miner_info": getMinerInfo,
	"get_error_code": func(c *call) object { return c.ok(object{"error_code": c.errors()}) },
}

// mining are the reads that the mining software answers itself.
var mining = map[string]bool{"summary": true, "devs": true, "edevs": true, "devdetails": true, "pools": true}

// Firmware of API v2; an older one writes quotes around its own version.
const (
	firmwareV2     = "20240624.18.REL"
	firmwareQuirks = "'20210322.22.REL'"
)

func (c *call) firmwareV2() string {
	switch {
	case c.framed:
		return firmwareV3
	case c.Quirks:
		return firmwareQuirks
	}
	return firmwareV2
}

// typeName is the model as the machine writes it; the board's version is assumed.
func (c *call) typeName() string {
	return strings.TrimPrefix(c.m.Model.Name, "WhatsMiner ") + "_VK40"
}

// section is a reply of the cgminer family.
func section(message, name string, data any) object {
	return object{"STATUS": []object{{"STATUS": "S", "Msg": message}}, name: data, "id": 1}
}

// tera is a mean hashrate in TH/s.
func (c *call) tera(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over)*1000) / 1000
}

// mega is a mean hashrate in MH/s, as all of API v2 but the nameplate is.
func (c *call) mega(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over) * 1e6)
}

func (c *call) watts() int { return int(math.Round(c.m.ReportedWatts())) }

// perTera is J/TH, and 0 where there is no hash.
func (c *call) perTera() float64 {
	th := c.m.TeraHashes()
	if th <= 0 {
		return 0
	}
	return math.Round(100*c.m.ReportedWatts()/th) / 100
}

func (c *call) warmth() float64 { return math.Round(10*(28+40*c.m.Watts()/c.m.NominalWatts)) / 10 }

func (c *call) fan() int {
	if c.off {
		return 0
	}
	return int(1800 + 3600*math.Min(1, c.m.Watts()/c.m.NominalWatts))
}

func onOff(on bool) string {
	if on {
		return "enable"
	}
	return "disable"
}

func (c *call) modeName() string {
	name := modes[c.mode].name
	return strings.ToUpper(name[:1]) + name[1:]
}

func summary(c *call) object {
	av := time.Duration(c.elapsed()) * time.Second
	return section("Summary", "SUMMARY", []object{{
		"Elapsed": c.elapsed(), "Uptime": int(c.m.Uptime() / time.Second),
		"MHS av": c.mega(max(av, time.Second)), "MHS 5s": c.mega(5 * time.Second), "MHS 1m": c.mega(time.Minute),
		"MHS 5m": c.mega(5 * time.Minute), "MHS 15m": c.mega(15 * time.Minute), "HS RT": c.mega(5 * time.Second),
		"Target MHS":  math.Round(c.m.TeraHashesFor(c.full()) * 1e6),
		"Factory GHS": int(math.Round(c.m.NominalTeraHashes * 1000)),
		"Accepted":    c.elapsed() / 3, "Rejected": 0, "Total MH": math.Round(c.mega(max(av, time.Second)) * float64(c.elapsed())),
		"Pool Rejected%": 0.0, "Pool Stale%": 0.0, "Last getwork": c.now.Unix() - 4,
		"Temperature": c.warmth(), "Env Temp": 26.5, "Chip Temp Min": c.warmth(), "Chip Temp Max": c.warmth() + 18, "Chip Temp Avg": c.warmth() + 9,
		"Fan Speed In": c.fan(), "Fan Speed Out": c.fan(), "freq_avg": c.clock(), "Target Freq": c.m.Model.DefaultMegaHertz,
		"Power": c.watts(), "Power Rate": c.perTera(), "Power Limit": int(math.Round(c.inForce())), "Power Mode": c.modeName(),
		"Hash Stable": c.stable(c.m), "Hash Stable Cost Seconds": int((c.settles - c.begun) / time.Second),
		"Hash Deviation%": 0.0021, "Btminer Fast Boot": onOff(c.fastBoot), "Security Mode": 0,
		"Debug": "0.0_0.0_0.0_0",
	}})
}

// clock is the mean of the chips', which follows the hashrate.
func (c *call) clock() int {
	return int(math.Round(float64(c.m.Model.DefaultMegaHertz) * c.m.TeraHashes() / c.m.NominalTeraHashes))
}

func edevs(c *call) object {
	n := c.m.Model.Boards
	part := func(over time.Duration) float64 { return math.Round(c.mega(over) / float64(n)) }
	boards := make([]object, n)
	for i := range boards {
		boards[i] = object{
			"ASC": i, "Slot": i, "Enabled": "Y", "Status": c.boardStatus(), "Temperature": c.warmth(),
			"Chip Frequency": c.clock(), "MHS av": part(24 * time.Hour), "MHS 5s": part(5 * time.Second),
			"MHS 1m": part(time.Minute), "MHS 5m": part(5 * time.Minute), "MHS 15m": part(15 * time.Minute), "HS RT": part(5 * time.Second),
			"Factory GHS":     int(math.Round(c.m.NominalTeraHashes * 1000 / float64(n))),
			"Upfreq Complete": c.searched(), "Effective Chips": c.m.Model.ChipsPerBoard,
			"PCB SN": fmt.Sprintf("%sB%d", c.d.Serial, i), "Chip Data": c.m.Model.Chip,
			"Chip Temp Min": c.warmth(), "Chip Temp Max": c.warmth() + 18, "Chip Temp Avg": c.warmth() + 9, "chip_vol_diff": 7,
		}
	}
	return section(fmt.Sprintf("%d ASC(s)", n), "DEVS", boards)
}

// searched is 1 once the frequency search is over.
func (c *call) searched() int {
	if c.stable(c.m) {
		return 1
	}
	return 0
}

func (c *call) boardStatus() string {
	if c.off {
		return "Initialising"
	}
	return "Alive"
}

func devdetails(c *call) object {
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		list[i] = object{"DEVDETAILS": i, "Name": "SM", "ID": i, "Driver": "bitmicro", "Kernel": "", "Model": c.typeName()}
	}
	return section("Device Details", "DEVDETAILS", list)
}

func pools(c *call) object {
	return section("1 Pool(s)", "POOLS", []object{{
		"POOL": 1, "URL": poolURL, "Status": "Alive", "Priority": 0, "Quota": 1, "User": "site.worker",
		"Stratum Active": !c.off, "Stratum Difficulty": 65536, "Accepted": c.elapsed() / 3, "Rejected": 0, "Stale": 0,
		"Pool Rejected%": 0.0, "Pool Stale%": 0.0,
	}})
}

const poolURL = "stratum+tcp://pool.example:3333"

// limitSet is the limit that was set, and empty for the default.
func (c *call) limitSet() string {
	if c.limit == maxWatts {
		return ""
	}
	return strconv.Itoa(c.limit)
}

// minerStatus has string values throughout. The old form tells less.
func minerStatus(c *call) object {
	off := strconv.FormatBool(c.off)
	if c.Quirks {
		return c.ok(object{"btmineroff": off, "Firmware Version": c.firmwareV2()})
	}
	return c.ok(object{
		"mineroff": off, "mineroff_reason": c.offReason, "mineroff_time": "", "FirmwareVersion": c.firmwareV2(),
		"power_mode": modes[c.mode].name, "power_limit_set": c.limitSet(), "hash_percent": "0",
	})
}

// inputVolts is what the supply is fed.
const inputVolts = 224

// getPSU has string values: mA in, hundredths of a volt in, watts in; the supplier's key is
// misspelt as on the machine.
func getPSU(c *call) object {
	w := c.watts()
	return c.ok(object{
		"name": "P221B", "model": "P221B", "hw_version": "V01.00", "sw_version": "V01.00.V01.03", "enable": "1",
		"iin": strconv.Itoa(w * 1000 / inputVolts), "vin": strconv.Itoa(inputVolts * 100), "pin": strconv.Itoa(w),
		"fan_speed": strconv.Itoa(c.fan()), "serial_no": c.d.Serial + "P", "vender": "1", "temp0": "38.5",
	})
}

func getVersion(c *call) object {
	return c.ok(object{
		"api_ver": "2.0.5", "fw_ver": c.firmwareV2(), "platform": "H616", "chip": c.m.Model.Chip,
	})
}

func getMinerInfo(c *call) object {
	return c.ok(object{
		"ip": c.d.Address.Addr().String(), "proto": "dhcp", "netmask": "255.0.0.0", "gateway": "127.0.0.1", "dns": "127.0.0.1",
		"hostname": "WhatsMiner", "mac": strings.ToUpper(c.d.MAC), "ledstat": "auto", "minersn": c.d.Serial, "powersn": c.d.Serial + "P",
		"upfreq_speed": strconv.Itoa(c.upfreq),
	})
}

// A crash leaves one entry in the error list.
const (
	crashCode   = "264"
	crashReason = "Power xfer error"
)

// crashedAt is when the machine came back.
func (c *call) crashedAt() string { return c.now.Add(-c.m.Uptime()).Format(time.DateTime) }

func (c *call) errors() []object {
	if !c.crashed {
		return []object{}
	}
	return []object{{crashCode: c.crashedAt()}}
}

// misprinted is the error list as the manual prints it: a pair where an object should be.
func (c *call) misprinted() []byte {
	return fmt.Appendf(nil, `{"STATUS":"S","When":%d,"Code":%d,"Msg":{"error_code":[%q:%q]},"Description":""}`,
		c.now.Unix(), codeOK, crashCode, c.crashedAt())
}
