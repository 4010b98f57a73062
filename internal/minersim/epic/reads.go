package epic

import (
	"fmt"
	"math"
	"strings"
	"time"
)

var reads = map[string]func(*call) any{
	"summary": summary, "capabilities": capabilities, "network": network, "ethernet": network,
	"perpetualtune": perpetualTune, "hashrate": hashrate, "clocks": clocks, "voltages": voltages,
	"temps": temps, "temps/board": temps, "temps/chip": chipTemps,
	"history":                     func(*call) any { return object{"History": []object{}} },
	"hashrate/history/continuous": func(*call) any { return []object{} },
	"hashrate/history/discrete":   func(*call) any { return []object{} },
	"hashratesplit/config":        func(*call) any { return object{"enabled": false, "hashrate_splits": []object{}} },
	"hashratesplit/status":        func(*call) any { return []object{} },
	"timezone":                    func(*call) any { return "UTC" },
	"log":                         func(*call) any { return text("") },
	"log/error":                   func(*call) any { return text("") },
}

const (
	// fans is how many there are.
	fans = 4
	// slots is how many fans the firmware could list.
	slots = 12
	// maxRPM is that of a fan at full speed.
	maxRPM = 6000
	// warmest and coolest bound board temperatures, which follow the watts and move nothing.
	coolest, warmest = 28, 62
)

// tenth rounds to what anyone would print.
func tenth(x float64) float64 { return math.Round(10*x) / 10 }

// load is how much of its nominal watts the machine draws.
func (c *call) load() float64 { return math.Min(1, c.m.Watts()/c.m.NominalWatts) }

func (c *call) warmth() float64 { return tenth(coolest + (warmest-coolest)*c.load()) }

// megaPerBoard is the hashrate of each enabled board, in MH/s.
func (c *call) megaPerBoard(over time.Duration) float64 {
	return math.Round(c.m.AverageTeraHashes(over) * 1e6 / math.Round(c.share()*float64(len(c.disabled))))
}

// clock is the one that the chips run at now, MHz.
func (c *call) clock() float64 {
	return tenth(c.m.TeraHashes() / c.terahash / c.share() * float64(c.model.DefaultMegaHertz))
}

// percent is a board's hashrate against what its clock should give.
func (c *call) percent() float64 {
	if c.m.TeraHashes() == 0 {
		return 0
	}
	return 100
}

// boards makes something of each enabled board.
func (c *call) boards(of func(index int) object) []object {
	list := []object{}
	for i, off := range c.disabled {
		if !off {
			list = append(list, of(i))
		}
	}
	return list
}

func (c *call) hostname() string {
	if c.settings.hostname != "" {
		return c.settings.hostname
	}
	return "cminer" + strings.ToLower(c.d.Serial)
}

// summary has hashrates in MH/s, and targets in what their unit says. Of the supply only the watts
// at the wall and the voltage are told, as recorded.
func summary(c *call) any {
	state := c.operating(c.m.Now())
	s := object{
		"Status":   object{"Last Command": nil, "Last Command Result": nil, "Last Error": nil, "Operating State": state},
		"Hostname": c.hostname(), "Software": "PowerPlay-BMS v" + c.version, "OS Type": "umcOS",
		"Mining": object{"Algorithm": "SHA-256", "Coin": "BTC"}, "PresetInfo": object{"Target Power": round50(c.model.Watts)},
		"HBs": c.boards(c.board), "HBStatus": c.boardStatus(), "HwConfig": object{"Boards Target Clock": c.boards(c.boardClock)},
		"Power Supply Stats": c.supply(), "PerpetualTune": object{
			"Running": c.tuning.on, "Algorithm": object{c.tuning.algorithms[c.tuning.current].name: c.stats(c.tuning.current)},
		},
		"Session": c.session(), "Stratum": c.stratum(), "StratumConfigs": c.settings.pools,
		"Fans": c.fans(), "Fans Rpm": c.fanSpeeds(),
		"Misc": object{
			"Critical Temp": c.settings.criticalC, "Locate Miner State": c.settings.locating, "Shutdown Temp": c.settings.shutdownC,
		},
		"Disable Board On Failure": c.settings.dropBoards, "Enable Boards On Idle": c.settings.healBoards,
		"IdleOnConnectionLost": c.settings.idleOnLoss, "Overdrive": c.settings.overdrive, "Last License Error": nil,
	}
	if c.version != oldest {
		s["PreInitCooldown Max Duration"] = c.settings.cooldownSeconds
	}
	if c.version == newest {
		s["Last Devfee Error"], s["Scheduler"] = nil, object{"CurrentIdlePeriod": nil, "Enable": false}
	}
	return s
}

