package agent

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// operator plays the operator's side for one agent with the real Issuer.
type operator struct {
	t      *testing.T
	agent  *Agent
	ranch  *ranch
	issuer *lease.Issuer
	// reports are fed by a goroutine of its own; last is the newest.
	mu   sync.Mutex
	last lease.Report
	seen []lease.Report
	// shared is what its leases say.
	shared bool
}

// stage starts an agent over a ranch and an operator that has said Hello with that assignment. The agent
// ends with the test.
func stage(t *testing.T, r *ranch, assignment lease.Assignment) *operator {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := New(Config{Run: 42, Clock: r.now, Open: r.open, Log: logr.Discard()})
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		r.free()
		running.Wait()
		if r.overlap > 0 {
			t.Errorf("%d operations were begun at machines that had one", r.overlap)
		}
	})
	o := &operator{t: t, agent: a, ranch: r, issuer: lease.NewIssuer(7)}
	o.issuer.Assign(assignment, func(lease.Assignment, lease.Assignment) bool { return false })
	reports, stop := a.Subscribe(ctx)
	t.Cleanup(stop)
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case report := <-reports:
				o.take(ctx, report)
			}
		}
	})
	return o
}

// lit is a stage whose machines all hash under a lease that allows everything, watched for long enough
// that none counts at rated for its youth.
func lit(t *testing.T, r *ranch, assignment lease.Assignment) *operator {
	t.Helper()
	o := stage(t, r, assignment)
	time.Sleep(4 * time.Second)
	o.grant(lease.Watts(len(r.fakes))*fakeWatts*2, time.Hour, 0)
	time.Sleep(watched)
	return o
}

func (o *operator) take(ctx context.Context, r lease.Report) {
	o.mu.Lock()
	o.last = r
	o.seen = append(o.seen, r)
	hello, err := o.issuer.Report(time.Now(), r)
	o.issuer.Confirm(time.Now())
	o.mu.Unlock()
	if err != nil {
		o.t.Errorf("report refused: %v", err)
	}
	if hello != nil {
		if err := o.agent.Hello(ctx, *hello); err != nil && ctx.Err() == nil {
			o.t.Errorf("hello refused: %v", err)
		}
	}
}

func (o *operator) report() lease.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// heard are the reports so far.
func (o *operator) heard() []lease.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]lease.Report(nil), o.seen...)
}

// grant sends a lease.
func (o *operator) grant(watts lease.Watts, ttl, shedWithin time.Duration) {
	o.t.Helper()
	o.mu.Lock()
	l, ok := o.issuer.Grant(time.Now(), lease.Terms{Watts: watts, TTL: ttl, AsOf: o.issuer.Newest().AsOf, ShedWithin: shedWithin})
	l.Shared = o.shared
	o.mu.Unlock()
	if !ok {
		o.t.Fatalf("no lease may be sent yet")
	}
	if err := o.agent.Lease(o.t.Context(), l); err != nil {
		o.t.Fatalf("lease refused: %v", err)
	}
}

func addresses(count int) lease.Assignment {
	first := netip.MustParseAddr("10.0.0.1")
	last := first
	for range count - 1 {
		last = last.Next()
	}
	return lease.Assignment{Ranges: []string{first.String() + "-" + last.String()}, Firmware: "Auto", UncertaintyPercent: 5}
}
