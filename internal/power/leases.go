package power

import "time"

const (
	// raiseEvery, raiseShare and budgetShare stagger raises: an agent's lease rises at most once in
	// raiseEvery, by at most one raiseShare-th of its rated watts, and all leases under a budget together by
	// at most one budgetShare-th of its limit, so that a site-wide restore is a ramp and not a step.
	raiseEvery  = time.Second
	raiseShare  = 4
	budgetShare = 10
	// worthwhile is the share of rated watts under which a change that no limit asks for is not worth a
	// write to any device: one in that many.
	worthwhile = 200
	// patience is how long a raise too small to be worth it waits before it is made all the same.
	patience = 20 * time.Second
	// handOver is how soon watts are wanted that a pod waits for.
	handOver = 10 * time.Second
	// overNow is how soon watts are wanted that the ledger is over its limit.
	overNow = 2 * time.Second
	// leastTTL is the shortest lease worth sending.
	leastTTL = time.Second
)

// leases turns targets into leases: down at once, up only out of watts that are free in the ledger now
// and that no pod waits for.
func (l *ledger) leases(targets []Watts) []LeasePlan {
	l.pace = l.paces()
	for i := range l.b {
		l.falls[i] = l.fall(i, l.s.Now, l.planned[i])
	}
	spare := make([]Watts, len(l.b))
	for i := range spare {
		spare[i] = l.planned[i] - l.base[i] - l.unfound[i] - l.held[i] - l.res[i] - l.demand[i] - l.kept[i]
	}
	plans := make([]LeasePlan, 0, len(l.agents))
	for i := range l.agents {
		a := &l.agents[i]
		if !a.leasable {
			continue
		}
		p := LeasePlan{Agent: a.Key, Target: targets[i]}
		p.Watts = l.step(a, targets[i], spare)
		p.Raise = a.Leased && p.Watts > a.Lease
		p.TTL = l.ttl(a)
		p.Shared = l.barred(a.chain)
		if !p.Raise {
			p.ShedWithin = l.urgency(a, p.Watts)
		}
		plans = append(plans, p)
	}
	return plans
}

// paces is how much leases may still rise under each budget now: a share of its limit, but never less
// than one agent's own step, less what rose within raiseEvery (liveness j).
func (l *ledger) paces() []Watts {
	pace := make([]Watts, len(l.b))
	for i := range pace {
		pace[i] = l.planned[i] / budgetShare
	}
	for i := range l.agents {
		a := &l.agents[i]
		for _, b := range a.chain {
			pace[b] = max(pace[b], a.Rated/raiseShare)
		}
	}
	for i := range l.agents {
		if a := &l.agents[i]; l.s.Now.Sub(a.RaisedAt) < raiseEvery {
			add(pace, a.chain, -a.RaisedBy)
		}
	}
	return pace
}

// step is the lease one agent should have now, on the way to its target.
func (l *ledger) step(a *agent, target Watts, spare []Watts) Watts {
	slack := max(Watts(1), a.Rated/worthwhile)
	switch {
	case !a.Leased:
		return l.first(a, target, spare)
	case target > a.Lease:
		if l.early(a, target-a.Lease < slack) || l.barred(a.chain) || a.capped() {
			return a.Lease
		}
		have := max(a.Hold, a.Lease)
		return max(a.Lease, min(target, have+l.rise(a, target-have, spare)))
	case (a.Lease-target < slack || a.Young) && !l.pressed(a.chain):
		return a.Lease
	}
	return target
}

// first is the first lease of a run.
func (l *ledger) first(a *agent, target Watts, spare []Watts) Watts {
	switch {
	case l.barred(a.chain):
		// Its hold, and its floor, may be for want of knowledge (L3): leave to draw them would be a raise (L1).
		return min(target, a.Keeps)
	case target <= a.Hold:
		// What is held already costs nothing to lease: a fresh agent, or one whose devices are slow to shed.
		if a.Young && !l.pressed(a.chain) {
			return max(target, min(a.Keeps, a.Hold))
		}
		return target
	case a.capped():
		return a.Hold
	}
	return a.Hold + l.rise(a, target-a.Hold, spare)
}

// capped tells that an agent counts for less than its bound, by what the run before it was counted at. A raise would end
// that, and cost all of its bound.
func (a *agent) capped() bool { return a.Bound > a.Hold }

// early tells whether it is too soon to raise a lease again: raises are staggered, and a small one waits
// to become worth it.
func (l *ledger) early(a *agent, small bool) bool {
	since := l.s.Now.Sub(a.RaisedAt)
	return since < raiseEvery || (small && since < patience)
}

// rise takes watts for a raise out of what is spare, as far as the stagger allows.
func (l *ledger) rise(a *agent, want Watts, spare []Watts) Watts {
	chain := a.chain
	rise := min(want, max(a.Rated/raiseShare, 1))
	for _, i := range chain {
		if l.b[i].Halted != "" {
			return 0
		}
		rise = min(rise, spare[i], l.pace[i])
	}
	rise = max(rise, 0)
	add(spare, chain, -rise)
	add(l.pace, chain, -rise)
	return rise
}

// pressed tells whether some budget of the chain is over its limit or has pods that wait.
func (l *ledger) pressed(chain []int) bool {
	for _, i := range chain {
		if l.over(i) > 0 || l.demand[i] > 0 {
			return true
		}
	}
	return false
}

// ttl is how long a lease lasts: the least leaseSeconds above the agent, and never past the next fall of
// a limit less the time to shed, so that a planned event is obeyed with the operator dead.
func (l *ledger) ttl(a *agent) time.Duration {
	ttl := time.Duration(0)
	for _, i := range a.chain {
		if b := l.b[i].LeaseTTL; b > 0 && (ttl == 0 || b < ttl) {
			ttl = b
		}
		if at := l.falls[i]; !at.IsZero() {
			ttl = min(ttl, at.Sub(l.s.Now)-l.settle[i]-shedSlack)
		}
	}
	return max(ttl, leastTTL)
}

// urgency is how soon an agent must be under a lease that is not a raise.
func (l *ledger) urgency(a *agent, watts Watts) time.Duration {
	if a.Bound <= watts {
		return 0
	}
	within := time.Duration(0)
	for _, i := range a.chain {
		switch {
		case l.over(i) > 0:
			return overNow
		case l.demand[i] > 0:
			within = handOver
		}
	}
	return within
}
