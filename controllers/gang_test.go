package controllers

import (
	"context"
	"errors"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// Rules: liveness c and i.
var _ = Describe("A gang that lost a pod after it had its watts", func() {
	var (
		s    *site
		w    *powerv1.GPUWorkload
		pods []*corev1.Pod
	)

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		w = s.createWorkload(ctx, "gang", func(w *powerv1.GPUWorkload) {
			w.Spec.MinPods, w.Spec.WattsPerPod, w.Spec.ReleaseDelaySeconds = 3, watts("12k"), new(int32(0))
		})
		pods = nil
		for n := range 3 {
			s.createNode(ctx, fmt.Sprintf("n%d", n), "8", nil)
			pods = append(pods, s.createPod(ctx, fmt.Sprintf("gang-%d", n), "8", nil))
		}
	})

	lose := func(ctx context.Context, pod *corev1.Pod) {
		GinkgoHelper()
		s.get(ctx, pod)
		Expect(s.Delete(ctx, pod)).To(Succeed())
		s.gone.deleted(pod, true) // as the watch tells
	}

	It("says what it holds, how many are there, and that none starts", func(ctx context.Context) {
		s.shut = errors.New("refused by a policy")
		_, err := s.Reconcile(ctx, siteRequest) // takes it into the ledger
		Expect(err).NotTo(HaveOccurred())
		_, err = s.Reconcile(ctx, siteRequest)
		Expect(err).To(MatchError(s.shut))
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonReserved))
		s.shut = nil
		lose(ctx, pods[0])
		s.run(ctx, 3)
		c := s.reserved(ctx, w)
		Expect(c.Status).To(Equal(metav1.ConditionFalse))
		Expect(c.Reason).To(Equal(powerv1.ReasonWaitingForPods))
		Expect(c.Message).To(HavePrefix("2 pods wait: 2 of the gang's minPods 3 exist; the 24 kW of those are held until it is whole"))
		s.writes = nil
		s.run(ctx, 3)
		Expect(s.writes).To(BeEmpty(), "it is said once")
		s.createPod(ctx, "gang-3", "8", nil)
		s.run(ctx, 3)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonReserved))
	})

	It("says so where the rest runs on", func(ctx context.Context) {
		s.run(ctx, 3)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonReserved))
		s.end(ctx, pods[0])
		s.run(ctx, 3)
		c := s.reserved(ctx, w)
		Expect(c.Status).To(Equal(metav1.ConditionTrue), "those that run have their watts")
		Expect(c.Reason).To(Equal(powerv1.ReasonGangIncomplete))
		Expect(s.events.has("Normal GangIncomplete Reserve: 2 of the gang's")).To(BeTrue())
		Expect(c.Message).To(Equal("2 of the gang's minPods 3 are there; it goes on, and 36 kW are held for it while any of it runs"))
		s.end(ctx, pods[1])
		s.end(ctx, pods[2])
		s.run(ctx, 3)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonNoPods))
	})
})
