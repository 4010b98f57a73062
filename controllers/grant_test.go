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
