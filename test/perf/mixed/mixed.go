// Package mixed has the simulated machines that are measured: of every firmware that there is a driver for,
// in each generation that is spoken to in another way, at addresses and ports that nothing else here uses.
package mixed

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/test/perf/await"
)

// webPort is where machines have what belongs at port 80, which takes a privilege.
const webPort = 18120

// rig is a password that lets in where a firmware has none by default.
const rig = "rig-of-the-bench"

// kinds are the machines. WhatsMiners take orders only where a person opened their API.
var kinds = []minersim.Group{
	{Name: "braiins", Model: "S21", Firmware: "BraiinsOS"},
	{Name: "luxos", Model: "S21 XP", Firmware: "LuxOS"},
	{Name: "vnish-presets", Model: "S21 Pro", Firmware: "VNish", FirmwareVersion: "1.2.7"},
	{Name: "vnish-throttle", Model: "S19j Pro", Firmware: "VNish", FirmwareVersion: "1.3.4"},
	{Name: "whatsminer-v2", Model: "M60S", Firmware: "WhatsMinerV2", WhatsMiner: minersim.WhatsMiner{APISwitch: true, FastBoot: true}},
	{Name: "whatsminer-v3", Model: "M63S", Firmware: "WhatsMinerV3", WhatsMiner: minersim.WhatsMiner{APISwitch: true, FastBoot: true}},
	{Name: "antminer", Model: "S21", Firmware: "Antminer"},
	{Name: "marafw", Model: "S19k Pro", Firmware: "MaraFW"},
	{Name: "epic", Model: "S19 XP", Firmware: "ePIC"},
	{Name: "auradine", Model: "AT2880", Firmware: "Auradine"},
	{Name: "sealminer", Model: "SealMiner A2", Firmware: "SealMiner"},
	{Name: "avalon-a15", Model: "Avalon A1566", Firmware: "Avalon"},
	{Name: "avalon-q", Model: "Avalon Q", Firmware: "Avalon"},
	{Name: "axeos", Model: "Bitaxe Gamma", Firmware: "AxeOS"},
	{Name: "protorig", Model: "Proto Rig", Firmware: "ProtoRig", Password: rig},
}

// Fleet is so many machines, as evenly of all kinds as their number allows.
type Fleet struct {
	file  minersim.FleetFile
	ports map[string]int
}

// Of is a fleet of groups that answer where they say.
func Of(ports map[string]int, groups ...minersim.Group) Fleet {
	return Fleet{file: minersim.FleetFile{Seed: 1, Groups: groups}, ports: ports}
}

// New makes a fleet of n machines, those of each kind in a /24 of their own from first on: n is 3,810 at most.
func New(first netip.Addr, n int) Fleet {
	var groups []minersim.Group
	row := first.As4()
	for i, g := range kinds {
		g.Count = n / len(kinds)
		if i < n%len(kinds) {
			g.Count++
		}
		if g.Count == 0 {
			continue
		}
		g.Budget, g.FirstAddress = "bench", netip.AddrFrom4(row).String()
		g.Ports = map[string]int{
			"Antminer": webPort, "AxeOS": webPort, "BraiinsOS": webPort, "MaraFW": webPort, "ProtoRig": webPort, "VNish": webPort,
			"SealMiner.web": webPort, "ePIC.web": webPort,
		}
		groups = append(groups, g)
		row[2]++
	}
	return Of(map[string]int{
		"Antminer": webPort, "AxeOS": webPort, "BraiinsOS": webPort, "MaraFW": webPort, "ProtoRig": webPort, "VNish": webPort,
		"SealMinerWeb": webPort,
	}, groups...)
}

// Ports are what an agent has to be told of where these machines answer.
func (f Fleet) Ports() map[string]int { return f.ports }

// Passwords are those that a pool's secret has to hold, by the name of the driver.
func (f Fleet) Passwords() map[string]string {
	all := map[string]string{}
	for _, g := range f.file.Groups {
		if g.Password != "" {
			all[g.Firmware] = g.Password
		}
	}
	return all
}

// Size is the number of machines.
func (f Fleet) Size() (n int) {
	for _, g := range f.file.Groups {
		n += g.Count
	}
	return n
}

// Machine is where one is and what lets in, where that is not the firmware's own.
type Machine struct {
	Address  netip.Addr
	Password string
	// Firmware is what asic-sim calls it.
	Firmware string
}

// Machines are all of them.
func (f Fleet) Machines() (all []Machine) {
	for _, g := range f.file.Groups {
		a := netip.MustParseAddr(g.FirstAddress)
		for range g.Count {
			all = append(all, Machine{a, g.Password, g.Firmware})
			a = a.Next()
		}
	}
	return all
}

// Ranges of addresses, one for each kind.
func (f Fleet) Ranges() (all []string) {
	for _, g := range f.file.Groups {
		a := netip.MustParseAddr(g.FirstAddress)
		last := a
		for range g.Count - 1 {
			last = last.Next()
		}
		all = append(all, a.String()+"-"+last.String())
	}
	return all
}

// Firmwares are what asic-sim calls them, a kind each.
func (f Fleet) Firmwares() (all []string) {
	for _, g := range f.file.Groups {
		all = append(all, g.Firmware)
	}
	return all
}

// Running is a fleet that runs.
type Running struct {
	process *proc.Process
	url     string
}

// Start starts asic-sim of folder bin and waits until every machine answers; dir takes its files.
func (f Fleet) Start(ctx context.Context, bin, dir string) (*Running, error) {
	data, err := json.Marshal(f.file)
	if err != nil {
		return nil, fmt.Errorf("writing the fleet file: %w", err)
	}
	path := filepath.Join(dir, "fleet.yaml") // JSON is YAML
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("writing the fleet file: %w", err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	m := &Running{url: "http://" + address}
	log := filepath.Join(dir, "sim.log")
	m.process, err = proc.Start(proc.Spec{
		Name: "asic-sim", Path: filepath.Join(bin, "asic-sim"), Args: []string{"--fleet", path, "--http", address}, LogPath: log, Ahead: true,
	})
	if err != nil {
		return nil, err
	}
	err = await.Until(ctx, 30*time.Second, 100*time.Millisecond, func() error { return m.get(ctx, "/healthz", nil) })
	if err != nil {
		m.Stop()
		return nil, fmt.Errorf("%w; its log ends with: %s", err, proc.LastLines(log, 1))
	}
	return m, nil
}

// Stop ends the machines.
func (m *Running) Stop() { m.process.Stop(time.Second) }

// Pid of their process.
func (m *Running) Pid() int { return m.process.Pid() }

// Truth is what one machine truly does.
type Truth struct {
	State             minersim.State
	Firmware, Address string
	Watts             float64
}

// Truth of every machine.
func (m *Running) Truth(ctx context.Context) ([]Truth, error) {
	var truth struct{ Devices []Truth }
	err := m.get(ctx, "/truth", &truth)
	return truth.Devices, err
}

// Hashing names the machines that no order to stop has reached: one that got it ramps from that instant on.
func (m *Running) Hashing(ctx context.Context) (names []string, err error) {
	devices, err := m.Truth(ctx)
	for _, d := range devices {
		if d.State == minersim.Hashing {
			names = append(names, d.Firmware+" "+d.Address)
		}
	}
	return names, err
}

func (m *Running) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+path, nil)
	if err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asic-sim answers %s", response.Status)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	return nil
}
