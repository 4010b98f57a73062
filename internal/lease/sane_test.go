package lease_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

func TestNonsense(t *testing.T) {
	sane := lease.Report{Bound: 900, Draw: 800, Floor: 50, Rated: 1000, Settle: time.Second, Curve: []lease.Point{{Watts: 50}, {Watts: 1000, THs: 9}}}
	if err := sane.Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit  func(*lease.Report)
		names string
	}{
		"negative draw":  {func(r *lease.Report) { r.Draw = -1 }, "draw"},
		"negative bound": {func(r *lease.Report) { r.Bound = -5 }, "bound"},
		"negative lease": {func(r *lease.Report) { r.LeaseWatts = -5 }, "lease"},
		"above rated":    {func(r *lease.Report) { r.Draw = 1001 }, "above its rated 1000 W"},
		"no number":      {func(r *lease.Report) { r.Curve[1].THs = math.NaN() }, "curve"},
		"no end":         {func(r *lease.Report) { r.Curve[1].THs = math.Inf(1) }, "curve"},
		"curve falls":    {func(r *lease.Report) { r.Curve[1].Watts = 40 }, "falls after 50 W"},
		"hash falls":     {func(r *lease.Report) { r.Curve[0].THs = 10 }, "falls after 50 W"},
		"negative time":  {func(r *lease.Report) { r.Settle = -1 }, "time"},
	} {
		r := sane
		r.Curve = append([]lease.Point{}, sane.Curve...)
		c.edit(&r)
		if err := r.Check(); !errors.Is(err, lease.ErrNonsense) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAgentThatTalksNonsenseIsQuarantined(t *testing.T) {
	i, h := pair(t)
	say := func(now time.Duration, bound, draw lease.Watts) {
		r := lease.Report{Bound: bound, Draw: draw, Rated: 2000}
		h.Stamp(now, &r)
		if _, err := i.Report(start.Add(now), r); err != nil {
			t.Fatal(err)
		}
	}
	say(time.Second, 400, 300)
	if _, ok := i.Grant(start, lease.Terms{Watts: 400, TTL: time.Minute, AsOf: i.Newest().AsOf}); !ok || i.Hold() != 400 {
		t.Fatalf("hold %d", i.Hold())
	}
	say(2*time.Second, 400, 2001)
	if i.Quarantined() == nil || i.Hold() != 2000 {
		t.Fatalf("hold %d of an agent in quarantine: want its rated watts", i.Hold())
	}
	if _, heard := i.Heard(); heard {
		t.Error("it counts as heard")
	}
	if _, ok := i.Grant(start, lease.Terms{Watts: 100, TTL: time.Minute, AsOf: i.Newest().AsOf}); ok {
		t.Error("it was given a lease")
	}
	// Sense again: not at once, not with a relapse, but after a while.
	say(30*time.Second, 100, 100)
	say(80*time.Second, 100, -1)
	say(90*time.Second, 100, 100)
	say(149*time.Second, 100, 100)
	if i.Quarantined() == nil || i.Hold() != 2000 {
		t.Fatalf("let go too early, hold %d", i.Hold())
	}
	say(150*time.Second, 100, 100)
	if i.Quarantined() != nil || i.Hold() != 400 {
		t.Fatalf("hold %d, %v: want the lease it may act on", i.Hold(), i.Quarantined())
	}
	if _, ok := i.Grant(start, lease.Terms{Watts: 100, TTL: time.Minute, AsOf: i.Newest().AsOf}); !ok {
		t.Error("no lease after its parole")
	}
	say(151*time.Second, -1, 100)
	h = lease.NewHolder(8)
	report(t, i, h, 152*time.Second, 300)
	if i.Quarantined() != nil {
		t.Error("a new run is not free of what the one before it said")
	}
}

// TestAWordToAnAgentIsNoneOfIt: that a run in quarantine is told of a new assignment is no sense of its own.
func TestAWordToAnAgentIsNoneOfIt(t *testing.T) {
	i, h := pair(t)
	report(t, i, h, time.Second, 500)
	i.Quarantine(errors.New("nonsense"))
	if i.Introduce() != nil {
		t.Error("it knows its assignment")
	}
	i.Assign(lease.Assignment{Ranges: []string{"10.0.0.9"}}, func(lease.Assignment, lease.Assignment) bool { return false })
	if hello := i.Introduce(); hello == nil || hello.Run != 7 || hello.Generation != i.Newest().Generation+1 {
		t.Errorf("told %+v", hello)
	}
	report(t, i, h, 30*time.Second, 500)
	report(t, i, h, 89*time.Second, 500)
	if i.Quarantined() == nil {
		t.Error("let go after 59 s of sense")
	}
	report(t, i, h, 90*time.Second, 500)
	if i.Quarantined() != nil {
		t.Error("not let go after 60 s of sense")
	}
}

func TestAClockThatRunsBackwards(t *testing.T) {
	i, h := pair(t)
	for n := range 8 { // late ones of a former connection
		report(t, i, h, time.Duration(-n)*time.Millisecond+500*time.Millisecond, 500)
	}
	report(t, i, h, time.Second, 500)
	if i.Quarantined() != nil {
		t.Fatal("late reports are no crime")
	}
	for n := range 9 {
		report(t, i, h, time.Duration(900-n)*time.Millisecond, 500)
	}
	if err := i.Quarantined(); err == nil || !strings.Contains(err.Error(), "backwards") {
		t.Fatalf("got %v", err)
	}
	// Its clock goes on from there: after a while of sense it counts again, by its own clock.
	report(t, i, h, 100*time.Millisecond, 500)
	h2 := func(at, clock time.Duration) {
		r := lease.Report{Bound: 450}
		h.Stamp(clock, &r)
		if _, err := i.Report(start.Add(at), r); err != nil {
			t.Fatal(err)
		}
	}
	h2(10*time.Second, 200*time.Millisecond)
	h2(71*time.Second, 300*time.Millisecond)
	if i.Quarantined() == nil {
		t.Fatal("reports older than the newest that counted are no sense")
	}
}
