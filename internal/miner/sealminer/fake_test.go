package sealminer

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// machine is a tiny SealMiner: the RPC, and the web pages that reboot it.
type machine struct {
	mu      sync.Mutex
	version string
	stats   string // fields of the first entry
	summary string
	details string
	refuse  map[string]string // order or command -> message of an error
	replies map[string]string // order or command -> the whole reply
	silent  map[string]bool   // closed without a word
	orders  []string

	pages *wiretest.Machine
}

const (
	secret = "s3cr3t"
	cookie = "PHPSESSID=token-1"
)

// a2 has the numbers that were recorded of an A2.
func a2() *machine {
	m := &machine{
		version: `"BDMiner":"4.11.1-08400-g27d4664c","API":"3.7"`,
		stats: `"STATS":0,"ID":"BDM0","Elapsed":27784,"MAC":"50:d4:48:4b:86:78","Ctrl Board":"TaurusAir","Ctrl Board SN":"S127200252001850",
			"Firmware":"2025091001","Software Version":"bdminer 4.11.1","PM State":"Running","Mining Mode":"Normal","Power Limit":3500,
			"PSU Input Power":3504,"PSU Output Power":3232,"PSU Efficiency":0.92,"MHS(Rated)":230839407.28559,"System Uptime":27942,
			"Board Count":3,"0 Online":true,"0 Temp 0":62,"0 Temp 1":0,"1 Temp 3":67.5,"2 Temp 0":65,"0 Bad Chip Count":0,"Error Code":"602","Error Chip":""`,
		summary: `"Elapsed":27784,"MHS av":206860473.51,"MHS 5s":22683116.68,"MHS 1m":205012345.1,"MHS 5m":206000000`,
		details: `"DEVDETAILS":0,"Name":"BDM","Model":"A2"`,
		refuse:  map[string]string{}, replies: map[string]string{}, silent: map[string]bool{},
	}
	m.pages = &wiretest.Machine{
		Root: "/cgi-bin/", Login: "login.php", Statuses: map[string]int{}, Replies: map[string]string{"POST reboot.php": `{"state":0}`},
		Admit: func(body []byte, _ string) (int, string) {
			if string(body) != "origin_pwd="+secret+"&username=seal" {
				return http.StatusOK, `{"state":1,"msg":"wrong"}`
			}
			return http.StatusOK, `{"state":0}`
		},
		Shown: func(header http.Header) string {
			shown, _ := strings.CutPrefix(header.Get("Cookie"), "PHPSESSID=")
			return shown
		},
	}
	return m
}

// asleep is a guess: which word a suspended machine says was not recorded.
func (m *machine) asleep() *machine {
	return m.with(`"PM State":"Running"`, `"PM State":"Suspended"`).with(`"PSU Input Power":3504`, `"PSU Input Power":31`).
		with(`"PSU Output Power":3232`, `"PSU Output Power":12`).with("205012345.1", "0")
}

func (m *machine) with(old, replacement string) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.Contains(m.stats+m.summary, old) {
		panic("no " + old)
	}
	m.stats, m.summary = strings.ReplaceAll(m.stats, old, replacement), strings.ReplaceAll(m.summary, old, replacement)
	return m
}

func (m *machine) serve(t testing.TB) *Driver {
	t.Helper()
	at := listen(t, m.answer)
	d := New(miner.Target{Address: at.Addr(), Port: int(at.Port()), Password: secret})
	pages := wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "login.php") {
			w.Header().Add("Set-Cookie", cookie+"; path=/; HttpOnly")
		}
		m.pages.ServeHTTP(w, r)
	}))
	d.web.Address = netip.AddrPortFrom(pages.Address, uint16(pages.Port))
	return d
}

func listen(t testing.TB, answer func(net.Conn)) netip.AddrPort {
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
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

func (m *machine) answer(conn net.Conn) {
	var in request
	if json.NewDecoder(conn).Decode(&in) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	order, isOrder := strings.CutPrefix(in.Parameter, "0,")
	if isOrder || in.Command == "restart" {
		m.orders = append(m.orders, strings.TrimSpace(in.Command+" "+order))
	}
	name, _, _ := strings.Cut(order, ",")
	if name == "" {
		name = in.Command
	}
	if !m.silent[name] {
		fmt.Fprint(conn, m.reply(in.Command, name)+"\x00")
	}
}

func (m *machine) reply(command, name string) string {
	if whole, ok := m.replies[name]; ok {
		return whole
	}
	if no, ok := m.refuse[name]; ok {
		return says("E", 120, no, "")
	}
	switch command {
	case "version":
		return says("S", 22, "BDMiner versions", `"VERSION":[{`+m.version+`}]`)
	case "stats":
		return says("S", 70, "BDMiner stats", `"STATS":[{`+m.stats+`},{"STATS":1,"ID":"POOL0"}]`)
	case "summary":
		return says("S", 11, "Summary", `"SUMMARY":[{`+m.summary+`}]`)
	case "devdetails":
		return says("S", 69, "Device Details", `"DEVDETAILS":[{`+m.details+`}]`)
	case "restart":
		return `{"STATUS":"RESTART"}`
	case "ascset":
		return says("S", 119, "ASC 0 set OK", "")
	}
	return says("E", 14, "Invalid command", "")
}

func says(letter string, code int, message, section string) string {
	if section != "" {
		section = "," + section
	}
	return fmt.Sprintf(`{"STATUS":[{"STATUS":%q,"When":1773869544,"Code":%d,"Msg":%q,"Description":"bdminer 4.11.1"}]%s,"id":1}`,
		letter, code, message, section)
}

// taken are the orders since the last call, and the pages that were asked for.
func (m *machine) taken() (orders, pages []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	orders = slices.Clone(m.orders)
	m.orders = nil
	return orders, m.pages.Taken()
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

func read(t *testing.T, d *Driver) miner.Reading {
	t.Helper()
	r, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
