package braiins

import (
	"fmt"
	"math"
	"net"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// olderRelease is the last before the REST interface: GraphQL on the web, and the RPC of the mining program.
const olderRelease = "25.05"

const (
	// rpcPort is where the mining program answers.
	rpcPort = 4028
	// boser and olderFull are what it calls itself and its firmware, as recorded.
	boser     = "BOSer boser-buildroot 0.1.0-45f356ea"
	olderFull = "2025-06-25-0-45f356ea-25.05.1-plus"
	// wakeLag passes from a resume until the chips are found, olderUp until their clocks are up, olderDown
	// from a pause until the boards' voltage is off: the vendor's own log, the second carried on from its pace.
	wakeLag, olderUp, olderDown = 5 * time.Second, 12 * time.Second, 6 * time.Second
)

// olderState is the firmware of a machine without the REST interface.
type olderState struct {
	*state
	sessions map[string]bool
	// woken is when it was last told to mine.
	woken time.Duration
}

// Boot starts mining anew, whatever it was told, and keeps the target, unless the boot is a hot one.
func (st *olderState) Boot(hot bool) minersim.Order {
	clear(st.sessions)
	st.woken = 0
	return st.state.Boot(hot)
}

func (st *olderState) pause(m *minersim.Machine) {
	st.status = statusPaused
	m.Command(minersim.Order{Lag: lag, Ramp: olderDown})
}

// resume leaves a machine alone that mines.
func (st *olderState) resume(m *minersim.Machine) {
	if st.status == statusNormal {
		return
	}
	st.status, st.woken = statusNormal, m.Now()
	m.Command(minersim.Order{Watts: float64(st.target), Lag: wakeLag, Ramp: olderUp})
}

// retarget restarts the mining program where it mines (assumed).
func (st *olderState) retarget(m *minersim.Machine, watts int) error {
	if watts < st.min || watts > st.max {
		return fmt.Errorf("power target %d W is out of range %d..%d W", watts, st.min, st.max)
	}
	st.target, st.retunedAt = watts, m.Now()
	if st.status == statusNormal {
		st.woken = m.Now()
		m.Command(minersim.Order{Watts: float64(watts), Dip: wakeLag, Ramp: olderUp})
	}
	return nil
}

// running tells whether there are boards to tell of.
func (st *olderState) running(m *minersim.Machine) bool {
	return st.status == statusNormal && (st.woken == 0 || m.Now()-st.woken >= wakeLag)
}

// olderCall is one request at one machine, under the device's lock.
type olderCall struct {
	*olderState
	m *minersim.Machine
	d *minersim.Device
}

// serveRPC answers one command, or several reads at once.
func serveRPC(d *minersim.Device, c net.Conn) {
	overrpc.Serve(d, c, boser, func(m *minersim.Machine, q overrpc.Request) (any, bool) {
		older, st := memoryOf(d)
		told := &remote{call: &call{state: st, m: m, d: d}, older: older}
		if older == nil {
			older = &olderState{state: st} // the same reads: nothing of theirs is an older machine's alone
		}
		call := &olderCall{olderState: older, m: m, d: d}
		if read, ok := olderReads[q.Command]; ok {
			return read(call), false
		}
		if q.Joined || q.Command != "pause" && q.Command != "resume" {
			return call.says("E", overrpc.CodeInvalidCommand, "Invalid command"), false
		}
		call.contest(m)
		if q.Command == "pause" {
			told.halt()
			return call.ok(204, "Pause", "PAUSE", []bool{true}), true
		}
		told.mine()
		return call.ok(205, "Resume", "RESUME", []bool{true}), true
	})
}

func (c *olderCall) says(letter string, code int, message string) object {
	return object{"STATUS": overrpc.Status(c.d, letter, code, message, boser), "id": 1}
}

func (c *olderCall) ok(code int, message, section string, rows any) object {
	reply := c.says("S", code, message)
	reply[section] = rows
	return reply
}

var olderReads = map[string]func(*olderCall) object{
	"version": func(c *olderCall) object {
		return c.ok(22, "BOSer versions", "VERSION", []object{{"API": "3.7", "BOSer": boser[len("BOSer "):]}})
	},
	"summary": olderSummary, "devs": olderDevs, "edevs": olderDevs, "devdetails": olderDetails, "tunerstatus": tunerStatus,
	"temps": olderTemps, "fans": olderFans, "pools": olderPools,
	"tempctrl": func(c *olderCall) object {
		return c.ok(200, "Temperature control", "TEMPCTRL", []object{{"Dangerous": 90.0, "Hot": 80.0, "Mode": "Automatic", "Target": 60.0}})
	},
	"asccount": func(c *olderCall) object {
		return c.ok(104, "ASC count", "ASCS", []object{{"Count": c.m.Model.Boards}})
	},
	"config": func(c *olderCall) object {
		return c.ok(33, "BOSer config", "CONFIG", []object{{"ASC Count": c.m.Model.Boards, "PGA Count": 0, "Pool Count": 1, "Strategy": "Failover", "OS": "Braiins OS"}})
	},
}

// mega is an average hash rate in MH/s, as everything here is.
func (c *olderCall) mega(over time.Duration) float64 { return c.m.AverageTeraHashes(over) * 1e6 }

// nominal is what its clocks should give, MH/s.
func (c *olderCall) nominal() float64 {
	if !c.running(c.m) {
		return 0
	}
	return c.m.TeraHashesFor(float64(c.target)*c.m.Drift()) * 1e6
}

func olderSummary(c *olderCall) object {
	up := uptime(c.m)
	return c.ok(11, "Summary", "SUMMARY", []object{{
		"Accepted": up / 9, "Best Share": 499065300, "Device Hardware%": 0.0, "Device Rejected%": 0.0, "Difficulty Accepted": float64(up) * 7000,
		"Difficulty Rejected": 0.0, "Difficulty Stale": 0.0, "Discarded": 0, "Elapsed": up, "Found Blocks": 0, "Get Failures": 0, "Getworks": up / 30,
		"Hardware Errors": 0, "Last getwork": c.d.Clock().Now().Unix(), "Local Work": 0, "MHS 15m": c.mega(15 * time.Minute), "MHS 1m": c.mega(time.Minute),
		"MHS 24h": c.mega(24 * time.Hour), "MHS 5m": c.mega(5 * time.Minute), "MHS 5s": c.mega(5 * time.Second), "MHS av": c.mega(24 * time.Hour),
		"Network Blocks": 0, "Pool Rejected%": 0.0, "Pool Stale%": 0.0, "Rejected": 0, "Remote Failures": 0, "Stale": 0, "Total MH": 0.0, "Utility": 0.0, "Work Utility": 0.0,
	}})
}

// boards makes something of each, which are counted from 1.
func (c *olderCall) boards(of func(id int) object) []object {
	list := make([]object, c.m.Model.Boards)
	for i := range list {
		list[i] = of(i + 1)
	}
	return list
}

// unavailable is what it says of boards that nothing runs on; letter and code are assumed.
func (c *olderCall) unavailable() object { return c.says("E", 0, "Unavailable") }

func olderDevs(c *olderCall) object {
	if !c.running(c.m) {
		return c.unavailable()
	}
	n := float64(c.m.Model.Boards)
	return c.ok(9, fmt.Sprintf("%d ASC(s)", c.m.Model.Boards), "DEVS", c.boards(func(id int) object {
		return object{
			"ASC": id - 1, "ID": id, "Name": "", "Enabled": "Y", "Status": "Alive", "Temperature": warmth(c.m), "Nominal MHS": c.nominal() / n,
			"MHS 5s": c.mega(5*time.Second) / n, "MHS 1m": c.mega(time.Minute) / n, "MHS 5m": c.mega(5*time.Minute) / n,
			"MHS 15m": c.mega(15*time.Minute) / n, "MHS av": c.mega(24*time.Hour) / n, "Accepted": 0, "Rejected": 0, "Hardware Errors": 0,
		}
	}))
}

// olderDetails has the clock in Hz.
func olderDetails(c *olderCall) object {
	if !c.running(c.m) {
		return c.unavailable()
	}
	return c.ok(69, "Device Details", "DEVDETAILS", c.boards(func(id int) object {
		return object{
			"Chips": c.m.Model.ChipsPerBoard, "Cores": c.m.Model.ChipsPerBoard * 894, "DEVDETAILS": id - 1, "Device Path": "", "Driver": "",
			"Frequency": int(c.megaHertz() * 1e6), "ID": id, "Kernel": "", "Model": c.model(), "Name": fmt.Sprintf("Hash Chain %d", id), "Voltage": 13.457,
		}
	}))
}

func (c *olderCall) model() string { return "Bitmain " + c.m.Model.Name }

func (c *olderCall) megaHertz() float64 {
	return float64(c.m.Model.DefaultMegaHertz) * c.m.TeraHashes() / c.m.NominalTeraHashes
}

// consumption is what it reckons; a paused machine is said to draw nothing.
func (c *olderCall) consumption() int {
	if c.status != statusNormal {
		return 0
	}
	return int(math.Round(c.m.ReportedWatts()))
}

// tunerStatus names the limit as it was told, and with a scaling the one in force.
func tunerStatus(c *olderCall) object {
	words := "Stable"
	switch {
	case c.status != statusNormal:
		words = "Paused"
	case c.tuner(c.m) == tunerTuning:
		words = "Tuning individual chips"
	}
	watts, n := c.consumption(), c.m.Model.Boards
	var scaling any = "Disabled"
	if c.m.Drift() < 1 {
		scaling = object{"ScaledPowerLimit": int(math.Round(float64(c.target) * c.m.Drift()))}
	}
	return c.ok(203, "Tuner Status", "TUNERSTATUS", []object{{
		"ApproximateChainPowerConsumption": watts * 95 / 100, "ApproximateMinerPowerConsumption": watts, "DynamicPowerScaling": scaling,
		"PowerLimit": c.target, "TunerChainStatus": c.boards(func(id int) object {
			return object{
				"ApproximatePowerConsumptionWatt": watts * 95 / 100 / n, "HashchainIndex": id, "Iteration": 0, "LoadedProfileCreatedOn": 1595938289,
				"PowerLimitWatt": c.target / n, "StageElapsed": 78, "Status": words, "TunerRunning": words != "Paused", "TuningElapsed": 98,
			}
		}),
	}})
}

func olderTemps(c *olderCall) object {
	if !c.running(c.m) {
		return c.ok(201, "0 Temp(s)", "TEMPS", []object{})
	}
	return c.ok(201, fmt.Sprintf("%d Temp(s)", c.m.Model.Boards), "TEMPS", c.boards(func(id int) object {
		return object{"Board": warmth(c.m), "Chip": warmth(c.m) + 15, "ID": id, "TEMP": id - 1}
	}))
}

// fanPercent is 0 while nothing runs.
func (c *olderCall) fanPercent() int {
	if !c.running(c.m) {
		return 0
	}
	return int(20 + 75*math.Min(1, c.m.Watts()/c.m.NominalWatts))
}

func olderFans(c *olderCall) object {
	list := make([]object, 4)
	for i := range list {
		list[i] = object{"FAN": i, "ID": i, "RPM": 65 * c.fanPercent(), "Speed": c.fanPercent()}
	}
	return c.ok(202, "4 Fan(s)", "FANS", list)
}

func olderPools(c *olderCall) object {
	return c.ok(7, "1 Pool(s)", "POOLS", []object{{
		"POOL": 0, "URL": "stratum+tcp://pool.example:3333", "User": "site.worker", "Status": "Alive", "Priority": 0, "Quota": 1,
		"Accepted": uptime(c.m) / 9, "Rejected": 0, "Stratum Active": c.running(c.m), "Stratum URL": "pool.example:3333",
	}})
}
