package controllers

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

var _ = Describe("What ails a pool", func() {
	troubled := func(reason string, addresses ...string) (out []lease.Trouble) {
		for _, a := range addresses {
			out = append(out, lease.Trouble{Address: a, Reason: reason})
		}
		return out
	}

	DescribeTable("is named by its cause",
		func(facts poolFacts, secret, reason string, says ...string) {
			p := &powerv1.MinerPool{}
			p.Spec.RatedWatts = *watts("100k")
			p.Spec.Devices.CredentialsSecret = secret
			facts.known, facts.agents, facts.unfound, facts.rated = true, 1, 50_000, 50_000
			status, got, message := reachable(p, &poolSnapshot{facts: facts, shards: [][]string{{"10.0.0.0/28"}}}, epochStart)
			Expect(status).To(Equal(metav1.ConditionFalse))
			Expect(got).To(Equal(reason))
			for _, part := range says {
				Expect(message).To(ContainSubstring(part))
			}
			if reason != powerv1.ReasonUnfound {
				Expect(message).NotTo(ContainSubstring("lower ratedWatts"), "it is unsafe where machines are there")
			}
		},
		Entry("credentials refused by machines never found", poolFacts{trouble: troubled("Unauthorized", "10.0.0.2", "10.0.0.1")}, "asics",
			powerv1.ReasonDevicesUnauthorized, "2 machines", "10.0.0.1, 10.0.0.2", "correct Secret asics"),
		Entry("the factory's credentials refused", poolFacts{trouble: troubled("Unauthorized", "10.0.0.1")}, "",
			powerv1.ReasonDevicesUnauthorized, "spec.devices.credentialsSecret"),
		Entry("credentials refused later on, so that the machine does not answer", poolFacts{
			trouble: append(troubled("Unreachable", "10.0.0.7"), troubled("Unauthorized", "10.0.0.1")...), counts: lease.Counts{Unreachable: 2},
		}, "asics", powerv1.ReasonDevicesUnauthorized, ": 10.0.0.1;"),
		Entry("a session held by somebody else", poolFacts{trouble: troubled("Busy", "10.0.0.1"), counts: lease.Counts{Unreachable: 1}}, "",
			powerv1.ReasonDevicesBusy, "1 machines", "10.0.0.1", "stop the other program"),
		Entry("a dark machine beside a busy one", poolFacts{
			trouble: append(troubled("Busy", "10.0.0.1"), troubled("Unreachable", "10.0.0.3")...), counts: lease.Counts{Unreachable: 2},
		}, "", powerv1.ReasonDevicesUnreachable, ": 10.0.0.3"),
		Entry("a stuck machine beside a busy one", poolFacts{
			trouble: append(troubled("Busy", "10.0.0.1"), troubled("Stuck", "10.0.0.3")...), counts: lease.Counts{Stuck: 1},
		}, "", powerv1.ReasonDevicesStuck, ": 10.0.0.3"),
		Entry("a machine whose watts can't be true", poolFacts{trouble: troubled("Unreadable", "10.0.0.4")}, "",
			powerv1.ReasonDevicesUnreadable, "1 devices", ": 10.0.0.4"),
		Entry("counted, and not named yet", poolFacts{counts: lease.Counts{Stuck: 1}}, "", powerv1.ReasonDevicesUnreachable, "1 do not do what"),
		Entry("nothing that a device says", poolFacts{}, "", powerv1.ReasonUnfound, "lower ratedWatts"),
	)

	It("names a few of many", func() {
		var many []string
		for i := range 9 {
			many = append(many, fmt.Sprintf("10.0.0.%d", i))
		}
		_, message := ailing(&powerv1.MinerPool{}, poolFacts{trouble: troubled("Unauthorized", many...)})
		Expect(message).To(And(ContainSubstring("9 machines"), ContainSubstring("10.0.0.4 and 4 more")))
	})

	It("goes from an agent's report to the pool's condition", func(ctx context.Context) {
		s := newSite(ctx)
		s.createBudget(ctx, "root", nil)
		p := s.createPool(ctx, "pool", "root", "20k", nil)
		a := s.createAgent(ctx, "pool", 10_000)
		s.run(ctx, 3)
		r := lease.Report{Bound: 10_000, Draw: 10_000, Rated: 10_000, Counts: lease.Counts{Total: 3, Hashing: 3}, Troubles: troubled("Unauthorized", "10.0.0.9")}
		a.holder.Stamp(s.age(), &r)
		a.report(r)
		s.pass(ctx)
		s.get(ctx, p)
		s.now = s.now.Add(2 * time.Second)
		_, err := s.pools.Reconcile(ctx, p)
		Expect(err).NotTo(HaveOccurred())
		s.get(ctx, p)
		got := conditionOf(p.Status.Conditions, powerv1.ConditionReachable)
		Expect(got.Reason).To(Equal(powerv1.ReasonDevicesUnauthorized))
		Expect(got.Message).To(ContainSubstring("10.0.0.9"))
	})
})
