package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestGangStartsWhole: all of minPods at once or none; further pods one by one, and not before the gang.
func TestGangStartsWhole(t *testing.T) {
	type outcome struct {
		New     int
		Waiting int
		Reason  power.Reason
	}
	tests := map[string]struct {
		limit power.Watts
		pods  int
		want  outcome
	}{
		"fits":                {limit: 400, pods: 4, want: outcome{4, 0, power.AllReserved}},
		"one too many":        {limit: 399, pods: 4, want: outcome{0, 4, power.NoRoom}},
		"incomplete":          {limit: 1000, pods: 3, want: outcome{0, 3, power.WaitingForPods}},
		"and others":          {limit: 1000, pods: 6, want: outcome{6, 0, power.AllReserved}},
		"others one by one":   {limit: 520, pods: 6, want: outcome{5, 1, power.NoRoom}},
		"none before the lot": {limit: 350, pods: 6, want: outcome{0, 6, power.NoRoom}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			work(&s, "train", power.Gated, tt.pods, 100).MinPods = 4
			p := power.Decide(s)
			w := workload(t, p, "train")
			if diff := cmp.Diff(tt.want, outcome{news(p)["train"], w.Waiting, w.Reason}); diff != "" {
				t.Errorf("%s\n%s", diff, w.Message)
			}
		})
	}
}

// TestNothingOfAGangStartsElsewhereFirst: while a gang waits for miners in one hall, its further pods take
// no watts that are free in another.
func TestNothingOfAGangStartsElsewhereFirst(t *testing.T) {
	s := twoHalls(10_000, 500, 150)
	mine(&s, "hall-1", 500, 500)
	work(&s, "train", power.Gated, 5, 100).MinPods = 4
	p := power.Decide(s)
	w := workload(t, p, "train")
	if len(w.Pods) != 0 || w.Waiting != 5 || w.Reason != power.WaitingForMiners {
		t.Errorf("%v reserved, %d wait: %s", holds(w), w.Waiting, w.Message)
	}
	if d := budget(t, p, "hall-1").Demand; d != 400 {
		t.Errorf("miners make room for %v, want the gang's 400 W", d)
	}
}

