package power_test

import (
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestAGangThatWaitsForOthersGoesByItsRank: what makes a reserved gang whole is looked for first, but a place in the
// queue for watts that others have bars nobody above it from those that are free.
func TestAGangThatWaitsForOthersGoesByItsRank(t *testing.T) {
	s := oneBudget(1000)
	s.Workloads = make([]power.Workload, 0, 4)
	place(work(&s, "long", power.Admitted, 1, 600), "site")
	g := work(&s, "gang", power.Reserved, 1, 100)
	g.MinPods = 2
	place(g, "site")
	addPods(g, power.Gated, 1, 400)
	work(&s, "high", power.Gated, 1, 200).Priority = 100
	p := power.Decide(s)
	if w := workload(t, p, "high"); w.Reason != power.AllReserved {
		t.Errorf("of higher rank, with 300 W free: %s: %s", w.Reason, w.Message)
	}
	if w := workload(t, p, "gang"); w.Waiting != 2 || w.Reason == power.AllReserved || w.Reason == "" {
		t.Errorf("the gang: %s: %s", w.Reason, w.Message)
	}
}

// TestAGangThatWaitsForOthersKeepsItsPlace: though of those that may make it whole the first can't be helped, nobody below
// it takes the watts that the next ones wait for.
func TestAGangThatWaitsForOthersKeepsItsPlace(t *testing.T) {
	s := oneBudget(1000)
	s.Workloads = make([]power.Workload, 0, 4)
	place(work(&s, "long", power.Admitted, 1, 600), "site")
	g := work(&s, "gang", power.Reserved, 1, 100)
	g.MinPods, g.Priority = 3, 10
	place(g, "site")
	addPods(g, power.Gated, 1, 2000)
	addPods(g, power.Gated, 2, 200)
	work(&s, "low", power.Gated, 1, 200)
	p := power.Decide(s)
	if w := workload(t, p, "low"); w.Waiting != 1 || w.Reason != power.Outranked {
		t.Errorf("of lower rank, with 300 W free of 400 W that the gang waits for: %s: %s", w.Reason, w.Message)
	}
	if w := workload(t, p, "gang"); w.Waiting != 4 || w.Reason != power.NoRoom {
		t.Errorf("the gang: %s: %s", w.Reason, w.Message)
	}
}

// TestStandbyYieldsByRank: to a gang of lower rank it does not, though what that gang lacks is looked for first.
func TestStandbyYieldsByRank(t *testing.T) {
	for priority, mining := range map[int]power.Watts{0: 400, 100: 600} {
		s := oneBudget(1000)
		mine(&s, "site", 700, 1000)
		s.Workloads = make([]power.Workload, 0, 4)
		high := work(&s, "high", power.Admitted, 1, 100)
		high.Priority, high.Standby = 100, 200
		place(high, "site")
		g := work(&s, "gang", power.Reserved, 1, 100)
		g.MinPods, g.Priority = 2, priority
		place(g, "site")
		addPods(g, power.Gated, 1, 200)
		if got := power.Decide(s).Budgets[0].Mining; got != mining {
			t.Errorf("%v for mining beside a gang of priority %d, want %v", got, priority, mining)
		}
	}
}

// TestADelayOfAGangThatDoesNotRunEvictsNobody: it is a release delay like any other.
func TestADelayOfAGangThatDoesNotRunEvictsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		phase power.Phase
		want  int
	}{"nothing of it runs": {power.Reserved, 0}, "some of it runs": {power.Admitted, 1}} {
		s := oneBudget(300)
		s.Budgets[0].Evict = true
		s.Workloads = make([]power.Workload, 0, 4)
		g := work(&s, "gang", c.phase, 1, 100)
		g.MinPods, g.Priority = 2, 10
		addPods(g, power.Releasing, 1, 100)
		g.Pods[1].Until = in(30 * time.Second)
		place(g, "site")
		running := work(&s, "running", power.Admitted, 2, 100)
		running.Interruptible = true
		place(running, "site")
		if got := power.Decide(s).Evictions; len(got) != c.want {
			t.Errorf("%s: evicted %v, want %d", name, got, c.want)
		}
	}
}

