package chaos

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// quietFor is how long before the end nothing may have gone wrong for a history to be judged for liveness.
const quietFor = 75 * time.Second

// shedByRestart is the rule that a mere restart sheds nobody (liveness a).
const shedByRestart = "LIVE-A"

// judgeQuiet looks that nobody is shed by what is only a restart (liveness a). One machine may change hands
// meanwhile: agents learn what their machines do, and learn it anew after a restart of their own.
func (c *checker) judgeQuiet() {
	h := c.h
	if !h.cfg.quiet || h.now < h.cfg.calm {
		return
	}
	mining := 0.0
	for _, d := range h.devices {
		if d.pool.exists {
			mining += d.watts()
		}
	}
	if c.quietLeases == nil {
		c.quietFloor, c.quietLeases = mining, h.leases()
	}
	least := c.quietFloor*0.93 - largest
	if mining < least && mining+c.swapped() < least {
		c.broke(shedByRestart, "a restart sheds miners: they drew %.0f W before and draw %.0f W", c.quietFloor, mining)
	}
}

// leases are those in force, by the agent's pod.
func (h *history) leases() map[string]float64 {
	out := map[string]float64{}
	for _, p := range h.agentPods() {
		if p.process == nil || p.process.dead {
			continue
		}
		if x := p.process.allowance(); x.Mode == lease.Leased {
			out[p.name] = float64(x.Watts)
		}
	}
	return out
}

// swapped is what agents may draw above their leases of before: what an agent measures anew may make its machines the
// better ones, and they take watts from others (design section 6, step 4). These shed at once; a machine that is
// to use the watts may still wake. What was shed and comes back is no more than before, and counts nothing.
func (c *checker) swapped() float64 {
	more := 0.0
	for pod, watts := range c.h.leases() {
		more += max(0, watts-c.quietLeases[pod])
	}
	return more
}

// handOverWithin is how soon after a pod started or ended the next one has the watts that this freed or
// still leaves: what a pod gives back waits for its release delay, and what miners give for the slowest shed.
const handOverWithin = 45 * time.Second

// mostHandOvers is for how many of these a history's end is put off while pods come and go, or a limit has just risen.
const mostHandOvers = 6

// handingOver tells whether pods came or went so lately that those that wait may still get theirs.
func (c *checker) handingOver() bool {
	if !c.h.cfg.live {
		return false
	}
	for _, g := range c.h.kube.order {
		if g.gone && g.node != nil && c.h.now < max(g.goneAt, g.node.backAt)+provenIn+g.work.grace && c.h.reserved(g.uid) {
			return true
		}
	}
	return c.h.now-c.turned < handOverWithin
}

// restoreWithin is how soon leases use a limit that rose: a tenth of it each second, and what is too small to be worth
// a write 20 s later.
const restoreWithin = 30 * time.Second

// restoring tells whether a limit rose so lately that leases may still be on their way up to it, or changes so soon
// that they may be on their way down: miners shed before an announced fall.
func (c *checker) restoring() bool {
	return c.h.cfg.live && min(c.h.now-c.lifted, c.boundary-c.h.now) < restoreWithin
}

// provenIn is how long a node must be heard to prove that a pod which vanished has ended.
const provenIn = 110 * time.Second

func (h *history) reserved(pod types.UID) bool {
	for _, o := range h.store.objs[claims] {
		if slices.ContainsFunc(claimOf(o).Status.Reservations, func(r powerv1.Reservation) bool { return r.UID == pod }) {
			return true
		}
	}
	return false
}

// judgeEnd judges what a history has come to, some time after everything was mended.
func (c *checker) judgeEnd() {
	h := c.h
	if h.ahead > 0 || h.babbled || !h.cfg.live || c.violation != nil || h.now-h.cfg.calm < quietFor {
		return
	}
	for _, d := range h.devices {
		if d.faulty {
			return // its agent may leave it alone for longer than this history lasts
		}
	}
	for i := range c.limit {
		if c.draw[i] > c.limit[i]+tolerance && c.firm(i) <= c.limit[i] {
			c.broke("LATE", "budget %s still draws %.0f W, limit %.0f W: %s", h.cfg.budgets[i].name, c.draw[i], c.limit[i], c.sums(i))
		}
	}
	waiting := c.judgeWaiting()
	if len(h.cfg.budgets) == 1 && !waiting && !c.restoring() {
		c.judgeMining()
	}
}

// judgeWaiting looks that no pod waits for what should have come by now.
func (c *checker) judgeWaiting() (waiting bool) {
	h := c.h
	for _, g := range h.kube.order {
		pod := podOf(h.store.get(pods, g.key))
		if pod == nil || !gate.Gated(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		waiting = true
		w := claimOf(h.store.get(claims, inSpace(g.work.name)))
		if w == nil || w.DeletionTimestamp != nil || h.wall().Sub(pod.CreationTimestamp.Time) < quietFor {
			continue
		}
		cond := meta.FindStatusCondition(w.Status.Conditions, powerv1.ConditionPowerReserved)
		switch {
		case cond == nil:
			c.broke("LIVE-AI", "pod %s waits, and its GPUWorkload says nothing", pod.Name)
		case cond.Reason == powerv1.ReasonWaitingForMiners && !c.handingOver() && c.waitsLong(w) || strings.Contains(cond.Message, "do not report"):
			c.broke("LIVE-AI", "pod %s waits still: %s: %s", pod.Name, cond.Reason, cond.Message)
		case cond.Message == "":
			c.broke("LIVE-AI", "pod %s waits for no reason", pod.Name)
		}
	}
	return waiting
}

// judgeMining looks that leases use what a single budget leaves, up to one machine.
func (c *checker) judgeMining() {
	h := c.h
	b := &h.cfg.budgets[0]
	left := c.limit[0] - float64(b.base) - float64(b.headroom)
	for _, g := range h.kube.order {
		if !g.over || !g.gone {
			left -= g.claim
		}
	}
	for i := range h.cfg.works {
		left -= float64(h.cfg.works[i].standby) * float64(max(h.cfg.works[i].watts, h.cfg.works[i].gpus*wattsPerGPU)) * 2
	}
	most, have := 0.0, 0.0
	for _, p := range h.pools {
		if o := h.store.get(pools, inSpace(p.config.name)); o == nil || o.GetDeletionTimestamp() != nil {
			continue
		}
		left -= float64(p.config.rated) * 0.12 // uncertainties, and what of the rated watts is not found
		for _, d := range p.devices {
			most += d.settles(d.full()) * 0.9
		}
	}
	for _, a := range h.agents {
		if x := a.allowance(); x.Mode == lease.Leased {
			have += float64(x.Watts)
		}
	}
	if want := min(left, most); have < want-largest {
		c.broke("LIVE-MINING", "leases are %.0f W where %.0f W are left: %s", have, want, c.sums(0))
	}
}

// largest is the rated watts of the largest model: what may not fit.
const largest = 3800
