package handover

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func TestWritesOfTheOperatorAlone(t *testing.T) {
	log := strings.NewReader(`{"verb":"patch","userAgent":"operator/v0.0.0 (linux/amd64)","objectRef":{"resource":"pods","name":"a"}}
{"verb":"update","userAgent":"operator/v0.0.0","objectRef":{"resource":"gpuworkloads","apiGroup":"power.counterweight.dev","subresource":"status"}}
{"verb":"update","userAgent":"operator/v0.0.0","objectRef":{"resource":"leases","apiGroup":"coordination.k8s.io"}}
{"verb":"create","userAgent":"bench","objectRef":{"resource":"pods"}}
{"verb":"patch","userAgent":"operator/v0.0.0 (linux/amd64)","objectRef":{"resource":"pods","name":"b"}}
{"verb":"patch","userAgent":"operator/v0.0`)
	got, err := writesOf(log)
	if err != nil || got.Total() != 3 || got.String() != "2 patch pods, 1 update gpuworkloads/status" {
		t.Fatalf("%v %s", err, got)
	}
	more := got.less(Writes{"patch pods": 1, "update gpuworkloads/status": 1})
	if more.String() != "1 patch pods" {
		t.Errorf("on top: %s", more)
	}
}

// TestModelLetsWattsGoOnceSettled: a lower lease binds at once and its watts are gone a settle time later; a
// higher one counts at once; one that was replaced before it settled frees nothing.
func TestModelLetsWattsGoOnceSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lowers := 0
		a := newModel(1, 250, time.Second, func(time.Time) { lowers++ })
		if err := a.Hello(t.Context(), lease.Hello{Epoch: 1, Run: 2, Generation: 1}); err != nil {
			t.Fatal(err)
		}
		seq := uint64(0)
		send := func(w lease.Watts) {
			t.Helper()
			seq++
			if err := a.Lease(t.Context(), lease.Lease{Epoch: 1, Run: 2, Seq: seq, Watts: w, TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		draws := func(want lease.Watts) {
			t.Helper()
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.level != want {
				t.Errorf("may draw %d W, want %d W", a.level, want)
			}
		}
		send(500_000)
		draws(500_000)
		send(400_000)
		draws(500_000)
		time.Sleep(1100 * time.Millisecond)
		draws(400_000)
		send(300_000)
		send(450_000)
		time.Sleep(1100 * time.Millisecond)
		draws(450_000)
		send(0)
		time.Sleep(1100 * time.Millisecond)
		draws(a.floor())
		if lowers != 3 {
			t.Errorf("%d leases took watts, want 3", lowers)
		}
		reports, cancel := a.Subscribe(t.Context())
		r := <-reports
		if r.Seq != seq || r.Bound > a.floor() || r.Rated <= r.Curve[len(r.Curve)-1].Watts || r.Generation != 1 {
			t.Errorf("%+v", r)
		}
		cancel()
	})
}

// TestEveryModelTalksSense: the operator leases nothing to an agent whose reports can't be, whatever machine it stands for.
func TestEveryModelTalksSense(t *testing.T) {
	for n, kind := range minersim.Models() {
		m := newModel(n, 256, time.Second, func(time.Time) {})
		reports, cancel := m.Subscribe(t.Context())
		r := <-reports
		cancel()
		if err := r.Check(); err != nil || r.Curve[points].THs < kind.TeraHashes {
			t.Errorf("%s: %v; %+v", kind.Name, err, r)
		}
	}
}

func TestTheOperatorIsGivenTheChartsMemory(t *testing.T) {
	if got, err := memoryLimit(); err != nil || !strings.HasSuffix(got, "Mi") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAModelThatIsAskedCanTellOfALease: looking at all models must not stop one that tells of a lease meanwhile.
func TestAModelThatIsAskedCanTellOfALease(t *testing.T) {
	s := &site{}
	m := newModel(1, 250, time.Second, s.lower)
	s.models = []*model{m}
	m.mu.Lock()
	looked, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		s.heard()
		s.leased()
	}()
	go func() {
		defer close(told)
		time.Sleep(50 * time.Millisecond) // for the other to be at m's lock
		s.lower(time.Now())
	}()
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("it waits for who waits for it")
	}
	m.mu.Unlock()
	<-looked
}

func TestAddressesOfAPool(t *testing.T) {
	if got := rangeOf(3, 2500); got != "10.3.0.0-10.3.9.195" {
		t.Error(got)
	}
}

func TestMetricsByNameAndLabels(t *testing.T) {
	got, err := parseMetrics(strings.NewReader("# HELP go_goroutines x\ngo_goroutines 12\n" + passes + "sum" + ofSite + " 1.5e+01\nodd\n"))
	if err != nil || got["go_goroutines"] != 12 || got[passes+"sum"+ofSite] != 15 || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}
