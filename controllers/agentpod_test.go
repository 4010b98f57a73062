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
	"sigs.k8s.io/controller-runtime/pkg/event"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

var _ = Describe("An agent pod that is deleted", func() {
	var (
		s    *site
		r    *AgentPodReconciler
		pod  *corev1.Pod
		beat func() (time.Time, error)
	)
	// worst is how long what a lost agent was told may go on: leader lease, leaseSeconds and the worst write; unseen
	// is the same from when its deletion was met, which a pass may miss for a while.
	const (
		worst  = LeaseDuration + 30*time.Second + worstWrite
		unseen = staleMost + 30*time.Second + worstWrite
	)

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
			kept, again := held(ctx)
			Expect(kept).To(BeTrue())
			Expect(again).To(Equal(unseen))
			s.now = s.now.Add(unseen)
			kept, again = held(ctx)
			Expect(kept).To(BeTrue())
			Expect(again).To(Equal(worst), "from the newest heartbeat on")
			r.deleted = nil
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

	// Whatever became of its owner and its labels, what it commanded with has ended.
	disowned := func(edit func(*corev1.Pod)) func(context.Context) {
		return func(ctx context.Context) {
			GinkgoHelper()
			s.get(ctx, pod)
			edit(pod)
			Expect(s.Update(ctx, pod)).To(Succeed())
			s.get(ctx, pod)
		}
	}
	var (
		orphaned  = disowned(func(p *corev1.Pod) { p.OwnerReferences = nil })
		unlabeled = disowned(func(p *corev1.Pod) { p.OwnerReferences, p.Labels = nil, nil })
		adopted   = disowned(func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "theirs", UID: "theirs", Controller: new(true)}}
		})
	)
	entries := []TableEntry{
		Entry("that lost its StatefulSet", &orphaned, true),
		Entry("that lost its labels, too", &unlabeled, false),
		Entry("that somebody else owns", &adopted, false),
	}

	DescribeTable("goes when it has ended, also one", func(ctx context.Context, become *func(context.Context), _ bool) {
		bind(ctx)
		(*become)(ctx)
		leave(ctx)
		kept, _ := held(ctx)
		Expect(kept).To(BeTrue(), "it may command still")
		pod.Status.Phase = corev1.PodSucceeded
		Expect(s.Status().Update(ctx, pod)).To(Succeed())
		kept, _ = held(ctx)
		Expect(kept).To(BeFalse())
	}, entries)

	DescribeTable("goes with its lost node, also one", func(ctx context.Context, become *func(context.Context), agent bool) {
		bind(ctx)
		(*become)(ctx)
		leave(ctx)
		lost := s.now.Add(-time.Minute)
		beat = func() (time.Time, error) { return lost, nil }
		kept, again := held(ctx)
		Expect(kept).To(BeTrue())
		Expect(again).To(Equal(unseen))
		s.now = s.now.Add(unseen)
		kept, _ = held(ctx)
		Expect(kept).To(BeFalse())
		Expect(apierrors.IsNotFound(s.Get(ctx, client.ObjectKeyFromObject(pod), pod))).To(Equal(agent), "what is no agent is not ours to delete")
	}, entries)

	It("is seen whatever its labels", func(ctx context.Context) {
		unlabeled(ctx)
		Expect(leaving(pod)).To(BeFalse(), "it is not deleted")
		leave(ctx)
		Expect(leaving(pod)).To(BeTrue())
		pod.Finalizers = []string{"their.own/one"}
		Expect(leaving(pod)).To(BeFalse())
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
		s.now = pod.DeletionTimestamp.Time
		held(ctx)
		s.now = s.now.Add(unseen - time.Second)
		kept, again := held(ctx)
		Expect(kept).To(BeTrue(), "it could be leased watts until its deletion was met, and for as long as that may go unread")
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
		Expect(again).To(Equal(unseen))
		s.now = s.now.Add(unseen)
		kept, _ = held(ctx)
		Expect(kept).To(BeFalse())
	})

	DescribeTable("waits by the lease that it may have, though", func(ctx context.Context, edit func(context.Context, *powerv1.PowerBudget)) {
		var b powerv1.PowerBudget
		b.Name = "root"
		s.get(ctx, &b)
		b.Spec.LeaseSeconds = 600
		Expect(s.Update(ctx, &b)).To(Succeed())
		bind(ctx)
		lost := s.now
		beat = func() (time.Time, error) { return lost, nil }
		edit(ctx, &b)
		edited := s.now
		leave(ctx)
		_, again := held(ctx)
		Expect(again).To(Equal(staleMost + 600*time.Second + worstWrite))
		over := edited.Add(LeaseDuration + 600*time.Second + worstWrite)
		s.now = over.Add(-time.Second)
		kept, _ := held(ctx)
		Expect(kept).To(BeTrue())
		s.now = over
		kept, _ = held(ctx)
		Expect(kept).To(BeFalse(), "the last of the long ones has run out")
	},
		Entry("its budget grants shorter ones by now", func(ctx context.Context, b *powerv1.PowerBudget) {
			GinkgoHelper()
			before := b.DeepCopy()
			b.Spec.LeaseSeconds = 15
			Expect(s.Update(ctx, b)).To(Succeed())
			r.budgetHandler().Update(ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: b}, nil)
			r.budgetHandler().Update(ctx, event.UpdateEvent{ObjectOld: b, ObjectNew: b}, nil)
		}),
		Entry("its pool has another budget, or none", func(ctx context.Context, b *powerv1.PowerBudget) {
			GinkgoHelper()
			r.budgetHandler().Delete(ctx, event.DeleteEvent{Object: b.DeepCopy()}, nil)
			b.Spec.LeaseSeconds = 15
			Expect(s.Update(ctx, b)).To(Succeed())
		}),
	)

	It("forgets what was granted once that has run out", func() {
		b := &powerv1.PowerBudget{}
		b.Spec.LeaseSeconds = 600
		r.edited(b)
		s.now = s.now.Add(LeaseDuration + 600*time.Second + worstWrite)
		b.Spec.LeaseSeconds = 60
		r.edited(b)
		Expect(r.granted).To(HaveLen(1))
		Expect(r.granted[0].lease).To(Equal(time.Minute))
	})

	It("counts with every lease that was granted until lately, and not with the longest alone", func(ctx context.Context) {
		var b powerv1.PowerBudget
		b.Name = "root"
		s.get(ctx, &b)
		grant := func(seconds int32) {
			GinkgoHelper()
			before := b.DeepCopy()
			b.Spec.LeaseSeconds = seconds
			Expect(s.Update(ctx, &b)).To(Succeed())
			r.budgetHandler().Update(ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: &b}, nil)
		}
		grant(600)
		grant(300)
		s.now = s.now.Add(LeaseDuration + 600*time.Second + worstWrite - time.Second)
		Expect(r.longestLease(ctx)).To(Equal(600 * time.Second))
		grant(15)
		s.now = s.now.Add(time.Second)
		Expect(r.longestLease(ctx)).To(Equal(300 * time.Second))
		s.now = s.now.Add(LeaseDuration + 300*time.Second + worstWrite - time.Second)
		Expect(r.longestLease(ctx)).To(Equal(15 * time.Second))
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
