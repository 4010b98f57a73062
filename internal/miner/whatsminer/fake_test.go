package whatsminer

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	md5crypt "github.com/GehirnInc/crypt/md5_crypt"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

const (
	secret    = "s3cr3t-pässword"
	deviceMAC = "CE:02:01:00:8C:36"
)

// machine is a tiny WhatsMiner that replays recorded shapes on both of its ports.
type machine struct {
	mu       sync.Mutex
	password string
	msgs     map[string]string // API v2 command -> its whole reply
	frames   map[string]string // API v3 command and param -> its msg
	refuse   map[string]string // command -> whole reply, in clear
	sealed   map[string]string // order of API v2 -> whole reply, encrypted
	silent   map[string]bool   // commands that get no word
	pkcs7    bool              // padding of encrypted replies, else zeros
	forgets  int               // tokens to call bad before one is good
	tokens   int               // given so far
	cgminer  bool              // it hears what it is asked as cgminer has it, and nothing else
	noPlain  bool              // nobody listens on 4028
	noFramed bool              // nobody listens on 4433
	orders   []string
	commands []string
}

// Recorded shapes: an M30S of 2021 for the numbers, firmware of 2024 for the form.
func m30s() *machine {
	return &machine{
		password: secret, noFramed: true,
		msgs: map[string]string{
			"get_version":    v2ok(`{"api_ver":"2.0.5","fw_ver":"'20240624.18.REL'","platform":"H616","chip":"K36A31-22090801 BINV01-197201C"}`),
			"get_miner_info": v2ok(`{"ip":"10.0.0.9","proto":"dhcp","mac":"` + deviceMAC + `","ledstat":"auto","hostname":"WhatsMiner","minersn":"HHM38S98302B24K40073"}`),
			"devdetails":     `{"STATUS":[{"STATUS":"S","Msg":"Device Details"}],"DEVDETAILS":[{"DEVDETAILS":0,"Name":"SM","ID":0,"Driver":"bitmicro","Kernel":"","Model":"M30S+VH30"}],"id":1}`,
			"status": v2ok(`{"mineroff":"false","mineroff_reason":"","mineroff_time":"","FirmwareVersion":"20240624.18.REL",` +
				`"power_mode":"normal","power_limit_set":"","hash_percent":"0"}`),
			"summary": `{"STATUS":[{"STATUS":"S","When":1615249622,"Code":11,"Msg":"Summary","Description":"btminer"}],"SUMMARY":[{"Elapsed":1216997,` +
				`"MHS av":99793646.89,"MHS 5s":116472006.19,"MHS 1m":97878725.92,"HS RT":96417231.65,"Temperature":80,"Voltage":1288,"Power":3496,` +
				`"Power_RT":3488,"Power Rate":35.03,"Uptime":1217030,"Power Mode":"Normal","Factory GHS":100000,"Power Limit":3600,"Chip Temp Max":92.9}],"id":1}`,
			"edevs": `{"STATUS":[{"STATUS":"S","Code":9,"Msg":"2 ASC(s)"}],"DEVS":[{"ASC":0,"Slot":0,"Upfreq Complete":1,"Effective Chips":215},` +
				`{"ASC":1,"Slot":1,"Upfreq Complete":1,"Effective Chips":215}],"id":1}`,
			"get_psu":        v2ok(`{"name":"P564B","model":"P564B","iin":"39800","vin":"22400","pin":"13","vender":"1"}`),
			"get_error_code": v2ok(`{"error_code":[]}`),
		},
		refuse: map[string]string{}, sealed: map[string]string{}, silent: map[string]bool{},
	}
}

