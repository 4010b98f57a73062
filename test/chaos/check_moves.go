package chaos

import (
	"slices"
	"strconv"
	"time"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// Addresses that move between agents (L9).

// reassigned judges an assignment that is put up to leave: the agent is to let no machine go whose next agent this
// leader does not hear, unless that one is never to come.
func (c *checker) reassigned(o *operator, key string, m *lease.Hello) {
	k := o.accounts[key]
	if k == nil || k.epoch != m.Epoch {
		return
	}
	before, now := k.minds, c.h.expand(m.Assignment.Ranges)
	k.minds = now
	for _, d := range before {
		if slices.Contains(now, d) {
			continue
		}
		heir, comes := d.heir(o)
		next := o.accounts[heir]
		switch {
		case heir == key, !comes, d.mayBeOthers(o, key, heir):
		case next == nil || !next.heard || c.h.now-next.at > unheardAfter+2*time.Second:
			c.broke("L9", "%s has %s let %s go, and does not hear %s, which is to mind it", o.name, key, d.name, heir)
		}
	}
}

// mayBeOthers tells whether an agent of the pool other than these, whose pod a leader sees and which it has not heard,
// may mind a machine by an earlier split: for all the leader knows another told it so, and two may not command one machine.
func (d *device) mayBeOthers(o *operator, these ...string) bool {
	p := d.pool
	is, ok := d.h.store.get(pools, inSpace(p.config.name)).(*powerv1.MinerPool)
	if !ok {
		return false
	}
	at := slices.Index(p.devices, d)
	return slices.ContainsFunc(is.Status.Splits, func(s powerv1.MinerPoolSplit) bool {
		name := p.config.name + "-" + strconv.Itoa(at/int(s.DevicesPerAgent))
		key := namespace + "/" + name
		other := o.accounts[key]
		return !slices.Contains(these, key) && o.cache.get(pods, inSpace(name)) != nil && (other == nil || !other.heard)
	})
}

// heir is the agent that is to mind a machine by the newest split; false where that has no pod, as far as a process has
// seen, and the spec asks for none.
func (d *device) heir(by *operator) (key string, comes bool) {
	p := d.pool
	o, ok := d.h.store.get(pools, inSpace(p.config.name)).(*powerv1.MinerPool)
	if !ok || len(o.Status.Splits) == 0 {
		return "", false
	}
	n := slices.Index(p.devices, d) / int(o.Status.Splits[len(o.Status.Splits)-1].DevicesPerAgent)
	name := p.config.name + "-" + strconv.Itoa(n)
	comes = p.wants(n) || by.cache.get(pods, inSpace(name)) != nil
	return namespace + "/" + name, comes
}
