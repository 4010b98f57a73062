package controllers

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// maxAddresses is the most one pool may have.
const maxAddresses = 65536

// span is a run of addresses, both ends included.
type span struct{ first, last netip.Addr }

// addressError is a spec error that only an edit mends.
type addressError struct {
	reason  string
	message string
}

func (e *addressError) Error() string { return e.message }

// parseSpans reads spec.devices.addresses in their order. CEL has refused what is not an address, a
// CIDR or FIRST-LAST; what it can't order or count is refused here.
func parseSpans(addresses []string) ([]span, error) {
	spans := make([]span, 0, len(addresses))
	total := uint64(0)
	for _, text := range addresses {
		s, err := parseSpan(text)
		if err != nil {
			return nil, err
		}
		n := s.size()
		total += n
		if n > maxAddresses || total > maxAddresses {
			return nil, &addressError{powerv1.ReasonRangeTooLarge, fmt.Sprintf(
				"spec.devices.addresses: %s brings the pool to more than %d addresses; split the pool or shorten the range", text, maxAddresses)}
		}
		spans = append(spans, s)
	}
	if a, b, ok := overlap(spans); ok {
		return nil, &addressError{powerv1.ReasonAddressesOverlap, fmt.Sprintf(
			"spec.devices.addresses: %s and %s overlap; remove one", addresses[a], addresses[b])}
	}
	return spans, nil
}

func parseSpan(text string) (span, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return prefixSpan(p), nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := netip.ParseAddr(first)
	b, errB := netip.ParseAddr(last)
	if errA != nil || errB != nil || a.BitLen() != b.BitLen() {
		return span{}, &addressError{powerv1.ReasonRangeReversed, fmt.Sprintf(
			"spec.devices.addresses: %q is no address, CIDR or FIRST-LAST of one family", text)}
	}
	if b.Less(a) {
		return span{}, &addressError{powerv1.ReasonRangeReversed, fmt.Sprintf(
			"spec.devices.addresses: %s is reversed; write %s-%s", text, last, first)}
	}
	return span{a, b}, nil
}

func prefixSpan(p netip.Prefix) span {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	end, _ := netip.AddrFromSlice(last)
	return span{p.Addr(), end}
}

// size is the number of addresses; anything past 32 bits answers as too many.
func (s span) size() uint64 {
	a, b := s.first.As16(), s.last.As16()
	for i := range 12 {
		if a[i] != b[i] {
			return 1 << 33
		}
	}
	return tail(b) - tail(a) + 1
}

func tail(a [16]byte) uint64 {
	return uint64(a[12])<<24 | uint64(a[13])<<16 | uint64(a[14])<<8 | uint64(a[15])
}

// cut takes the first n addresses off a span.
func (s span) cut(n uint64) (head, rest span) {
	at := s.first.As16()
	v := tail(at) + n
	at[12], at[13], at[14], at[15] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	next := netip.AddrFrom16(at)
	if s.first.Is4() {
		next = next.Unmap()
	}
	return span{s.first, next.Prev()}, span{next, s.last}
}

func (s span) String() string {
	if s.first == s.last {
		return s.first.String()
	}
	return s.first.String() + "-" + s.last.String()
}

func (s span) meets(o span) bool { return !s.last.Less(o.first) && !o.last.Less(s.first) }

// overlap finds two spans that share an address.
func overlap(spans []span) (a, b int, ok bool) {
	order := make([]int, len(spans))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(x, y int) bool { return spans[order[x]].first.Less(spans[order[y]].first) })
	for i := 1; i < len(order); i++ {
		if x, y := order[i-1], order[i]; spans[x].meets(spans[y]) {
			return min(x, y), max(x, y), true
		}
	}
	return 0, 0, false
}

// shards splits spans into runs of at most per addresses, one for each agent, in order.
func shards(spans []span, per int) [][]string {
	var out [][]string
	var shard []string
	left := uint64(per)
	for _, s := range spans {
		for {
			n := s.size()
			if n <= left {
				shard = append(shard, s.String())
				left -= n
				break
			}
			if left > 0 {
				var head span
				head, s = s.cut(left)
				shard = append(shard, head.String())
			}
			out, shard, left = append(out, shard), nil, uint64(per)
		}
		if left == 0 {
			out, shard, left = append(out, shard), nil, uint64(per)
		}
	}
	if len(shard) > 0 {
		out = append(out, shard)
	}
	return out
}
