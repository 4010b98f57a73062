package controllers

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// Rules: L4, L9.
var _ = Describe("A MinerPool that is being deleted", func() {
	var (
		s   *site
		p   *powerv1.MinerPool
		pod *corev1.Pod
	)

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		p = s.createPool(ctx, "pool", "root", "20k", nil)
		s.createAgent(ctx, "pool", 10_000)
		pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "pool-0"}}
		s.get(ctx, pod)
		_, err := setFinalizer(ctx, s.Client, pod, true)
		Expect(err).NotTo(HaveOccurred())
		s.run(ctx, 4)
		Expect(s.Delete(ctx, p)).To(Succeed())
		s.run(ctx, 1)
	})

	key := func() client.ObjectKey { return client.ObjectKeyFromObject(p) }
	// asleep has its agents say that every machine sleeps.
	asleep := func() {
		f := s.board.pools[key()]
		f.counts = lease.Counts{Total: 10, Sleeping: 10}
		s.board.pools[key()] = f
	}
	// released reconciles once and tells whether the pool is gone.
	released := func(ctx context.Context) bool {
		GinkgoHelper()
		s.get(ctx, p)
		_, err := s.pools.Reconcile(ctx, p)
		Expect(err).NotTo(HaveOccurred())
		err = s.Get(ctx, key(), p)
		Expect(client.IgnoreNotFound(err)).To(Succeed())
		return apierrors.IsNotFound(err)
	}
	// gone is what the garbage collector and the kubelet make of a pod.
	gone := func(ctx context.Context, pod *corev1.Pod) {
		GinkgoHelper()
		s.get(ctx, pod)
		_, err := setFinalizer(ctx, s.Client, pod, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(client.IgnoreNotFound(s.Delete(ctx, pod, client.GracePeriodSeconds(0)))).To(Succeed())
	}

	It("goes with the last of its agents", func(ctx context.Context) {
		Expect(released(ctx)).To(BeFalse(), "its machines hash")
		var set appsv1.StatefulSet
		Expect(s.Get(ctx, key(), &set)).To(Succeed())
		asleep()
		Expect(released(ctx)).To(BeFalse())
		Expect(apierrors.IsNotFound(s.Get(ctx, key(), &set))).To(BeTrue())
		s.get(ctx, pod)
		Expect(pod.DeletionTimestamp).To(BeNil(), "the StatefulSet takes it with it")
		gone(ctx, pod)
		Expect(released(ctx)).To(BeTrue())
	})

	It("is not held by a pod that has its labels and nothing else", func(ctx context.Context) {
		other := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "pool-web", Labels: poolLabels(p)},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
		}
		Expect(s.Create(ctx, other)).To(Succeed())
		asleep()
		Expect(released(ctx)).To(BeFalse())
		gone(ctx, pod)
		Expect(released(ctx)).To(BeTrue())
		s.get(ctx, other)
	})

	DescribeTable("is held by an agent that it no longer owns, and deletes that once its machines sleep",
		func(ctx context.Context, edit func(*corev1.Pod)) {
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "pool"}}
			Expect(s.Delete(ctx, set, client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
			s.get(ctx, set)
			set.Finalizers = nil // no garbage collector runs here
			Expect(s.Update(ctx, set)).To(Succeed())
			s.get(ctx, pod)
			edit(pod)
			Expect(s.Update(ctx, pod)).To(Succeed())
			s.run(ctx, 1)
			Expect(released(ctx)).To(BeFalse())
			s.get(ctx, pod)
			Expect(pod.DeletionTimestamp).To(BeNil(), "its machines hash")
			asleep()
			Expect(released(ctx)).To(BeFalse())
			s.get(ctx, pod)
			Expect(pod.DeletionTimestamp).NotTo(BeNil(), "nobody else deletes it")
			gone(ctx, pod)
			Expect(released(ctx)).To(BeTrue())
		},
		Entry("since its StatefulSet left it behind", func(p *corev1.Pod) { p.OwnerReferences = nil }),
		Entry("since its labels are gone, too", func(p *corev1.Pod) { p.OwnerReferences, p.Labels = nil, nil }),
	)
})
