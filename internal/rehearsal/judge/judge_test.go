package judge

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

var zero = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return zero.Add(time.Duration(math.Round(seconds*1000)) * time.Millisecond)
}

// world makes a run of one hall under one site, sampled ten times a second, in watts.
type world struct {
	seconds          float64
	site, hall       func(t float64) int64 // limits
	base, mining, ai func(t float64) int64 // of the hall
}

func always(n int64) func(float64) int64 { return func(float64) int64 { return n } }

// during is n from a to b seconds, and otherwise rest.
func during(a, b float64, n, rest int64) func(float64) int64 {
	return func(t float64) int64 {
		if t >= a && t < b {
			return n
		}
		return rest
	}
}

func (w world) run() Run {
	or := func(f func(float64) int64, n int64) func(float64) int64 {
		if f == nil {
			return always(n)
		}
		return f
	}
	run := Run{Scenario: "x", Began: zero, Zero: zero, End: at(w.seconds), Rules: rules()}
	for n := range int64(w.seconds * 10) {
		t := float64(n) / 10
		site, hall := or(w.site, 1000)(t), or(w.hall, 1000)(t)
		r := meter.Reading{Base: or(w.base, 0)(t), Mining: or(w.mining, 0)(t), AI: or(w.ai, 0)(t)}
		up, down := r, r
		up.Limit, down.Limit, down.Parent = &site, &hall, "site"
		run.Samples = append(run.Samples, meter.Sample{Seq: n, At: at(t), Budgets: map[string]meter.Reading{"site": up, "hall": down}})
	}
	return run
}

func rules() scenario.Judge {
	return scenario.Judge{AllWorkloadsStarted: new(true), MissingSamplesPercentMax: new(1.0), SampleGapSecondsMax: new(2.0), RampSeconds: new(2.0)}
}

func TestWattSecondsOver(t *testing.T) {
	w := world{seconds: 20, mining: during(5, 7.5, 1100, 900), hall: always(1040)}
	r := Judge(w.run())
	if diff := cmp.Diff(map[string]float64{"site": 250, "hall": 150}, r.WattSecondsOver); diff != "" {
		t.Error(diff)
	}
	if r.OK || len(r.Failures) != 2 || !strings.Contains(r.Failures[1], "site was over its limit by 250 watt-seconds, more than 0") {
		t.Errorf("failures: %q", r.Failures)
	}
	if r.PeakWatts != 1100 || r.LimitWatts != 1000 || r.Samples != 200 || r.DurationSeconds != 20 {
		t.Errorf("got %+v", r)
	}
	if diff := cmp.Diff(map[string]Extent{"site": {1000, 1100}, "hall": {1040, 1100}}, r.Budgets); diff != "" {
		t.Error(diff)
	}
	run := w.run()
	run.Rules.WattSecondsOverMax, run.Rules.WattSecondsOverMaxBy = 150, map[string]float64{"site": 250}
	if r := Judge(run); !r.OK {
		t.Errorf("failures: %q", r.Failures)
	}
}

func TestASampleStandsUntilTheNextOneWithWatts(t *testing.T) {
	run := world{seconds: 20, mining: during(5, 5.1, 1100, 900)}.run()
	for i := 51; i < 55; i++ {
		run.Samples[i] = meter.Sample{Seq: int64(i), At: run.Samples[i].At, Missing: "away"}
	}
	r := Judge(run)
	if r.WattSecondsOver["site"] != 50 || r.MissingSamples != 4 {
		t.Errorf("got %g watt-seconds, %d missing", r.WattSecondsOver["site"], r.MissingSamples)
	}
	if !slices.ContainsFunc(r.Failures, func(f string) bool {
		return strings.Contains(f, "4 of 200 samples are missing, more than 1 % (the first: away)")
	}) {
		t.Errorf("failures: %q", r.Failures)
	}
	run.Samples = run.Samples[:180]
	if r := Judge(run); !strings.Contains(strings.Join(r.Failures, "\n"), "the meter's last sample is 2.1 s older than the end") {
		t.Errorf("a meter that stopped is not told: %q", r.Failures)
	}
	run.Samples = nil
	if r := Judge(run); r.OK {
		t.Error("no sample at all is ok")
	}
}

