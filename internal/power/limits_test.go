package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestLimits: the limit in force is the least of spec and cuts less the margin, and the plan keeps to the
// least until the slowest shed would be done (L1): 6 s of the agent, 2 s of slack, 5 s to begin it in.
func TestLimits(t *testing.T) {
	type limits struct {
		Limit   power.Watts
		Reason  power.LimitReason
		By      string
		Planned power.Watts
	}
	cut := func(start time.Duration, limit power.Watts) power.Cut {
		return power.Cut{Name: "evening", Start: in(start), End: in(start + time.Hour), Limit: limit}
	}
	tests := map[string]struct {
		cuts   []power.Cut
		margin int
		parent power.Watts
		want   limits
	}{
		"spec":         {want: limits{1000, power.LimitSpec, "", 1000}},
		"margin":       {margin: 3, want: limits{970, power.LimitSpec, "", 970}},
		"cut in force": {cuts: []power.Cut{cut(0, 700)}, want: limits{700, power.LimitCurtailment, "evening", 700}},
		"margin of a cut": {
			cuts: []power.Cut{cut(-time.Minute, 700)}, margin: 10, want: limits{630, power.LimitCurtailment, "evening", 630},
		},
		"cut over":            {cuts: []power.Cut{cut(-time.Hour, 700)}, want: limits{1000, power.LimitSpec, "", 1000}},
		"cut above the limit": {cuts: []power.Cut{cut(0, 1200)}, want: limits{1000, power.LimitSpec, "", 1000}},
		"cut far ahead":       {cuts: []power.Cut{cut(13*time.Second+1, 700)}, want: limits{1000, power.LimitSpec, "", 1000}},
		"cut within the shed": {cuts: []power.Cut{cut(13*time.Second, 700)}, want: limits{1000, power.LimitSpec, "", 700}},
		"the least of two cuts": {
			cuts: []power.Cut{cut(0, 700), {Name: "storm", Start: in(0), End: in(time.Minute), Limit: 500}},
			want: limits{500, power.LimitCurtailment, "storm", 500},
		},
		"reduce": {
			cuts: []power.Cut{{Name: "market", Start: in(0), End: in(time.Minute), Reduce: 150}},
			want: limits{850, power.LimitCurtailment, "market", 850},
		},
		"reduce on top of a cut": {
			cuts: []power.Cut{cut(0, 700), {Name: "market", Start: in(0), End: in(time.Minute), Reduce: 150}},
			want: limits{550, power.LimitCurtailment, "market", 550},
		},
		"two reductions": {
			cuts: []power.Cut{{Name: "a", Start: in(0), End: in(time.Minute), Reduce: 150}, {Name: "b", Start: in(0), End: in(time.Minute), Reduce: 100}},
			want: limits{750, power.LimitCurtailment, "b", 750},
		},
		"reduce to nothing": {
			cuts: []power.Cut{{Name: "market", Start: in(0), End: in(time.Minute), Reduce: 1500}},
			want: limits{0, power.LimitCurtailment, "market", 0},
		},
		"parent": {parent: 600, want: limits{600, power.LimitParent, "grid", 1000}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			s.Budgets[0].Cuts, s.Budgets[0].MarginPercent = tt.cuts, tt.margin
			if tt.parent > 0 {
				s.Budgets[0].Parent = "grid"
				s.Budgets = append(s.Budgets, power.Budget{Name: "grid", Limit: tt.parent})
			}
			mine(&s, "site", 0, 100)
			b := budget(t, power.Decide(s), "site")
			if diff := cmp.Diff(tt.want, limits{b.Limit, b.Reason, b.By, b.Planned}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestShedBeforeTheLimitFalls: a lease is lowered early enough for the slowest shed, and not before.
func TestShedBeforeTheLimitFalls(t *testing.T) {
	tests := map[string]struct {
		settle time.Duration
		ahead  time.Duration
		want   power.Watts
	}{
		"not yet":          {6 * time.Second, 14 * time.Second, 1000},
		"now":              {6 * time.Second, 13 * time.Second, 400},
		"slow to shed":     {90 * time.Second, 97 * time.Second, 400},
		"slow and not yet": {90 * time.Second, 98 * time.Second, 1000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			s.Budgets[0].Cuts = []power.Cut{{Name: "evening", Start: in(tt.ahead), End: in(time.Hour), Limit: 400}}
			_, a := mine(&s, "site", 1000, 1000)
			a.Settle = tt.settle
			if diff := cmp.Diff(map[string]power.Watts{"pool-0-0": tt.want}, leases(power.Decide(s))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBaseLoadOfChildrenCounts: base load and what hangs below sum up the tree.
func TestBaseLoadOfChildrenCounts(t *testing.T) {
	s := twoHalls(1000, 600, 600)
	s.Budgets[0].Base, s.Budgets[1].Base, s.Budgets[2].Base = 10, 20, 30
	mine(&s, "hall-1", 100, 100)
	place(work(&s, "llm", power.Admitted, 2, 50), "hall-2")
	p := power.Decide(s)
	type sums struct{ Base, Held, Leased, Reserved, Free power.Watts }
	got := map[string]sums{}
	for _, b := range p.Budgets {
		got[b.Name] = sums{b.Base, b.Held, b.Leased, b.Reserved, b.Free}
	}
	want := map[string]sums{
		"site":   {60, 100, 100, 100, 740},
		"hall-1": {20, 100, 100, 0, 480},
		"hall-2": {30, 0, 0, 100, 470},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNext: the next instant at which time alone changes the plan.
func TestNext(t *testing.T) {
	tests := map[string]struct {
		edit func(*power.Site)
		want time.Time
	}{
		"nothing": {func(*power.Site) {}, time.Time{}},
		"shed for a cut": {func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(time.Minute), End: in(time.Hour), Limit: 5}}
		}, in(47 * time.Second)},
		"cut begins": {func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(time.Second), End: in(time.Hour), Limit: 5}}
		}, in(time.Second)},
		"cut ends": {func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(0), End: in(time.Hour), Limit: 5}}
		}, in(time.Hour)},
		"cut comes into view": {func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(30 * time.Hour), End: in(40 * time.Hour), Limit: 5}}
		}, in(6 * time.Hour)},
		"release": {func(s *power.Site) {
			w := work(s, "llm", power.Releasing, 1, 1)
			w.Pods[0].Until = in(time.Minute)
		}, in(time.Minute)},
		"grace": {func(s *power.Site) { s.Pools[0].GraceUntil = in(9 * time.Second) }, in(9 * time.Second)},
		"quiet": {func(s *power.Site) {
			w := work(s, "llm", power.Admitted, 1, 1)
			w.Pods[0].Budget, w.Pods[0].Created = "site", in(-10*time.Second)
		}, in(20 * time.Second)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			mine(&s, "site", 100, 100)
			tt.edit(&s)
			if got := power.Decide(s).Next; !got.Equal(tt.want) {
				t.Errorf("next in %v, want %v", got.Sub(now), tt.want.Sub(now))
			}
		})
	}
}
