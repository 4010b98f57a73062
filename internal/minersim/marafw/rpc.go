package marafw

import (
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// serveRPC answers on port 4028, where everything is read and nothing written.
func serveRPC(d *minersim.Device, c net.Conn) {
	overrpc.ServeOne(c, func(r overrpc.Request, err error) (out []byte) {
		do(d, nil, func(c *call) { out, _ = json.Marshal(c.run(r, err)) })
		return out
	})
}

// Codes of failures, the whole family's.
const (
	codeInvalidCommand = 14
	codeInvalidJSON    = 23
	codeMissingCommand = 24
)

var commands = map[string]func(*call) object{
	"version": rpcVersion, "summary": rpcSummary, "stats": rpcStats, "devs": rpcDevs, "pools": rpcPools,
}

func (c *call) run(r overrpc.Request, bad error) object {
	switch read, ok := commands[r.Command]; {
	case bad != nil:
		return c.rpc("E", codeInvalidJSON, "Invalid JSON", "", nil)
	case r.Command == "":
		return c.rpc("E", codeMissingCommand, "Missing JSON 'command'", "", nil)
	case !ok:
		return c.rpc("E", codeInvalidCommand, "Invalid command", "", nil)
	default:
		return read(c)
	}
}

func (c *call) rpc(letter string, code int, message, section string, rows []object) object {
	reply := object{
		"STATUS": []object{{"STATUS": letter, "When": c.now.Unix(), "Code": code, "Msg": message, "Description": "kaonsu " + c.d.FirmwareVersion}},
		"id":     1,
	}
	if section != "" {
		reply[section] = rows
	}
	return reply
}

// head is who answers; clients look for either name of the firmware.
func (c *call) head() object {
	return object{
		"BMMiner": "MARAFW_" + c.d.FirmwareVersion, "API": "3.1", "Miner": "kaonsu " + c.d.FirmwareVersion,
		"Type": c.model.Name, "Model": c.model.Name,
	}
}

func rpcVersion(c *call) object {
	return c.rpc("S", 22, "CGMiner versions", "VERSION", []object{c.head()})
}

func rpcSummary(c *call) object {
	return c.rpc("S", 11, "Summary", "SUMMARY", []object{{
		"Elapsed": int(c.m.Uptime() / time.Second), "GHS 5s": c.giga(5 * time.Second), "GHS 30m": c.giga(30 * time.Minute),
		"GHS av": c.giga(24 * time.Hour), "Accepted": int(c.m.Uptime()/time.Second) / 8, "Rejected": 0, "Hardware Errors": 0, "Best Share": 0,
	}})
}

func rpcDevs(c *call) object {
	boards := c.boards(func(i int, giga, _ float64) object {
		return object{
			"ASC": i, "ID": i, "Name": "BTM_SOC", "Enabled": "Y", "Status": "Alive", "Temperature": c.warmth(),
			"MHS 5s": giga * 1000, "MHS av": giga * 1000, "Accepted": 0, "Rejected": 0, "Hardware Errors": 0,
		}
	})
	return c.rpc("S", 9, fmt.Sprintf("%d ASC(s)", len(boards)), "DEVS", boards)
}

func rpcStats(c *call) object {
	row := object{
		"STATS": 0, "ID": "BTM_SOC0", "Elapsed": int(c.m.Uptime() / time.Second), "GHS 5s": c.giga(5 * time.Second),
		"GHS av": c.giga(24 * time.Hour), "rate_30m": c.giga(30 * time.Minute), "rate_unit": "GH", "total_rateideal": c.ideal(),
		"miner_count": c.model.Boards, "total_acn": c.model.Boards * c.model.ChipsPerBoard, "miner_version": c.d.FirmwareVersion,
	}
	for i := range c.model.Boards {
		row[fmt.Sprintf("chain_acn%d", i+1)] = c.model.ChipsPerBoard
		row[fmt.Sprintf("chain_rate%d", i+1)] = fmt.Sprintf("%.2f", c.giga(5*time.Second)/float64(c.model.Boards))
		row[fmt.Sprintf("temp_chip%d", i+1)] = fmt.Sprintf("%g-%g", c.warmth()+12, c.warmth()+15)
	}
	return c.rpc("S", 70, "CGMiner stats", "STATS", []object{c.head(), row})
}

func rpcPools(c *call) object {
	return c.rpc("S", 7, "1 Pool(s)", "POOLS", []object{{
		"POOL": 0, "URL": "stratum+tcp://pool.example:3333", "User": "site.worker", "Status": "Alive", "Priority": 0,
		"Accepted": int(c.m.Uptime()/time.Second) / 8, "Rejected": 0, "Stratum Active": c.mode.Selector != sleep,
	}})
}
