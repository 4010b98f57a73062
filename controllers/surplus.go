package controllers

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// surplus is the agents of one pool that the newest split leaves nothing, and that go on until what they mind is
// others': their pods may not go before (ADR 8).
type surplus struct {
	upTo   int      // the slots that their pods need
	agents []string // they
	heirs  []string // the agents that are to mind it and are not heard
}

// surplus answers them by pool, as of the newest sync. One that is not heard itself goes as soon as all are heard
// that follow it: they get its addresses once its pod has ended.
func (l *links) surplus() map[types.NamespacedName]surplus {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, away := map[types.NamespacedName]surplus{}, l.away()
	for _, a := range l.table {
		if !a.slotless || len(a.holding.spans) == 0 {
			continue
		}
		heirs := a.heirs(away)
		at, _ := a.issuer.Heard()
		if heard := a.stop != nil && l.clock().Sub(later(at, l.began)) < silent; !heard && len(heirs) == 0 {
			continue
		}
		s := out[a.pool]
		s.upTo = max(s.upTo, a.slot+1)
		s.agents, s.heirs = append(s.agents, a.key), append(s.heirs, heirs...)
		out[a.pool] = s
	}
	for pool, s := range out {
		slices.Sort(s.agents)
		slices.Sort(s.heirs)
		s.heirs = slices.Compact(s.heirs)
		out[pool] = s
	}
	return out
}

// away is the agents that are not heard, by pool.
func (l *links) away() map[types.NamespacedName][]*agentLink {
	out := map[types.NamespacedName][]*agentLink{}
	for _, a := range l.table {
		if l.silent(a) {
			out[a.pool] = append(out[a.pool], a)
		}
	}
	return out
}

// heirs is those of the agents away that are to mind what this one minds.
func (a *agentLink) heirs(away map[types.NamespacedName][]*agentLink) (out []string) {
	for _, heir := range away[a.pool] {
		if heir != a && meet(spansOf(heir.asked), a.holding.spans) {
			out = append(out, heir.key)
		}
	}
	return out
}

func meet(a, b []span) bool {
	return slices.ContainsFunc(a, func(s span) bool { return slices.ContainsFunc(b, s.meets) })
}

// replicas is how many agents a pool's StatefulSet has: fewer than there are only once the newest edit is in force and
// none that goes by it minds anything that others don't yet.
func (s *poolSnapshot) replicas(p *powerv1.MinerPool) int32 {
	want := int32(len(s.shards))
	if s.set.UID == "" {
		return want
	}
	there := powerv1.Or(s.set.Spec.Replicas, 1)
	switch {
	case there <= want:
		return want
	case s.facts.inForce != p.Generation:
		return there // who minds what is not decided yet
	}
	return min(there, max(want, int32(s.facts.surplus.upTo)))
}

// text says who stays and for whom.
func (s surplus) text() string {
	text := fmt.Sprintf("the newest edit leaves agents %s no addresses, and their pods stay until these are handed over", some(s.agents))
	if len(s.heirs) == 0 {
		return text
	}
	return fmt.Sprintf("%s; agents %s, which are to mind them, do not report: see why, or delete the pods that stay: nobody minds their machines then",
		text, some(s.heirs))
}
