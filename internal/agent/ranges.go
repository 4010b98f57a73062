package agent

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxAddresses bounds what one agent minds; a pool hands each agent a few hundred.
const maxAddresses = 1 << 14

// expand lists the addresses of ranges (addresses, CIDRs, FIRST-LAST), each once. A range that can't be
// read is left out and named in errs; the others still count.
func expand(ranges []string) (addrs []netip.Addr, errs []error) {
	seen := map[netip.Addr]bool{}
	for _, r := range ranges {
		first, last, err := parseRange(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for a := first; a.IsValid() && a.Compare(last) <= 0; a = a.Next() {
			if seen[a] {
				continue
			}
			if len(addrs) == maxAddresses {
				return addrs, append(errs, fmt.Errorf("range %q: more than %d addresses in all", r, maxAddresses))
			}
			seen[a] = true
			addrs = append(addrs, a)
		}
	}
	return addrs, errs
}

func parseRange(r string) (first, last netip.Addr, err error) {
	switch {
	case strings.Contains(r, "/"):
		p, err := netip.ParsePrefix(r)
		if err != nil {
			return first, last, fmt.Errorf("range %q: %w", r, err)
		}
		return p.Masked().Addr(), lastOf(p), nil
	case strings.Contains(r, "-"):
		low, high, _ := strings.Cut(r, "-")
		first, err = netip.ParseAddr(strings.TrimSpace(low))
		if err == nil {
			last, err = netip.ParseAddr(strings.TrimSpace(high))
		}
		if err == nil && (first.BitLen() != last.BitLen() || last.Less(first)) {
			err = fmt.Errorf("%s is not at or after %s", last, first)
		}
	default:
		first, err = netip.ParseAddr(strings.TrimSpace(r))
		last = first
	}
	if err != nil {
		return first, last, fmt.Errorf("range %q: %w", r, err)
	}
	return first, last, nil
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
