package controllers

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
)

// rackAgent is an agent behind the real wire: the real Holder, and reports as long as somebody listens.
type rackAgent struct {
	mu     sync.Mutex
	holder *lease.Holder
}

func (w *rackAgent) say() lease.Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := lease.Report{Bound: 3600, Draw: 3600, Floor: 40, Rated: 3600}
	w.holder.Stamp(time.Minute, &r)
	return r
}

func (w *rackAgent) Hello(_ context.Context, m lease.Hello) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holder.Hello(time.Minute, m)
}

func (w *rackAgent) Lease(_ context.Context, m lease.Lease) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holder.Lease(time.Minute, m)
}

func (w *rackAgent) Subscribe(ctx context.Context) (<-chan lease.Report, func()) {
	ctx, cancel := context.WithCancel(ctx)
	reports := make(chan lease.Report)
	go func() {
		for ctx.Err() == nil {
			select {
			case reports <- w.say():
			case <-ctx.Done():
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return reports, cancel
}

// rig is one pool whose agent has the Secret that the operator writes, as late as the kubelet brings it.
type rig struct {
	*site
	pool    *powerv1.MinerPool
	dir     string
	agent   *rackAgent
	address string
}

func newRig(ctx context.Context) *rig {
	g := &rig{site: newSite(ctx), dir: GinkgoT().TempDir(), agent: &rackAgent{holder: lease.NewHolder(7)}}
	g.createBudget(ctx, "root", nil)
	g.pool = g.createPool(ctx, "pool", "root", "3600", nil)
	g.reconcilePool(ctx)
	g.kubelet(ctx)
	config, err := link.ServerTLS(g.dir, func(err error) { Fail(err.Error()) })
	Expect(err).NotTo(HaveOccurred())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	g.address = listener.Addr().String()
	server := link.NewServer(g.agent, "pod", config, logr.Discard())
	go func() { _ = server.Serve(listener) }()
	DeferCleanup(server.Stop)
	return g
}

// reconcilePool goes on until the operator reads its authority again, and has it write what follows.
func (g *rig) reconcilePool(ctx context.Context) {
	GinkgoHelper()
	g.now = g.now.Add(recheck)
	g.get(ctx, g.pool)
	_, err := g.pools.Reconcile(ctx, g.pool)
	Expect(err).NotTo(HaveOccurred())
}

func (g *rig) tls(ctx context.Context) map[string][]byte {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(g.Get(ctx, types.NamespacedName{Namespace: g.ns, Name: "pool-agent-tls"}, secret)).To(Succeed())
	return secret.Data
}

// kubelet brings the Secret into the agent's pod.
func (g *rig) kubelet(ctx context.Context) {
	GinkgoHelper()
	for name, data := range g.tls(ctx) {
		Expect(os.WriteFile(filepath.Join(g.dir, name), data, 0o600)).To(Succeed())
	}
}

// authorityIs changes the Secret of the authority as an administrator would.
func (g *rig) authorityIs(ctx context.Context, ca *link.CA, trusted []byte) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(g.Get(ctx, types.NamespacedName{Namespace: g.ns, Name: AuthoritySecret}, secret)).To(Succeed())
	secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], secret.Data[caKey] = ca.CertPEM(), ca.KeyPEM(), trusted
	Expect(g.Update(ctx, secret)).To(Succeed())
}

// streaming is one stream of the operator.
type streaming struct {
	orders  *link.Outbox
	reports chan lease.Report
	ended   chan error
	stop    context.CancelFunc
}

// stream opens one with the certificates that the operator has now, or with others.
func (g *rig) stream(ctx context.Context, newest func() *tls.Config) *streaming {
	ctx, stop := context.WithCancel(ctx)
	s := &streaming{orders: link.NewOutbox(), reports: make(chan lease.Report, 1), ended: make(chan error, 1), stop: stop}
	go func() {
		s.ended <- link.Attach(ctx, link.Options{
			Address: g.address, ServerName: link.ServerName(g.ns, "pool"), PodUID: "pod", NewestTLS: newest,
			OnReport: s.newest, Orders: s.orders,
		})
	}()
	DeferCleanup(stop)
	return s
}

// newest keeps the last report for whoever looks.
func (s *streaming) newest(r lease.Report) {
	select {
	case <-s.reports:
	default:
	}
	s.reports <- r
}

// leased waits until the agent says that a lease is in force.
func (s *streaming) leased(seq uint64) {
	GinkgoHelper()
	for {
		select {
		case r := <-s.reports:
			if r.Seq == seq {
				Expect(r.LeaseWatts).To(BeEquivalentTo(3000))
				Expect(r.Run).To(BeEquivalentTo(7))
				return
			}
		case err := <-s.ended:
			Fail("the stream ended: " + err.Error())
		case <-time.After(20 * time.Second):
			Fail("no report of the lease")
		}
	}
}

func rackLease(seq uint64) lease.Lease {
	return lease.Lease{Epoch: 5, Run: 7, Seq: seq, Watts: 3000, TTL: time.Hour, AsOf: time.Minute, ShedWithin: time.Second}
}

var _ = Describe("Certificates are replaced while leases stream", func() {
	var (
		g    *rig
		held *streaming // up all the time
		seq  uint64
	)
	BeforeEach(func(ctx context.Context) {
		base := context.WithoutCancel(ctx)
		g = newRig(ctx)
		held = g.stream(base, g.pools.authority.config)
		held.orders.PutHello(lease.Hello{Epoch: 5, Run: 7, Generation: 1, Assignment: lease.Assignment{Firmware: "Auto"}})
		seq = 1
		held.orders.PutLease(rackLease(seq))
		held.leased(seq)
	})
	// goesOn tells that a stream that comes up now finds the lease in force and renews it.
	goesOn := func(ctx context.Context) {
		GinkgoHelper()
		fresh := g.stream(context.WithoutCancel(ctx), g.pools.authority.config)
		fresh.leased(seq)
		seq++
		fresh.orders.PutLease(rackLease(seq))
		fresh.leased(seq)
		fresh.stop()
		Eventually(fresh.ended, 20*time.Second).Should(Receive())
		Expect(held.ended).NotTo(Receive(), "the stream that was up fell")
	}

	It("by the next authority, step by step, however late a kubelet is", func(ctx context.Context) {
		old := g.pools.authority.ca
		next, err := link.NewCA(g.now)
		Expect(err).NotTo(HaveOccurred())
		both := append(append([]byte{}, old.CertPEM()...), next.CertPEM()...)
		oldOperator := g.pools.authority.config()

		g.authorityIs(ctx, old, both) // both are trusted
		before := g.tls(ctx)
		g.reconcilePool(ctx)
		Expect(g.tls(ctx)[corev1.TLSCertKey]).To(Equal(before[corev1.TLSCertKey]), "the agents' own is as good as before")
		Expect(g.tls(ctx)[caKey]).To(Equal(both))
		goesOn(ctx)
		g.kubelet(ctx)
		goesOn(ctx)

		g.authorityIs(ctx, next, both) // the next one signs
		g.reconcilePool(ctx)
		goesOn(ctx)
		Expect(next.Issued(g.tls(ctx)[corev1.TLSCertKey])).To(BeTrue())
		g.kubelet(ctx)
		goesOn(ctx)

		g.authorityIs(ctx, next, nil) // the old one is dropped
		g.reconcilePool(ctx)
		goesOn(ctx)
		g.kubelet(ctx)
		goesOn(ctx)
		late := g.stream(ctx, func() *tls.Config { return oldOperator })
		Eventually(late.ended, 20*time.Second).Should(Receive(HaveOccurred()), "the old authority is still trusted")
	})

	It("by leaves of the same authority, when theirs are two thirds through their life", func(ctx context.Context) {
		before, own := g.tls(ctx)[corev1.TLSCertKey], g.pools.authority.config()
		renew, err := link.RenewAt(before)
		Expect(err).NotTo(HaveOccurred())
		g.now = renew.Add(-2 * recheck)
		g.reconcilePool(ctx)
		Expect(g.tls(ctx)[corev1.TLSCertKey]).To(Equal(before))
		g.now = renew
		g.reconcilePool(ctx)
		Expect(g.tls(ctx)[corev1.TLSCertKey]).NotTo(Equal(before))
		Expect(g.pools.authority.config()).NotTo(BeIdenticalTo(own))
	})

	It("not by what can't be read, nor by a deletion", func(ctx context.Context) {
		old, before := g.pools.authority.ca, g.tls(ctx)
		key := types.NamespacedName{Namespace: g.ns, Name: AuthoritySecret}
		secret := &corev1.Secret{}
		Expect(g.Get(ctx, key, secret)).To(Succeed())
		secret.Data[corev1.TLSPrivateKeyKey] = []byte("half a key")
		Expect(g.Update(ctx, secret)).To(Succeed())
		g.reconcilePool(ctx)
		goesOn(ctx)
		Expect(g.Delete(ctx, secret)).To(Succeed())
		g.reconcilePool(ctx)
		goesOn(ctx)
		Expect(g.Get(ctx, key, secret)).To(Succeed())
		Expect(secret.Data[corev1.TLSPrivateKeyKey]).To(Equal(old.KeyPEM()))
		Expect(g.tls(ctx)).To(Equal(before))
	})
})
