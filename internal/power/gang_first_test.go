package power_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// lacking adds a gang "train" of four pods of 100 W on the site, of which three are in one phase and one has ended.
func lacking(s *power.Site, phase power.Phase) *power.Workload {
	w := work(s, "train", phase, 3, 100)
	w.MinPods = 4
	addPods(w, power.Releasing, 1, 100)
	w.Pods[3].Until = in(time.Minute)
	place(w, "site")
	return w
}

// TestRefillTakesTheEndedPodsPlace: whoever else waits, a pod that refills a running gang has the watts that the
// gang's ended pod holds, and nobody's but those.
// Rules: liveness c.
func TestRefillTakesTheEndedPodsPlace(t *testing.T) {
	cut := func(limit power.Watts) func(*power.Site) {
		return func(s *power.Site) {
			s.Budgets[0].Cuts = []power.Cut{{Name: "evening", Start: in(time.Hour), End: in(2 * time.Hour), Limit: limit}}
		}
	}
	tests := map[string]struct {
		refills []power.Watts
		edit    func(*power.Site)
		want    map[string]int
	}{
		"as much":             {[]power.Watts{100}, nil, map[string]int{"train": 1}},
		"less":                {[]power.Watts{90}, nil, map[string]int{"train": 1}},
		"more":                {[]power.Watts{110}, nil, map[string]int{}},
		"one of two":          {[]power.Watts{100, 100}, nil, map[string]int{"train": 1}},
		"the one that can":    {[]power.Watts{110, 100}, nil, map[string]int{"train": 1}},
		"not what others had": {[]power.Watts{100, 100}, func(s *power.Site) { s.Budgets[0].Limit = 500 }, map[string]int{"train": 1, "other": 1}},
		"not over the limit":  {[]power.Watts{100}, func(s *power.Site) { s.Budgets[0].Limit = 399 }, map[string]int{}},
		"not once halted":     {[]power.Watts{100}, func(s *power.Site) { s.Workloads[0].Halted = "spec" }, map[string]int{}},
		"not where halted":    {[]power.Watts{100}, func(s *power.Site) { s.Budgets[0].Halted = "spec" }, map[string]int{}},
		"through what comes":  {[]power.Watts{100}, cut(400), map[string]int{"train": 1}},
		"not into a shortage": {[]power.Watts{100}, cut(399), map[string]int{}},
		"mining set above it can't have them": {[]power.Watts{100}, func(s *power.Site) {
			p, _ := mine(s, "site", 0, 100)
			p.Priority = 20
		}, map[string]int{"train": 1}},
		"nor can mining that is to be kept": {[]power.Watts{100}, func(s *power.Site) {
			p, _ := mine(s, "site", 0, 100)
			p.Floor = 100
		}, map[string]int{"train": 1}},
		"without a node for it": {[]power.Watts{100}, func(s *power.Site) {
			s.Nodes = []power.Node{{Name: "n", Budget: "site", Open: true, Free: map[string]int64{"gpu": 7}}}
			s.Workloads[0].Pods[4].Ask = map[string]int64{"gpu": 8}
		}, map[string]int{}},
		"its node is taken": {[]power.Watts{100}, func(s *power.Site) {
			s.Budgets[0].Limit = 500
			s.Nodes = []power.Node{{Name: "n", Budget: "site", Open: true, Free: map[string]int64{"gpu": 8}}}
			s.Workloads[0].Pods[4].Ask, s.Workloads[1].Pods[0].Ask = map[string]int64{"gpu": 8}, map[string]int64{"gpu": 8}
		}, map[string]int{"train": 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(400)
			s.Workloads = make([]power.Workload, 0, 2)
			train := lacking(&s, power.Admitted)
			for _, w := range tt.refills {
				addPods(train, power.Gated, 1, w)
			}
			work(&s, "other", power.Gated, 1, 100).Priority = 10
			if tt.edit != nil {
				tt.edit(&s)
			}
			p := power.Decide(s)
			if diff := cmp.Diff(tt.want, news(p)); diff != "" {
				t.Errorf("%s\n%s", diff, workload(t, p, "train").Message)
			}
		})
	}
}

