package controllers

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

var _ = Describe("A shortfall", func() {
	var (
		s   *site
		pod *corev1.Pod
	)

	// started is a pod of 30 kW that runs on its node, and its GPUWorkload.
	started := func(ctx context.Context, edit func(*powerv1.GPUWorkload)) {
		GinkgoHelper()
		s.createNode(ctx, "n1", "8", nil)
		s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) {
			w.Spec.WattsPerPod, w.Spec.Interruptible = watts("30k"), powerv1.InterruptibleWhenShort
			if edit != nil {
				edit(w)
			}
		})
		pod = s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 2)
		Expect(s.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}})).To(Succeed())
		s.get(ctx, pod)
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		Expect(s.Status().Update(ctx, pod)).To(Succeed())
		s.run(ctx, 2)
		s.get(ctx, pod)
		Expect(pod.DeletionTimestamp).To(BeNil())
	}
	falls := func(ctx context.Context) {
		GinkgoHelper()
		b := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: "root"}}
		s.get(ctx, b)
		b.Spec.LimitWatts = *watts("20k")
		Expect(s.Update(ctx, b)).To(Succeed())
		s.run(ctx, 3)
	}
	evicts := func(b *powerv1.PowerBudget) { b.Spec.OnShortfall = powerv1.ShortfallEvictInterruptible }
	// leaves tells whether the pod was told to go; it takes its time, as it has a node.
	leaves := func(ctx context.Context) bool {
		GinkgoHelper()
		err := s.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		if apierrors.IsNotFound(err) {
			return true
		}
		Expect(err).NotTo(HaveOccurred())
		return pod.DeletionTimestamp != nil
	}

	BeforeEach(func(ctx context.Context) { s = newSite(ctx) })

	It("evicts an interruptible pod, once, and counts it until it has ended", func(ctx context.Context) {
		s.createBudget(ctx, "root", evicts)
		started(ctx, nil)
		falls(ctx)
		Expect(leaves(ctx)).To(BeTrue())
		evictions := 0
		for _, line := range s.events.lines {
			if strings.HasPrefix(line, "Warning PowerEvicted") {
				evictions++
			}
		}
		Expect(evictions).To(Equal(1))
		w := &powerv1.GPUWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "train"}}
		s.get(ctx, w)
		Expect(w.Status.ReservedWatts.Value()).To(BeEquivalentTo(30_000))
	})

	DescribeTable("leaves a pod alone",
		func(ctx context.Context, budget func(*powerv1.PowerBudget), edit func(*powerv1.GPUWorkload)) {
			s.createBudget(ctx, "root", budget)
			started(ctx, edit)
			falls(ctx)
			Expect(leaves(ctx)).To(BeFalse())
		},
		Entry("that must not be interrupted", evicts, func(w *powerv1.GPUWorkload) { w.Spec.Interruptible = powerv1.InterruptibleNever }),
		Entry("where the budget protects", nil, nil),
	)

	It("leaves what a PodDisruptionBudget protects, until it lets it go", func(ctx context.Context) {
		s.createBudget(ctx, "root", evicts)
		started(ctx, nil)
		keep := &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "keep"},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ai"}},
			},
		}
		Expect(s.Create(ctx, keep)).To(Succeed())
		allow := func(n int32) {
			s.get(ctx, keep)
			keep.Status.ObservedGeneration, keep.Status.DisruptionsAllowed = keep.Generation, n
			keep.Status.CurrentHealthy, keep.Status.DesiredHealthy, keep.Status.ExpectedPods = 1, 1-n, 1
			Expect(s.Status().Update(ctx, keep)).To(Succeed())
		}
		allow(0)
		falls(ctx)
		Expect(leaves(ctx)).To(BeFalse())
		Expect(s.events.has("Evict")).To(BeFalse(), "nothing is told that did not happen")
		allow(1)
		s.run(ctx, 1)
		Expect(leaves(ctx)).To(BeTrue())
	})
})
