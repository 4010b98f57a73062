package avalon

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// machine is a tiny Avalon that replays recorded shapes: one request per connection.
type machine struct {
	mu      sync.Mutex
	version string // fields of VERSION, as JSON
	modules map[string]string
	summary string
	help    string // what ascset lists; empty: it does not know the question
	when    int64
	text    bool              // it speaks text only
	name    string            // of the module
	two     bool              // modules
	refuse  map[string]string // order or command -> message of an error
	replies map[string]string // order -> the whole reply
	silent  map[string]bool   // closed without a word
	asked   []string
	orders  []string
}

const now = 1753434816

// a1566 was recorded of an A15 at work.
func a1566() *machine {
	return &machine{
		name: "MM ID0", when: 986,
		version: `"CGMiner":"4.11.1","API":"3.7","STM8":"20.08.01","PROD":"AvalonMiner 15-194","MODEL":"15-194","HWTYPE":"MM4v2_X3","SWTYPE":"MM319",
			"VERSION":"24102401_25462b2_9ddf522","LOADER":"d0d779de.00","DNA":"020100008c699117","MAC":"123456789012","UPAPI":"2"`,
		modules: map[string]string{"stats": "Ver[15-194-24102401_25462b2_9ddf522] DNA[020100008c699117] MEMFREE[1392832.1381104] NETFAIL[0 0 0 0 0 0 0 0] " +
			"SYSTEMSTATU[Work: In Work, Hash Board: 3 ] Elapsed[975] BOOTBY[0x04.00000000] LW[714031] MH[0 0 0] DHW[0] HW[0] DH[1.299%] Temp[31] TMax[78] TAvg[70] " +
			"Fan1[4275] Fan2[4282] FanR[49%] Vo[296] PS[0 1209 1187 297 3526 1188 3731] WALLPOWER[3731] PLL0[3346 2549 4722 13703] GHSspd[199241.07] " +
			"DHspd[1.299%] GHSmm[201920.42] GHSavg[184007.00] WU[2570548.05] Freq[345.94] Led[0] MGHS[59459.52 61407.83 63139.66] MTmax[77 78 77] " +
			"MTavg[69 70 71] TA[480] Core[A3197S] PING[131] POWS[0] EEPROM[160 160 160] HASHS[0 0 0] POOLS[0] SoftOFF[0] ECHU[0 0 0] ECMM[0] " +
			"SF0[300 318 339 360] PVT_T0[ 66  65  63] CRC[0 0 0] FACOPTS0[] ATAOPTS0[--avalon10-freq 240:258:279:300 --hash-asic 160] ADJ[1] COP[0 0 0] " +
			"MPO[3515] MVL[87] ATABD0[300 318 339 360] WORKMODE[1]"},
		summary: `"Elapsed":975,"MHS av":192796247.36,"MHS 30s":197497926.49,"MHS 1m":197266944.16`,
	}
}

// a1346 was recorded of an A13, asleep and at work; its supply reads 1 V x 100 or none when the boards are off.
func a1346() *machine {
	m := a1566()
	m.when = 478
	m.version = `"API":"3.7","PROD":"AvalonMiner 1346-110","MODEL":"1346-110","HWTYPE":"MM4v1_X3","SWTYPE":"MM317","VERSION":"24041001_08b0955_0196aba"`
	m.modules["stats"] = "Ver[1346-110-24041001_08b0955_0196aba] SYSTEMSTATU[Work: In Work, Hash Board: 3 ] Elapsed[1370] BOOTBY[0x01.00000000] " +
		"GHSspd[110778.38] GHSmm[112000.10] GHSavg[108622.40] PS[0 1199 1391 225 3126 1393 3348] SoftOFF[0] MPO[3100] WORKMODE[0]"
	m.summary = `"Elapsed":1167,"MHS 1m":1102.8,"MHS av":22622399.47`
	return m
}

func (m *machine) asleep1346() *machine {
	return m.with("In Work", "In Idle").with("GHSspd[110778.38]", "GHSspd[0.00]").with("GHSmm[112000.10]", "GHSmm[0.00]").
		with("PS[0 1199 1391 225 3126 1393 3348]", "PS[0 1198 0 0 0 1393 11]").with("SoftOFF[0]", "SoftOFF[5]")
}

const helpQ = "help|voltage|fan-spd|lcd|hash-sn-read|hash-sn-write|volt-tuning|workmode|worklevel|work_mode_lvl|reboot|softon|softoff|" +
	"filter-clean|facopts|faclock|activate|solo-allowed|frequency|loop|password|qr_auth|time|"

