package minersim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Front speaks one firmware's protocol for the devices it adopts.
type Front interface {
	// Port is the firmware's own.
	Port() uint16
	// ResidualWatts is what a machine of typical size draws asleep.
	ResidualWatts() float64
	// Adopt gives a device its firmware: what it remembers and what it does at the start.
	Adopt(d *Device, t *Traits, s Start) (Memory, Order)
	// Serve speaks with one client until the connection ends; it owns the connection and may
	// return before it has ended.
	Serve(d *Device, c net.Conn)
}

// Door is a port that a front serves beside its own.
type Door struct {
	// Name is how a group's ports call it, behind the firmware's and a dot.
	Name string
	// Port is the firmware's own.
	Port uint16
	// Versions are those whose machines have it; all, where there are none.
	Versions []string
	// Serve is for this door what Front.Serve is for the first.
	Serve func(d *Device, c net.Conn)
}

// Doored is a front whose machines answer at several ports.
type Doored interface {
	// Doors are those beside Front.Port.
	Doors() []Door
}

// doorsOf are a front's doors, of which most have none beside the first.
func doorsOf(front Front) []Door {
	if f, ok := front.(Doored); ok {
		return f.Doors()
	}
	return nil
}

// DoorsIn are those of the machines of one version.
func DoorsIn(front Front, version string) (doors []Door) {
	for _, door := range doorsOf(front) {
		if len(door.Versions) == 0 || slices.Contains(door.Versions, version) {
			doors = append(doors, door)
		}
	}
	return doors
}

// Versioned is a front that speaks as one of several generations of its firmware.
type Versioned interface {
	// Versions are those it knows; the first is that of a group that names none.
	Versions() []string
}

// Start is how a device's firmware begins.
type Start struct {
	Asleep bool
	// PSU tells that reported watts are measured by the supply.
	PSU bool
	// WhatsMiner is for the fronts of that name.
	WhatsMiner WhatsMiner
}

// Fleet is every simulated device, in the order of the file.
type Fleet struct {
	Devices []*Device
	groups  []string
	budgets []string
	// order holds each group's devices as the seed shuffled them: who is taken when a request
	// names only a count.
	order map[string][]*Device
	clock Clock
}

// NewFleet builds the devices of a checked file. fronts are known by firmware name.
func NewFleet(f FleetFile, fronts map[string]Front, clock Clock) (*Fleet, error) {
	fleet := &Fleet{order: map[string][]*Device{}, clock: clock}
	epoch := clock.Now()
	for i := range f.Groups {
		g := f.Groups[i]
		front, ok := fronts[g.Firmware]
		if !ok {
			known := slices.Sorted(maps.Keys(fronts))
			return nil, fmt.Errorf("groups[%d].firmware: unknown firmware %q; known: %s", i, g.Firmware, strings.Join(known, ", "))
		}
		if err := checkPorts(&g, fronts); err != nil {
			return nil, fmt.Errorf("groups[%d].ports: %w", i, err)
		}
		if err := settleVersion(&g, front); err != nil {
			return nil, fmt.Errorf("groups[%d].firmwareVersion: %w", i, err)
		}
		fleet.addGroup(f.Seed, &g, front, epoch)
	}
	return fleet, nil
}

