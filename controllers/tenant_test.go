package controllers

import (
	"context"
	"math"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// What a tenant can write that the API server takes, and that must not move anybody else's watts. What it refuses
// is tested with the policies (internal/gate).
var _ = Describe("A tenant", func() {
	const theirs = types.UID("00000000-0000-4000-8000-00000000c0de")
	var (
		s     *site
		thief string
	)
	owner := powerv1.WorkloadOwner{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "train", UID: theirs}
	owned := func(pod *corev1.Pod) {
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Controller: new(true),
		}}
	}
	byOwner := func(w *powerv1.GPUWorkload) {
		w.Spec.Selector, w.Spec.Owner, w.Finalizers = nil, &owner, []string{powerv1.LedgerFinalizer}
	}
	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		thief = "a-" + s.ns // before the other by name, which decides between two of one second
		Expect(s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: thief}})).To(Succeed())
		s.createBudget(ctx, "root", func(b *powerv1.PowerBudget) { b.Spec.NodeSelector = map[string]string{"hall": "one"} })
		s.createNode(ctx, "n", "8", map[string]string{"hall": "one"})
	})

	It("takes no pods of another namespace by the UID of their owner", func(ctx context.Context) {
		stealing := s.createWorkload(ctx, "stealing", func(w *powerv1.GPUWorkload) {
			byOwner(w)
			w.Namespace, w.Spec.MinPods = thief, 4096 // none of what it takes would ever start
		})
		mine := s.createWorkload(ctx, "mine", byOwner)
		pod := s.createPod(ctx, "train-0", "1", owned)
		s.run(ctx, 3)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
		Expect(s.reserved(ctx, mine).Status).To(Equal(metav1.ConditionTrue))
		s.get(ctx, stealing)
		Expect(*stealing.Status.Pods.Gated).To(BeZero())
	})

	It("gets no rank of another namespace's workload by naming its owner", func(ctx context.Context) {
		mine := s.createWorkload(ctx, "mine", func(w *powerv1.GPUWorkload) { byOwner(w); w.Spec.Priority = new(int32(100)) })
		pod := s.createPod(ctx, "train-0", "1", func(p *corev1.Pod) { owned(p); p.Namespace = thief })
		s.run(ctx, 3)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeTrue(), "nothing claims watts for it")
		s.get(ctx, mine)
		Expect(*mine.Status.Pods.Running + *mine.Status.Pods.Admitted + *mine.Status.Pods.Gated).To(BeZero())
	})

	It("frees no watts of running pods by taking the finalizer off and the GPUWorkload away", func(ctx context.Context) {
		gone := s.createWorkload(ctx, "gone", func(w *powerv1.GPUWorkload) { w.Finalizers = []string{powerv1.LedgerFinalizer} })
		s.createPod(ctx, "p", "8", nil)
		s.run(ctx, 3)
		Expect(s.reserved(ctx, gone).Status).To(Equal(metav1.ConditionTrue))
		held := gone.Status.ReservedWatts.Value()
		_, err := setFinalizer(ctx, s.Client, gone, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Delete(ctx, gone)).To(Succeed())
		s.run(ctx, 3)
		facts, err := s.snapshot(ctx)
		Expect(err).NotTo(HaveOccurred())
		counted := int64(0)
		for i := range facts.site.Strays {
			counted += int64(facts.site.Strays[i].Watts)
		}
		for i := range facts.site.Workloads {
			for _, p := range facts.site.Workloads[i].Pods {
				counted += int64(p.Watts)
			}
		}
		Expect(counted).To(BeNumerically(">=", held))
	})

	It("can't claim more watts than can be counted", func(ctx context.Context) {
		w := s.createWorkload(ctx, "huge", func(w *powerv1.GPUWorkload) {
			w.Finalizers, w.Spec.WattsPerAccelerator = []string{powerv1.LedgerFinalizer}, watts("1T")
		})
		s.createPod(ctx, "overflowing", "9223372", nil)
		s.createPod(ctx, "negative", "9223373", nil)
		s.createPod(ctx, "most", "9223372036854775807", nil)
		fair := s.createWorkload(ctx, "fair", func(w *powerv1.GPUWorkload) {
			w.Finalizers, w.Spec.Selector = []string{powerv1.LedgerFinalizer}, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "fair"}}
		})
		s.createPod(ctx, "fair", "1", func(p *corev1.Pod) { p.Labels["app"] = "fair" })
		s.run(ctx, 3)
		Expect(s.reserved(ctx, w).Status).To(Equal(metav1.ConditionFalse))
		Expect(w.Status.RequestedWatts.Cmp(resource.MustParse("3T"))).To(BeZero(), w.Status.RequestedWatts.String())
		Expect(s.reserved(ctx, fair).Status).To(Equal(metav1.ConditionTrue), "others go on")
	})
})

var _ = Describe("Watts that a claim declares for each accelerator", func() {
	DescribeTable("stop where the API's watts do", func(gpus int64, each string, want int64) {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Limits: corev1.ResourceList{"nvidia.com/gpu": *resource.NewQuantity(gpus, resource.DecimalSI)},
		}}}}}
		got := claim(gate.Builtin(), &powerv1.GPUWorkloadSpec{WattsPerAccelerator: watts(each)}, true, pod)
		Expect(int64(got)).To(Equal(want))
	},
		Entry("eight", int64(8), "1.3k", int64(10400)),
		Entry("none", int64(0), "1T", int64(0)),
		Entry("past what 64 bits hold", int64(18446745), "1T", int64(1e12)),
		Entry("the most of both", int64(math.MaxInt64), "1T", int64(1e12)),
	)
})
