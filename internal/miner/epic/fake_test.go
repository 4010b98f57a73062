package epic

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// machine is a tiny PowerPlay that replays recorded shapes and takes commands.
type machine struct {
	wiretest.Machine
	password                                 string
	state, command, lastError                string
	running                                  bool
	algorithm                                string // as in the summary
	hashrate, watts, idlePeriod, temperature string
	// pending refuses every command after so many.
	pending int
	// keeps is a machine that says yes to a target and keeps the old one.
	keeps bool
}

func tuned(name string, target, throttled int, unit string) string {
	return fmt.Sprintf(`{%q:{"Target":%d,"Min Throttle Target":1500,"Throttle Step":100,"Throttle Target":%d,"Error Throttle Target":null,"Optimized":true,"Unit":%q}}`,
		name, target, throttled, unit)
}

// summary is the shape of an S19 XP's, with the fields that releases after 1.5 added.
func (m *machine) summary() string {
	return fmt.Sprintf(`{"Status":{"Operating State":%q,"Last Command":%s,"Last Command Result":null,"Last Error":%s},
		"Hostname":"epic-1","PresetInfo":{"Target Power":3000},"Software":"PowerPlay-BMS v1.38.3","OS Type":"UMC",
		"Mining":{"Coin":"BTC","Algorithm":"SHA256"},"Stratum":{"Config Id":0,"Current Pool":"pool.example:3333","IsPoolConnected":true},
		"Session":{"Startup Timestamp":1741812000,"Uptime":23170,"Active HBs":2,"Average MHs":93000000.0,"Accepted":10},
		"HBs":[{"Index":1,"Hashrate":[%s,96.4,98.1],"Temperature":%s,"Input Power":1050.5},{"Index":2,"Hashrate":[%s,97,98],"Temperature":58.5}],
		"Power Supply Stats":{"Input Voltage":230.5,"Output Voltage":14.1,"Input Power":%s,"Output Power":2040.1,"Target Voltage":14100,"Temperature":[50]},
		"PerpetualTune":{"Running":%t,"Algorithm":%s},"IdleOnConnectionLost":true,"PreInitCooldown Max Duration":120,
		"Scheduler":{"Enable":false,"CurrentIdlePeriod":%s}}`,
		m.state, m.command, m.lastError, m.hashrate, m.temperature, m.hashrate, m.watts, m.running, m.algorithm, m.idlePeriod)
}

const networkText = `{"dhcp":{"address":"192.0.2.10","netmask":"255.255.255.0","gateway":"192.0.2.1","dns":"192.0.2.53","dnsv6":null,"mac_address":"02:00:5E:10:00:01"}}`

// algorithmsOf is what a machine offers, with or without the one that tunes for watts.
func algorithmsOf(watts string) string {
	return `[{"algorithm":"ChipTune","name":"Chip Tune","description":"x","min":60,"max":160},` +
		`{"algorithm":"VoltageOptimizer","name":"Voltage Optimizer","description":"x","min":60,"max":160}` + watts + `]`
}

const powerTune = `,{"algorithm":"PowerTune","name":"Power Tune","description":"x","min":1000,"max":5000}`

func capabilitiesText(tune, supply string) string {
	return fmt.Sprintf(`{"Model":"Antminer S19 XP","Model Subtype":"BHB56801","Chip Type":"BM1366","Control Board Version":{"cpuHardware":"AMLOGIC","cpuSerial":"f3c6"},
		"Board Serial Numbers":["a","b"],"Default Clock":550,"Default Voltage":13800,"Default Hashrate":138,"Max HBs":3,"Coins":["BTC"],
		"Tune Presets":[{"clk":400,"hashrate":100.1,"power":2000,"voltage":13000},{"clk":600,"hashrate":150.1,"power":null,"voltage":14000},{"clk":580,"hashrate":145,"power":3200,"voltage":14000}],
		"PerpetualTune":%s,"Psu Info":%s}`, tune, supply)
}

// s19xp mines by a target of watts, and meters them.
func s19xp() *machine {
	m := &machine{
		password: "letmein", state: "Mining", command: `"autostart"`, lastError: "null", running: true,
		algorithm: tuned("PowerTune", 2200, 0, "W"), hashrate: "48500000.5", watts: "2166.6174", idlePeriod: "null", temperature: "61.25", pending: -1,
	}
	m.Machine = wiretest.Machine{
		Root: "/", Act: m.act, Statuses: map[string]int{},
		Replies: map[string]string{
			"network":      networkText,
			"capabilities": capabilitiesText(algorithmsOf(powerTune), `{"PSU Type":1,"True Power":true}`),
		},
	}
	return m
}

// old has the release whose replies were recorded: no algorithm for watts, no word of how watts are known.
func old() *machine {
	m := s19xp()
	m.algorithm = tuned("VoltageOptimizer", 93, 0, "TH/s")
	m.Replies["capabilities"] = capabilitiesText(algorithmsOf(""), `null`)
	m.Statuses["authenticate"] = 404
	return m
}

// asleep is a machine that was told to stop.
func (m *machine) asleep() *machine {
	m.state, m.command, m.hashrate, m.watts = "Idling", `"stop"`, "0", "31.5"
	return m
}

func (m *machine) act(key string, body []byte) (string, bool) {
	if key == "GET summary" {
		return m.summary(), true
	}
	var told struct {
		Param    json.RawMessage
		Password string
	}
	if _, replayed := m.Replies[key]; replayed || key[0] == 'G' || json.Unmarshal(body, &told) != nil {
		return "", false
	}
	if told.Password != m.password {
		return `{"result":false,"error":"BadPassword"}`, true
	}
	if m.pending == 0 {
		return `{"result":false,"error":{"LastCmdStillPending":"autostart"}}`, true
	}
	m.pending--
	m.take(key, told.Param)
	return `{"result":true,"error":null}`, true
}

func (m *machine) take(key string, param json.RawMessage) {
	switch key {
	case "POST miner":
		if m.asleep(); string(param) == `"Autostart"` {
			m.state, m.command = "Initializing", `"autostart"`
		}
	case "POST perpetualtune":
		m.running = string(param) == "true"
	case "POST perpetualtune/algo":
		var told struct {
			Algo   string
			Target int
		}
		if json.Unmarshal(param, &told) == nil && !m.keeps {
			m.algorithm = tuned(told.Algo, told.Target, 0, "W")
		}
	}
}

// identified is a driver that knows its machine, and the machine with an empty list of requests.
func identified(t testing.TB, m *machine) *Driver {
	t.Helper()
	d := New(wiretest.Serve(t, m))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Taken()
	return d
}

func reads(ctx context.Context, d *Driver) error {
	_, err := d.Read(ctx)
	return err
}