// Recorded: M60S_VK40 with 20251209.16.Rel2 and API 3.0.2.
func m60s() *machine {
	m := m30s()
	m.noFramed = false
	m.msgs["get_version"] = v2ok(`{"api_ver":"3.0.2","fw_ver":"20251209.16.Rel2","platform":"H616"}`)
	m.frames = map[string]string{
		"get.device.info": `{"network":{"ip":"10.0.0.8","proto":"dhcp","mac":"` + deviceMAC + `","hostname":"WhatsMiner"},` +
			`"miner":{"working":"true","type":"M60S_VK40","hash-percent":"","fast-boot":"disable","board-num":"3","miner-sn":"HBM1XXX","power-limit-set":""},` +
			`"system":{"api":"3.0.2","platform":"H616","fwversion":"20251209.16.Rel2","apiswitch":"1","ledstatus":"auto"},` +
			`"power":{"type":"P221C","mode":"1","iin":14.8,"vin":220.5,"pin":3264,"temp0":41.3},"salt":"BQ5hoXV9",` +
			`"error-code":[{"264":"2026-05-23 09:19:10","reason":"Power xfer error"}]}`,
		"get.device.info salt": `{"salt":"BQ5hoXV9"}`,
		"get.miner.status summary": `{"summary":{"elapsed":50000,"bootup-time":1323,"factory-hash":181.051,"hash-average":171.1,"hash-1min":171.3,` +
			`"hash-realtime":171.259,"power-rate":18.428,"power-5min":3157.1,"power-realtime":3156,"board-temperature":[69.6,70.1],` +
			`"chip-temp-max":98.5,"power-limit":3600,"up-freq-finish":1}}`,
	}
	return m
}

func v2ok(msg string) string {
	return `{"STATUS":"S","When":1773872028,"Code":131,"Msg":` + msg + `,"Description":""}`
}

func v2no(code int, msg string) string {
	return fmt.Sprintf(`{"STATUS":"E","When":1773872028,"Code":%d,"Msg":%q,"Description":""}`, code, msg)
}

// serve starts both ports and makes a driver for them.
func (m *machine) serve(t testing.TB) *Driver {
	t.Helper()
	d := New(miner.Target{Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: secret})
	d.plain.address = listen(t, !m.noPlain, m.answerPlain)
	d.framed.address = listen(t, !m.noFramed, m.answerFramed)
	return d
}

// listen answers connections at a port of its own; closed, it is one where nobody listens.
func listen(t testing.TB, open bool, answer func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	at := netip.MustParseAddrPort(listener.Addr().String())
	if !open {
		listener.Close()
		return at
	}
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
	return at
}

func (m *machine) answerPlain(conn net.Conn) {
	var in struct {
		Command string `json:"cmd"`
		Older   string `json:"command"`
		Enc     int    `json:"enc"`
		Data    string `json:"data"`
	}
	if json.NewDecoder(conn).Decode(&in) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if in.Older != "" || m.cgminer {
		in.Command = in.Older
	}
	if in.Enc == 1 {
		fmt.Fprint(conn, m.obey(in.Data))
		return
	}
	m.commands = append(m.commands, in.Command)
	if m.silent[in.Command] {
		return
	}
	reply, ok := m.msgs[in.Command]
	switch no, refused := m.refuse[in.Command]; {
	case refused:
		reply = no
	case in.Command == "get_token":
		m.tokens++
		reply = fmt.Sprintf(`{"STATUS":"S","When":1,"Code":134,"Msg":{"time":"5626","salt":"BQ5hoXV9","newsalt":"new%d"},"Description":""}`, m.tokens)
	case !ok:
		reply = v2no(14, "invalid cmd")
	}
	fmt.Fprint(conn, reply+"\x00")
}

func lastPart(text, salt string) string {
	whole, err := md5crypt.New().Generate([]byte(text), []byte("$1$"+salt))
	if err != nil {
		panic(err)
	}
	return strings.Split(whole, "$")[3]
}

// obey takes an encrypted order.
func (m *machine) obey(data string) string {
	key := lastPart(m.password, "BQ5hoXV9")
	sum := sha256.Sum256([]byte(key))
	block, _ := aes.NewCipher(sum[:])
	plain, err := base64.StdEncoding.DecodeString(data)
	if err != nil || len(plain)%16 != 0 {
		return v2no(137, "base64 decode err")
	}
	for i := 0; i < len(plain); i += 16 {
		block.Decrypt(plain[i:], plain[i:])
	}
	var in map[string]string
	if json.Unmarshal(bytes.TrimRight(plain, "\x00"), &in) != nil {
		return v2no(23, "invalid json")
	}
	good := lastPart(key+"5626", fmt.Sprintf("new%d", m.tokens))
	if in["token"] != good || m.forgets > 0 {
		m.forgets--
		return v2no(135, "check token err "+in["token"])
	}
	command := in["cmd"]
	m.commands = append(m.commands, command)
	if no, refused := m.refuse[command]; refused {
		return no
	}
	m.orders = append(m.orders, strings.TrimSpace(command+" "+in["respbefore"]+in["power_limit"]))
	if m.silent[command] {
		return ""
	}
	reply := m.sealed[command]
	if reply == "" {
		reply = v2ok(`"API command OK"`)
	}
	return fmt.Sprintf(`{"enc":%q}`, m.seal(block.Encrypt, reply))
}

