package antminer

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/icholy/digest"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const secret = "s3cret-pass"

// machine is a tiny Antminer that replays recorded replies, and keeps a configuration as its scripts do.
type machine struct {
	mu       sync.Mutex
	pages    map[string]string // "stats" -> what it answers; "get_miner_conf" comes from conf
	statuses map[string]int    // "stats" -> status, where not 200
	conf     map[string]any
	rpc      map[string]string // "stats" -> what port 4028 answers; nil where it is closed
	power    string            // what port 6060 answers; empty where it is closed
	password string
	nonce    string
	// script is what set_miner_conf.cgi makes of what it is sent; it answers.
	script func(m *machine, sent map[string]any) string
	// holds keeps an order's answer back until it is closed; the configuration is written before.
	holds    chan struct{}
	before   func(w http.ResponseWriter, r *http.Request) bool
	requests []string // "GET stats", "POST set_miner_conf"
	sent     []string // bodies
	types    []string // their content types
	open     []string // paths asked for without a login
}

// Recorded: the configuration of an S19 of December 2020.
func confOf2020() map[string]any {
	return map[string]any{
		"pools": []any{
			map[string]any{"url": "aaa:700", "user": "aaa.226x94", "pass": "p00l<&>pass"},
			map[string]any{"url": "bbb:6000", "user": "bbb.226x94", "pass": "x"},
			map[string]any{"url": "", "user": "", "pass": ""},
		},
		"api-listen": true, "api-network": true, "api-groups": "A:stats:pools:devs:summary:version", "api-allow": "A:0/0,W:*",
		"bitmain-fan-ctrl": false, "bitmain-fan-pwm": "100", "bitmain-use-vil": true, "bitmain-freq": "675", "bitmain-voltage": "1400",
		"bitmain-ccdelay": "0", "bitmain-pwth": "0", "bitmain-work-mode": "0", "bitmain-freq-level": "90",
	}
}

// Recorded: that of an S19 XP of 2025, whose script shows less of it, and nulls for what was never set.
func confOf2025() map[string]any {
	return map[string]any{
		"pools":            []any{map[string]any{"url": "stratum+tcp://pool.example.com:3333", "user": "account.worker1", "pass": "p00lpass"}},
		"bitmain-fan-ctrl": false, "bitmain-fan-pwm": "100", "bitmain-work-mode": "0",
		"bitmain-hashrate-percent": nil, "bitmain-user-ip-cat": nil,
	}
}

// Recorded: an S21 Pro+ of April 2026, and what its web pages add.
const s21stats = `{"INFO":{"CompileTime":"Thu Apr 30 20:05:42 CST 2026","miner_version":"uart_trans.1.3","type":"Antminer S21 Pro+"},
"STATS":[{"chain":[
 {"asic_num":65,"freq_avg":625,"index":0,"rate_ideal":82875.0,"rate_real":81336.88,"sn":"X","temp_chip":[53,53,73,73],"temp_pcb":[48,66,68,68],"temp_pic":[38,56,58,58]},
 {"asic_num":65,"freq_avg":625,"index":1,"rate_ideal":82875.0,"rate_real":84558.79,"sn":"X","temp_chip":[53,53,70,70],"temp_pcb":[48,64,65,65],"temp_pic":[38,54,55,55]}],
 "chain_num":3,"elapsed":1800211,"fan":[4020,4020,3960,3960],"fan_num":4,"rate_5s":249994.18,"rate_avg":246852.1,"rate_ideal":245000.0,"rate_unit":"GH/s","watt":3499}],
"STATUS":{"Msg":"stats","STATUS":"S","api_version":"1.0.0","when":1791471264}}`

const s21summary = `{"INFO":{"CompileTime":"Thu Apr 30 20:05:42 CST 2026","type":"Antminer S21 Pro+"},"STATUS":{"Msg":"summary","STATUS":"S"},
"SUMMARY":[{"bestshare":0,"elapsed":1800211,"rate_5s":249994.18,"rate_unit":"GH/s","safe_mode":false,"status":[
 {"type":"rate","status":"s","code":0,"msg":""},{"type":"network","status":"s","code":0,"msg":""},
 {"type":"fans","status":"","code":0,"msg":""},{"type":"temp","status":"s","code":0,"msg":""}]}]}`

