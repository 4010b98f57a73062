package play

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

func seconds(n float64) *scenario.Duration {
	d := scenario.D(time.Duration(n * float64(time.Second)))
	return &d
}

// bare is a stage with nothing on it but a clock, pods and a meter.
func bare(s *scenario.Scenario) *stage {
	return &stage{
		s: s, clock: clock.RealClock{}, disturbed: map[string]bool{}, events: make(chan string, 64),
		observer: newObserver(truth, clock.RealClock{}), readings: &readings{},
	}
}

func TestStepsFireInOrderAndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scenario.Scenario{Duration: *seconds(60), Timeline: []scenario.Step{
			{At: seconds(3), Note: "first"},
			// Pods are Running at 10 s: the wait ends then.
			{Await: &scenario.Await{Workload: "ns/chat", Is: "Running", Timeout: *seconds(30)}, Label: "it runs"},
			{At: seconds(5), Note: "late, since the wait above took longer"},
			{After: seconds(4), Note: "after"},
			{At: seconds(20), Await: &scenario.Await{Workload: "ns/never", Is: "Running", Timeout: *seconds(5)}},
			{At: seconds(21), Note: "goes on"},
		}}
		g := bare(s)
		began := time.Now()
		time.AfterFunc(10*time.Second-time.Millisecond, func() { g.observer.sawPod(aiPod("a", open, bound, runs)) })
		h, err := g.walk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, m := range h.marks {
			got[m.Label] = m.At.Sub(began).Seconds()
		}
		want := map[string]float64{"first": 3, "it runs": 10, "late, since the wait above took longer": 10, "after": 14, "goes on": 25}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(g.failures) != 1 || !strings.Contains(g.failures[0], "timeline[4] (await): not within 5s: 0 of 0 pods of ns/never are Running") {
			t.Errorf("failures: %q", g.failures)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWalkingEndsWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		g := bare(&scenario.Scenario{Duration: *seconds(60), Timeline: []scenario.Step{
			{At: seconds(2), Await: &scenario.Await{Workload: "ns/never", Is: "Running", Timeout: *seconds(30)}},
		}})
		if _, err := g.walk(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(g.failures) != 0 {
			t.Errorf("an interruption is told as a failure: %q", g.failures)
		}
	})
}

func TestAwaitedWattsAreMeasuredAfterTheWaitBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := bare(&scenario.Scenario{})
		sample := func(watts int64) {
			g.readings.take(meter.Sample{At: time.Now(), Budgets: map[string]meter.Reading{"site": {Mining: watts}}})
		}
		sample(100) // would suit, and is old
		began := time.Now()
		time.AfterFunc(time.Second, func() { sample(5) })
		time.AfterFunc(1950*time.Millisecond, func() { sample(100) })
		want := scenario.W(50)
		err := g.await(t.Context(), scenario.Await{Timeout: *seconds(9), Draw: &scenario.Draw{Budget: "site", AtLeast: &want}})
		if took := time.Since(began); err != nil || took != 2*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestLabels(t *testing.T) {
	var apply scenario.Manifests
	if err := apply.UnmarshalJSON([]byte(`"apiVersion: v1\nkind: Namespace\nmetadata: {name: somewhere}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n"`)); err != nil {
		t.Fatal(err)
	}
	cases := map[string]scenario.Step{
		"mine":                      {Label: "mine", Note: "x"},
		"apply Job j":               {Apply: apply},
		"Job j is refused":          {Apply: apply, Refused: "no"},
		"stop etcd":                 {Stop: "etcd"},
		"delete Job j":              {Delete: &scenario.Object{Kind: "Job", Name: "j"}},
		"scale chat to 4":           {Scale: &scenario.Scale{Name: "chat", Replicas: 4}},
		"3 of row-1 turn deaf":      {Persona: &scenario.Persona{Group: "row-1", Count: 3, Persona: "deaf"}},
		"reboot 127.1.0.1":          {Reboot: &scenario.Reboot{Address: "127.1.0.1"}},
		"reboot all of row-1":       {Reboot: &scenario.Reboot{Group: "row-1"}},
		"limit of site to 3.000 MW": {DropLimit: &scenario.DropLimit{Budget: "site", LimitWatts: scenario.W(3_000_000)}},
		"kill operator-0":           {Kill: "operator-0"},
		"resume apiserver":          {Resume: "apiserver"},
	}
	for want, step := range cases {
		if got := labelOf(step); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestOnlyARefusalInTheseWordsIsOne(t *testing.T) {
	away := fmt.Errorf("applying: limitWatts: %w", context.DeadlineExceeded)
	cases := map[string]struct {
		answer error
		want   string
	}{
		"refused":          {errors.New("spec.limitWatts in body should match"), ""},
		"taken":            {nil, "the API took it"},
		"for other causes": {errors.New("forbidden"), `want it refused with "limitWatts": forbidden`},
		"no answer":        {away, "want it refused"},
	}
	for name, c := range cases {
		err := refusedWith("limitWatts", c.answer)
		if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestKindsNeedNoVersionWhereTheyAreWellKnown(t *testing.T) {
	cases := map[string]string{
		"Job": "batch/v1, Kind=Job", "Pod": "/v1, Kind=Pod", "PowerBudget": "power.counterweight.dev/v1alpha1, Kind=PowerBudget",
		"Deployment": "apps/v1, Kind=Deployment",
	}
	for kind, want := range cases {
		if got := kindOf("", kind).String(); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
	if got := kindOf("x.dev/v2", "Job").String(); got != "x.dev/v2, Kind=Job" {
		t.Errorf("got %s", got)
	}
}

func TestStatusLine(t *testing.T) {
	limit := int64(4_000_000)
	sample := meter.Sample{Budgets: map[string]meter.Reading{"site": {Limit: &limit, Base: 300_000, Mining: 3_700_000, AI: 10_200}}}
	var out strings.Builder
	line(&out, "12 s", sample, 16, []string{"apply Job j", "kill sim"})
	want := "12 s limit 4.000 MW base 300.0 kW mining 3.700 MW AI 10.2 kW gated 16 OVER by 10.2 kW | apply Job j; kill sim"
	if got := strings.Join(strings.Fields(out.String()), " "); got != want {
		t.Errorf("want %q\ngot  %q", want, got)
	}
}
