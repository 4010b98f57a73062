package power

import (
	"fmt"
	"strings"
)

// why tells the reason of an answer that is not "ready".
func (l *ledger) why(w *Workload, g group, a answer) (Reason, string) {
	switch {
	case a.parts == nil:
		return a.reason, a.message
	case a.verdict == feasible:
		return l.waiting(g, a.parts)
	}
	return l.noRoom(w, g, a.parts)
}

// waiting says why a group that fits is not admitted yet, by the budget that is shortest of watts
// measured free. It gives no number that moves by itself: the message is written to status.
func (l *ledger) waiting(g group, parts []part) (Reason, string) {
	order, needs := l.needs(parts)
	tight := order[0]
	for _, i := range order {
		if l.free[i]-needs[i] < l.free[tight]-needs[tight] {
			tight = i
		}
	}
	b, need := l.b[tight].Name, needs[tight]
	if l.unfound[tight] > 0 && l.free[tight]+l.unfound[tight] >= need {
		return unfoundHold(g, need, b)
	}
	return WaitingForMiners, fmt.Sprintf(
		"%s needs %v on %s; miners are shedding for it, and it starts once that is measured free", g, need, b)
}

func unfoundHold(g group, need Watts, budget string) (Reason, string) {
	return Unsettled, fmt.Sprintf(
		"%s needs %v on %s, where watts of its pools' ratedWatts are on no device found yet and count as drawn", g, need, budget)
}

// about rounds watts down to a thousandth of a limit, so that a message does not follow every reading.
func about(w, limit Watts) Watts {
	step := max(1, limit/1000)
	return max(0, w/step*step)
}

// noRoom says why a group can't have its watts however much mining sheds; that mining is set above it,
// too (liveness k).
func (l *ledger) noRoom(w *Workload, g group, parts []part) (Reason, string) {
	for _, p := range parts {
		for _, i := range l.reach[p.budget] {
			if l.b[i].Halted != "" {
				return Stalled, fmt.Sprintf("nothing is admitted on budget %s: %s", l.b[i].Name, l.b[i].Halted)
			}
		}
	}
	above := l.above(w.Priority)
	tight, least, need := l.tightest(l.gain(w), parts)
	b, limit := l.b[tight].Name, l.planned[tight]
	low, by := l.ahead(w, tight)
	switch {
	case above != nil && least+above[tight] >= need:
		return MiningFirst, fmt.Sprintf(
			"%s needs %v on %s; mining pools there have a higher priority than %d and keep up to %v",
			g, need, b, w.Priority, about(above[tight], limit))
	case by >= 0 && least+limit-low >= need:
		cut := &l.b[tight].Cuts[by]
		return CurtailmentAhead, fmt.Sprintf(
			"%s needs %v on %s, and in curtailment %s (limit %v less margin) only %v would be left for it",
			g, need, b, cut.Name, l.during(tight, cut), about(least, limit))
	}
	return l.full(g, tight, least, need)
}

// during is the limit of budget i when a cut begins, or now that it has.
func (l *ledger) during(i int, cut *Cut) Watts {
	when := cut.Start
	if when.Before(l.s.Now) {
		when = l.s.Now
	}
	limit, _ := l.at(i, when)
	return limit
}

// full says what takes the room on budget i, of which the least is left: watts that nobody can vouch for,
// workloads of higher rank, or AI pods that run.
func (l *ledger) full(g group, i int, least, need Watts) (Reason, string) {
	b, limit := l.b[i].Name, l.planned[i]
	left := about(least, limit)
	switch {
	case least+l.unfound[i] >= need:
		return unfoundHold(g, need, b)
	case least+l.silent[i] >= need:
		return Unsettled, fmt.Sprintf(
			"%s needs %v on %s, where %v are held for mining agents that do not report; they count until these do, or have ended",
			g, need, b, about(l.silent[i], limit))
	case least+l.queued(i) >= need:
		return Outranked, fmt.Sprintf(
			"%s needs %v on %s; %v are left after base load, AI pods, and workloads of higher rank that wait or stand by",
			g, need, b, left)
	}
	return NoRoom, fmt.Sprintf(
		"%s needs %v on %s; its limit less margin of %v leaves about %v beside base load %v, AI pods %v and mining that can't be shed",
		g, need, b, limit, left, l.base[i], l.res[i])
}

// needs is what the parts of a group need of every budget they may draw from, in the order these are met.
func (l *ledger) needs(parts []part) (order []int, need map[int]Watts) {
	need = map[int]Watts{}
	for _, p := range parts {
		for _, i := range l.reach[p.budget] {
			if _, met := need[i]; !met {
				order = append(order, i)
			}
			need[i] += p.watts
		}
	}
	return order, need
}

// tightest is the budget that is shortest of room for the parts of a group, how much it leaves, and what
// they need of it.
func (l *ledger) tightest(gain gain, parts []part) (tight int, least, need Watts) {
	order, needs := l.needs(parts)
	for n, i := range order {
		room := l.room[i] + gain.room[i]
		if n == 0 || room-needs[i] < least-need {
			tight, least, need = i, room, needs[i]
		}
	}
	return tight, least, need
}

// queued is what earlier workloads that wait or stand by have taken out of budget i's room.
func (l *ledger) queued(i int) Watts {
	return l.low[i] - l.base[i] - l.unfound[i] - l.fixed[i] - l.res[i] - l.room[i]
}

func (l *ledger) noRooms(g group, candidates []int) string {
	names := make([]string, 0, 5)
	for _, c := range candidates {
		if len(names) == 4 {
			names = append(names, "...")
			break
		}
		names = append(names, l.b[c].Name)
	}
	return fmt.Sprintf("%s: no node of %s has the accelerators free and takes the pod (nodeSelector, required affinity, taints); no watts are spent on a pod that can't be scheduled",
		g, strings.Join(names, ", "))
}

// String names the group for people.
func (g group) String() string {
	if len(g.pods) == 1 {
		return "pod " + g.pods[0].Name
	}
	return fmt.Sprintf("gang of %d pods", len(g.pods))
}
