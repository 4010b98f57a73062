package play

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// ownPorts are where agents look for each firmware first.
func ownPorts(ctx context.Context) map[string]int {
	own := map[string]int{}
	for firmware, doors := range firmwares.Ports(ctx, nil) {
		own[string(firmware)] = doors[0]
	}
	return own
}

// instead are the ports to try where a firmware's own may not be bound.
var instead = []int{8080, 18080, 28080, 38080}

// choosePorts finds which firmwares can't be served on their own port here, and gives the groups that do
// not name one another. It fails where an address is taken.
func choosePorts(ctx context.Context, groups []scenario.FleetGroup) (map[string]int, error) {
	moved, own := map[string]int{}, ownPorts(ctx)
	for i := range groups {
		g := &groups[i]
		moveBehind(g, moved, bind)
		port, known := own[g.Firmware]
		if given, set := g.Ports[g.Firmware]; set {
			port, known = given, true
		}
		if !known {
			continue
		}
		first := g.Addresses()[0]
		err := bind(first, port)
		if errors.Is(err, syscall.EACCES) {
			if moved[g.Firmware] == 0 {
				moved[g.Firmware] = firstFree(first)
			}
			port = moved[g.Firmware]
			g.Ports = maps.Clone(g.Ports)
			if g.Ports == nil {
				g.Ports = map[string]int{}
			}
			g.Ports[g.Firmware] = port
			err = bind(first, port)
		}
		if err != nil {
			return nil, fmt.Errorf("fleet.groups[%d].firstAddress: %s port %d can't be served: %w; end what listens there (another rehearsal?) or move the group", i, first, port, cause(err))
		}
	}
	return moved, nil
}

// behind are firmwares with pages on port 80 besides their own port, and the ports that are used where that takes a
// privilege. Of a SealMiner both move: its pages are looked for so far below the other.
var behind = map[string]map[string]int{
	"ePIC":      {"ePIC.web": 18081},
	"SealMiner": {"SealMiner": 8028, "SealMiner.web": 4080},
}

// moveBehind moves the pages of a group that can't be opened where they belong. What a scenario says itself stays.
func moveBehind(g *scenario.FleetGroup, moved map[string]int, open func(netip.Addr, int) error) {
	const pages = 80
	instead := behind[g.Firmware]
	for name := range instead {
		if g.Ports[name] != 0 {
			return
		}
	}
	if len(instead) == 0 || !errors.Is(open(g.Addresses()[0], pages), syscall.EACCES) {
		return
	}
	ports := maps.Clone(instead)
	maps.Copy(ports, g.Ports)
	g.Ports = ports
	if own := instead[g.Firmware]; own != 0 {
		moved[g.Firmware] = own
	}
}

// cause is the kernel's own word.
func cause(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

func firstFree(a netip.Addr) int {
	for _, port := range instead {
		if bind(a, port) == nil {
			return port
		}
	}
	return instead[0]
}

func bind(a netip.Addr, port int) error {
	l, err := net.Listen("tcp", netip.AddrPortFrom(a, uint16(port)).String())
	if err != nil {
		return err
	}
	return l.Close()
}

// movePorts adds the moved ports to MinerPools that do not name one for that firmware.
func movePorts(objects []*unstructured.Unstructured, moved map[string]int) error {
	for _, o := range objects {
		if o.GetKind() != "MinerPool" || len(moved) == 0 {
			continue
		}
		ports, _, err := unstructured.NestedSlice(o.Object, "spec", "devices", "ports")
		if err != nil {
			return fmt.Errorf("MinerPool %s: %w", o.GetName(), err)
		}
		for _, firmware := range slices.Sorted(maps.Keys(moved)) {
			named := slices.ContainsFunc(ports, func(p any) bool {
				entry, ok := p.(map[string]any)
				return ok && entry["firmware"] == firmware
			})
			if !named {
				ports = append(ports, map[string]any{"firmware": firmware, "port": int64(moved[firmware])})
			}
		}
		if err := unstructured.SetNestedSlice(o.Object, ports, "spec", "devices", "ports"); err != nil {
			return fmt.Errorf("MinerPool %s: %w", o.GetName(), err)
		}
	}
	return nil
}
