package power_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestWhatIsEvictedForACutBarsNobodyAboveIt: firm work need not wait for the end of work of lower priority that goes
// in a curtailment far ahead anyway (liveness e).
func TestWhatIsEvictedForACutBarsNobodyAboveIt(t *testing.T) {
	const grace = 30 * time.Second // with 10 s for the eviction and a minute: a lead of 100 s
	cases := map[string]struct {
		edit func(s *power.Site, low, high *power.Workload)
		want power.Reason
	}{
		"it goes":                       {nil, power.AllReserved},
		"not where nothing is evicted":  {func(s *power.Site, _, _ *power.Workload) { s.Budgets[0].Evict = false }, power.CurtailmentAhead},
		"not if it may not be":          {func(_ *power.Site, low, _ *power.Workload) { low.Interruptible = false }, power.CurtailmentAhead},
		"not for its equal":             {func(_ *power.Site, low, high *power.Workload) { low.Priority = high.Priority }, power.CurtailmentAhead},
		"not what is gone already":      {func(_ *power.Site, low, _ *power.Workload) { low.Pods[0].Gone = true }, power.CurtailmentAhead},
		"not what is yet to start":      {func(_ *power.Site, low, _ *power.Workload) { low.Pods[0].Phase = power.Reserved }, power.CurtailmentAhead},
		"not what can't end before":     {func(_ *power.Site, low, _ *power.Workload) { low.Pods[0].Grace = 3 * time.Hour }, power.CurtailmentAhead},
		"not where the cut is near":     {func(s *power.Site, _, _ *power.Workload) { s.Budgets[0].Cuts[0].Start = in(100 * time.Second) }, power.CurtailmentAhead},
		"a second later it does":        {func(s *power.Site, _, _ *power.Workload) { s.Budgets[0].Cuts[0].Start = in(101 * time.Second) }, power.AllReserved},
		"not where that is too little":  {func(_ *power.Site, _, high *power.Workload) { high.Pods[0].Watts = 501 }, power.CurtailmentAhead},
		"nor what is free in no minute": {func(s *power.Site, _, high *power.Workload) { s.Budgets[0].Limit, high.Pods[0].Watts = 900, 450 }, power.NoRoom},
	}
	for name, c := range cases {
		s := oneBudget(1000)
		s.Budgets[0].Evict, s.Budgets[0].Cuts = true, []power.Cut{{Name: "evening", Start: in(3 * time.Hour), End: in(5 * time.Hour), Limit: 500}}
		s.Workloads = make([]power.Workload, 0, 2)
		low := work(&s, "low", power.Admitted, 1, 490)
		low.Interruptible, low.Pods[0].Grace = true, grace
		place(low, "site")
		high := work(&s, "high", power.Gated, 1, 400)
		high.Priority = 10
		if c.edit != nil {
			c.edit(&s, low, high)
		}
		if w := workload(t, power.Decide(s), "high"); w.Reason != c.want {
			t.Errorf("%s: %s: %s; want %s", name, w.Reason, w.Message, c.want)
		}
	}
}

// TestWhatIsEvictedForACutHoldsNoPlaceForWhatNeverFits: who can't run in the cut even alone keeps no place in the
// queue by what others would leave there (liveness d).
func TestWhatIsEvictedForACutHoldsNoPlaceForWhatNeverFits(t *testing.T) {
	for watts, want := range map[power.Watts]power.Reason{600: power.AllReserved, 500: power.CurtailmentAhead} {
		s := oneBudget(1000)
		s.Budgets[0].Evict, s.Budgets[0].Cuts = true, []power.Cut{{Name: "evening", Start: in(3 * time.Hour), End: in(5 * time.Hour), Limit: 500}}
		s.Workloads = make([]power.Workload, 0, 4)
		firm := work(&s, "firm", power.Admitted, 1, 100)
		place(firm, "site")
		low := work(&s, "low", power.Admitted, 1, 300)
		low.Interruptible = true
		place(low, "site")
		work(&s, "large", power.Gated, 1, watts).Priority = 10
		work(&s, "small", power.Gated, 1, 90).Priority = 5
		w := workload(t, power.Decide(s), "small")
		if w.Reason != want || want == power.CurtailmentAhead && !strings.Contains(w.Message, "limit 500 W less margin") {
			t.Errorf("beside one of %v: %s: %s; want %s", watts, w.Reason, w.Message, want)
		}
	}
}