// q is an Avalon Q: fields of one recorded asleep, with the supply of one recorded at work.
func q() *machine {
	return &machine{
		name: "MM ID0:Summary", when: now, help: helpQ,
		version: `"CGMiner":"4.11.1","API":"3.7","PROD":"Avalon Q","MODEL":"Q","HWTYPE":"Q_MM1v1_X1","SWTYPE":"MM319","LVERSION":"25052801_14a19a2",
			"BVERSION":"25052801_14a19a2","CGVERSION":"25052801_14a19a2","DNA":"020100002fa7f22f","MAC":"00e04c30f1f1"`,
		modules: map[string]string{"stats": "'STATS':{Ver[Q-25052801_14a19a2] LVer[25052801_14a19a2] CPU[K230] FW[Release] DNA[020100002fa7f22f] STATE[1] " +
			"MEMFREE[67892] NETFAIL[0 0 0 0 0 0 0 0] SSID[] SYSTEMSTATU[Work: In Work, Hash Board: 1] Elapsed[37850] BOOTBY[0x01.00000000] LW[16987598] " +
			"MH[0] DHW[0] HW[0] DH[2.449%] ITemp[26] HBITemp[27] HBOTemp[47] TMax[78] TAvg[69] TarT[65] Fan1[1585] Fan2[1600] FanR[50%] " +
			"SoftOffTime[1753415250] SoftOnTime[1753425190] Filter[19143] FanErr[0] SoloAllowed[1] PS[0 1209 2349 55 1306 2350 1364] PCOMM_E[0] " +
			"GHSspd[81010.00] DHspd[2.449%] GHSmm[82032.79] GHSavg[78499.41] WU[621649.53] Freq[282.86] MGHS[78499.41] TA[160] Core[A3197S] BIN[36] " +
			"PING[17] SoftOFF[0] ECHU[0] ECMM[0] PLL0[8843 5769 5098 4610] SF0[258 276 297 318] CRC[0] ATA0[1300-65-2264-258-20] LcdOnoff[1] " +
			"Activation[0] WORKMODE[1] WORKLEVEL[0] MPO[1300] CALIALL[7] ADJ[1] Nonce Mask[25]}"},
		summary: `"Elapsed":37850,"MHS av":75774433.33,"MHS 5s":79008182.64,"MHS 1m":78165812.87`,
	}
}

// asleepQ is as recorded: lifetime rates stay, and the supply still shows what it took a moment ago.
func (m *machine) asleepQ() *machine {
	return m.with("In Work", "In Idle").with("STATE[1]", "STATE[2]").with("GHSspd[81010.00]", "GHSspd[0.00]").with("TMax[78]", "TMax[0]").
		with("PS[0 1209 2349 55 1306 2350 1364]", "PS[0 1222 4 0 0 2245 146]").with("SoftOffTime[1753415250]", "SoftOffTime[1753425250]").
		with("SoftOFF[0]", "SoftOFF[4]")
}

// a1066 is the first generation, by the vendor's manual: text, no hash rate of now, no word on orders.
func a1066() *machine {
	return &machine{
		name: "MM ID0", when: 6397, text: true,
		version: `"CGMiner":"4.11.1","API":"3.7","PROD":"AvalonMiner 10xx","MODEL":"10xx","HWTYPE":"MM3v2","SWTYPE":"MM320","VERSION":"19090589_789f8e9t_965ebdct",
			"DNA":"0000000000000000","MAC":"aaa5836a0f14","UPAPI":"2"`,
		modules: map[string]string{"estats": "Ver[1066-19101244_fe411a8_71edeca] DNA[020100002c2af618] NETFAIL[0 0 0 0 0 0 0 0] SYSTEMSTATU[Work: In Work, Hash Board: 3 ] " +
			"Elapsed[6355] MW[1443554 1443536 1443615] Temp[25] TMax[74] TAvg[66] PS[0 1217 1279 221 2834 1280] GHSmm[51062.40] GHSavg[50291.83] " +
			"ECHU[512 512 512] ECMM[0] PVT_T0[ 59  58  55] FACOPTS0[] WORKMODE[1]"},
		summary: `"Elapsed":17994,"MHS av":51278810.20,"MHS 30s":51423478.12,"MHS 1m":51209334.97`,
	}
}

// with changes the modules.
func (m *machine) with(old, replacement string) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	for command, text := range m.modules {
		if !strings.Contains(text, old) {
			panic("no " + old)
		}
		m.modules[command] = strings.ReplaceAll(text, old, replacement)
	}
	return m
}

