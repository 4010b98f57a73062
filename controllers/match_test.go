package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

var _ = Describe("A pod's workload", func() {
	It("is the oldest whose selector matches, however it asks", func() {
		dice := rand.New(rand.NewPCG(1, 1))
		some := func() map[string]string {
			out := map[string]string{}
			for range dice.IntN(3) {
				out[fmt.Sprint("k", dice.IntN(3))] = fmt.Sprint("v", dice.IntN(2))
			}
			return out
		}
		for range 300 {
			s := &snapshot{lists: &lists{claims: make([]powerv1.GPUWorkload, 1+dice.IntN(6))}}
			s.workloads = make([]workloadFacts, len(s.claims))
			for i := range s.claims {
				w := &s.claims[i]
				w.Namespace, w.Name = fmt.Sprint("ns", dice.IntN(2)), fmt.Sprint("w", i)
				w.CreationTimestamp = metav1.NewTime(time.Unix(dice.Int64N(4), 0))
				w.Spec.Selector = &metav1.LabelSelector{MatchLabels: some()}
				if dice.IntN(3) == 0 {
					w.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "k0", Operator: metav1.LabelSelectorOpExists}}
				}
			}
			m := newMatcher(s)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns0", Labels: some()}}
			var want *workloadFacts
			matching := 0
			for i := range s.workloads {
				w := &s.workloads[i]
				if w.object.Namespace == pod.Namespace && w.selector.Matches(labels.Set(pod.Labels)) {
					matching++
					if want == nil || w.rank < want.rank {
						want = w
					}
				}
			}
			Expect(m.selected(pod)).To(BeIdenticalTo(want))
			stalled := 0
			for i := range s.workloads {
				if s.workloads[i].stalled != nil {
					stalled++
				}
			}
			Expect(stalled).To(Equal(max(0, matching-1)), "the younger ones")
		}
	})
})

var _ = Describe("A pass", func() {
	It("waits for what it wrote itself, and not for what others of the process wrote", func(ctx context.Context) {
		s := newSite(ctx)
		waits := map[string]bool{}
		inner, ok := s.Client.(client.WithWatch)
		Expect(ok).To(BeTrue())
		s.Client = interceptor.NewClient(inner, interceptor.Funcs{
			List: func(_ context.Context, _ client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
				o := (&client.ListOptions{}).ApplyOptions(opts)
				waits[fmt.Sprintf("%T", l)] = !o.DisableReadYourWritesConsistency
				return nil
			},
		})
		_, err := s.readAll(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(waits).To(Equal(map[string]bool{
			"*v1.PodList": true, "*v1alpha1.GPUWorkloadList": true,
			"*v1.NodeList": false, "*v1.StatefulSetList": false, "*v1alpha1.PowerBudgetList": false,
			"*v1alpha1.MinerPoolList": false, "*v1alpha1.CurtailmentEventList": false,
		}))
	})
})
