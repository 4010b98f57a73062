package minerctl

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	simbraiins "github.com/counterweight-dev/counterweight/internal/minersim/braiins"
	simluxos "github.com/counterweight-dev/counterweight/internal/minersim/luxos"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
	simvnish "github.com/counterweight-dev/counterweight/internal/minersim/vnish"
	simwhatsminer "github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

const hall = `
seed: 2
groups:
- {name: braiins, count: 1, model: S21, firmware: BraiinsOS, firstAddress: BASE1, budget: x, ports: {BraiinsOS: 18083}}
- {name: lux, count: 1, model: S19k Pro, firmware: LuxOS, firstAddress: BASE2, budget: x, powerSource: PSU}
- {name: vnish, count: 1, model: S21 Pro, firmware: VNish, firstAddress: BASE3, budget: x, ports: {VNish: 18083}}
- {name: whatsminer-v2, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE5, budget: x, password: sesame, whatsMiner: {apiSwitch: true, fastBoot: true}}
- {name: whatsminer-v3, count: 1, model: M63S, firmware: WhatsMinerV3, firstAddress: BASE6, budget: x, password: sesame, ports: {WhatsMinerV3: 14433}, whatsMiner: {apiSwitch: true, fastBoot: true}}
- {name: locked, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE7, budget: x, password: sesame}
- {name: strange, count: 1, model: S21, firmware: BraiinsOS, firstAddress: BASE8, budget: x, password: another, ports: {BraiinsOS: 18083}}
`

// wound is a simulation's clock that goes on when somebody waits.
type wound struct{ *simtest.Clock }

func (c wound) After(d time.Duration) <-chan time.Time {
	c.Advance(d)
	ch := make(chan time.Time, 1)
	ch <- c.Now()
	return ch
}

