package auradine

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// rpcReads are the mining software's; REST has them, too.
var rpcReads = map[string]func(*call) object{
	"version": version, "summary": summary, "devs": devs, "edevs": devs, "devdetails": devDetails, "pools": pools, "stats": stats,
	"asccount": func(c *call) object {
		return c.ok(104, "ASC count", "ASCCount", []object{{"AsicCount": c.chips(), "BoardCount": c.model.Boards}})
	},
	"config": func(c *call) object {
		return c.ok(33, "GCMiner config", "CONFIG", []object{{"ASC Count": c.model.Boards, "Pool Count": len(c.settings.pools)}})
	},
}

var reads = func() map[string]func(*call) object {
	all := map[string]func(*call) object{
		"mode": mode, "psu": psu, "fan": fan, "led": led, "ipreport": ipReport, "ipreport2": ipReport, "network": network,
		"temperature": temperature, "voltage": voltage, "frequency": frequency,
	}
	maps.Copy(all, rpcReads)
	return all
}()

const (
	fanCount, maxFan = 4, 7700
	// volts into the supply and out of it, as recorded; the second off.
	voltsIn, voltsOut = 245.0, 11.5
	// supplyEfficiency is assumed.
	supplyEfficiency = 0.94
	// chipVolts and coolest are shown and move nothing.
	chipVolts, coolest, warming = 0.25, 22, 26
)

func (c *call) name() string {
	_, name, found := strings.Cut(c.model.Name, " ")
	if !found {
		return c.model.Name
	}
	return name
}

func (c *call) chips() int { return c.model.Boards * c.model.ChipsPerBoard }

// mega is an average hashrate in MH/s.
func (c *call) mega(over time.Duration) float64 { return c.m.AverageTeraHashes(over) * 1e6 }

func (c *call) elapsed() int { return int(c.m.Uptime() / time.Second) }

func (c *call) load() float64 { return math.Min(1, c.m.Watts()/c.m.NominalWatts) }

func (c *call) warmth() float64 { return coolest + math.Round(warming*16*c.load())/16 }

func version(c *call) object {
	v := c.version
	return c.ok(22, "GCMiner versions", "VERSION", []object{{"API": "1.0", "GCMiner": v}})
}

// summary has watts and the target in force since 2.0.
func summary(c *call) object {
	up := c.elapsed()
	s := object{
		"Accepted": up / 17, "Rejected": 0, "Difficulty Accepted": up * 14000, "Difficulty Rejected": 0, "Elapsed": up,
		"Hardware Errors": 0, "Last getwork": 0, "MHS 5s": c.mega(5 * time.Second), "MHS 1m": c.mega(time.Minute), "MHS 5m": c.mega(5 * time.Minute),
		"MHS 15m": c.mega(15 * time.Minute), "MHS av": c.mega(30 * time.Minute),
		"Total MH": math.Round(c.mega(30*time.Minute) * float64(up)), "Utility": 3.5,
	}
	if c.version == newest {
		s["MHS 24h"], s["Wattage"], s["ThsThrottle"] = s["MHS av"], int(math.Round(c.m.ReportedWatts())), c.throttle()
		s["JTHS 1m"] = 0.0
		if th := c.m.AverageTeraHashes(time.Minute); th > 0 {
			s["JTHS 1m"] = math.Round(100*c.m.ReportedWatts()/th) / 100
		}
	}
	return c.ok(11, "Summary", "SUMMARY", []object{s})
}

// throttle is the hashrate that the tuner goes for, in TH/s.
func (c *call) throttle() float64 {
	if c.sleeping {
		return 0
	}
	return math.Round(10*c.terahash*minersim.HashShare(c.watts()*c.m.Drift()/c.nominal)) / 10
}

// boards makes something of each board, which are counted from 1.
func (c *call) boards(of func(id int) object) []object {
	list := make([]object, c.model.Boards)
	for i := range list {
		list[i] = of(i + 1)
	}
	return list
}

func devs(c *call) object {
	n := float64(c.model.Boards)
	return c.ok(9, fmt.Sprintf("%d Dev(s)", c.model.Boards), "DEVS", c.boards(func(id int) object {
		return object{
			"DEV": id, "ID": id, "Name": "ASICBoard", "Enabled": !c.sleeping, "Status": "Alive", "Temperature": c.warmth(),
			"MHS 5s": c.mega(5*time.Second) / n, "MHS 1m": c.mega(time.Minute) / n, "MHS av": c.mega(30*time.Minute) / n,
		}
	}))
}

// devDetails is where clients find the model; the other fields are assumed.
func devDetails(c *call) object {
	return c.ok(69, "Device Details", "DEVDETAILS", c.boards(func(id int) object {
		return object{"DEVDETAILS": id, "ID": id, "Name": "ASICBoard", "Driver": "GCMiner", "Kernel": "", "Model": c.name(), "Chips": c.model.ChipsPerBoard}
	}))
}

func pools(c *call) object {
	list := make([]object, len(c.settings.pools))
	for i, p := range c.settings.pools {
		active := i == 0 && c.m.TeraHashes() > 0
		list[i] = object{
			"POOL": i, "URL": p.URL, "User": p.User, "Status": "Alive", "Priority": i, "Quota": 1, "Accepted": 0, "Rejected": 0, "Stratum Active": active,
		}
		if i == 0 {
			list[i]["Accepted"] = c.elapsed() / 17
		}
	}
	return c.ok(7, fmt.Sprintf("%d Pool(s)", len(list)), "POOLS", list)
}

