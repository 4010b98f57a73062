package controllers

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// holding is the addresses that an agent may command: those it was told last, and those told before until
// it has said that it took the change (L9: two agents never command one address).
type holding struct {
	wanted []string // as asked for, to see a change
	spans  []span
	told   []span
	whole  bool // told is all that was wanted
}

// enter makes an agent known, before any is told what to mind: a former leader may have told it anything of its
// slot. One of a pool that this leader has met before can't have been told any of it: all slots that former leaders
// wrote down were met at once, one is forgotten only with its pod, and nobody but this leader has told agents of any
// since (ADR 7).
func (l *links) enter(p peer, met bool) {
	a := &agentLink{peer: peer{key: p.key, pool: p.pool}, issuer: lease.NewIssuer(l.epoch)}
	if !met {
		a.holding.spans = append(spansOf(p.before), spansOf(p.assignment.Ranges)...)
	}
	l.table[p.key] = a
}

// neighbours are what agents may command, by block; what one was told in this very pass is among it.
type neighbours map[netip.Prefix][]neighbour

type neighbour struct {
	*agentLink
	span
}

func (n neighbours) add(a *agentLink, spans []span) {
	for _, s := range spans {
		for b := range s.blocks() {
			n[b] = append(n[b], neighbour{a, s})
		}
	}
}

// others is what other agents may command of the spans, and around them. No holding shrinks while a pass claims, so
// what was listed once holds for all of it.
func (l *links) others(a *agentLink, spans []span) (out []span) {
	if l.near == nil {
		l.near = neighbours{}
		for _, o := range l.table {
			l.near.add(o, o.holding.spans)
		}
	}
	for _, s := range spans {
		for b := range s.blocks() {
			for _, o := range l.near[b] {
				if o.agentLink != a && o.meets(s) {
					out = append(out, o.span)
				}
			}
		}
	}
	return out
}

// claim answers which addresses an agent may be told now: those wanted that no other agent may still
// command, and those that nobody else is there for. The rest follow, or go, in a later pass.
func (l *links) claim(a *agentLink, wanted []string) []string {
	h := &a.holding
	if h.whole && slices.Equal(h.wanted, wanted) {
		return wanted
	}
	spans, err := parseSpans(wanted)
	if err != nil {
		return nil // the pool is stalled for it
	}
	kept := l.kept(a, spans)
	left := slices.Concat(spans, kept)
	left = subtract(left, l.others(a, left))
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
	extra := subtract(a.holding.spans, wanted)
	if len(extra) == 0 {
		return nil
	}
	if l.absent == nil {
		l.absent = l.unheard()
	}
	for _, s := range extra {
		for _, o := range meeting(l.absent[a.pool], s) {
			out = append(out, s.both(o))
		}
	}
	return joined(out)
}

// unheard is joined, by pool.
func (l *links) unheard() map[types.NamespacedName][]span {
	out := map[types.NamespacedName][]span{}
	for _, a := range l.table {
		if l.silent(a) {
			out[a.pool] = append(out[a.pool], spansOf(a.asked)...)
		}
	}
	for pool := range out {
		out[pool] = joined(out[pool])
	}
	return out
}

// silent tells whether an agent is not heard now. What its slot's former pod said last, however lately, is no word of
// the one that is there: that minds nothing yet.
func (l *links) silent(a *agentLink) bool {
	at, known := a.issuer.Heard()
	return !known || a.stop == nil || at.Before(a.openedAt) || l.clock().Sub(at) >= silent
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
