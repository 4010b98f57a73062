package lease_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// TestAFirstLeaseComesInTime: what a fresh run drew is another's once it sheds.
func TestAFirstLeaseComesInTime(t *testing.T) {
	first := lease.Lease{Epoch: 10, Run: 7, Seq: 1, Watts: 100, TTL: time.Minute, AsOf: lease.Grace - 1}
	for name, c := range map[string]struct {
		now, asOf time.Duration
		want      error
	}{
		"while it draws on":      {lease.Grace - 1, lease.Grace - 1, nil},
		"when it sheds":          {lease.Grace, lease.Grace - 1, lease.ErrTooLate},
		"for what it says since": {lease.Grace + 1, lease.Grace, nil},
	} {
		h := lease.NewHolder(7)
		must(t, h.Hello(0, lease.Hello{Epoch: 10, Run: 7, Generation: 1}))
		m := first
		m.AsOf = c.asOf
		if err := h.Lease(c.now, m); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if c.want != nil {
			m.AsOf = c.now // the next answers a report of now
			must(t, h.Lease(c.now, m))
		}
		m.Seq, m.AsOf = 2, 0
		must(t, h.Lease(c.now, m)) // it has had its first
	}
}

// TestALeaseThatCameTooLateIsNoneToKeep: what a run refused is counted, and not renewed.
func TestALeaseThatCameTooLateIsNoneToKeep(t *testing.T) {
	i, h := pair(t)
	report(t, i, h, lease.Grace-1, 500)
	i.Confirm(start.Add(lease.Grace))
	if _, ok := i.Grant(start.Add(lease.Grace), lease.Terms{Watts: 400, TTL: time.Minute, AsOf: i.Newest().AsOf}); !ok {
		t.Fatal("not granted")
	}
	if w, leased := i.Last(); !leased || w != 400 {
		t.Fatalf("leased %v, %d W: it may be on its way", leased, w)
	}
	report(t, i, h, lease.Grace, 300)
	if w, leased := i.Last(); leased || w != 0 {
		t.Errorf("leased %v, %d W, and the run takes none of before", leased, w)
	}
	if i.Hold() != 400 {
		t.Errorf("hold %d W, want what was granted", i.Hold())
	}
}

// TestALeaseThatRanOutIsNoneToKeep: a run that was away for longer than its lease has shed. To renew that would give it
// watts anew, which may be no longer there.
func TestALeaseThatRanOutIsNoneToKeep(t *testing.T) {
	i, h := pair(t)
	report(t, i, h, time.Second, 500)
	i.Confirm(start.Add(time.Second))
	m, ok := i.Grant(start.Add(time.Second), lease.Terms{Watts: 400, TTL: time.Minute, AsOf: i.Newest().AsOf})
	if !ok {
		t.Fatal("not granted")
	}
	must(t, h.Lease(time.Second, m))
	for name, c := range map[string]struct {
		at   time.Duration
		want lease.Watts
	}{
		"while it lasts":  {time.Minute + time.Second - 1, 400},
		"once it is over": {time.Minute + time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			i, h := *i, *h
			report(t, &i, &h, c.at, 30)
			if w, _ := i.Last(); w != c.want {
				t.Errorf("goes on with %d W, want %d W", w, c.want)
			}
			if i.Hold() != 400 && c.want > 0 {
				t.Errorf("hold %d W, want what it may draw", i.Hold())
			}
		})
	}
}
