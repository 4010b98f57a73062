package chaos

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/controllers"
)

// The fence (L7), by what operators sent and wrote.

// sighting is when a process first saw a version.
type sighting struct {
	version string
	at      time.Duration
}

// saw notes what a process sees of an object.
func (c *checker) saw(o *operator, k kind, ch *change) {
	switch {
	case k == claims && o.versions[ch.key].version != ch.obj.GetResourceVersion():
		o.versions[ch.key] = sighting{ch.obj.GetResourceVersion(), c.h.now}
	case k == pods && ch.obj.GetLabels()[componentLabel] == agentComponent:
		name := ch.key.String()
		_, known := o.leaving[name]
		switch {
		case ch.gone || ch.obj.GetDeletionTimestamp() == nil:
			delete(o.leaving, name)
		case !known:
			o.leaving[name] = c.h.now
		}
	}
}

// rules judges that a process may decide at all: a higher epoch ends its own, and while the store is older
// than the ledger nobody is let in.
func (c *checker) rules(o *operator, b *books) {
	epoch, _, _ := o.holds("")
	if epoch != o.epoch {
		o.epoch, o.tookOver = epoch, c.h.now
		c.caughtUp(o)
	}
	if epoch <= o.outranked && c.h.now > o.outrankedAt+passLimit {
		c.broke("L7", "%s decides under epoch %d, and knows of %d since %v", o.name, epoch, o.outranked, o.outrankedAt)
	}
	if epoch <= c.h.store.rv || c.h.now > c.h.ahead+rolledBack {
		return
	}
	for i := range b.s.Workloads {
		if n, _ := b.fresh(i); n > 0 {
			c.broke("L7", "%s lets pods of %s in, %v after the store was seen to have gone back", o.name, b.s.Workloads[i].Key, c.h.now-c.h.ahead)
		}
	}
}

// caughtUp judges that a new leader's caches have everything that was there when it read the Lease, and that nobody else
// leads still (L6, L7).
func (c *checker) caughtUp(o *operator) {
	for _, other := range c.h.operators {
		if other == nil || other == o || other.dead || other.epoch == 0 || c.split == 0 || c.split >= o.readAt || !c.splitOnce() {
			continue
		}
		if left := other.renewed + controllers.LeaseDuration - c.h.now; left > 0 {
			c.broke("L7", "%s leads, and %s may for %v more", o.name, other.name, left)
		}
	}
	for _, k := range []kind{budgets, pools, cuts, pods, sets} {
		for _, is := range c.h.store.objs[k] {
			if is.GetLabels()[componentLabel] == agentComponent || versionOf(is) > o.readRV {
				continue
			}
			if has := o.cache.get(k, keyOf(is)); has == nil || versionOf(has) < versionOf(is) {
				c.broke("L7", "%s leads, and has yet to see the newest of %s %s", o.name, kindNames[k], is.GetName())
			}
		}
	}
}

// splitOnce tells whether it is written what an agent is to mind: a leader that reads it waits for the one before.
func (c *checker) splitOnce() bool {
	for _, is := range c.h.store.list(pools) {
		if p, ok := is.(*powerv1.MinerPool); ok && len(p.Status.Splits) > 0 {
			return true
		}
	}
	return false
}

func versionOf(o client.Object) uint64 {
	v, _ := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	return v
}

// rolledBack is how long nothing is let in where the store went back in time.
const rolledBack = 290 * time.Second

// confirmed judges a write that lets pods in: the leader Lease was read after what it is written onto was
// seen.
func (c *checker) confirmed(o *operator, before, after *powerv1.GPUWorkload) {
	known := map[types.UID]bool{}
	for i := range before.Status.Reservations {
		known[before.Status.Reservations[i].UID] = true
	}
	seen := o.versions[keyOf(before)]
	for i := range after.Status.Reservations {
		if r := &after.Status.Reservations[i]; !known[r.UID] && seen.version == before.ResourceVersion && o.readAt < seen.at {
			c.broke("L7", "%s reserves watts for pod %s on a version that it saw at %v; it read the leader Lease last at %v", o.name, r.Name, seen.at, o.readAt)
		}
	}
}

// lapsed looks that a process does not take a renewal for fresh that was asked for so long ago.
func (c *checker) lapsed(o *operator, renewal time.Duration) {
	if !o.dead && o.renewed == renewal && o.leader.Fresh() {
		c.broke("L7", "%s takes its renewal of %v for fresh", o.name, renewal)
	}
}

// sends judges an order that leaves now.
func (c *checker) sends(o *operator) {
	if age := c.h.now - o.renewed; age > controllers.LeaseDuration {
		c.broke("L7", "%s sends an order %v after its last renewal", o.name, age)
	}
}

// stamped looks that no GPUWorkload is left to an older leader once a new one decides. One that was made after the
// new leader listed them may get an older epoch still, and no watts under it.
func (c *checker) stamped(o *operator) {
	epoch, _, _ := o.holds("")
	for _, obj := range c.h.store.objs[claims] {
		w := claimOf(obj)
		if w.Status.Epoch > 0 && uint64(w.Status.Epoch) < epoch && w.CreationTimestamp.Add(time.Second).Before(c.h.wallAt(o.listed)) {
			c.broke("L7", "%s decides under epoch %d, and GPUWorkload %s says %d", o.name, epoch, w.Name, w.Status.Epoch)
			return
		}
	}
}
