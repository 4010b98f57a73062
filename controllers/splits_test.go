package controllers

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// Rules: L9 across leaders.
var _ = Describe("How a pool's addresses are split", func() {
	var (
		s      *site
		p      *powerv1.MinerPool
		agents [2]*fakeAgent
	)

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		p = s.createPool(ctx, "pool", "root", "20k", func(p *powerv1.MinerPool) { p.Spec.DevicesPerAgent = 8 })
		agents[0] = s.createAgent(ctx, "pool", 10_000)
		var set appsv1.StatefulSet
		Expect(s.Get(ctx, client.ObjectKeyFromObject(p), &set)).To(Succeed())
		agents[1] = s.addAgent(ctx, &set, 1, 10_000)
	})

	minded := func(n int) []string { return agents[n].holder.Assignment().Ranges }
	edit := func(ctx context.Context, per int32, addresses ...string) {
		GinkgoHelper()
		s.get(ctx, p)
		p.Spec.DevicesPerAgent = per
		if len(addresses) > 0 {
			p.Spec.Devices.Addresses = addresses
		}
		Expect(s.Update(ctx, p)).To(Succeed())
	}
	another := func() { // leads from the next pass on, above what was
		s.met.Store(s.epoch)
		s.links.close()
		s.links = nil
	}
	splits := func(ctx context.Context) []powerv1.MinerPoolSplit {
		GinkgoHelper()
		s.get(ctx, p)
		return p.Status.Splits
	}

	It("is written down before any agent is told", func(ctx context.Context) {
		s.pass(ctx)
		Expect(splits(ctx)).To(HaveLen(1))
		s.wire.settle(true)
		Expect(minded(0)).To(BeEmpty(), "this pass told nobody")
		s.run(ctx, 3)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}))
		Expect(minded(1)).To(Equal([]string{"10.0.0.8-10.0.0.15"}))
		s.writes = nil
		s.run(ctx, 3)
		Expect(s.writes).To(BeEmpty(), "nothing changed")
	})

	It("gives no address of an agent that the next leader does not reach to another", func(ctx context.Context) {
		s.run(ctx, 4)
		agents[1].mute = true
		another()
		edit(ctx, 12)
		s.run(ctx, 4)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}), "the rest is the other's still")
		Expect(splits(ctx)).To(HaveLen(2))
		another()
		s.run(ctx, 4)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}), "whoever leads")
		agents[1].mute = false
		s.run(ctx, 6)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.11"}))
		Expect(minded(1)).To(Equal([]string{"10.0.0.12-10.0.0.15"}))
		Expect(splits(ctx)).To(Equal([]powerv1.MinerPoolSplit{{Addresses: []string{"10.0.0.0/28"}, DevicesPerAgent: 12}}))
	})

	DescribeTable("says of one that waits whom it waits for", func(ctx context.Context, step int32) {
		ready := func() metav1.Condition {
			GinkgoHelper()
			s.get(ctx, p)
			_, err := s.pools.Reconcile(ctx, p)
			Expect(err).NotTo(HaveOccurred())
			s.get(ctx, p)
			return conditionOf(p.Status.Conditions, powerv1.ConditionReady)
		}
		s.run(ctx, 4)
		agents[1].mute = true
		s.now = s.now.Add(silent)
		for n := range maxSplits - 1 {
			edit(ctx, 8+step*int32(n+1))
			s.run(ctx, 3)
		}
		Expect(splits(ctx)).To(HaveLen(maxSplits))
		Expect(ready().Reason).NotTo(Equal(powerv1.ReasonAddressesWait), "all of them are under way")
		edit(ctx, 8)
		s.run(ctx, 3)
		Expect(splits(ctx)).To(HaveLen(maxSplits))
		Expect(ready().Reason).To(Equal(powerv1.ReasonAddressesWait))
		Expect(ready().Message).To(And(ContainSubstring("which agents "+s.ns+"/pool-1"), Not(ContainSubstring("pool-0"))))
		s.writes = nil
		s.run(ctx, 3)
		_ = ready()
		Expect(s.writes).To(BeEmpty(), "it is said once")
		agents[1].mute = false
		s.run(ctx, 16)
		Expect(splits(ctx)).To(HaveLen(1))
		Expect(ready().Reason).To(Equal(powerv1.ReasonReady))
		Expect(minded(1)).To(Equal([]string{"10.0.0.8-10.0.0.15"}))
	}, Entry("where it has addresses that others are to mind", int32(1)), Entry("where others keep what it is to mind", int32(-1)))

	It("costs no workload anything where it can't be written", func(ctx context.Context) {
		s.createNode(ctx, "n1", "8", nil)
		s.run(ctx, 4)
		edit(ctx, 4)
		s.refused = errors.New("refused by a policy")
		pod := s.createPod(ctx, "train-0", "8", nil)
		s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.WattsPerPod = watts("30k") })
		for range 8 {
			_, err := s.Reconcile(ctx, siteRequest)
			Expect(err).To(MatchError(ContainSubstring("refused by a policy")))
			s.now = s.now.Add(time.Second)
			s.Leader.(*Leader).renewedAt.Store(s.now.UnixNano())
			s.wire.settle(true)
		}
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}), "and nobody hears of what is not written")
	})

	It("is told to nobody by a leader that was replaced meanwhile", func(ctx context.Context) {
		s.run(ctx, 4)
		l, ok := s.Leader.(*Leader)
		Expect(ok).To(BeTrue())
		Expect(l.Update(ctx, resourcelock.LeaderElectionRecord{HolderIdentity: "another", LeaseDurationSeconds: 30})).To(Succeed())
		edit(ctx, 4)
		for range 4 {
			_, err := s.Reconcile(ctx, siteRequest)
			Expect(err).To(MatchError(ContainSubstring(`held by "another"`)))
			s.now = s.now.Add(time.Second)
			l.renewedAt.Store(s.now.UnixNano())
			s.wire.settle(true)
		}
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}), "the other may have read the pool before the edit")
	})

	It("outlasts a faulty edit and a new leader", func(ctx context.Context) {
		s.run(ctx, 4)
		edit(ctx, 8, "10.0.0.9-10.0.0.1")
		another()
		s.run(ctx, 4)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}))
		Expect(minded(1)).To(Equal([]string{"10.0.0.8-10.0.0.15"}))
	})
})
