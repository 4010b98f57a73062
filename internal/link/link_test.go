package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

const (
	podUID     = "0b7f5b1e-0000-4000-8000-000000000001"
	serverName = "pool.mining.agents.counterweight"
)

// stub is an agent that records what it is told and reports what the test puts.
type stub struct {
	orders  chan Order
	reports chan lease.Report
	left    chan struct{} // one token for each stream that ended
	refuse  error
}

func newStub() *stub {
	return &stub{orders: make(chan Order, 16), reports: make(chan lease.Report, 16), left: make(chan struct{}, 16)}
}

func (s *stub) Hello(_ context.Context, m lease.Hello) error {
	s.orders <- Order{Hello: &m}
	return s.refuse
}

func (s *stub) Lease(_ context.Context, m lease.Lease) error {
	s.orders <- Order{Lease: &m}
	return s.refuse
}

func (s *stub) Subscribe(context.Context) (<-chan lease.Report, func()) {
	return s.reports, func() { s.left <- struct{}{} }
}

// install writes a TLS directory as the kubelet would.
func install(t *testing.T, dir string, leaf Leaf, caPEM []byte) {
	t.Helper()
	for name, data := range map[string][]byte{certFile: leaf.CertPEM, keyFile: leaf.KeyPEM, caFile: caPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// must unwraps what a test can't go on without.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCA(t *testing.T) *CA { return must[*CA](t)(NewCA(time.Now())) }

// serve runs an agent with the certificates in dir and answers its address.
func serve(t *testing.T, agent Agent, dir string, failed func(error)) string {
	t.Helper()
	config := must[*tls.Config](t)(ServerTLS(dir, failed))
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	server := NewServer(agent, podUID, config, logr.Discard())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		running.Wait()
	})
	return listener.Addr().String()
}

// pair serves a stub and answers options that reach it.
func pair(t *testing.T) (*stub, *CA, Options) {
	t.Helper()
	ca, dir, agent := newCA(t), t.TempDir(), newStub()
	install(t, dir, must[Leaf](t)(ca.IssueServer(time.Now(), serverName)), ca.CertPEM())
	address := serve(t, agent, dir, func(err error) { t.Error(err) })
	return agent, ca, Options{
		Address: address, ServerName: serverName, PodUID: podUID, TLS: clientTLS(t, ca, ca.CertPEM()),
		OnReport: func(lease.Report) {}, Orders: NewOutbox(),
	}
}

func clientTLS(t *testing.T, ca *CA, roots []byte) *tls.Config {
	t.Helper()
	return must[*tls.Config](t)(ClientTLS(must[Leaf](t)(ca.IssueOperator(time.Now())), roots))
}

func someReport() lease.Report {
	return lease.Report{
		Epoch: 9, Run: 42, Seq: 3, Generation: 2, AsOf: 90*time.Second + 1, LeaseWatts: 1000, Bound: 999, Draw: 900,
		Floor: 40, Rated: 3675, Settle: 11 * time.Second, Volatile: 5,
		Curve:         []lease.Point{{Watts: 40}, {Watts: 3675, THs: 200.5}},
		Counts:        lease.Counts{Total: 5, Hashing: 1, Sleeping: 1, Unreachable: 2, Stuck: 1},
		PriorSettings: map[string]string{"02:00": "HashWatts 2800"},
		Troubles:      []lease.Trouble{{Address: "10.0.0.1", Reason: "Stuck", Message: "told to sleep"}},
	}
}

func someHello() lease.Hello {
	return lease.Hello{Epoch: 9, Run: 42, Generation: 2, Assignment: lease.Assignment{
		Ranges: []string{"10.0.0.0/24"}, Firmware: "Auto", Ports: map[string]int{"BraiinsOS": 8080}, Observe: true,
		UncertaintyPercent: 5, PriorSettings: map[string]string{"02:00": "HashWatts 2800"},
	}}
}

func someLease() lease.Lease {
	return lease.Lease{Epoch: 9, Run: 42, Seq: 4, Watts: 2000, TTL: time.Minute, AsOf: 91 * time.Second, ShedWithin: time.Second, Shared: true}
}

