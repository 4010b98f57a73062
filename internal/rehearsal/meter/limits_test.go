package meter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatalf("parsing: %v", err)
	}
	return u
}

func budget(t *testing.T, l *Limits, name, spec string) {
	t.Helper()
	if err := l.SetBudget(object(t, "{apiVersion: a/v1, kind: PowerBudget, metadata: {name: "+name+"}, spec: {"+spec+"}}")); err != nil {
		t.Fatal(err)
	}
}

func event(t *testing.T, l *Limits, name, spec string) {
	t.Helper()
	if err := l.SetEvent(object(t, "{apiVersion: a/v1, kind: CurtailmentEvent, metadata: {name: "+name+"}, spec: {"+spec+"}}")); err != nil {
		t.Fatal(err)
	}
}

func TestLimitInForce(t *testing.T) {
	l := NewLimits()
	budget(t, l, "site", "limitWatts: 4M, marginPercent: 10")
	budget(t, l, "hall", "limitWatts: 2200000, parent: site")
	event(t, l, "cut", `budget: site, limitWatts: 2.8M, start: "2026-07-01T12:00:10Z", end: "2026-07-01T12:00:20Z"`)
	event(t, l, "less", `budget: site, reduceByWatts: 1500k, start: "2026-07-01T12:00:15Z", end: "2026-07-01T12:00:30Z"`)
	event(t, l, "more", `budget: hall, limitWatts: 3M, start: "2026-07-01T12:00:00Z", end: "2026-07-01T12:01:00Z"`)
	cases := []struct {
		budget string
		after  float64
		want   int64
	}{
		{"site", 9.999, 4_000_000},
		{"site", 10, 2_800_000},
		{"site", 15, 2_500_000},
		{"site", 20, 2_500_000},
		{"site", 30, 4_000_000},
		{"hall", 5, 2_200_000},
	}
	for _, c := range cases {
		at := noon.Add(time.Duration(c.after * float64(time.Second)))
		if got := l.At(c.budget, at); got == nil || *got != c.want {
			t.Errorf("%s at %gs: want %d, got %v", c.budget, c.after, c.want, got)
		}
	}
	if got := l.At("nowhere", noon); got != nil {
		t.Errorf("a budget nobody wrote has the limit %d", *got)
	}
	l.DropEvent("less")
	l.DropBudget("hall")
	if got := l.At("site", noon.Add(16*time.Second)); *got != 2_800_000 {
		t.Errorf("a deleted event still counts: %d", *got)
	}
	if l.At("hall", noon) != nil {
		t.Error("a deleted budget still has a limit")
	}
}

func TestReadingsRollUp(t *testing.T) {
	l := NewLimits()
	budget(t, l, "site", "limitWatts: 100")
	budget(t, l, "hall", "limitWatts: 60, parent: site")
	budget(t, l, "row", "limitWatts: 50, parent: hall")
	budget(t, l, "orphan", "limitWatts: 9, parent: nobody")
	budget(t, l, "loop-a", "limitWatts: 9, parent: loop-b")
	budget(t, l, "loop-b", "limitWatts: 9, parent: loop-a")
	cfg := Config{BaseWatts: map[string]int64{"site": 10, "row": 1, "loop-a": 3}}
	got := cfg.readings(moment{at: noon, mining: map[string]float64{"row": 39.6, "unwritten": 5}, ai: map[string]int64{"hall": 7}}, l)
	limit := func(n int64) *int64 { return &n }
	want := map[string]Reading{
		"site":      {Limit: limit(100), Base: 11, Mining: 40, AI: 7},
		"hall":      {Parent: "site", Limit: limit(60), Base: 1, Mining: 40, AI: 7},
		"row":       {Parent: "hall", Limit: limit(50), Base: 1, Mining: 40},
		"orphan":    {Parent: "nobody", Limit: limit(9)},
		"loop-a":    {Parent: "loop-b", Limit: limit(9), Base: 3},
		"loop-b":    {Parent: "loop-a", Limit: limit(9), Base: 3},
		"unwritten": {Mining: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRootsNeedALimitEach(t *testing.T) {
	limit := int64(10)
	s := Sample{Budgets: map[string]Reading{"a": {Limit: &limit, Base: 1}, "b": {Limit: &limit, Mining: 2}, "c": {Parent: "a", AI: 5}}}
	if got := s.Roots(); *got.Limit != 20 || got.Draw() != 3 {
		t.Errorf("got %+v", got)
	}
	s.Budgets["d"] = Reading{AI: 1}
	if got := s.Roots(); got.Limit != nil || got.Over() != 0 {
		t.Errorf("a root without a limit has one: %+v", got)
	}
}
