package luxos

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// machine is a tiny LuxOS that replays recorded shapes: one request per connection, one session.
type machine struct {
	mu       sync.Mutex
	bodies   map[string]string // command -> `"POWER":[…]`
	codes    map[string]int
	refuse   map[string]string // command, or command and parameter without session -> STATUS object
	silent   map[string]bool   // commands whose connection is closed without a word
	joinless bool
	end      string // what follows a reply: NUL by default
	keepOpen bool
	session  string
	sessions int
	orders   []string // session commands with the session taken out
	commands []string
}

// Recorded: S19k Pro with 2025.4.8, whose numbers are an estimate of an underclocked machine.
func s19kpro() *machine {
	return &machine{
		end: "\x00",
		bodies: map[string]string{
			"version": `"VERSION":[{"API":"3.7","CompileTime":"x","LUXminer":"2025.4.8.220305-0a1b2c3d","Miner":"2025.4.8.220305","Type":"Antminer S19k Pro"}]`,
			"config": `"CONFIG":[{"ASC Count":3,"CurtailMode":"None","Hostname":"UrlacherS19k","IsAtmEnabled":false,"IsPowerSupplyOn":true,
				"IsTuning":false,"MACAddr":"62:F7:5E:B7:10:46","Model":"Antminer S19K Pro","NameplateTHS":121.8,"Profile":"290MHz",
				"ProfileStep":"-12","SerialNumber":"JYZZB0UBDJABF06RB","SystemStatus":"Normal"}]`,
			"summary":  `"SUMMARY":[{"Accepted":5231,"Elapsed":7204,"GHS 5s":57803.1,"GHS av":57012.4,"Total MH":57012400.5}]`,
			"power":    `"POWER":[{"PSU":false,"Watts":1051}]`,
			"profiles": profiles290(),
			"atm":      `"ATM":[{"Enabled":false,"MaxProfile":"","MinProfile":"","StartupMinutes":15}]`,
			"temps":    `"TEMPS":[{"ID":0,"TEMP":0,"TopLeft":41.5,"TopRight":52.25,"BottomLeft":40,"BottomRight":50},{"ID":1,"TEMP":1,"TopLeft":0}]`,
		},
		codes:  map[string]int{"config": 33, "power": 311, "profiles": 323, "atm": 339, "summary": 11, "version": 22},
		refuse: map[string]string{},
		silent: map[string]bool{},
	}
}

func profiles290() string {
	return `"PROFILES":[
	{"Profile Name":"default","Frequency":590,"Hashrate":118.2,"Watts":2808,"Voltage":13.5,"Step":"0","IsTuned":false,"IsDynamic":false},
	{"Profile Name":"290MHz","Frequency":290,"Hashrate":58.1,"Watts":1188,"Voltage":12.3,"Step":"-12","IsTuned":false,"IsDynamic":true},
	{"Profile Name":"390MHz","Frequency":390,"Hashrate":78.1,"Watts":1613,"Voltage":12.7,"Step":"-8","IsTuned":false,"IsDynamic":true},
	{"Profile Name":"690MHz","Frequency":690,"Hashrate":138.3,"Watts":3611,"Voltage":13.9,"Step":"4","IsTuned":false,"IsDynamic":true}]`
}

func (m *machine) serve(t testing.TB) miner.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.answer(conn)
		}
	}()
	at := netip.MustParseAddrPort(listener.Addr().String())
	return miner.Target{Address: at.Addr(), Port: int(at.Port())}
}

func (m *machine) answer(conn net.Conn) {
	var in request
	if json.NewDecoder(conn).Decode(&in) != nil {
		conn.Close()
		return
	}
	m.mu.Lock()
	m.commands = append(m.commands, in.Command)
	silent, open := m.silent[in.Command], m.keepOpen
	var reply string
	if !silent {
		reply = m.reply(in) + m.end
	}
	m.mu.Unlock()
	fmt.Fprint(conn, reply)
	if open && !silent {
		_, _ = conn.Read(make([]byte, 1)) // until the other side hangs up
	}
	conn.Close()
}

func (m *machine) reply(in request) string {
	if strings.Contains(in.Command, "+") && !m.joinless {
		var sections []string
		for command := range strings.SplitSeq(in.Command, "+") {
			sections = append(sections, fmt.Sprintf("%q:[%s]", command, m.reply(request{Command: command})))
		}
		return "{" + strings.Join(sections, ",") + `,"id":1}`
	}
	sid, rest, _ := strings.Cut(in.Parameter, ",")
	order := strings.TrimSpace(in.Command + " " + rest)
	if no, ok := m.refuse[order]; ok {
		return `{"STATUS":[` + no + `],"id":1}`
	}
	if no, ok := m.refuse[in.Command]; ok {
		return `{"STATUS":[` + no + `],"id":1}`
	}
	switch in.Command {
	case "logon":
		if m.session != "" {
			return refused(402, "Another session is active")
		}
		m.sessions++
		m.session = fmt.Sprintf("yJN2nlj%d", m.sessions)
		return accepted(316, "Session created", fmt.Sprintf(`"SESSION":[{"SessionID":%q}]`, m.session))
	case "logoff", "curtail", "profileset":
		if sid != m.session || sid == "" {
			return refused(301, "Invalid session id")
		}
		return m.act(in.Command, rest)
	}
	body, ok := m.bodies[in.Command]
	if !ok {
		return refused(14, "Invalid command")
	}
	return accepted(m.codes[in.Command], "ok", body)
}

func (m *machine) act(command, argument string) string {
	m.orders = append(m.orders, strings.TrimSpace(command+" "+argument))
	switch command {
	case "logoff":
		m.session = ""
		return accepted(317, "Session dropped", "")
	case "profileset":
		return accepted(321, "Profile Set", fmt.Sprintf(`"PROFILE":[{"Board":0,"FrequencyStep":5,"Profile":%q,"VoltageStep":0.05}]`, argument))
	}
	action := map[string]string{"sleep": "sleep mode", "wakeup": "wake up"}[argument]
	return accepted(335, "Curtailment command sent", fmt.Sprintf(`"CURTAIL":[{"Action":%q}]`, action))
}

func accepted(code int, message, body string) string {
	if body != "" {
		body += ","
	}
	return fmt.Sprintf(`{%s"STATUS":[{"Code":%d,"Description":"LUXminer 2025.4.8.220305-0a1b2c3d","Msg":%q,"STATUS":"S","When":1743000000}],"id":1}`,
		body, code, message)
}

func refused(code int, message string) string {
	return fmt.Sprintf(`{"STATUS":[{"Code":%d,"Description":"LUXminer 2025.4.8.220305-0a1b2c3d","Msg":%q,"STATUS":"E","When":1743000000}],"id":1}`,
		code, message)
}

// with changes a body.
func (m *machine) with(command, old, replacement string) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bodies[command] = strings.ReplaceAll(m.bodies[command], old, replacement)
	return m
}

func asleep(m *machine) *machine {
	return m.with("config", `"CurtailMode":"None"`, `"CurtailMode":"Sleep"`).
		with("config", `"IsPowerSupplyOn":true`, `"IsPowerSupplyOn":false`).
		with("summary", `57803.1`, `0`).with("power", `1051`, `24`)
}

// taken are the orders and commands since the last call.
func (m *machine) taken() (orders, commands []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	orders, commands = slices.Clone(m.orders), slices.Clone(m.commands)
	m.orders, m.commands = nil, nil
	return orders, commands
}

func (m *machine) held() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.session
}

func identified(t *testing.T, m *machine) *Driver {
	t.Helper()
	d := New(m.serve(t))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.taken()
	return d
}