func TestMessagesArriveAsSent(t *testing.T) {
	agent, _, o := pair(t)
	got := make(chan lease.Report)
	o.OnReport = func(r lease.Report) { got <- r }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Attach(ctx, o) }()

	agent.reports <- someReport() // the agent speaks first
	if diff := cmp.Diff(someReport(), <-got); diff != "" {
		t.Errorf("report: %s", diff)
	}
	o.Orders.PutHello(someHello())
	if diff := cmp.Diff(someHello(), *(<-agent.orders).Hello); diff != "" {
		t.Errorf("hello: %s", diff)
	}
	o.Orders.PutLease(someLease())
	if diff := cmp.Diff(someLease(), *(<-agent.orders).Lease); diff != "" {
		t.Errorf("lease: %s", diff)
	}
	// Prior settings that did not change are not sent again and not forgotten; a change is.
	agent.reports <- someReport()
	if diff := cmp.Diff(someReport(), <-got); diff != "" {
		t.Errorf("second report: %s", diff)
	}
	changed := someReport()
	changed.PriorSettings = map[string]string{}
	agent.reports <- changed
	if r := <-got; len(r.PriorSettings) != 0 {
		t.Errorf("third report still remembers %v", r.PriorSettings)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	<-agent.left
}

func TestARefusedOrderKeepsTheStream(t *testing.T) {
	agent, _, o := pair(t)
	agent.refuse = lease.ErrOldEpoch
	got := make(chan lease.Report, 1)
	o.OnReport = func(r lease.Report) { got <- r }
	go func() { _ = Attach(t.Context(), o) }()
	o.Orders.PutLease(someLease())
	<-agent.orders
	agent.reports <- someReport()
	if r := <-got; r.Epoch != 9 {
		t.Fatalf("report %+v", r)
	}
}

// refused attaches and answers why it could not.
func refused(t *testing.T, o Options) error {
	t.Helper()
	o.OnReport = func(lease.Report) { t.Error("a report came through") }
	err := Attach(t.Context(), o)
	if err == nil {
		t.Fatal("attached")
	}
	return err
}

func TestOnlyThePoolsAgentIsTrusted(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	now := time.Now()
	issue := must[Leaf](t)
	for name, c := range map[string]struct {
		leaf Leaf
		want string
	}{
		"another pool":      {issue(ca.IssueServer(now, "other.mining.agents.counterweight")), "not " + serverName},
		"operator's leaf":   {issue(ca.IssueOperator(now)), "certificate"},
		"another authority": {issue(other.IssueServer(now, serverName)), "unknown authority"},
		"expired":           {issue(ca.IssueServer(now.Add(-leafLife-time.Hour), serverName)), "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, agent := t.TempDir(), newStub()
			agent.reports <- someReport()
			install(t, dir, c.leaf, ca.CertPEM())
			err := refused(t, Options{
				Address: serve(t, agent, dir, nil2error(t)), ServerName: serverName, PodUID: podUID, TLS: clientTLS(t, ca, ca.CertPEM()),
			})
			wantText(t, err, c.want)
			if !errors.Is(err, ErrIdentity) {
				t.Errorf("%v is not told as one of identity", err)
			}
		})
	}
}

func TestOnlyTheOperatorIsServed(t *testing.T) {
	agent, ca, o := pair(t)
	agent.reports <- someReport()
	now := time.Now()
	issue := must[Leaf](t)
	stranger := issue(ca.issue(now, clientLeaf()))
	for name, leaf := range map[string]Leaf{
		"an agent's leaf":            issue(ca.IssueServer(now, serverName)),
		"a client, not the operator": stranger,
		"another authority's":        issue(newCA(t).IssueOperator(now)),
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			o.TLS = must[*tls.Config](t)(ClientTLS(leaf, ca.CertPEM()))
			wantText(t, refused(t, o), "Unavailable") // in TLS 1.3 the reason may be lost with the connection
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		o := o
		o.TLS = o.TLS.Clone()
		o.TLS.Certificates = nil
		wantText(t, refused(t, o), "Unavailable")
	})
	t.Run("the operator", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := o
		o.OnReport = func(lease.Report) { cancel() }
		if err := Attach(ctx, o); !errors.Is(err, context.Canceled) {
			t.Fatalf("ended with %v", err)
		}
	})
}

