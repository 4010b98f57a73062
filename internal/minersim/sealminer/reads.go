package sealminer

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// reads are the RPC's.
var reads = map[string]func(*call) object{
	"version": func(c *call) object {
		return c.ok(22, "BDMiner versions", "VERSION", []object{{"BDMiner": "4.11.1", "API": "3.7"}})
	},
	"stats": stats, "summary": summary, "devs": devs, "edevs": devs, "devdetails": devDetails, "pools": pools,
	"asccount": func(c *call) object {
		return c.ok(104, "ASC count", "ASCS", []object{{"Count": 1}})
	},
	"config": func(c *call) object {
		return c.ok(33, "BDMiner config", "CONFIG", []object{{
			"ASC Count": 1, "PGA Count": 0, "Pool Count": len(c.settings.pools), "Strategy": "Failover", "Log Interval": 5, "OS": "Linux",
		}})
	},
	"coin": func(c *call) object {
		return c.ok(78, "BDMiner coin", "COIN", []object{{"Hash Method": "sha256", "Current Block Time": 0.0, "LP": true, "Network Difficulty": 0.0}})
	},
}

const (
	firmware     = "2025091001"
	controlBoard = "taurus_air_v1.1"
	fans         = 4
	maxFan       = 6000
	// sensors is how many temperatures a board has.
	sensors = 4
	// coolest and warming are of the boards and move nothing.
	coolest, warming = 30, 40
	// Of the supply, as recorded.
	psuEfficiency, psuIn, psuOut = 0.922374, 246.0, 15.671
)

// name is the model without its maker: A2.
func (c *call) name() string {
	_, name, found := strings.Cut(c.model.Name, " ")
	if !found {
		return c.model.Name
	}
	return name
}

// mega is an average hashrate in MH/s.
func (c *call) mega(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over)*1e8) / 100
}

// elapsed is how long the boards have been up, in seconds.
func (c *call) elapsed() int { return max(0, int((c.m.Now()-c.began-bootTime)/time.Second)) }

func (c *call) load() float64 { return math.Min(1, c.m.Watts()/c.m.NominalWatts) }

func (c *call) warmth() int { return int(coolest + warming*c.load()) }

// ideal is what the clocks should give, in MH/s.
func (c *call) ideal() int { return int(c.m.TeraHashes() * 1e6) }

func (c *call) megaHertz() int {
	return int(math.Round(float64(c.model.DefaultMegaHertz) * c.m.TeraHashes() / c.terahash))
}

// windows are what hashrates are averaged over, by name. Of boards only the first was recorded; a
// client in the field reads the two minutes.
var windows = map[string]time.Duration{
	"Sample": 5 * time.Second, "30s": 30 * time.Second, "1m": time.Minute, "2m": 2 * time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute,
	"30m": 30 * time.Minute, "1h": time.Hour, "2h": 2 * time.Hour, "Avg": 30 * time.Minute,
}

// stats has nearly everything, of the boards by their number in front of a field's name. Hashrates
// are MH/s.
func stats(c *call) object {
	now := c.m.Now()
	s := object{
		"STATS": 0, "ID": "A20", "Elapsed": c.elapsed(), "Calls": 0, "Wait": 0.0, "Max": 0.0, "Min": 99999999.0, "Model": c.name(),
		"ASIC": "Seal02-V1", "Firmware": firmware, "Software Version": "4.11.1-08690-gd309fbe0", "IP": c.d.Address.Addr().String(), "MAC": c.d.MAC,
		"Ctrl Board": controlBoard, "Ctrl Board SN": c.d.Serial, "Debug": true, "PM State": c.powerState(now), "BIN Version": 1, "BIN Number": 24,
		"Chip Count": c.model.Boards * c.model.ChipsPerBoard, "Bad Chip Count": 0, "Mining Mode": modeNames[c.settings.mode], "Temp": c.warmth(),
		"Error Chip": "", "Stratum Disconnect": false, "Error Code": "", "Boot Time": bootTime.Seconds(), "Boot Temp": 39,
		"Tune Status": c.tuneStatus(now), "Raise Freq Done Reason": "Input Power Limit", "Raise Freq Done": c.elapsed() >= int(raiseTime.Seconds()),
		"Raise Freq Time": raiseTime.Seconds(), "Fast Raise Freq": false, "Liquid Cooling": false, "System Uptime": int(c.m.Uptime() / time.Second),
		"Target Ctrl Temp": 70, "MHS(Rated)": math.Round(c.terahash*minersim.HashShare(modeShares[normal])*1e8) / 100, "Power Limit": c.settings.limit,
		"Boot Count": c.boots, "MHS(Ideal)": c.ideal(), "Freq": c.megaHertz(), "Chip Voltage": 307,
	}
	for name, over := range windows {
		s["MHS("+name+")"] = c.mega(over)
	}
	c.addSupply(s)
	c.addFans(s)
	c.addBoards(s)
	return c.ok(70, "BDMiner stats", "STATS", []object{s})
}

func (c *call) watts() int { return int(math.Round(c.m.ReportedWatts())) }

