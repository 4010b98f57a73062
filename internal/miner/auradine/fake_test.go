package auradine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// machine is a tiny FluxOS that replays recorded shapes and takes modes.
type machine struct {
	wiretest.Machine
	password                 string
	mode, tune, sleep, power string
	// expired has it refuse tokens in words, as many times.
	expired int
	// keeps is a machine that says yes to a mode and keeps the old one.
	keeps bool

	summary string
	version string
	asked   atomic.Int32 // of the RPC
}

// status is the envelope's head. Its message is of no use: one was recorded that contradicts the fields.
func status(code int, fields string) string {
	return fmt.Sprintf(`{"STATUS":[{"STATUS":"S","When":1703715266,"Code":%d,"Msg":"Operating mode: 'normal', sleep: 'false'",`+
		`"Description":"FluxOS-2023-12.27-9bf070ee"}],%s,"id":1}`, code, fields)
}

func psuText(in, most string) string {
	return status(570, fmt.Sprintf(`"PSU":[{"VoutSet":"11.50V","Vin":"245.00V","Iin":"0.28A","FanSpeed1":"4052.00 RPM","PowerOut":"0.00W","PowerIn":%s,"PoutMax":%s}]`, in, most))
}

func summaryText(mhs string) string {
	return status(11, fmt.Sprintf(`"SUMMARY":[{"Elapsed":56696,"MHS av":7970630.042671183,"MHS 5s":%s,"MHS 1m":10256844.5,"Accepted":3310}]`, mhs)) + "\x00"
}

// at1500 mines by a target of watts.
func at1500() *machine {
	m := &machine{
		password: "admin", mode: "custom", sleep: `"off"`, power: "2000", summary: summaryText("109979767.1774699"),
		version: status(22, `"VERSION":[{"GCMiner":"0.5","API":"1.0"}]`),
	}
	m.Machine = wiretest.Machine{
		Root: "/", Login: "token", Admit: m.login, Act: m.act,
		Shown:    func(header http.Header) string { return header.Get("Token") },
		Statuses: map[string]int{},
		Replies: map[string]string{
			"GET ipreport": status(620, `"IPReport":[{"command":"ipreport","SerialNo":"AU23200006","ip":"192.168.1.50","mac":"1c:00:00:0e:3b:2b","model":"AT1500",
				"version":"2023-12.27","hostname":"teraflux-01","CBSerialNo":"AU23200006","HBSerialNo":["QAHB01230908001X"],"InternalType":"T0"}]`),
			"GET psu": psuText(`"1994.30W"`, `"3452.00W"`),
			"GET led": status(530, `"LED":[{"Code":2,"LED1":1,"LED2":1,"Msg":"Normal"}]`),
			"GET temperature": status(590, `"Temperature":[{"ID":0,"Name":"Control Board","BoardTemp":[{"ID":0,"Temperature":24.9375}],"ChipTemp":null},
				{"ID":1,"Name":"Hash Board 1","BoardTemp":[{"ID":0,"Temperature":41.5}],"ChipTemp":[{"ID":0,"Temperature":45.827},{"ID":1,"Temperature":45.029}]}]`),
		},
	}
	return m
}

// asleep is the machine with its boards off, as recorded.
func (m *machine) asleep() *machine {
	m.sleep, m.summary = `"on"`, summaryText("0")
	m.Replies["GET psu"] = psuText(`"58.94W"`, `"3452.00W"`)
	return m
}

func (m *machine) login(body []byte, token string) (int, string) {
	var in struct{ Command, User, Password string }
	if json.Unmarshal(body, &in) != nil || in.Command != "token" || in.User != "admin" || in.Password != m.password {
		return http.StatusOK, `{"STATUS":[{"STATUS":"E","Code":601,"Msg":"bad user or password"}],"id":1}`
	}
	return http.StatusOK, status(600, fmt.Sprintf(`"Token":[{"Token":%q}]`, token))
}

func (m *machine) act(key string, body []byte) (string, bool) {
	if m.expired > 0 {
		m.expired--
		return `{"STATUS":[{"STATUS":"E","Code":602,"Msg":"Token has expired"}],"id":1}`, true
	}
	if _, replayed := m.Replies[key]; replayed {
		return "", false
	}
	switch key {
	case "GET mode":
		return m.modeText(), true
	case "POST mode":
		m.take(body)
		return m.modeText(), true
	}
	return "", false
}

func (m *machine) modeText() string {
	return status(540, fmt.Sprintf(`"Mode":[{"Mode":%q,"Sleep":%s,"Ths":160,"Power":%s%s}]`, m.mode, m.sleep, m.power, m.tune))
}

func (m *machine) take(body []byte) {
	var in struct {
		Command, Sleep, Mode, Tune string
		Power                      json.Number
	}
	if json.Unmarshal(body, &in) != nil || in.Command != "mode" || m.keeps {
		return
	}
	if in.Sleep != "" {
		m.sleep = `"` + in.Sleep + `"`
	}
	if in.Mode != "" {
		m.mode, m.power = in.Mode, in.Power.String()
	}
}

// serve starts both APIs of a machine.
func serve(t testing.TB, m *machine) miner.Target {
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
			m.answer(conn)
		}
	}()
	target := wiretest.Serve(t, m)
	target.SecondPort = listener.Addr().(*net.TCPAddr).Port
	return target
}

// answer is one connection of the RPC.
func (m *machine) answer(conn net.Conn) {
	defer conn.Close()
	m.asked.Add(1)
	line, _ := bufio.NewReader(conn).ReadString('\n')
	switch line {
	case "{\"command\":\"summary\"}\n":
		_, _ = conn.Write([]byte(m.summary))
	case "{\"command\":\"version\"}\n":
		_, _ = conn.Write([]byte(m.version))
	}
}

// identified is a driver that knows its machine, and the machine with an empty list of requests.
func identified(t testing.TB, m *machine) *Driver {
	t.Helper()
	d := New(serve(t, m))
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
