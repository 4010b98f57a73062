package chaos

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// machineAct does something to one machine.
func machineAct(f func(h *history, d *device, a *action)) func(*history, *action) {
	return func(h *history, a *action) {
		if d, ok := nth(h.devices, a.who); ok && d.pool.exists && !d.pool.gone {
			d.faulty = true
			h.check.impaired(d, a.length)
			f(h, d, a)
		}
	}
}

func addMachineActs() {
	acts["deaf"] = machineAct(func(_ *history, d *device, a *action) { d.deaf = 1 + a.amount%6 })
	acts["refuses"] = machineAct(func(_ *history, d *device, a *action) { d.refuses = 1 + a.amount%4 })
	acts["dark"] = machineAct(func(h *history, d *device, a *action) { d.darkUntil = max(d.darkUntil, h.now+a.length) })
	acts["reboot"] = machineAct(func(_ *history, d *device, _ *action) {
		if d.traits.SleepSurvivesReboot {
			d.reboot(false)
		}
	})
	acts["hot"] = machineAct(func(h *history, d *device, _ *action) {
		h.check.wild(d)
		d.reboot(true)
	})
	acts["liar"] = machineAct(func(h *history, d *device, a *action) {
		h.check.wild(d)
		d.liar = 0.5 + float64(a.amount)/1000
	})
}

func addSiteActs() {
	acts["curtail"] = func(h *history, a *action) {
		in := a.delay
		if a.other%4 == 1 {
			in += farAhead
		}
		h.curtail(a, in)
	}
	acts["curtail-now"] = func(h *history, a *action) { h.curtail(a, 0) }
	acts["delete-cut"] = func(h *history, a *action) {
		if o, ok := nth(h.store.list(cuts), a.who); ok {
			_ = h.store.delete(cuts, keyOf(o), 0, "")
		}
	}
	acts["edit-cut"] = (*history).editCut
	acts["limit-down"] = func(h *history, a *action) { h.editLimit(a, int64(60+a.amount/3)) }
	acts["limit-up"] = func(h *history, a *action) { h.editLimit(a, int64(100+a.amount/3)) }
	acts["delete-work"] = func(h *history, a *action) {
		if o, ok := nth(h.store.list(claims), a.who); ok {
			_ = h.store.delete(claims, keyOf(o), 0, "")
		}
	}
	acts["delete-pod"] = func(h *history, a *action) { h.deletePod(a, int64(podGrace/time.Second)) }
	acts["force-delete-pod"] = func(h *history, a *action) { h.deletePod(a, 0) }
	acts["more-pods"] = func(h *history, a *action) {
		if w, ok := nth(h.cfg.works, a.who); ok && h.store.get(claims, inSpace(w.name)) != nil {
			for range 1 + a.amount%2 {
				h.createPod(&h.cfg.works[a.who%len(h.cfg.works)])
			}
		}
	}
	acts["edit-work"] = (*history).editWork
	acts["stray"] = (*history).strayPod
}

// farAhead is beyond the notice of whatever may be evicted: such a fall bars only what must not be.
const farAhead = 2 * time.Minute

// curtail makes a curtailment event that begins after some time.
func (h *history) curtail(a *action, in time.Duration) {
	b, _ := nth(h.cfg.budgets, a.who)
	limit := b.limit * int64(a.amount) / 130
	c := &powerv1.CurtailmentEvent{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("cut-%d", h.store.uids)},
		Spec: powerv1.CurtailmentEventSpec{
			Budget: b.name, Start: timeAt(h, h.now+in+time.Second), End: timeAt(h, h.now+in+a.length+10*time.Second),
		},
	}
	if a.other%3 == 0 {
		c.Spec.ReduceByWatts = quantity(b.limit - limit)
	} else {
		c.Spec.LimitWatts = quantity(limit)
	}
	h.store.create(c)
	h.logf("%s: budget %s to %d W from %.0f s to %.0f s", c.Name, b.name, limit,
		c.Spec.Start.Sub(epochZero).Seconds(), c.Spec.End.Sub(epochZero).Seconds())
}

