package antminer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// serveRPC answers on port 4028, where everything is read and nothing written.
func serveRPC(d *minersim.Device, c net.Conn) {
	overrpc.ServeOne(c, func(r overrpc.Request, err error) (out []byte) {
		do(d, nil, func(c *call) {
			if c.answers(c.m.Now()) {
				out, _ = json.Marshal(c.run(r, err))
				out = c.spoiled(r.Command, out)
			}
		})
		return out
	})
}

// spoiled leaves out the comma that the oldest machines leave out of stats.
func (c *call) spoiled(command string, out []byte) []byte {
	if c.restless && command == "stats" {
		return bytes.Replace(out, []byte("},{"), []byte("}{"), 1)
	}
	return out
}

// Codes of failures, the whole family's.
const (
	codeInvalidCommand = 14
	codeInvalidJSON    = 23
	codeMissingCommand = 24
)

// commands by name; several joined with a plus are not understood.
var commands = map[string]func(*call) object{
	"version": rpcVersion, "summary": rpcSummary, "stats": rpcStats, "pools": rpcPools, "devs": rpcDevs,
}

func (c *call) run(r overrpc.Request, bad error) object {
	switch read, ok := commands[r.Command]; {
	case bad != nil:
		return c.rpc("E", codeInvalidJSON, "Invalid JSON")
	case r.Command == "":
		return c.rpc("E", codeMissingCommand, "Missing JSON 'command'")
	case !ok:
		return c.rpc("E", codeInvalidCommand, "Invalid command")
	case r.NewAPI && !c.form && newAPI[r.Command] != nil:
		return newAPI[r.Command](c)
	default:
		return read(c)
	}
}

// newAPI gives the replies of the pages.
var newAPI = map[string]func(*call) object{
	"summary": (*call).webSummary, "stats": (*call).webStats, "pools": (*call).webPools,
}

func (c *call) rpc(letter string, code int, message string) object {
	return object{
		"STATUS": []object{{
			"STATUS": letter, "When": c.now.Unix(), "Code": code, "Msg": message, "Description": "cgminer 1.0.0",
		}},
		"id": 1,
	}
}

// with adds a section to a reply.
func with(reply object, section string, rows []object) object {
	reply[section] = rows
	return reply
}

func rpcVersion(c *call) object {
	return with(c.rpc("S", 22, "CGMiner versions"), "VERSION", []object{{
		"BMMiner": c.bmminer, "API": "3.1", "Miner": c.miner, "CompileTime": c.compiled, "Type": c.kind(),
	}})
}

// rate is a hash rate as this generation writes it: the oldest as text.
func (c *call) rate(giga float64) any {
	if c.form {
		return strconv.FormatFloat(giga, 'f', 2, 64)
	}
	return giga
}

func rpcSummary(c *call) object {
	elapsed := c.elapsed(c.m)
	return with(c.rpc("S", 11, "Summary"), "SUMMARY", []object{{
		"Elapsed": elapsed, "GHS 5s": c.rate(c.giga(now5s)), "GHS av": c.giga(always), "GHS 30m": c.giga(half), "Found Blocks": 0,
		"Getworks": elapsed / 30, "Accepted": c.shares(0), "Rejected": 0, "Hardware Errors": 0, "Utility": 12.79, "Discarded": 0,
		"Stale": 0, "Get Failures": 0, "Local Work": elapsed, "Remote Failures": 0, "Network Blocks": elapsed / 600,
		"Total MH": c.giga(always) * 1000 * float64(elapsed), "Work Utility": 0.0, "Difficulty Accepted": 0.0,
		"Difficulty Rejected": 0.0, "Difficulty Stale": 0.0, "Best Share": 13416269, "Device Hardware%": 0.0,
		"Device Rejected%": 0.0, "Pool Rejected%": 0.0, "Pool Stale%": 0.0, "Last getwork": c.now.Unix(),
	}})
}

