package controllers

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

var _ = Describe("A report", func() {
	var (
		s     *site
		agent *fakeAgent
		root  *powerv1.PowerBudget
		wakes int
	)

	// says lets the agent report, with a bound so far below its lease, and answers how often it asked for a pass.
	says := func(below lease.Watts) int {
		agent.draw = agent.rated/2 - below
		r := lease.Report{Bound: agent.draw, Draw: agent.draw, Floor: agent.rated / 100, Rated: agent.rated}
		r.Curve = []lease.Point{{Watts: agent.rated / 100}, {Watts: agent.rated, THs: 1000}}
		agent.holder.Stamp(s.age(), &r)
		before := wakes
		agent.report(r)
		return wakes - before
	}

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.woken = func() { wakes++ }
		root = s.createBudget(ctx, "root", nil)
		s.createPool(ctx, "pool", "root", "50k", nil)
		agent = s.createAgent(ctx, "pool", 50_000)
		s.run(ctx, 12)
	})

	It("asks for a pass when it changes what is held, and not for what flutters under the lease", func(ctx context.Context) {
		s.get(ctx, root)
		root.Spec.LimitWatts = *watts("25k")
		Expect(s.Update(ctx, root)).To(Succeed())
		s.pass(ctx)
		Expect(agent.leases).To(HaveLen(1))
		agent.deliver(s.age())
		Expect(says(-10_000)).To(Equal(1), "a lower lease is in force, and not obeyed yet")
		Expect(says(100)).To(Equal(1), "the devices follow")
		Expect(says(300)).To(Equal(0), "the same lease is held")
		Expect(says(0)).To(Equal(0), "the same lease is held")
		Expect(says(-1000)).To(Equal(1), "more than the lease")
	})

	It("asks for none when a renewal is in force", func(ctx context.Context) {
		for range 6 {
			s.pass(ctx)
		}
		Expect(agent.leases).NotTo(BeEmpty())
		agent.deliver(s.age())
		before := wakes
		s.wire.say(agent, s.age())
		Expect(wakes).To(Equal(before))
	})
})
