package braiins

import (
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// antminer is the brand, as the interface numbers them.
const antminer = 1

// grpcReads are the calls that change nothing. They tell what the REST interface tells.
var grpcReads = map[string]func(*remote) message{
	"MinerService/GetMinerDetails":                grpcDetails,
	"MinerService/GetMinerStats":                  grpcStats,
	"MinerService/GetHashboards":                  grpcBoards,
	"CoolingService/GetCoolingState":              grpcCooling,
	"ConfigurationService/GetMinerConfiguration":  grpcConfiguration,
	"PoolService/GetPoolGroups":                   grpcPools,
	"PerformanceService/GetActivePerformanceMode": grpcMode,
	"ActionsService/GetLocateDeviceStatus":        func(c *remote) message { return message{}.flag(1, c.locating) },
}

// amount is a message of one number, as every quantity with a unit is.
func amount(v float64) message { return message{}.real(1, v) }

// natural is a whole number of this side, none of which is below zero.
func natural[N int | float64](n N) uint64 { return uint64(max(0, math.Round(float64(n)))) }

func (c *remote) release() string {
	if c.older != nil {
		return olderFull
	}
	return bosVersion
}

func grpcDetails(c *remote) message {
	up := natural(uptime(c.m))
	return message{}.
		text(1, "uid"+c.d.Serial).
		inner(2, message{}.whole(1, antminer).text(3, c.m.Model.Name).text(4, c.m.Model.Name)).
		inner(5, message{}.text(1, c.release()).text(2, "2022-09-13-0-11012d53-22.08-plus").flag(3, true)).
		text(6, "Antminer").text(7, c.d.MAC).whole(8, up).inner(9, amount(c.m.Model.TeraHashes*1000)).
		whole(10, up).whole(11, up).whole(12, natural(c.status)).text(13, "4.9.113").
		inner(14, message{}.text(3, c.d.Serial+"P").text(4, "APW171215a/c")).
		text(16, c.d.Serial)
}

// spans are the averages in the order of their fields.
var spans = []time.Duration{
	5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 24 * time.Hour, 24 * time.Hour,
}

// hashing is what is said of the work of a machine or, with a share below 1, of a board.
func (c *remote) hashing(share float64) message {
	var real message
	for i, over := range spans {
		real = real.inner(protowire.Number(i+1), amount(c.m.AverageTeraHashes(over)*1000*share))
	}
	return message{}.inner(1, real).inner(2, amount(c.m.TeraHashesFor(c.m.TargetWatts())*1000*share)).whole(5, 499065300)
}

func grpcStats(c *remote) message {
	watts, efficiency := c.m.ReportedWatts(), 0.0
	if th := c.m.TeraHashes(); th > 0 {
		efficiency = watts / th
	}
	power := message{}.inner(1, message{}.whole(1, natural(watts))).inner(2, amount(efficiency))
	return message{}.inner(1, c.shares()).inner(2, c.hashing(1)).inner(3, power)
}

func (c *remote) shares() message { return message{}.whole(1, natural(uptime(c.m)/8)).whole(4, 524288) }

func grpcBoards(c *remote) message {
	var all message
	model, warm := c.m.Model, warmth(c.m)
	hertz := 1e6 * math.Round(float64(model.DefaultMegaHertz)*c.m.TeraHashes()/c.m.NominalTeraHashes)
	for i := range model.Boards {
		id := strconv.Itoa(i + 1)
		all = all.inner(1, message{}.
			text(1, id).flag(2, true).inner(3, message{}.whole(1, natural(model.ChipsPerBoard))).
			inner(4, amount(13.738725)).inner(5, amount(hertz)).
			inner(6, message{}.whole(1, natural(i+1)).whole(2, 1).inner(3, amount(warm+15))).
			inner(7, amount(warm)).inner(8, c.hashing(1/float64(model.Boards))).text(9, "SIM"+model.Chip).
			inner(10, amount(warm-13)).inner(11, amount(warm)).
			text(12, c.d.Serial+"B"+id).text(13, "SIM"+model.Chip).text(14, model.Chip))
	}
	return all
}

func grpcCooling(c *remote) message {
	var all message
	ratio := 0.2 + 0.75*math.Min(1, c.m.Watts()/c.m.NominalWatts)
	for i := range 4 {
		all = all.inner(1, message{}.whole(1, natural(i)).whole(2, natural(6500*ratio)).real(3, math.Round(ratio*100)/100))
	}
	return all.inner(2, message{}.whole(2, 1).inner(3, amount(warmth(c.m)+15)))
}

func grpcPools(c *remote) message {
	pool := message{}.text(1, "pool0").text(2, "stratum+tcp://pool.example:3333").text(3, "site.worker").
		flag(4, true).flag(5, true).flag(6, c.m.TeraHashes() > 0).inner(7, c.shares())
	return message{}.inner(1, message{}.text(1, "Default").inner(2, message{}.whole(1, 1)).inner(4, pool))
}

// grpcMode is a tuner that aims at watts: the target as it was told, not the one in force.
func grpcMode(c *remote) message {
	target := message{}.inner(1, message{}.whole(1, natural(c.target)))
	return message{}.inner(2, message{}.inner(1, target))
}

// grpcConfiguration is one pool, fans that follow a temperature (assumed), and the tuner's target.
func grpcConfiguration(c *remote) message {
	pool := message{}.text(1, "pool0").text(2, "stratum+tcp://pool.example:3333").text(3, "site.worker").text(4, "x").flag(5, true)
	group := message{}.text(1, "0").text(2, "Default").inner(3, message{}.whole(1, 1)).inner(5, pool)
	fans := message{}.inner(1, amount(60)).inner(2, amount(80)).inner(3, amount(90))
	tuner := message{}.flag(1, true).whole(2, 1).inner(3, message{}.whole(1, natural(c.target)))
	return message{}.inner(1, group).inner(2, message{}.whole(1, 1).inner(2, fans)).inner(3, tuner)
}
