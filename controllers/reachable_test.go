package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
				Expect(message).To(HaveSuffix("; 50 kW of ratedWatts 100 kW are on no device found and count as drawn"))
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

	It("is named of every machine, whatever ails others", func() {
		var many []string
		for i := range 44 {
			many = append(many, fmt.Sprintf("10.0.1.%02d", i))
		}
		trouble := slices.Concat(
			troubled("Rebooted", "10.0.0.3"), troubled("Stuck", "10.0.0.2", "10.0.0.1"), troubled("Unauthorized", many...), troubled("Unproven", "10.0.0.9"),
		)
		reason, message := ailing(&powerv1.MinerPool{}, poolFacts{trouble: trouble, counts: lease.Counts{Stuck: 2}})
		Expect(reason).To(Equal(powerv1.ReasonDevicesUnauthorized))
		Expect(message).To(And(ContainSubstring("44 machines"), ContainSubstring("10.0.1.39 and 4 more"),
			ContainSubstring("2 devices do not do what they are told and count at what they draw: 10.0.0.1, 10.0.0.2; "),
			ContainSubstring("seen above that"), ContainSubstring(": 10.0.0.3"), Not(ContainSubstring("10.0.0.9"))))
	})

	It("is told of each device in an event of its own, once until it is well again", func() {
		p, log := &powerv1.MinerPool{}, &eventLog{}
		r := &MinerPoolReconciler{Events: log, told: map[types.NamespacedName]map[trouble]bool{}}
		tell := func(t ...lease.Trouble) []string {
			log.lines = nil
			r.tellDevices(p, poolFacts{trouble: t})
			return log.lines
		}
		stuck := troubled("Stuck", "10.0.0.1")[0]
		Expect(tell(stuck)).To(Equal([]string{
			"Warning DeviceStuck Command: Device 10.0.0.1 does not do what it is told and counts at what it draws",
		}))
		Expect(tell(append(troubled("Rebooted", "10.0.0.1"), stuck)...)).To(ConsistOf(HavePrefix("Warning DeviceRebooted Command: Device 10.0.0.1")))
		Expect(tell(stuck)).To(BeEmpty())
		Expect(tell()).To(BeEmpty())
		Expect(tell(stuck)).To(HaveLen(1))
		var row []lease.Trouble
		for i := range 30 {
			row = append(row, troubled("Unreachable", fmt.Sprintf("10.0.2.%d", i))...)
		}
		Expect(tell(row...)).To(HaveLen(mostTold))
		Expect(tell(row...)).To(HaveLen(len(row)-mostTold), "the rest follows")
	})

	It("is that nobody looks, where no mining pod was ever made", func() {
		s := &poolSnapshot{fault: &fault{powerv1.ReasonCredentialsMissing, "no Secret"}, facts: poolFacts{known: true, unheard: []string{"ns/pool-0"}}}
		_, reason, message := reachable(&powerv1.MinerPool{}, s, epochStart)
		Expect(reason).To(Equal(powerv1.ReasonStalled))
		Expect(message).To(ContainSubstring("counts only as far as baseLoadWatts"))
		s.set.UID = "made"
		_, reason, _ = reachable(&powerv1.MinerPool{}, s, epochStart)
		Expect(reason).To(Equal(powerv1.ReasonAgentsUnheard), "agents that were made may draw what they were leased")
	})

	It("names what answers and may be the machines that were not found", func() {
		p := &powerv1.MinerPool{}
		p.Spec.RatedWatts = *watts("100k")
		f := poolFacts{unfound: 50_000, rated: 50_000, trouble: troubled("Unidentified", "10.0.0.8", "10.0.0.7")}
		reason, message := missing(p, f, epochStart)
		Expect(reason).To(Equal(powerv1.ReasonUnfound))
		Expect(message).To(ContainSubstring("count as drawn; what answers at 10.0.0.7, 10.0.0.8 was not made out yet; switch"))
		f.unfound = 0
		reason, _ = missing(p, f, epochStart)
		Expect(reason).To(BeEmpty(), "it may be no machine at all")
	})

	It("is no ailment that machines are new to their agents, but says why watts are unused", func() {
		slow := lease.Trouble{Address: "10.0.0.7", Reason: "Unproven", Message: "10m0s"}
		quick := lease.Trouble{Address: "10.0.0.8", Reason: "Unproven", Message: "30s"}
		Expect(unproven(poolFacts{trouble: []lease.Trouble{quick, slow, {Address: "10.0.0.9", Reason: "Unproven", Message: "soon"}}})).To(
			And(ContainSubstring("count at their rated watts until"), HaveSuffix("longest for 10.0.0.7: 10m0s")))
		Expect(unproven(poolFacts{trouble: troubled("Stuck", "10.0.0.1")})).To(BeEmpty())
		reason, _ := ailing(&powerv1.MinerPool{}, poolFacts{trouble: []lease.Trouble{slow}})
		Expect(reason).To(BeEmpty())
	})

	It("fits into an event, however long its condition is", func() {
		Expect(shortened(strings.Repeat("ä", 600))).To(And(HaveSuffix("ä..."), Satisfy(utf8.ValidString)))
		Expect(len(shortened(strings.Repeat("ä", 600)))).To(BeNumerically("<=", 1024))
		Expect(shortened("short")).To(Equal("short"))
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
