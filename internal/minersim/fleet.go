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

// Start is how a device's firmware begins.
type Start struct {
	Asleep bool
	// PSU tells that reported watts are measured by the supply.
	PSU bool
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
		g := &f.Groups[i]
		front, ok := fronts[g.Firmware]
		if !ok {
			known := slices.Sorted(maps.Keys(fronts))
			return nil, fmt.Errorf("groups[%d].firmware: unknown firmware %q; known: %s", i, g.Firmware, strings.Join(known, ", "))
		}
		if err := checkPorts(g, fronts); err != nil {
			return nil, fmt.Errorf("groups[%d].ports: %w", i, err)
		}
		fleet.addGroup(f.Seed, g, front, epoch)
	}
	return fleet, nil
}

func checkPorts(g *Group, fronts map[string]Front) error {
	for name := range g.Ports {
		if _, ok := fronts[name]; !ok {
			return fmt.Errorf("unknown firmware %q; known: %s", name, strings.Join(slices.Sorted(maps.Keys(fronts)), ", "))
		}
	}
	return nil
}

func (f *Fleet) addGroup(seed uint64, g *Group, front Front, epoch time.Time) {
	model, _ := FindModel(g.Model)
	first, last, _ := g.span()
	port := front.Port()
	if p, ok := g.Ports[g.Firmware]; ok {
		port = uint16(p)
	}
	var members []*Device
	for n := first; n <= last; n++ {
		d := &Device{
			Address: netip.AddrPortFrom(address(n), port), Group: g.Name, Budget: g.Budget,
			Firmware: g.Firmware, Username: g.Username, Password: g.Password,
			clock: f.clock, epoch: epoch,
		}
		d.Serial = fmt.Sprintf("SIM%d%08X", seed%1000, n)
		d.MAC = fmt.Sprintf("02:c7:%02x:%02x:%02x:%02x", byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		tuning := g.tuning()
		if g.PowerSource == "PSU" {
			tuning.ReportErrorPercent = math.Min(tuning.ReportErrorPercent, psuErrorPercent)
		}
		traits := NewTraits(seed, d.Address.Addr().String(), model, front.ResidualWatts(), tuning)
		memory, settled := front.Adopt(d, &traits, Start{Asleep: g.Initial == string(Sleeping), PSU: g.PowerSource == "PSU"})
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
	for _, p := range personas {
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
