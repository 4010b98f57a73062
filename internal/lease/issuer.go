package lease

import "time"

// maxUnseen bounds the leases sent and not yet reported in force. Past it only a lower lease goes out:
// an agent that does not report is not helped by more.
const maxUnseen = 256

// Issuer is the operator's side of the protocol for one agent under one leader. It outlives
// connections and runs of the agent: silence frees nothing (L3). now is the operator's clock. It is not
// safe for concurrent use.
type Issuer struct {
	epoch      Epoch
	generation uint64
	assignment Assignment

	run       Run
	runSeen   time.Time // when this run was first met
	confirmed bool      // the leader Lease was read after runSeen (L7: confirm after see)
	heard     bool      // this run has reported under this epoch
	report    Report    // newest that counts
	reportAt  time.Time

	seq  uint64
	sent []sent // leases of this run that may yet be, or are, in force

	// carried caps a fresh run's unknown devices: what the run before it was counted at (L3), and the rated watts
	// of the devices that this was about.
	carried, carriedRated Watts
	capped                bool
	// kept is what that run had leave to draw, or drew: it may have been counted at more for want of knowledge.
	kept Watts
	// lets says that the run may have let devices go, under this leader or the one before, and has yet to get a lease
	// that is not shared with them. They are its own to keep under its lease, and a run that follows knows nothing of
	// them (L1). settledAt is the first report of the newest assignment in force.
	lets      bool
	settledAt time.Duration

	quarantine error     // why this run's reports do not count
	sane       time.Time // since when it has talked sense in quarantine
	backwards  int       // reports in a row that were older than the newest
}

type sent struct {
	seq   uint64
	watts Watts
	at    time.Time
	ttl   time.Duration
	asOf  time.Duration
}

// NewIssuer starts the operator's side for one agent under the given epoch, which must not be 0.
func NewIssuer(epoch Epoch) *Issuer { return &Issuer{epoch: epoch} }

// Assign sets what the agent minds. It answers true where the agent has to be told by a new Hello; what
// same calls the same is told to the agent's next run only.
func (i *Issuer) Assign(a Assignment, same func(a, b Assignment) bool) bool {
	known := i.generation > 0 && same(i.assignment, a)
	i.assignment = a
	if known {
		return false
	}
	i.capped = false // what it minds next was not counted before
	i.lets = true
	i.generation++
	return true
}

// Report takes one report in. Hello is not nil where the agent has to be (re)introduced to this leader:
// a new run, an older epoch, an older assignment. The report counts only if it carries this leader's
// epoch (L2); a higher epoch returns ErrOldEpoch, and the caller must stop leading.
func (i *Issuer) Report(now time.Time, r Report) (hello *Hello, err error) {
	if r.Epoch > i.epoch {
		return nil, ErrOldEpoch
	}
	if r.Run != i.run {
		i.startRun(now, r.Run)
	}
	if i.trust(now, &r) && r.Epoch == i.epoch && i.newer(r) {
		i.take(now, r)
	}
	return i.hello(r), nil
}

// Introduce is the Hello for a run that was heard and has yet to be told its newest assignment; nil where
// there is none.
func (i *Issuer) Introduce() *Hello {
	if i.report.Run == 0 {
		return nil
	}
	return i.hello(i.report)
}

func (i *Issuer) hello(r Report) *Hello {
	if i.generation == 0 || r.Epoch >= i.epoch && r.Generation >= i.generation {
		return nil
	}
	return &Hello{Epoch: i.epoch, Run: i.run, Generation: i.generation, Assignment: i.assignment}
}

// take makes a report the newest that counts.
func (i *Issuer) take(now time.Time, r Report) {
	if !i.heard || r.AsOf > i.report.AsOf {
		i.reportAt = now // what comes once more is no sign of life
	}
	before := i.Settled()
	i.report, i.heard = r, true
	if !before && i.Settled() {
		i.settledAt = r.AsOf
	}
	i.forget(r.Seq)
	// A run that has not looked at its machines yet bounds nothing.
	if i.capped && r.Generation == i.generation && r.Bound <= i.most() {
		i.capped = false
	}
}

// startRun forgets the leases of a run that is no more and keeps what it was counted at as a cap.
func (i *Issuer) startRun(now time.Time, run Run) {
	if i.heard {
		i.carry()
	}
	i.run, i.runSeen, i.confirmed, i.heard = run, now, false, false
	i.seq, i.sent, i.report = 0, nil, Report{}
	i.quarantine, i.sane, i.backwards = nil, time.Time{}, 0
}

// carry notes what the run that is no more was counted at. One that had yet to take up its newest assignment was
// not counted at what the next will mind; what it was capped by itself stands.
func (i *Issuer) carry() {
	hold, kept := i.Hold(), max(i.report.Draw, i.leave())
	if i.capped || !i.Settled() {
		hold, kept = max(hold, i.carried), max(kept, i.kept)
	}
	if i.Settled() {
		i.carriedRated = i.report.Rated
	}
	i.carried, i.kept, i.capped = hold, kept, (i.capped || i.Settled()) && !i.lets
	i.lets = false
}

// most is the most that a capped run is counted at for want of knowledge: devices that the run before it had
// not found were not counted then.
func (i *Issuer) most() Watts { return i.carried + max(0, i.report.Rated-i.carriedRated) }

