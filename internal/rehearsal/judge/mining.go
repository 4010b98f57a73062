package judge

import (
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// lastSeconds over which mining's draw at the end is averaged.
const lastSeconds = 5

// share compares mining's draw at the end with what is left to it.
func (s *series) share(r *Report) {
	first := s.from(s.run.End.Add(-lastSeconds * time.Second))
	var mining, left float64
	for _, sample := range s.all[first:] {
		mining += float64(sample.Roots().Mining)
		left += s.mayDraw(sample)
	}
	n := float64(len(s.all) - first)
	if n == 0 {
		return
	}
	r.MiningWatts, r.MiningShareWatts = int64(mining/n), int64(left/n)
	r.MiningBackPercent = percent(mining, left)
}

// percent of left that is used; all of nothing is 100.
func percent(used, left float64) float64 {
	if left <= 0 {
		return 100
	}
	return round(100 * used / left)
}

// left is what the limits leave to mining at an instant: at every budget the limit, less its margin and
// headroom, base, AI and what is kept for pods that ended, or what healthy machines below can draw,
// whichever is less.
func (s *series) left(sample meter.Sample) float64 { return s.sum(sample, false) }

// mayDraw is what of that mining may draw when it keeps the uncertainty of its pools free as well.
func (s *series) mayDraw(sample meter.Sample) float64 { return s.sum(sample, true) }

func (s *series) sum(sample meter.Sample, uncertain bool) float64 {
	children := map[string][]string{}
	for name, r := range sample.Budgets {
		if _, known := sample.Budgets[r.Parent]; known {
			children[r.Parent] = append(children[r.Parent], name)
		}
	}
	fleet, kept := s.fleetAt(sample.At), s.keptAt(sample)
	// under is the watts at and below a budget, and the least uncertainty of its pools.
	var under func(name string) (watts, uncertainty float64)
	under = func(name string) (float64, float64) {
		cfg := s.run.Budgets[name]
		can, least := float64(fleet[name]), math.Inf(1)
		if u := cfg.UncertaintyPercent; u != nil {
			least = *u
		}
		for _, child := range children[name] {
			watts, u := under(child)
			can, least = can+watts, min(least, u)
		}
		r := sample.Budgets[name]
		if r.Limit == nil {
			return can, least
		}
		free := float64(*r.Limit)*(1-cfg.MarginPercent/100) - float64(cfg.HeadroomWatts+r.Base+r.AI+kept[name])
		if uncertain && !math.IsInf(least, 1) {
			free /= 1 + least/100
		}
		return max(0, min(can, free)), least
	}
	sum := 0.0
	for name, r := range sample.Budgets {
		if _, known := sample.Budgets[r.Parent]; !known {
			watts, _ := under(name)
			sum += watts
		}
	}
	return sum
}

// keptAt is the watts kept for pods that ended, as their workloads ask, by budget.
func (s *series) keptAt(sample meter.Sample) map[string]int64 {
	kept := map[string]int64{}
	for _, p := range s.run.Pods {
		if p.Running.IsZero() || p.Finish.IsZero() || sample.At.Before(p.Finish) || !sample.At.Before(p.Finish.Add(p.Release)) {
			continue
		}
		for name := range above(sample, p.Budget) {
			kept[name] += p.Watts
		}
	}
	for budget, watts := range s.sick {
		for name := range above(sample, budget) {
			kept[name] += watts
		}
	}
	return kept
}

func (s *series) fleetAt(t time.Time) map[string]int64 {
	var now map[string]int64
	for _, f := range s.run.Fleet {
		if f.At.After(t) {
			break
		}
		now = f.Watts
	}
	return now
}

// Share is what mining may draw in one sample, while a rehearsal runs. What is kept for pods that ended
// is in it: who waits for mining waits for that too.
func Share(sample meter.Sample, budgets map[string]Budget, fleet map[string]int64) float64 {
	s := series{run: Run{Budgets: budgets, Fleet: []FleetAt{{Watts: fleet}}}}
	return s.mayDraw(sample)
}

// stranded compares mining with what was left to it, where nothing had changed for a while.
func (s *series) stranded(r *Report) {
	ramps := s.ramps()
	var lost, left, seconds float64
	for i, sample := range s.all {
		if sample.At.Before(s.run.Zero) || ramps.cover(sample.At) {
			continue
		}
		could := s.left(sample) * s.lasts(i)
		used := float64(sample.Roots().Mining) * s.lasts(i)
		left += could
		lost += max(0, could-used)
		seconds += s.lasts(i)
	}
	r.StrandedJudgedSeconds = round(seconds)
	if left > 0 {
		r.StrandedPercent = round(100 * lost / left)
	}
}

// windows are stretches of time.
type windows []struct{ from, to time.Time }

func (w *windows) add(from, to time.Time) {
	*w = append(*w, struct{ from, to time.Time }{from, to})
}

func (w windows) cover(t time.Time) bool {
	for _, one := range w {
		if !t.Before(one.from) && t.Before(one.to) {
			return true
		}
	}
	return false
}

// ramps are the times around changes: after each step, and after each moment a pod came, was let in, ran
// or ended (and its watts were kept); on both sides of a changed limit, since an announced fall is met
// before it comes.
func (s *series) ramps() windows {
	var w windows
	n := time.Duration(*s.run.Rules.RampSeconds * float64(time.Second))
	for _, step := range s.run.Steps {
		if !step.Quiet {
			w.add(step.At, step.At.Add(max(n, step.Within)))
		}
	}
	for _, p := range s.run.Pods {
		for _, t := range []time.Time{p.Created, p.Opened, p.Running} {
			if !t.IsZero() {
				w.add(t, t.Add(n))
			}
		}
		if !p.Finish.IsZero() {
			w.add(p.Finish, p.Finish.Add(p.Release+n))
		}
	}
	s.addLimitChanges(&w, n)
	return w
}

func (s *series) addLimitChanges(w *windows, around time.Duration) {
	last := map[string]int64{}
	for _, sample := range s.all {
		for name, r := range sample.Budgets {
			if r.Limit == nil {
				continue
			}
			if before, seen := last[name]; seen && before != *r.Limit {
				w.add(sample.At.Add(-around), sample.At.Add(around))
			}
			last[name] = *r.Limit
		}
	}
}