func TestAnotherPodIsRefused(t *testing.T) {
	agent, _, o := pair(t)
	agent.reports <- someReport()
	o.PodUID = "0b7f5b1e-0000-4000-8000-00000000000f"
	o.Orders.PutLease(someLease())
	if err := refused(t, o); !errors.Is(err, ErrOtherPod) {
		t.Fatalf("refused with %v", err)
	}
	select {
	case got := <-agent.orders:
		t.Fatalf("the other pod was told %v", got)
	default:
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	old, next := newCA(t), newCA(t)
	dir, agent := t.TempDir(), newStub()
	issue := must[Leaf](t)
	install(t, dir, issue(old.IssueServer(time.Now(), serverName)), old.CertPEM())
	complaints := make(chan error, 16)
	o := Options{
		Address: serve(t, agent, dir, func(err error) { complaints <- err }), ServerName: serverName, PodUID: podUID,
	}
	reaches := func(config *tls.Config) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		agent.reports <- someReport()
		o, reached := o, false
		o.TLS = config
		o.OnReport = func(lease.Report) {
			reached = true
			cancel()
		}
		err := Attach(ctx, o)
		if reached {
			<-agent.left // or its end may take the next report
			return nil
		}
		<-agent.reports // nobody took it
		return err
	}
	if err := reaches(clientTLS(t, old, old.CertPEM())); err != nil {
		t.Fatal(err)
	}
	install(t, dir, issue(next.IssueServer(time.Now(), serverName)), append(next.CertPEM(), old.CertPEM()...))
	if err := reaches(clientTLS(t, next, next.CertPEM())); err != nil {
		t.Fatalf("the new authority's operator: %v", err)
	}
	if err := reaches(clientTLS(t, old, append(old.CertPEM(), next.CertPEM()...))); err != nil {
		t.Fatalf("the old authority's operator while both are trusted: %v", err)
	}
	install(t, dir, issue(next.IssueServer(time.Now(), serverName)), next.CertPEM())
	if err := reaches(clientTLS(t, old, append(old.CertPEM(), next.CertPEM()...))); err == nil {
		t.Fatal("the old authority's operator is still served")
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reaches(clientTLS(t, next, next.CertPEM())); err != nil {
		t.Fatalf("with a broken directory: %v", err)
	}
	wantText(t, <-complaints, keyFile)
}

func TestEachStreamTakesTheNewestCertificates(t *testing.T) {
	agent, ca, o := pair(t)
	agent.reports <- someReport()
	stale, fresh := clientTLS(t, newCA(t), ca.CertPEM()), o.TLS
	o.TLS = stale
	ctx, cancel := context.WithCancel(t.Context())
	o.OnReport = func(lease.Report) { cancel() }
	asked := []*tls.Config{nil, stale, fresh}
	o.NewestTLS = func() *tls.Config {
		next := asked[0]
		asked = asked[1:]
		return next
	}
	var ends []error
	Keep(ctx, o, func(err error) { ends = append(ends, err) })
	if len(ends) != 2 || !errors.Is(ends[0], errNoTLS) || len(asked) != 0 {
		t.Fatalf("ended with %v", ends)
	}
}

func TestMaySendHoldsOrdersBack(t *testing.T) {
	agent, _, o := pair(t)
	tooOld := errors.New("renewal too old")
	o.MaySend = func() error { return tooOld }
	o.Orders.PutLease(someLease())
	if err := Attach(t.Context(), o); !errors.Is(err, tooOld) {
		t.Fatalf("ended with %v", err)
	}
	<-agent.left
	if len(agent.orders) > 0 {
		t.Fatal("the order left all the same")
	}
}

func TestASilentAgentIsLeft(t *testing.T) {
	agent, _, o := pair(t)
	o.silence = 50 * time.Millisecond
	agent.reports <- someReport()
	if err := Attach(t.Context(), o); !errors.Is(err, ErrSilent) {
		t.Fatalf("ended with %v", err)
	}
	<-agent.left
}

func TestMalformedMessagesEndTheStream(t *testing.T) {
	t.Run("order", func(t *testing.T) {
		_, _, o := pair(t)
		bad := someLease()
		bad.Watts = -1
		o.Orders.PutLease(bad)
		wantText(t, refused(t, o), "lease.watts: -1 is not between")
	})
	t.Run("report", func(t *testing.T) {
		agent, _, o := pair(t)
		bad := someReport()
		bad.Bound = -1
		agent.reports <- bad
		err := refused(t, o)
		wantText(t, err, "report.bound_watts: -1 is not between")
		if !errors.Is(err, ErrBounds) {
			t.Errorf("%v is no ErrBounds", err)
		}
		<-agent.left
	})
}
