package firmwares

import (
	"errors"
	"io"
	"maps"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	simantminer "github.com/counterweight-dev/counterweight/internal/minersim/antminer"
	simauradine "github.com/counterweight-dev/counterweight/internal/minersim/auradine"
	simavalon "github.com/counterweight-dev/counterweight/internal/minersim/avalon"
	simaxeos "github.com/counterweight-dev/counterweight/internal/minersim/axeos"
	simbraiins "github.com/counterweight-dev/counterweight/internal/minersim/braiins"
	simepic "github.com/counterweight-dev/counterweight/internal/minersim/epic"
	simluxos "github.com/counterweight-dev/counterweight/internal/minersim/luxos"
	simmarafw "github.com/counterweight-dev/counterweight/internal/minersim/marafw"
	simproto "github.com/counterweight-dev/counterweight/internal/minersim/proto"
	simsealminer "github.com/counterweight-dev/counterweight/internal/minersim/sealminer"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
	simvnish "github.com/counterweight-dev/counterweight/internal/minersim/vnish"
	simwhatsminer "github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

const hall = `
seed: 2
groups:
- {name: braiins, count: 1, model: S21, firmware: BraiinsOS, firstAddress: BASE1, budget: x, ports: {BraiinsOS: 18083}}
- {name: lux, count: 1, model: S19k Pro, firmware: LuxOS, firstAddress: BASE2, budget: x}
- {name: vnish-1.2, count: 1, model: S21 Pro, firmware: VNish, firstAddress: BASE3, budget: x, ports: {VNish: 18083}}
- {name: vnish-1.3, count: 1, model: S19j Pro, firmware: VNish, firmwareVersion: 1.3.4, firstAddress: BASE4, budget: x, ports: {VNish: 18083}}
- {name: whatsminer-v2, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE5, budget: x, whatsMiner: {apiSwitch: true, fastBoot: true}}
- {name: whatsminer-v3, count: 1, model: M63S, firmware: WhatsMinerV3, firstAddress: BASE6, budget: x, whatsMiner: {apiSwitch: true, fastBoot: true}}
- {name: epic, count: 1, model: S19 XP, firmware: ePIC, firstAddress: BASE7, budget: x, powerSource: PSU, ports: {ePIC.web: 18083}}
- {name: auradine, count: 1, model: AT2880, firmware: Auradine, firstAddress: BASE8, budget: x}
- {name: sealminer, count: 1, model: SealMiner A2, firmware: SealMiner, firstAddress: BASE9, budget: x, ports: {SealMiner.web: 18083}}
- {name: marafw, count: 1, model: S19k Pro, firmware: MaraFW, firstAddress: BASE10, budget: x, ports: {MaraFW: 18083}}
- {name: antminer, count: 1, model: S21, firmware: Antminer, firstAddress: BASE11, budget: x, ports: {Antminer: 18083}}
- {name: avalon-a15, count: 1, model: Avalon A1566, firmware: Avalon, firstAddress: BASE12, budget: x}
- {name: avalon-q, count: 1, model: Avalon Q, firmware: Avalon, firstAddress: BASE13, budget: x}
- {name: axeos, count: 1, model: Bitaxe Gamma, firmware: AxeOS, firstAddress: BASE14, budget: x, ports: {AxeOS: 18083}}
- {name: proto, count: 1, model: Proto Rig, firmware: ProtoRig, firstAddress: BASE15, budget: x, password: proto-rig, ports: {ProtoRig: 18083}}
- {name: proto-https, count: 1, model: Proto Rig, firmware: ProtoRig, firmwareVersion: 1.8.2-https, firstAddress: BASE18, budget: x, password: proto-rig, ports: {ProtoRig: 18083}}
`

// elsewhere is where the hall's machines have what belongs at port 80.
var elsewhere = map[string]int{"BraiinsOS": 18083, "VNish": 18083, "AxeOS": 18083, "SealMinerWeb": 18083, "MaraFW": 18083, "Antminer": 18083, "ProtoRig": 18083}

// given is what a pool's secret must hold for machines whose firmware has no login by default.
var given = map[string]string{"proto": "proto-rig", "proto-https": "proto-rig"}

// newFronts are the machines of every firmware.
func newFronts(t *testing.T) map[string]minersim.Front {
	t.Helper()
	fronts := map[string]minersim.Front{
		"BraiinsOS": simbraiins.New(), "LuxOS": simluxos.New(), "VNish": simvnish.New(),
		"WhatsMinerV2": simwhatsminer.NewV2(), "WhatsMinerV3": simwhatsminer.NewV3(),
		"ePIC": simepic.New(), "Auradine": simauradine.New(), "SealMiner": simsealminer.New(),
		"MaraFW": simmarafw.New(), "Antminer": simantminer.New(),
		"Avalon": simavalon.New(), "AxeOS": simaxeos.New(), "ProtoRig": simproto.New(),
	}
	t.Cleanup(func() {
		for _, f := range fronts {
			if c, ok := f.(io.Closer); ok {
				_ = c.Close()
			}
		}
	})
	return fronts
}

// TestDriversMeetMachines: driver and simulator of one firmware come from the same facts by different hands. A misreading
// shows where they meet: whether it is found out what answers, its watts are read as they are, and orders move them.
func TestDriversMeetMachines(t *testing.T) {
	site, clock := simtest.Start(t, newFronts(t), hall)
	want := []miner.Firmware{
		miner.BraiinsOS, miner.LuxOS, miner.VNish, miner.VNish, miner.WhatsMiner, miner.WhatsMiner,
		miner.EPIC, miner.Auradine, miner.SealMiner, miner.MaraFW, miner.Antminer,
		miner.Avalon, miner.Avalon, miner.AxeOS, miner.ProtoRig, miner.ProtoRig,
	}
	for i, d := range site.Fleet.Devices {
		t.Run(d.Group, func(t *testing.T) {
			target := miner.Target{Address: netip.MustParseAddr(d.Address.Addr().String()), Password: given[d.Group]}
			driver, id, err := Open(t.Context(), target, miner.Auto, elsewhere)
			if err != nil || id.Firmware != want[i] || id.MAC != d.MAC || id.Model == "" || id.FirmwareVersion == "" {
				t.Fatalf("%+v, %v", id, err)
			}
			meet := func(state miner.State) {
				t.Helper()
				r, err := driver.Read(t.Context())
				if err != nil || r.State != state || r.Watts == nil || r.HashrateTHs == nil {
					t.Fatalf("read %+v (%v TH/s, %v W), %v, want %s", r, deref(r.HashrateTHs), deref(r.Watts), err, state)
				}
				truth := d.Truth()
				if off := math.Abs(float64(*r.Watts) - truth.Watts); off > max(30, truth.Watts*5/100) {
					t.Errorf("reads %d W of %.0f W", *r.Watts, truth.Watts)
				}
				if off := math.Abs(*r.HashrateTHs - truth.TeraHashes); off > truth.TeraHashes/20 {
					t.Errorf("reads %.1f TH/s of %.1f TH/s", *r.HashrateTHs, truth.TeraHashes)
				}
			}
			order := func(s miner.Setting) {
				t.Helper()
				if err := driver.Apply(t.Context(), s); miner.NotApplied(err) {
					t.Fatalf("%+v: %v", s, err)
				} // an Avalon reboots without a word: watts tell
			}
			meet(miner.Hashing)
			before := d.Watts()
			order(miner.Setting{Kind: miner.Sleep})
			clock.Advance(driver.Capabilities().SleepTiming.Worst)
			meet(miner.Sleeping)
			less, watts := lessThan(driver.Capabilities(), int64(before*85/100), int64(before))
			order(less)
			clock.Advance(15 * time.Minute)
			meet(miner.Hashing)
			// What a mode names is a ceiling.
			if least, most := float64(watts)*90/100, float64(watts)*106/100; d.Watts() < least || d.Watts() > most {
				t.Errorf("draws %.0f W, told %d W", d.Watts(), watts)
			}
		})
	}
}

// lessThan is a setting that a machine offers of so many watts at most, else what it ran before.
func lessThan(c miner.Capabilities, watts, full int64) (miner.Setting, int64) {
	if c.Continuous {
		watts -= watts % c.StepWatts
		return miner.Setting{Kind: miner.HashWatts, Watts: watts}, watts
	}
	for _, m := range slices.Backward(c.Modes) {
		if m.Watts <= watts {
			return miner.Setting{Kind: miner.HashMode, Mode: m.Name}, m.Watts
		}
	}
	return miner.Setting{Kind: miner.HashMode}, full // it has none
}

func deref[T any](p *T) any {
	if p == nil {
		return "no"
	}
	return *p
}

const olderHall = `
seed: 2
groups:
- {name: braiins-25.05, count: 1, model: S21, firmware: BraiinsOS, firmwareVersion: "25.05", firstAddress: BASE16, budget: x, ports: {BraiinsOS: 18083}}
`

// TestDriverReadsOlderBraiinsOS: one without the REST interface is found, and read while it hashes, sleeps and wakes
// by somebody else's command. Nothing is commanded.
func TestDriverReadsOlderBraiinsOS(t *testing.T) {
	front := simbraiins.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"BraiinsOS": front}, olderHall)
	d := site.Fleet.Devices[0]
	ports := map[string]int{"BraiinsOSRPC": 4028}
	maps.Copy(ports, elsewhere)
	driver, id, err := Open(t.Context(), miner.Target{Address: netip.MustParseAddr(d.Address.Addr().String())}, miner.Auto, ports)
	if err != nil || id.Firmware != miner.BraiinsOS || id.Model != "Bitmain Antminer S21" || id.FirmwareVersion == "" {
		t.Fatalf("%+v, %v", id, err)
	}
	tell := func(command string) {
		t.Helper()
		c, err := net.Dial("tcp", d.Doors[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, `{"command":"`+command+`"}`)
		if out, err := io.ReadAll(c); err != nil || !strings.Contains(string(out), "true") {
			t.Fatalf("%s: %q %v", command, out, err)
		}
	}
	meet := func(state miner.State) {
		t.Helper()
		r, err := driver.Read(t.Context())
		truth := d.Truth()
		if err != nil || r.State != state || r.Watts == nil || r.HashrateTHs == nil || r.TargetWatts == nil || *r.TargetWatts != 3500 ||
			math.Abs(float64(*r.Watts)-truth.Watts) > max(30, truth.Watts*5/100) || math.Abs(*r.HashrateTHs-truth.TeraHashes) > truth.TeraHashes/20 {
			t.Fatalf("%+v (%v TH/s, %v W), %v; truly %+v", r, deref(r.HashrateTHs), deref(r.Watts), err, truth)
		}
	}
	meet(miner.Hashing)
	tell("pause")
	clock.Advance(time.Minute)
	meet(miner.Sleeping)
	tell("resume")
	clock.Advance(8 * time.Second)
	if r, err := driver.Read(t.Context()); err != nil || r.State == miner.Sleeping {
		t.Errorf("on its way up: %+v, %v", r, err)
	}
	clock.Advance(time.Minute)
	meet(miner.Hashing)
	if err := driver.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); !errors.Is(err, miner.ErrUnsupported) {
		t.Errorf("sleep: %v", err)
	}
}

