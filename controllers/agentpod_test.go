package controllers

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

var _ = Describe("An agent pod that is deleted", func() {
	var (
		s    *site
		r    *AgentPodReconciler
		pod  *corev1.Pod
		beat func() (time.Time, error)
	)
	// worst is how long what a lost agent was told may go on: leader lease, leaseSeconds and the worst write.
	const worst = LeaseDuration + 30*time.Second + worstWrite

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", func(b *powerv1.PowerBudget) { b.Spec.LeaseSeconds = 30 })
		s.createPool(ctx, "pool", "root", "10k", nil)
		s.createNode(ctx, "n1", "8", nil)
		s.createAgent(ctx, "pool", 10_000)
		pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "pool-0"}}
		s.get(ctx, pod)
		_, err := setFinalizer(ctx, s.Client, pod, true)
		Expect(err).NotTo(HaveOccurred())
		s.get(ctx, pod)
		beat = func() (time.Time, error) { return s.now, nil }
		r = &AgentPodReconciler{
			Client: s.Client, Clock: func() time.Time { return s.now },
			Heartbeat: func(context.Context, string) (renewal, error) {
				at, err := beat()
				return renewal{at: at}, err
			},
		}
	})

	bind := func(ctx context.Context) {
		GinkgoHelper()
		Expect(s.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}})).To(Succeed())
	}
	leave := func(ctx context.Context) {
		GinkgoHelper()
		Expect(s.Delete(ctx, pod)).To(Succeed())
		s.get(ctx, pod)
		s.now = pod.DeletionTimestamp.Time
	}
	// held reconciles once and tells whether the finalizer is still there, and when to look again.
	held := func(ctx context.Context) (bool, time.Duration) {
		GinkgoHelper()
		s.get(ctx, pod)
		result, err := r.Reconcile(ctx, pod)
		Expect(err).NotTo(HaveOccurred())
		err = s.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		if apierrors.IsNotFound(err) {
			return false, 0
		}
		Expect(err).NotTo(HaveOccurred())
		return hasFinalizer(pod), result.RequeueAfter
	}

	It("is held while its node is alive and it has not ended", func(ctx context.Context) {
		bind(ctx)
		leave(ctx)
		for range 3 {
			s.now = s.now.Add(worst)
			kept, again := held(ctx)
			Expect(kept).To(BeTrue())
			Expect(again).To(Equal(worst), "from the newest heartbeat on")
		}
	})

	It("goes when it has ended", func(ctx context.Context) {
		bind(ctx)
		leave(ctx)
		pod.Status.Phase = corev1.PodSucceeded
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "agent", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}},
		}}
		Expect(s.Status().Update(ctx, pod)).To(Succeed())
		kept, _ := held(ctx)
		Expect(kept).To(BeFalse())
	})

	It("goes at once where it never had a node", func(ctx context.Context) {
		leave(ctx)
		kept, _ := held(ctx)
		Expect(kept).To(BeFalse())
	})

	It("goes, by force, once its lost node can't act on anything any more", func(ctx context.Context) {
		bind(ctx)
		leave(ctx)
		lost := s.now.Add(-time.Minute)
		beat = func() (time.Time, error) { return lost, nil }
		s.now = pod.DeletionTimestamp.Add(worst - time.Second)
		kept, again := held(ctx)
		Expect(kept).To(BeTrue(), "it could be leased watts until it was deleted")
		Expect(again).To(Equal(time.Second))
		s.now = s.now.Add(time.Second)
		kept, _ = held(ctx)
		Expect(kept).To(BeFalse())
		Expect(apierrors.IsNotFound(s.Get(ctx, client.ObjectKeyFromObject(pod), pod))).To(BeTrue(), "no kubelet will delete it")
	})

	It("is judged by its deletion where its node is gone from the API", func(ctx context.Context) {
		bind(ctx)
		leave(ctx)
		beat = func() (time.Time, error) {
			return time.Time{}, fmt.Errorf("reading Lease: %w", apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "n1"))
		}
		kept, again := held(ctx)
		Expect(kept).To(BeTrue())
		Expect(again).To(Equal(worst))
		s.now = s.now.Add(worst)
		kept, _ = held(ctx)
		Expect(kept).To(BeFalse())
	})

	It("is left alone before it is deleted", func(ctx context.Context) {
		bind(ctx)
		s.now = s.now.Add(time.Hour)
		s.writes = nil
		kept, _ := held(ctx)
		Expect(kept).To(BeTrue())
		Expect(s.writes).To(BeEmpty())
	})
})
