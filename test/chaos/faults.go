package chaos

import (
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// action is one thing that is done to the site. Its numbers mean what its kind makes of them.
type action struct {
	at     time.Duration
	what   string
	who    int
	other  int
	amount int
	length time.Duration
	delay  time.Duration
}

// String is the action in a line.
func (a action) String() string {
	return fmt.Sprintf("%8.3fs %s who=%d other=%d amount=%d length=%.1fs delay=%.1fs",
		a.at.Seconds(), a.what, a.who, a.other, a.amount, a.length.Seconds(), a.delay.Seconds())
}

// The kinds of actions with how often each is drawn.
var kindsOfActions = []struct {
	what   string
	weight int
}{
	{"crash-operator", 6}, {"stop-operator", 2}, {"pause-operator", 6}, {"pause-at-send", 4},
	{"crash-agent", 5}, {"pause-agent", 3}, {"pause-at-order", 3}, {"delete-agent-pod", 3},
	{"api-down", 2}, {"api-hung", 3}, {"partition", 6}, {"partition-reports", 3}, {"partition-orders", 3},
	{"stall-watch", 6}, {"delete-lock", 1}, {"lose-node", 6}, {"power-off-node", 2}, {"lose-agent-node", 2},
	{"deaf", 4}, {"dark", 4}, {"refuses", 2}, {"reboot", 2},
	{"curtail", 7}, {"curtail-now", 1}, {"delete-cut", 2}, {"edit-cut", 1}, {"limit-down", 2}, {"limit-up", 2},
	{"delete-work", 3}, {"delete-pod", 4}, {"force-delete-pod", 2}, {"more-pods", 6}, {"edit-work", 2}, {"stray", 1},
	{"reshard", 3}, {"edit-pool", 1}, {"delete-pool", 1}, {"cordon", 1}, {"babble", 2}, {"go-back", 1}, {"blind-takeover", 3}, {"keep-gates", 3}, {"lose-pods", 1},
}

// plan draws what is done, and when.
func (d *drawing) plan() {
	c := &d.c
	c.calm = d.between(30*time.Second, 60*time.Second)
	if d.chance(0.04) {
		c.calm += d.between(0, 200*time.Second)
	}
	c.end = c.calm
	total := 0
	for _, k := range kindsOfActions {
		total += k.weight
	}
	for range d.span(0, 14) {
		n := d.rng.IntN(total)
		for _, k := range kindsOfActions {
			if n -= k.weight; n < 0 {
				c.actions = append(c.actions, d.action(k.what))
				break
			}
		}
	}
	for i := range c.actions {
		if a := &c.actions[i]; a.what == "lose-pods" {
			c.calm = max(c.calm, a.at+goneFor) // what is lost for so long is judged for so long
			c.end = c.calm
		}
	}
	switch {
	case c.quiet:
		d.planQuiet()
	case c.wild:
		d.planWild()
	case c.live:
		c.end += 100 * time.Second
	}
}

// planWild has machines break the assumptions, and nothing else go wrong: what comes over a limit is theirs.
func (d *drawing) planWild() {
	c := &d.c
	c.actions = slices.DeleteFunc(c.actions, func(a action) bool {
		return !slices.Contains([]string{"curtail", "more-pods", "delete-pod", "delete-work"}, a.what)
	})
	c.slow, c.lost, c.late, c.lag = 0, 0, 0, 50*time.Millisecond
	for range d.span(1, 3) {
		c.actions = append(c.actions, d.action(pick(d.sim, []string{"hot", "liar"})))
	}
	c.end += 100 * time.Second
}

// planQuiet restarts processes at a site where nothing else happens.
func (d *drawing) planQuiet() {
	c := &d.c
	c.actions, c.works = nil, nil
	for i := range c.pools {
		c.pools[i].late = 0
	}
	c.calm = 110 * time.Second
	c.end = c.calm + 90*time.Second
	a := d.action(pick(d.sim, []string{"crash-operator", "stop-operator", "crash-agent", "pause-operator"}))
	a.at, a.length, a.who = c.calm+time.Second, 45*time.Second, d.span(0, 1)
	if a.what == "crash-agent" {
		a.who = d.span(0, 5)
	}
	c.actions = append(c.actions, a)
}

func (d *drawing) action(what string) action {
	length := d.between(time.Second, 25*time.Second)
	if d.chance(0.25) {
		length = d.between(20*time.Second, 120*time.Second)
	}
	return action{
		at: d.between(5*time.Second, d.c.calm), what: what, who: d.span(0, 11), other: d.span(0, 11),
		amount: d.span(20, 100), length: length, delay: d.between(5*time.Second, 90*time.Second),
	}
}

func nth[T any](from []T, n int) (T, bool) {
	var none T
	if len(from) == 0 {
		return none, false
	}
	return from[n%len(from)], true
}

// act does one action, where there is something to do it to.
func (h *history) act(a *action) {
	h.logf("-- %s", a.what)
	if f := acts[a.what]; f != nil {
		f(h, a)
	}
}

var acts map[string]func(*history, *action)

func init() {
	acts = map[string]func(*history, *action){
		"crash-operator": func(h *history, a *action) { h.crash(h.operators[a.who%2], min(a.length, 20*time.Second)) },
		"blind-takeover": (*history).blindTakeover,
		"stop-operator":  func(h *history, a *action) { h.stopOperator(h.operators[a.who%2], min(a.length, 10*time.Second)) },
		"pause-operator": func(h *history, a *action) { h.pause(&h.operators[a.who%2].process, a.length) },
		"pause-at-send":  func(h *history, a *action) { h.pausing[a.who%2] = a.length },
		"crash-agent": func(h *history, a *action) {
			if p, ok := nth(h.agentPods(), a.who); ok && p.process != nil && !p.process.dead {
				h.stopAgent(p.process)
				h.after(h.between(200*time.Millisecond, 4*time.Second), p.start)
			}
		},
		"pause-agent": func(h *history, a *action) {
			if p, ok := nth(h.agents, a.who); ok {
				h.pause(&p.process, a.length)
			}
		},
		"pause-at-order": func(h *history, a *action) {
			if p, ok := nth(h.agents, a.who); ok {
				p.pausing = a.length
			}
		},
		"delete-agent-pod": func(h *history, a *action) {
			if p, ok := nth(h.agentPods(), a.who); ok {
				_ = h.store.delete(pods, inSpace(p.name), int64(podGrace/time.Second), p.uid)
			}
		},
		"api-down": func(h *history, a *action) {
			h.server.down = true
			h.after(min(a.length, 60*time.Second), func() { h.server.down = false })
		},
		"api-hung": func(h *history, a *action) {
			h.server.hung = true
			h.after(min(a.length, 60*time.Second), h.goOn)
		},
		"partition":         func(h *history, a *action) { h.cutOff(a, true, true) },
		"partition-reports": func(h *history, a *action) { h.cutOff(a, false, true) },
		"partition-orders":  func(h *history, a *action) { h.cutOff(a, true, false) },
		"stall-watch":       (*history).stallWatch,
		"delete-lock":       func(h *history, _ *action) { h.lock = nil; h.store.rv++ },
		"lose-node":         func(h *history, a *action) { h.loseNode(a, true, false) },
		"lose-pods":         (*history).losePods,
		"power-off-node":    func(h *history, a *action) { h.loseNode(a, true, true) },
		"lose-agent-node":   func(h *history, a *action) { h.loseNode(a, false, false) },
		"reshard":           (*history).reshard,
		"edit-pool":         (*history).editPool,
		"delete-pool":       (*history).deletePool,
		"cordon":            (*history).cordon,
		"keep-gates":        func(h *history, a *action) { h.gatesKept = h.now + a.length },
		"go-back":           (*history).goBack,
		"babble": func(h *history, a *action) {
			if p, ok := nth(h.agents, a.who); ok {
				h.logf("%s talks nonsense for %.0f s", p.name, a.length.Seconds())
				p.babbles, h.babbled = h.now+a.length, true
			}
		},
	}
	addMachineActs()
	addSiteActs()
}

// blindTakeover ends the leader in order while the other sees nothing new.
func (h *history) blindTakeover(a *action) {
	for slot, o := range h.operators {
		if h.check.leads(o) {
			c := h.operators[1-slot].cache
			for k := range kinds {
				c.stalled[k] = max(c.stalled[k], h.now+a.length)
				c.relist[k] = a.amount > 60
			}
			h.after(h.between(0, a.length), func() { h.deletePod(a, 0) })
			h.after(h.between(0, a.length), func() { h.stopOperator(o, time.Second) })
			return
		}
	}
}

// stopOperator ends a process in order: it lets the Lease go once it has stopped.
func (h *history) stopOperator(o *operator, back time.Duration) {
	if o.dead || o.paused {
		return
	}
	h.crash(o, back)
	if o.clock().Before(o.leader.Alone()) {
		return // it may not
	}
	if h.lock == nil || h.lock.Spec.HolderIdentity == nil || *h.lock.Spec.HolderIdentity != o.name || h.server.down || h.server.hung {
		return
	}
	next := h.lock.DeepCopy()
	next.Spec.HolderIdentity, next.Spec.LeaseDurationSeconds = new(""), new(int32(1))
	h.store.rv++
	next.ResourceVersion = fmt.Sprint(h.store.rv)
	h.lock = next
}

func (h *history) cutOff(a *action, orders, reports bool) {
	p, ok := nth(h.agentPods(), a.who)
	if !ok {
		return
	}
	for slot := range h.cuts {
		if a.other%3 == slot { // one operator only, or both
			continue
		}
		c := &h.cuts[slot][p.group]
		if orders {
			c.orders = max(c.orders, h.now+a.length)
		}
		if reports {
			c.reports = max(c.reports, h.now+a.length)
		}
	}
	h.logf("%s is cut off for %.1f s", p.name, a.length.Seconds())
}

func (h *history) stallWatch(a *action) {
	c := h.operators[a.who%2].cache
	k := kind(a.other % int(kinds))
	c.stalled[k] = max(c.stalled[k], h.now+a.length)
	c.relist[k] = a.amount > 60
	h.logf("%s sees no %s for %.1f s", c.o.name, kindNames[k], a.length.Seconds())
}

func (h *history) loseNode(a *action, gpu, off bool) {
	var from []*node
	for _, n := range h.nodes {
		if (n.budget >= 0) == gpu {
			from = append(from, n)
		}
	}
	if n, ok := nth(from, a.who); ok {
		n.lose(off, a.length+a.delay)
	}
}

// goneFor is how long pods are gone and draw on somewhere.
const goneFor = 90 * time.Second

// losePods cuts off a node on which pods draw, and somebody deletes them as if they were gone. The node is
// back some time after, or never.
func (h *history) losePods(a *action) {
	for _, g := range h.kube.order {
		n := g.node
		if n == nil || n.lost || !g.drawing {
			continue
		}
		n.lose(false, goneFor*time.Duration(40+a.amount)/100)
		for _, other := range h.kube.order {
			if other.node == n && other.drawing {
				other.endless = true
				h.after(h.between(time.Second, 12*time.Second), func() { _ = h.store.delete(pods, other.key, 0, other.uid) })
			}
		}
		return
	}
}

// reshard moves addresses between a pool's agents.
func (h *history) reshard(a *action) {
	p, ok := nth(h.pools, a.who)
	if !ok || !p.exists || p.gone {
		return
	}
	p.per = 1 + a.amount%4
	h.store.edit(pools, inSpace(p.config.name), func(o client.Object) {
		if m, ok := o.(*powerv1.MinerPool); ok {
			m.Spec.DevicesPerAgent = int32(p.per)
			m.Generation++
		}
	})
	for _, i := range h.check.up[p.config.budget] {
		h.check.moving[i] = h.now + 90*time.Second
	}
	h.logf("pool %s: %d devices an agent", p.config.name, p.per)
	h.after(h.between(100*time.Millisecond, 2*time.Second), p.scale)
}

// deletePool deletes a MinerPool; it goes once its machines sleep.
func (h *history) deletePool(a *action) {
	p, ok := nth(h.pools, a.who)
	if !ok || !p.exists || p.gone {
		return
	}
	_ = h.store.delete(pools, inSpace(p.config.name), 0, "")
	h.after(2*time.Second, p.release)
}

// release lets a deleted pool go once all of its agents say that everything sleeps.
func (p *pool) release() {
	h := p.h
	ready := true
	for _, a := range p.slots {
		ready = ready && a != nil && a.process != nil && !a.process.dead && a.process.report.Run != 0 &&
			a.process.report.Counts.Total > 0 && a.process.report.Counts.Sleeping == a.process.report.Counts.Total
	}
	for _, d := range p.devices {
		ready = ready && d.watts() <= float64(d.traits.Residual)+1 && d.h.now >= d.end
	}
	if !ready {
		h.after(3*time.Second, p.release)
		return
	}
	p.gone = true
	h.logf("pool %s sleeps and goes", p.config.name)
	p.scale()
	p.letGo()
}

func (p *pool) letGo() {
	for _, a := range p.slots {
		if a != nil {
			p.h.after(time.Second, p.letGo)
			return
		}
	}
	_ = p.h.store.delete(sets, inSpace(p.config.name), 0, "")
	p.h.store.edit(pools, inSpace(p.config.name), func(o client.Object) { o.SetFinalizers(nil) })
}

// calmDown ends every fault: what is broken is mended, and nothing breaks any more.
func (h *history) calmDown() {
	h.logf("-- calm")
	h.cfg.lost, h.cfg.late, h.cfg.slow = 0, 0, 0
	h.cfg.lag = min(h.cfg.lag, 100*time.Millisecond)
	h.server.down, h.gatesKept = false, 0
	h.goOn()
	h.cuts = [2][maxGroups]cut{}
	h.pausing = [2]time.Duration{}
	for _, o := range h.operators {
		o.cache.goOn()
		if o.paused {
			o.resume(h.now)
		}
	}
	for _, a := range append([]*agent{}, h.agents...) {
		a.pausing = 0
		if a.paused {
			a.resume(h.now)
		}
	}
	for _, n := range h.nodes {
		n.comeBack()
	}
	for _, d := range h.devices {
		d.deaf, d.refuses = 0, 0
		d.darkUntil = min(d.darkUntil, h.now)
	}
}

func timeAt(h *history, at time.Duration) metav1.Time {
	return metav1.NewTime(h.wallAt(at).Truncate(time.Second))
}