func TestGangIncompleteSaysSo(t *testing.T) {
	s := oneBudget(1000)
	work(&s, "train", power.Gated, 3, 100).MinPods = 4
	want := "3 of the gang's minPods 4 exist; the gang starts whole"
	if got := workload(t, power.Decide(s), "train").Message; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestGangKeepsItsWatts: while any of a gang runs, its reservation does not fall below minPods, nobody
// else is given those watts, and a pod that refills it has them at once.
// Rules: liveness c.
func TestGangKeepsItsWatts(t *testing.T) {
	over, soon := in(-time.Minute), in(time.Minute)
	tests := map[string]struct {
		running, ended int
		until          time.Time
		refill         bool
		want           map[string][]string // what each workload holds after the plan
	}{
		"kept past the release delay": {
			running: 3, ended: 1, until: over,
			want: map[string][]string{"train": {"train-0", "train-1", "train-2", "train-3"}},
		},
		"and from higher ranks": {
			running: 3, ended: 1, until: soon,
			want: map[string][]string{"train": {"train-0", "train-1", "train-2", "train-3"}},
		},
		"for the refill": {
			running: 3, ended: 1, until: over, refill: true,
			want: map[string][]string{"train": {"train-0", "train-1", "train-2", "train-4"}},
		},
		"for the refill, at once": {
			running: 3, ended: 1, until: soon, refill: true,
			want: map[string][]string{"train": {"train-0", "train-1", "train-2", "train-4"}},
		},
		"no more than minPods": {
			running: 3, ended: 2, until: over,
			want: map[string][]string{"train": {"train-0", "train-1", "train-2", "train-3"}, "other": {"other-0"}},
		},
		"not when all have ended": {
			running: 0, ended: 4, until: over,
			want: map[string][]string{"other": {"other-0"}},
		},
		"not when the gang is whole": {
			running: 4, ended: 1, until: over,
			want: map[string][]string{"train": {"train-0", "train-1", "train-2", "train-3"}, "other": {"other-0"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// All the watts are the gang's; another workload of higher rank waits for as much as one pod.
			s := oneBudget(power.Watts(tt.running+tt.ended) * 100)
			s.Workloads = make([]power.Workload, 0, 2)
			train := work(&s, "train", power.Admitted, tt.running, 100)
			train.MinPods = 4
			addPods(train, power.Releasing, tt.ended, 100)
			for i := tt.running; i < len(train.Pods); i++ {
				train.Pods[i].Until = tt.until
			}
			place(train, "site")
			if tt.refill {
				addPods(train, power.Gated, 1, 100)
			}
			work(&s, "other", power.Gated, 1, 100).Priority = 10
			got := map[string][]string{}
			for _, w := range power.Decide(s).Workloads {
				if len(w.Pods) > 0 {
					got[w.Key] = holds(w)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestGangStartsWholeAfterOneWent: a pod may be deleted after its gang was reserved and before any gate is open.
// Rules: liveness c.
func TestGangStartsWholeAfterOneWent(t *testing.T) {
	for name, tt := range map[string]struct {
		limit power.Watts
		runs  power.Phase
		gone  bool // that pod vanished, and nobody saw it end
		want  int  // gates that open
	}{
		"no room for another":           {200, power.Reserved, false, 0},
		"room for another":              {300, power.Reserved, false, 3},
		"no room, but it runs":          {200, power.Admitted, false, 1},
		"room for another, it runs":     {300, power.Admitted, false, 2},
		"no room, it may have run":      {200, power.Admitted, true, 0},
		"room for one, it may have run": {300, power.Admitted, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			w := work(&s, "train", power.Reserved, 1, 100)
			w.MinPods = 3
			addPods(w, tt.runs, 1, 100)
			addPods(w, power.Gated, 1, 100)
			place(w, "site")
			w.Pods[1].Gone = tt.gone
			if got := opens(workload(t, power.Decide(s), "train")); got != tt.want {
				t.Errorf("%d gates open, want %d", got, tt.want)
			}
		})
	}
}

// TestAGangThatLostPodsSaysWhatItHolds: nobody waits in their stead, and the watts are nobody else's.
// Rules: liveness c and i.
func TestAGangThatLostPodsSaysWhatItHolds(t *testing.T) {
	for name, tt := range map[string]struct {
		left int
		gone bool
		want string
	}{
		"while it runs":     {2, false, "2 of the gang's minPods 3 are there; it goes on, and 300 W are held for it while any of it runs"},
		"to a lost node":    {2, true, "2 of the gang's minPods 3 are there; it goes on, and 300 W are held for it while any of it runs"},
		"none, it is whole": {3, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(1000)
			w := work(&s, "train", power.Admitted, tt.left, 100)
			w.MinPods = 3
			if tt.gone {
				addPods(w, power.Admitted, 1, 100)
				w.Pods[2].Gone = true
			} else {
				addPods(w, power.Releasing, 1, 100)
			}
			place(w, "site")
			p := workload(t, power.Decide(s), "train")
			if tt.want == "" && p.Reason != power.AllReserved || tt.want != "" && (p.Reason != power.GangIncomplete || p.Message != tt.want) {
				t.Errorf("%s: %s", p.Reason, p.Message)
			}
		})
	}
}

// TestGangIsRefilledPodByPod: a gang that runs needs no second start of minPods.
// Rules: liveness c.
func TestGangIsRefilledPodByPod(t *testing.T) {
	s := oneBudget(1000)
	w := work(&s, "train", power.Admitted, 2, 100)
	w.MinPods = 4
	place(w, "site")
	addPods(w, power.Gated, 1, 100)
	if diff := cmp.Diff(map[string]int{"train": 1}, news(power.Decide(s))); diff != "" {
		t.Error(diff)
	}
}
