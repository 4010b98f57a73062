package controllers

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

var _ = Describe("The site, when something fails", func() {
	var s *site

	// wait passes time in which the leader stays the leader.
	wait := func(d time.Duration) {
		s.now = s.now.Add(d)
		s.Leader.(*Leader).renewedAt.Store(s.now.UnixNano())
	}

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		s.createNode(ctx, "n1", "8", nil)
	})

	It("tries a takeover again without taking its own stamp for a store that went back in time", func(ctx context.Context) {
		w := s.createWorkload(ctx, "train", nil)
		pod := s.createPod(ctx, "train-0", "8", nil)
		ready := s.Prepare
		s.Prepare = func(context.Context) error { return errors.New("not yet") }
		_, err := s.Reconcile(ctx, siteRequest)
		Expect(err).To(MatchError(ContainSubstring("not yet")))
		s.get(ctx, w)
		Expect(w.Status.Epoch).NotTo(BeZero(), "it was stamped before that failed")
		s.Prepare = ready
		s.run(ctx, 3)
		Expect(s.hush).To(BeZero())
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
	})

	It("admits nothing for a while where the store did go back in time", func(ctx context.Context) {
		w := s.createWorkload(ctx, "train", nil)
		pod := s.createPod(ctx, "train-0", "8", nil)
		epoch, err := s.Leader.Read(ctx)
		Expect(err).NotTo(HaveOccurred())
		w.Status.Epoch = int64(epoch) + 1000
		Expect(s.Status().Update(ctx, w)).To(Succeed())
		s.run(ctx, 3)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeTrue())
		Expect(s.reserved(ctx, w).Message).To(ContainSubstring("went back in time"))
		wait(rolledBack)
		s.run(ctx, 2)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
	})

	It("renews leases and raises none while the caches can't be read", func(ctx context.Context) {
		s.createPool(ctx, "pool", "root", "100k", nil)
		agent := s.createAgent(ctx, "pool", 99_000)
		s.run(ctx, 12)
		s.createPod(ctx, "train-0", "8", nil)
		s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.WattsPerPod = watts("60k") })
		s.run(ctx, 4)
		Expect(agent.draw).To(BeNumerically("<", 50_000))
		budget := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: "root"}}
		s.get(ctx, budget)
		budget.Spec.LimitWatts = *watts("200k")
		Expect(s.Update(ctx, budget)).To(Succeed())
		s.run(ctx, 1)
		draw := agent.draw
		Expect(draw).To(BeNumerically("<", 90_000), "it is still being raised")
		s.hung = errors.New("hangs")
		s.writes = nil
		hang := func(passes int) {
			GinkgoHelper()
			for range passes {
				_, err := s.Reconcile(ctx, siteRequest)
				Expect(err).To(MatchError(s.hung))
				s.now = s.now.Add(time.Second)
				s.Leader.(*Leader).renewedAt.Store(s.now.UnixNano())
				s.wire.settle(true)
			}
		}
		hang(20)
		Expect(agent.holder.Allowance(s.age()).Until).To(BeNumerically(">", s.age()+100*time.Second), "it was renewed")
		Expect(agent.draw).To(Equal(draw))
		hang(110)
		until := agent.holder.Allowance(s.age()).Until
		hang(30)
		Expect(agent.holder.Allowance(s.age()).Until).To(Equal(until), "what was read so long ago renews nothing")
		Expect(s.writes).To(BeEmpty())
		s.hung = nil
		s.run(ctx, 12)
		Expect(agent.draw).To(BeNumerically(">", 90_000))
	})

	It("counts nothing for a pool that was faulty from its first day", func(ctx context.Context) {
		s.createPool(ctx, "pool", "root", "100k", nil)
		agent := s.createAgent(ctx, "pool", 99_000)
		s.run(ctx, 12)
		Expect(agent.draw).To(BeNumerically(">", 90_000))
		s.createPool(ctx, "twin", "root", "90k", nil) // the same addresses
		s.createPool(ctx, "keyless", "root", "90k", func(p *powerv1.MinerPool) {
			p.Spec.Devices.Addresses, p.Spec.Devices.CredentialsSecret = []string{"10.9.0.0/28"}, "nowhere"
		})
		s.run(ctx, 2)
		keyless := &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "keyless"}}
		s.get(ctx, keyless)
		_, err := s.pools.Reconcile(ctx, keyless)
		Expect(err).NotTo(HaveOccurred())
		s.run(ctx, 6)
		Expect(agent.draw).To(BeNumerically(">", 90_000), "the rest keeps working")
		pod := s.createPod(ctx, "train-0", "8", nil)
		s.createWorkload(ctx, "train", nil)
		s.run(ctx, 8)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
	})

	It("admits nothing beside a pool that was only just made, whatever its machines draw", func(ctx context.Context) {
		s.createPool(ctx, "pool", "root", "95k", nil)
		pod := s.createPod(ctx, "train-0", "8", nil)
		w := s.createWorkload(ctx, "train", nil)
		s.run(ctx, 4) // no agent was made yet
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeTrue())
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonLedgerUnsettled))
	})

	Describe("and an admitted pod vanishes", func() {
		var (
			w     *powerv1.GPUWorkload
			beats func() (time.Time, error)
			lasts time.Duration
		)

		BeforeEach(func(ctx context.Context) {
			w = s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.ReleaseDelaySeconds = new(int32(0)) })
			pod := s.createPod(ctx, "train-0", "8", nil)
			s.run(ctx, 3)
			s.get(ctx, pod)
			Expect(gate.Gated(pod)).To(BeFalse())
			Expect(s.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}})).To(Succeed())
			s.get(ctx, pod)
			at := s.now
			lasts = 40 * time.Second
			beats = func() (time.Time, error) { return at, nil }
			s.Heartbeat = func(context.Context, string) (renewal, error) {
				at, err := beats()
				return renewal{at, lasts}, err
			}
			Expect(s.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			s.gone.deleted(pod, true)
			wait(2 * nodeQuiet)
		})

		It("holds its watts, and says why, until its node is heard again", func(ctx context.Context) {
			s.run(ctx, 3)
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(HaveLen(1))
			Expect(conditionOf(w.Status.Conditions, powerv1.ConditionReady).Message).To(And(
				ContainSubstring("pod train-0 on node n1"), ContainSubstring("delete its Node")))
			s.writes = nil
			s.run(ctx, 3)
			Expect(s.writes).To(BeEmpty())
			beats = func() (time.Time, error) { return s.now, nil }
			wait(listenEvery)
			s.run(ctx, 3)
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(HaveLen(1), "a node that is just back has yet to end what was deleted meanwhile")
			Expect(conditionOf(w.Status.Conditions, powerv1.ConditionReady).Message).To(And(
				ContainSubstring("node n1 is heard, and pod train-0 may take 30s to end there"), Not(ContainSubstring("delete"))))
			for range (nodeAway + nodeBack + 30*time.Second) / listenEvery {
				wait(listenEvery)
				s.run(ctx, 3)
			}
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(BeEmpty())
			Expect(conditionOf(w.Status.Conditions, powerv1.ConditionReady).Message).NotTo(ContainSubstring("n1"))
		})

		It("lets them go too where the kubelet is set up to renew its Lease less often", func(ctx context.Context) {
			lasts = 200 * time.Second
			began := s.now
			beats = func() (time.Time, error) { return s.now.Truncate(lasts / 4), nil }
			for s.now.Sub(began) < lasts { // nodeBack less than is waited for
				wait(listenEvery)
				s.run(ctx, 3)
			}
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(HaveLen(1), "it may have been away for as long as its Lease lasts, unnoticed")
			for range (nodeBack + lasts/4 + 2*listenEvery) / listenEvery {
				wait(listenEvery)
				s.run(ctx, 3)
			}
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(BeEmpty())
		})

		It("lets them go when the Node is deleted", func(ctx context.Context) {
			Expect(s.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})).To(Succeed())
			beats = func() (time.Time, error) {
				return time.Time{}, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "n1")
			}
			s.run(ctx, 3)
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(BeEmpty())
		})

		It("holds them for the pod's own grace, though this leader never saw the pod", func(ctx context.Context) {
			saves := s.createWorkload(ctx, "saves", func(w *powerv1.GPUWorkload) {
				w.Spec.ReleaseDelaySeconds, w.Spec.Selector.MatchLabels["app"] = new(int32(0)), "saves"
			})
			pod := s.createPod(ctx, "saves-0", "8", func(p *corev1.Pod) {
				p.Labels["app"], p.Spec.TerminationGracePeriodSeconds = "saves", new(int64(300))
			})
			s.run(ctx, 3)
			s.get(ctx, pod)
			Expect(gate.Gated(pod)).To(BeFalse())
			Expect(s.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			s.gone = newGonePods(s.Clock)
			beats = func() (time.Time, error) { return s.now, nil }
			began := s.now
			for s.now.Sub(began) < 300*time.Second {
				wait(listenEvery)
				s.run(ctx, 3)
			}
			s.get(ctx, saves)
			Expect(saves.Status.Reservations).To(HaveLen(1), "it may write its checkpoint still")
			for range (nodeAway + nodeBack + 3*listenEvery) / listenEvery {
				wait(listenEvery)
				s.run(ctx, 3)
			}
			s.get(ctx, saves)
			Expect(saves.Status.Reservations).To(BeEmpty())
		})

		It("asks every node after a takeover: the one that has it may be another budget's by now", func(ctx context.Context) {
			s.gone = newGonePods(s.Clock)
			s.createNode(ctx, "other", "8", map[string]string{"hall": "two"})
			for _, hall := range []string{"one", "two"} {
				s.createBudget(ctx, hall, func(b *powerv1.PowerBudget) {
					b.Spec.Parent, b.Spec.NodeSelector = "root", map[string]string{"hall": hall}
				})
			}
			Expect(s.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}},
				client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"hall":"one"}}}`)))).To(Succeed())
			s.Heartbeat = func(_ context.Context, node string) (renewal, error) {
				return renewal{at: map[string]time.Time{"other": s.now}[node]}, nil
			}
			// The reservation names the budget that feeds hall two.
			s.get(ctx, w)
			w.Status.Reservations[0].Budget = "two"
			Expect(s.Status().Update(ctx, w)).To(Succeed())
			for range 2 + nodeQuiet/listenEvery { // it is met as gone
				s.run(ctx, 3)
				wait(listenEvery)
			}
			for range (nodeAway + nodeBack + 30*time.Second) / listenEvery {
				s.run(ctx, 3)
				wait(listenEvery)
			}
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(HaveLen(1))
			Expect(conditionOf(w.Status.Conditions, powerv1.ConditionReady).Message).To(And(
				ContainSubstring("pod train-0 on node n1"), ContainSubstring("delete its Node"), Not(ContainSubstring("other"))))
			Expect(s.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})).To(Succeed())
			wait(listenEvery)
			s.run(ctx, 3)
			s.get(ctx, w)
			Expect(w.Status.Reservations).To(BeEmpty())
		})
	})
})
