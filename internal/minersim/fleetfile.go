package minersim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"sigs.k8s.io/yaml"
)

// FleetFile describes the miners of a simulated site: fleet.yaml.
type FleetFile struct {
	// Seed decides every machine's own tolerances and every choice by count.
	Seed uint64 `json:"seed"`
	// Groups of like machines.
	Groups []Group `json:"groups"`
}

// Group is a row of like machines at consecutive addresses.
type Group struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	// Model by name, with or without "Antminer".
	Model string `json:"model"`
	// Firmware names the protocol front, as docs/simulator.md lists them.
	Firmware string `json:"firmware"`
	// FirmwareVersion is which generation of it the machines run, where the front knows several.
	FirmwareVersion string `json:"firmwareVersion"`
	// FirstAddress of the row, in 127.0.0.0/8 or, where pods are to reach it, 198.18.0.0/15.
	FirstAddress string `json:"firstAddress"`
	// Budget is what /watts sums by; nothing is enforced.
	Budget string `json:"budget"`
	// Initial is what the machines did for long before the simulation began: Hashing (the
	// default, at their default target) or Sleeping.
	Initial string `json:"initial"`
	// Personas that so many machines of the group begin with.
	Personas map[string]int `json:"personas"`
	// Ports, by firmware, where its own port can't be used.
	Ports map[string]int `json:"ports"`
	// Username and Password that the front asks for; empty means the firmware's defaults.
	Username string `json:"username"`
	Password string `json:"password"`
	// PowerSource of reported watts: Estimate (the default) or PSU.
	PowerSource string `json:"powerSource"`
	// WhatsMiner sets what only those have.
	WhatsMiner WhatsMiner `json:"whatsMiner"`
	// Physics overrides the defaults of the model.
	Physics *Tuning `json:"physics"`
}

// UnmarshalJSON fills what the file leaves out with the defaults.
func (t *Tuning) UnmarshalJSON(data []byte) error {
	type plain Tuning
	filled := plain(DefaultTuning())
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&filled); err != nil {
		return err
	}
	*t = Tuning(filled)
	return nil
}

// maxDevices is what one process serves; it bounds addresses, not ambition.
const maxDevices = 50_000

// ParseFleet reads a fleet file. Errors name the field that is wrong.
func ParseFleet(data []byte) (FleetFile, error) {
	var f FleetFile
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		return FleetFile{}, fmt.Errorf("reading the fleet file: %w", err)
	}
	if len(f.Groups) == 0 {
		return FleetFile{}, errors.New("groups: at least one group is needed")
	}
	total := 0
	for i := range f.Groups {
		if err := f.Groups[i].check(); err != nil {
			return FleetFile{}, fmt.Errorf("groups[%d].%w", i, err)
		}
		total += f.Groups[i].Count
	}
	if total > maxDevices {
		return FleetFile{}, fmt.Errorf("groups: %d miners; one process serves at most %d", total, maxDevices)
	}
	return f, f.checkTogether()
}

func (g *Group) check() error {
	if g.Name == "" {
		return errors.New("name: must not be empty")
	}
	if g.Count < 1 {
		return fmt.Errorf("count: %d is not above 0", g.Count)
	}
	_, model := FindModel(g.Model)
	_, _, span := g.span()
	for _, field := range []struct {
		name string
		err  error
	}{
		{"model: ", model},
		{"firstAddress: ", span},
		{"initial: ", oneOf(g.Initial, "", string(Hashing), string(Sleeping))},
		{"powerSource: ", oneOf(g.PowerSource, "", "Estimate", "PSU")},
		{"personas", g.checkPersonas()},
		{"ports.", g.checkPorts()},
		{"whatsMiner.", g.WhatsMiner.check()},
		{"physics.", g.tuning().check()},
	} {
		if field.err != nil {
			return fmt.Errorf("%s%w", field.name, field.err)
		}
	}
	return nil
}

func (g *Group) checkPorts() error {
	for firmware, port := range g.Ports {
		if port < 1 || port > 65535 {
			return fmt.Errorf("%s: %d is not a port", firmware, port)
		}
	}
	return nil
}

func (g *Group) checkPersonas() error {
	sum := 0
	for name, n := range g.Personas {
		if _, err := ParsePersona(name); err != nil {
			return fmt.Errorf(": %w", err)
		}
		if n < 0 {
			return fmt.Errorf(".%s: %d is negative", name, n)
		}
		sum += n
	}
	if sum > g.Count {
		return fmt.Errorf(": %d machines named, the group has %d", sum, g.Count)
	}
	return nil
}

func (g *Group) tuning() Tuning {
	if g.Physics == nil {
		return DefaultTuning()
	}
	return *g.Physics
}

func (t Tuning) check() error {
	for _, f := range []struct {
		name     string
		value    float64
		min, max float64
	}{
		{"tolerancePercent", t.TolerancePercent, 0, 5},
		{"overTargetPercent", t.OverTargetPercent, 0, 3.5},
		{"reportErrorPercent", t.ReportErrorPercent, 0, 20},
		{"bootSeconds", t.BootSeconds, 1, 3600},
		{"lateEffectSeconds", t.LateEffectSeconds, 0, 600},
		{"lateReplySeconds", t.LateReplySeconds, 0, 60},
		{"rebootEverySeconds", t.RebootEverySeconds, 10, 86400},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("%s: %g is not between %g and %g", f.name, f.value, f.min, f.max)
		}
	}
	return nil
}

// networks that simulated miners may have addresses of. The second is set aside for tests (RFC 2544), so no machine
// of a site has one; it is for pods, whose loopback is their own.
var networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("198.18.0.0/15")}

// span is the first and last address of the row.
func (g *Group) span() (first, last uint32, err error) {
	a, err := netip.ParseAddr(g.FirstAddress)
	if err != nil {
		return 0, 0, fmt.Errorf("%q is not an address", g.FirstAddress)
	}
	n := slices.IndexFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	if n < 0 {
		return 0, 0, fmt.Errorf("%s is not in %s or %s: simulated miners live on this machine only", a, networks[0], networks[1])
	}
	first = number(a)
	beyond := uint64(number(networks[n].Addr())) + 1<<(32-networks[n].Bits()) - 1 // the network's broadcast address
	if end := uint64(first) + uint64(g.Count) - 1; end < beyond {
		return first, uint32(end), nil
	}
	return 0, 0, fmt.Errorf("%d addresses from %s on reach beyond %s", g.Count, a, address(uint32(beyond)-1))
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func address(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// checkTogether finds what is wrong between groups.
func (f *FleetFile) checkTogether() error {
	for i := range f.Groups {
		a := &f.Groups[i]
		aFirst, aLast, _ := a.span()
		for j := range i {
			b := &f.Groups[j]
			if a.Name == b.Name {
				return fmt.Errorf("groups[%d].name: %q is taken by groups[%d]", i, a.Name, j)
			}
			bFirst, bLast, _ := b.span()
			if aFirst <= bLast && bFirst <= aLast {
				return fmt.Errorf("groups[%d].firstAddress: %s to %s overlaps groups[%d] %q (%s to %s)",
					i, address(aFirst), address(aLast), j, b.Name, address(bFirst), address(bLast))
			}
		}
	}
	return nil
}

func oneOf(value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%q is not one of %q", value, allowed[1:])
}
