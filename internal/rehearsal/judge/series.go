package judge

import (
	"math"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// series is the samples that hold watts, in order.
type series struct {
	run          Run
	all          []meter.Sample
	missing      int
	firstMissing string
	lastAt       time.Time
	gap          time.Duration // the longest between two samples
	gapAt        time.Time
	limit, peak  int64
	extents      map[string]Extent
	sick         map[string]int64 // watts that misbehaving machines draw and others thus can't, by budget
}

func newSeries(run Run) *series {
	s := &series{run: run, extents: map[string]Extent{}}
	// Looks overlap: a late one may stand for a later instant than the next.
	ordered := slices.SortedStableFunc(slices.Values(run.Samples), func(a, b meter.Sample) int { return a.At.Compare(b.At) })
	for _, sample := range ordered {
		if sample.At.After(run.End) {
			break
		}
		if sample.Missing != "" {
			if s.missing++; s.missing == 1 {
				s.firstMissing = sample.Missing
			}
			continue
		}
		if gap := sample.At.Sub(s.lastAt); !s.lastAt.IsZero() && gap > s.gap {
			s.gap, s.gapAt = gap, s.lastAt
		}
		s.lastAt = sample.At
		s.all = append(s.all, sample)
		s.extend(sample)
	}
	return s
}

func (s *series) extend(sample meter.Sample) {
	wider := func(e Extent, r meter.Reading) Extent {
		e.PeakWatts = max(e.PeakWatts, r.Draw())
		if r.Limit != nil {
			e.LimitWatts = max(e.LimitWatts, *r.Limit)
		}
		return e
	}
	roots := wider(Extent{s.limit, s.peak}, sample.Roots())
	s.limit, s.peak = roots.LimitWatts, roots.PeakWatts
	for name, r := range sample.Budgets {
		s.extents[name] = wider(s.extents[name], r)
	}
}

// lasts is how long sample i stands: until the next one.
func (s *series) lasts(i int) float64 {
	if i+1 < len(s.all) {
		return s.all[i+1].At.Sub(s.all[i].At).Seconds()
	}
	if i > 0 {
		return s.all[i].At.Sub(s.all[i-1].At).Seconds()
	}
	return 0
}

// from is the index of the first sample at or after t.
func (s *series) from(t time.Time) int {
	i, _ := slices.BinarySearchFunc(s.all, t, func(sample meter.Sample, t time.Time) int { return sample.At.Compare(t) })
	return i
}

// over integrates draw over limit, by budget.
func (s *series) over(r *Report) {
	r.WattSecondsOver = map[string]float64{}
	r.WattSecondsExcused = map[string]float64{}
	for i, sample := range s.all {
		for name, reading := range sample.Budgets {
			ws := float64(reading.Over()) * s.lasts(i)
			r.WattSecondsOver[name] += ws
			if ws > 0 && s.excused(sample.At) {
				r.WattSecondsExcused[name] += ws
			}
		}
	}
	for _, sums := range []map[string]float64{r.WattSecondsOver, r.WattSecondsExcused} {
		for name := range sums {
			sums[name] = round(sums[name])
		}
	}
}

func (s *series) excused(t time.Time) bool {
	return slices.ContainsFunc(s.run.Steps, func(step Step) bool {
		return step.Within > 0 && !t.Before(step.At) && t.Before(step.At.Add(step.Within))
	})
}

func (s *series) overAll(from, to time.Time) float64 {
	sum := 0.0
	for i := s.from(from); i < len(s.all) && s.all[i].At.Before(to); i++ {
		for _, reading := range s.all[i].Budgets {
			sum += float64(reading.Over()) * s.lasts(i)
		}
	}
	return round(sum)
}

// unannounced tells, for each step that excuses, when the draw was under every limit again.
func (s *series) unannounced(r *Report) {
	for _, step := range s.run.Steps {
		if step.Within == 0 {
			continue
		}
		end := step.At.Add(step.Within)
		u := Unannounced{What: step.Label, AtSeconds: round(step.At.Sub(s.run.Zero).Seconds()), WattSecondsOver: s.overAll(step.At, end)}
		for i := s.from(step.At); i < len(s.all) && s.all[i].At.Before(end); i++ {
			for _, reading := range s.all[i].Budgets {
				if reading.Over() > 0 {
					u.MetAfterSeconds = round(s.all[i].At.Sub(step.At).Seconds() + s.lasts(i))
				}
			}
		}
		r.Unannounced = append(r.Unannounced, u)
	}
}

func (s *series) curtailments(r *Report) {
	for _, e := range s.run.Curtailments {
		if !e.Start.Before(s.run.End) {
			continue
		}
		c := Curtailment{Name: e.Name, Budget: e.Budget, NoticeSeconds: max(0, round(e.Start.Sub(e.Written).Seconds()))}
		// An event written after its start can't be met before.
		start := e.Start
		if e.Written.After(start) {
			start = e.Written
		}
		for i := s.from(start); i < len(s.all) && s.all[i].At.Before(e.End); i++ {
			reading, ok := s.all[i].Budgets[e.Budget]
			if !ok || reading.Limit == nil {
				continue
			}
			c.LimitWatts = *reading.Limit
			c.WattSecondsOver += float64(reading.Over()) * s.lasts(i)
			if !c.Met && reading.Over() == 0 {
				c.Met = true
				c.MetAfterSeconds = met(i == s.from(start), s.all[i].At.Sub(start))
			}
		}
		c.WattSecondsOver = round(c.WattSecondsOver)
		r.Curtailments = append(r.Curtailments, c)
	}
}

// met after so long; what the very first sample shows was so when it began.
func met(first bool, after time.Duration) float64 {
	if first {
		return 0
	}
	return round(after.Seconds())
}

// round to what anyone would print.
func round(x float64) float64 { return math.Round(x*100) / 100 }
