package braiins

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestIdentify(t *testing.T) {
	m := s19xp()
	d := New(wiretest.Serve(t, m))
	got, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Identity{
		Firmware: miner.BraiinsOS, FirmwareVersion: "2025-11-26-0-ab12cd34-25.11-plus", Model: "Antminer S19 XP",
		MAC: "7c:07:6a:11:22:33", Serial: "JYZZAEABCJJAA01A2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	requests := []string{
		"POST auth/login", "GET miner/details", "GET configuration/constraints", "GET configuration/miner",
	}
	if diff := cmp.Diff(requests, m.Taken()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestCapabilities(t *testing.T) {
	base := miner.Capabilities{
		Sleep: true, Continuous: true, MinWatts: 945, MaxWatts: 5500, StepWatts: 10,
		NameplateWatts: 3031, NameplateTHs: 140, ResidualWatts: 50,
		SleepTiming: miner.Timing{Typical: 5 * time.Second, Worst: 10 * time.Second},
		WakeTiming:  miner.Timing{Typical: 15 * time.Second, Worst: 30 * time.Second},
		TrimTiming:  miner.Timing{Typical: 10 * time.Second, Worst: 20 * time.Second},
	}
	noRange := base
	noRange.Continuous, noRange.MinWatts, noRange.MaxWatts, noRange.StepWatts = false, 0, 0, 0
	plateOnly := noRange
	plateOnly.NameplateWatts = 3010
	cases := map[string]struct {
		constraints string
		want        miner.Capabilities
	}{
		"as recorded": {want: base},
		"max is null": {
			constraints: `{"tuner_constraints":{"power_target":{"min":{"watt":945},"max":null,"default":{"watt":3031}}}}`,
			want:        noRange,
		},
		"watt of min is null": {
			constraints: `{"tuner_constraints":{"power_target":{"min":{"watt":null},"max":{"watt":5500},"default":{"watt":3031}}}}`,
			want:        noRange,
		},
		"range upside down": {
			constraints: `{"tuner_constraints":{"power_target":{"min":{"watt":5500},"max":{"watt":945},"default":{"watt":3031}}}}`,
			want:        noRange,
		},
		"all null": {constraints: `{"tuner_constraints":null}`, want: plateOnly},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			if c.constraints != "" {
				m.Set("configuration/constraints", c.constraints)
			}
			if diff := cmp.Diff(c.want, identified(t, m).Capabilities()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Timings are never shorter than assumed, and longer where the machine ramps longer.
func TestTimingsFollowRampTimes(t *testing.T) {
	type worst struct{ Sleep, Wake, Trim time.Duration }
	cases := map[string]struct {
		constraints, configuration string
		want                       worst
	}{
		"no ramp times": {want: worst{10 * time.Second, 30 * time.Second, 20 * time.Second}},
		"the default is short": {
			constraints: `{"hashboards_constraints":{"quick_ramping_time_s":{"default":5,"min":0,"max":600}}}`,
			want:        worst{10 * time.Second, 30 * time.Second, 20 * time.Second},
		},
		"the default is long": {
			constraints: `{"hashboards_constraints":{"quick_ramping_time_s":{"default":60,"min":0,"max":600}}}`,
			want:        worst{65 * time.Second, 75 * time.Second, 70 * time.Second},
		},
		"configured": {
			constraints:   `{"hashboards_constraints":{"quick_ramping_time_s":{"default":60}}}`,
			configuration: `{"hashboard_config":{"quick_ramping_time_up_s":120,"quick_ramping_time_down_s":"2"}}`,
			want:          worst{10 * time.Second, 135 * time.Second, 130 * time.Second},
		},
		"nonsense": {
			configuration: `{"hashboard_config":{"quick_ramping_time_up_s":-4,"quick_ramping_time_down_s":1e12}}`,
			want:          worst{10 * time.Second, 30 * time.Second, 20 * time.Second},
		},
		"longer than the API takes": {
			configuration: `{"hashboard_config":{"quick_ramping_time_up_s":0,"quick_ramping_time_down_s":86400}}`,
			want:          worst{605 * time.Second, 30 * time.Second, 610 * time.Second},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			if c.constraints != "" {
				m.Set("configuration/constraints", c.constraints)
			}
			if c.configuration != "" {
				m.Set("configuration/miner", c.configuration)
			}
			got := identified(t, m).Capabilities()
			if diff := cmp.Diff(c.want, worst{got.SleepTiming.Worst, got.WakeTiming.Worst, got.TrimTiming.Worst}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadAsRecorded(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := miner.Reading{
		State: miner.Hashing, HashrateTHs: new(114.2505), Watts: new(int64(2472)), WattsSource: miner.Estimate,
		TargetWatts: new(int64(3031)), Effective: new(int64(2431)), Ceiling: new(int64(3031)),
		Uptime: new(86461 * time.Second), Faults: []string{"PSU shutdown detected"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A reading costs three requests, and one more every fourth time; none of them writes.
func TestReadIsCheap(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	var counts []int
	extra := map[string]bool{}
	for range 12 {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		requests := m.Taken()
		counts = append(counts, len(requests))
		for _, r := range requests {
			if !strings.HasPrefix(r, "GET ") {
				t.Errorf("a reading sent %q", r)
			}
		}
		if len(requests) == 4 {
			extra[requests[3]] = true
		}
	}
	if diff := cmp.Diff([]int{4, 3, 3, 3, 4, 3, 3, 3, 4, 3, 3, 3}, counts); diff != "" {
		t.Errorf("requests per reading (-want +got):\n%s", diff)
	}
	slow := map[string]bool{"GET miner/errors": true, "GET cooling/state": true, "GET configuration/miner": true}
	if diff := cmp.Diff(slow, extra); diff != "" {
		t.Errorf("looked at in turn (-want +got):\n%s", diff)
	}
}

func TestReadStates(t *testing.T) {
	const idle = `{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":0}}},"power_stats":{"approximated_consumption":{"watt":38}}}`
	cases := map[string]struct {
		status, stats, tuner string
		want                 miner.State
		target               bool // the target in force is part of the reading
	}{
		"hashing":                   {want: miner.Hashing, target: true},
		"status as a word":          {status: `"normal"`, want: miner.Hashing, target: true},
		"status as a string number": {status: `"2"`, want: miner.Hashing, target: true},
		"paused":                    {status: "3", stats: idle, want: miner.Sleeping},
		"paused, still hashing":     {status: "3", want: miner.Stopping, target: true},
		"normal, not hashing yet":   {stats: idle, want: miner.Starting, target: true},
		"preheating":                {tuner: `{"overall_tuner_state":6}`, want: miner.Starting},
		"not started":               {status: "1", stats: idle, want: miner.Starting, target: true},
		"suspended":                 {status: "4", stats: idle, want: miner.Failed, target: true},
		"restricted, hashing":       {status: "5", want: miner.Hashing, target: true},
		"a status of the future":    {status: "9", want: miner.Unknown, target: true},
		"no hash rate":              {stats: `{}`, want: miner.Unknown, target: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			d := identified(t, m)
			if c.status != "" {
				m.Set("miner/details", strings.Replace(m.Replies["miner/details"], `"status":2`, `"status":`+c.status, 1))
			}
			if c.stats != "" {
				m.Set("miner/stats", c.stats)
			}
			if c.tuner != "" {
				m.Set("performance/tuner-state", c.tuner)
			}
			got, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.State != c.want || (got.Effective != nil) != c.target {
				t.Errorf("state %s, effective %v; want %s, effective given: %v", got.State, got.Effective, c.want, c.target)
			}
			if c.want == miner.Sleeping && got.Ceiling != nil {
				t.Errorf("a sleeping machine has a ceiling of %d W", *got.Ceiling)
			}
		})
	}
}

func TestReadWithGaps(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	m.Fail("miner/stats", http.StatusInternalServerError)
	m.Fail("performance/tuner-state", http.StatusServiceUnavailable)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Watts != nil || got.Effective != nil || got.HashrateTHs != nil || got.WattsSource != "" {
		t.Errorf("what the machine did not say is in the reading: %+v", got)
	}
	m.Fail("miner/details", http.StatusInternalServerError)
	if _, err := d.Read(t.Context()); err == nil {
		t.Error("a machine without details gave a reading")
	}
}

func TestFaultsAtOnceWhenTroubleBegins(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	if _, err := d.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Set("performance/tuner-state", `{"overall_tuner_state":"4"}`)
	m.Set("miner/errors", `{"errors":[{"message":"Chain 2 is gone"}]}`)
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"the tuner reports an error", "Chain 2 is gone"}
	if diff := cmp.Diff(want, got.Faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkRead(b *testing.B) {
	m := s19xp()
	d := New(wiretest.Serve(b, m))
	if _, err := d.Identify(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
