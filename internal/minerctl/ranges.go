package minerctl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	// widest is the shortest prefix of one range: 65,536 addresses.
	widest = 16
	// mostOfOne and mostOfAll bound a scan: its addresses are held in memory, and every one is a wait.
	mostOfOne = 1 << (32 - widest)
	mostOfAll = 4 * mostOfOne
)

// ParseRanges lists the IPv4 addresses of CIDRs, FIRST-LAST ranges and single addresses, each once and ascending.
func ParseRanges(texts []string) ([]netip.Addr, error) {
	var all []uint32
	for _, text := range texts {
		first, last, err := parseRange(text)
		if err != nil {
			return nil, fmt.Errorf("RANGE %q: %w", text, err)
		}
		if last-first >= mostOfOne {
			return nil, fmt.Errorf("RANGE %q: it has more than %d addresses; give a /%d or less, and scan the rest after it",
				text, mostOfOne, widest)
		}
		if len(all) > mostOfAll {
			return nil, fmt.Errorf("RANGE %q: with it there are more than %d addresses; scan in parts", text, mostOfAll)
		}
		for n := uint64(first); n <= uint64(last); n++ {
			all = append(all, uint32(n))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	addrs := make([]netip.Addr, 0, len(all))
	for _, n := range all {
		addrs = append(addrs, netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))))
	}
	return addrs, nil
}

func parseRange(text string) (first, last uint32, err error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		switch {
		case err != nil || !p.Addr().Is4():
			return 0, 0, fmt.Errorf("is no IPv4 network; give one such as 10.20.0.0/24")
		case p.Bits() < widest:
			return 0, 0, fmt.Errorf("is wider than a /%d; scan in parts", widest)
		}
		first = number(p.Masked().Addr())
		return first, first | (1<<(32-p.Bits()) - 1), nil
	}
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	from, err := parse4(low)
	if err != nil {
		return 0, 0, err
	}
	to, err := parse4(high)
	if err != nil {
		return 0, 0, err
	}
	if to.Less(from) {
		return 0, 0, fmt.Errorf("ends before it begins; give FIRST-LAST")
	}
	return number(from), number(to), nil
}

func parse4(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil || !addr.Is4() {
		return addr, fmt.Errorf("%q is no IPv4 address; give 10.20.0.0/24, 10.20.0.5-10.20.0.90 or 10.20.0.5", strings.TrimSpace(text))
	}
	return addr, nil
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
