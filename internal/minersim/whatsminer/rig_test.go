package whatsminer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
	"github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

const fleet = `
seed: 2
groups:
- {name: v2, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE1, whatsMiner: {apiSwitch: true, maxTokens: 4}}
- {name: v2fast, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE2, password: hall5, whatsMiner: {apiSwitch: true, fastBoot: true}}
- {name: v2quirks, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE3, whatsMiner: {apiSwitch: true, quirks: true}}
- {name: v2shut, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE4, initial: Sleeping}
- {name: v3, count: 1, model: WhatsMiner M63S, firmware: WhatsMinerV3, firstAddress: BASE5, whatsMiner: {apiSwitch: true}}
- {name: v3fast, count: 1, model: M63S, firmware: WhatsMinerV3, firstAddress: BASE6, password: hall5, whatsMiner: {apiSwitch: true, fastBoot: true, quirks: true}}
- {name: v3shut, count: 1, model: M63S, firmware: WhatsMinerV3, firstAddress: BASE7, initial: Sleeping}
`

// The places of the machines in the fleet.
const (
	v2 = iota
	v2fast
	v2quirks
	v2shut
	v3
	v3fast
	v3shut
)

// rig is one machine under test.
type rig struct {
	t        *testing.T
	site     *minersim.Site
	d        *minersim.Device
	clock    *simtest.Clock
	password string
	// pkcs7 is how the client pads.
	pkcs7 bool
}

func start(t *testing.T, which int) *rig {
	site, clock := simtest.Start(t, map[string]minersim.Front{
		"WhatsMinerV2": whatsminer.NewV2(), "WhatsMinerV3": whatsminer.NewV3(),
	}, fleet)
	return (&rig{t: t, site: site, clock: clock}).at(which)
}