func (c *call) addSupply(s object) {
	out := psuEfficiency * float64(c.watts())
	for name, v := range map[string]any{
		"Model": "BTPSU04KSA-03.00", "Firmware": "222121", "Error": "0x00000000", "SN": c.d.Serial + "P", "Input Voltage": psuIn,
		"Output Voltage": psuOut, "Output Current": math.Round(out / psuOut), "Input Power": c.watts(), "Output Power": int(out),
		"Fan Speed": 4408, "Temp AMB": 26, "Efficiency": psuEfficiency,
	} {
		s["PSU "+name] = v
	}
}

func (c *call) addFans(s object) {
	s["Fan Count"] = fans
	for i := range fans {
		s[fmt.Sprintf("%d PWM", i)] = int(40 + 110*c.load())
		s[fmt.Sprintf("%d Speed", i)] = int(maxFan * (0.2 + 0.6*c.load()))
	}
}

func (c *call) addBoards(s object) {
	s["Board Count"] = c.model.Boards
	n := float64(c.model.Boards)
	for i := range c.model.Boards {
		for name, v := range map[string]any{
			"SN": c.boardSerial(i), "Online": true, "Chip Count": c.model.ChipsPerBoard, "Bad Chip Count": 0, "Tune Status": c.tuneStatus(c.m.Now()),
			"MHS(Ideal)": c.ideal() / c.model.Boards, "Freq": c.megaHertz(),
		} {
			s[fmt.Sprintf("%d %s", i, name)] = v
		}
		for name, over := range windows {
			s[fmt.Sprintf("%d MHS(%s)", i, name)] = c.mega(over) / n
		}
		for j := range sensors {
			s[fmt.Sprintf("%d Temp %d", i, j)] = c.warmth() - 5*(sensors-1-j)
		}
	}
}

func (c *call) boardSerial(i int) string { return fmt.Sprintf("%sB%d", c.d.Serial, i) }

func summary(c *call) object {
	up := c.elapsed()
	return c.ok(11, "Summary", "SUMMARY", []object{{
		"Elapsed": up, "MHS av": c.mega(30 * time.Minute), "MHS 5s": c.mega(5 * time.Second), "MHS 1m": c.mega(time.Minute),
		"MHS 5m": c.mega(5 * time.Minute), "MHS 15m": c.mega(15 * time.Minute), "Found Blocks": 0, "Getworks": up / 9, "Accepted": up / 2,
		"Rejected": 0, "Hardware Errors": 0, "Utility": 34.37, "Discarded": 0, "Stale": 0, "Get Failures": 0, "Local Work": 0, "Remote Failures": 0,
		"Network Blocks": 2, "Total MH": math.Round(c.mega(30*time.Minute) * float64(up)), "Work Utility": 2889807.43, "Difficulty Accepted": float64(up) * 47000,
		"Difficulty Rejected": 0.0, "Difficulty Stale": 0.0, "Best Share": 33318911, "Device Hardware%": 0.0, "Device Rejected%": 0.0,
		"Pool Rejected%": 0.0, "Pool Stale%": 0.0, "Last getwork": c.d.Clock().Now().Unix(),
	}})
}

// devs is one device, whatever its boards (assumed).
func devs(c *call) object {
	return c.ok(9, "1 ASC(s)", "DEVS", []object{{
		"ASC": 0, "Name": "A2", "ID": 0, "Enabled": "Y", "Status": "Alive", "Temperature": float64(c.warmth()), "MHS av": c.mega(30 * time.Minute),
		"MHS 5s": c.mega(5 * time.Second), "MHS 1m": c.mega(time.Minute), "MHS 5m": c.mega(5 * time.Minute), "MHS 15m": c.mega(15 * time.Minute),
		"Accepted": c.elapsed() / 2, "Rejected": 0, "Hardware Errors": 0, "Device Elapsed": c.elapsed(),
	}})
}

// devDetails is where clients find the model; the other fields are the family's.
func devDetails(c *call) object {
	return c.ok(69, "Device Details", "DEVDETAILS", []object{{
		"DEVDETAILS": 0, "Name": "A2", "ID": 0, "Driver": "sealminer", "Kernel": "", "Model": c.name(), "Device Path": "",
	}})
}

func pools(c *call) object {
	list := make([]object, len(c.settings.pools))
	for i, p := range c.settings.pools {
		active := i == 0 && c.m.TeraHashes() > 0
		list[i] = object{
			"POOL": i, "URL": p.URL, "Status": "Alive", "Priority": i, "Quota": 1, "Long Poll": "N", "Getworks": 0, "Accepted": 0, "Rejected": 0,
			"Works": 0, "Discarded": 0, "Stale": 0, "Get Failures": 0, "Remote Failures": 0, "User": p.User, "Last Share Time": c.d.Clock().Now().Unix() - 2,
			"Stratum Active": active, "Stratum URL": strings.TrimPrefix(p.URL, "stratum+tcp://"), "Has Stratum": true, "Pool Rejected%": 0.0, "Pool Stale%": 0.0,
		}
	}
	return c.ok(7, fmt.Sprintf("%d Pool(s)", len(list)), "POOLS", list)
}
