package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

var _ = Describe("Bad input", func() {
	var s *site

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
	})

	reconcilePool := func(ctx context.Context, p *powerv1.MinerPool) metav1.Condition {
		GinkgoHelper()
		s.now = s.now.Add(settleIn) // objects arrive in any order
		for range 3 {
			s.get(ctx, p)
			_, err := s.pools.Reconcile(ctx, p)
			Expect(err).NotTo(HaveOccurred())
			s.now = s.now.Add(2 * time.Second)
		}
		s.get(ctx, p)
		return conditionOf(p.Status.Conditions, powerv1.ConditionStalled)
	}

	DescribeTable("of a pool stalls it with the field and the mend",
		func(ctx context.Context, edit func(*powerv1.MinerPool), reason, says string) {
			other := s.createPool(ctx, "fine", "root", "10k", nil)
			p := s.createPool(ctx, "pool", "root", "10k", func(p *powerv1.MinerPool) {
				p.Spec.Devices.Addresses = []string{"10.1.0.0/28"}
				edit(p)
			})
			got := reconcilePool(ctx, p)
			Expect(got.Status).To(Equal(metav1.ConditionTrue))
			Expect(got.Reason).To(Equal(reason))
			Expect(got.Message).To(ContainSubstring(says))
			Expect(s.events.has("Warning " + reason)).To(BeTrue())
			s.writes = nil
			Expect(reconcilePool(ctx, p).LastTransitionTime).To(Equal(got.LastTransitionTime))
			Expect(s.writes).To(BeEmpty(), "nothing changed")
			Expect(reconcilePool(ctx, other).Status).To(Equal(metav1.ConditionUnknown), "the rest keeps working")
			Expect(s.Get(ctx, client.ObjectKeyFromObject(other), &appsv1.StatefulSet{})).To(Succeed())
		},
		Entry("no such budget", func(p *powerv1.MinerPool) { p.Spec.Budget = "attic" }, powerv1.ReasonBudgetNotFound, `spec.budget "attic" does not exist`),
		Entry("reversed range", func(p *powerv1.MinerPool) { p.Spec.Devices.Addresses = []string{"10.2.0.9-10.2.0.1"} }, powerv1.ReasonRangeReversed, "write 10.2.0.1-10.2.0.9"),
		Entry("range too large", func(p *powerv1.MinerPool) { p.Spec.Devices.Addresses = []string{"10.0.0.0-10.1.0.0"} }, powerv1.ReasonRangeTooLarge, "65536"),
		Entry("ranges too large together", func(p *powerv1.MinerPool) { p.Spec.Devices.Addresses = []string{"10.2.0.0/16", "10.3.0.1"} }, powerv1.ReasonRangeTooLarge, "10.3.0.1"),
		Entry("overlap of its own", func(p *powerv1.MinerPool) {
			p.Spec.Devices.Addresses = []string{"10.2.0.1-10.2.0.9", "10.2.0.9-10.2.0.20"}
		}, powerv1.ReasonAddressesOverlap, "overlap; remove one"),
		Entry("overlap with an older pool", func(p *powerv1.MinerPool) { p.Spec.Devices.Addresses = []string{"10.0.0.4"} }, powerv1.ReasonAddressesOverlap, "/fine, which is older"),
		Entry("no such Secret", func(p *powerv1.MinerPool) { p.Spec.Devices.CredentialsSecret = "nowhere" }, powerv1.ReasonCredentialsMissing, `Secret "nowhere" does not exist`),
	)

	DescribeTable("in a credentials Secret stalls the pool and shows no value",
		func(ctx context.Context, data map[string][]byte, says string) {
			Expect(s.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "asics"}, Data: data})).To(Succeed())
			p := s.createPool(ctx, "pool", "root", "10k", func(p *powerv1.MinerPool) { p.Spec.Devices.CredentialsSecret = "asics" })
			got := reconcilePool(ctx, p)
			Expect(got.Reason).To(Equal(powerv1.ReasonCredentialsMalformed))
			Expect(got.Message).To(ContainSubstring(says))
			Expect(got.Message).NotTo(ContainSubstring("hunter2"))
		},
		Entry("a key is missing", map[string][]byte{"username": []byte("hunter2")}, `no key "password"`),
		Entry("a key of no firmware", map[string][]byte{"username": []byte("u"), "password": []byte("hunter2"), "Bitmain.password": []byte("hunter2")}, `"Bitmain.password"`),
		Entry("NUL", map[string][]byte{"username": []byte("u"), "password": []byte("hunter2\x00")}, `key "password" of Secret "asics" is not one line of text`),
		Entry("two lines", map[string][]byte{"username": []byte("hunter2\nb"), "password": []byte("p")}, `key "username" of Secret "asics" is not one line of text`),
		Entry("no text", map[string][]byte{"username": []byte("u"), "password": []byte("hunter2\xff")}, `key "password" of Secret "asics" is not one line of text`),
		Entry("empty", map[string][]byte{"username": []byte("hunter2"), "password": {}}, `key "password" of Secret "asics" is empty`),
		Entry("empty, of one firmware", map[string][]byte{
			"username": []byte("hunter2"), "password": []byte("hunter2\n"), "LuxOS.password": []byte("\n"),
		}, `key "LuxOS.password" of Secret "asics" is empty`),
		Entry("empty, of another", map[string][]byte{
			"username": []byte("u"), "password": []byte("hunter2"), "VNish.password": []byte("\n"),
		}, `key "VNish.password" of Secret "asics" is empty`),
		Entry("nothing at all", map[string][]byte{}, `no key "username"`),
		Entry("a key of no firmware alone", map[string][]byte{"Bitmain.password": []byte("hunter2")}, `"Bitmain.password"`),
	)

	It("is no Secret that lets in to one firmware and leaves the others their factory's login", func(ctx context.Context) {
		Expect(s.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "asics"}, Data: map[string][]byte{"ProtoRig.password": []byte("hunter2")},
		})).To(Succeed())
		p := s.createPool(ctx, "pool", "root", "10k", func(p *powerv1.MinerPool) { p.Spec.Devices.CredentialsSecret = "asics" })
		Expect(reconcilePool(ctx, p).Status).To(Equal(metav1.ConditionUnknown))
	})

	It("says that ratedWatts is below what the devices report", func(ctx context.Context) {
		p := s.createPool(ctx, "pool", "root", "10k", nil)
		s.createAgent(ctx, "pool", 12_000)
		s.run(ctx, 3)
		Expect(reconcilePool(ctx, p).Reason).To(Equal(powerv1.ReasonRatedTooSmall))
		Expect(conditionOf(p.Status.Conditions, powerv1.ConditionStalled).Message).To(ContainSubstring("12 kW"))
	})

	reconcileBudget := func(ctx context.Context, name string) metav1.Condition {
		GinkgoHelper()
		b := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: name}}
		s.get(ctx, b)
		_, err := s.budget.Reconcile(ctx, b)
		Expect(err).NotTo(HaveOccurred())
		s.now = s.now.Add(2 * time.Second)
		s.get(ctx, b)
		return conditionOf(b.Status.Conditions, powerv1.ConditionStalled)
	}

	It("of a budget's parent halts it, and nothing is admitted there", func(ctx context.Context) {
		orphan := func(name, parent string) {
			s.createBudget(ctx, name, func(b *powerv1.PowerBudget) {
				b.Spec.Parent, b.Spec.NodeSelector = parent, map[string]string{"hall": name}
			})
		}
		orphan("lost", "nowhere")
		orphan("chicken", "egg")
		orphan("egg", "chicken")
		Expect(reconcileBudget(ctx, "lost").Status).To(Equal(metav1.ConditionUnknown), "objects arrive in any order")
		s.now = s.now.Add(settleIn)
		Expect(reconcileBudget(ctx, "lost").Reason).To(Equal(powerv1.ReasonParentNotFound))
		Expect(reconcileBudget(ctx, "chicken").Reason).To(Equal(powerv1.ReasonParentCycle))
		Expect(reconcileBudget(ctx, "root").Status).To(Equal(metav1.ConditionUnknown))

		s.createNode(ctx, "n1", "8", map[string]string{"hall": "egg"})
		w := s.createWorkload(ctx, "train", nil)
		s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 3)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonStalled))
		Expect(s.reserved(ctx, w).Message).To(ContainSubstring("cycle"))
	})

	It("of a limit above the parent's is told, and the parent's binds", func(ctx context.Context) {
		child := func(name, parent, limit string) {
			s.createBudget(ctx, name, func(b *powerv1.PowerBudget) {
				b.Spec.Parent, b.Spec.NodeSelector = parent, map[string]string{"hall": name}
				b.Spec.LimitWatts = *watts(limit)
			})
		}
		child("hall", "root", "2G")
		child("row", "hall", "1500M")
		child("small", "root", "1k")
		ready := func(name string) metav1.Condition {
			Expect(reconcileBudget(ctx, name).Status).To(Equal(metav1.ConditionUnknown), "it is not stalled")
			b := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: name}}
			s.get(ctx, b)
			return conditionOf(b.Status.Conditions, powerv1.ConditionReady)
		}
		Expect(ready("hall").Message).To(MatchRegexp(`spec.limitWatts 2G is above the \S+ of budget root over it, which binds`))
		Expect(ready("row").Message).To(ContainSubstring("of budget root over it"))
		Expect(ready("small").Message).To(Equal("the limit is kept"))
		Expect(ready("hall").Status).To(Equal(metav1.ConditionTrue))
	})

	It("of two claims on one pod stalls the younger", func(ctx context.Context) {
		s.createNode(ctx, "n1", "8", nil)
		s.createPod(ctx, "train-0", "8", nil)
		older := s.createWorkload(ctx, "a", nil)
		younger := s.createWorkload(ctx, "b", nil)
		s.run(ctx, 3)
		s.get(ctx, older)
		s.get(ctx, younger)
		Expect(conditionOf(older.Status.Conditions, powerv1.ConditionStalled).Status).To(Equal(metav1.ConditionUnknown))
		Expect(conditionOf(younger.Status.Conditions, powerv1.ConditionStalled).Reason).To(Equal(powerv1.ReasonSelectorOverlap))
	})
})
