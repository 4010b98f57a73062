package minerctl

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

// ParseFirmware finds a firmware by its name, in any case; "auto" and nothing are miner.Auto.
func ParseFirmware(text string) (miner.Firmware, error) {
	if text == "" || strings.EqualFold(text, string(miner.Auto)) {
		return miner.Auto, nil
	}
	var names []string
	for _, f := range firmwares.Supported() {
		if strings.EqualFold(text, string(f)) {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("%q has no driver; give auto or one of %s", text, strings.Join(names, ", "))
}

// ParsePorts reads FIRMWARE=PORT, each firmware once.
func ParsePorts(texts []string) (map[string]int, error) {
	ports := map[string]int{}
	for _, text := range texts {
		name, number, _ := strings.Cut(text, "=")
		port, err := strconv.ParseUint(strings.TrimSpace(number), 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("%q is no FIRMWARE=PORT; give for example LuxOS=14028, with a port of 1 to 65535", text)
		}
		known := ""
		for _, n := range firmwares.PortNames() {
			if strings.EqualFold(strings.TrimSpace(name), n) {
				known = n
			}
		}
		if known == "" {
			return nil, fmt.Errorf("%q names no firmware with a driver; give one of %s", text, strings.Join(firmwares.PortNames(), ", "))
		}
		if _, twice := ports[known]; twice {
			return nil, fmt.Errorf("%s has two ports; give it one", known)
		}
		ports[known] = int(port)
	}
	return ports, nil
}

// ParseAddress reads the address of one machine.
func ParseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err == nil {
		return addr.Unmap(), nil
	}
	if _, withPort := netip.ParseAddrPort(text); withPort == nil {
		return addr, fmt.Errorf("ADDRESS: %q has a port; give the address alone, and the port by --port FIRMWARE=PORT", text)
	}
	return addr, fmt.Errorf("ADDRESS: %q is no IP address; give one such as 10.20.0.17", text)
}
