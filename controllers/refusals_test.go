package controllers

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// requires sets a pod's required node affinity to one term.
func requires(p *corev1.Pod, term corev1.NodeSelectorTerm) {
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}},
	}}
}

// onNode is the term that the DaemonSet controller writes.
func onNode(name string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{
		Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{name},
	}}}
}

func labelled(key string, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
		Key: key, Operator: corev1.NodeSelectorOpIn, Values: values,
	}}}
}

var _ = Describe("Required affinity and taints", func() {
	var s *site

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		for _, hall := range []string{"one", "two"} {
			s.createBudget(ctx, hall, func(b *powerv1.PowerBudget) {
				b.Spec.Parent, b.Spec.NodeSelector = "root", map[string]string{"hall": hall}
			})
			s.createNode(ctx, "node-"+hall, "8", map[string]string{"hall": hall, "gpu": "model-" + hall})
		}
	})

	taint := func(ctx context.Context, node string) {
		GinkgoHelper()
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
		s.get(ctx, n)
		n.Spec.Taints = []corev1.Taint{{Key: "team", Value: "a", Effect: corev1.TaintEffectNoSchedule}}
		Expect(s.Update(ctx, n)).To(Succeed())
	}

	DescribeTable("send a pod to the budget where it can run",
		func(ctx context.Context, edit func(*corev1.Pod), tainted string) {
			if tainted != "" {
				taint(ctx, tainted)
			}
			w := s.createWorkload(ctx, "train", nil)
			pod := s.createPod(ctx, "train-0", "8", edit)
			s.run(ctx, 2)
			s.get(ctx, pod)
			Expect(gate.Gated(pod)).To(BeFalse())
			Expect(pod.Spec.NodeSelector).To(HaveKeyWithValue("hall", "two"))
			Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonReserved))
		},
		Entry("by a label", func(p *corev1.Pod) { requires(p, labelled("gpu", "model-two", "model-three")) }, ""),
		Entry("by the node's name", func(p *corev1.Pod) { requires(p, onNode("node-two")) }, ""),
		Entry("by a taint", func(*corev1.Pod) {}, "node-one"),
		Entry("by a taint that it tolerates", func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpExists}}
			requires(p, onNode("node-two"))
		}, "node-two"),
	)

	It("keep a pod at the gate that no node takes, and say so", func(ctx context.Context) {
		taint(ctx, "node-two")
		w := s.createWorkload(ctx, "train", nil)
		pod := s.createPod(ctx, "train-0", "8", func(p *corev1.Pod) { requires(p, labelled("gpu", "model-two")) })
		s.run(ctx, 2)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeTrue())
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonSelectorClash))
		Expect(w.Status.Reservations).To(BeEmpty())
	})

	It("survive in the cached pod until it is bound", func() {
		pod := func() *corev1.Pod {
			p := &corev1.Pod{}
			requires(p, onNode("b"))
			p.Spec.Affinity.PodAffinity = &corev1.PodAffinity{}
			p.Spec.Tolerations = []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpExists}}
			return p
		}
		nodes := []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}
		nodes[1].Spec.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectNoExecute}}
		waits := pod()
		_, err := stripPod(waits)
		Expect(err).NotTo(HaveOccurred())
		Expect(refusedBy(waits, nodes)).To(Equal(power.NodeSet{1}))
		Expect(waits.Spec.Affinity.PodAffinity).To(BeNil(), "memory")
		bound := pod()
		bound.Spec.NodeName = "b"
		_, err = stripPod(bound)
		Expect(err).NotTo(HaveOccurred())
		Expect(bound.Spec.Tolerations).To(BeEmpty(), "memory")
	})

	It("are not the taints of a closed node", func() {
		nodes := []corev1.Node{{}}
		nodes[0].Spec.Taints = []corev1.Taint{
			{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule},
			{Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule},
		}
		Expect(refusedBy(&corev1.Pod{}, nodes)).To(BeNil())
		nodes[0].Spec.Taints[1].Effect = corev1.TaintEffectNoSchedule
		Expect(refusedBy(&corev1.Pod{}, nodes)).To(Equal(power.NodeSet{1}))
	})

	It("are those of any term", func() {
		var nodes []corev1.Node
		for _, name := range []string{"a", "b", "c"} {
			nodes = append(nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"gpu": name}}})
		}
		refused := func(terms ...corev1.NodeSelectorTerm) power.NodeSet {
			p := &corev1.Pod{}
			requires(p, terms[0])
			p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms = terms
			return refusedBy(p, nodes)
		}
		both := onNode("b")
		both.MatchExpressions = labelled("gpu", "a").MatchExpressions
		Expect(refused(onNode("b"), onNode("c"))).To(Equal(power.NodeSet{0b001}))
		Expect(refused(onNode("b"), labelled("gpu", "c"))).To(Equal(power.NodeSet{0b001}))
		Expect(refused(both)).To(Equal(power.NodeSet{0b111}), "of one term, all has to match")
		Expect(refused(corev1.NodeSelectorTerm{})).To(Equal(power.NodeSet{0b111}), "an empty term matches nothing")
	})

	It("are one answer only for pods with the same", func() {
		pods := []*corev1.Pod{{}, {}, {}, {}}
		requires(pods[1], onNode("b"))
		requires(pods[2], onNode("c"))
		pods[3].Spec.Tolerations = []corev1.Toleration{{Key: "team"}}
		keys := map[string]bool{}
		for _, p := range pods {
			keys[schedulingKey(p)] = true
		}
		Expect(keys).To(HaveLen(len(pods)))
	})
})
