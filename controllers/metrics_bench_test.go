package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// crowded is a pass over 240 budgets, 2,500 agents and 7,300 pods of 100 workloads.
func crowded() (*SiteReconciler, *snapshot, power.Plan) {
	s := &snapshot{lists: &lists{}, now: time.Unix(1, 0)}
	p := power.Plan{}
	for i := range 240 {
		parent := ""
		if i > 0 {
			parent = fmt.Sprint((i - 1) / 15)
		}
		s.site.Budgets = append(s.site.Budgets, power.Budget{Name: fmt.Sprint(i), Parent: parent})
		p.Budgets = append(p.Budgets, power.BudgetPlan{Name: fmt.Sprint(i)})
	}
	for i := range 2500 {
		pool := fmt.Sprintf("mining/p%d", i/10)
		if i%10 == 0 {
			s.site.Pools = append(s.site.Pools, power.Pool{Key: pool, Budget: fmt.Sprint(i % 240)})
		}
		s.agents = append(s.agents, agentView{agent: power.Agent{Key: fmt.Sprintf("mining/p%d-%d", i/10, i), Pool: pool, Budget: fmt.Sprint(i % 240), Heard: true}})
	}
	for i := range 100 {
		w := workloadFacts{object: &powerv1.GPUWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint(i % 10)}}}
		for n := range 73 {
			w.power.Pods = append(w.power.Pods, power.Pod{UID: fmt.Sprint(i, n), Phase: power.Phase(n % 3), Budget: fmt.Sprint(i), Watts: 1, Created: time.Unix(int64(n), 0)})
		}
		s.workloads = append(s.workloads, w)
		p.Workloads = append(p.Workloads, power.WorkloadPlan{Key: fmt.Sprint(i), Waiting: 24, Reason: "NoRoom", Pods: make([]power.PodPlan, 49)})
	}
	return &SiteReconciler{board: newBoard(), handovers: newHandovers()}, s, p
}

// BenchmarkShow is what metrics cost a pass.
func BenchmarkShow(b *testing.B) {
	r, s, p := crowded()
	r.board.draw = drawOf(s, p)
	b.ReportAllocs()
	for b.Loop() {
		r.handovers.decided(s, p)
		r.show(s, p)
		r.handovers.done(p)
	}
}

// BenchmarkScrape is what it costs to be asked for them.
func BenchmarkScrape(b *testing.B) {
	r, s, p := crowded()
	r.board.draw = drawOf(s, p)
	r.show(s, p)
	always := func() bool { return true }
	before := exported.leads.Swap(&always)
	b.Cleanup(func() { exported.leads.Store(before) })
	registry := prometheus.NewRegistry()
	registry.MustRegister(exported)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
