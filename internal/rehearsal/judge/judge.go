// Package judge says whether a rehearsal held, from what was true: the meter's samples, when pods were
// gated, let in and ended, and what the timeline did. It never asks the operator. docs/rehearsal.md
// defines every figure.
package judge

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// Run is what happened.
type Run struct {
	Scenario string
	// Began is when measuring began, Zero when the timeline did, End when judging does.
	Began, Zero, End time.Time
	Samples          []meter.Sample
	Pods             []Pod
	Curtailments     []Event
	// Budgets as configured, by name.
	Budgets map[string]Budget
	// Fleet is what healthy machines can draw, from each moment on.
	Fleet []FleetAt
	Steps []Step
	// Machines as they truly were at the end; none where nobody could tell.
	Machines []Machine
	// Failures found while it ran.
	Failures []string
	Rules    scenario.Judge
}

// Budget is what is kept free on purpose: by a PowerBudget, and by its pools on top of estimated watts.
type Budget struct {
	MarginPercent float64
	HeadroomWatts int64
	// UncertaintyPercent is the least of the pools that this budget itself feeds; nil where it feeds none.
	UncertaintyPercent *float64
}

// FleetAt is what healthy machines can draw, by the budget that feeds them, from At on.
type FleetAt struct {
	At    time.Time
	Watts map[string]int64
}

// Machine is one simulated machine at the end.
type Machine struct {
	Address, Group, Budget, Persona string
	// Healthy machines do what they are told, if late.
	Healthy bool
	// Watts and TeraHashes are what it truly draws and makes, the other two those of its nameplate.
	Watts, TeraHashes       float64
	CanWatts, CanTeraHashes float64
	// InCondition and InEvent are when it was first named in a condition of a MinerPool, and in an event about one;
	// zero is never.
	InCondition, InEvent time.Time
}

// Event is a curtailment and when it was first seen.
type Event struct {
	meter.Event
	Written time.Time
}

// Step is one step of the timeline as it fired.
type Step struct {
	At    time.Time
	Label string
	// Within is how long after it the draw may be over a limit; 0 is not at all.
	Within time.Duration
	// Quiet steps change nothing.
	Quiet bool
}

// Pod is the life of a pod that asks for accelerators. A zero time is "not yet".
type Pod struct {
	Workload, Name string
	Watts          int64
	// Budget that feeds its node; empty until it is bound.
	Budget string
	// Gated says that it waited at the gate when it was created.
	Gated                            bool
	Created, Opened, Running, Finish time.Time
	// Release is how long its watts are kept after it ended.
	Release time.Duration
}

// Judge a run.
func Judge(run Run) Report {
	s := newSeries(run)
	r := Report{
		Scenario: run.Scenario, StartedAt: run.Zero.UTC().Truncate(time.Millisecond), DurationSeconds: round(run.End.Sub(run.Zero).Seconds()),
		Failures: append([]string{}, run.Failures...), Handovers: []Handover{}, Curtailments: []Curtailment{},
		Samples: len(run.Samples), MissingSamples: s.missing, SampleGapSeconds: round(s.gap.Seconds()),
		LimitWatts: s.limit, PeakWatts: s.peak, Budgets: s.extents,
	}
	s.over(&r)
	s.share(&r)
	s.healthy(&r)
	s.named(&r)
	s.stranded(&r)
	s.handovers(&r)
	s.curtailments(&r)
	s.unannounced(&r)
	c := check{rules: run.Rules, report: &r}
	c.samples(run, s)
	c.limits()
	c.workloads(run)
	c.handovers()
	c.mining()
	c.machines(run)
	c.curtailments()
	r.OK = len(r.Failures) == 0
	return r
}

// check writes a failure for each rule that does not hold.
type check struct {
	rules  scenario.Judge
	report *Report
}

func (c check) fail(format string, args ...any) {
	c.report.Failures = append(c.report.Failures, fmt.Sprintf(format, args...))
}

func (c check) samples(run Run, s *series) {
	total, missing := c.report.Samples, c.report.MissingSamples
	if total == 0 {
		c.fail("the meter took no sample")
		return
	}
	if most := *c.rules.MissingSamplesPercentMax; float64(missing) > most/100*float64(total) {
		c.fail("%d of %d samples are missing, more than %g %% (the first: %s)", missing, total, most, s.firstMissing)
	}
	longest := time.Duration(*c.rules.SampleGapSecondsMax * float64(time.Second))
	if s.gap > longest {
		c.fail("nobody measured for %.1f s from %.0f s on, more than %g s", s.gap.Seconds(), s.gapAt.Sub(run.Zero).Seconds(), longest.Seconds())
	}
	if gap := run.End.Sub(s.lastAt); gap > longest {
		c.fail("the meter's last sample is %.1f s older than the end", gap.Seconds())
	}
}

func (c check) limits() {
	for _, name := range slices.Sorted(maps.Keys(c.report.WattSecondsOver)) {
		over := round(c.report.WattSecondsOver[name] - c.report.WattSecondsExcused[name])
		most, own := c.rules.WattSecondsOverMaxBy[name]
		if !own {
			most = c.rules.WattSecondsOverMax
		}
		if over > most {
			c.fail("%s was over its limit by %.0f watt-seconds, more than %.0f", name, over, most)
		}
	}
}

func (c check) workloads(run Run) {
	if !*c.rules.AllWorkloadsStarted {
		return
	}
	waiting, all := map[string]int{}, map[string]int{}
	for _, p := range run.Pods {
		all[p.Workload]++
		if p.Running.IsZero() && p.Finish.IsZero() {
			waiting[p.Workload]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		c.fail("%d of %d pods of %s never ran", waiting[name], all[name], name)
	}
}

func (c check) handovers() {
	for _, h := range c.report.Handovers {
		if most := c.rules.HandoverControlSecondsMax; most != nil && h.ControlSeconds > *most {
			c.fail("the hand-over to %s at %.0f s took %.2f s of control, more than %g s", h.Workload, h.AtSeconds, h.ControlSeconds, *most)
		}
		if most := c.rules.HandoverGatedSecondsMax; most != nil && h.GatedSeconds > *most {
			c.fail("%s waited %.2f s at the gate from %.0f s on, more than %g s", h.Workload, h.GatedSeconds, h.AtSeconds, *most)
		}
	}
}

func (c check) mining() {
	r := c.report
	if least := c.rules.MiningBackPercentMin; least != nil && r.MiningBackPercent < *least {
		c.fail("mining draws %d W at the end, %.1f %% of its share of %d W, less than %g %%", r.MiningWatts, r.MiningBackPercent, r.MiningShareWatts, *least)
	}
	if most := c.rules.StrandedPercentMax; most != nil {
		switch {
		case r.StrandedJudgedSeconds == 0:
			c.fail("stranded watts can't be judged: every moment is within %g s of a change", *c.rules.RampSeconds)
		case r.StrandedPercent > *most:
			c.fail("%.2f %% of what the limits left to mining was stranded, more than %g %%", r.StrandedPercent, *most)
		}
	}
}

func (c check) curtailments() {
	most := c.rules.CurtailmentsMetWithinSeconds
	if most == nil {
		return
	}
	for _, e := range c.report.Curtailments {
		switch {
		case !e.Met:
			c.fail("curtailment %s was never met", e.Name)
		case e.MetAfterSeconds > *most:
			c.fail("curtailment %s was met %.1f s after its start, more than %g s", e.Name, e.MetAfterSeconds, *most)
		}
	}
}