// editCut moves an event's limit and end.
func (h *history) editCut(a *action) {
	o, ok := nth(h.store.list(cuts), a.who)
	if !ok {
		return
	}
	h.store.edit(cuts, keyOf(o), func(o client.Object) {
		if c, ok := o.(*powerv1.CurtailmentEvent); ok {
			h.check.extended(c)
			c.Spec.End = metav1.NewTime(c.Spec.End.Add(a.length).Truncate(time.Second))
			if c.Spec.LimitWatts != nil {
				c.Spec.LimitWatts = quantity(c.Spec.LimitWatts.Value() * int64(60+a.amount/2) / 100)
			}
		}
	})
}

func (h *history) editLimit(a *action, percent int64) {
	b, _ := nth(h.cfg.budgets, a.who)
	limit := max(b.base, b.limit*percent/100)
	h.store.edit(budgets, clusterWide(b.name), func(o client.Object) {
		if p, ok := o.(*powerv1.PowerBudget); ok {
			p.Spec.LimitWatts = *quantity(limit)
			p.Generation++
		}
	})
	h.logf("budget %s: limit %d W", b.name, limit)
}

func (h *history) deletePod(a *action, grace int64) {
	var from []*gpod
	for _, g := range h.kube.order {
		if !g.gone {
			from = append(from, g)
		}
	}
	if g, ok := nth(from, a.who); ok {
		h.logf("pod %s is deleted, grace %d s", g.key.Name, grace)
		_ = h.store.delete(pods, g.key, grace, g.uid)
	}
}

// editWork changes what pods admitted later count: more watts, another priority.
func (h *history) editWork(a *action) {
	w, ok := nth(h.cfg.works, a.who)
	if !ok {
		return
	}
	h.store.edit(claims, inSpace(w.name), func(o client.Object) {
		c := claimOf(o)
		c.Generation++
		if a.other%2 == 0 {
			c.Spec.Priority = new(int32(a.amount - 50))
			return
		}
		at := max(w.watts, w.gpus*wattsPerGPU)
		c.Spec.WattsPerPod = quantity(at * int64(100+a.amount/2) / 100)
	})
}

// editPool changes what is thought of the estimates of a pool's machines; never below what they are off by.
func (h *history) editPool(a *action) {
	p, ok := nth(h.pools, a.who)
	if !ok || !p.exists || p.gone {
		return
	}
	h.store.edit(pools, inSpace(p.config.name), func(o client.Object) {
		if m, ok := o.(*powerv1.MinerPool); ok {
			m.Spec.UncertaintyPercent = new(h.cfg.uncertainty + int32(a.amount%3))
			m.Generation++
		}
	})
	h.logf("pool %s: estimates are off by up to %d %%", p.config.name, h.cfg.uncertainty+int32(a.amount%3))
}

// strayPod is an accelerator pod that never was at the gate.
func (h *history) strayPod(a *action) {
	w := &workConfig{name: "stray", gpus: 1, work: a.length, share: 1, ungated: true}
	h.createPod(w)
}

// goBack is a store that was restored from a backup: an agent has met a leader whose epoch it knows nothing of.
func (h *history) goBack(a *action) {
	p, ok := nth(h.agents, a.who)
	if !ok || p.paused || h.ahead > 0 {
		return
	}
	h.ahead = h.now
	p.do(func() {
		p.take(order{hello: &lease.Hello{Epoch: lease.Epoch(h.store.rv + 100_000), Run: p.run, Generation: 1, Assignment: p.mind.assignment}})
	})
}

func (h *history) cordon(a *action) {
	n, _ := nth(h.nodes, a.who)
	mark := func(on bool) {
		h.store.edit(nodes, clusterWide(n.name), func(o client.Object) {
			if c, ok := o.(*corev1.Node); ok {
				c.Spec.Unschedulable = on
			}
		})
	}
	mark(true)
	h.after(a.length, func() { mark(false) })
}