const formHall = `
seed: 2
groups:
- {name: antminer-2020, count: 1, model: T17+, firmware: Antminer, firmwareVersion: 2020-06, firstAddress: BASE17, budget: x, ports: {Antminer: 18083}}
`

// TestDriverCommandsByForm: a model of 2019 answers half a minute after it began to restart. The driver goes by the
// configuration meanwhile.
func TestDriverCommandsByForm(t *testing.T) {
	front := simantminer.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"Antminer": front}, formHall)
	d := site.Fleet.Devices[0]
	driver, id, err := Open(t.Context(), miner.Target{Address: netip.MustParseAddr(d.Address.Addr().String())}, miner.Auto, elsewhere)
	if err != nil || id.Firmware != miner.Antminer || id.MAC != d.MAC || !driver.Capabilities().Sleep {
		t.Fatalf("%+v, %v", id, err)
	}
	full := d.Watts()
	order := func(s miner.Setting, state miner.State, watts float64) {
		t.Helper()
		told := make(chan error, 1)
		go func() { told <- driver.Apply(t.Context(), s) }()
		clock.AwaitWaiter()
		clock.Advance(10 * time.Minute)
		if err := <-told; err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		r, err := driver.Read(t.Context())
		if err != nil || r.State != state || math.Abs(d.Watts()-watts) > max(30, watts*3/100) {
			t.Errorf("%+v, %v at %.0f W, want %s at %.0f W", r, err, d.Watts(), state, watts)
		}
	}
	order(miner.Setting{Kind: miner.Sleep}, miner.Sleeping, 30)
	order(miner.Setting{Kind: miner.HashMode}, miner.Hashing, full)
}
