package chaos

import (
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// checker judges a history by the truth and by books of its own.
type checker struct {
	h         *history
	violation *Violation
	up        [][]int   // each budget with those above it
	limit     []float64 // in force now, less the margin
	boundary  time.Duration
	dirty     bool
	// excused: the limit fell with no warning, and what is counted has not been under it since.
	excused []bool
	until   []time.Duration // and what was decided before may still come until then
	known   []time.Duration // when a leader knew of the fall; 0 not yet
	fallRV  []uint64
	sick    []time.Duration // until when a budget's machines are not what they were
	wildIn  []bool
	// moving: until when addresses move between agents there; what they are allowed is not added up then.
	moving  []time.Duration
	seenCut map[string]time.Duration
	begun   map[string]bool // the events that have been in force
	writer  map[int64]string
	split   time.Duration // when it was first written how addresses are split; 0 not yet
	draw    []float64
	promise []float64
	// overJoules is what machines that break the assumptions cost.
	overJoules float64
	overSince  []time.Duration // since when a budget has been over its limit; 0 where it is not
	// overLongest is the longest time that one was because of them.
	overLongest time.Duration
	lastDraw    []float64
	lastAt      time.Duration
	// quietFloor is what mining drew before a quiet history's restart, quietLeases what it was leased then.
	quietFloor  float64
	quietLeases map[string]float64
	passes      int
	// turned is when a pod last started or ended, or was let go: watts change hands for a while then.
	turns  int
	turned time.Duration
	// lifted is when a limit rose last: leases go up to it by and by.
	lifted time.Duration
}

// tolerance is for rounding to whole watts, a few for each machine.
const tolerance = 12.0

// inFlight is how long what was decided before an unsurprised fall of a limit may still take effect.
const inFlight = 6 * time.Second

func newChecker(h *history) *checker {
	n := len(h.cfg.budgets)
	c := &checker{
		h: h, overSince: make([]time.Duration, n), limit: make([]float64, n), excused: make([]bool, n), until: make([]time.Duration, n), known: make([]time.Duration, n), fallRV: make([]uint64, n), sick: make([]time.Duration, n), wildIn: make([]bool, n), moving: make([]time.Duration, n),
		seenCut: map[string]time.Duration{}, begun: map[string]bool{}, writer: map[int64]string{},
		draw: make([]float64, n), promise: make([]float64, n), lastDraw: make([]float64, n), dirty: true,
	}
	for i := range h.cfg.budgets {
		var up []int
		for at := i; at >= 0; at = h.cfg.index(h.cfg.budgets[at].parent) {
			up = append(up, at)
		}
		c.up = append(c.up, up)
		// The machines run as they did before anybody looked after them.
		c.excused[i], c.until[i] = true, 15*time.Second
	}
	return c
}

func (c *checker) start() { c.limits() }

func (c *checker) broke(rule, format string, args ...any) {
	if c.violation == nil {
		c.violation = &Violation{Rule: rule, Detail: fmt.Sprintf(format, args...), At: c.h.now}
		c.h.logf("VIOLATION %s: %s", rule, c.violation.Detail)
	}
}

// after judges the site as it is after an event.
func (c *checker) after() (stop bool) {
	if c.dirty || c.h.now >= c.boundary {
		c.limits()
	}
	c.count()
	if c.h.cfg.wild {
		c.meter()
	}
	c.judgeQuiet()
	for i := range c.limit {
		over, promised := c.draw[i] > c.limit[i]+tolerance, c.promise[i] > c.limit[i]+tolerance
		switch {
		case !over && !promised && c.h.now >= c.until[i] && c.known[i] > 0 && c.h.now >= c.known[i]+inFlight && !c.held():
			if c.excused[i] {
				c.h.logf("budget %s is under its limit of %.0f W again", c.h.cfg.budgets[i].name, c.limit[i])
			}
			c.excused[i] = c.wildIn[i]
		case c.excused[i], !over && (!promised || c.h.now < c.moving[i]):
		case over:
			c.broke("L1", "budget %s draws %.0f W, limit %.0f W: %s", c.h.cfg.budgets[i].name, c.draw[i], c.limit[i], c.sums(i))
		default:
			c.broke("PROMISE", "budget %s has promised %.0f W, limit %.0f W: %s", c.h.cfg.budgets[i].name, c.promise[i], c.limit[i], c.sums(i))
		}
	}
	return c.violation != nil
}

// count sums the true watts, and what could be drawn if everybody used all that they were promised.
func (c *checker) count() {
	for i := range c.draw {
		c.draw[i], c.promise[i] = 0, 0
	}
	for i := range c.h.cfg.budgets {
		c.add(i, float64(c.h.cfg.budgets[i].base), float64(c.h.cfg.budgets[i].base))
	}
	for _, p := range c.h.pools {
		if p.exists && !p.gone {
			for _, d := range p.devices {
				w := d.watts()
				c.add(p.config.budget, w, d.most())
			}
		}
	}
	for _, a := range c.h.agents {
		if extra := a.extra(); extra > 0 {
			c.add(a.pod.pool.config.budget, 0, extra)
		}
	}
	turns := 0
	for _, g := range c.h.kube.order {
		if g.over {
			turns++
		}
		if g.opened {
			turns++
		}
		if g.over || !g.opened && !g.drawing || g.forgotten() {
			continue
		}
		at := g.at()
		if at < 0 {
			continue
		}
		w := 0.0
		if g.drawing {
			w = g.draw
		}
		c.add(at, w, g.claim)
	}
	if turns != c.turns {
		c.turns, c.turned = turns, c.h.now
	}
}

func (c *checker) add(budget int, draw, promise float64) {
	for _, i := range c.up[budget] {
		c.draw[i] += draw
		c.promise[i] += promise
	}
}

// forgotten tells that a pod never was at the gate and its object is gone: nothing names it any more.
func (g *gpod) forgotten() bool {
	if !g.stray {
		return false
	}
	pod := podOf(g.h.store.get(pods, g.key))
	return pod == nil || pod.UID != g.uid
}

// at is the budget that a pod draws from: its node's, else the one it is pinned to; -1 where it is nowhere.
func (g *gpod) at() int {
	if g.node != nil {
		return g.node.budget
	}
	if pod := podOf(g.h.store.get(pods, g.key)); pod != nil && pod.UID == g.uid {
		return g.h.cfg.index(pod.Spec.NodeSelector[budgetLabel])
	}
	return -1
}

// extra is what an agent's lease, or one on its way, lets its machines draw beyond what they may by themselves.
func (a *agent) extra() float64 {
	if len(a.minds) == 0 || a.pod.pool.gone {
		return 0
	}
	leave := a.onItsWay()
	if allowance := a.allowance(); allowance.Mode == lease.Leased {
		leave = max(leave, allowance.Watts)
	}
	most, now := 0.0, 0.0
	for _, d := range a.minds {
		now += d.most()
		most += max(d.settles(d.full()), d.most())
	}
	return min(float64(leave)-a.letGo(), most) - now
}

// onItsWay is the highest lease that an agent was given and may take yet: a ledger counts it from when it was given (L2),
// and one that was over meanwhile is under its limit again only once it has come, or too late.
func (a *agent) onItsWay() (most lease.Watts) {
	for _, o := range a.h.operators {
		if o == nil {
			continue
		}
		k := o.accounts[namespace+"/"+a.pod.name]
		if k == nil || k.run != a.run || k.epoch != a.mind.epoch {
			continue
		}
		for i := range k.sent {
			if m := &k.sent[i]; m.Seq > a.mind.seq && a.now() < m.AsOf+m.TTL && !a.hasShed(m) {
				most = max(most, m.Watts)
			}
		}
	}
	return most
}

// limits computes the limits in force by the store's truth, and excuses what fell with no warning.
func (c *checker) limits() {
	h := c.h
	byTime := !c.dirty
	c.dirty, c.boundary = false, 1<<62
	for i := range h.cfg.budgets {
		before := c.limit[i]
		now, announced := c.limitOf(i)
		c.limit[i] = now
		if now > before {
			c.lifted = h.now
		}
		if now >= before {
			if !announced {
				c.fell(i) // it would hold even so: a leader knows of another that ends
			}
			continue
		}
		h.logf("budget %s: limit falls from %.0f W to %.0f W, announced: %v", h.cfg.budgets[i].name, before, now, announced && byTime)
		if !byTime || !announced || h.now < c.sick[i] || c.orphaned(i) || c.firm(i) > now {
			c.fell(i)
		}
	}
}

// limitOf is one budget's limit now, less its margin, and whether every event that has begun since was known
// long enough before.
func (c *checker) limitOf(i int) (float64, bool) {
	h := c.h
	name := h.cfg.budgets[i].name
	b, ok := h.store.get(budgets, clusterWide(name)).(*powerv1.PowerBudget)
	if !ok {
		return 0, false
	}
	limit, reduce, announced := b.Spec.LimitWatts.Value(), int64(0), true
	for _, o := range h.store.list(cuts) {
		cut, ok := o.(*powerv1.CurtailmentEvent)
		if !ok || cut.Spec.Budget != name {
			continue
		}
		begin, end := cut.Spec.Start.Sub(epochZero), cut.Spec.End.Sub(epochZero)-clockError
		for _, at := range []time.Duration{begin, end} {
			if at > h.now {
				c.boundary = min(c.boundary, at)
				h.at(at, func() {})
			}
		}
		if h.now < begin || h.now >= end {
			continue
		}
		if key := cutKey(cut); !c.begun[key] {
			c.begun[key] = true
			seen, known := c.seenCut[key]
			announced = announced && known && begin-seen >= h.warning()
		}
		if cut.Spec.ReduceByWatts != nil {
			reduce += cut.Spec.ReduceByWatts.Value()
		} else {
			limit = min(limit, cut.Spec.LimitWatts.Value())
		}
	}
	limit = max(0, limit-reduce)
	return float64(limit - limit*int64(*b.Spec.MarginPercent)/100), announced
}

func cutKey(o client.Object) string { return string(o.GetUID()) + "/" + o.GetResourceVersion() }

// warning is how long before its start an event must have been known to a leader for nobody to be over at
// its start, whatever happens to the leader: a lease from before runs out, and its machines shed.
func (h *history) warning() time.Duration {
	return time.Duration(h.cfg.leaseSeconds)*time.Second + slowestShed + 12*time.Second
}

// clockError is how far an operator's clock may be off: an event may be over that much too early for it.
const clockError = 1100 * time.Millisecond

// slowestShed is the worst settle time of any model, and a look after it.
const slowestShed = 16 * time.Second

// orphaned tells whether machines have nobody to shed them: a process that started while it was cut off
// does not know what it minds, and an address may be on its way to an agent that can't be told.
func (c *checker) orphaned(i int) bool {
	for _, d := range c.h.devices {
		if d.pool.exists && !d.pool.gone && c.h.cfg.under(d.pool.config.budget, i) &&
			!slices.ContainsFunc(c.h.agents, func(a *agent) bool { return a.has(d) }) {
			return true
		}
	}
	for _, a := range c.h.agentPods() {
		if c.h.cfg.under(a.pool.config.budget, i) && (a.process == nil || a.process.dead || a.process.paused || a.process.mind.epoch == 0) {
			return true
		}
	}
	return false
}

// impaired notes that a machine will not do as told for a while.
func (c *checker) impaired(d *device, length time.Duration) {
	for _, i := range c.up[d.pool.config.budget] {
		c.sick[i] = max(c.sick[i], c.h.now+length+120*time.Second)
	}
}

// changed looks at the store's changes that move limits.
func (c *checker) changed(k kind) {
	c.dirty = c.dirty || k == budgets || k == cuts
	if k == pools && c.split == 0 && c.splitOnce() {
		c.split = c.h.now
	}
}

// passed notes what a leader knows after a pass.
func (c *checker) passed(o *operator) {
	c.passes++
	if epoch, _, _ := o.holds(""); epoch == 0 || !o.leader.Fresh() {
		return
	}
	for i := range c.known {
		if c.known[i] == 0 && o.cache.sees(budgets, c.fallRV[i]) && o.cache.sees(cuts, c.fallRV[i]) {
			c.known[i] = c.h.now
		}
	}
	for _, cut := range o.cache.items[cuts] {
		key := cutKey(cut)
		if _, ok := c.seenCut[key]; !ok {
			c.seenCut[key] = c.h.now
		}
	}
}

// agentMoved holds an agent's lease against the ledger of the leader that gave it (L2).
func (c *checker) agentMoved(a *agent) {
	if a.pod.process != a || a.pod.gone {
		return
	}
	allowance := a.allowance()
	if allowance.Mode != lease.Leased {
		return
	}
	for _, o := range c.h.operators {
		if o == nil || o.dead {
			continue
		}
		epoch, hold, ok := o.holds(namespace + "/" + a.pod.name)
		if ok && lease.Epoch(epoch) == a.mind.of && hold < allowance.Watts {
			c.broke("L2", "%s may draw %d W, and the ledger of %s (epoch %d) holds %d W for it", a.name, allowance.Watts, o.name, epoch, hold)
		}
	}
}
