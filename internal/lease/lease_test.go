package lease_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

var start = time.Unix(1_800_000_000, 0)

func always(_, _ lease.Assignment) bool { return true }

// pair is one issuer and one holder that have met.
func pair(t *testing.T) (*lease.Issuer, *lease.Holder) {
	t.Helper()
	i, h := lease.NewIssuer(10), lease.NewHolder(7)
	i.Assign(lease.Assignment{Ranges: []string{"10.0.0.1"}}, always)
	report(t, i, h, 0, 500)
	i.Confirm(start)
	return i, h
}

// report carries one report up and its answer down.
func report(t *testing.T, i *lease.Issuer, h *lease.Holder, now time.Duration, bound lease.Watts) {
	t.Helper()
	for range 2 {
		r := lease.Report{Bound: bound, Rated: 2000}
		h.Stamp(now, &r)
		hello, err := i.Report(start.Add(now), r)
		if err != nil {
			t.Fatal(err)
		}
		if hello == nil {
			return
		}
		if err := h.Hello(now, *hello); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHolderRefuses(t *testing.T) {
	good := lease.Lease{Epoch: 10, Run: 7, Seq: 5, Watts: 100, TTL: time.Minute, AsOf: time.Second}
	for name, c := range map[string]struct {
		edit func(*lease.Lease)
		want error
	}{
		"in force":                       {func(*lease.Lease) {}, nil},
		"an older epoch":                 {func(m *lease.Lease) { m.Epoch = 9 }, lease.ErrOldEpoch},
		"an epoch that said no hello":    {func(m *lease.Lease) { m.Epoch = 11 }, lease.ErrNoHello},
		"another run":                    {func(m *lease.Lease) { m.Run = 8 }, lease.ErrOtherRun},
		"a seq seen before":              {func(m *lease.Lease) { m.Seq = 4 }, lease.ErrOldSeq},
		"an as-of ahead of this clock":   {func(m *lease.Lease) { m.AsOf = time.Hour }, lease.ErrClock},
		"a run not its own, other epoch": {func(m *lease.Lease) { m.Run, m.Epoch = 8, 11 }, lease.ErrOtherRun},
	} {
		t.Run(name, func(t *testing.T) {
			h := lease.NewHolder(7)
			must(t, h.Hello(0, lease.Hello{Epoch: 10, Run: 7, Generation: 1}))
			must(t, h.Lease(2*time.Second, lease.Lease{Epoch: 10, Run: 7, Seq: 4, Watts: 50, TTL: time.Minute}))
			m := good
			c.edit(&m)
			if err := h.Lease(2*time.Second, m); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			want := lease.Watts(50)
			if c.want == nil {
				want = 100
			}
			if got := h.Allowance(2 * time.Second); got.Mode != lease.Leased || got.Watts != want {
				t.Fatalf("allowance %+v, want %d", got, want)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHelloFencesAndLeavesTheLeaseInForce is for L7.
func TestHelloFencesAndLeavesTheLeaseInForce(t *testing.T) {
	h := lease.NewHolder(7)
	must(t, h.Hello(0, lease.Hello{Epoch: 10, Run: 7, Generation: 1}))
	must(t, h.Lease(0, lease.Lease{Epoch: 10, Run: 7, Seq: 9, Watts: 100, TTL: time.Minute}))
	must(t, h.Hello(0, lease.Hello{Epoch: 11, Run: 7, Generation: 1}))
	if err := h.Lease(0, lease.Lease{Epoch: 10, Run: 7, Seq: 10, Watts: 900, TTL: time.Minute}); !errors.Is(err, lease.ErrOldEpoch) {
		t.Fatalf("a lease of the leader before: %v", err)
	}
	var r lease.Report
	h.Stamp(time.Second, &r)
	if r.Epoch != 11 || r.Seq != 0 || r.LeaseWatts != 100 {
		t.Fatalf("report %+v: the lease in force is reported without a seq of the new leader's", r)
	}
	if err := h.Hello(0, lease.Hello{Epoch: 10, Run: 7, Generation: 5}); !errors.Is(err, lease.ErrOldEpoch) {
		t.Fatalf("hello of the leader before: %v", err)
	}
}

func TestAFreshAgentWaitsAndThenSheds(t *testing.T) {
	h := lease.NewHolder(7)
	if got := h.Allowance(lease.Grace - 1); got.Mode != lease.Untouched || got.Until != lease.Grace {
		t.Fatalf("young: %+v", got)
	}
	if got := h.Allowance(lease.Grace); got.Mode != lease.Floor {
		t.Fatalf("after the grace: %+v", got)
	}
}

func TestALeaseEndsByTheAgentsOwnClock(t *testing.T) {
	h := lease.NewHolder(7)
	must(t, h.Hello(0, lease.Hello{Epoch: 10, Run: 7, Generation: 1}))
	// Sent for a minute from as-of 15 s: delay shortens it.
	must(t, h.Lease(40*time.Second, lease.Lease{Epoch: 10, Run: 7, Seq: 1, Watts: 100, TTL: time.Minute, AsOf: 15 * time.Second}))
	if got := h.Allowance(74 * time.Second); got.Mode != lease.Leased {
		t.Fatalf("before: %+v", got)
	}
	if got := h.Allowance(75 * time.Second); got.Mode != lease.Floor {
		t.Fatalf("after: %+v", got)
	}
	r := lease.Report{}
	h.Stamp(75*time.Second, &r)
	if r.LeaseWatts != 0 || r.Seq != 1 {
		t.Fatalf("report %+v: nothing is in force", r)
	}
}

func TestNoLeaseBeforeItMayLeave(t *testing.T) {
	i, h := lease.NewIssuer(10), lease.NewHolder(7)
	grant := func() bool {
		_, ok := i.Grant(start, lease.Terms{Watts: 100, TTL: time.Minute, AsOf: i.Newest().AsOf})
		return ok
	}
	if grant() {
		t.Fatal("granted to an agent never met")
	}
	i.Assign(lease.Assignment{}, always)
	var r lease.Report
	h.Stamp(0, &r)
	hello, err := i.Report(start, r)
	must(t, err)
	i.Confirm(start)
	if grant() {
		t.Fatal("granted before the agent reported under this epoch (L2)")
	}
	must(t, h.Hello(0, *hello))
	h.Stamp(0, &r)
	if _, err := i.Report(start, r); err != nil || !grant() {
		t.Fatalf("not granted: %v", err)
	}
	// A new run is not confirmed by a read of the leader Lease that began before it was met (L7).
	h = lease.NewHolder(8)
	report(t, i, h, time.Minute, 500)
	i.Confirm(start.Add(30 * time.Second))
	if grant() {
		t.Fatal("granted to an unconfirmed run")
	}
	i.Confirm(start.Add(time.Minute))
	if !grant() {
		t.Fatal("not granted to a confirmed run")
	}
}

// TestHoldCountsEveryLeaseThatMayBeInForce is for L2.
func TestHoldCountsEveryLeaseThatMayBeInForce(t *testing.T) {
	i, h := pair(t)
	var sent []lease.Lease
	for _, w := range []lease.Watts{300, 900, 200} {
		m, ok := i.Grant(start, lease.Terms{Watts: w, TTL: time.Minute, AsOf: i.Newest().AsOf})
		if !ok {
			t.Fatal("not granted")
		}
		sent = append(sent, m)
	}
	if got := i.Hold(); got != 900 {
		t.Fatalf("hold %d: a lease counts before it leaves", got)
	}
	must(t, h.Lease(0, sent[0]))
	report(t, i, h, time.Second, 250)
	if got := i.Hold(); got != 900 {
		t.Fatalf("hold %d: later leases are still on their way", got)
	}
	must(t, h.Lease(time.Second, sent[2]))
	report(t, i, h, 2*time.Second, 250)
	if got := i.Hold(); got != 250 {
		t.Fatalf("hold %d: the last lease is in force, and the bound is above it", got)
	}
}

// TestARestartFreesNothing is for L3.
func TestARestartFreesNothing(t *testing.T) {
	i, _ := pair(t)
	if _, ok := i.Grant(start, lease.Terms{Watts: 800, TTL: time.Minute, AsOf: i.Newest().AsOf}); !ok {
		t.Fatal("not granted")
	}
	fresh := lease.NewHolder(8)
	report(t, i, fresh, 0, 2000)
	if got := i.Hold(); got != 800 {
		t.Fatalf("hold %d: devices not watched yet count at no more than before (L3)", got)
	}
	r := lease.Report{Bound: 2000, Draw: 950, Rated: 2000}
	fresh.Stamp(time.Second, &r)
	_, err := i.Report(start, r)
	must(t, err)
	if got := i.Hold(); got != 950 {
		t.Fatalf("hold %d: unless more is measured", got)
	}
	report(t, i, fresh, 2*time.Second, 600)
	report(t, i, fresh, 3*time.Second, 1500)
	if got := i.Hold(); got != 1500 {
		t.Fatalf("hold %d: the cap went once the bound was under it", got)
	}
}

func TestAHigherEpochStopsTheIssuer(t *testing.T) {
	i, h := pair(t)
	must(t, h.Hello(0, lease.Hello{Epoch: 11, Run: 7, Generation: 1}))
	var r lease.Report
	h.Stamp(0, &r)
	if _, err := i.Report(start, r); !errors.Is(err, lease.ErrOldEpoch) {
		t.Fatalf("got %v", err)
	}
}

// TestHoldCoversTheAgent plays one agent against two leaders over wires that lose, delay, repeat and
// reorder between connections: once the newest leader has heard the agent, its hold covers whatever the
// agent may draw.
// Rules: L2.
func TestHoldCoversTheAgent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{holder: lease.NewHolder(1), run: 1}
		w.lead(1)
		for range 120 {
			w.act(t)
			w.check(t)
		}
	})
}

type world struct {
	now     time.Duration
	holder  *lease.Holder
	run     lease.Run
	issuers []*lease.Issuer
	down    []any // hellos and leases on the wire
	up      []lease.Report
}

func (w *world) lead(epoch lease.Epoch) {
	i := lease.NewIssuer(epoch)
	i.Assign(lease.Assignment{}, always)
	w.issuers = append(w.issuers, i)
}

func (w *world) act(t *rapid.T) {
	w.now += time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
	i := w.issuers[rapid.IntRange(0, len(w.issuers)-1).Draw(t, "leader")]
	switch rapid.IntRange(0, 11).Draw(t, "act") {
	case 0, 1, 2:
		if m, ok := i.Grant(start.Add(w.now), lease.Terms{Watts: lease.Watts(rapid.IntRange(0, 9).Draw(t, "watts") * 100), TTL: 20 * time.Second, AsOf: i.Newest().AsOf}); ok {
			w.down = append(w.down, m)
		}
	case 3, 4, 5:
		if len(w.down) == 0 {
			return
		}
		n := rapid.IntRange(0, len(w.down)-1).Draw(t, "which")
		switch m := w.down[n].(type) {
		case lease.Hello:
			_ = w.holder.Hello(w.now, m)
		case lease.Lease:
			_ = w.holder.Lease(w.now, m)
		}
		if rapid.Bool().Draw(t, "once") {
			w.down = slices.Delete(w.down, n, n+1)
		}
	case 6, 7:
		w.up = append(w.up, w.say())
	case 8, 9:
		w.deliver(t, i)
	case 10:
		if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
			w.run++
			w.holder, w.up = lease.NewHolder(w.run), nil // a run's stream dies with it
		}
	case 11:
		if len(w.issuers) < 3 && rapid.IntRange(0, 9).Draw(t, "leaders") == 0 {
			w.lead(lease.Epoch(len(w.issuers) + 1))
		}
	}
}

// say makes a report; the devices draw at most what is allowed and settle at once.
func (w *world) say() lease.Report {
	var r lease.Report
	w.holder.Stamp(w.now, &r)
	return r
}

func (w *world) deliver(t *rapid.T, i *lease.Issuer) {
	if len(w.up) == 0 {
		return
	}
	r := w.up[rapid.IntRange(0, len(w.up)-1).Draw(t, "report")]
	hello, err := i.Report(start.Add(w.now), r)
	if err == nil && hello != nil {
		w.down = append(w.down, *hello)
	}
	i.Confirm(start.Add(w.now))
}

func (w *world) check(t *rapid.T) {
	a := w.holder.Allowance(w.now)
	var said lease.Report
	w.holder.Stamp(w.now, &said)
	for _, i := range w.issuers {
		_, heard := i.Heard()
		if !heard || i.Newest().Epoch != said.Epoch || i.Run() != w.run || a.Mode != lease.Leased {
			continue // a leader that was replaced is stopped elsewhere
		}
		if hold := i.Hold(); hold < a.Watts {
			t.Fatalf("the agent may draw %d and the leader of epoch %d holds %d", a.Watts, said.Epoch, hold)
		}
	}
}

// TestAFreshRunGoesOnWithWhatWasCounted: an agent that restarts keeps what the run before it was counted at,
// until it minds something else.
func TestAFreshRunGoesOnWithWhatWasCounted(t *testing.T) {
	now := time.Now()
	same := func(a, b lease.Assignment) bool { return slices.Equal(a.Ranges, b.Ranges) }
	i := lease.NewIssuer(7)
	i.Assign(lease.Assignment{Ranges: []string{"10.0.0.1"}}, same)
	report := lease.Report{Epoch: 7, Run: 1, Generation: 1, AsOf: time.Minute, Bound: 3100, Draw: 2900, Rated: 3700}
	if _, err := i.Report(now, report); err != nil || i.Carried() != 0 {
		t.Fatalf("carries %d W from no run (%v)", i.Carried(), err)
	}
	i.Confirm(now.Add(time.Hour))
	i.Grant(now, lease.Terms{Watts: 3100, TTL: time.Minute, AsOf: time.Minute})
	if _, err := i.Report(now, lease.Report{Epoch: 7, Run: 2, AsOf: time.Second / 2}); err != nil || i.Carried() != 3100 {
		t.Fatalf("carries %d W before the new run has looked at its machines, want 3100 W (%v)", i.Carried(), err)
	}
	report.Run, report.AsOf, report.Bound = 2, time.Second, 3700
	if _, err := i.Report(now, report); err != nil || i.Carried() != 3100 {
		t.Fatalf("carries %d W over a restart, want 3100 W (%v)", i.Carried(), err)
	}
	i.Assign(lease.Assignment{Ranges: []string{"10.0.0.2"}}, same)
	if i.Carried() != 0 {
		t.Fatalf("carries %d W to other machines", i.Carried())
	}
	report.Run, report.AsOf, report.Bound, report.Rated = 3, time.Second, 7400, 7400
	if _, err := i.Report(now, report); err != nil || i.Carried() != 0 || i.Hold() != 7400 {
		t.Fatalf("carries %d W over a restart and holds %d W; the run before had yet to take up what the next minds (%v)", i.Carried(), i.Hold(), err)
	}
}

func TestAWordSaidBeforeIsNoSignOfLife(t *testing.T) {
	i, h := pair(t)
	report(t, i, h, time.Second, 500)
	newest := i.Newest()
	if _, err := i.Report(start.Add(time.Minute), newest); err != nil {
		t.Fatal(err)
	}
	if at, _ := i.Heard(); !at.Equal(start.Add(time.Second)) {
		t.Errorf("heard last %v after the start, want 1s: a report that comes twice is old news", at.Sub(start))
	}
	report(t, i, h, time.Minute, 500)
	if at, _ := i.Heard(); !at.Equal(start.Add(time.Minute)) {
		t.Errorf("heard last %v after the start, want 1m0s", at.Sub(start))
	}
}
