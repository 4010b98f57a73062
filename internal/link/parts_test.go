package link

import (
	"context"
	"crypto/x509"
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// nil2error fails the test on any complaint.
func nil2error(t *testing.T) func(error) { return func(err error) { t.Error(err) } }

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want one that says %q", err, text)
	}
}

// clientLeaf is a certificate that may dial and is not the operator's.
func clientLeaf() *x509.Certificate {
	return &x509.Certificate{DNSNames: []string{"somebody"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func TestOrdersOutOfBoundsAreRefusedByName(t *testing.T) {
	for field, spoil := range map[string]func(*lease.Hello, *lease.Lease){
		"hello.epoch":                          func(h *lease.Hello, _ *lease.Lease) { h.Epoch = 0 },
		"hello.run":                            func(h *lease.Hello, _ *lease.Lease) { h.Run = 0 },
		"hello.generation":                     func(h *lease.Hello, _ *lease.Lease) { h.Generation = 0 },
		"hello.assignment.ranges":              func(h *lease.Hello, _ *lease.Lease) { h.Assignment.Ranges = make([]string, maxRanges+1) },
		"hello.assignment.firmware":            func(h *lease.Hello, _ *lease.Lease) { h.Assignment.Firmware = strings.Repeat("x", maxName+1) },
		"hello.assignment.ports of LuxOS":      func(h *lease.Hello, _ *lease.Lease) { h.Assignment.Ports = map[string]int{"LuxOS": 65536} },
		"hello.assignment.uncertainty_percent": func(h *lease.Hello, _ *lease.Lease) { h.Assignment.UncertaintyPercent = -1 },
		"hello.assignment.prior_settings of k": func(h *lease.Hello, _ *lease.Lease) {
			h.Assignment.PriorSettings = map[string]string{"k": strings.Repeat("x", maxText+1)}
		},
		"lease.epoch":             func(_ *lease.Hello, l *lease.Lease) { l.Epoch = 0 },
		"lease.run":               func(_ *lease.Hello, l *lease.Lease) { l.Run = 0 },
		"lease.seq":               func(_ *lease.Hello, l *lease.Lease) { l.Seq = 0 },
		"lease.watts":             func(_ *lease.Hello, l *lease.Lease) { l.Watts = maxWatts + 1 },
		"lease.ttl_nanos":         func(_ *lease.Hello, l *lease.Lease) { l.TTL = -1 },
		"lease.as_of_nanos":       func(_ *lease.Hello, l *lease.Lease) { l.AsOf = math.MaxInt64 },
		"lease.shed_within_nanos": func(_ *lease.Hello, l *lease.Lease) { l.ShedWithin = -1 },
	} {
		h, l := someHello(), someLease()
		spoil(&h, &l)
		_, errHello := orderFromWire(orderToWire(Order{Hello: &h}))
		_, errLease := orderFromWire(orderToWire(Order{Lease: &l}))
		err := errors.Join(errHello, errLease)
		if !errors.Is(err, ErrBounds) || !strings.Contains(err.Error(), ": "+field+":") {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := orderFromWire(nil); !errors.Is(err, ErrBounds) {
		t.Errorf("empty order: %v", err)
	}
}

func TestReportsOutOfBoundsAreRefusedByName(t *testing.T) {
	for field, spoil := range map[string]func(*lease.Report){
		"report.run":                   func(r *lease.Report) { r.Run = 0 },
		"report.as_of_nanos":           func(r *lease.Report) { r.AsOf = -1 },
		"report.lease_watts":           func(r *lease.Report) { r.LeaseWatts = -1 },
		"report.bound_watts":           func(r *lease.Report) { r.Bound = maxWatts + 1 },
		"report.draw_watts":            func(r *lease.Report) { r.Draw = -1 },
		"report.floor_watts":           func(r *lease.Report) { r.Floor = -1 },
		"report.rated_watts":           func(r *lease.Report) { r.Rated = -1 },
		"report.settle_nanos":          func(r *lease.Report) { r.Settle = -1 },
		"report.volatile_watts":        func(r *lease.Report) { r.Volatile = -1 },
		"report.curve":                 func(r *lease.Report) { r.Curve = make([]lease.Point, maxPoints+1) },
		"report.curve[1]":              func(r *lease.Report) { r.Curve[1].Watts = 1 },
		"report.curve[1].ths":          func(r *lease.Report) { r.Curve[1].THs = math.NaN() },
		"report.curve[0].ths":          func(r *lease.Report) { r.Curve[0].THs = math.Inf(1) },
		"report.curve[0].watts":        func(r *lease.Report) { r.Curve[0].Watts = -1 },
		"report.counts.total":          func(r *lease.Report) { r.Counts.Total = -1 },
		"report.counts.stuck":          func(r *lease.Report) { r.Counts.Stuck = maxDevices + 1 },
		"report.troubles":              func(r *lease.Report) { r.Troubles = make([]lease.Trouble, maxTroubles+1) },
		"report.troubles[0].message":   func(r *lease.Report) { r.Troubles[0].Message = strings.Repeat("x", maxText+1) },
		"report.prior_settings of key": func(r *lease.Report) { r.PriorSettings = map[string]string{"key": strings.Repeat("x", maxText+1)} },
	} {
		r := someReport()
		spoil(&r)
		_, err := reportFromWire(reportToWire(r), nil)
		if !errors.Is(err, ErrBounds) || !strings.Contains(err.Error(), ": "+field+":") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestTextFromMachinesCantEndAStream(t *testing.T) {
	r := someReport()
	r.Troubles[0].Message = "bad \xff byte"
	r.PriorSettings = map[string]string{"k\xff": "HashMode 0 \xfe"}
	got, err := reportFromWire(reportToWire(r), nil)
	if err != nil || got.Troubles[0].Message != "bad \uFFFD byte" || got.PriorSettings["k\uFFFD"] != "HashMode 0 \uFFFD" {
		t.Fatalf("%v %+v", err, got)
	}
}

func TestTheOutboxKeepsTheNewest(t *testing.T) {
	b := NewOutbox()
	l := someLease()
	b.PutLease(l)
	l.Seq++
	b.PutLease(l)
	if got, ok := b.next(t.Context()); !ok || got.Lease.Seq != l.Seq {
		t.Fatalf("first left %+v", got)
	}
	b.PutLease(l)
	b.PutHello(someHello()) // the lease was granted to what this replaces
	if got, ok := b.next(t.Context()); !ok || got.Hello == nil {
		t.Fatalf("first left %+v, want the hello", got)
	}
	if got, ok := b.take(); ok {
		t.Fatalf("then left %+v, granted to what the hello replaces", got)
	}
	l.Seq++
	b.PutLease(l)
	b.PutLease(l)
	if got, ok := b.next(t.Context()); !ok || got.Lease == nil {
		t.Fatalf("then left %+v, want the lease", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, ok := b.next(ctx); ok {
		t.Fatalf("%+v left of an empty outbox", got)
	}
}

func TestKeepWaitsLongerAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var tries []time.Duration
		var told int
		o := Options{OnReport: func(lease.Report) {}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			keep(ctx, o, func(error) { told++ }, func(_ context.Context, o Options) error {
				tries = append(tries, time.Since(start))
				if len(tries) == 12 {
					o.OnReport(lease.Report{}) // a stream that worked starts the waiting over
				}
				return errors.New("no route")
			})
		}()
		time.Sleep(time.Hour)
		cancel()
		<-done
		if told < 1800 || told > 4000 {
			t.Errorf("told of %d ends in an hour", told)
		}
		for i := 1; i < len(tries); i++ {
			wait, most := tries[i]-tries[i-1], min(firstRetry<<min(i-1, 10), lastRetry)
			if i == 12 {
				most = firstRetry
			}
			if i < 13 && (wait < most/2 || wait > most) {
				t.Errorf("wait %d took %s, want %s to %s", i, wait, most/2, most)
			}
		}
	})
}

// Those that can't be reached come first, and take no turn from those that can.
func TestKeepersThatShareAPaceShakeHandsOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keepers, blackHoles = 30, 20
		ctx, cancel := context.WithCancel(t.Context())
		pace := rate.NewLimiter(10, 5)
		var handshakes atomic.Int32
		attach := func(ctx context.Context, o Options) error {
			raw, err := reach(ctx, o)
			if err != nil {
				return err
			}
			handshakes.Add(1)
			<-ctx.Done()
			return errors.Join(ctx.Err(), raw.Close())
		}
		var all sync.WaitGroup
		start := func(dial func(ctx context.Context) (net.Conn, error)) {
			o := Options{
				Pace: pace, OnReport: func(lease.Report) {},
				dialTCP: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			}
			all.Go(func() { keep(ctx, o, nil, attach) })
		}
		for range blackHoles {
			start(func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}
		synctest.Wait()
		for range keepers {
			start(func(context.Context) (net.Conn, error) {
				near, _ := net.Pipe()
				return near, nil
			})
		}
		count := func() int32 {
			synctest.Wait()
			return handshakes.Load()
		}
		if n := count(); n != 5 {
			t.Errorf("%d handshakes at once, want 5", n)
		}
		time.Sleep(time.Second)
		if n := count(); n != 15 {
			t.Errorf("%d handshakes after a second, want 15", n)
		}
		cancel()
		all.Wait()
		if n := count(); n != 15 {
			t.Errorf("%d handshakes after the end, want 15", n)
		}
	})
}

func TestAuthoritiesAndLeavesTellTheirTime(t *testing.T) {
	now := time.Now()
	ca := newCA(t)
	again, err := ParseCA(ca.CertPEM(), ca.KeyPEM())
	if err != nil || again.NotAfter().Sub(now).Round(time.Hour) != caLife {
		t.Fatalf("%v, until %s", err, again.NotAfter())
	}
	leaf := must[Leaf](t)(again.IssueServer(now, serverName))
	for usage, leaf := range map[x509.ExtKeyUsage]Leaf{
		x509.ExtKeyUsageServerAuth: leaf,
		x509.ExtKeyUsageClientAuth: must[Leaf](t)(again.IssueOperator(now)),
	} {
		if cert := must[*x509.Certificate](t)(parseCert(leaf.CertPEM)); len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != usage {
			t.Errorf("usages %v, want only %v", cert.ExtKeyUsage, usage)
		}
	}
	if end, err := NotAfter(leaf.CertPEM); err != nil || end.Sub(now).Round(time.Minute) != leafLife {
		t.Errorf("leaf ends %s: %v", end, err)
	}
	if at, err := RenewAt(leaf.CertPEM); err != nil || at.Sub(now).Round(time.Hour) != leafLife/3*2 {
		t.Errorf("renew at %s: %v", at, err)
	}
	if !ca.Issued(leaf.CertPEM) || newCA(t).Issued(leaf.CertPEM) || ca.Issued([]byte("nonsense")) {
		t.Error("does not know its own leaves")
	}
	if _, err := NotAfter([]byte("nonsense")); err == nil {
		t.Error("nonsense has an end")
	}
	late := must[Leaf](t)(ca.IssueServer(ca.NotAfter().Add(-time.Hour), serverName))
	if end, _ := NotAfter(late.CertPEM); end.After(ca.NotAfter()) {
		t.Error("a leaf outlives its authority")
	}
	for name, pems := range map[string][2][]byte{
		"key of another": {ca.CertPEM(), newCA(t).KeyPEM()},
		"a leaf":         {leaf.CertPEM, leaf.KeyPEM},
		"nonsense":       {[]byte("x"), []byte("y")},
	} {
		if _, err := ParseCA(pems[0], pems[1]); err == nil {
			t.Errorf("%s was read as an authority", name)
		}
	}
}
