// Package chaos plays short histories of a small site in virtual time: the real site controllers of two
// operator processes, with the real decision, ledger and leases in them, and the real Holder and Fit in
// agents, among a played API server, network, kubelets and machines that fail in every way that they may.
// After every event the true watts are held against the limits, by books of its own: it never asks what
// the operator believes, and it decides nothing for it.
package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

// history is one played history.
type history struct {
	sim
	cfg       config
	store     *store
	server    server
	table     *gate.Table
	lock      *coordinationv1.Lease
	operators [2]*operator
	lives     int
	runs      uint64
	agents    []*agent
	groups    int
	gangs     map[string]bool
	minders   map[types.UID]string // the key of each agent
	cuts      [2][maxGroups]cut
	byAddr    map[netip.Addr]*device
	devices   []*device
	pools     []*pool
	nodes     []*node
	kube      *kube
	check     *checker
	// ahead is when an agent met an epoch of a store that went back since; babbled that one talked nonsense.
	ahead   time.Duration
	babbled bool
	// gatesKept is until when a policy refuses to open gates.
	gatesKept time.Duration
	// pausing is for how long a process is paused the next time it sends.
	pausing [2]time.Duration
}

// maxGroups bounds the agent slots of a history.
const maxGroups = 16

var builtin = gate.Builtin()

func init() { ctrl.SetLogger(logr.Discard()) }

// epochZero is when every history begins.
var epochZero = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func (h *history) wall() time.Time                   { return epochZero.Add(h.now) }
func (h *history) wallAt(at time.Duration) time.Time { return epochZero.Add(at) }

// Violation is a rule that a history broke.
type Violation struct {
	Rule   string
	Detail string
	At     time.Duration
}

// String is the violation in one line.
func (v *Violation) String() string {
	return fmt.Sprintf("%s at %.3f s: %s", v.Rule, v.At.Seconds(), v.Detail)
}

// Outcome of a history.
type Outcome struct {
	Steps     int
	Violation *Violation
	Trace     []string
	// OverWattSeconds and OverSeconds are of machines that break the assumptions by physics.
	OverWattSeconds float64
	OverLongest     time.Duration
	Wild            bool
}

// play plays one history to its end, or to the first violation. A site that would have shed miners without
// the restart too, since it learned what its machines do, was not shed by the restart.
func play(c config, tracing bool) Outcome {
	out := playOnce(c, tracing)
	if c.quiet && out.Violation != nil && out.Violation.Rule == shedByRestart {
		c.actions = nil
		if alone := playOnce(c, false); alone.Violation != nil && alone.Violation.Rule == shedByRestart {
			out.Violation = nil
		}
	}
	return out
}

func playOnce(c config, tracing bool) (out Outcome) {
	h := &history{cfg: c, table: builtin, byAddr: map[netip.Addr]*device{}, gangs: map[string]bool{}, minders: map[types.UID]string{}}
	h.rng = rand.New(rand.NewPCG(c.seed^0x9e3779b97f4a7c15, uint64(c.number)))
	h.tracing = tracing
	h.store, h.check = newStore(h), newChecker(h)
	h.kube = &kube{h: h, pods: map[string]*gpod{}}
	defer func() {
		if r := recover(); r != nil {
			h.check.broke("PANIC", "%v", r)
		}
		h.finish()
		out = Outcome{
			Steps: h.steps, Violation: h.check.violation, Trace: h.trace,
			OverWattSeconds: h.check.overJoules, OverLongest: h.check.overLongest, Wild: c.wild,
		}
	}()
	h.build()
	h.run(c.end, h.check.after)
	for range mostHandOvers {
		if h.check.violation == nil && (h.check.handingOver() || h.check.restoring()) {
			h.run(h.now+handOverWithin, h.check.after)
		}
	}
	h.check.judgeEnd()
	return out
}

// finish unwinds what still waits.
func (h *history) finish() {
	for _, o := range h.operators {
		if o != nil {
			o.kill()
		}
	}
	for _, a := range h.agents {
		a.kill()
	}
	for _, t := range h.idle {
		t.stop()
	}
}

// build makes the site as it is when the history begins.
func (h *history) build() {
	for i := range h.cfg.budgets {
		h.store.create(h.budgetObject(&h.cfg.budgets[i]))
	}
	for i := range h.cfg.nodes {
		h.addNode(fmt.Sprintf("g%d", i), h.cfg.nodes[i].budget, h.cfg.nodes[i].gpus)
	}
	for i := range 2 {
		h.addNode(fmt.Sprintf("m%d", i), -1, 0)
	}
	for i := range h.cfg.pools {
		p := h.addPool(&h.cfg.pools[i])
		if p.config.late == 0 {
			h.createPool(p)
			continue
		}
		h.at(p.config.late, func() { h.createPool(p) })
	}
	for i := range h.cfg.works {
		w := &h.cfg.works[i]
		h.at(w.at, func() { h.createWork(w) })
	}
	for i := range h.cfg.actions {
		a := &h.cfg.actions[i]
		h.at(a.at, func() { h.act(a) })
	}
	h.at(h.cfg.calm, h.calmDown)
	h.check.start()
	h.boot(0)
	h.boot(1)
}

// pauseAtSend pauses a process between the check before an order leaves and its leaving, where that was
// asked for.
func (h *history) pauseAtSend(o *operator) bool {
	d := h.pausing[o.slot]
	if d == 0 {
		return false
	}
	h.pausing[o.slot] = 0
	h.pause(&o.process, d)
	return true
}

// restarts begins anew, at a time, what a process may take some time for.
func (h *history) restarts(p *process, at time.Duration) {
	for _, a := range h.agents {
		if &a.process == p {
			a.over = at
			h.check.minds(a)
		}
	}
	for _, o := range h.operators {
		if o != nil && &o.process == p {
			o.outrankedAt = max(o.outrankedAt, at)
		}
	}
}

// pause stops a process for a while; it does not know.
func (h *history) pause(p *process, d time.Duration) {
	if p.dead || p.paused {
		return
	}
	h.logf("%s is paused for %.1f s", p.name, d.Seconds())
	h.restarts(p, h.now+d) // what is judged by the time it takes starts anew when it goes on
	p.paused = true
	h.after(d, func() {
		if p.paused {
			h.logf("%s goes on", p.name)
			h.restarts(p, h.now)
			p.resume(h.now)
		}
	})
}
