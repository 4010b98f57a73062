package whatsminer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// framed is a machine of API v3, on port 4433: JSON in frames of a little-endian length, one request per
// connection. Each order carries a token of its own.
type framed struct {
	address           netip.AddrPort
	account, password string
}

var _ protocol = (*framed)(nil)

// maxHeartbeats bounds the empty frames before a reply.
const maxHeartbeats = 16

// frame puts the length before a request.
func frame(body []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// readFrame reads one frame that is no heartbeat, and takes the JSON value it begins with.
func readFrame(conn io.Reader) ([]byte, error) {
	var head [4]byte
	for range maxHeartbeats {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil, cutShort(err)
		}
		length := binary.LittleEndian.Uint32(head[:])
		switch {
		case length == 0:
			continue
		case length > wire.MaxReply:
			return nil, fmt.Errorf("a frame of %d bytes: %w", length, wire.ErrTooLarge)
		}
		body, err := io.ReadAll(io.LimitReader(conn, int64(length)))
		if err != nil {
			return nil, cutShort(err)
		}
		if len(body) < int(length) {
			return nil, wire.ErrTruncated
		}
		return wire.ReadReply(bytes.NewReader(body))
	}
	return nil, fmt.Errorf("nothing but heartbeats: %w", wire.ErrTooLarge)
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return wire.ErrTruncated
	}
	return fmt.Errorf("reading the reply: %w", err)
}

// request is the whole of what is sent.
type request struct {
	Command string `json:"cmd"`
	Param   any    `json:"param,omitempty"`
	At      *int64 `json:"ts,omitempty"`
	Token   string `json:"token,omitempty"`
	Account string `json:"account,omitempty"`
}

// answer is any reply.
type answer struct {
	Code wire.Number     `json:"code"`
	When wire.Number     `json:"when"`
	Msg  json.RawMessage `json:"msg"`
}

// ask sends one request and judges its code.
func (f *framed) ask(ctx context.Context, r request) (answer, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %s: %w", f.address, r.Command, err)
	}
	data, err := wire.Exchange(ctx, f.address, r.Command, frame(body), readFrame)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := wire.Decode(data, &a); err != nil {
		return answer{}, fmt.Errorf("%s: %s: %w", f.address, r.Command, err)
	}
	code, whole := a.Code.Int()
	if whole && code == v3OK {
		return a, nil
	}
	var message wire.Text
	_ = message.UnmarshalJSON(a.Msg)
	no := &refusal{address: f.address, command: r.Command, code: code, message: without(r.Token, string(message))}
	no.judgeV3()
	return a, no
}

// deviceInfo is what get.device.info gives.
type deviceInfo struct {
	Network struct {
		MAC wire.Text `json:"mac"`
	} `json:"network"`
	Miner struct {
		Working  wire.Flag   `json:"working"`
		Model    wire.Text   `json:"type"`
		Serial   wire.Text   `json:"miner-sn"`
		LimitSet wire.Number `json:"power-limit-set"`
	} `json:"miner"`
	System struct {
		API       wire.Text `json:"api"`
		Firmware  wire.Text `json:"fwversion"`
		APISwitch wire.Flag `json:"apiswitch"`
	} `json:"system"`
	Power struct {
		Watts wire.Number `json:"pin"`
	} `json:"power"`
	Salt   wire.Text       `json:"salt"`
	Errors json.RawMessage `json:"error-code"`
}

func (f *framed) device(ctx context.Context) (deviceInfo, error) {
	a, err := f.ask(ctx, request{Command: "get.device.info"})
	if err != nil {
		return deviceInfo{}, err
	}
	var d deviceInfo
	_ = json.Unmarshal(a.Msg, &d)
	return d, nil
}

// who reads what names the machine.
func (f *framed) who(ctx context.Context) (miner.Identity, error) {
	d, err := f.device(ctx)
	if isRefusal(err) {
		err = fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	}
	if err != nil {
		return miner.Identity{}, wire.Foreign(err)
	}
	if d.System.Firmware == "" && d.Miner.Model == "" {
		return miner.Identity{}, fmt.Errorf("%s: %w: get.device.info names no WhatsMiner", f.address, miner.ErrNotThisFirmware)
	}
	return miner.Identity{
		FirmwareVersion: string(d.System.Firmware),
		Model:           string(d.Miner.Model),
		MAC:             wire.MAC(d.Network.MAC),
		Serial:          wire.Serial(d.Miner.Serial),
	}, nil
}