func checkPorts(g *Group, fronts map[string]Front) error {
	known := map[string]bool{}
	for name, front := range fronts {
		known[name] = true
		for _, door := range doorsOf(front) {
			known[name+"."+door.Name] = true
		}
	}
	for name := range g.Ports {
		if !known[name] {
			return fmt.Errorf("unknown firmware %q; known: %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return nil
}

// portOf is the one a group gives, else the firmware's own.
func (g *Group) portOf(name string, own uint16) uint16 {
	if p, ok := g.Ports[name]; ok {
		return uint16(p)
	}
	return own
}

// settleVersion checks a group's version, or fills in the front's first.
func settleVersion(g *Group, front Front) error {
	var known []string
	if v, ok := front.(Versioned); ok {
		known = v.Versions()
	}
	switch {
	case len(known) == 0 && g.FirmwareVersion != "":
		return fmt.Errorf("%s is simulated in one version only: leave it out", g.Firmware)
	case len(known) > 0 && g.FirmwareVersion == "":
		g.FirmwareVersion = known[0]
	case len(known) > 0 && !slices.Contains(known, g.FirmwareVersion):
		return fmt.Errorf("unknown version %q of %s; known: %s", g.FirmwareVersion, g.Firmware, strings.Join(known, ", "))
	}
	return nil
}

func (f *Fleet) addGroup(seed uint64, g *Group, front Front, epoch time.Time) {
	model, _ := FindModel(g.Model)
	first, last, _ := g.span()
	port := g.portOf(g.Firmware, front.Port())
	var members []*Device
	for n := first; n <= last; n++ {
		d := &Device{
			Address: netip.AddrPortFrom(address(n), port), Group: g.Name, Budget: g.Budget,
			Firmware: g.Firmware, FirmwareVersion: g.FirmwareVersion, Username: g.Username, Password: g.Password,
			clock: f.clock, epoch: epoch,
		}
		for _, door := range DoorsIn(front, g.FirmwareVersion) {
			at := netip.AddrPortFrom(address(n), g.portOf(g.Firmware+"."+door.Name, door.Port))
			d.Doors = append(d.Doors, at)
		}
		d.Serial = fmt.Sprintf("SIM%d%08X", seed%1000, n)
		d.MAC = fmt.Sprintf("02:c7:%02x:%02x:%02x:%02x", byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		tuning := g.tuning()
		if g.PowerSource == "PSU" {
			tuning.ReportErrorPercent = math.Min(tuning.ReportErrorPercent, psuErrorPercent)
		}
		traits := NewTraits(seed, d.Address.Addr().String(), model, front.ResidualWatts(), tuning)
		memory, settled := front.Adopt(d, &traits, Start{
			Asleep: g.Initial == string(Sleeping), PSU: g.PowerSource == "PSU", WhatsMiner: g.WhatsMiner,
		})
		d.machine = NewMachine(traits, memory, 0, settled)
		members = append(members, d)
	}
	f.Devices = append(f.Devices, members...)
	f.groups = append(f.groups, g.Name)
	if !slices.Contains(f.budgets, g.Budget) {
		f.budgets = append(f.budgets, g.Budget)
	}
	f.order[g.Name] = shuffled(seed, g.Name, members)
	f.beginPersonas(g)
}

// psuErrorPercent bounds the error of watts a supply measures by itself (assumed).
const psuErrorPercent = 0.2

func (f *Fleet) beginPersonas(g *Group) {
	next := f.order[g.Name]
	for _, p := range Personas {
		n := g.Personas[string(p)]
		for _, d := range next[:n] {
			d.Do(func(m *Machine) { m.SetPersona(p) })
		}
		next = next[n:]
	}
}

func shuffled(seed uint64, name string, devices []*Device) []*Device {
	out := slices.Clone(devices)
	r := rand.New(rand.NewPCG(seed, keyOf(name)))
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Selector names devices: one address, or a group, or so many of a group.
type Selector struct {
	Group   string `json:"group"`
	Address string `json:"address"`
	Count   int    `json:"count"`
}

// Select finds the devices a selector names. Where it names a count, the seed decides, among
// those that suit.
func (f *Fleet) Select(s Selector, suits func(*Device) bool) ([]*Device, error) {
	if (s.Address == "") == (s.Group == "") {
		return nil, errors.New("give either an address or a group")
	}
	if s.Count < 0 {
		return nil, fmt.Errorf("count: %d is negative", s.Count)
	}
	if s.Address != "" {
		return f.at(s.Address)
	}
	members, ok := f.order[s.Group]
	if !ok {
		return nil, fmt.Errorf("group: no group %q; known: %s", s.Group, strings.Join(f.groups, ", "))
	}
	if s.Count == 0 {
		return slices.Clone(members), nil
	}
	out := slices.DeleteFunc(slices.Clone(members), func(d *Device) bool { return !suits(d) })
	if len(out) < s.Count {
		return nil, fmt.Errorf("count: %d asked for, group %q has %d that suit", s.Count, s.Group, len(out))
	}
	return out[:s.Count], nil
}

func (f *Fleet) at(address string) ([]*Device, error) {
	i := slices.IndexFunc(f.Devices, func(d *Device) bool { return d.Address.Addr().String() == address })
	if i < 0 {
		return nil, fmt.Errorf("address: no miner at %q", address)
	}
	return f.Devices[i : i+1], nil
}

// Listeners is how many ports the fleet answers at.
func (f *Fleet) Listeners() (n int) {
	for _, d := range f.Devices {
		n += 1 + len(d.Doors)
	}
	return n
}

// Sums are the true watts of a fleet at an instant.
type Sums struct {
	At      time.Time          `json:"at"`
	Watts   float64            `json:"watts"`
	Groups  map[string]float64 `json:"groups"`
	Budgets map[string]float64 `json:"budgets"`
}

// Sum adds up true watts. It is cheap enough for ten times a second over ten thousand devices.
func (f *Fleet) Sum() Sums {
	s := Sums{At: f.clock.Now(), Groups: make(map[string]float64, len(f.groups)), Budgets: make(map[string]float64, len(f.budgets))}
	for i := 0; i < len(f.Devices); {
		first, sum := f.Devices[i], 0.0
		for ; i < len(f.Devices) && f.Devices[i].Group == first.Group; i++ {
			sum += f.Devices[i].Watts()
		}
		s.Groups[first.Group] = tenth(sum)
		s.Budgets[first.Budget] = tenth(s.Budgets[first.Budget] + sum)
		s.Watts += sum
	}
	s.Watts = tenth(s.Watts)
	return s
}

// tenth rounds to what anyone would print.
func tenth(x float64) float64 { return math.Round(x*10) / 10 }

// thousandth is for hashrates: a small machine has one TH/s and less.
func thousandth(x float64) float64 { return math.Round(x*1000) / 1000 }
