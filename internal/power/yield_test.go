package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestReleaseDelay: an ended pod's watts are kept a little, and yield to pods that wait with the same or a
// higher priority, where that helps them.
// Rules: liveness f.
func TestReleaseDelay(t *testing.T) {
	type outcome struct {
		Kept []string
		New  map[string]int
	}
	tests := map[string]struct {
		limit    power.Watts
		until    time.Duration
		priority int // of the pod that waits
		need     power.Watts
		edit     func(*power.Site)
		want     outcome
	}{
		"kept":       {limit: 300, until: time.Minute, need: 100, want: outcome{[]string{"old-0", "old-1"}, map[string]int{"new": 1}}},
		"over":       {limit: 300, until: 0, need: 100, want: outcome{nil, map[string]int{"new": 1}}},
		"yields":     {limit: 200, until: time.Minute, need: 100, want: outcome{[]string{"old-1"}, map[string]int{"new": 1}}},
		"yields all": {limit: 200, until: time.Minute, need: 200, want: outcome{nil, map[string]int{"new": 1}}},
		"to higher":  {limit: 200, until: time.Minute, priority: 1, need: 100, want: outcome{[]string{"old-1"}, map[string]int{"new": 1}}},
		"not to lower": {
			limit: 200, until: time.Minute, priority: -1, need: 100, want: outcome{[]string{"old-0", "old-1"}, map[string]int{}},
		},
		"not in vain": {
			limit: 300, until: time.Minute, need: 250, edit: func(s *power.Site) { place(work(s, "firm", power.Admitted, 1, 100), "site") },
			want: outcome{[]string{"old-0", "old-1"}, map[string]int{}},
		},
		"rather than wait for miners": {
			limit: 400, until: time.Minute, need: 150, edit: func(s *power.Site) { mine(s, "site", 100, 100) },
			want: outcome{[]string{"old-1"}, map[string]int{"new": 1}},
		},
		"though miners hold the rest": {
			// 100 are mined and 200 kept of 300: miners need give only what the ended pods do not.
			limit: 300, until: time.Minute, need: 250, edit: func(s *power.Site) { mine(s, "site", 100, 100) },
			want: outcome{nil, map[string]int{}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			old := work(&s, "old", power.Releasing, 2, 100)
			for i := range old.Pods {
				old.Pods[i].Until = in(tt.until)
			}
			place(old, "site")
			work(&s, "new", power.Gated, 1, tt.need).Priority = tt.priority
			if tt.edit != nil {
				tt.edit(&s)
			}
			p := power.Decide(s)
			if diff := cmp.Diff(tt.want, outcome{holds(workload(t, p, "old")), news(p)}); diff != "" {
				t.Errorf("%s\n%s", diff, workload(t, p, "new").Message)
			}
		})
	}
}

// TestReleaseDelayYieldsWhereItHelps: watts kept in another hall are not let go for nothing.
func TestReleaseDelayYieldsWhereItHelps(t *testing.T) {
	s := twoHalls(1000, 100, 100)
	s.Workloads = make([]power.Workload, 0, 3)
	for i, key := range []string{"old-1", "old-2"} {
		old := work(&s, key, power.Releasing, 1, 100)
		old.Pods[0].Until = in(time.Minute)
		place(old, s.Budgets[i+1].Name)
	}
	work(&s, "new", power.Gated, 1, 100).Budget = "hall-2"
	p := power.Decide(s)
	got := map[string][]string{"old-1": holds(workload(t, p, "old-1")), "old-2": holds(workload(t, p, "old-2"))}
	if diff := cmp.Diff(map[string][]string{"old-1": {"old-1-0"}, "old-2": nil}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"new": 1}, news(p)); diff != "" {
		t.Error(diff)
	}
}

