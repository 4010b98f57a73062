package whatsminer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// plain is a machine of API v1 or v2, on port 4028.
type plain struct {
	*rpc
	readings int
	faults   []string
	// climbed: all boards have found their frequency since the machine last started.
	climbed wire.Flag
	// mute: it does not say so.
	mute bool
}

var _ protocol = (*plain)(nil)

// version asks for who is there; only a WhatsMiner answers this with no error.
func (p *plain) version(ctx context.Context) (version, error) {
	r, err := p.ask(ctx, "get_version")
	if v, ok := p.versionBySummary(ctx, r, err); ok {
		return v, nil
	}
	if err != nil && !(isRefusal(err) && r.isWhatsMiner()) {
		if isRefusal(err) && !errors.Is(err, miner.ErrBusy) {
			err = fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
		}
		return version{}, wire.Foreign(err)
	}
	var v version
	_ = json.Unmarshal(r.Msg, &v)
	if (v.API == "" || v.Firmware == "") && !r.isWhatsMiner() {
		return version{}, fmt.Errorf("%s: %w: get_version names no WhatsMiner firmware", p.address, miner.ErrNotThisFirmware)
	}
	return v, nil
}

// versionBySummary is for machines of 2018 to 2020, some of which know no get_version, or no question under its newer
// name: their summary has fields that no other mining program's has.
// said and no are what get_version was answered.
func (p *plain) versionBySummary(ctx context.Context, said reply, no error) (version, bool) {
	if !silent(no) || errors.Is(no, miner.ErrBusy) || said.isWhatsMiner() {
		return version{}, false
	}
	p.older = true
	r, err := p.ask(ctx, "summary")
	if err != nil || !r.summaryOf().isWhatsMiner() {
		p.older = false
		return version{}, false
	}
	v := version{Firmware: r.summaryOf().Firmware}
	if r, err = p.ask(ctx, "get_version"); err == nil {
		_ = json.Unmarshal(r.Msg, &v)
	}
	return v, true
}

// who reads what names the machine. Each part may be missing on some firmware.
func (p *plain) who(ctx context.Context) (miner.Identity, error) {
	info, err := p.ask(ctx, "get_miner_info")
	if err != nil && !silent(err) {
		return miner.Identity{}, err
	}
	var m minerInfo
	_ = json.Unmarshal(info.Msg, &m)
	details, err := p.ask(ctx, "devdetails")
	if err != nil && !silent(err) {
		return miner.Identity{}, err
	}
	id := miner.Identity{
		Model:  string(details.Details.First().Model),
		MAC:    wire.MAC(m.MAC),
		Serial: wire.Serial(m.Serial),
	}
	if id.MAC != "" {
		return id, nil
	}
	s, err := p.ask(ctx, "summary") // where API v1 has it
	if err != nil && !silent(err) {
		return miner.Identity{}, err
	}
	id.MAC, id.FirmwareVersion = wire.MAC(s.summaryOf().MAC), string(s.summaryOf().Firmware)
	return id, nil
}

// slowEvery is how many readings pass between two looks at the machine's list of errors.
const slowEvery = 12

// look takes two connections, and one more each for what is missing: frequencies while they are searched,
// errors now and then and while it neither mines nor sleeps, the supply's own watts where btminer gives none.
func (p *plain) look(ctx context.Context) (look, error) {
	r, err := p.ask(ctx, "status")
	if err != nil && !silent(err) {
		return look{}, err
	}
	unsaid := err
	var s powerState
	_ = json.Unmarshal(r.Msg, &s)
	r, err = p.ask(ctx, "summary")
	if err != nil && (unsaid != nil || !silent(err)) {
		return look{}, err
	}
	now := lookOf(s, r.summaryOf())
	if !now.climbed.Set {
		if err := p.readClimb(ctx, now.hashes()); err != nil {
			return look{}, err
		}
		now.climbed = p.climbed
	}
	if now.watts == nil {
		now.watts = p.psuWatts(ctx)
	}
	p.readSlowly(ctx, now)
	now.faults = p.faults
	return now, nil
}

// readClimb asks whether the boards have found their frequency, until they have.
func (p *plain) readClimb(ctx context.Context, hashes bool) error {
	if !hashes {
		p.climbed, p.mute = wire.Flag{}, false
		return nil
	}
	if p.climbed.Value || p.mute {
		return nil
	}
	r, err := p.ask(ctx, "edevs")
	if err != nil && !silent(err) {
		return err
	}
	p.climbed = r.upfreq()
	p.mute = !p.climbed.Set
	return nil
}

func lookOf(s powerState, m summary) look {
	now := look{
		firmware: string(cmp.Or(s.Firmware, s.OldName, m.Firmware)), off: s.off(), reason: string(s.Reason), mode: string(cmp.Or(s.Mode, m.Mode)),
		watts: m.Power.Watts(), told: limitOf(s.LimitSet), limit: limitOf(m.PowerLimit),
		factoryTHs: m.FactoryGHs.Scaled(1e-3), joulesPerTH: m.PowerRate.Scaled(1),
		climbed: m.Upfreq, temperature: warmest(m.ChipMax, m.BoardTemp), uptime: m.Uptime.Seconds(),
	}
	for _, rate := range []wire.Number{m.HSRT, m.MHS5s, m.MHS1m} {
		if now.ths == nil {
			now.ths = rate.Scaled(1e-6)
		}
	}
	if now.uptime == nil {
		now.uptime = m.Elapsed.Seconds()
	}
	return now
}

func (p *plain) psuWatts(ctx context.Context) *int64 {
	r, err := p.ask(ctx, "get_psu")
	if err != nil {
		return nil
	}
	var supply psu
	_ = json.Unmarshal(r.Msg, &supply)
	return supply.Watts.Watts()
}

func (p *plain) readSlowly(ctx context.Context, now look) {
	turn := p.readings
	p.readings++
	troubled := !now.hashes() && !now.off.Value
	if turn%slowEvery != 0 && !troubled {
		return
	}
	request, _ := json.Marshal(order{Command: "get_error_code"})
	if data, err := wire.Exchange(ctx, p.address, "get_error_code", append(request, '\n'), wire.ReadReply); err == nil {
		p.faults = errorCodes(data)
	}
}

// command gives one order.
func (p *plain) command(ctx context.Context, what action) error {
	switch what.kind {
	case sleep:
		// Answered before it is done; some firmwares answer nothing all the same.
		return p.rpc.command(ctx, order{Command: "power_off", RespBefore: "true"})
	case wake:
		return p.rpc.command(ctx, order{Command: "power_on"})
	default:
		p.climbed, p.mute = wire.Flag{}, false // it restarts
		return p.rpc.command(ctx, order{Command: "adjust_power_limit", PowerLimit: strconv.FormatInt(what.watts, 10)})
	}
}

func isRefusal(err error) bool {
	var no *refusal
	return errors.As(err, &no)
}
