package axeos

import (
	"maps"
	"math"
	"strings"
	"time"
)

// places rounds to three: the firmware's floats have a few.
func places(v float64) float64 { return math.Round(v*1e3) / 1e3 }

// giga is a mean hashrate in GH/s. The longer ones go on after a machine stopped.
func (c *call) giga(over time.Duration) float64 {
	return places(1e3 * c.m.AverageTeraHashes(over))
}

// chips are how many of them the model has.
func (c *call) chips() int { return c.m.Model.Boards * c.m.Model.ChipsPerBoard }

// expected is what so many cores at that clock should do, GH/s.
func (c *call) expected() float64 {
	return places(c.frequency() * float64(c.cores) * float64(c.chips()) / 1e3)
}

// warmth rises with the load; nothing depends on it.
func (c *call) warmth() float64 { return places(28 + 32*c.m.Watts()/c.m.NominalWatts) }

// info is the machine in one document.
func info(c *call) (any, error) {
	watts, volts := c.m.ReportedWatts(), 1.02*float64(c.input)
	now := 1e3 * c.m.TeraHashes()
	out := object{
		"power": places(watts), "voltage": places(1e3 * volts), "current": places(1e3 * watts / volts),
		"temp": c.warmth(), "temp2": -1.0, "vrTemp": c.warmth() + 5, "maxPower": c.maxWatts, "nominalVoltage": c.input,
		"hashRate": places(now), "hashRate_1m": c.giga(time.Minute), "hashRate_10m": c.giga(10 * time.Minute),
		"hashRate_1h": c.giga(time.Hour), "expectedHashrate": c.expected(), "errorPercentage": 0.1,
		"bestDiff": 431_000_000, "bestSessionDiff": 12_400_000, "poolDifficulty": 1000,
		"isUsingFallbackStratum": 0, "poolConnectionInfo": "IPv4", "isPSRAMAvailable": 1,
		"freeHeap": 8_200_000, "freeHeapInternal": 120_000, "freeHeapSpiram": 8_080_000,
		"coreVoltageActual": c.coreVoltage(), "macAddr": strings.ToUpper(c.d.MAC),
		"ipv4": c.d.Address.Addr().String(), "ipv6": "", "wifiStatus": "Connected!", "wifiRSSI": -52, "apEnabled": 0,
		"sharesAccepted": int(c.m.Uptime().Seconds()) / 5, "sharesRejected": 0, "sharesRejectedReasons": []any{},
		"uptimeSeconds": int(c.m.Uptime().Seconds()), "smallCoreCount": c.cores, "ASICModel": c.m.Model.Chip,
		"stratumSuggestedDifficulty": 1000, "stratumExtranonceSubscribe": 0, "stratumTLS": 0,
		"fallbackStratumSuggestedDifficulty": 1000, "fallbackStratumExtranonceSubscribe": 0, "fallbackStratumTLS": 0,
		"responseTime": 24.5, "version": c.release, "axeOSVersion": c.release, "idfVersion": "v5.5.1",
		"boardVersion": c.version, "resetReason": "Software reset via esp_restart", "runningPartition": "ota_0",
		"display": "SSD1306 (128x32)", "fanspeed": 40.0, "fanrpm": 3800, "fan2rpm": 0, "blockFound": 0, "showNewBlock": false,
		"hashrateMonitor": object{"asics": c.monitor(now)},
	}
	maps.Copy(out, c.settings)
	if c.pauses {
		out["miningPaused"] = c.paused
	} else {
		// Numbers became numbers with 2.14; before they were texts for people (assumed: the step).
		out["bestDiff"], out["bestSessionDiff"] = "431M", "12.4M"
	}
	return out, nil
}

// coreVoltage as measured, mV.
func (c *call) coreVoltage() int {
	if c.paused {
		return 0
	}
	v, _ := c.settings["coreVoltage"].(float64)
	return int(v) - 12
}

// monitor is what each chip and each quarter of it does.
func (c *call) monitor(now float64) []object {
	list := make([]object, c.chips())
	each := now / float64(len(list))
	for i := range list {
		quarter := places(each / 4)
		list[i] = object{"total": places(each), "domains": []float64{quarter, quarter, quarter, quarter}, "errorCount": 0}
	}
	return list
}

// asic is what may be set.
func asic(c *call) (any, error) {
	return object{
		"ASICModel": c.m.Model.Chip, "deviceModel": c.device, "swarmColor": c.color, "asicCount": c.chips(),
		"defaultFrequency": int(c.clock), "frequencyOptions": c.clocks, "defaultVoltage": c.volts, "voltageOptions": c.voltages,
	}, nil
}

// statistics are off, as machines come.
func statistics(c *call) (any, error) {
	return object{"currentTimestamp": c.m.Uptime().Milliseconds(), "labels": []string{}, "statistics": []any{}}, nil
}