func rpcPools(c *call) object {
	rows := make([]object, 0, maxPools)
	for i, p := range c.settings.pools {
		if p.URL == "" {
			continue
		}
		rows = append(rows, object{
			"POOL": i, "URL": p.URL, "Status": c.poolStatus(), "Priority": i, "Quota": 1, "Long Poll": "N",
			"Getworks": c.elapsed(c.m) / 30, "Accepted": c.shares(i), "Rejected": 0, "Discarded": 0, "Stale": 0, "Get Failures": 0,
			"Remote Failures": 0, "User": p.User, "Last Share Time": "0", "Diff": "262K", "Diff1 Shares": 0, "Proxy Type": "", "Proxy": "",
			"Difficulty Accepted": 0.0, "Difficulty Rejected": 0.0, "Difficulty Stale": 0.0, "Last Share Difficulty": 0.0,
			"Has Stratum": true, "Stratum Active": i == 0 && !c.asleep(), "Stratum URL": strings.TrimPrefix(p.URL, "stratum+tcp://"),
			"Has GBT": false, "Best Share": 0.0, "Pool Rejected%": 0.0,
			// Recorded with two percent signs.
			"Pool Stale%%": 0.0,
		})
	}
	return with(c.rpc("S", 7, fmt.Sprintf("%d Pool(s)", len(rows))), "POOLS", rows)
}

// rpcDevs is one device for all boards; its temperature is misspelt, its hash rate in MH/s.
func rpcDevs(c *call) object {
	return with(c.rpc("S", 9, "1 ASC(s)"), "DEVS", []object{{
		"ASC": 0, "Name": "BTM_SOC", "ID": 0, "Enabled": "Y", "Status": "Alive", "Tenperature": float64(c.warmth()),
		"MHS av": c.giga(always) * 1000, "MHS 5s": c.giga(now5s) * 1000, "Accepted": c.shares(0), "Rejected": 0,
		"Hardware Errors": 0, "Utility": 0.0, "Last Share Pool": 0, "Last Share Time": c.now.Unix(), "Total MH": 0.0,
		"Device Hardware%": 0.0, "Device Rejected%": 0.0, "Device Elapsed": c.elapsed(c.m),
	}})
}

// rpcStats has no mode and no watts, but the mode of the oldest generation.
func rpcStats(c *call) object {
	head := object{"BMMiner": c.bmminer, "Miner": c.miner, "CompileTime": c.compiled, "Type": c.kind()}
	row := object{
		"STATS": 0, "ID": "BTM_SOC0", "Elapsed": c.elapsed(c.m), "Calls": 0, "Wait": 0, "Max": 0, "Min": 99999999,
		"GHS 5s": c.rate(c.giga(now5s)), "GHS av": c.giga(always), "Mode": 2, "miner_count": c.m.Model.Boards,
		"frequency": c.megaHertz(), "fan_num": fans, "temp_num": c.m.Model.Boards, "rate_unit": "GH", "total_rateideal": c.ideal(),
		"total_freqavg": c.megaHertz(), "total_acn": c.m.Model.Boards * c.m.Model.ChipsPerBoard, "total rate": c.giga(always),
		"temp_max": 0, "no_matching_work": 0, "miner_version": c.miner, "miner_id": strings.ReplaceAll(c.d.MAC, ":", "") + "0481",
	}
	slots := 4
	if c.form {
		slots = 16
		row["Mode"], row["GHS 30m"], row["frequency"] = c.number(c.settings.mode), c.giga(half), ""
		if c.restless {
			delete(row, "Mode")
		}
	} else {
		row["rate_30m"] = c.giga(half)
	}
	for i, speed := range c.fanSpeeds() {
		row[fmt.Sprintf("fan%d", i+1)] = speed
	}
	for slot := 1; slot <= slots; slot++ {
		c.fillSlot(row, slot)
	}
	return with(c.rpc("S", 70, "CGMiner stats"), "STATS", []object{head, row})
}

// fillSlot describes one place for a board, in use or not.
func (c *call) fillSlot(row object, slot int) {
	chips, chain, real, temps, clock := 0, "", "", "0-0-0-0", 0
	if slot >= c.firstSlot && slot < c.firstSlot+c.m.Model.Boards {
		t := c.warmth()
		chips, chain, clock = c.m.Model.ChipsPerBoard, c.chips(), c.megaHertz()
		real = strconv.FormatFloat(c.giga(now5s)/float64(c.m.Model.Boards), 'f', 2, 64)
		temps = fmt.Sprintf("%d-%d-%d-%d", t, t-10, t, t-10)
		row[fmt.Sprintf("temp%d", slot)], row[fmt.Sprintf("temp2_%d", slot)] = t-5, t
	}
	for _, kind := range []string{"temp_pcb", "temp_chip", "temp_pic"} {
		row[kind+strconv.Itoa(slot)] = temps
	}
	n := strconv.Itoa(slot)
	row["chain_acn"+n], row["chain_acs"+n], row["chain_hw"+n], row["chain_rate"+n], row["freq"+n] = chips, chain, 0, real, clock
}
