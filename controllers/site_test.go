package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

var _ = Describe("The site", func() {
	var s *site

	BeforeEach(func(ctx context.Context) { s = newSite(ctx) })

	It("opens a gate only after the watts were reported free, and takes them back afterwards", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createPool(ctx, "pool", "root", "100k", nil)
		s.createNode(ctx, "n1", "8", nil)
		agent := s.createAgent(ctx, "pool", 99_000)
		s.run(ctx, 12)
		Expect(agent.draw).To(BeNumerically(">", 90_000), "mining fills the site")

		pod := s.createPod(ctx, "train-0", "8", nil)
		w := s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) {
			w.Spec.ReleaseDelaySeconds = new(int32(0))
			w.Spec.WattsPerPod = watts("30k")
		})
		s.pass(ctx) // takes the workload into the ledger
		s.pass(ctx)
		s.wire.settle(false) // the agent says yes, and its devices draw on
		s.pass(ctx)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeTrue(), "an acknowledgement frees nothing")
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonWaitingForMiners))

		s.run(ctx, 3)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
		Expect(pod.Annotations).To(HaveKeyWithValue(powerv1.AdmittedAnnotation, "30000"))
		Expect(s.reserved(ctx, w).Status).To(Equal(metav1.ConditionTrue))
		Expect(w.Status.Reservations).To(HaveLen(1))
		Expect(agent.draw).To(BeNumerically("<=", 70_000))
		Expect(s.events.has("PowerAdmitted")).To(BeTrue())

		s.end(ctx, pod)
		s.run(ctx, 12)
		s.get(ctx, w)
		Expect(w.Status.Reservations).To(BeEmpty())
		Expect(agent.draw).To(BeNumerically(">", 90_000), "mining is back")
	})

	It("makes no write when nothing changes", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createPool(ctx, "pool", "root", "100k", nil)
		s.createNode(ctx, "n1", "8", nil)
		s.createAgent(ctx, "pool", 60_000)
		s.createWorkload(ctx, "train", nil)
		s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 15)
		s.writes = nil
		s.run(ctx, 5)
		Expect(s.writes).To(BeEmpty())
	})

	It("starts a gang whole or not at all", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createNode(ctx, "n1", "8", nil)
		s.createNode(ctx, "n2", "8", nil)
		w := s.createWorkload(ctx, "gang", func(w *powerv1.GPUWorkload) { w.Spec.MinPods = 2 })
		first := s.createPod(ctx, "gang-0", "8", nil)
		s.run(ctx, 3)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonWaitingForPods))
		second := s.createPod(ctx, "gang-1", "8", nil)
		s.run(ctx, 2)
		for _, pod := range []*corev1.Pod{first, second} {
			s.get(ctx, pod)
			Expect(gate.Gated(pod)).To(BeFalse())
		}
	})

	It("says why a pod can't have its watts", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createBudget(ctx, "hall", func(b *powerv1.PowerBudget) {
			b.Spec.Parent, b.Spec.LimitWatts = "root", *watts("20k")
			b.Spec.NodeSelector = map[string]string{"hall": "one"}
		})
		s.createNode(ctx, "n1", "8", map[string]string{"hall": "one"})
		w := s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.WattsPerPod = watts("25k") })
		s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 2)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonNoRoom))
		Expect(s.reserved(ctx, w).Message).To(And(ContainSubstring("25 kW"), ContainSubstring("hall"), ContainSubstring("20 kW")))
	})

	It("spends no watts on a pod that can't be scheduled", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createBudget(ctx, "hall", func(b *powerv1.PowerBudget) {
			b.Spec.Parent, b.Spec.NodeSelector = "root", map[string]string{"hall": "one"}
		})
		s.createNode(ctx, "n1", "4", map[string]string{"hall": "one"})
		w := s.createWorkload(ctx, "train", nil)
		s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 2)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonNoAccelerators))

		clash := s.createPod(ctx, "clash", "1", func(p *corev1.Pod) {
			p.Labels = map[string]string{"app": "clash"}
			p.Spec.NodeSelector = map[string]string{"hall": "two"}
		})
		other := s.createWorkload(ctx, "clash", func(w *powerv1.GPUWorkload) {
			w.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "clash"}}
		})
		s.run(ctx, 2)
		s.get(ctx, clash)
		Expect(gate.Gated(clash)).To(BeTrue())
		Expect(s.reserved(ctx, other).Reason).To(Equal(powerv1.ReasonSelectorClash))
	})

	It("counts a pod that went round the gate at no less than the table, whatever a hall elsewhere trusts", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createBudget(ctx, "one", func(b *powerv1.PowerBudget) {
			b.Spec.Parent, b.Spec.NodeSelector, b.Spec.DeclaredWatts = "root", map[string]string{"hall": "one"}, powerv1.DeclaredTrusted
		})
		s.createBudget(ctx, "two", func(b *powerv1.PowerBudget) {
			b.Spec.Parent, b.Spec.NodeSelector = "root", map[string]string{"hall": "two"}
		})
		s.createNode(ctx, "n1", "8", map[string]string{"hall": "one"})
		s.createNode(ctx, "n2", "8", map[string]string{"hall": "two"})
		s.createWorkload(ctx, "trusts", func(w *powerv1.GPUWorkload) { w.Spec.Budget, w.Spec.WattsPerPod = "one", watts("100") })
		pod := s.createPod(ctx, "stray", "8", func(p *corev1.Pod) {
			p.Labels = map[string]string{powerv1.WorkloadLabel: "trusts"}
			p.Spec.SchedulingGates, p.Spec.NodeName = nil, "n2"
		})
		s.run(ctx, 2)
		seen, err := s.snapshot(ctx)
		Expect(err).NotTo(HaveOccurred())
		table, _ := gate.Builtin().WattsFor(&pod.Spec)
		Expect(seen.site.Strays).To(ConsistOf(HaveField("Watts", power.Watts(table))))
	})

	It("keeps an ended pod's watts for its release delay, and no longer", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createNode(ctx, "n1", "8", nil)
		w := s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.ReleaseDelaySeconds = new(int32(60)) })
		pod := s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 2)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
		pod.Status.Phase = corev1.PodSucceeded
		Expect(s.Status().Update(ctx, pod)).To(Succeed())
		s.run(ctx, 58)
		s.get(ctx, w)
		Expect(w.Status.Reservations).To(HaveLen(1))
		s.run(ctx, 5)
		s.get(ctx, w)
		Expect(w.Status.Reservations).To(BeEmpty())
	})

	It("counts a deleted workload's pods until they have ended", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createNode(ctx, "n1", "8", nil)
		w := s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.ReleaseDelaySeconds = new(int32(0)) })
		pod := s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 3)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
		Expect(s.Delete(ctx, w)).To(Succeed())
		s.run(ctx, 2)
		s.get(ctx, w)
		Expect(w.Status.ReservedWatts.Value()).To(BeEquivalentTo(10_200))
		s.end(ctx, pod)
		s.run(ctx, 3)
		err := s.Get(ctx, client.ObjectKeyFromObject(w), w)
		Expect(client.IgnoreNotFound(err)).To(Succeed())
		Expect(err).To(HaveOccurred(), "the finalizer went with the last watt")
	})

	It("lowers the limit for a curtailment before it starts", func(ctx context.Context) {
		s.createBudget(ctx, "root", nil)
		s.createPool(ctx, "pool", "root", "99k", nil)
		agent := s.createAgent(ctx, "pool", 99_000)
		s.run(ctx, 12)
		start := metav1.NewTime(s.now.Add(20 * time.Second))
		Expect(s.Create(ctx, &powerv1.CurtailmentEvent{
			ObjectMeta: metav1.ObjectMeta{Name: "cut"},
			Spec: powerv1.CurtailmentEventSpec{
				Budget: "root", LimitWatts: watts("40k"), Start: start, End: metav1.NewTime(start.Add(10 * time.Second)),
			},
		})).To(Succeed())
		for s.now.Before(start.Time) {
			s.run(ctx, 1)
		}
		Expect(agent.draw).To(BeNumerically("<=", 40_000))
		s.run(ctx, 25)
		Expect(agent.draw).To(BeNumerically(">", 90_000))
	})
})

// end reports a pod's containers terminated, as its kubelet would.
func (s *site) end(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	s.get(ctx, pod)
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}},
	}}
	Expect(s.Status().Update(ctx, pod)).To(Succeed())
}