func (m *machine) seal(encrypt func(dst, src []byte), text string) string {
	pad := 16 - len(text)%16
	out := append([]byte(text), make([]byte, pad)...)
	if m.pkcs7 {
		copy(out[len(text):], bytes.Repeat([]byte{byte(pad)}, pad))
	}
	for i := 0; i < len(out); i += 16 {
		encrypt(out[i:], out[i:])
	}
	return base64.StdEncoding.EncodeToString(out)
}

func (m *machine) answerFramed(conn net.Conn) {
	var length uint32
	if binary.Read(conn, binary.LittleEndian, &length) != nil {
		return
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(conn, body); err != nil {
		return
	}
	var in struct {
		Command string `json:"cmd"`
		Param   any    `json:"param"`
		At      int64  `json:"ts"`
		Token   string `json:"token"`
		Account string `json:"account"`
	}
	if json.Unmarshal(body, &in) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	what := in.Command
	if in.Param != nil {
		what = fmt.Sprintf("%s %v", in.Command, in.Param)
	}
	m.commands = append(m.commands, what)
	if m.silent[in.Command] {
		return
	}
	reply := m.replyFramed(in.Command, what, in.Token, in.Account, in.At)
	_ = binary.Write(conn, binary.LittleEndian, []uint32{0, uint32(len(reply))}) // a heartbeat before it
	fmt.Fprint(conn, reply)
}

func (m *machine) replyFramed(command, what, token, account string, at int64) string {
	if no, refused := m.refuse[command]; refused {
		return no
	}
	if msg, ok := m.frames[what]; ok {
		return fmt.Sprintf(`{"code":0,"when":1700000000,"msg":%s,"desc":%q}`, msg, command)
	}
	if !strings.HasPrefix(command, "set.") {
		return `{"code":-2,"when":1700000000,"msg":"invalid command","desc":""}`
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%sBQ5hoXV9%d", command, m.password, at))
	if account != "super" || at != 1700000000 || token != base64.StdEncoding.EncodeToString(sum[:])[:8] {
		return fmt.Sprintf(`{"code":-2,"when":1700000000,"msg":"invalid token %s","desc":%q}`, token, command)
	}
	m.orders = append(m.orders, what)
	return fmt.Sprintf(`{"code":0,"when":1700000000,"msg":"ok","desc":%q}`, command)
}

// with changes a reply of either API.
func (m *machine) with(command, old, replacement string) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, replies := range []map[string]string{m.msgs, m.frames} {
		if was, ok := replies[command]; ok {
			if !strings.Contains(was, old) {
				panic(command + " has no " + old)
			}
			replies[command] = strings.ReplaceAll(was, old, replacement)
		}
	}
	return m
}

// asleep is how a machine looks some time after an order to stop.
func (m *machine) asleep() *machine {
	if m.frames != nil {
		return m.with("get.device.info", `"working":"true"`, `"working":"false"`).with("get.device.info", `"pin":3264`, `"pin":13`).
			with("get.miner.status summary", `171.259`, `0`).with("get.miner.status summary", `3156`, `13`)
	}
	return m.with("status", `"mineroff":"false","mineroff_reason":""`, `"mineroff":"true","mineroff_reason":"by whatsminer api"`).
		with("summary", `96417231.65`, `0`).with("summary", `"Power":3496`, `"Power":13`)
}

// taken are the orders and commands since the last call.
func (m *machine) taken() (orders, commands []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	orders, commands = slices.Clone(m.orders), slices.Clone(m.commands)
	m.orders, m.commands = nil, nil
	return orders, commands
}

func identified(t testing.TB, m *machine) *Driver {
	t.Helper()
	d := m.serve(t)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.taken()
	return d
}
