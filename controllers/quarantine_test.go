package controllers

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
)

var _ = Describe("An agent that can't be trusted", func() {
	var (
		s           *site
		good, bad   *fakeAgent
		pool, other *powerv1.MinerPool
	)

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", func(b *powerv1.PowerBudget) { b.Spec.LimitWatts = *watts("200k") })
		pool = s.createPool(ctx, "pool", "root", "50k", nil)
		other = s.createPool(ctx, "other", "root", "50k", func(p *powerv1.MinerPool) { p.Spec.Devices.Addresses = []string{"10.1.0.0/28"} })
		bad, good = s.createAgent(ctx, "pool", 50_000), s.createAgent(ctx, "other", 50_000)
		s.run(ctx, 12)
		Expect(good.draw).To(BeNumerically(">", 45_000))
	})

	reachable := func(ctx context.Context, p *powerv1.MinerPool) metav1.Condition {
		GinkgoHelper()
		s.now = s.now.Add(2 * time.Second)
		s.get(ctx, p)
		_, err := s.pools.Reconcile(ctx, p)
		Expect(err).NotTo(HaveOccurred())
		s.get(ctx, p)
		return conditionOf(p.Status.Conditions, powerv1.ConditionReachable)
	}

	It("is quarantined for nonsense, by name, and nobody else is", func(ctx context.Context) {
		now := s.age()
		r := lease.Report{Draw: -5, Rated: 50_000}
		bad.holder.Stamp(now, &r)
		bad.report(r)
		s.pass(ctx)
		got := reachable(ctx, pool)
		Expect(got.Reason).To(Equal(powerv1.ReasonAgentsQuarantined))
		Expect(got.Message).To(And(ContainSubstring(s.ns+"/pool-0"), ContainSubstring("draw is -5 W")))
		Expect(s.events.has(powerv1.ReasonAgentsQuarantined)).To(BeTrue())
		Expect(reachable(ctx, other).Reason).To(Equal(powerv1.ReasonReachable))
		_, watts, _ := s.Hold(s.ns + "/pool-0")
		Expect(watts).To(BeEquivalentTo(50_000))
		good.leases = nil
		s.run(ctx, 10)
		Expect(good.draw).To(BeNumerically(">", 45_000))
	})

	It("is quarantined for what the wire refuses, and named for what it is not", func(ctx context.Context) {
		bad.down(fmt.Errorf("stream to the agent: %w: report.draw_watts: -5 is not between 0 and 1", link.ErrBounds))
		s.pass(ctx)
		Expect(reachable(ctx, pool).Reason).To(Equal(powerv1.ReasonAgentsQuarantined))

		good.report, good.leases = nil, nil
		good.down(fmt.Errorf("stream to the agent: %w: want a, got b", link.ErrOtherPod))
		s.now = s.now.Add(silent)
		s.Leader.(*Leader).renewedAt.Store(s.now.UnixNano())
		s.pass(ctx)
		got := reachable(ctx, other)
		Expect(got.Reason).To(Equal(powerv1.ReasonAgentsRefused))
		Expect(got.Message).To(And(ContainSubstring(s.ns+"/other-0"), ContainSubstring("another pod answers")))
	})
})