func stats(c *call) object {
	return c.ok(70, "GCMiner stats", "STATS", []object{{"STATS": 0, "ID": "POOL0", "Elapsed": c.elapsed(), "Calls": 0}})
}

// mode has the target of a custom mode. The words of its status say normal, whatever the mode, as
// recorded.
func mode(c *call) object {
	onOff := map[bool]string{true: "on", false: "off"}
	s := c.settings
	o := object{"Mode": s.mode, "Sleep": onOff[c.sleeping]}
	switch {
	case c.version != newest:
		o["Power"], o["Ths"] = s.power, s.terahashes
	case s.mode == custom && s.tune == byPower:
		o["Tune"], o["Power"] = s.tune, s.power
	case s.mode == custom:
		o["Tune"], o["Ths"] = s.tune, s.terahashes
	}
	if c.version == newest {
		o["FansInStandby"] = onOff[s.fans]
		o["persistStandby"], o["miningIfNetDown"], o["optimizeEco"] = onOff[s.persist], "off", "off"
	}
	return c.ok(540, fmt.Sprintf("Operating mode: 'normal', sleep: '%t'", c.sleeping), "Mode", []object{o})
}

// psu is all text, units included.
func psu(c *call) object {
	in := c.m.ReportedWatts()
	out := supplyEfficiency * math.Max(0, in-c.m.ResidualWatts)
	unit := func(v float64, of string) string { return fmt.Sprintf("%.2f%s", v, of) }
	return c.ok(570, "PSU status", "PSU", []object{{
		"FanSpeed1": unit(4052, " RPM"), "FanSpeed2": unit(4144, " RPM"), "Iin": unit(in/voltsIn, "A"), "Iout": unit(out/voltsOut, "A"),
		"PoutMax": unit(float64(c.most()), "W"), "PowerIn": unit(in, "W"), "PowerOut": unit(out, "W"), "Vin": unit(voltsIn, "V"),
		"Vout": unit(voltsOut+0.03, "V"), "VoutSet": unit(voltsOut, "V"),
	}})
}

func fan(c *call) object {
	list := make([]object, fanCount)
	for i := range list {
		speed := int(maxFan * (0.2 + 0.75*c.load()))
		list[i] = object{"ID": i + 1, "Max": maxFan, "Speed": speed, "Target": speed - speed%100}
	}
	return c.ok(510, fmt.Sprintf("Total fans: %d", fanCount), "Fan", list)
}

func led(c *call) object {
	message := "Normal"
	if c.led != ledNormal {
		message = "Locate miner"
	}
	return c.ok(530, "Total LEDs 2", "LED", []object{{"Code": c.led, "LED1": 1, "LED2": 1, "Msg": message}})
}

func ipReport(c *call) object {
	serials := make([]string, c.model.Boards)
	for i := range serials {
		serials[i] = fmt.Sprintf("%sB%d", c.d.Serial, i+1)
	}
	return c.ok(620, "IP Report", "IPReport", []object{{
		"command": "ipreport", "CBSerialNo": c.d.Serial, "ChassisSerialNo": "000020", "HBSerialNo": serials, "InternalType": "T0",
		"SerialNo": c.d.Serial, "hostname": "teraflux-01", "ip": c.d.Address.Addr().String(), "mac": c.d.MAC, "model": c.name(),
		"version": c.version, "pubKey": "", "tpmPubKey": "",
	}})
}

func network(c *call) object {
	return c.ok(550, "Network", "Network", []object{{
		"command": "network", "protocol": "dhcp", "ip": c.d.Address.Addr().String(), "mask": "255.0.0.0", "gateway": "127.0.0.1",
		"dns": "127.0.0.1", "hostname": "teraflux-01",
	}})
}

// perChip lists a value for each chip of each board.
func (c *call) perChip(list, field string, value float64) []object {
	return c.boards(func(id int) object {
		chips := make([]object, c.model.ChipsPerBoard)
		for i := range chips {
			chips[i] = object{"ID": i, field: value}
		}
		return object{"ID": id, "Name": fmt.Sprintf("Hash Board %d", id), list: chips}
	})
}

// temperature counts the control board as board 0.
func temperature(c *call) object {
	list := c.perChip("ChipTemp", "Temperature", c.warmth()+20)
	for _, board := range list {
		board["BoardTemp"] = []object{{"ID": 0, "Temperature": c.warmth() - 5}, {"ID": 1, "Temperature": c.warmth()}}
	}
	control := object{"ID": 0, "Name": "Control Board", "BoardTemp": []object{{"ID": 0, "Temperature": float64(coolest)}}, "ChipTemp": nil}
	return c.ok(590, "System temperature", "Temperature", append([]object{control}, list...))
}

func voltage(c *call) object {
	v := chipVolts
	if c.m.TeraHashes() == 0 {
		v = 0
	}
	return c.ok(630, "System voltage", "Voltage", c.perChip("ChipVoltage", "Voltage", v))
}

func frequency(c *call) object {
	mhz := math.Round(100*float64(c.model.DefaultMegaHertz)*c.m.TeraHashes()/c.terahash) / 100
	return c.ok(640, "System frequency", "Frequency", c.perChip("ChipFrequency", "Frequency", mhz))
}