// TestAShutGateEvictsNobodyAboveIt: a reserved pod draws nothing and stays shut while the ledger is over; one of
// higher rank has room made for it.
func TestAShutGateEvictsNobodyAboveIt(t *testing.T) {
	for priority, want := range map[int]int{0: 0, 20: 1} {
		s := oneBudget(100)
		s.Budgets[0].Evict = true
		s.Workloads = make([]power.Workload, 0, 4)
		shut := work(&s, "shut", power.Reserved, 1, 100)
		shut.Priority, shut.Interruptible = priority, true
		place(shut, "site")
		running := work(&s, "running", power.Admitted, 1, 100)
		running.Interruptible, running.Priority = true, 10
		place(running, "site")
		p := power.Decide(s)
		if len(p.Evictions) != want || workload(t, p, "shut").Pods[0].Open {
			t.Errorf("shut at priority %d: evicted %v, want %d; open %t", priority, p.Evictions, want, workload(t, p, "shut").Pods[0].Open)
		}
	}
}

// TestAGateThatSparesThoseAboveItStaysShut: where nobody is evicted for a fall that comes because a gate is on, it stays
// on: those above the pod could not end in time any more.
func TestAGateThatSparesThoseAboveItStaysShut(t *testing.T) {
	for name, c := range map[string]struct {
		start    time.Duration
		priority int
		evicted  int
		open     bool
	}{
		"too near for those above to end later": {40 * time.Second, 0, 0, false},
		"nearer still":                          {20 * time.Second, 0, 0, false},
		"far enough ahead":                      {41 * time.Second, 0, 0, true},
		"above those that are evicted":          {40 * time.Second, 20, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(200)
			s.Budgets[0].Evict = true
			s.Budgets[0].Cuts = []power.Cut{{Start: in(c.start), End: in(time.Hour), Limit: 100}}
			s.Workloads = make([]power.Workload, 0, 4)
			shut := work(&s, "shut", power.Reserved, 1, 100)
			shut.Priority = c.priority
			place(shut, "site")
			running := work(&s, "running", power.Admitted, 1, 100)
			running.Interruptible, running.Priority, running.Pods[0].Grace = true, 10, 30*time.Second
			place(running, "site")
			p := power.Decide(s)
			if len(p.Evictions) != c.evicted || workload(t, p, "shut").Pods[0].Open != c.open {
				t.Errorf("evicted %v, want %d; open %t", p.Evictions, c.evicted, workload(t, p, "shut").Pods[0].Open)
			}
		})
	}
}

// TestWhoIsLetInEvictsNobodyAboveIt: one that is let in for as long as it may stay ends by itself before a fall that
// those above it, which take longer to end, would have to be told of at once.
func TestWhoIsLetInEvictsNobodyAboveIt(t *testing.T) {
	for name, phase := range map[string]power.Phase{"now": power.Gated, "a moment ago": power.Reserved, "before": power.Admitted} {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(200)
			s.Budgets[0].Evict = true
			s.Budgets[0].Cuts = []power.Cut{{Start: in(300 * time.Second), End: in(time.Hour), Limit: 100}}
			s.Workloads = make([]power.Workload, 0, 4)
			low := work(&s, "low", phase, 1, 100)
			low.Interruptible = true
			place(low, "site")
			running := work(&s, "running", power.Admitted, 1, 100)
			running.Interruptible, running.Priority, running.Pods[0].Grace = true, 10, 600*time.Second
			place(running, "site")
			p := power.Decide(s)
			w := workload(t, p, "low")
			if len(p.Evictions) != 0 || len(w.Pods) != 1 || phase != power.Admitted && !w.Pods[0].Open {
				t.Errorf("evicted %v; let in %+v", p.Evictions, w.Pods)
			}
		})
	}
}
