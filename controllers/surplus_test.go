package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// Rules: L9, liveness i.
var _ = Describe("An edit that leaves a pool fewer agents", func() {
	var (
		s      *site
		p      *powerv1.MinerPool
		set    appsv1.StatefulSet
		agents [2]*fakeAgent
	)

	// replicas reconciles the pool and answers how many agents its StatefulSet has.
	replicas := func(ctx context.Context) int32 {
		GinkgoHelper()
		s.get(ctx, p)
		_, err := s.pools.Reconcile(ctx, p)
		Expect(err).NotTo(HaveOccurred())
		s.get(ctx, &set)
		s.get(ctx, p)
		return *set.Spec.Replicas
	}
	ready := func() (reason, message string) {
		c := conditionOf(p.Status.Conditions, powerv1.ConditionReady)
		return c.Reason, c.Message
	}
	edit := func(ctx context.Context, per int32, addresses ...string) {
		GinkgoHelper()
		s.get(ctx, p)
		p.Spec.DevicesPerAgent = per
		if len(addresses) > 0 {
			p.Spec.Devices.Addresses = addresses
		}
		Expect(s.Update(ctx, p)).To(Succeed())
	}
	minded := func(n int) []string { return agents[n].holder.Assignment().Ranges }
	// cutOff has an agent say nothing for so long that it counts as not heard.
	cutOff := func(ctx context.Context, n int) {
		agents[n].mute = true
		s.run(ctx, int(silent.Seconds())+1)
	}

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		p = s.createPool(ctx, "pool", "root", "20k", func(p *powerv1.MinerPool) { p.Spec.DevicesPerAgent = 8 })
		agents[0] = s.createAgent(ctx, "pool", 10_000)
		set = appsv1.StatefulSet{}
		Expect(s.Get(ctx, client.ObjectKeyFromObject(p), &set)).To(Succeed())
		agents[1] = s.addAgent(ctx, &set, 1, 10_000)
		s.run(ctx, 4)
		Expect(replicas(ctx)).To(BeEquivalentTo(2))
	})

	It("takes no pod before its addresses are handed over", func(ctx context.Context) {
		edit(ctx, 16)
		Expect(replicas(ctx)).To(BeEquivalentTo(2), "no agent has heard of it")
		for len(minded(1)) > 0 {
			Expect(replicas(ctx)).To(BeEquivalentTo(2), "agent 1 minds %v", minded(1))
			s.run(ctx, 1)
		}
		s.run(ctx, 2)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.15"}))
		Expect(replicas(ctx)).To(BeEquivalentTo(1))
		s.now = s.now.Add(calm)
		Expect(replicas(ctx)).To(BeEquivalentTo(1))
		reason, _ := ready()
		Expect(reason).To(Equal(powerv1.ReasonReady))
		s.writes = nil
		Expect(replicas(ctx)).To(BeEquivalentTo(1))
		Expect(s.writes).To(BeEmpty())
	})

	It("takes none for as long as the next agent is not heard, and says for whom it waits", func(ctx context.Context) {
		cutOff(ctx, 0)
		edit(ctx, 16)
		for range 3 {
			s.run(ctx, 20)
			Expect(replicas(ctx)).To(BeEquivalentTo(2))
		}
		Expect(minded(1)).To(Equal([]string{"10.0.0.8-10.0.0.15"}))
		reason, message := ready()
		Expect(reason).To(Equal(powerv1.ReasonAddressesWait))
		Expect(message).To(And(
			ContainSubstring("leaves agents "+s.ns+"/pool-1 no addresses"), ContainSubstring("agents "+s.ns+"/pool-0, which are to mind them, do not report")))
		s.writes = nil
		s.run(ctx, 3)
		Expect(replicas(ctx)).To(BeEquivalentTo(2))
		Expect(s.writes).To(BeEmpty(), "it is said once")
		agents[0].mute = false
		s.run(ctx, 6)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.15"}))
		Expect(replicas(ctx)).To(BeEquivalentTo(1))
		reason, _ = ready()
		Expect(reason).To(Equal(powerv1.ReasonReady))
	})

	It("takes one at once that is not heard, where the next is", func(ctx context.Context) {
		cutOff(ctx, 1)
		edit(ctx, 16)
		s.run(ctx, 3)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}))
		Expect(replicas(ctx)).To(BeEquivalentTo(1), "once it has ended the other gets its addresses")
	})

	It("takes none that is not heard where nobody else is", func(ctx context.Context) {
		cutOff(ctx, 1)
		cutOff(ctx, 0)
		edit(ctx, 16)
		s.run(ctx, 3)
		Expect(replicas(ctx)).To(BeEquivalentTo(2), "its lease ends by itself, and it sheds")
	})

	It("takes one once it has let go what left the pool", func(ctx context.Context) {
		edit(ctx, 8, "10.0.0.0-10.0.0.7")
		cutOff(ctx, 0)
		Expect(minded(1)).To(BeEmpty())
		Expect(replicas(ctx)).To(BeEquivalentTo(1))
	})

	It("takes none before a new leader has heard who minds what", func(ctx context.Context) {
		edit(ctx, 16)
		s.met.Store(s.epoch)
		s.links.close()
		s.links = nil
		s.board.pools = map[client.ObjectKey]poolFacts{} // another process
		Expect(replicas(ctx)).To(BeEquivalentTo(2))
		agents[0].mute, agents[1].mute = true, true
		s.run(ctx, 3)
		Expect(replicas(ctx)).To(BeEquivalentTo(2))
		agents[0].mute = false
		s.run(ctx, 3)
		Expect(replicas(ctx)).To(BeEquivalentTo(2), "the other is on its way")
		agents[1].mute = false
		s.run(ctx, 6)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.15"}))
		Expect(replicas(ctx)).To(BeEquivalentTo(1))
	})
})

// Rules: L4, liveness a.
var _ = Describe("The grace of unfound watts", func() {
	It("waits for the agents of the newest split, whoever else is heard", func() {
		began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		heard := func(slotless bool) agentView {
			return agentView{peer: peer{slotless: slotless}, agent: power.Agent{Pool: "p"}, since: began, known: true}
		}
		s := &snapshot{agents: []agentView{heard(false), heard(true)}}
		Expect(s.grace("p", 2, began, time.Minute)).To(Equal(began.Add(time.Minute)), "one of the two is not heard")
		s.agents = append(s.agents, heard(false))
		Expect(s.grace("p", 2, began, time.Minute)).To(Equal(began.Add(discovery)))
	})
})
