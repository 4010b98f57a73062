package report

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

var zero = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// day is a run of n samples at a site of 4 MW with an AI job and a curtailment.
func day(n int) Picture {
	p := Picture{Title: "a day", Zero: zero.Add(10 * time.Second), Marks: []Mark{
		{zero.Add(15 * time.Second), "the gang arrives"}, {zero.Add(15300 * time.Millisecond), "chat 2 to 40"},
		{zero.Add(100 * time.Second), "curtailment"}, {zero.Add(time.Hour), "too late to see"},
	}}
	for i := range n {
		t := float64(i) / 10
		limit, ai := int64(4_000_000), int64(0)
		if t > 100 && t < 140 {
			limit = 2_800_000
		}
		if t > 20 && t < 120 {
			ai = 163_200
		}
		r := meter.Reading{Base: 300_000, AI: ai, Limit: &limit}
		r.Mining = limit - r.Base - r.AI - 100_000 + int64(20_000*math.Sin(t))
		p.Samples = append(p.Samples, meter.Sample{Seq: int64(i), At: zero.Add(time.Duration(i) * 100 * time.Millisecond), Budgets: map[string]meter.Reading{"site": r}})
	}
	return p
}

func TestPictureShowsWhatHappened(t *testing.T) {
	dir := t.TempDir()
	if err := day(1800).Save(dir); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "power.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"a day", "true draw in MW", "time in s", "base", "mining", "AI", "limit", "the gang arrives", "chat 2 to 40", "curtailment"} {
		if !strings.Contains(string(svg), ">"+word+"<") {
			t.Errorf("the picture does not say %q", word)
		}
	}
	if strings.Contains(string(svg), "too late to see") {
		t.Error("an event after the end is in the picture")
	}
	if info, err := os.Stat(filepath.Join(dir, "power.png")); err != nil || info.Size() < 10_000 {
		t.Errorf("power.png: %v", err)
	}
	if keep := os.Getenv("REHEARSAL_PICTURE"); keep != "" {
		if err := day(1800).Save(keep); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThinningKeepsTheWorst(t *testing.T) {
	p := day(6 * mostPoints)
	limit := int64(4_000_000)
	p.Samples[1234].Budgets["site"] = meter.Reading{Base: limit + 777, Limit: &limit}
	points := p.points()
	if len(points) > mostPoints {
		t.Errorf("%d points are left", len(points))
	}
	worst := int64(0)
	for _, x := range points {
		worst = max(worst, x.excess())
	}
	if worst != 777 {
		t.Errorf("the only excess of 777 W became %d", worst)
	}
}

func TestPictureNeedsSamples(t *testing.T) {
	if err := day(1).Save(t.TempDir()); err == nil {
		t.Error("a picture of nothing")
	}
}

func sample() judge.Report {
	return judge.Report{
		OK: false, Scenario: "day", DurationSeconds: 180, Samples: 1800, MissingSamples: 2,
		Budgets:         map[string]judge.Extent{"site": {LimitWatts: 4_000_000, PeakWatts: 3_912_345}, "hall-1": {LimitWatts: 22_000, PeakWatts: 9_999}},
		WattSecondsOver: map[string]float64{"site": 120}, WattSecondsExcused: map[string]float64{"site": 20},
		StrandedPercent: 1.25, StrandedJudgedSeconds: 60, MiningBackPercent: 98.4, MiningWatts: 3_400_000, MiningShareWatts: 3_455_000,
		Handovers: []judge.Handover{
			{Workload: "training/gang", Pods: 16, Watts: 163_200, AtSeconds: 10, GatedSeconds: 9.1, DeviceSeconds: 4.2, ControlSeconds: 4.9},
			{Workload: "training/never", Pods: 2, Watts: 20_400, GatedSeconds: 100, ControlSeconds: 100, Waiting: 2},
		},
		Curtailments: []judge.Curtailment{
			{Name: "grid", Budget: "site", LimitWatts: 2_800_000, NoticeSeconds: 20, Met: true},
			{Name: "late", Budget: "site", LimitWatts: 2_800_000, Met: true, MetAfterSeconds: 1.5, WattSecondsOver: 77},
			{Name: "unmet", Budget: "site", LimitWatts: 2_800_000},
		},
		Unannounced: []judge.Unannounced{{What: "drop", AtSeconds: 5, MetAfterSeconds: 4, WattSecondsOver: 20}},
		Failures:    []string{"site was over its limit by 100 watt-seconds, more than 0"},
	}
}

func TestTableSaysAll(t *testing.T) {
	var out strings.Builder
	if err := Table(&out, sample()); err != nil {
		t.Fatal(err)
	}
	squeezed := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"site 4.000 MW 3.912 MW 120 Ws (20 excused)", "hall-1 22.0 kW 9999 W 0 Ws",
		"training/gang 10 s 16 163.2 kW 9.1 s 4.2 s 4.9 s", "training/never 0 s 2 20.4 kW 2 still wait",
		"grid site 2.800 MW 20 s before it began 0 Ws", "late site 2.800 MW 0 s after 1.5 s 77 Ws", "unmet site 2.800 MW 0 s never",
		"drop 5 s after 4.0 s 20 Ws", "98.4 % of its share (3.400 MW of 3.455 MW)", "1.25 % of what the limits left to mining, over 60 s",
		"1800, 2 missing", "FAILED site was over its limit by 100 watt-seconds", "day: ok: false, 180 s",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("the table does not say %q:\n%s", want, out.String())
		}
	}
}

func TestJSONHasTheNamesPeopleReadBy(t *testing.T) {
	dir := t.TempDir()
	if err := WriteJSON(dir, sample()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"ok", "samples", "limitWatts", "peakWatts", "wattSecondsOver", "strandedPercent", "handovers", "curtailments", "failures",
		"miningBackPercent", "missingSamples", "scenario", "startedAt", "durationSeconds",
	} {
		if _, there := got[name]; !there {
			t.Errorf("report.json has no %s", name)
		}
	}
	h, c := got["handovers"].([]any)[0].(map[string]any), got["curtailments"].([]any)[0].(map[string]any)
	for _, name := range []string{"workload", "pods", "watts", "gatedSeconds", "deviceSeconds", "controlSeconds"} {
		if _, there := h[name]; !there {
			t.Errorf("a hand-over has no %s", name)
		}
	}
	for _, name := range []string{"name", "limitWatts", "metAfterSeconds", "wattSecondsOver"} {
		if _, there := c[name]; !there {
			t.Errorf("a curtailment has no %s", name)
		}
	}
}
