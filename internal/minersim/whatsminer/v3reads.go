package whatsminer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const firmwareV3 = "20251209.16.Rel2"

// tell answers a read.
func (c *call) tell(name string, param any) result {
	switch name {
	case "get.device.info":
		return c.deviceInfo(param)
	case "get.miner.status":
		return c.statusV3(param)
	case "get.miner.setting":
		return result{0, c.setting()}
	default:
		return result{failInvalid, "invalid command"}
	}
}

// deviceInfo is everything, or the section that is asked for.
func (c *call) deviceInfo(param any) result {
	all := object{
		"network": c.network(), "miner": c.minerSection(), "system": c.system(), "power": c.power(),
		"salt": c.tokens.salt, "error-code": c.errorsV3(),
	}
	if param == nil {
		return result{0, all}
	}
	name, _ := param.(string)
	section, ok := all[name]
	if !ok {
		return result{failInvalid, "invalid param: " + name}
	}
	return result{0, object{name: section}}
}

func (c *call) network() object {
	return object{
		"ip": c.d.Address.Addr().String(), "proto": "dhcp", "netmask": "255.0.0.0", "dns": "127.0.0.1",
		"mac": strings.ToUpper(c.d.MAC), "gateway": "127.0.0.1", "hostname": "WhatsMiner",
	}
}

func (c *call) minerSection() object {
	s := object{
		"working": strconv.FormatBool(!c.off), "type": c.typeName(), "hash-board": strings.TrimSuffix(c.typeName(), "_VK40"),
		"cointype": "BTC", "pool-strategy": "FAILOVER", "heatmode": "", "hash-percent": "0", "chipdata0": c.m.Model.Chip,
		"fast-boot": onOff(c.fastBoot), "board-num": strconv.Itoa(c.m.Model.Boards), "miner-sn": c.d.Serial,
		"power-limit-set": c.limitSet(), "UpfreqSpeed": strconv.Itoa(c.upfreq), "web-pool": 1,
	}
	for i := range c.m.Model.Boards {
		s[fmt.Sprintf("pcbsn%d", i)] = fmt.Sprintf("%sB%d", c.d.Serial, i)
	}
	return s
}

func (c *call) system() object {
	open := "0"
	if c.APISwitch {
		open = "1"
	}
	version := firmwareV3
	if c.Quirks {
		version = "'" + firmwareV3 + "'"
	}
	return object{
		"api": "3.0.2", "platform": "H616", "fwversion": version, "control-board-version": "CB6V5",
		"apiswitch": open, "ledstatus": "auto",
	}
}

// power is the supply: amperes, volts and watts.
func (c *call) power() object {
	w := c.watts()
	return object{
		"type": "P221B", "mode": "1", "hwversion": "V01.00", "swversion": "V01.00", "model": "P221B",
		"iin": math.Round(100*float64(w)/inputVolts) / 100, "vin": inputVolts, "vout": 1450, "pin": w,
		"fanspeed": c.fan(), "temp0": 38.5, "sn": c.d.Serial + "P", "vendor": "1",
	}
}

// errorsV3 has the code as a key beside the reason.
func (c *call) errorsV3() []object {
	if !c.crashed {
		return []object{}
	}
	return []object{{crashCode: c.crashedAt(), "reason": crashReason}}
}

// statusV3 is asked of the mining software, in one part or several.
func (c *call) statusV3(param any) result {
	names, _ := param.(string)
	if names == "" {
		return result{failNoParam, "param item is null"}
	}
	if !c.answers(c.m) {
		return result{failCommand, "command failed"}
	}
	parts := map[string]func() any{"summary": c.summaryV3, "edevs": c.edevsV3, "pools": c.poolsV3}
	msg := object{}
	for name := range strings.SplitSeq(names, "+") {
		part, ok := parts[name]
		if !ok {
			return result{failInvalid, "invalid param: " + name}
		}
		msg[name] = part()
	}
	return result{0, msg}
}

// summaryV3 has hashrates in TH/s.
func (c *call) summaryV3() any {
	temperatures := []float64{}
	for range c.m.Model.Boards {
		temperatures = append(temperatures, c.warmth())
	}
	if c.Quirks {
		temperatures = temperatures[:0]
	}
	return object{
		"elapsed": c.elapsed(), "bootup-time": int(c.m.Uptime() / time.Second), "freq-avg": c.clock(), "target-freq": 0,
		"factory-hash": math.Round(c.m.NominalTeraHashes*1000) / 1000, "hash-average": c.tera(time.Duration(max(1, c.elapsed())) * time.Second),
		"hash-1min": c.tera(time.Minute), "hash-15min": c.tera(15 * time.Minute), "hash-realtime": c.tera(5 * time.Second),
		"power-rate": c.perTera(), "power-5min": c.watts(), "power-realtime": c.watts(), "power-limit": int(math.Round(c.inForce())),
		"environment-temperature": 26.5, "board-temperature": temperatures,
		"chip-temp-min": c.warmth(), "chip-temp-avg": c.warmth() + 9, "chip-temp-max": c.warmth() + 18,
		"up-freq-finish": c.searched(), "fan-speed-in": c.fan(), "fan-speed-out": c.fan(),
	}
}

func (c *call) edevsV3() any {
	n := c.m.Model.Boards
	boards := make([]object, n)
	for i := range boards {
		boards[i] = object{
			"id": i, "slot": i, "hash-average": math.Round(c.tera(15*time.Minute)/float64(n)*1000) / 1000,
			"factory-hash": math.Round(c.m.NominalTeraHashes/float64(n)*1000) / 1000, "freq": c.clock(),
			"effective-chips": c.m.Model.ChipsPerBoard,
			"chip-temp-min":   c.warmth(), "chip-temp-avg": c.warmth() + 9, "chip-temp-max": c.warmth() + 18,
		}
	}
	return boards
}

func (c *call) poolsV3() any {
	return []object{{
		"id": 1, "url": poolURL, "status": "alive", "account": "site.worker", "stratum-active": !c.off,
		"reject-rate": 0, "last-share-time": c.now.Unix() - 4,
	}}
}

// setting is what is set, whatever is in force.
func (c *call) setting() object {
	limit := c.limit
	if limit == maxWatts {
		limit = int(math.Round(c.inForce()))
	}
	percent := c.percent
	if percent == 100 {
		// No percentage at all.
		percent = 0
	}
	return object{
		"power-limit": limit, "upfreq-speed": c.upfreq, "power-mode": modes[c.mode].name, "fast-boot": onOff(c.fastBoot),
		"fast-hash": "disable", "heat-mode": "normal", "target-freq": 0, "power": c.wanted, "power-percent": percent,
		"btrom-worker-suffix": "",
	}
}