// summaryV3 is the part of get.miner.status that is read. Hash rates are TH/s here.
type summaryV3 struct {
	Elapsed    wire.Number `json:"elapsed"`
	Hash       wire.Number `json:"hash-realtime"`
	Hash1m     wire.Number `json:"hash-1min"`
	Factory    wire.Number `json:"factory-hash"`
	Watts      wire.Number `json:"power-realtime"`
	WattsMean  wire.Number `json:"power-5min"`
	PowerRate  wire.Number `json:"power-rate"` // J/TH
	Limit      wire.Number `json:"power-limit"`
	Climbed    wire.Flag   `json:"up-freq-finish"`
	ChipMax    wire.Number `json:"chip-temp-max"`
	BoardTemps numbers     `json:"board-temperature"`
}

// numbers is a list of numbers, or one.
type numbers []wire.Number

// UnmarshalJSON never fails.
func (n *numbers) UnmarshalJSON(data []byte) error {
	var many []wire.Number
	if json.Unmarshal(data, &many) != nil {
		many = make([]wire.Number, 1)
		_ = many[0].UnmarshalJSON(data)
	}
	*n = many
	return nil
}

// look takes two connections.
func (f *framed) look(ctx context.Context) (look, error) {
	d, err := f.device(ctx)
	if err != nil {
		return look{}, err
	}
	a, err := f.ask(ctx, request{Command: "get.miner.status", Param: "summary"})
	if err != nil && !silent(err) {
		return look{}, err
	}
	var found struct {
		Summary summaryV3 `json:"summary"`
	}
	_ = json.Unmarshal(a.Msg, &found)
	return lookOfV3(d, found.Summary), nil
}

func lookOfV3(d deviceInfo, s summaryV3) look {
	now := look{
		off: d.Miner.Working, ths: s.Hash.Scaled(1), told: limitOf(d.Miner.LimitSet), limit: limitOf(s.Limit),
		factoryTHs: s.Factory.Scaled(1), joulesPerTH: s.PowerRate.Scaled(1), climbed: s.Climbed,
		temperature: warmest(append(s.BoardTemps, s.ChipMax)...), uptime: s.Elapsed.Seconds(), faults: faultsOfV3(d.Errors),
	}
	now.off.Value = now.off.Set && !now.off.Value
	if now.ths == nil {
		now.ths = s.Hash1m.Scaled(1)
	}
	for _, watts := range []wire.Number{s.Watts, d.Power.Watts, s.WattsMean} {
		if now.watts == nil {
			now.watts = watts.Watts()
		}
	}
	if d.System.APISwitch.Set && !d.System.APISwitch.Value {
		now.faults = append(now.faults, "it takes no orders: "+hintSwitch)
	}
	return now
}

// faultsOfV3 reads [{"531": "2025-03-12 14:52:35", "reason": "Slot1 not found."}]: the code is a key.
func faultsOfV3(list json.RawMessage) []string {
	var faults []string
	var entries wire.List[map[string]wire.Text]
	_ = entries.UnmarshalJSON(list)
	for _, e := range entries {
		head, _ := json.Marshal(e) // in the order of its keys
		for _, fault := range faultsOf(head) {
			if e["reason"] != "" {
				fault = clipped(fault + ": " + string(e["reason"]))
			}
			faults = append(faults, fault)
		}
	}
	return faults[:min(len(faults), maxFaults)]
}

// command gives one order: the salt first, then the order with a token made of it. The time in it is the
// machine's own, so that no clock of ours has to agree with it.
func (f *framed) command(ctx context.Context, what action) error {
	a, err := f.ask(ctx, request{Command: "get.device.info", Param: "salt"})
	if err != nil {
		return err
	}
	var d deviceInfo
	_ = json.Unmarshal(a.Msg, &d)
	at, dated := a.When.Int()
	if d.Salt == "" || !dated {
		return fmt.Errorf("%s: %w: it gives no salt and time to make a token of", f.address, miner.ErrRefused)
	}
	r := request{Command: "set.miner.service", Account: f.account, At: &at}
	switch what.kind {
	case sleep:
		r.Param = "stop"
	case wake:
		r.Param = "start"
	default:
		r.Command, r.Param = "set.miner.power_limit", what.watts
	}
	r.Token = tokenV3(r.Command, f.password, string(d.Salt), at)
	_, err = f.ask(ctx, r)
	return err
}
