package controllers

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// What stands in the API when an operator is upgraded was written by an earlier one: without what has been added to
// status since (graces of reservations, splits of pools), and, after a step back, with more than is known.
var _ = Describe("An upgraded operator", func() {
	It("takes up reservations and leases as an earlier one left them", func(ctx context.Context) {
		s := newSite(ctx)
		s.createBudget(ctx, "root", func(b *powerv1.PowerBudget) { b.Spec.NodeSelector = map[string]string{"hall": "one"} })
		s.createNode(ctx, "n", "16", map[string]string{"hall": "one"})
		s.createPool(ctx, "pool", "root", "3600", nil)
		agent := s.createAgent(ctx, "pool", 3600)
		Expect(agent.holder.Hello(s.age(), lease.Hello{Epoch: 1, Run: 7, Generation: 1, Assignment: lease.Assignment{Firmware: "Auto"}})).To(Succeed())
		Expect(agent.holder.Lease(s.age(), lease.Lease{
			Epoch: 1, Run: 7, Seq: 1, Watts: 3600, TTL: 2 * time.Minute, AsOf: s.age(), ShedWithin: time.Second,
		})).To(Succeed())

		w := s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Finalizers = []string{powerv1.LedgerFinalizer} })
		runs := s.createPod(ctx, "runs", "8", func(p *corev1.Pod) {
			p.Spec.SchedulingGates, p.Annotations = nil, map[string]string{powerv1.AdmittedAnnotation: "12345"}
			p.Spec.NodeName = "n"
		})
		named := s.createPod(ctx, "named", "8", nil)
		status := fmt.Sprintf(`{"status":{"epoch":1,"observedGeneration":1,"budget":"root","reservedWatts":"24690","notKnown":{"a":[1]},
			"reservations":[{"uid":%q,"name":"runs","watts":"12345","budget":"root"},{"uid":%q,"name":"named","watts":12345,"budget":"root","notKnown":true}]}}`,
			runs.UID, named.UID)
		Expect(s.Status().Patch(ctx, w, client.RawPatch(types.MergePatchType, []byte(status)))).To(Succeed())

		for range 4 {
			s.pass(ctx)
			s.wire.settle(true)
			s.get(ctx, w)
			held := map[types.UID]int64{}
			for i := range w.Status.Reservations {
				held[w.Status.Reservations[i].UID] = w.Status.Reservations[i].Watts.Value()
			}
			Expect(held).To(Equal(map[types.UID]int64{runs.UID: 12345, named.UID: 12345}))
			allowed := agent.holder.Allowance(s.age())
			Expect(allowed.Mode).To(Equal(lease.Leased))
			Expect(allowed.Watts).To(BeEquivalentTo(3600), "the lease of the operator before is taken over, not taken away")
		}
		Expect(w.Status.Epoch).To(BeNumerically(">", 1))
		s.get(ctx, named)
		Expect(named.Annotations[powerv1.AdmittedAnnotation]).To(Equal("12345"), "let in with the watts that were reserved")
	})
})
