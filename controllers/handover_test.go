package controllers

import (
	"context"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// Rules: L9 across leaders.
var _ = Describe("A takeover while addresses are handed over", func() {
	var (
		s      *site
		p      *powerv1.MinerPool
		set    appsv1.StatefulSet
		agents [2]*fakeAgent
	)

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		p = s.createPool(ctx, "pool", "root", "20k", func(p *powerv1.MinerPool) { p.Spec.DevicesPerAgent = 8 })
		agents[0] = s.createAgent(ctx, "pool", 10_000)
		set = appsv1.StatefulSet{}
		Expect(s.Get(ctx, client.ObjectKeyFromObject(p), &set)).To(Succeed())
		agents[1] = s.addAgent(ctx, &set, 1, 10_000)
		s.run(ctx, 4)
	})

	minded := func(n int) []string { return textsOf(joined(spansOf(agents[n].holder.Assignment().Ranges))) }
	edit := func(ctx context.Context, per int32) {
		GinkgoHelper()
		s.get(ctx, p)
		p.Spec.DevicesPerAgent = per
		Expect(s.Update(ctx, p)).To(Succeed())
	}
	another := func() { // leads from the next pass on, above what was
		s.met.Store(s.epoch)
		s.links.close()
		s.links = nil
	}
	// comes makes the pod of a slot, bound to no node yet.
	comes := func(ctx context.Context, n int) *corev1.Pod {
		GinkgoHelper()
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "pool-" + strconv.Itoa(n), Labels: poolLabels(p)},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:test"}}},
		}
		Expect(controllerutil.SetControllerReference(&set, pod, s.Scheme())).To(Succeed())
		Expect(s.Create(ctx, pod)).To(Succeed())
		return pod
	}

	It("takes nothing from an agent for one whose pod no node has yet", func(ctx context.Context) {
		edit(ctx, 4)
		s.run(ctx, 4)
		pod := comes(ctx, 2)
		comes(ctx, 3)
		s.run(ctx, 4)
		Expect(minded(1)).To(Equal([]string{"10.0.0.4-10.0.0.15"}))
		for range 2 {
			another()
			s.run(ctx, 4)
			Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.3"}))
			Expect(minded(1)).To(Equal([]string{"10.0.0.4-10.0.0.15"}), "nobody else can mind any of it")
		}
		// Once it is bound, this leader knows that it has told it nothing.
		Expect(s.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}})).To(Succeed())
		s.run(ctx, 4)
		Expect(minded(1)).To(Equal([]string{"10.0.0.4-10.0.0.15"}))
	})

	// The next leader can't know who of two minds the address where it reaches one of them only: the other may.
	It("leaves an address to nobody until the agent is heard that is to mind it", func(ctx context.Context) {
		agents[0].mute = true
		s.now = s.now.Add(silent)
		edit(ctx, 12)
		s.run(ctx, 4)
		Expect(minded(1)).To(Equal([]string{"10.0.0.8-10.0.0.15"}), "it keeps what the other is not there for")
		another()
		s.run(ctx, 20)
		Expect(minded(1)).To(Equal([]string{"10.0.0.12-10.0.0.15"}))
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.7"}), "and the other knows nothing of it")
		agents[0].mute = false
		s.run(ctx, 4)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.11"}))
	})

	It("takes a few passes where both are heard", func(ctx context.Context) {
		edit(ctx, 12)
		s.pass(ctx) // written down, and told to nobody
		another()
		s.run(ctx, 4)
		Expect(minded(0)).To(Equal([]string{"10.0.0.0-10.0.0.11"}))
		Expect(minded(1)).To(Equal([]string{"10.0.0.12-10.0.0.15"}))
	})
})