func open(t *testing.T) (*minersim.Site, *Tool) {
	t.Helper()
	b, v := simbraiins.New(), simvnish.New()
	t.Cleanup(func() { _, _ = b.Close(), v.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{
		"BraiinsOS": b, "LuxOS": simluxos.New(), "VNish": v,
		"WhatsMinerV2": simwhatsminer.NewV2(), "WhatsMinerV3": simwhatsminer.NewV3(),
	}, hall)
	tool := New()
	tool.Clock = wound{clock}
	tool.Ports = map[string]int{"BraiinsOS": 18083, "VNish": 18083, "WhatsMinerV3": 14433}
	var err error
	tool.Logins, err = parseLogins([]byte("{BraiinsOS.password: root, VNish.password: admin, WhatsMiner.password: sesame}"))
	if err != nil {
		t.Fatal(err)
	}
	return site, tool
}

func addressOf(d *minersim.Device) netip.Addr { return netip.MustParseAddr(d.Address.Addr().String()) }

func TestProbeReadsWhatTheMachineIs(t *testing.T) {
	site, tool := open(t)
	want := []miner.Firmware{miner.BraiinsOS, miner.LuxOS, miner.VNish, miner.WhatsMiner, miner.WhatsMiner}
	for i, d := range site.Fleet.Devices[:len(want)] {
		got, err := tool.Probe(t.Context(), addressOf(d))
		if err != nil {
			t.Errorf("%s: %v", d.Group, err)
			continue
		}
		truth := d.Truth()
		if got.Firmware != string(want[i]) || got.MAC != d.MAC || got.State != "Hashing" || got.Model == "" || got.FirmwareVersion == "" {
			t.Errorf("%s: %+v", d.Group, got)
		}
		if got.Watts == nil || !near(*got.Watts, int64(truth.Watts), 0.05) || got.EffectiveTargetWatts == nil || got.TemperatureC == nil ||
			got.UptimeSeconds == nil || got.HashrateTHs == nil || got.Faults == nil {
			t.Errorf("%s, of %.0f W: %+v", d.Group, truth.Watts, document(t, got))
		}
	}
}

func TestSetMovesTrueWatts(t *testing.T) {
	site, tool := open(t)
	for _, d := range site.Fleet.Devices[:5] {
		t.Run(d.Group, func(t *testing.T) {
			before := d.Watts()
			order := func(o Order, least, most float64) *Result {
				t.Helper()
				r, err := (&Set{Tool: tool, Progress: io.Discard}).Run(t.Context(), addressOf(d), o)
				if err != nil || !r.Happened {
					t.Fatalf("%+v: %+v, %v", o, r, err)
				}
				if w := d.Watts(); w < least || w > most {
					t.Errorf("%+v: draws %.0f W, not %.0f to %.0f W", o, w, least, most)
				}
				return r
			}
			order(Order{Sleep: true}, 0, 60)
			order(Order{Wake: true}, before*0.95, before*1.05)
			r := order(Order{Watts: int64(before * 0.8)}, before*0.6, before*0.85)
			if r.Commanded.Watts == nil || r.Effective.Watts == nil || *r.Commanded.Watts != *r.Effective.Watts || r.Measured.Watts == nil {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAMachineThatSaysYesAndDoesNothingIsFoundOut(t *testing.T) {
	site, tool := open(t)
	for _, d := range site.Fleet.Devices[:5] {
		if _, err := site.SetPersona(minersim.Selector{Address: addressOf(d).String()}, minersim.Deaf); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Order{{Sleep: true}, {Watts: int64(d.Watts() * 0.8)}} {
			r, err := (&Set{Tool: tool, Progress: io.Discard}).Run(t.Context(), addressOf(d), o)
			if err == nil || r == nil || r.Happened {
				t.Errorf("%s, %+v: %+v, %v", d.Group, o, r, err)
			}
		}
	}
}

func TestWrongPasswordsAndLockedAPIsReadAsSuch(t *testing.T) {
	site, tool := open(t)
	locked, strange := site.Fleet.Devices[5], site.Fleet.Devices[6]
	set := &Set{Tool: tool, Progress: io.Discard}
	if _, err := set.Run(t.Context(), addressOf(locked), Order{Sleep: true}); !errors.Is(err, miner.ErrLocked) ||
		!strings.Contains(err.Error(), "WhatsMinerTool") {
		t.Errorf("locked: %v", err)
	}
	_, err := tool.Probe(t.Context(), addressOf(strange))
	if err == nil || !strings.Contains(err.Error(), "wrong password") || !strings.Contains(err.Error(), "mend BraiinsOS.password") {
		t.Errorf("wrong password: %v", err)
	}
	tool.Logins = Logins{}
	if _, err = tool.Probe(t.Context(), addressOf(strange)); err == nil || !strings.Contains(err.Error(), "give the machine's own by --credentials") {
		t.Errorf("no password: %v", err)
	}
}

func TestScanFindsTheHall(t *testing.T) {
	site, tool := open(t)
	addrs, err := ParseRanges([]string{simtest.Base() + "0/26"})
	if err != nil {
		t.Fatal(err)
	}
	var rows []Row
	done := 0
	s := &Scan{
		Tool: tool, Connections: LeastConnections, Patience: time.Second,
		Found: func(r Row) { rows = append(rows, r) }, Done: func() { done++ },
	}
	if err := s.Run(t.Context(), addrs); err != nil || done != 64 || len(rows) != len(site.Fleet.Devices) {
		t.Fatalf("%v, %d done, rows %+v", err, done, rows)
	}
	var table strings.Builder
	if err := PrintRows(&table, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table.String(), "\n")
	for i, d := range site.Fleet.Devices {
		r := rows[i]
		if r.Address != addressOf(d).String() || !strings.HasPrefix(lines[i+1], r.Address+" ") {
			t.Errorf("row %d is %+v, line %q", i, r, lines[i+1])
		}
		if wrong := d.Group == "strange"; wrong != (r.Error != "") || r.Document == nil || !wrong && (r.Watts == nil || r.MAC != d.MAC) {
			t.Errorf("%s: %+v", d.Group, r)
		}
	}
	data, err := json.Marshal(rows[0])
	if err != nil || !strings.HasPrefix(string(data), `{"address":"`+rows[0].Address+`","firmware":"BraiinsOS"`) || strings.Count(string(data), `"address"`) != 1 {
		t.Errorf("%s, %v", data, err)
	}
}

// alone is an address of this process where no machine is.
var alone = netip.MustParseAddr(simtest.Base() + "250")

// doorway listens at an address, and counts who comes at once.
func doorway(t *testing.T) (port int, at *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", alone.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	at = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			at.Add(1)
			t.Cleanup(func() { c.Close() })
		}
	}()
	return int(netip.MustParseAddrPort(l.Addr().String()).Port()), at
}

func TestARowSaysWhereFirmwaresContend(t *testing.T) {
	port, _ := doorway(t)
	tool := s21(t).tool()
	tool.Ports = map[string]int{"LuxOS": port, "BraiinsOS": port}
	tool.open = nil // nobody may be let in
	claims := []firmwares.Answer{{Firmware: miner.LuxOS}, {Firmware: miner.BraiinsOS}}
	tool.ask = func(_ context.Context, target miner.Target, _ map[string]int, among []miner.Firmware) []firmwares.Answer {
		slices.Sort(among)
		if !slices.Equal(among, []miner.Firmware{miner.BraiinsOS, miner.LuxOS}) || target.Password != "" {
			t.Errorf("asked for %v with %v", among, target)
		}
		return claims
	}
	for want, answers := range map[string][]firmwares.Answer{
		"claimed by LuxOS and BraiinsOS at once":                   claims,
		"is open, and no firmware known here answers: tried Braii": {{Firmware: miner.LuxOS, Err: miner.ErrNotThisFirmware}},
	} {
		claims = answers
		var rows []Row
		s := &Scan{Tool: tool, Connections: LeastConnections, Patience: time.Second, Found: func(r Row) { rows = append(rows, r) }, Done: func() {}}
		if err := s.Run(t.Context(), []netip.Addr{alone}); err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1 || !strings.Contains(rows[0].Error, want) || rows[0].Document != nil || strings.Contains(rows[0].Error, "\n") {
			t.Errorf("want %q, got %+v", want, rows)
		}
	}
}

func TestAScanThatIsEndedKeepsWhatItFound(t *testing.T) {
	_, tool := open(t)
	addrs, err := ParseRanges([]string{simtest.Base() + "0/24"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var rows []Row
	var mu sync.Mutex
	done := 0
	s := &Scan{Tool: tool, Connections: LeastConnections, Patience: time.Second, Found: func(r Row) {
		rows = append(rows, r)
		cancel()
	}, Done: func() { mu.Lock(); done++; mu.Unlock() }}
	if err := s.Run(ctx, addrs); !errors.Is(err, context.Canceled) || len(rows) == 0 || done == len(addrs) {
		t.Errorf("%v, %d done, %+v", err, done, rows)
	}
}

func TestConnectionsAreBoundedAndClosed(t *testing.T) {
	port, at := doorway(t)
	g := &group{patience: time.Second}
	var conns []net.Conn
	for range 3 {
		c, err := g.dial(t.Context(), "tcp", netip.AddrPortFrom(alone, uint16(port)).String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	g.close()
	for _, c := range conns {
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d came; still open: %v", at.Load(), err)
		}
	}
	if _, err := g.dial(t.Context(), "tcp", netip.AddrPortFrom(alone, uint16(port)).String()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a late one: %v", err)
	}
}

func TestTheBarIsForATerminal(t *testing.T) {
	var out strings.Builder
	clock := newHasty()
	bar := NewBar(&out, clock, 4)
	for range 4 {
		clock.After(time.Second)
		bar.Done()
	}
	bar.Found()
	bar.Clear()
	for _, want := range []string{"1 of 4 addresses, 0 answer, 3s left", "[##############################] 4 of 4"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
	if s := bar.Summary(); s != "4 of 4 addresses scanned in 4s, 1 answer" {
		t.Error(s)
	}
	out.Reset()
	busy := NewBar(&out, clock, 1000)
	for range 500 {
		busy.Done()
	}
	if n := strings.Count(out.String(), "\r"); n != 1 {
		t.Errorf("drawn %d times in no time", n)
	}
	silent := NewBar(nil, clock, 1)
	silent.Done()
	silent.Clear()
}

func TestAScanOpensNoMoreThanItMay(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := int(netip.MustParseAddrPort(l.Addr().String()).Port())
	tool := s21(t).tool()
	tool.Ports = map[string]int{}
	for _, name := range firmwares.PortNames() {
		tool.Ports[name] = port
	}
	most := LeastConnections / (len(firmwares.Supported()) + spare)
	var mu sync.Mutex
	now, peak, full := 0, 0, make(chan struct{})
	enter := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		if peak = max(peak, now); now == most && by > 0 && peak == most {
			select {
			case <-full:
			default:
				close(full)
			}
		}
	}
	tool.ask = func(context.Context, miner.Target, map[string]int, []miner.Firmware) []firmwares.Answer {
		enter(1)
		defer enter(-1)
		<-full
		return nil
	}
	addrs, err := ParseRanges([]string{simtest.Base() + "64/26"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Scan{Tool: tool, Connections: LeastConnections, Patience: time.Second, Found: func(Row) {}, Done: func() {}}
	if err := s.Run(t.Context(), addrs); err != nil || peak != most {
		t.Errorf("%v, %d addresses at once, not %d", err, peak, most)
	}
}

func TestAnAddressHoldsAConnectionForEachFirmwareItIsAskedFor(t *testing.T) {
	tool := s21(t).tool()
	run := &scanRun{
		Scan:  &Scan{Tool: tool, Connections: LeastConnections, Patience: time.Second, Found: func(Row) {}, Done: func() {}},
		ports: map[miner.Firmware][]int{"A": {1}, "B": {1, 2}, "C": {3}}, free: semaphore.NewWeighted(LeastConnections),
	}
	asked := 0
	tool.ask = func(_ context.Context, _ miner.Target, _ map[string]int, among []miner.Firmware) []firmwares.Answer {
		asked = len(among)
		const left = LeastConnections - 2 - spare
		if run.free.TryAcquire(left + 1) {
			t.Error("others may open more than is left")
		} else if !run.free.TryAcquire(left) {
			t.Error("others may not open what is left")
		}
		run.free.Release(left)
		return nil
	}
	run.visit(t.Context(), place, []int{1})
	if asked != 2 || !run.free.TryAcquire(LeastConnections) {
		t.Errorf("asked for %d firmwares, or something is held still", asked)
	}
}