// TestRefillTakesNoPlaceElsewhere: what an ended pod holds in one hall pays for no pod in another.
// Rules: liveness c.
func TestRefillTakesNoPlaceElsewhere(t *testing.T) {
	for hall, want := range map[string]map[string]int{"hall-1": {"train": 1}, "hall-2": {}} {
		t.Run(hall, func(t *testing.T) {
			s := twoHalls(400, 400, 400)
			s.Workloads = make([]power.Workload, 0, 2)
			train := lacking(&s, power.Admitted)
			place(train, "hall-1")
			addPods(train, power.Gated, 1, 100)
			train.Pods[4].Selector = map[string]string{"hall": hall}
			work(&s, "other", power.Gated, 1, 100).Priority = 10
			p := power.Decide(s)
			if diff := cmp.Diff(want, news(p)); diff != "" {
				t.Errorf("%s\n%s", diff, workload(t, p, "train").Message)
			}
		})
	}
}

// TestWhatAGangLacksComesFirst: a gang that has watts and of which no gate is open yet holds them for nothing until
// it is whole, so its missing pods go before every rank; all of them or none, and no further ones.
// Rules: liveness c.
func TestWhatAGangLacksComesFirst(t *testing.T) {
	type outcome struct {
		New   map[string]int
		Opens int // of the gang's gates
	}
	over := func(s *power.Site) { s.Workloads[0].Pods[3].Until = in(-time.Minute) }
	tests := map[string]struct {
		limit  power.Watts
		gated  int // of the gang, which lacks one
		others int
		edit   func(*power.Site)
		want   outcome
	}{
		"from the ended pod":        {400, 1, 4, nil, outcome{map[string]int{"train": 1}, 4}},
		"from what is free":         {400, 1, 4, over, outcome{map[string]int{"train": 1}, 4}},
		"no further ones":           {600, 2, 2, over, outcome{map[string]int{"train": 1, "other": 2}, 4}},
		"kept while it may come":    {400, 0, 1, nil, outcome{map[string]int{}, 0}},
		"and no longer":             {400, 0, 1, over, outcome{map[string]int{"other": 1}, 0}},
		"all that it lacks":         {500, 2, 5, func(s *power.Site) { s.Workloads[0].MinPods = 5 }, outcome{map[string]int{"train": 2}, 5}},
		"or none: one has to come":  {500, 1, 1, func(s *power.Site) { over(s); s.Workloads[0].MinPods = 5 }, outcome{map[string]int{"other": 1}, 0}},
		"or none: no room for both": {400, 2, 4, func(s *power.Site) { s.Workloads[0].MinPods = 5 }, outcome{map[string]int{}, 0}},
		"not once halted":           {400, 1, 1, func(s *power.Site) { over(s); s.Workloads[0].Halted = "spec" }, outcome{map[string]int{"other": 1}, 0}},
		"any pod will do": {400, 2, 4, func(s *power.Site) {
			over(s)
			s.Workloads[0].Pods[4].Watts = 5000
		}, outcome{map[string]int{"train": 1}, 4}},
		"any two will do": {500, 3, 5, func(s *power.Site) {
			s.Workloads[0].MinPods, s.Workloads[0].Pods[4].Watts = 5, 5000
		}, outcome{map[string]int{"train": 2}, 5}},
		"once miners have shed": {500, 1, 4, func(s *power.Site) {
			over(s)
			mine(s, "site", 200, 200)
		}, outcome{map[string]int{}, 0}},
		"a start anew is none": {400, 4, 1, func(s *power.Site) {
			// Nothing of the gang is left: four new pods start whole, and in their turn.
			for i := range 3 {
				s.Workloads[0].Pods[i].Phase, s.Workloads[0].Pods[i].Until = power.Releasing, in(-time.Minute)
			}
		}, outcome{map[string]int{"other": 1}, 0}},
		"what vanished starts anew": {400, 4, 3, func(s *power.Site) {
			w := &s.Workloads[0]
			w.Pods[0].Phase, w.Pods[0].Gone = power.Admitted, true
			for i := 1; i < 3; i++ {
				w.Pods[i].Phase, w.Pods[i].Until = power.Releasing, in(-time.Minute)
			}
		}, outcome{map[string]int{"other": 3}, 0}},
		"what vanished keeps nothing": {400, 0, 1, func(s *power.Site) {
			over(s)
			s.Workloads[0].Pods[0].Phase, s.Workloads[0].Pods[0].Gone = power.Admitted, true
		}, outcome{map[string]int{"other": 1}, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			s.Workloads = make([]power.Workload, 0, 2)
			addPods(lacking(&s, power.Reserved), power.Gated, tt.gated, 100)
			other := work(&s, "other", power.Gated, tt.others, 100)
			other.Priority, other.MinPods = 10, tt.others
			if tt.edit != nil {
				tt.edit(&s)
			}
			p := power.Decide(s)
			train := workload(t, p, "train")
			if diff := cmp.Diff(tt.want, outcome{news(p), opens(train)}); diff != "" {
				t.Errorf("%s\ntrain: %s\nother: %s", diff, train.Message, workload(t, p, "other").Message)
			}
		})
	}
}

