package power

import (
	"fmt"
	"strings"
)

// waiting says why a group that fits is not admitted yet, by the budget that is shortest of watts
// measured free. It gives no number that moves by itself: the message is written to status.
func (l *ledger) waiting(g group, c int) (Reason, string) {
	tight := c
	for _, i := range l.reach(l.b[c].Name) {
		if l.free[i] < l.free[tight] {
			tight = i
		}
	}
	b := l.b[tight].Name
	if l.unfound[tight] > 0 && l.free[tight]+l.unfound[tight] >= g.watts {
		return unfoundHold(g, b)
	}
	return WaitingForMiners, fmt.Sprintf(
		"%s needs %v on %s; miners are shedding for it, and it starts once that is measured free", g, g.watts, b)
}

func unfoundHold(g group, budget string) (Reason, string) {
	return Unsettled, fmt.Sprintf(
		"%s needs %v on %s, where watts of its pools' ratedWatts are on no device found yet and count as drawn", g, g.watts, budget)
}

// about rounds watts down to a thousandth of a limit, so that a message does not follow every reading.
func about(w, limit Watts) Watts {
	step := max(1, limit/1000)
	return max(0, w/step*step)
}

// noRoom says why a group can't have its watts however much mining sheds.
func (l *ledger) noRoom(w *Workload, g group, c int) (Reason, string) {
	for _, i := range l.reach(l.b[c].Name) {
		if l.b[i].Halted != "" {
			return Stalled, fmt.Sprintf("nothing is admitted on budget %s: %s", l.b[i].Name, l.b[i].Halted)
		}
	}
	above := l.above(w.Priority)
	tight, least := l.tightest(w, c, above)
	b, limit := l.b[tight].Name, l.planned[tight]
	switch {
	case above != nil && least+above[tight] >= g.watts:
		return MiningFirst, fmt.Sprintf(
			"%s needs %v on %s; mining pools there have a higher priority than %d and keep up to %v",
			g, g.watts, b, w.Priority, about(above[tight], limit))
	case !w.Interruptible && l.lowBy[tight] >= 0 && least+limit-l.low[tight] >= g.watts:
		cut := l.b[tight].Cuts[l.lowBy[tight]]
		return CurtailmentAhead, fmt.Sprintf(
			"%s needs %v on %s, and in curtailment %s (limit %v less margin) only %v would be left for it",
			g, g.watts, b, cut.Name, l.low[tight], about(least, limit))
	}
	return l.full(g, tight, least)
}

// full says what takes the room on budget i, of which the least is left: watts that nobody can vouch for,
// workloads of higher rank, or AI pods that run.
func (l *ledger) full(g group, i int, least Watts) (Reason, string) {
	b, limit := l.b[i].Name, l.planned[i]
	left := about(least, limit)
	switch {
	case least+l.unfound[i] >= g.watts:
		return unfoundHold(g, b)
	case least+l.silent[i] >= g.watts:
		return Unsettled, fmt.Sprintf(
			"%s needs %v on %s, where %v are held for mining agents that do not report; they count until these do, or have ended",
			g, g.watts, b, about(l.silent[i], limit))
	case least+l.queued(i) >= g.watts:
		return Outranked, fmt.Sprintf(
			"%s needs %v on %s; %v are left after base load, AI pods, and workloads of higher rank that wait or stand by",
			g, g.watts, b, left)
	}
	return NoRoom, fmt.Sprintf(
		"%s needs %v on %s; its limit less margin of %v leaves about %v beside base load %v, AI pods %v and mining that can't be shed",
		g, g.watts, b, limit, left, l.base[i], l.res[i])
}

// tightest is the budget that leaves the least room to pods pinned to budget c, and how much that is.
func (l *ledger) tightest(w *Workload, c int, above []Watts) (tight int, least Watts) {
	for n, i := range l.reach(l.b[c].Name) {
		room := l.room[i] + l.gain(w, i, above)
		if n == 0 || room < least {
			tight, least = i, room
		}
	}
	return tight, least
}

// queued is what earlier workloads that wait or stand by have taken out of budget i's room.
func (l *ledger) queued(i int) Watts {
	return l.low[i] - l.base[i] - l.unfound[i] - l.fixed[i] - l.res[i] - l.room[i]
}

func (l *ledger) noRooms(g group, candidates []int) string {
	names := make([]string, 0, len(candidates))
	for _, c := range candidates {
		if len(names) == 4 {
			names = append(names, "...")
			break
		}
		names = append(names, l.b[c].Name)
	}
	return fmt.Sprintf("%s: no node of %s has the accelerators free (and matches the pod's nodeSelector); no watts are spent on a pod that can't be scheduled",
		g, strings.Join(names, ", "))
}

// String names the group for people.
func (g group) String() string {
	if len(g.pods) == 1 {
		return "pod " + g.pods[0].Name
	}
	return fmt.Sprintf("gang of %d pods", len(g.pods))
}
