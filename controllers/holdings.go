package controllers

import (
	"net/netip"
	"slices"
	"sort"

	"k8s.io/apimachinery/pkg/types"
)

// holding is the addresses that an agent may command: those it was told last, and those told before until
// it has said that it took the change (L9: two agents never command one address).
type holding struct {
	wanted []string // as asked for, to see a change
	spans  []span
	told   []span
	whole  bool // told is all that was wanted
}

// neighbours are the agents that may command addresses of each block of maxAddresses. No span has more, so each
// touches two blocks at most. An agent may be listed that has let its address there go.
type neighbours map[netip.Prefix][]*agentLink

func (n neighbours) add(a *agentLink, spans []span) {
	for _, s := range spans {
		for _, b := range s.blocks() {
			if !slices.Contains(n[b], a) {
				n[b] = append(n[b], a)
			}
		}
	}
}

// of is who may command an address of the spans, and others; one may be named twice.
func (n neighbours) of(spans []span) (out []*agentLink) {
	for _, s := range spans {
		for _, b := range s.blocks() {
			out = append(out, n[b]...)
		}
	}
	return out
}

func (s span) blocks() [2]netip.Prefix {
	const size = 16 // bits of maxAddresses
	first, _ := s.first.Prefix(s.first.BitLen() - size)
	last, _ := s.last.Prefix(s.last.BitLen() - size)
	return [2]netip.Prefix{first, last}
}

// claim answers which addresses an agent may be told now: those wanted that no other agent may still
// command, and those that nobody else is there for. The rest follow, or go, in a later pass.
func (l *links) claim(a *agentLink, wanted []string) []string {
	h := &a.holding
	if a.issuer.Settled() {
		h.spans = h.told
	}
	if h.whole && slices.Equal(h.wanted, wanted) {
		return wanted
	}
	spans, err := parseSpans(wanted)
	if err != nil {
		return nil // the pool is stalled for it
	}
	kept := l.kept(a, spans)
	left := slices.Concat(spans, kept)
	for _, other := range l.near.of(left) {
		if other != a {
			left = subtract(left, other.holding.spans)
		}
	}
	h.wanted, h.whole = wanted, len(kept) == 0 && size(left) == size(spans)
	if !slices.Equal(h.told, left) {
		h.told = left
		h.spans = append(append([]span{}, h.spans...), left...)
		l.near.add(a, left)
	}
	if h.whole {
		return wanted
	}
	return textsOf(left)
}

func textsOf(spans []span) []string {
	out := make([]string, len(spans))
	for i := range spans {
		out[i] = spans[i].String()
	}
	return out
}

// kept is what an agent goes on with though it is another's by the newest split: that one is not heard, so until
// it is nobody would shed those machines. What leaves the pool altogether is let go at once. The same addresses are
// answered in the same way, whatever the order in which agents are looked at: another one would be told anew.
func (l *links) kept(a *agentLink, wanted []span) (out []span) {
	extra := subtract(a.holding.spans, slices.Clone(wanted))
	if len(extra) == 0 {
		return nil
	}
	if l.absent == nil {
		l.absent = l.unheard()
	}
	for _, s := range l.absent[a.pool] {
		next := []span{s}
		out = append(out, subtract(next, subtract(next, extra))...)
	}
	return joined(out)
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

func (l *links) unheard() map[types.NamespacedName][]span {
	now, out := l.clock(), map[types.NamespacedName][]span{}
	for _, a := range l.table {
		if at, known := a.issuer.Heard(); !known || a.stop == nil || now.Sub(at) >= silent {
			out[a.pool] = append(out[a.pool], spansOf(a.asked)...)
		}
	}
	return out
}

// taken tells whether every agent of a pool minds what it was told last, and nothing else.
func (l *links) taken(pool types.NamespacedName) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.table {
		if a.pool == pool && (a.behind() || a.podUID != "" && !a.holding.whole) {
			return false
		}
	}
	return true
}

// behind tells whether an agent may go by more or less than it was told last; one with no pod goes by nothing.
func (a *agentLink) behind() bool {
	return a.podUID != "" && !(a.issuer.Settled() && slices.Equal(a.holding.spans, a.holding.told))
}

func size(spans []span) (n uint64) {
	for _, s := range spans {
		n += s.size()
	}
	return n
}

// subtract takes the addresses of b out of a.
func subtract(a, b []span) []span {
	if !slices.ContainsFunc(a, func(s span) bool { return slices.ContainsFunc(b, s.meets) }) {
		return a
	}
	b = append([]span{}, b...)
	sort.Slice(b, func(x, y int) bool { return b[x].first.Less(b[y].first) })
	var out []span
	for _, s := range a {
		gone := false
		for _, cut := range b {
			if !s.meets(cut) {
				continue
			}
			if s.first.Less(cut.first) {
				out = append(out, span{s.first, cut.first.Prev()})
			}
			if !cut.last.Less(s.last) {
				gone = true
				break
			}
			s.first = cut.last.Next()
		}
		if !gone {
			out = append(out, s)
		}
	}
	return out
}