func (c *call) board(index int) object {
	return object{
		"Core Clock": []float64{}, "Core Clock Avg": c.clock(), "Index": index, "Temperature": c.warmth(),
		"Hashrate":      []float64{c.megaPerBoard(5 * time.Second), c.percent(), 0},
		"Input Current": 0.0, "Input Power": 0.0, "Input Voltage": float64(c.manual.millivolts) / 1000,
		"Output Current": 0.0, "Output Power": 0.0, "Output Voltage": 0.0,
	}
}

func (c *call) boardStatus() []object {
	list := make([]object, len(c.disabled))
	for i, off := range c.disabled {
		list[i] = object{"Detected": true, "Enabled": !off, "Index": i}
	}
	return list
}

func (c *call) boardClock(index int) object {
	return object{"Data": tenth(c.clockFor(c.watts())), "Index": index}
}

func (c *call) supply() object {
	volts := float64(c.manual.millivolts) / 1000
	if c.m.TeraHashes() == 0 {
		volts = 0
	}
	s := object{
		"Input Current": 0.0, "Input Power": math.Round(1e4*c.m.ReportedWatts()) / 1e4, "Input Voltage": 0.0,
		"Output Current": 0.0, "Output Power": 0.0, "Output Voltage": volts, "Target Voltage": c.manual.millivolts,
	}
	if c.version == newest {
		s["Temperature"] = []int{int(c.warmth())}
	}
	return s
}

func (c *call) session() object {
	up := int(c.m.Uptime() / time.Second)
	began := c.d.Clock().Now().Add(-c.m.Uptime()).UTC()
	return object{
		"Accepted": up / 12, "Rejected": 0, "Submitted": up / 12, "Active HBs": len(c.boards(c.boardClock)),
		"Average MHs": math.Round(c.m.AverageTeraHashes(30*time.Minute) * 1e6), "Difficulty": 262144.0,
		"Last Accepted Share Timer": 5, "Last Accepted Share Timestamp": began.Unix() + int64(up) - 5,
		"Last Work Timer": 20, "Last Work Timestamp": began.Unix() + int64(up) - 20, "LastAverageMHs": nil,
		"Startup String":    began.Format("Mon, 02 Jan 2006 15:04:05 +0000"),
		"Startup Timestamp": began.Unix(), "Uptime": up, "WorkReceived": up / 36,
	}
}

func (c *call) stratum() object {
	p := c.settings.pools[0]
	return object{
		"Average Latency": 0.04, "Config Id": 0, "Current Pool": strings.TrimPrefix(p.Pool, "stratum+tcp://"),
		"Current User": p.Login, "IsPoolConnected": c.m.TeraHashes() > 0, "Worker Unique Id": false,
		"Worker Unique Id Variant": "IpAddress",
	}
}

func (c *call) fanPercent() int { return int(20 + 75*c.load()) }

func (c *call) fans() object {
	f := object{"Fan Mode": c.settings.fans, "Fans Speed": c.fanPercent(), "Minimum Working Fans": c.settings.leastFans}
	if c.version == newest {
		f["Working Fan Indices"] = []int{0, 1, 2, 3}
	}
	return f
}

// fanSpeeds names every fan that could be; those that are not have none.
func (c *call) fanSpeeds() object {
	list := object{}
	for i := range slots {
		name := fmt.Sprintf("Fans Speed %d", i+1)
		if list[name] = nil; i < fans {
			list[name] = maxRPM * c.fanPercent() / 100
		}
	}
	return list
}

func perpetualTune(c *call) any {
	all := object{}
	for i, a := range c.tuning.algorithms {
		all[a.name] = c.stats(i)
	}
	p := object{
		"Enable": c.tuning.on, "Running": c.tuning.on, "Current Algorithm": c.tuning.algorithms[c.tuning.current].name,
		"Algorithms": all,
	}
	if c.version == newest {
		p["Enable Error Throttle"] = c.tuning.errors
	}
	return p
}

func network(c *call) any {
	return object{"dhcp": object{
		"address": c.d.Address.Addr().String(), "dns": "127.0.0.1", "gateway": "127.0.0.1",
		"mac_address": strings.ToUpper(c.d.MAC), "netmask": "255.0.0.0",
	}}
}
