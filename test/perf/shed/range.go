package shed

import "net/netip"

// rangeOf is FIRST-LAST of so many addresses.
func rangeOf(first string, n int) string {
	a := netip.MustParseAddr(first)
	b := a
	for range n - 1 {
		b = b.Next()
	}
	return a.String() + "-" + b.String()
}
