package controllers

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

var _ = Describe("Nodes under two budgets", func() {
	type labels = map[string]string
	// A row is a budget, a second younger than the one before.
	type row struct {
		name, parent string
		selector     labels
	}
	find := func(rows []row, nodes map[string]labels) map[string]double {
		byName := map[string]*powerv1.PowerBudget{}
		for i, r := range rows {
			byName[r.name] = &powerv1.PowerBudget{
				ObjectMeta: metav1.ObjectMeta{Name: r.name, CreationTimestamp: metav1.NewTime(epochStart.Add(time.Duration(i) * time.Second))},
				Spec:       powerv1.PowerBudgetSpec{Parent: r.parent, NodeSelector: r.selector},
			}
		}
		var list []corev1.Node
		for name, l := range nodes {
			list = append(list, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: l}})
		}
		return doublesOf(byName, pinsOf(byName), list)
	}
	siblings := []row{{"root", "", nil}, {"hall", "root", labels{"hall": "one"}}, {"rack", "root", labels{"rack": "7"}}}

	DescribeTable("are found", func(rows []row, nodes map[string]labels, want map[string]double) {
		Expect(find(rows, nodes)).To(Equal(want))
	},
		Entry("not where there is no such node", siblings, map[string]labels{
			"a": {"hall": "one", "rack": "8"}, "b": {"hall": "two", "rack": "7"}, "c": {},
		}, map[string]double{}),
		Entry("where one node matches both", siblings, map[string]labels{
			"a": {"hall": "one"}, "z": {"hall": "one", "rack": "7"}, "y": {"hall": "one", "rack": "7", "other": "x"},
		}, map[string]double{"rack": {"hall", "y"}}),
		Entry("not where one is above the other",
			[]row{{"root", "", nil}, {"rack", "row", labels{"rack": "7"}}, {"row", "hall", nil}, {"hall", "root", labels{"hall": "one"}}},
			map[string]labels{"a": {"hall": "one", "rack": "7"}}, map[string]double{}),
		Entry("not by a selector that a budget above narrows",
			[]row{{"one", "", labels{"hall": "one"}}, {"two", "", labels{"hall": "two"}}, {"row-1", "one", labels{"row": "1"}}, {"row-2", "two", labels{"row": "1"}}},
			map[string]labels{"a": {"hall": "one", "row": "1"}, "b": {"hall": "two", "row": "1"}}, map[string]double{}),
		Entry("between cousins",
			[]row{{"one", "", labels{"hall": "one"}}, {"two", "", labels{"team": "a"}}, {"row-1", "one", labels{"row": "1"}}},
			map[string]labels{"a": {"hall": "one", "row": "1", "team": "a"}},
			map[string]double{"two": {"one", "a"}, "row-1": {"two", "a"}}),
		Entry("without a node, where both choose the very same",
			[]row{{"a", "", labels{"hall": "one"}}, {"b", "", labels{"hall": "one"}}}, nil, map[string]double{"b": {"a", ""}}),
		Entry("and a label of no value is a label", []row{{"a", "", labels{"x": ""}}, {"b", "", labels{"y": "1"}}},
			map[string]labels{"m": {"y": "1"}, "n": {"x": "", "y": "1"}}, map[string]double{"b": {"a", "n"}}),
	)

	It("halt the younger until the label goes", func(ctx context.Context) {
		s := newSite(ctx)
		s.createBudget(ctx, "root", nil)
		older := s.createBudget(ctx, "hall", func(b *powerv1.PowerBudget) {
			b.Spec.Parent, b.Spec.NodeSelector = "root", labels{"hall": "one"}
		})
		younger := s.createBudget(ctx, "rack", func(b *powerv1.PowerBudget) { b.Spec.Parent, b.Spec.NodeSelector = "root", labels{"rack": "7"} })
		s.createNode(ctx, "both", "8", labels{"hall": "one", "rack": "7"})
		s.createNode(ctx, "other", "8", labels{"rack": "7"})
		stalled := func() metav1.Condition {
			_, err := s.budget.Reconcile(ctx, younger)
			Expect(err).NotTo(HaveOccurred())
			s.now = s.now.Add(2 * time.Second)
			s.get(ctx, younger)
			return conditionOf(younger.Status.Conditions, powerv1.ConditionStalled)
		}
		got := stalled()
		Expect(got.Reason).To(Equal(powerv1.ReasonSelectorOverlap))
		Expect(got.Message).To(And(ContainSubstring("node both"), ContainSubstring("PowerBudget hall")))
		s.get(ctx, older)
		_, err := s.budget.Reconcile(ctx, older)
		Expect(err).NotTo(HaveOccurred())
		s.get(ctx, older)
		Expect(conditionOf(older.Status.Conditions, powerv1.ConditionStalled).Status).To(Equal(metav1.ConditionUnknown))

		w := s.createWorkload(ctx, "train", func(w *powerv1.GPUWorkload) { w.Spec.Budget = "rack" })
		pod := s.createPod(ctx, "train-0", "8", nil)
		s.run(ctx, 2)
		Expect(s.reserved(ctx, w).Reason).To(Equal(powerv1.ReasonStalled))
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "both"}}
		s.get(ctx, n)
		delete(n.Labels, "rack")
		Expect(s.Update(ctx, n)).To(Succeed())
		Expect(stalled().Status).To(Equal(metav1.ConditionUnknown))
		s.run(ctx, 2)
		s.get(ctx, pod)
		Expect(gate.Gated(pod)).To(BeFalse())
	})

	It("cost little to look for", func() {
		var rows []row
		nodes := map[string]labels{}
		for i := range 200 {
			rows = append(rows, row{fmt.Sprintf("rack-%d", i), "", labels{"rack": fmt.Sprint(i)}})
		}
		for i := range 5000 {
			nodes[fmt.Sprintf("n%d", i)] = labels{"rack": fmt.Sprint(i % 200), "kubernetes.io/hostname": fmt.Sprint(i)}
		}
		Expect(find(rows, nodes)).To(BeEmpty())
		keys := []string{"rack"}
		var list []corev1.Node
		for name, l := range nodes {
			list = append(list, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: l}})
		}
		Expect(kinds(keys, list)).To(HaveLen(200), "one node of each rack is looked at")
	})
})