// at turns to another machine of the same site.
func (r *rig) at(which int) *rig {
	d := r.site.Fleet.Devices[which]
	next := &rig{t: r.t, site: r.site, d: d, clock: r.clock, password: "admin"}
	if which >= v3 {
		next.password = "super"
	}
	if d.Password != "" {
		next.password = d.Password
	}
	return next
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.DialTimeout("tcp", r.d.Address.String(), time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// raw sends bytes on a connection of their own and reads to its end.
func (r *rig) raw(request string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", r.d.Address.String(), time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// reply is one of API v2, in either of its shapes.
type reply struct {
	STATUS  json.RawMessage
	Code    int
	Msg     json.RawMessage
	When    int64
	Summary []summary `json:"SUMMARY"`
	Devs    []board   `json:"DEVS"`
}

type summary struct {
	Power          float64
	PowerLimit     float64 `json:"Power Limit"`
	PowerMode      string  `json:"Power Mode"`
	PowerRate      float64 `json:"Power Rate"`
	MHSav          float64 `json:"MHS av"`
	MHS5s          float64 `json:"MHS 5s"`
	HSRT           float64 `json:"HS RT"`
	FactoryGHS     float64 `json:"Factory GHS"`
	HashStable     bool    `json:"Hash Stable"`
	FastBoot       string  `json:"Btminer Fast Boot"`
	Elapsed        int
	Uptime         int
	EffectiveChips int
}

type board struct {
	Slot           int
	HSRT           float64 `json:"HS RT"`
	UpfreqComplete int     `json:"Upfreq Complete"`
	Status         string
}

// ask reads in clear.
func (r *rig) ask(command string) (got reply) {
	r.t.Helper()
	out, err := r.raw(`{"cmd":"` + command + `"}`)
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		r.t.Fatalf("%s: %v in %q", command, err, out)
	}
	return got
}

func (r *rig) summary() summary {
	r.t.Helper()
	got := r.ask("summary")
	if len(got.Summary) != 1 {
		r.t.Fatalf("no summary: %+v", got)
	}
	return got.Summary[0]
}

func (r *rig) msg(command string) (m map[string]string) {
	r.t.Helper()
	got := r.ask(command)
	if err := json.Unmarshal(got.Msg, &m); err != nil {
		r.t.Fatalf("%s: %v: %s", command, err, got.Msg)
	}
	return m
}

// token is a client's half of the handshake.
type token struct {
	sign string
	key  [sha256.Size]byte
}

func (r *rig) token() token {
	r.t.Helper()
	m := r.msg("get_token")
	key := whatsminer.MD5Crypt(r.password, m["salt"])
	if len(m["time"]) != 4 || len(m["salt"]) != 8 || len(m["newsalt"]) != 8 || m["salt"] == m["newsalt"] {
		r.t.Fatalf("get_token: %v", m)
	}
	return token{whatsminer.MD5Crypt(key+m["time"], m["newsalt"]), sha256.Sum256([]byte(key))}
}

// envelope encrypts a command.
func (r *rig) envelope(k token, command string, params map[string]string) string {
	inner := map[string]string{"token": k.sign, "cmd": command}
	maps.Copy(inner, params)
	plain, _ := json.Marshal(inner)
	out, _ := json.Marshal(map[string]any{"enc": 1, "data": whatsminer.Seal(k.key, plain, r.pkcs7)})
	return string(out)
}

// write sends an encrypted command and takes the reply apart; encrypted tells how it came.
func (r *rig) write(command string, params map[string]string) (got reply, encrypted bool) {
	r.t.Helper()
	return r.writeWith(r.token(), command, params)
}

func (r *rig) writeWith(k token, command string, params map[string]string) (got reply, encrypted bool) {
	r.t.Helper()
	out, err := r.raw(r.envelope(k, command, params))
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	var outer struct{ Enc string }
	if json.Unmarshal(out, &outer) == nil && outer.Enc != "" {
		if out, err = whatsminer.Unseal(k.key, outer.Enc); err != nil {
			r.t.Fatalf("%s: %v", command, err)
		}
		encrypted = true
	}
	if err := json.Unmarshal(bytes.TrimSpace(out), &got); err != nil {
		r.t.Fatalf("%s: %v in %q", command, err, out)
	}
	return got, encrypted
}

// want writes and checks the code; success comes encrypted.
func (r *rig) want(code int, command string, params map[string]string) {
	r.t.Helper()
	got, encrypted := r.write(command, params)
	if got.Code != code || !encrypted {
		r.t.Fatalf("%s %v: %d %s, want %d; encrypted %t", command, params, got.Code, got.Msg, code, encrypted)
	}
}

// mute sends a write that is never answered: once it is taken, the machine still listens, and when
// the client has gone it has said nothing.
func (r *rig) mute(command string, params map[string]string) {
	r.t.Helper()
	client, server := net.Pipe()
	served := make(chan struct{})
	envelope := r.envelope(r.token(), command, params)
	go func() {
		whatsminer.NewV2().Serve(r.d, server)
		close(served)
	}()
	for _, text := range []string{envelope, "anybody there?"} {
		if _, err := client.Write([]byte(text)); err != nil {
			r.t.Fatalf("%s: %v", command, err)
		}
	}
	_ = client.Close()
	<-served
}

// v3Reply is one of API v3.
type v3Reply struct {
	Code int
	When int64
	Msg  json.RawMessage
	Desc string
}

// exchange sends one frame and reads one.
func exchange(c net.Conn, request string) (got v3Reply, err error) {
	if _, err := c.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return got, err
	}
	var n uint32
	if err := binary.Read(c, binary.LittleEndian, &n); err != nil {
		return got, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return got, err
	}
	return got, json.Unmarshal(body, &got)
}

// ask3 reads, and puts the message into what is given.
func (r *rig) ask3(command, param string, into any) int {
	r.t.Helper()
	c := r.dial()
	defer func() { _ = c.Close() }()
	request := map[string]any{"cmd": command}
	if param != "" {
		request["param"] = param
	}
	b, _ := json.Marshal(request)
	got, err := exchange(c, string(b))
	if err != nil || got.Desc != command {
		r.t.Fatalf("%s: %v %+v", command, err, got)
	}
	if into != nil {
		if err := json.Unmarshal(got.Msg, into); err != nil {
			r.t.Fatalf("%s: %v in %s", command, err, got.Msg)
		}
	}
	return got.Code
}

// signed is a write of API v3.
func (r *rig) signed(command string, param any, account string) string {
	r.t.Helper()
	var m struct{ Salt string }
	r.ask3("get.device.info", "salt", &m)
	ts := "1700000000"
	request := map[string]any{
		"cmd": command, "ts": json.Number(ts), "account": account, "token": whatsminer.TokenV3(command, r.password, m.Salt, ts),
	}
	if param != nil {
		request["param"] = param
	}
	b, _ := json.Marshal(request)
	return string(b)
}

// set writes and gives the code.
func (r *rig) set(command string, param any) int {
	r.t.Helper()
	c := r.dial()
	defer func() { _ = c.Close() }()
	got, err := exchange(c, r.signed(command, param, "super"))
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return got.Code
}

type summary3 struct {
	Summary struct {
		Power    float64   `json:"power-realtime"`
		Limit    float64   `json:"power-limit"`
		Hash     float64   `json:"hash-realtime"`
		Factory  float64   `json:"factory-hash"`
		Searched int       `json:"up-freq-finish"`
		Rate     float64   `json:"power-rate"`
		Boards   []float64 `json:"board-temperature"`
	}
}

func (r *rig) summary3() (s summary3) {
	r.t.Helper()
	if code := r.ask3("get.miner.status", "summary", &s); code != 0 {
		r.t.Fatalf("code %d", code)
	}
	return s
}

func (r *rig) working() string {
	r.t.Helper()
	var m struct{ Miner struct{ Working string } }
	r.ask3("get.device.info", "miner", &m)
	return m.Miner.Working
}

// settled checks true watts within a share of what is wanted.
func (r *rig) settled(want, percent float64, when string) {
	r.t.Helper()
	if got := r.d.Watts(); math.Abs(got-want) > want*percent/100 {
		r.t.Errorf("%s: %.0f W, want %.0f", when, got, want)
	}
}

// asleep checks that only the control board draws.
func (r *rig) asleep(when string) {
	r.t.Helper()
	if got := r.d.Watts(); got > 37 {
		r.t.Errorf("%s: %.0f W", when, got)
	}
}

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(minersim.Selector{Address: r.d.Address.Addr().String()}, p); err != nil {
		r.t.Fatal(err)
	}
}