const system = `{"minertype":"Antminer S21 Pro+","nettype":"DHCP","netdevice":"eth0","macaddr":"02:50:53:09:DA:D9","hostname":"Antminer",
"ipaddress":"10.0.0.9","netmask":"255.255.255.0","gateway":"","dnsservers":"","system_mode":"GNU/Linux",
"system_kernel_version":"Linux 4.9.113 #1 SMP PREEMPT Thu Jul 11 17:01:13 CST 2024","system_filesystem_version":"Thu Apr 30 20:05:42 CST 2026",
"firmware_type":"Release","serinum":"SMTTATUBDJAAI00A5"}`

// Recorded: an S19 of December 2020 that sleeps; its RPC names Mode 2 whatever it does.
const s19rpcAsleep = `{"STATUS": [{"STATUS": "S", "When": 1621205793, "Code": 70, "Msg": "CGMiner stats", "Description": "cgminer 1.0.0"}],
"STATS": [{"BMMiner": "1.0.0", "Miner": "49.0.1.3", "CompileTime": "Fri Dec 11 11:15:40 CST 2020", "Type": "Antminer S19"},
{"STATS": 0, "ID": "BTM_SOC0", "Elapsed": 735, "GHS 5s": 0.0, "GHS av": 0.0, "rate_30m": 0.0, "Mode": 2, "miner_count": 2, "frequency": 675,
"temp_chip1": "0-0-0-0", "temp_chip2": "39-37-40-39", "total_rateideal": 63919.0, "rate_unit": "GH", "total rate": 0.0, "temp_max": 0}], "id": 1}`

// Recorded: a T17+ of 2020 that sleeps.
const t17rpcAsleep = `{"STATUS":[{"STATUS":"S","When":1623519389,"Code":70,"Msg":"CGMiner stats","Description":"cgminer 1.0.0"}],
"STATS":[{"BMMiner":"1.0.0","Miner":"b023.0.1.3","CompileTime":"Tue Jun  2 10:11:10 CST 2020","Type":"Antminer T17+"},
{"STATS":0,"ID":"BTM_SOC0","Elapsed":8105,"GHS 5s":"0.00","GHS av":0.00,"GHS 30m":0.00,"Mode":254,"Ex Hash Rate":0,"frequency":"","fan_num":0,
"temp1":0,"temp_pcb1":"0-0-0-0","total_rateideal":0.00,"rate_unit":"GH","temp_max":0,"chain_rate1":""}],"id":1}`

const versionRPC = `{"STATUS":[{"STATUS":"S","When":1,"Code":22,"Msg":"CGMiner versions","Description":"cgminer 1.0.0"}],` +
	`"VERSION":[{"BMMiner":"1.0.0","API":"3.1","Miner":"uart_trans.1.3","CompileTime":"x","Type":"Antminer S21 Pro+"}],"id":1}`

func s21() *machine {
	return &machine{
		pages:    map[string]string{"get_system_info": system, "stats": s21stats, "summary": s21summary},
		statuses: map[string]int{},
		conf:     confOf2025(),
		rpc:      map[string]string{"version": versionRPC},
		password: secret,
		nonce:    "first",
		script:   scriptOf2025,
	}
}

// statsOf is a reply of stats.cgi with another hash rate (GH/s), mode and draw, each left out where empty.
func statsOf(rate, running, watt string) string {
	row := `"elapsed":100,"rate_ideal":245000.0,"rate_unit":"GH/s"`
	for name, value := range map[string]string{"rate_5s": rate, "miner-mode": running, "watt": watt} {
		if value != "" {
			row += fmt.Sprintf(",%q:%s", name, value)
		}
	}
	return `{"STATUS":{"STATUS":"S","when":1,"Msg":"stats","api_version":"1.0.0"},"INFO":{},"STATS":[{` + row + `}]}`
}

const success = `{"stats":"success","code":"M000","msg":"OK!"}`

// scriptOf2025 is what the maker's own script does: the mode counts under miner-mode alone, as 0, 1 or 2; what is not sent
// stays as it was, but the address category, which is lost.
func scriptOf2025(m *machine, sent map[string]any) string {
	if pools, ok := sent["pools"]; ok {
		m.conf["pools"] = pools
	}
	if level, ok := sent["freq-level"]; ok {
		m.conf["bitmain-freq-level"] = level
	}
	if text := fmt.Sprint(sent[minerMode]); slices.Contains([]string{"0", "1", "2"}, text) {
		m.conf[workMode] = text
	}
	m.conf["bitmain-user-ip-cat"] = sent["bitmain-user-ip-cat"]
	return success
}

