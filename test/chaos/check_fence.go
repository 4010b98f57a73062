package chaos

import (
	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// The fence (L7) and the order of leases (L2), by what agents took and operators sent.

// greeted judges a Hello that an agent took.
func (c *checker) greeted(a *agent, m *lease.Hello) {
	if m.Epoch < a.lastEpoch || m.Run != a.run {
		c.broke("L7", "%s takes a Hello of epoch %d to run %d after epoch %d", a.name, m.Epoch, m.Run, a.lastEpoch)
	}
	if m.Epoch > a.lastEpoch {
		a.lastEpoch, a.lastSeq = m.Epoch, 0
	}
}

// leased judges a lease that an agent took.
func (c *checker) leased(a *agent, m *lease.Lease) {
	switch {
	case m.Run != a.run:
		c.broke("L2", "%s takes a lease that was given to run %d", a.name, m.Run)
	case m.Epoch != a.lastEpoch:
		c.broke("L7", "%s takes a lease of epoch %d after the Hello of epoch %d", a.name, m.Epoch, a.lastEpoch)
	case m.Seq <= a.lastSeq:
		c.broke("L2", "%s takes lease %d after lease %d", a.name, m.Seq, a.lastSeq)
	}
	if until := a.holder.Allowance(a.now()).Until; until > m.AsOf+m.TTL {
		c.broke("TTL", "%s may draw until %v by its clock, %v after the report that its lease answers", a.name, until, until-m.AsOf)
	}
	a.lastSeq = m.Seq
}

// granted judges a lease that is put up to leave: the leader Lease was read after its run was met.
func (c *checker) granted(o *operator, m *lease.Lease) {
	if met, ok := o.met[m.Run]; ok && o.readAt < met && m.Seq == 1 {
		c.broke("L7", "%s gives run %d its first lease; it was met at %v and the leader Lease read last at %v", o.name, m.Run, met, o.readAt)
	}
}

// sends judges an order that leaves now.
func (c *checker) sends(o *operator) {
	if age := c.h.now - o.renewed; age > controllers.LeaseDuration {
		c.broke("L7", "%s sends an order %v after its last renewal", o.name, age)
	}
}

// stamped looks that no GPUWorkload is left to an older leader once a new one decides.
func (c *checker) stamped(o *operator) {
	epoch, _, _ := o.holds("")
	for _, obj := range c.h.store.objs[claims] {
		if w := claimOf(obj); len(w.Status.Reservations) > 0 && uint64(w.Status.Epoch) < epoch {
			c.broke("L7", "%s decides under epoch %d, and GPUWorkload %s says %d", o.name, epoch, w.Name, w.Status.Epoch)
			return
		}
	}
}
