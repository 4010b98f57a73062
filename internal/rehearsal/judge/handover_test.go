package judge

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// gang of n pods of 100 W in the hall, made at once, all let in at opened and running 0.5 s later.
func gang(n int, created, opened float64) []Pod {
	var out []Pod
	for i := range n {
		p := Pod{Workload: "ns/gang", Name: fmt.Sprint(i), Watts: 100, Budget: "hall", Gated: true, Created: at(created + float64(i)/100)}
		if opened > 0 {
			p.Opened, p.Running = at(opened), at(opened+0.5)
		}
		out = append(out, p)
	}
	return out
}

// ramp falls from a to b between two instants.
func ramp(from, to float64, a, b int64) func(float64) int64 {
	return func(t float64) int64 {
		switch {
		case t < from:
			return a
		case t >= to:
			return b
		}
		return a + int64(math.Round(float64(b-a)*(t-from)/(to-from)))
	}
}

func TestHandoverSplitsDeviceFromControl(t *testing.T) {
	// Four pods of 100 W come at 5; mining falls from 900 to 500 between 6 and 10; the gate opens at 11.
	w := world{seconds: 30, base: always(60), mining: ramp(6, 10, 900, 500), ai: during(11.5, 99, 400, 0)}
	run := w.run()
	run.Pods = gang(4, 5, 11)
	run.Budgets = map[string]Budget{"site": {MarginPercent: 4}}
	got := Judge(run).Handovers
	// The fall is seen at 6.3 (more than 5 % of the need); 960 W is kept from 10 on.
	want := []Handover{{Workload: "ns/gang", Pods: 4, Watts: 400, AtSeconds: 5, GatedSeconds: 6, DeviceSeconds: 3.7, ControlSeconds: 2.3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	run.Rules.HandoverControlSecondsMax, run.Rules.HandoverGatedSecondsMax = new(2.0), new(5.0)
	failures := strings.Join(Judge(run).Failures, "\n")
	for _, part := range []string{"took 2.30 s of control, more than 2 s", "waited 6.00 s at the gate from 5 s on, more than 5 s"} {
		if !strings.Contains(failures, part) {
			t.Errorf("want %q in %q", part, failures)
		}
	}
}

func TestHandoverFromHeadroomTakesNoDeviceTime(t *testing.T) {
	run := world{seconds: 30, mining: ramp(6, 10, 500, 400), ai: during(5.8, 99, 400, 0)}.run()
	run.Pods = gang(4, 5, 5.3)
	if h := Judge(run).Handovers[0]; h.DeviceSeconds != 0 || h.GatedSeconds != 0.3 {
		t.Errorf("got %+v", h)
	}
}

func TestHandoverThatNeverHappened(t *testing.T) {
	run := world{seconds: 30, mining: always(900)}.run()
	run.Pods = gang(4, 5, 0)
	for i := range run.Pods {
		run.Pods[i].Budget = ""
	}
	r := Judge(run)
	want := []Handover{{Workload: "ns/gang", Pods: 4, Watts: 400, AtSeconds: 5, GatedSeconds: 25, ControlSeconds: 25, Waiting: 4}}
	if diff := cmp.Diff(want, r.Handovers); diff != "" {
		t.Error(diff)
	}
	if len(r.Failures) != 1 || r.Failures[0] != "4 of 4 pods of ns/gang never ran" {
		t.Errorf("failures: %q", r.Failures)
	}
	run.Rules.AllWorkloadsStarted = new(false)
	if r := Judge(run); !r.OK {
		t.Errorf("failures: %q", r.Failures)
	}
}

func TestPodsOfAWaveThatRunAreCountedOnce(t *testing.T) {
	// Two pods are let in one after the other: when the second is, the first already draws.
	run := world{seconds: 30, mining: ramp(6, 8, 1000, 800), ai: func(t float64) int64 {
		return during(7.5, 99, 100, 0)(t) + during(9.5, 99, 100, 0)(t)
	}}.run()
	run.Pods = gang(2, 5, 7)
	run.Pods[1].Opened, run.Pods[1].Running = at(9), at(9.5)
	if h := Judge(run).Handovers[0]; h.GatedSeconds != 4 || h.DeviceSeconds != 1.8 {
		t.Errorf("got %+v", h)
	}
}

func TestWaves(t *testing.T) {
	pods := append(gang(3, 5, 6), gang(2, 20, 21)...)
	other := Pod{Workload: "ns/other", Name: "o", Gated: true, Created: at(6)}
	ungated := Pod{Workload: "ns/gang", Name: "u", Created: at(7)}
	deleted := Pod{Workload: "ns/gang", Name: "d", Gated: true, Created: at(12), Finish: at(13)}
	late := Pod{Workload: "ns/gang", Name: "l", Gated: true, Created: at(8)}
	var got []string
	for _, wave := range waves(append(pods, other, ungated, deleted, late)) {
		got = append(got, fmt.Sprintf("%s x%d", wave[0].Workload, len(wave)))
	}
	if diff := cmp.Diff([]string{"ns/gang x4", "ns/other x1", "ns/gang x2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCurtailments(t *testing.T) {
	limit := int64(600)
	event := func(name string, written, start float64) Event {
		return Event{Event: meter.Event{Name: name, Budget: "site", Limit: &limit, Start: at(start), End: at(20)}, Written: at(written)}
	}
	w := world{seconds: 30, site: during(10, 20, 600, 1000)}
	cases := map[string]struct {
		mining func(float64) int64
		event  Event
		want   Curtailment
		fails  string
	}{
		"met before":       {ramp(5, 9, 900, 500), event("e", 2, 10), Curtailment{NoticeSeconds: 8, Met: true}, ""},
		"met late":         {ramp(10, 11.2, 700, 600), event("e", 2, 10), Curtailment{NoticeSeconds: 8, Met: true, MetAfterSeconds: 1.2, WattSecondsOver: 65}, "met 1.2 s after its start, more than 1 s"},
		"never met":        {always(700), event("e", 2, 10), Curtailment{NoticeSeconds: 8, WattSecondsOver: 1000}, "was never met"},
		"written too late": {ramp(12, 12.5, 700, 600), event("e", 12, 10), Curtailment{Met: true, MetAfterSeconds: 0.5, WattSecondsOver: 30}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w.mining = c.mining
			run := w.run()
			run.Curtailments = []Event{c.event, event("after the end", 1, 31)}
			run.Rules.CurtailmentsMetWithinSeconds, run.Rules.WattSecondsOverMax = new(1.0), 1e9
			c.want.Name, c.want.Budget, c.want.LimitWatts = "e", "site", 600
			r := Judge(run)
			if diff := cmp.Diff([]Curtailment{c.want}, r.Curtailments); diff != "" {
				t.Error(diff)
			}
			failures := strings.Join(r.Failures, "\n")
			if (c.fails == "") != (failures == "") || !strings.Contains(failures, c.fails) {
				t.Errorf("failures: %q", failures)
			}
		})
	}
}