func TestStepsExcuseForSoLong(t *testing.T) {
	run := world{seconds: 20, site: during(5, 99, 800, 1000), mining: during(0, 9, 900, 700)}.run()
	run.Steps = []Step{{At: at(5), Label: "drop", Within: 3 * time.Second}}
	r := Judge(run)
	if r.WattSecondsOver["site"] != 400 || r.WattSecondsExcused["site"] != 300 || r.OK {
		t.Errorf("got %v of which %v, ok %v", r.WattSecondsOver, r.WattSecondsExcused, r.OK)
	}
	run.Steps[0].Within = 6 * time.Second
	r = Judge(run)
	want := []Unannounced{{What: "drop", AtSeconds: 5, MetAfterSeconds: 4, WattSecondsOver: 400}}
	if diff := cmp.Diff(want, r.Unannounced); diff != "" || !r.OK {
		t.Errorf("ok %v: %s", r.OK, diff)
	}
}

func TestMiningBack(t *testing.T) {
	w := world{seconds: 20, base: always(100), ai: always(200), mining: during(0, 16, 0, 594)}
	run := w.run()
	run.Budgets = map[string]Budget{"site": {MarginPercent: 5, HeadroomWatts: 50}}
	run.Fleet = []FleetAt{{At: zero, Watts: map[string]int64{"hall": 5000}}}
	r := Judge(run)
	// 1000 less 5 % less 50, 100 and 200 leaves 600; mining averages 594 over 4 of the last 5 s.
	if r.MiningShareWatts != 600 || r.MiningWatts != 475 || r.MiningBackPercent != 79.2 {
		t.Errorf("got %d of %d W, %g %%", r.MiningWatts, r.MiningShareWatts, r.MiningBackPercent)
	}
	run.Rules.MiningBackPercentMin = new(97.0)
	if r := Judge(run); len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "79.2 % of its share of 600 W, less than 97 %") {
		t.Errorf("failures: %q", r.Failures)
	}
	run.Fleet = append(run.Fleet, FleetAt{At: at(10), Watts: map[string]int64{"hall": 480}})
	if r := Judge(run); r.MiningBackPercent != 99 {
		t.Errorf("what healthy machines can draw does not bound it: %g %%", r.MiningBackPercent)
	}
}

func TestLeftIsBoundAtEveryBudget(t *testing.T) {
	limit := func(n int64) *int64 { return &n }
	sample := meter.Sample{At: zero, Budgets: map[string]meter.Reading{
		"site": {Limit: limit(1000), Base: 30},
		"a":    {Limit: limit(300), Parent: "site", Base: 10},
		"b":    {Limit: limit(900), Parent: "site", AI: 400, Base: 20},
		"free": {Mining: 7},
	}}
	fleet := map[string]int64{"a": 999, "b": 100, "site": 50, "free": 8}
	// a: 290; b: its 100 fit in 480; at the site 290+100+50 fit in 970; free: 8.
	if got := Share(sample, nil, fleet); got != 448 {
		t.Errorf("want 448, got %g", got)
	}
	sample.Budgets["site"] = meter.Reading{Limit: limit(500), Base: 30, AI: 400}
	if got := Share(sample, nil, fleet); got != 78 {
		t.Errorf("want 70 and 8, got %g", got)
	}
	sample.Budgets["site"] = meter.Reading{Limit: limit(300), Base: 30, AI: 400}
	if got := Share(sample, nil, fleet); got != 8 {
		t.Errorf("want nothing and 8, got %g", got)
	}
}

