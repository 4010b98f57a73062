package controllers

import (
	"iter"
	"net/netip"
	"slices"
	"sort"
)

// blockBits is how many bits of an address tell it from others of its block: few agents mind some of one block, and
// no agent's addresses are in many.
const blockBits = 6

// blocks are those that a span touches.
func (s span) blocks() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for at := s.first; at.IsValid() && !s.last.Less(at); {
			b, _ := at.Prefix(at.BitLen() - blockBits)
			if !yield(b) {
				return
			}
			at = prefixSpan(b).last.Next()
		}
	}
}

// both is what two spans that meet have in common.
func (s span) both(o span) span {
	if s.first.Less(o.first) {
		s.first = o.first
	}
	if o.last.Less(s.last) {
		s.last = o.last
	}
	return s
}

func size(spans []span) (n uint64) {
	for _, s := range spans {
		n += s.size()
	}
	return n
}

// joined sorts spans and makes one of those that touch or overlap.
func joined(spans []span) (out []span) {
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	for _, s := range spans {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].last.Less(s.first) && out[last].last.Next() != s.first:
			out = append(out, s)
		case out[last].last.Less(s.last):
			out[last].last = s.last
		}
	}
	return out
}

// meeting is those of joined spans that meet s.
func meeting(spans []span, s span) []span {
	spans = spans[sort.Search(len(spans), func(i int) bool { return !spans[i].last.Less(s.first) }):]
	return spans[:sort.Search(len(spans), func(i int) bool { return s.last.Less(spans[i].first) })]
}

// subtract takes the addresses of b out of a.
func subtract(a, b []span) (out []span) {
	b = joined(slices.Clone(b))
	for _, s := range a {
		gone := false
		for _, cut := range meeting(b, s) {
			if s.first.Less(cut.first) {
				out = append(out, span{s.first, cut.first.Prev()})
			}
			if gone = !cut.last.Less(s.last); !gone {
				s.first = cut.last.Next()
			}
		}
		if !gone {
			out = append(out, s)
		}
	}
	return out
}