// TestLowestYieldsFirst: of ended pods, those of the lowest priority go first, then those that would go
// next anyway.
func TestLowestYieldsFirst(t *testing.T) {
	s := oneBudget(300)
	s.Workloads = make([]power.Workload, 0, 3)
	high, low := work(&s, "high", power.Releasing, 1, 100), work(&s, "low", power.Releasing, 2, 100)
	high.Priority, low.Priority = 2, 1
	high.Pods[0].Until, low.Pods[0].Until, low.Pods[1].Until = in(1*time.Second), in(9*time.Second), in(5*time.Second)
	place(high, "site")
	place(low, "site")
	work(&s, "new", power.Gated, 1, 100).Priority = 3
	p := power.Decide(s)
	got := append(holds(workload(t, p, "high")), holds(workload(t, p, "low"))...)
	if diff := cmp.Diff([]string{"high-0", "low-0"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestHeadroom is kept from miners and yields to every pod; after pods have used it, it is refilled when
// none came for a while.
// Rules: liveness g.
func TestHeadroom(t *testing.T) {
	tests := map[string]struct {
		leased  power.Watts // of 1,000
		gated   power.Watts
		running power.Watts
		age     time.Duration // of the pod that runs
		want    power.Watts   // mining's target
	}{
		"kept free":                       {leased: 1000, want: 800},
		"filled no further":               {leased: 800, want: 800},
		"a pod starts in it":              {leased: 800, gated: 150, want: 800},
		"a pod that waits uses it up":     {leased: 1000, gated: 150, want: 800},
		"and more than it":                {leased: 1000, gated: 300, want: 700},
		"not refilled while pods come":    {leased: 800, running: 150, age: 29 * time.Second, want: 800},
		"not mined while pods come":       {leased: 700, running: 150, age: 29 * time.Second, want: 700},
		"refilled after a quiet spell":    {leased: 800, running: 150, age: 30 * time.Second, want: 650},
		"refilled after a long while":     {leased: 800, running: 150, age: time.Hour, want: 650},
		"limits bind while pods come":     {leased: 900, running: 150, age: time.Second, want: 850},
		"a long wait is no quiet spell's": {leased: 650, running: 150, age: time.Hour, want: 650},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			s.Budgets[0].Headroom = 200
			mine(&s, "site", tt.leased, 1000)
			if tt.gated > 0 {
				work(&s, "new", power.Gated, 1, tt.gated).Pods[0].Created = now
			}
			if tt.running > 0 {
				w := work(&s, "llm", power.Admitted, 1, tt.running)
				w.Pods[0].Created = in(-tt.age)
				place(w, "site")
			}
			if diff := cmp.Diff(map[string]power.Watts{"pool-0-0": tt.want}, targets(power.Decide(s))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStandby is kept from miners and from pods of lower priority, and yields to those of the same or a
// higher one.
// Rules: liveness f.
func TestStandby(t *testing.T) {
	type outcome struct {
		New    map[string]int
		Target power.Watts
		Reason power.Reason // of the workload that comes
	}
	tests := map[string]struct {
		leased   power.Watts
		priority int // of the workload that comes; 5 of that which has the standby
		need     power.Watts
		standby  power.Watts
		want     outcome
	}{
		"kept from miners":          {leased: 900, standby: 200, want: outcome{map[string]int{}, 700, ""}},
		"yields to the same":        {leased: 700, standby: 200, priority: 5, need: 200, want: outcome{map[string]int{"new": 1}, 500, power.AllReserved}},
		"yields to a higher":        {leased: 900, standby: 200, priority: 6, need: 150, want: outcome{map[string]int{}, 700, power.WaitingForMiners}},
		"not to a lower":            {leased: 700, standby: 200, priority: 4, need: 150, want: outcome{map[string]int{}, 550, power.WaitingForMiners}},
		"a lower beside it":         {leased: 500, standby: 200, priority: 4, need: 150, want: outcome{map[string]int{"new": 1}, 550, power.AllReserved}},
		"holds a lower up for good": {leased: 0, standby: 600, priority: 4, need: 350, want: outcome{map[string]int{}, 300, power.Outranked}},
		"no more than fits":         {leased: 0, standby: 5000, priority: 5, need: 350, want: outcome{map[string]int{"new": 1}, 0, power.AllReserved}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			s.Workloads = make([]power.Workload, 0, 2)
			mine(&s, "site", tt.leased, 1000)
			web := work(&s, "web", power.Admitted, 1, 100)
			web.Priority, web.Standby = 5, tt.standby
			place(web, "site")
			reason := power.Reason("")
			if tt.need > 0 {
				work(&s, "new", power.Gated, 1, tt.need).Priority = tt.priority
			}
			p := power.Decide(s)
			if tt.need > 0 {
				reason = workload(t, p, "new").Reason
			}
			if diff := cmp.Diff(tt.want, outcome{news(p), targets(p)["pool-0-0"], reason}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStandbyThatCantBeIsKeptForNobody: more standby than a hall could ever feed takes nothing from the
// halls beside it.
func TestStandbyThatCantBeIsKeptForNobody(t *testing.T) {
	s := twoHalls(3000, 1000, 1000)
	s.Workloads = make([]power.Workload, 0, 2)
	web := work(&s, "web", power.Admitted, 1, 100)
	web.Priority, web.Standby = 5, 5000
	place(web, "hall-1")
	work(&s, "new", power.Gated, 1, 350).Budget = "hall-2"
	if diff := cmp.Diff(map[string]int{"new": 1}, news(power.Decide(s))); diff != "" {
		t.Error(diff)
	}
}
