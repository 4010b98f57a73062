package controllers

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

var _ = Describe("What was read too long ago", func() {
	var (
		s      *site
		agents [2]*fakeAgent
	)

	// hang makes passes that can read nothing.
	hang := func(ctx context.Context, passes int) {
		GinkgoHelper()
		for range passes {
			_, err := s.Reconcile(ctx, siteRequest)
			Expect(err).To(MatchError(s.hung))
			s.now = s.now.Add(time.Second)
			s.Leader.(*Leader).renewedAt.Store(s.now.UnixNano())
			s.wire.settle(true)
		}
	}
	has := func(n int) lease.Allowance { return agents[n].holder.Allowance(s.age()) }

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", func(b *powerv1.PowerBudget) { b.Spec.LimitWatts = *watts("80k") })
		p := s.createPool(ctx, "pool", "root", "100k", func(p *powerv1.MinerPool) { p.Spec.DevicesPerAgent = 8 })
		agents[0] = s.createAgent(ctx, "pool", 50_000)
		var set appsv1.StatefulSet
		Expect(s.Get(ctx, client.ObjectKeyFromObject(p), &set)).To(Succeed())
		agents[1] = s.addAgent(ctx, &set, 1, 50_000)
		s.run(ctx, 20)
		Expect(agents[0].draw + agents[1].draw).To(BeNumerically("~", 80_000, 1000))
		s.hung = errors.New("hangs")
		hang(ctx, int(staleMost/time.Second)+5)
	})

	It("renews no lease and sheds all the same", func(ctx context.Context) {
		before := [2]lease.Allowance{has(0), has(1)}
		hang(ctx, 10)
		Expect(has(0)).To(Equal(before[0]))
		Expect(has(1)).To(Equal(before[1]))

		agents[1].rated = 40_000 // some of its machines are not what they were, so what they draw is unfound
		hang(ctx, 10)
		Expect(has(0).Watts).To(BeNumerically("<=", before[0].Watts-10_000))
		Expect(has(0).ShedWithin).NotTo(BeZero())
		Expect(has(0).Until).To(And(BeNumerically("<=", before[0].Until), BeNumerically(">", before[0].Until-time.Second)), "it ends when the lease did that it replaces")
		Expect(has(1).Until).To(Equal(before[1].Until))

		shed := has(0)
		agents[1].rated = 50_000
		hang(ctx, 10)
		Expect(has(0)).To(Equal(shed), "nothing is given back")
		hang(ctx, int((max(before[0].Until, before[1].Until)-s.age())/time.Second)+2)
		Expect(has(0).Mode).To(Equal(lease.Floor))
		Expect(has(1).Mode).To(Equal(lease.Floor))
	})
})

var _ = Describe("An agent that was restarted while nothing can be read", func() {
	It("gets no lease by what was read too long ago, and is left alone", func(ctx context.Context) {
		s := newSite(ctx)
		s.createBudget(ctx, "root", func(b *powerv1.PowerBudget) { b.Spec.LimitWatts = *watts("100k") })
		s.createPool(ctx, "pool", "root", "50k", nil)
		a := s.createAgent(ctx, "pool", 50_000)
		s.run(ctx, 20)
		Expect(a.draw).To(BeEquivalentTo(50_000))

		a.holder = lease.NewHolder(9)
		s.began = s.now.Add(runsFor)
		s.wire.say(a, s.age())
		s.pass(ctx) // met and confirmed
		s.pass(ctx)
		a.leases = nil
		s.now = s.now.Add(time.Second)
		s.wire.settle(false) // it has looked for its machines
		s.hung = errors.New("hangs")
		_, err := s.Reconcile(ctx, siteRequest)
		Expect(err).To(MatchError(s.hung))
		s.wire.settle(true)
		Expect(a.leases).To(BeEmpty())
		Expect(a.draw).To(BeEquivalentTo(50_000))
		s.hung = nil
		s.pass(ctx)
		Expect(a.leases).NotTo(BeEmpty())
	})
})
