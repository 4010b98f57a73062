package chaos

import (
	"errors"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// The protocol of leases (L2, L3, L7) by books of the checker's own: what an agent must make of each
// message, and what a ledger must count for it.

// mind is what an agent has been told, as the protocol is written down.
type mind struct {
	epoch      lease.Epoch
	generation uint64
	assignment lease.Assignment
	at         time.Duration // when it took that up
	seq        uint64
	leased     bool
	of         lease.Epoch // of the lease in force
	watts      lease.Watts
	asOf       time.Duration
	until      time.Duration
}

// greeted judges what an agent made of a Hello.
func (c *checker) greeted(a *agent, m *lease.Hello, err error) {
	is := &a.mind
	take := m.Run == a.run && m.Epoch >= is.epoch && m.Epoch > 0
	switch {
	case take != (err == nil):
		c.broke("L7", "%s meets a Hello of epoch %d to run %d after epoch %d, and answers %v", a.name, m.Epoch, m.Run, is.epoch, err)
	case !take:
	case m.Epoch > is.epoch:
		is.epoch, is.seq, is.generation, is.assignment = m.Epoch, 0, m.Generation, m.Assignment
		c.assigned(a)
	case m.Generation > is.generation:
		is.generation, is.assignment = m.Generation, m.Assignment
		c.assigned(a)
	}
	if got := a.view().Generation; got != is.generation {
		c.broke("L9", "%s minds assignment %d of epoch %d after %d", a.name, got, is.epoch, is.generation)
	}
}

// hasShed tells that a run has begun to shed for want of a first lease, and so takes none for what it drew before.
func (a *agent) hasShed(m *lease.Lease) bool {
	return !a.mind.leased && m.AsOf < lease.Grace && a.now() >= lease.Grace
}

// leased judges what an agent made of a lease.
func (c *checker) leased(a *agent, m *lease.Lease, err error) {
	is, now := &a.mind, a.now()
	rule, why := "", ""
	switch {
	case m.Run != a.run:
		rule, why = "L2", "given to another run"
	case m.Epoch != is.epoch:
		rule, why = "L7", "of another epoch than the last Hello's"
	case m.Seq <= is.seq:
		rule, why = "L2", "no newer than the last"
	case m.AsOf > now:
		rule, why = "TTL", "of a time to come"
	case a.hasShed(m):
		rule, why = "L1", "for what it drew before it began to shed"
	}
	switch {
	case rule != "" && err == nil:
		c.broke(rule, "%s takes lease %d of epoch %d to run %d, which is %s", a.name, m.Seq, m.Epoch, m.Run, why)
	case m.Run != a.run && !errors.Is(err, lease.ErrOtherRun):
		c.broke("L2", "%s refuses a lease that was given to run %d, but for its %v", a.name, m.Run, err)
	case rule == "" && err != nil:
		c.broke("L2", "%s refuses lease %d of epoch %d after %d: %v", a.name, m.Seq, m.Epoch, is.seq, err)
	case rule == "":
		is.seq, is.leased, is.watts, is.until = m.Seq, true, m.Watts, m.AsOf+m.TTL
		is.of, is.asOf = m.Epoch, m.AsOf
		a.lets = slices.DeleteFunc(a.lets, func(l letting) bool { return l.at <= m.AsOf && !m.Shared })
	}
}

// allowed judges what an agent may do now, by its Holder.
func (c *checker) allowed(a *agent) {
	is, now, view := &a.mind, a.now(), a.view()
	got, want := view.Allowance, lease.Floor
	switch {
	case is.leased && now < is.until:
		want = lease.Leased
	case !is.leased && now < lease.Grace:
		want = lease.Untouched
	}
	if got.Mode != want || want == lease.Leased && (got.Watts != is.watts || got.Until != is.until) {
		c.broke("TTL", "%s may do %+v at %v by its clock; its lease is %d W until %v", a.name, got, now, is.watts, is.until)
	}
	switch let := a.letGo(); {
	case let > float64(view.Left)+slack(let):
		c.broke("L1", "%s let machines go that could draw %.0f W of its lease, and keeps %d W for them", a.name, let, view.Left)
	case len(a.lets) == 0 && view.Left > 0 && !a.twins():
		c.broke("STRANDED", "%s keeps %d W for machines that are not in its lease", a.name, view.Left)
	}
}

// told judges the part of a report that is about leases.
func (c *checker) told(a *agent, r *lease.Report) {
	is, watts := &a.mind, lease.Watts(0)
	if is.leased && r.AsOf < is.until {
		watts = is.watts
	}
	if r.Epoch != is.epoch || r.Run != a.run || r.Seq != is.seq || r.LeaseWatts != watts || r.AsOf != a.now() || r.Generation > is.generation {
		c.broke("L2", "%s reports epoch %d, lease %d of %d W; it is epoch %d, lease %d of %d W", a.name, r.Epoch, r.Seq, r.LeaseWatts, is.epoch, is.seq, watts)
	}
	for key := range is.assignment.PriorSettings {
		if r.PriorSettings[key] == "" {
			c.broke("PRIOR", "%s forgets what %s ran before it slept", a.name, key)
		}
	}
	c.takenUp(a, r.Generation > 0)
}

// lookFor is how long an agent may look for machines before it counts those that it has not met as away.
const lookFor = 8 * time.Second

// takenUp looks that an agent that says it has taken up its assignment has asked everywhere (L4), and that
// nothing is under way to what it let go (L9); and that it says so then.
func (c *checker) takenUp(a *agent, says bool) {
	if a.mind.generation == 0 {
		return
	}
	asked, looked := true, a.now()-a.mind.at >= lookFor
	for _, d := range a.minds {
		s := a.sights[d]
		if says && !looked && (s == nil || !s.asked && !s.found) {
			c.broke("L4", "%s says that it has taken up its assignment, and has yet to look for %s", a.name, d.name)
		}
		asked = asked && s != nil && s.asked
	}
	a.cutShort = slices.DeleteFunc(a.cutShort, func(s *sight) bool { return s.writing == 0 })
	switch {
	case says && len(a.cutShort) > 0:
		c.broke("L9", "%s says that it has taken up its assignment, and writes to a machine that it let go", a.name)
	case !says && (asked && !a.twins() || looked) && a.view().Letting == 0:
		c.broke("L4", "%s has looked everywhere and does not say so", a.name)
	case !says && a.view().Letting > 0 && a.now()-a.mind.at > letGoIn:
		c.broke("L9", "%s still waits for writes to what it let go at %v", a.name, a.mind.at)
	}
}

// letGoIn is how long a write may take to end that was cut short, by a process that is paused in between.
const letGoIn = 5 * time.Second

// account is what one leader's ledger must count for one agent.
type account struct {
	epoch   lease.Epoch
	run     lease.Run
	met     time.Duration // when the run was first
	told    uint64        // the newest assignment that was put up to leave
	minds   []*device     // by that
	heard   bool
	at      time.Duration // when
	report  lease.Report
	sent    []lease.Lease
	carried lease.Watts
	kept    lease.Watts // of it, what that had leave to draw, or drew
	capped  bool
	rated   lease.Watts // of the machines that carried is about
	// nonsense: its reports do not count until it has talked sense for a while, since sane.
	nonsense bool
	sane     time.Duration
	// sentAt is when the newest lease was, for so long; due since when the next is.
	sentAt, lasts, due time.Duration
	// counts is what the ledger counted last.
	counts lease.Watts
}

// parole is how long an agent that talked nonsense must talk sense.
const parole = 60 * time.Second

// hold is the least that must be counted (L2). A run that follows another is capped by what that was
// counted at, unless more was measured or leased (L3).
func (k *account) hold() lease.Watts {
	if !k.heard {
		return k.carried
	}
	hold := k.report.Bound
	if k.capped {
		hold = min(hold, max(k.most(), k.report.Draw))
	}
	if k.nonsense {
		hold = max(hold, k.report.Rated)
	}
	return max(hold, k.granted())
}

// leave is the highest lease that the run may act on, by its own clock; what it draws, while it is too young to shed; or
// what the run before had leave to draw, or drew, while what that was counted at caps this one.
func (k *account) leave(now time.Duration) lease.Watts {
	most := k.report.LeaseWatts
	for i := range k.sent {
		if m := &k.sent[i]; m.AsOf+m.TTL > k.report.AsOf {
			most = max(most, m.Watts)
		}
	}
	if k.report.AsOf+now-k.at < lease.Grace {
		most = max(most, k.report.Draw)
	}
	if k.capped {
		most = max(most, min(k.carried, k.kept))
	}
	return most
}

// granted is the highest lease that the run may have taken.
func (k *account) granted() lease.Watts {
	most := k.report.LeaseWatts
	for i := range k.sent {
		most = max(most, k.sent[i].Watts)
	}
	return most
}

// most is the most that a capped run may draw: devices that were not found before were not counted then.
func (k *account) most() lease.Watts { return k.carried + max(0, k.report.Rated-k.rated) }

// take enters a report as it reached the ledger.
func (k *account) take(now time.Duration, r *lease.Report) {
	if r.Epoch > k.epoch {
		return
	}
	if r.Run != k.run {
		if k.heard {
			before, kept := k.carried, k.kept
			k.carried, k.kept = k.hold(), max(k.report.Draw, k.granted())
			if k.capped || k.report.Generation != k.told {
				k.carried, k.kept = max(k.carried, before), max(k.kept, kept) // it is no proof of less that a run has died young
			}
			if k.report.Generation == k.told {
				k.capped, k.rated = true, k.report.Rated
			}
		}
		k.run, k.met, k.heard, k.sent, k.report, k.nonsense = r.Run, now, false, nil, lease.Report{}, false
		k.lasts, k.due = 0, 0
		k.minds = nil // a new process minds nothing yet
	}
	if k.distrusts(now, r) {
		return
	}
	if r.Epoch < k.epoch || k.heard && (r.AsOf < k.report.AsOf || r.Seq < k.report.Seq) {
		return
	}
	if !k.heard || r.AsOf > k.report.AsOf {
		k.at = now // what comes once more is no sign of life
	}
	k.heard, k.report = true, *r
	if r.Generation == k.told && r.Bound <= k.most() {
		k.capped = false
	}
	kept := k.sent[:0]
	for i := range k.sent {
		if k.sent[i].Seq >= r.Seq {
			kept = append(kept, k.sent[i])
		}
	}
	k.sent = kept
}

// distrusts tells whether a report does not count for want of sense.
func (k *account) distrusts(now time.Duration, r *lease.Report) bool {
	switch {
	case r.Draw > r.Rated:
		k.nonsense, k.sane = true, 0
	case k.nonsense && k.sane == 0:
		k.sane = now
	case k.nonsense && now-k.sane >= parole && r.Epoch == k.epoch:
		k.nonsense, k.report.AsOf, k.report.Seq = false, 0, 0
	}
	return k.nonsense
}

// account is the one of an agent in the ledger that a process leads now.
func (o *operator) account(key string) *account {
	epoch, _, _ := o.holds(key)
	k := o.accounts[key]
	if k == nil || uint64(k.epoch) != epoch {
		k = &account{epoch: lease.Epoch(epoch)}
		o.accounts[key] = k
	}
	return k
}

// heard enters a report that is about to reach a ledger.
func (c *checker) heard(o *operator, a *agent, r *lease.Report) {
	k := o.account(namespace + "/" + a.pod.name)
	k.take(c.h.now, r)
	if r.Epoch > k.epoch && uint64(r.Epoch) > o.outranked {
		o.outranked, o.outrankedAt = uint64(r.Epoch), c.h.now
	}
}

// counted judges what a ledger counts for an agent after it was told something.
func (c *checker) counted(o *operator, key string) {
	_, hold, ok := o.holds(key)
	k := o.account(key)
	switch want := k.hold(); {
	case !ok:
		delete(o.accounts, key) // its slot is gone
		return
	case hold < want:
		c.broke("L2", "the ledger of %s (epoch %d) counts %d W for %s and must count %d W: bound %d W, lease in force %d W, %d on their way, %d W before its run",
			o.name, k.epoch, hold, key, want, k.report.Bound, k.report.LeaseWatts, len(k.sent), k.carried)
	}
	k.counts = hold
}

// granted judges a lease that is put up to leave: it answers the newest report that counts, and the leader
// Lease was read after its run was met (L7).
func (c *checker) granted(o *operator, key string, m *lease.Lease) {
	k := o.accounts[key]
	switch {
	case k == nil || !k.heard || k.epoch != m.Epoch || k.run != m.Run:
		c.broke("L7", "%s gives %s a lease of epoch %d to run %d, of which it has heard nothing", o.name, key, m.Epoch, m.Run)
		return
	case m.Seq == 1 && o.readAt < k.met:
		c.broke("L7", "%s gives run %d its first lease; it was met at %v and the leader Lease read last at %v", o.name, m.Run, k.met, o.readAt)
	case m.Seq == 1 && k.report.Generation < k.told:
		c.broke("L4", "%s gives run %d its first lease, and it has yet to look for its machines", o.name, m.Run)
	case m.AsOf > k.report.AsOf:
		c.broke("TTL", "%s gives %s a lease as of %v, and it was heard at %v last", o.name, key, m.AsOf, k.report.AsOf)
	case len(k.sent) > 0 && m.Seq <= k.sent[len(k.sent)-1].Seq || m.Seq <= k.report.Seq:
		c.broke("L2", "%s gives %s lease %d once more", o.name, key, m.Seq)
	}
	if k.nonsense {
		c.broke("L2", "%s gives %s a lease, and it talks nonsense", o.name, key)
	}
	if at, ok := o.leaving[key]; ok && c.h.now > at+leaveIn && o.factsAt > at {
		c.broke("L9", "%s gives %s a lease, whose pod is being deleted since %v", o.name, key, at)
	}
	if m.Watts > k.carried {
		k.capped = false
	}
	if m.Seq > 1 { // the first may be all that was held
		c.rose(o, key, m.Watts-max(k.hold(), k.counts))
	}
	k.sent = append(k.sent, *m)
	k.sentAt, k.lasts, k.due = c.h.now, m.TTL, 0
}

// leaveIn is how long a leader may go on with what it read before an agent's pod was deleted: as long as it
// may lead without a word from the API server.
const leaveIn = controllers.LeaseDuration

// rise is by how much leases under a budget rose at one time.
type rise struct {
	at     time.Duration
	budget int
	by     lease.Watts
}

// rose looks that leases rise as a ramp and not as a step: within a second by a tenth of a budget's limit, or
// a quarter of what one agent can draw (liveness j). Twice that is a breach here.
func (c *checker) rose(o *operator, key string, by lease.Watts) {
	for len(o.rises) > 0 && o.rises[0].at <= c.h.now-time.Second {
		o.rises = o.rises[1:]
	}
	pool := c.h.poolOf(key)
	if by <= 0 || pool == nil {
		return
	}
	o.rises = append(o.rises, rise{c.h.now, pool.config.budget, by})
	for _, i := range c.up[pool.config.budget] {
		sum := lease.Watts(0)
		for _, r := range o.rises {
			if c.h.cfg.under(r.budget, i) {
				sum += r.by
			}
		}
		step := lease.Watts(0)
		for _, k := range o.accounts {
			step = max(step, k.report.Rated/4)
		}
		if most := 2 * max(step, lease.Watts(c.limit[i]/10)); sum > most && !c.excused[i] {
			c.broke("PACE", "%s raises leases under budget %s by %d W within a second", o.name, c.h.cfg.budgets[i].name, sum)
		}
	}
}