func TestUncertaintyIsKeptFreeOfTheShareButCountsAsStranded(t *testing.T) {
	run := world{seconds: 20, base: always(50), mining: always(900)}.run()
	run.Fleet = []FleetAt{{At: zero, Watts: map[string]int64{"hall": 5000}}}
	run.Budgets = map[string]Budget{"hall": {MarginPercent: 5, UncertaintyPercent: new(0.0)}, "site": {UncertaintyPercent: new(20.0)}}
	if r := Judge(run); r.MiningShareWatts != 900 { // the hall's own pools could draw all of it
		t.Errorf("want 900, got %d", r.MiningShareWatts)
	}
	run.Budgets["hall"] = Budget{MarginPercent: 5, UncertaintyPercent: new(20.0)}
	run.Budgets["site"] = Budget{}
	r := Judge(run)
	if r.MiningShareWatts != 750 || r.MiningBackPercent != 120 || r.StrandedPercent != 0 {
		t.Errorf("got %d W, %g %%, %g %% stranded", r.MiningShareWatts, r.MiningBackPercent, r.StrandedPercent)
	}
	run = world{seconds: 20, base: always(50), mining: always(750)}.run()
	run.Fleet = []FleetAt{{At: zero, Watts: map[string]int64{"hall": 5000}}}
	run.Budgets = map[string]Budget{"hall": {MarginPercent: 5, UncertaintyPercent: new(20.0)}}
	if r := Judge(run); r.MiningBackPercent != 100 || r.StrandedPercent != 16.67 {
		t.Errorf("got %g %%, %g %% stranded", r.MiningBackPercent, r.StrandedPercent)
	}
}

func TestWattsKeptForPodsThatEndedAreNoShareOfMining(t *testing.T) {
	run := world{seconds: 20, mining: always(600), ai: during(0, 10, 300, 0)}.run()
	run.Fleet = []FleetAt{{At: zero, Watts: map[string]int64{"hall": 5000}}}
	run.Pods = []Pod{{Workload: "w", Watts: 300, Budget: "hall", Running: at(0), Finish: at(10), Release: 60 * time.Second}}
	if r := Judge(run); r.MiningShareWatts != 700 {
		t.Errorf("want 700, got %d", r.MiningShareWatts)
	}
	run.Pods[0].Release = time.Second
	if r := Judge(run); r.MiningShareWatts != 1000 {
		t.Errorf("want 1000, got %d", r.MiningShareWatts)
	}
}

func TestAGapBetweenSamplesIsToldHoweverFewTheyAre(t *testing.T) {
	run := world{seconds: 60, mining: always(900)}.run()
	run.Samples = slices.Delete(run.Samples, 100, 121)
	// Looks overlap, so that two of them may come in the other order.
	run.Samples[10], run.Samples[11] = run.Samples[11], run.Samples[10]
	r := Judge(run)
	if r.SampleGapSeconds != 2.2 || len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "nobody measured for 2.2 s from 10 s on, more than 2 s") {
		t.Errorf("%g s: %q", r.SampleGapSeconds, r.Failures)
	}
	run.Rules.SampleGapSecondsMax = new(3.0)
	if r := Judge(run); !r.OK {
		t.Errorf("failures: %q", r.Failures)
	}
}

func TestStrandedIsJudgedOutsideRamps(t *testing.T) {
	// Mining uses 900 of 1000, but for the ramp around a limit that falls at 10 and rises at 14.
	w := world{seconds: 20, site: during(10, 14, 500, 1000), mining: during(8, 16, 1, 900)}
	run := w.run()
	run.Fleet = []FleetAt{{At: zero, Watts: map[string]int64{"hall": 5000}}}
	run.Rules.StrandedPercentMax = new(5.0)
	r := Judge(run)
	if r.StrandedPercent != 10 || r.StrandedJudgedSeconds != 12 {
		t.Errorf("got %g %% over %g s", r.StrandedPercent, r.StrandedJudgedSeconds)
	}
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "10.00 % of what the limits left to mining was stranded, more than 5 %") {
		t.Errorf("failures: %q", r.Failures)
	}
	run.Pods = []Pod{{Workload: "w", Created: at(0), Opened: at(3), Running: at(4), Finish: at(5), Release: 3 * time.Second, Budget: "hall"}}
	run.Steps = []Step{{At: at(18), Label: "x"}, {At: at(1), Quiet: true}}
	if r := Judge(run); r.StrandedJudgedSeconds != 3 { // 2 to 3 and 16 to 18
		t.Errorf("want 3 s outside ramps, got %g", r.StrandedJudgedSeconds)
	}
	run.Rules.RampSeconds = new(20.0)
	if r := Judge(run); len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "can't be judged") {
		t.Errorf("failures: %q", r.Failures)
	}
}
