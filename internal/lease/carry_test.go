package lease_test

import (
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// settled is an issuer whose agent has settled in its first run: 3600 W in all.
func settled(t *testing.T) *lease.Issuer {
	t.Helper()
	i := lease.NewIssuer(5)
	i.Assign(lease.Assignment{}, always)
	says(t, i, lease.Report{Epoch: 5, Run: 1, Generation: 1, AsOf: time.Minute, Bound: 3600, Draw: 3500, Rated: 3800})
	i.Confirm(start.Add(time.Hour))
	grants(t, i, lease.Terms{Watts: 3600, AsOf: time.Minute})
	return i
}

func grants(t *testing.T, i *lease.Issuer, terms lease.Terms) {
	t.Helper()
	terms.TTL = time.Minute
	if _, ok := i.Grant(start, terms); !ok {
		t.Fatalf("%+v is not granted", terms)
	}
}

func says(t *testing.T, i *lease.Issuer, r lease.Report) {
	t.Helper()
	_, err := i.Report(start, r)
	must(t, err)
}

// TestARunThatDiesYoungProvesNothing is for L3: it has looked at no machine, and the next goes on with what the
// run before them both was counted at.
func TestARunThatDiesYoungProvesNothing(t *testing.T) {
	i := settled(t)
	says(t, i, lease.Report{Epoch: 5, Run: 2, AsOf: time.Second})
	for run := lease.Run(3); run < 6; run++ {
		says(t, i, lease.Report{Epoch: 5, Run: run, AsOf: time.Second})
		says(t, i, lease.Report{Epoch: 5, Run: run, Generation: 1, AsOf: 4 * time.Second, Bound: 3800, Draw: 60, Rated: 3800})
		if i.Hold() != 3600 || i.Carried() != 3600 {
			t.Fatalf("run %d: holds %d W, carries %d W, and nobody has shed anything", run, i.Hold(), i.Carried())
		}
	}
}

// TestWhatWasNotFoundIsNotCapped is for L3 and L4: devices that the run before had not found counted as
// unfound, and do not vanish from the ledger where the next one finds them.
func TestWhatWasNotFoundIsNotCapped(t *testing.T) {
	i := settled(t)
	says(t, i, lease.Report{Epoch: 5, Run: 2, Generation: 1, AsOf: time.Second, Bound: 7600, Draw: 3560, Rated: 7600})
	if i.Hold() != 3600+3800 {
		t.Errorf("holds %d W, want what was counted and all of what is new", i.Hold())
	}
}

// TestARunThatFollowsKnowsNothingOfWhatWasLetGo is for L1: what was let go draws under a shared lease, and a run
// that never had those devices may not go on with all of its watts.
func TestARunThatFollowsKnowsNothingOfWhatWasLetGo(t *testing.T) {
	for name, c := range map[string]struct {
		shared bool
		asOf   time.Duration
		want   lease.Watts
	}{
		"let go and shared still":         {true, 2 * time.Minute, 0},
		"let go and counted elsewhere":    {false, 2 * time.Minute, 3600},
		"decided before it had let it go": {false, time.Minute, 0},
	} {
		i := settled(t)
		i.Assign(lease.Assignment{Observe: true}, func(_, _ lease.Assignment) bool { return false })
		says(t, i, lease.Report{Epoch: 5, Run: 1, Generation: 2, AsOf: 2 * time.Minute, Bound: 100, Draw: 50, Rated: 3800})
		grants(t, i, lease.Terms{Watts: 3600, AsOf: c.asOf, Shared: c.shared})
		says(t, i, lease.Report{Epoch: 5, Run: 2, AsOf: time.Second})
		if i.Carried() != c.want {
			t.Errorf("%s: carries %d W, want %d W", name, i.Carried(), c.want)
		}
		says(t, i, lease.Report{Run: 3, AsOf: time.Second})
		if i.Hold() != 3600 {
			t.Errorf("%s: holds %d W for a run that has said nothing, want what was held before one that died young", name, i.Hold())
		}
	}
}

// TestALeaseAnswersWhatWasDecidedOn: a report that came while the leader decided was not weighed.
func TestALeaseAnswersWhatWasDecidedOn(t *testing.T) {
	i := settled(t)
	says(t, i, lease.Report{Epoch: 5, Run: 1, Generation: 1, AsOf: 2 * time.Minute, Bound: 3600, Draw: 3500, Rated: 3800})
	m, ok := i.Grant(start, lease.Terms{Watts: 3600, TTL: time.Minute, AsOf: time.Minute})
	if !ok || m.AsOf != time.Minute {
		t.Errorf("the lease is of %v (%v), want of what was decided on", m.AsOf, ok)
	}
}

// TestANewLeaderDoesNotKnowWhatWasLetGo is for L1: the run may keep watts of a former leader's lease for what it let
// go, until it has a lease of this leader that is not shared.
func TestANewLeaderDoesNotKnowWhatWasLetGo(t *testing.T) {
	for name, c := range map[string]struct {
		shared bool
		want   lease.Watts
	}{"shared still": {true, 0}, "not shared any more": {false, 3600}} {
		i := lease.NewIssuer(6)
		i.Assign(lease.Assignment{}, always)
		says(t, i, lease.Report{Epoch: 6, Run: 1, Generation: 1, AsOf: time.Minute, Bound: 2600, Draw: 2600, Rated: 3800, LeaseWatts: 3600})
		i.Confirm(start.Add(time.Hour))
		grants(t, i, lease.Terms{Watts: 3600, AsOf: time.Minute, Shared: c.shared})
		says(t, i, lease.Report{Epoch: 6, Run: 2, AsOf: time.Second})
		if i.Carried() != c.want {
			t.Errorf("%s: carries %d W, want %d W", name, i.Carried(), c.want)
		}
	}
}

// TestCountedForWantOfKnowledgeIsNoLeave is for L1: the run before had leave to draw little and was counted at more.
func TestCountedForWantOfKnowledgeIsNoLeave(t *testing.T) {
	i := lease.NewIssuer(5)
	i.Assign(lease.Assignment{}, always)
	says(t, i, lease.Report{Epoch: 5, Run: 1, Generation: 1, AsOf: time.Minute, Bound: 3600, Draw: 60, Rated: 3800})
	i.Confirm(start.Add(time.Hour))
	grants(t, i, lease.Terms{Watts: 94, AsOf: time.Minute})
	for run := lease.Run(2); run < 5; run++ {
		says(t, i, lease.Report{Run: run, AsOf: time.Second})
		if i.Hold() != 3600 || i.Carried() != 94 {
			t.Errorf("run %d: holds %d W and may go on with %d W, want 3600 W and 94 W", run, i.Hold(), i.Carried())
		}
	}
}