// TestMinersMakeRoomForWhatAGangLacks, once, and for no further pod of it.
// Rules: liveness c.
func TestMinersMakeRoomForWhatAGangLacks(t *testing.T) {
	s := oneBudget(700)
	s.Workloads = make([]power.Workload, 0, 2)
	train := lacking(&s, power.Reserved)
	train.Pods[3].Until = in(-time.Minute)
	addPods(train, power.Gated, 1, 100)
	addPods(train, power.Gated, 1, 90)
	mine(&s, "site", 400, 400)
	work(&s, "other", power.Gated, 2, 100).Priority = 10
	p := power.Decide(s)
	if got := workload(t, p, "train").Reason; got != power.WaitingForMiners || budget(t, p, "site").Demand != 300 {
		t.Errorf("%s, and miners make room for %v, want the gang's 100 W and the others' 200", got, budget(t, p, "site").Demand)
	}
}

// TestGangThatIsNotWholeSaysSo: reserved pods whose gates stay shut wait, and what they hold is told.
// Rules: liveness i.
func TestGangThatIsNotWholeSaysSo(t *testing.T) {
	type outcome struct {
		Reason  power.Reason
		Waiting int
		Message string
	}
	const hint = "held until it is whole: if the rest do not come, lower minPods or delete the pods"
	tests := map[string]struct {
		minPods, reserved, gated int
		edit                     func(*power.Workload)
		want                     outcome
	}{
		"one never came":    {3, 2, 0, nil, outcome{power.WaitingForPods, 2, "2 of the gang's minPods 3 exist; the 200 W of those are " + hint}},
		"some come":         {4, 1, 1, nil, outcome{power.WaitingForPods, 2, "2 of the gang's minPods 4 exist; the 100 W of those are " + hint}},
		"one vanished":      {3, 2, 0, func(w *power.Workload) { w.Pods[1].Phase, w.Pods[1].Gone = power.Admitted, true }, outcome{power.WaitingForPods, 1, "1 of the gang's minPods 3 exist; the 100 W of those are " + hint}},
		"no room for one":   {3, 2, 1, func(w *power.Workload) { w.Pods[2].Watts = 400 }, outcome{power.NoRoom, 3, "pod train-2 needs 400 W on site; its limit less margin of 500 W leaves about 300 W beside base load 0 W, AI pods 200 W and mining that can't be shed; the 200 W of the gang's 2 other pods are held until it is whole"}},
		"halted":            {3, 2, 1, func(w *power.Workload) { w.Halted = "edit the spec" }, outcome{power.Stalled, 3, "edit the spec; the 200 W of the gang's 2 other pods are held until it is whole"}},
		"whole":             {3, 3, 0, nil, outcome{power.AllReserved, 0, "3 pods have their watts"}},
		"whole with one":    {3, 2, 1, nil, outcome{power.AllReserved, 0, "3 pods have their watts"}},
		"it runs":           {3, 2, 0, func(w *power.Workload) { w.Pods[1].Phase = power.Admitted }, outcome{power.GangIncomplete, 0, "2 of the gang's minPods 3 are there; it goes on, and 200 W are held for it while any of it runs"}},
		"no gang":           {0, 2, 0, nil, outcome{power.AllReserved, 0, "2 pods have their watts"}},
		"lowered":           {2, 2, 0, nil, outcome{power.AllReserved, 0, "2 pods have their watts"}},
		"nothing was given": {3, 0, 2, nil, outcome{power.WaitingForPods, 2, "2 of the gang's minPods 3 exist; the gang starts whole"}},
		"it starts anew": {3, 1, 2, func(w *power.Workload) { w.Pods[0].Phase, w.Pods[0].Gone = power.Admitted, true },
			outcome{power.WaitingForPods, 2, "2 of the gang's minPods 3 exist; the gang starts whole"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(500)
			w := work(&s, "train", power.Reserved, tt.reserved, 100)
			w.MinPods = tt.minPods
			addPods(w, power.Gated, tt.gated, 100)
			if tt.edit != nil {
				tt.edit(w)
			}
			place(w, "site")
			p := workload(t, power.Decide(s), "train")
			if diff := cmp.Diff(tt.want, outcome{p.Reason, p.Waiting, p.Message}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
