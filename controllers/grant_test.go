package controllers

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// leased keeps the newest lease that was put up to leave.
type leased struct {
	wired
	lease lease.Lease
}

func (l *leased) PutLease(m lease.Lease) { l.lease = m; l.wired.PutLease(m) }

// TestALeaseIsForWhatWasDecidedOn: reports go on coming while a pass decides. What it decided is of the reports that it
// saw, and of the run that made them.
// Rules: L1, L3.
func TestALeaseIsForWhatWasDecidedOn(t *testing.T) {
	g := NewWithT(t)
	now := time.Unix(1_900_000_000, 0)
	l := newLinks(9, nil, func() time.Time { return now }, func() {}, func(uint64) {}, logr.Discard())
	out := &leased{}
	a := &agentLink{peer: peer{key: "ai/p-0"}, issuer: lease.NewIssuer(9), orders: out, stop: func() {}}
	l.table["ai/p-0"] = a
	a.issuer.Assign(lease.Assignment{}, sameAssignment)
	says := func(run lease.Run, asOf time.Duration) {
		_, err := a.issuer.Report(now, lease.Report{Epoch: 9, Run: run, Generation: 1, AsOf: asOf, Bound: 5000, Draw: 5000, Rated: 8000})
		g.Expect(err).NotTo(HaveOccurred())
		a.issuer.Confirm(now.Add(time.Second))
	}
	plan := func(shared bool) []power.LeasePlan {
		return []power.LeasePlan{{Agent: "ai/p-0", Watts: 5000, TTL: time.Minute, Shared: shared}}
	}

	says(1, time.Minute)
	l.view(now)
	says(1, 2*time.Minute)
	l.grant(now, plan(true))
	g.Expect(out.leases).To(Equal(1))
	g.Expect(out.lease.AsOf).To(Equal(time.Minute))
	g.Expect(out.lease.Shared).To(BeTrue())

	now = now.Add(time.Minute)
	l.view(now)
	says(2, time.Second)
	l.grant(now, plan(false))
	g.Expect(out.leases).To(Equal(1), "another run is none that was decided on")
	l.view(now)
	l.grant(now, plan(false))
	g.Expect(out.leases).To(Equal(2))
	g.Expect(out.lease.Shared).To(BeFalse())
}

// TestShedsRenewNothing: what lowers a lease lasts no longer than that does, by the agent's clock, and never past the
// next fall of a limit.
// Rule: L1.
func TestShedsRenewNothing(t *testing.T) {
	const last, ttl = 5000, time.Minute
	report := func(after time.Duration, seq uint64, has lease.Watts) lease.Report {
		return lease.Report{Epoch: 9, Run: 1, Generation: 1, AsOf: time.Hour + after, Seq: seq, LeaseWatts: has, Bound: 5000, Draw: 5000, Rated: 8000}
	}
	other := report(time.Second, 0, 0)
	other.Run = 2
	for name, c := range map[string]struct {
		report lease.Report
		watts  power.Watts
		ttl    time.Duration
		want   time.Duration // 0 is none
	}{
		"what is left":             {report(50*time.Second, 1, last), 4000, 2 * time.Minute, 10 * time.Second},
		"a limit falls before":     {report(50*time.Second, 1, last), 4000, 3 * time.Second, 3 * time.Second},
		"nothing is left":          {report(ttl, 1, 0), 4000, ttl, 0},
		"no shed":                  {report(50*time.Second, 1, last), last, ttl, 0},
		"a raise":                  {report(50*time.Second, 1, last), last + 1, ttl, 0},
		"what has yet to be taken": {report(50*time.Second, 1, last+1), last, ttl, 10 * time.Second},
		"a run that has no lease":  {other, 4000, ttl, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			now := time.Unix(1_900_000_000, 0)
			l := newLinks(9, nil, func() time.Time { return now }, func() {}, func(uint64) {}, logr.Discard())
			out := &leased{}
			a := &agentLink{peer: peer{key: "ai/p-0"}, issuer: lease.NewIssuer(9), orders: out, stop: func() {}}
			l.table["ai/p-0"] = a
			a.issuer.Assign(lease.Assignment{}, sameAssignment)
			says := func(r lease.Report) {
				_, err := a.issuer.Report(now, r)
				g.Expect(err).NotTo(HaveOccurred())
				a.issuer.Confirm(now.Add(time.Second))
				l.view(now)
			}
			says(report(0, 0, 0))
			l.grant(now, []power.LeasePlan{{Agent: "ai/p-0", Watts: last, TTL: ttl}})
			g.Expect(out.leases).To(Equal(1))
			now = now.Add(30 * time.Second) // whatever the messages took
			says(c.report)
			got := l.sheds([]power.LeasePlan{{Agent: "gone"}, {Agent: "ai/p-0", Watts: c.watts, TTL: c.ttl}})
			if c.want == 0 {
				g.Expect(got).To(BeEmpty())
				return
			}
			g.Expect(got).To(ConsistOf(power.LeasePlan{Agent: "ai/p-0", Watts: c.watts, TTL: c.want}))
		})
	}
}
