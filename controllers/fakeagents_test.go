package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// fakeAgents are agents that obey at once when told to, and settle when the test says so.
type fakeAgents struct {
	site   *site
	agents map[string]*fakeAgent
}

type fakeAgent struct {
	holder *lease.Holder
	report func(lease.Report) // nil until a stream is open
	down   func(error)
	draw   lease.Watts // what its devices draw, which the test settles
	rated  lease.Watts
	hellos []lease.Hello
	leases []lease.Lease
	mute   bool // cut off
}

func (a *fakeAgent) PutHello(m lease.Hello) { a.hellos = append(a.hellos, m) }
func (a *fakeAgent) PutLease(m lease.Lease) { a.leases = append(a.leases, m) }

// Open answers the agent itself as its outbox: what is put there waits until the test settles.
func (f *fakeAgents) Open(_ context.Context, p peer, report func(lease.Report), down func(error)) outbox {
	a := f.agents[p.key]
	if a == nil {
		a = &fakeAgent{holder: lease.NewHolder(1)}
		f.agents[p.key] = a
	}
	a.report, a.down = report, down
	return a
}

// settle delivers what was ordered, lets the devices follow, and reports.
func (f *fakeAgents) settle(follow bool) {
	now := f.site.age()
	for _, a := range f.agents {
		if a.report == nil || a.mute {
			continue
		}
		f.say(a, now)
		a.deliver(now)
		if allowance := a.holder.Allowance(now); follow && allowance.Mode == lease.Leased {
			a.draw = min(allowance.Watts, a.rated)
		}
		f.say(a, now)
		a.deliver(now)
		f.say(a, now)
	}
}

func (f *fakeAgents) say(a *fakeAgent, now time.Duration) {
	r := lease.Report{
		Bound: max(a.draw, a.rated/100), Draw: a.draw, Floor: a.rated / 100, Rated: a.rated, Settle: 6 * time.Second,
		Curve:  []lease.Point{{Watts: a.rated / 100}, {Watts: a.rated, THs: 1000}},
		Counts: lease.Counts{Total: 10, Hashing: 10},
	}
	a.holder.Stamp(now, &r)
	if r.LeaseWatts > r.Bound {
		r.Bound = min(r.LeaseWatts, a.rated)
	}
	a.report(r)
}

func (a *fakeAgent) deliver(now time.Duration) {
	GinkgoHelper()
	for _, m := range a.hellos {
		Expect(a.holder.Hello(now, m)).To(Succeed())
	}
	for _, m := range a.leases {
		Expect(a.holder.Lease(now, m)).To(Succeed())
	}
	a.hellos, a.leases = nil, nil
}
