package vnish

import (
	"fmt"
	"math"
	"net"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

const (
	// rpcPort is where the mining program answers, as that of the stock firmware does.
	rpcPort = 4028
	// rpcName is what it calls itself (assumed).
	rpcName = "cgminer 4.11.1"
	// Codes of the family.
	codeSummary, codePools, codeStats = 11, 7, 70
)

// Doors are the RPC of the mining program: three reads by which clients of others tell the model and the hash
// rate. Its version command fails, as recorded.
func (*Front) Doors() []minersim.Door {
	return []minersim.Door{{Name: "rpc", Port: rpcPort, Serve: serveRPC}}
}

var rpcReads = map[string]func(*call) overrpc.Object{
	"summary": rpcSummary, "stats": rpcStats, "pools": rpcPools,
}

func serveRPC(d *minersim.Device, conn net.Conn) {
	overrpc.Serve(d, conn, rpcName, func(m *minersim.Machine, q overrpc.Request) (any, bool) {
		c := &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now()}
		c.state.m = m
		c.settle(m.Now())
		if read, ok := rpcReads[q.Command]; ok {
			return read(c), false
		}
		return overrpc.Object{"STATUS": overrpc.Status(d, "E", overrpc.CodeInvalidCommand, "Invalid command", rpcName), "id": 1}, false
	})
}

func (c *call) section(code int, message, name string, rows ...overrpc.Object) overrpc.Object {
	return overrpc.Object{"STATUS": overrpc.Status(c.d, "S", code, message, rpcName), name: rows, "id": 1}
}

// rpcSummary is in GH/s, but for the two that say otherwise.
func rpcSummary(c *call) overrpc.Object {
	up := int(c.m.Uptime() / time.Second)
	return c.section(codeSummary, "Summary", "SUMMARY", overrpc.Object{
		"Elapsed": up, "GHS 5s": c.giga(5 * time.Second), "GHS av": c.giga(30 * time.Minute), "Found Blocks": 0, "Getworks": up / 30,
		"Accepted": up / 8, "Rejected": 0, "Hardware Errors": 0, "Utility": 0.0, "Discarded": 0, "Stale": 0, "Get Failures": 0, "Local Work": 0,
		"Remote Failures": 0, "Network Blocks": 0, "Total MH": 0.0, "Work Utility": 0.0, "Device Hardware%": 0.0, "Device Rejected%": 0.0,
		"Pool Rejected%": 0.0, "Pool Stale%": 0.0, "Last getwork": c.now.Unix(), "Best Share": 499065300,
	})
}

// rpcStats is a head that names model and release, and the figures, boards by their number in the keys.
func rpcStats(c *call) overrpc.Object {
	n := c.m.Model.Boards
	figures := overrpc.Object{
		"STATS": 0, "ID": "BTM_SOC0", "Elapsed": int(c.m.Uptime() / time.Second), "Calls": 0, "Wait": 0.0, "Max": 0.0, "Min": 99999999.0,
		"GHS 5s": c.giga(5 * time.Second), "GHS av": c.giga(30 * time.Minute), "rate_unit": "GH", "total_rateideal": c.nominalGiga(),
		"miner_count": n, "frequency": fmt.Sprint(int(c.megaHertz())), "total_acn": n * c.m.Model.ChipsPerBoard, "fan_num": 4, "temp_num": n,
	}
	duty := 20 + 75*math.Min(1, c.m.Watts()/c.m.NominalWatts)
	for i := range 4 {
		figures[fmt.Sprintf("fan%d", i+1)] = 60 * int(duty)
	}
	share := 1 / float64(n)
	for i := 1; i <= n; i++ {
		figures[fmt.Sprintf("chain_acn%d", i)] = c.m.Model.ChipsPerBoard
		figures[fmt.Sprintf("chain_acs%d", i)] = "o"
		figures[fmt.Sprintf("chain_rate%d", i)] = fmt.Sprintf("%.2f", c.giga(5*time.Second)*share)
		figures[fmt.Sprintf("freq%d", i)] = c.megaHertz()
		figures[fmt.Sprintf("temp%d", i)] = c.warmth()
		figures[fmt.Sprintf("temp2_%d", i)] = c.warmth() + 15
	}
	head := overrpc.Object{
		"BMMiner": c.version, "Miner": "uart_trans.1.3", "CompileTime": "Thu May 29 19:22:26 UTC 2025", "Type": c.typeName(),
	}
	return c.section(codeStats, "CGMiner stats", "STATS", head, figures)
}

// typeName is the model, with the firmware behind it.
func (c *call) typeName() string { return fmt.Sprintf("%s (Vnish %s)", c.m.Model.Name, c.version) }

func rpcPools(c *call) overrpc.Object {
	up := int(c.m.Uptime() / time.Second)
	return c.section(codePools, "1 Pool(s)", "POOLS", overrpc.Object{
		"POOL": 0, "URL": "stratum+tcp://pool.example:3333", "Status": "Alive", "Priority": 0, "Quota": 1, "Getworks": up / 30,
		"Accepted": up / 8, "Rejected": 0, "Stale": 0, "Get Failures": 0, "Remote Failures": 0, "User": "site.worker",
		"Stratum Active": c.m.TeraHashes() > 0, "Stratum URL": "pool.example:3333",
	})
}

var _ minersim.Doored = (*Front)(nil)
