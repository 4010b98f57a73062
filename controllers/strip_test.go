package controllers

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

var _ = Describe("A cached object", func() {
	amounts := corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8"), "cpu": resource.MustParse("64"), "memory": resource.MustParse("1Ti")}
	meta := metav1.ObjectMeta{
		Name: "o", UID: "u", ResourceVersion: "7", Finalizers: []string{powerv1.LedgerFinalizer},
		Labels:          map[string]string{"hall": "one", componentLabel: agentComponent},
		Annotations:     map[string]string{powerv1.AdmittedAnnotation: "10200", "long": "text"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "pool", Controller: new(true)}},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "m"}},
	}

	It("of a pod is what the ledger reads of it, and nothing else", func() {
		status := func(s corev1.ContainerState) corev1.ContainerStatus {
			return corev1.ContainerStatus{Name: "c", Image: "x", State: s}
		}
		pod := &corev1.Pod{
			ObjectMeta: meta,
			Spec: corev1.PodSpec{
				NodeName: "n1", Volumes: []corev1.Volume{{Name: "v"}},
				Containers: []corev1.Container{{Name: "c", Image: "x", Env: []corev1.EnvVar{{Name: "E"}}, Resources: corev1.ResourceRequirements{Limits: amounts, Requests: amounts}}},
			},
			Status: corev1.PodStatus{
				Phase: corev1.PodFailed, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady}},
				ContainerStatuses: []corev1.ContainerStatus{status(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "long"}})},
			},
		}
		whole := pod.DeepCopy()
		_, err := stripPod(pod)
		Expect(err).NotTo(HaveOccurred())
		Expect(ended(pod)).To(BeTrue())
		Expect(asked(gate.Builtin(), pod)).To(Equal(asked(gate.Builtin(), whole)))
		Expect(pod.Spec.Containers[0].Resources.Limits).To(HaveLen(1), "memory")
		Expect(pod.Spec.Containers[0].Resources.Requests).To(BeNil(), "memory")
		Expect(pod.Spec.Volumes).To(BeNil(), "memory")
		Expect(pod.Status.Conditions).To(BeNil(), "memory")
		Expect(pod.Annotations).To(Equal(map[string]string{powerv1.AdmittedAnnotation: "10200"}))
		Expect(pod.ManagedFields).To(BeNil())
		whole.Annotations, whole.ManagedFields = pod.Annotations, nil
		Expect(pod.ObjectMeta).To(Equal(whole.ObjectMeta))

		pod.Status.ContainerStatuses = []corev1.ContainerStatus{status(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})}
		_, err = stripPod(pod)
		Expect(err).NotTo(HaveOccurred())
		Expect(ended(pod)).To(BeFalse())
	})

	It("of a node is what tells which pods may run there", func() {
		node := &corev1.Node{ObjectMeta: meta, Spec: corev1.NodeSpec{Unschedulable: true, PodCIDR: "10.0.0.0/24"}}
		node.Spec.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectNoExecute}}
		node.Status = corev1.NodeStatus{
			Allocatable: amounts, Capacity: amounts, Images: []corev1.ContainerImage{{Names: []string{"x"}}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeDiskPressure}, {Type: corev1.NodeReady, Status: corev1.ConditionTrue, Message: "long"}},
		}
		entered := func() []power.Node {
			return nodesOf(gate.Builtin(), []power.Budget{{Name: "root", Feeds: true}}, []corev1.Node{*node}, nil)
		}
		whole, before := node.DeepCopy(), entered()
		_, err := stripNode(node)
		Expect(err).NotTo(HaveOccurred())
		Expect(entered()).To(Equal(before))
		Expect(refusedBy(&corev1.Pod{}, []corev1.Node{*node})).To(Equal(power.NodeSet{1}))
		Expect(node.Status.Images).To(BeNil(), "memory")
		Expect(node.Annotations).To(BeNil(), "memory")

		beat := whole.DeepCopy()
		beat.ResourceVersion = "8"
		beat.Status.Conditions[1].LastHeartbeatTime = metav1.Now()
		_, err = stripNode(beat)
		Expect(err).NotTo(HaveOccurred())
		Expect(differs.Update(event.UpdateEvent{ObjectOld: node, ObjectNew: beat})).To(BeFalse(), "a heartbeat alone asks for no pass")
		beat.Status.Conditions[0].Status = corev1.ConditionFalse
		Expect(differs.Update(event.UpdateEvent{ObjectOld: node, ObjectNew: beat})).To(BeTrue())
	})

	It("of an owner of pods is who owns it", func() {
		owner := &metav1.PartialObjectMetadata{ObjectMeta: *meta.DeepCopy()}
		_, err := stripOwner(owner)
		Expect(err).NotTo(HaveOccurred())
		Expect(owner.OwnerReferences).To(HaveLen(1))
		Expect(owner.Annotations).To(BeNil(), "memory")
		Expect(owner.Labels).To(BeNil(), "memory")
	})
})