// scriptOf2020 loses everything that it is not sent, as releases of that time were reported to.
func scriptOf2020(m *machine, sent map[string]any) string {
	lost := map[string]any{"pools": sent["pools"], "bitmain-freq-level": sent["freq-level"], workMode: fmt.Sprint(sent[minerMode])}
	for _, key := range []string{"bitmain-fan-ctrl", "bitmain-fan-pwm"} {
		lost[key] = sent[key]
	}
	for key := range m.conf {
		if value, ok := lost[key]; ok {
			m.conf[key] = value
		}
	}
	return success
}

// scriptOfS21e takes the mode under its other name, as text.
func scriptOfS21e(m *machine, sent map[string]any) string {
	if text, ok := sent[workMode].(string); ok {
		m.conf[workMode] = text
	}
	return success
}

// scriptOfNumbers takes it there as a number.
func scriptOfNumbers(m *machine, sent map[string]any) string {
	if number, ok := sent[workMode].(float64); ok {
		m.conf[workMode] = number
	}
	return success
}

func says(text string) func(*machine, map[string]any) string {
	return func(*machine, map[string]any) string { return text }
}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	page := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/cgi-bin/"), ".cgi")
	before := m.before
	if !m.admits(r) {
		m.open = append(m.open, r.URL.Path)
		w.Header().Set("WWW-Authenticate", `Digest realm="antMiner Configuration", nonce="`+m.nonce+`", qop="auth"`)
		w.WriteHeader(http.StatusUnauthorized)
		m.mu.Unlock()
		return
	}
	m.requests = append(m.requests, r.Method+" "+page)
	reply, known := m.pages[page]
	if page == "get_miner_conf" && m.conf != nil {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", " ")
		_ = encoder.Encode(m.conf)
		reply, known = "\n\n"+text.String(), true
	}
	var holds chan struct{}
	if page == "set_miner_conf" {
		reply, known, holds = m.ordered(body, r.Header.Get("Content-Type")), true, m.holds
	}
	status := m.statuses[page]
	m.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	if holds != nil {
		<-holds
	}
	switch {
	case status != 0:
		w.WriteHeader(status)
	case !known:
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = io.WriteString(w, reply)
}

func (m *machine) ordered(body []byte, kind string) string {
	m.sent, m.types = append(m.sent, string(body)), append(m.types, kind)
	var sent map[string]any
	if json.Unmarshal(body, &sent) != nil || strings.Contains(string(body), ":null") {
		return `{"stats":"error","code":"M001","msg":"Illegal request!"}`
	}
	return m.script(m, sent)
}

func (m *machine) admits(r *http.Request) bool {
	answer, err := digest.ParseCredentials(r.Header.Get("Authorization"))
	if err != nil {
		return false
	}
	want, err := digest.Digest(&digest.Challenge{Realm: "antMiner Configuration", Nonce: m.nonce, QOP: []string{"auth"}}, digest.Options{
		Method: r.Method, URI: r.URL.RequestURI(), Cnonce: answer.Cnonce, Count: answer.Nc, Username: "root", Password: m.password,
	})
	return err == nil && want.Response == answer.Response
}

// serve starts the machine and makes a driver that knows its ports.
func (m *machine) serve(t *testing.T) *Driver {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	d := New(miner.Target{Address: address.Addr(), Port: int(address.Port()), Password: secret})
	d.after = func(time.Duration) <-chan time.Time { return nil }
	d.rpc.address = m.listen(t)
	d.doors = []rpc{d.rpc}
	power := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if r.Header.Get("Authorization") != "" || r.URL.Path != "/miner_power" || m.power == "" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, m.power)
	}))
	t.Cleanup(power.Close)
	d.power = &wire.Client{Address: netip.MustParseAddrPort(power.Listener.Addr().String())}
	return d
}

// listen serves the RPC.
func (m *machine) listen(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(listener.Addr().String())
	if m.rpc == nil {
		_ = listener.Close()
		return address
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			var asked struct {
				Command string `json:"command"`
			}
			if json.NewDecoder(conn).Decode(&asked) == nil {
				m.mu.Lock()
				_, _ = io.WriteString(conn, m.rpc[asked.Command]+"\x00")
				m.mu.Unlock()
			}
			_ = conn.Close()
		}
	}()
	return address
}

func identified(t *testing.T, m *machine) *Driver {
	t.Helper()
	d := m.serve(t)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.taken()
	return d
}

// set changes the machine while it runs.
func (m *machine) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// taken are the requests since the last call, in order of their names.
func (m *machine) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	requests := m.requests
	m.requests = nil
	slices.Sort(requests)
	return requests
}

// orders are the bodies that were posted since the last call.
func (m *machine) orders() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	sent := m.sent
	m.sent = nil
	return sent
}

func (m *machine) mode() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(m.conf[workMode])
}
