package stats

import (
	"math"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestPercentileIsAValueThatWasSeen(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for name, tt := range map[string]struct {
		values []float64
		p      float64
		want   float64
	}{
		"p99 of 100":      {hundred, 99, 99},
		"p50 of 100":      {hundred, 50, 50},
		"p100":            {hundred, 100, 100},
		"p0 is the least": {hundred, 0, 1},
		"p99 of 101":      {append([]float64{101}, hundred...), 99, 100},
		"p99 of few":      {[]float64{3, 1, 2}, 99, 3},
		"median of 4":     {[]float64{4, 1, 3, 2}, 50, 2},
		"of one":          {[]float64{7}, 50, 7},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Percentile(tt.values, tt.p); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if hundred[0] != 100 {
		t.Error("the values were reordered")
	}
	if got := Percentile(nil, 99); !math.IsNaN(got) {
		t.Errorf("of none: %v", got)
	}
}

func TestGapPercent(t *testing.T) {
	for _, tt := range []struct{ got, best, want float64 }{{99, 100, 1}, {100, 100, 0}, {0, 0, 0}, {0, 50, 100}} {
		if got := GapPercent(tt.got, tt.best); got != tt.want {
			t.Errorf("%v of %v: %v, want %v", tt.got, tt.best, got, tt.want)
		}
	}
	if got := Mean([]float64{1, 2, 6}); got != 3 {
		t.Errorf("mean %v, want 3", got)
	}
}

func TestSteal(t *testing.T) {
	before := parseStat("cpu  100 0 100 700 0 0 0 100 50 0\ncpu0 1 1 1 1 1 1 1 1")
	after := parseStat("cpu  150 0 150 700 0 0 0 300 99 0\n")
	if got := after.StealSince(before); math.Abs(got-200.0/3) > 1e-9 {
		t.Errorf("%v %% stolen", got)
	}
	if got := before.StealSince(before); got != 0 {
		t.Errorf("%v %% stolen in no time", got)
	}
}

func TestProcessFiles(t *testing.T) {
	if got := cpuOf("42 (a (b) c) S 1 42 42 0 -1 0 1 2 3 4 150 50 9 9 20 0 8 0 1\n"); got != 2*time.Second {
		t.Errorf("processor time %s, want 2s", got)
	}
	if got := kibOf("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n", "VmRSS"); got != 1024 {
		t.Errorf("%v KiB, want 1024", got)
	}
	if now, peak := MemoryOf(os.Getpid()); runtime.GOOS == "linux" && (now < 1 || peak < now) {
		t.Errorf("this process has %v MiB, at most %v", now, peak)
	}
}

func TestYardstickSeesWhatReachesIntoASpan(t *testing.T) {
	var y Yardstick
	zero := time.Unix(1_800_000_000, 0)
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	y.note(at(100), time.Millisecond)
	y.note(at(200), 50*time.Millisecond) // from 150 to 200
	y.note(at(300), 2*time.Millisecond)
	for name, tt := range map[string]struct {
		from, to int
		want     time.Duration
	}{
		"within":     {140, 210, 50 * time.Millisecond},
		"its begin":  {110, 160, 50 * time.Millisecond},
		"its end":    {190, 250, 50 * time.Millisecond},
		"after it":   {210, 310, 2 * time.Millisecond},
		"before it":  {90, 140, time.Millisecond},
		"at no time": {210, 290, 0},
	} {
		if got := y.Worst(at(tt.from), at(tt.to)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if got := Percentile(y.Ms(), 100); got != 50 {
		t.Errorf("worst of all %v ms, want 50", got)
	}
}
