package controllers

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

var _ = Describe("A curtailment", func() {
	var (
		s     *site
		r     *CurtailmentReconciler
		c     *powerv1.CurtailmentEvent
		start time.Time
	)

	// restarted is the operator after a restart: it has decided nothing yet, and seen nothing.
	restarted := func() *CurtailmentReconciler {
		return &CurtailmentReconciler{Client: s.Client, Clock: func() time.Time { return s.now }, Events: s.events, board: newBoard()}
	}
	draws := func(w power.Watts) {
		r.board.budgets["root"] = power.BudgetPlan{Name: "root"}
		r.board.draw["root"] = w
	}
	// until looks at the event as often as it asks for, until so long after its start.
	until := func(ctx context.Context, after time.Duration) metav1.Condition {
		GinkgoHelper()
		for {
			s.get(ctx, c)
			result, err := r.Reconcile(ctx, c)
			Expect(err).NotTo(HaveOccurred())
			left := start.Add(after).Sub(s.now)
			if left <= 0 {
				s.get(ctx, c)
				return conditionOf(c.Status.Conditions, powerv1.ConditionMet)
			}
			if result.RequeueAfter == 0 || result.RequeueAfter > left {
				result.RequeueAfter = left
			}
			s.now = s.now.Add(result.RequeueAfter)
		}
	}
	status := func(kind string) metav1.ConditionStatus { return conditionOf(c.Status.Conditions, kind).Status }

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		s.createBudget(ctx, "root", nil)
		start = s.now.Add(10 * time.Minute)
		c = &powerv1.CurtailmentEvent{
			ObjectMeta: metav1.ObjectMeta{Name: "cut"},
			Spec: powerv1.CurtailmentEventSpec{
				Budget: "root", LimitWatts: watts("40k"), Start: metav1.NewTime(start), End: metav1.NewTime(start.Add(time.Minute)),
			},
		}
		Expect(s.Create(ctx, c)).To(Succeed())
		r = restarted()
		draws(90_000)
	})

	It("is scheduled, active, met and ended", func(ctx context.Context) {
		Expect(until(ctx, -2*time.Minute).Reason).To(Equal(powerv1.ReasonNotYetDue))
		Expect(c.Status.State).To(Equal(powerv1.CurtailmentScheduled))
		Expect(status(powerv1.ConditionScheduled)).To(Equal(metav1.ConditionTrue))
		Expect(status(powerv1.ConditionActive)).To(Equal(metav1.ConditionFalse))
		Expect(c.Status.BaselineWatts).To(BeNil(), "it is taken when shedding may begin")

		until(ctx, -30*time.Second)
		Expect(c.Status.BaselineWatts.Value()).To(BeEquivalentTo(90_000))
		draws(35_000)
		Expect(until(ctx, -time.Second).Reason).To(Equal(powerv1.ReasonNotYetDue))
		Expect(c.Status.MetAt).NotTo(BeNil())

		Expect(until(ctx, 20*time.Second).Reason).To(Equal(powerv1.ReasonMet))
		Expect(c.Status.State).To(Equal(powerv1.CurtailmentActive))
		Expect(status(powerv1.ConditionScheduled)).To(Equal(metav1.ConditionFalse))
		Expect(status(powerv1.ConditionActive)).To(Equal(metav1.ConditionTrue))
		Expect(c.Status.DeliveredWatts.Value()).To(BeEquivalentTo(55_000))

		Expect(until(ctx, 2*time.Minute).Reason).To(Equal(powerv1.ReasonMet))
		Expect(c.Status.State).To(Equal(powerv1.CurtailmentEnded))
		Expect(status(powerv1.ConditionEnded)).To(Equal(metav1.ConditionTrue))
		Expect(status(powerv1.ConditionActive)).To(Equal(metav1.ConditionFalse))

		told := strings.Join(s.events.lines, "\n")
		Expect(told).To(MatchRegexp("(?s)Normal InForce Curtail.*Normal Met Curtail.*Normal TimePassed Curtail"))
		Expect(told).NotTo(ContainSubstring("Warning"))

		r = restarted()
		s.writes = nil
		Expect(until(ctx, time.Hour).Reason).To(Equal(powerv1.ReasonMet), "the verdict stands")
		Expect(s.writes).To(BeEmpty())
	})

	It("is missed once the draw was over its limit, whatever comes after", func(ctx context.Context) {
		draws(35_000)
		Expect(until(ctx, 20*time.Second).Reason).To(Equal(powerv1.ReasonMet))
		draws(41_000)
		Expect(until(ctx, 21*time.Second).Reason).To(Equal(powerv1.ReasonMissed))
		draws(35_000)
		Expect(until(ctx, 30*time.Second).Reason).To(Equal(powerv1.ReasonMissed))
		r = restarted()
		Expect(until(ctx, 2*time.Minute).Reason).To(Equal(powerv1.ReasonMissed), "that it was seen over the limit stays true")
		Expect(s.events.lines).To(ContainElement(HavePrefix("Warning Missed Curtail")))
	})

	It("says so where it was never met", func(ctx context.Context) {
		until(ctx, -30*time.Second)
		Expect(until(ctx, time.Second).Reason).To(Equal(powerv1.ReasonMissed))
		Expect(s.events.lines).To(ContainElement(HavePrefix("Warning Missed Curtail")))
	})

	It("is unobserved where nobody watched it, though it was met before its start", func(ctx context.Context) {
		until(ctx, -30*time.Second)
		draws(35_000)
		until(ctx, -10*time.Second)
		Expect(c.Status.MetAt).NotTo(BeNil())
		r = restarted()
		s.now = start.Add(2 * time.Minute)
		got := until(ctx, 2*time.Minute)
		Expect(got.Status).To(Equal(metav1.ConditionUnknown))
		Expect(got.Reason).To(Equal(powerv1.ReasonUnobserved))
		Expect(c.Status.State).To(Equal(powerv1.CurtailmentEnded))
	})

	It("is unobserved where who watched it died halfway", func(ctx context.Context) {
		draws(35_000)
		Expect(until(ctx, 20*time.Second).Reason).To(Equal(powerv1.ReasonMet))
		r = restarted()
		s.now = start.Add(2 * time.Minute)
		Expect(until(ctx, 2*time.Minute).Reason).To(Equal(powerv1.ReasonUnobserved))
	})

	It("is unobserved where another took over halfway", func(ctx context.Context) {
		draws(35_000)
		Expect(until(ctx, 20*time.Second).Reason).To(Equal(powerv1.ReasonMet))
		r = restarted()
		draws(35_000)
		s.now = s.now.Add(time.Second)
		Expect(until(ctx, 30*time.Second).Reason).To(Equal(powerv1.ReasonUnobserved), "nobody knows what was between the two")
		Expect(until(ctx, 2*time.Minute).Reason).To(Equal(powerv1.ReasonUnobserved))
	})

	It("is unobserved where nobody looked for too long", func(ctx context.Context) {
		draws(35_000)
		until(ctx, 20*time.Second)
		s.now = s.now.Add(blind + time.Second)
		Expect(until(ctx, 2*time.Minute).Reason).To(Equal(powerv1.ReasonUnobserved))
	})

	It("written after its start is judged from then", func(ctx context.Context) {
		draws(35_000)
		late := &powerv1.CurtailmentEvent{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Spec: c.Spec}
		late.Spec.Start = metav1.NewTime(s.now.Add(-time.Minute))
		late.Spec.End = metav1.NewTime(s.now.Add(time.Minute))
		Expect(s.Create(ctx, late)).To(Succeed())
		c, start = late, late.Spec.Start.Time
		Expect(until(ctx, 3*time.Minute).Reason).To(Equal(powerv1.ReasonMet))
	})

	It("of no budget is stalled", func(ctx context.Context) {
		none := &powerv1.CurtailmentEvent{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: c.Spec}
		none.Spec.Budget = "attic"
		Expect(s.Create(ctx, none)).To(Succeed())
		c = none
		until(ctx, -time.Minute)
		Expect(conditionOf(c.Status.Conditions, powerv1.ConditionStalled).Reason).To(Equal(powerv1.ReasonBudgetNotFound))
	})
})
