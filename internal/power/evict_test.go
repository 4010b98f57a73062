package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestEvictions: where firm load alone is over the limit in force, interruptible pods go, lowest priority
// first and youngest first, no more than needed, and only where onShortfall says so.
func TestEvictions(t *testing.T) {
	tests := map[string]struct {
		limit power.Watts // of 700 W of pods
		edit  func(*power.Site)
		want  []string
	}{
		"within":                    {limit: 700},
		"lowest priority first":     {limit: 650, want: []string{"low-0"}},
		"then the next":             {limit: 550, want: []string{"low-0", "mid-1"}},
		"youngest first":            {limit: 450, want: []string{"low-0", "mid-1", "mid-0"}},
		"never what says Never":     {limit: 0, want: []string{"low-0", "mid-1", "mid-0"}},
		"not where it says Protect": {limit: 450, edit: func(s *power.Site) { s.Budgets[0].Evict = false }},
		"for a fall too near to wait": {limit: 700, edit: func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(40 * time.Second), End: in(time.Hour), Limit: 650}}
			s.Workloads[2].Pods[0].Grace = 30 * time.Second
		}, want: []string{"low-0"}},
		"not for one that can wait": {limit: 700, edit: func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(41 * time.Second), End: in(time.Hour), Limit: 650}}
			s.Workloads[2].Pods[0].Grace = 30 * time.Second
		}},
		"not what is gone already": {limit: 650, edit: func(s *power.Site) { s.Workloads[2].Pods[0].Gone = true }, want: []string{"mid-1"}},
		"nobody while a lower one still can in time": {limit: 700, edit: func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(3 * time.Hour), End: in(4 * time.Hour), Limit: 650}}
			s.Workloads[1].Pods[0].Grace, s.Workloads[1].Pods[1].Grace = 20*time.Hour, 20*time.Hour
		}},
		"those that take long where the others are not enough": {limit: 700, edit: func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Start: in(3 * time.Hour), End: in(4 * time.Hour), Limit: 450}}
			s.Workloads[1].Pods[0].Grace, s.Workloads[1].Pods[1].Grace = 20*time.Hour, 20*time.Hour
		}, want: []string{"mid-1", "mid-0"}},
		"for one in force":          {limit: 700, edit: func(s *power.Site) { s.Budgets[0].Cuts = []power.Cut{{Start: now, End: in(time.Hour), Limit: 650}} }, want: []string{"low-0"}},
		"not while mining can shed": {limit: 700, edit: func(s *power.Site) { mine(s, "site", 300, 300) }},
		"not to keep floorWatts":    {limit: 700, edit: func(s *power.Site) { p, _ := mine(s, "site", 300, 300); p.Floor = 200 }},
		"for miners' floors":        {limit: 700, edit: func(s *power.Site) { _, a := mine(s, "site", 300, 300); a.Floor = 50 }, want: []string{"low-0"}},
		"not for what is not heard": {limit: 700, edit: func(s *power.Site) { _, a := mine(s, "site", 50, 300); a.Heard = false }},
		"for what is only observed": {limit: 700, edit: func(s *power.Site) { p, _ := mine(s, "site", 50, 300); p.Observe = true }, want: []string{"low-0"}},
		"not for what is not found": {limit: 700, edit: func(s *power.Site) { s.Pools = []power.Pool{{Key: "p", Budget: "site", Rated: 300}} }},
		"not one that has ended": {limit: 550, edit: func(s *power.Site) {
			s.Workloads[2].Pods[0].Phase, s.Workloads[2].Pods[0].Until = power.Releasing, in(time.Hour)
		}, want: []string{"mid-1"}},
		"nobody for what a release delay keeps": {limit: 600, edit: func(s *power.Site) {
			s.Workloads[2].Pods[0].Phase, s.Workloads[2].Pods[0].Until = power.Releasing, in(time.Hour)
		}},
		"nobody for what a gang of lower rank holds": {limit: 700, edit: func(s *power.Site) { lose(&s.Workloads[2]) }},
		"nobody above a gang that goes for it":       {limit: 650, edit: func(s *power.Site) { lose(&s.Workloads[2]) }, want: []string{"low-0"}},
		"for what a gang of higher rank holds":       {limit: 700, edit: func(s *power.Site) { lose(&s.Workloads[1]) }, want: []string{"low-0"}},
		"the younger of equal ranks":                 {limit: 650, edit: func(s *power.Site) { s.Workloads[1].Priority, s.Workloads[1].Created = 1, now }, want: []string{"mid-1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			s.Budgets[0].Evict = true
			s.Workloads = make([]power.Workload, 0, 3)
			place(work(&s, "firm", power.Admitted, 4, 100), "site")
			mid, low := work(&s, "mid", power.Admitted, 2, 100), work(&s, "low", power.Admitted, 1, 100)
			mid.Interruptible, mid.Priority, mid.Pods[1].Created = true, 2, now
			low.Interruptible, low.Priority = true, 1
			place(mid, "site")
			place(low, "site")
			if tt.edit != nil {
				tt.edit(&s)
			}
			var got []string
			for _, e := range power.Decide(s).Evictions {
				got = append(got, e.Pod)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// lose makes a workload a gang of one pod more, which has ended.
func lose(w *power.Workload) {
	addPods(w, power.Releasing, 1, 100)
	place(w, "site")
	w.MinPods = len(w.Pods)
}

// TestEvictionsAreDue: each pod that may be evicted has its own time, whatever others of its workload need.
func TestEvictionsAreDue(t *testing.T) {
	s := oneBudget(200)
	s.Budgets[0].Evict = true
	s.Budgets[0].Cuts = []power.Cut{{Start: in(3 * time.Hour), End: in(4 * time.Hour), Limit: 150}}
	w := work(&s, "w", power.Admitted, 2, 100)
	w.Interruptible, w.Pods[0].Grace, w.Pods[1].Grace = true, 20*time.Hour, 30*time.Second
	place(w, "site")
	p := power.Decide(s)
	if want := in(3*time.Hour - 40*time.Second); len(p.Evictions) > 0 || !p.Next.Equal(want) {
		t.Errorf("evicts %v, and decides again at %v, want nobody before %v", p.Evictions, p.Next, want)
	}
	s.Now = p.Next
	if p := power.Decide(s); len(p.Evictions) != 1 || p.Evictions[0].Pod != "w-1" {
		t.Errorf("evicts %v when it is due, want w-1", p.Evictions)
	}
}

// TestEvictionsWhereItHelps: pods of a hall that is not short stay, and the plan says how short.
func TestEvictionsWhereItHelps(t *testing.T) {
	s := twoHalls(1000, 150, 500)
	s.Workloads = make([]power.Workload, 0, 2)
	for i, key := range []string{"one", "two"} {
		s.Budgets[i+1].Evict = true
		w := work(&s, key, power.Admitted, 2, 100)
		w.Interruptible = true
		place(w, s.Budgets[i+1].Name)
	}
	p := power.Decide(s)
	want := []power.Eviction{{Workload: "one", Pod: "one-1", UID: "uid-one-1", Budget: "hall-1", Short: 50}}
	if diff := cmp.Diff(want, p.Evictions); diff != "" {
		t.Error(diff)
	}
	if short := budget(t, p, "hall-1").Short; short != 50 {
		t.Errorf("short %v, want 50 W", short)
	}
}