// newer keeps reordered reports of one run out: the agent's clock and seq never go back.
func (i *Issuer) newer(r Report) bool {
	return !i.heard || (r.AsOf >= i.report.AsOf && r.Seq >= i.report.Seq)
}

// forget drops the leases that a later one has replaced in the agent's own words, never sooner.
func (i *Issuer) forget(inForce uint64) {
	keep := i.sent[:0]
	for _, s := range i.sent {
		if s.seq >= inForce {
			keep = append(keep, s)
		}
	}
	i.sent = keep
}

// Confirm records that the leader Lease was read, uncached, by a read begun at begun and still named
// this operator. It counts for runs first seen before that read (L7).
func (i *Issuer) Confirm(begun time.Time) {
	if i.run != 0 && !begun.Before(i.runSeen) {
		i.confirmed = true
	}
}

// Unconfirmed tells since when a run waits for Confirm; false where none does.
func (i *Issuer) Unconfirmed() (time.Time, bool) {
	return i.runSeen, i.run != 0 && !i.confirmed
}

// Grant makes the next lease and enters it into the ledger before it can leave (L2). It answers false
// where no lease may be sent: the run has not reported under this epoch, is not confirmed, or has yet to
// take up its first assignment: what it has not looked for can't be counted under a lease.
func (i *Issuer) Grant(now time.Time, t Terms) (Lease, bool) {
	if t.Watts < 0 || t.TTL <= 0 || !i.may(t.Watts) {
		return Lease{}, false
	}
	if t.Watts > i.carried {
		i.capped = false // what it may draw from now on is more than was counted before
	}
	if !t.Shared && i.Settled() && t.AsOf >= i.settledAt {
		i.lets = false
	}
	i.seq++
	i.sent = append(i.sent, sent{seq: i.seq, watts: t.Watts, at: now, ttl: t.TTL, asOf: t.AsOf})
	return Lease{
		Epoch: i.epoch, Run: i.run, Seq: i.seq,
		Watts: t.Watts, TTL: t.TTL, AsOf: t.AsOf, ShedWithin: t.ShedWithin, Shared: t.Shared,
	}, true
}

// may tells whether a lease of so many watts may be sent now.
func (i *Issuer) may(watts Watts) bool {
	if !i.heard || i.quarantine != nil || !i.confirmed || (i.seq == 0 && i.report.Generation < i.generation) {
		return false
	}
	last, ok := i.Last()
	return !ok || len(i.sent) < maxUnseen || watts < last
}

// Hold is what the ledger counts for this agent (L2): never less than the bound of its newest report,
// nor than any lease it may act on.
func (i *Issuer) Hold() Watts {
	if !i.heard {
		return i.carried
	}
	hold := i.report.Bound
	if i.capped {
		hold = min(hold, max(i.most(), i.report.Draw))
	}
	if i.quarantine != nil {
		hold = max(hold, i.report.Rated)
	}
	return max(hold, i.leave())
}

// leave is the highest lease that the run may act on.
func (i *Issuer) leave() Watts {
	most := i.report.LeaseWatts
	for _, s := range i.sent {
		most = max(most, s.watts)
	}
	return most
}

// Carried is what a fresh run may go on with: what the run before it had leave to draw, while what that was
// counted at caps it.
func (i *Issuer) Carried() Watts {
	if !i.capped {
		return 0
	}
	return min(i.carried, i.kept)
}

// Heard tells whether the agent's current run has reported under this leader, and when last.
func (i *Issuer) Heard() (time.Time, bool) { return i.reportAt, i.heard && i.quarantine == nil }

// Newest is the newest report that counts; the zero Report before one.
func (i *Issuer) Newest() Report { return i.report }

// Last is the newest lease sent to this run that it may still act on: its watts, and whether there is one.
func (i *Issuer) Last() (Watts, bool) {
	if n := len(i.sent); n > 0 && !i.over(i.sent[n-1]) {
		return i.sent[n-1].watts, true
	}
	return i.report.LeaseWatts, i.report.Seq > 0
}

// over tells that the run does nothing more by a lease, though it is counted all the same: it ran out by the agent's own
// clock, or the run has begun to shed with no lease, and so takes none that answers what it said before.
func (i *Issuer) over(s sent) bool {
	return i.report.AsOf >= s.asOf+s.ttl || s.asOf < Grace && i.report.Seq == 0 && i.report.AsOf >= Grace
}

// LastSent tells when the newest lease was sent and for how long; the zero time before the first.
func (i *Issuer) LastSent() (time.Time, time.Duration) {
	if len(i.sent) == 0 {
		return time.Time{}, 0
	}
	s := i.sent[len(i.sent)-1]
	return s.at, s.ttl
}

// Seq is that of the newest lease sent to this run; 0 before the first.
func (i *Issuer) Seq() uint64 { return i.seq }

// Run is the current run; 0 before one was met.
func (i *Issuer) Run() Run { return i.run }

// Settled tells whether the agent has reported its newest assignment in force.
func (i *Issuer) Settled() bool {
	return i.heard && i.report.Epoch == i.epoch && i.report.Generation == i.generation
}