func (m *machine) serve(t testing.TB) miner.Target {
	t.Helper()
	at := listen(t, m.answer)
	return miner.Target{Address: at.Addr(), Port: int(at.Port())}
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
	buffer := make([]byte, 4096)
	n, _ := conn.Read(buffer)
	m.mu.Lock()
	defer m.mu.Unlock()
	var in struct{ Command, Parameter string }
	if isJSON := buffer[0] == '{'; !isJSON {
		in.Command, in.Parameter, _ = strings.Cut(string(buffer[:n]), "|")
	} else if json.Unmarshal(buffer[:n], &in) != nil || m.text {
		in.Command = "?"
	}
	if order, isOrder := strings.CutPrefix(in.Parameter, "0,"); isOrder && order != "help" {
		m.orders = append(m.orders, order)
	} else {
		m.asked = append(m.asked, strings.TrimSpace(in.Command+" "+in.Parameter))
	}
	if !m.silent[in.Command] && !m.silent[in.Parameter] {
		fmt.Fprint(conn, m.reply(in.Command, in.Parameter)+"\x00")
	}
}

func (m *machine) reply(command, parameter string) string {
	order, _ := strings.CutPrefix(parameter, "0,")
	name, _, _ := strings.Cut(order, ",")
	if whole, ok := m.replies[name]; ok {
		return whole
	}
	for _, key := range []string{command, name} {
		if no, ok := m.refuse[key]; ok && key != "" {
			return m.says("E", 120, "ASC 0 set failed: "+no, "")
		}
	}
	switch {
	case command == "version":
		return m.says("S", 22, "CGMiner versions", `"VERSION":[{`+m.version+`}]`)
	case command == "summary":
		return m.says("S", 11, "Summary", `"SUMMARY":[{`+m.summary+`}]`)
	case m.modules[command] != "":
		second := ""
		if m.two {
			second = fmt.Sprintf(`"MM ID1":%q,`, m.modules[command])
		}
		return m.says("S", 70, "CGMiner stats", fmt.Sprintf(`"STATS":[{"STATS":0,"ID":"AVA100","Elapsed":975,%q:%q,%s"MM Count":1},{"STATS":1,"ID":"POOL0"}]`,
			m.name, m.modules[command], second))
	case command != "ascset":
		return m.says("E", 14, "Invalid command", "")
	case order == "help" && m.help == "":
		return m.says("E", 120, "ASC 0 set failed: Unknown option: help", "")
	case order == "help":
		return m.says("I", 118, "ASC 0 set info: "+m.help, "")
	case strings.HasPrefix(name, "soft") && strings.Contains(order, ","):
		return m.says("I", 118, "ASC 0 set info: success "+order, "")
	case name == "hashpower":
		return m.says("I", 118, "ASC 0 set info: Power off hash now ...", "")
	}
	return m.says("S", 119, "ASC 0 set OK", "")
}

func (m *machine) says(letter string, code int, message, section string) string {
	if m.text {
		return fmt.Sprintf("STATUS=%s,When=%d,Code=%d,Msg=%s,Description=cgminer 4.11.1|%s", letter, m.when, code, message, textSection(section))
	}
	if section != "" {
		section = "," + section
	}
	return fmt.Sprintf(`{"STATUS":[{"STATUS":%q,"When":%d,"Code":%d,"Msg":%q,"Description":"cgminer 4.11.1"}]%s,"id":1}`, letter, m.when, code, message, section)
}

// textSection writes a section as old firmware does.
func textSection(section string) string {
	if section == "" {
		return ""
	}
	var parsed map[string][]map[string]any
	if err := json.Unmarshal([]byte("{"+section+"}"), &parsed); err != nil {
		panic(err)
	}
	var out strings.Builder
	for name, entries := range parsed {
		for _, fields := range entries {
			out.WriteString(name)
			if n, ok := fields[name]; ok && name == "STATS" {
				fmt.Fprintf(&out, "=%v", n)
				delete(fields, name)
			}
			for _, key := range slices.Sorted(maps.Keys(fields)) {
				fmt.Fprintf(&out, ",%s=%v", key, fields[key])
			}
			out.WriteString("|")
		}
	}
	return out.String()
}

// taken are the orders and questions since the last call.
func (m *machine) taken() (orders, asked []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	orders, asked = slices.Clone(m.orders), slices.Clone(m.asked)
	m.orders, m.asked = nil, nil
	return orders, asked
}

func identified(t *testing.T, m *machine) *Driver {
	t.Helper()
	d := New(m.serve(t))
	d.clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
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
