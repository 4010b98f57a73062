package chaos

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/counterweight-dev/counterweight/controllers"
)

// cache is what one operator process has seen of the store: each kind through a watch of its own, in order
// and late.
type cache struct {
	o     *operator
	items [kinds][]client.Object // by name
	lists [kinds]any             // the same as they are listed; nil until they are
	at    [kinds]int             // how much of the kind's log was seen
	rv    [kinds]uint64
	own   [kinds]uint64 // the process's own newest write
	due   [kinds]time.Duration
	// stalled is until when a watch delivers nothing; a stall may end in a new list.
	stalled [kinds]time.Duration
	relist  [kinds]bool
}

var stripPod = func() func(any) (any, error) {
	for o, by := range controllers.CacheOptions().ByObject {
		if _, ok := o.(*corev1.Pod); ok {
			return by.Transform
		}
	}
	return nil
}()

// slimmed is an object as it is kept in a cache.
func (h *history) slimmed(k kind, c *change) client.Object {
	if k != pods || stripPod == nil {
		return c.obj
	}
	if c.slim == nil {
		o, err := stripPod(podOf(c.obj).DeepCopy())
		if slim, ok := o.(client.Object); ok && err == nil {
			c.slim = slim
		}
	}
	return c.slim
}

// fillFrom lists everything, as of some time not long ago.
func (c *cache) fillFrom(behind int) {
	for k := range kinds {
		log := c.o.h.store.log[k]
		end := max(0, len(log)-behind)
		for i := range log[:end] {
			c.put(k, &log[i])
		}
		c.at[k] = end
		c.schedule(k)
	}
}

func (c *cache) find(k kind, key types.NamespacedName) (int, bool) {
	return slices.BinarySearchFunc(c.items[k], key, func(o client.Object, key types.NamespacedName) int {
		switch at := keyOf(o); {
		case less(at, key):
			return -1
		case at == key:
			return 0
		}
		return 1
	})
}

func (c *cache) get(k kind, key types.NamespacedName) client.Object {
	if i, ok := c.find(k, key); ok {
		return c.items[k][i]
	}
	return nil
}

// put takes one change in and answers what was there before.
func (c *cache) put(k kind, ch *change) (before client.Object) {
	i, ok := c.find(k, ch.key)
	c.rv[k], c.lists[k] = ch.rv, nil
	c.o.h.check.saw(c.o, k, ch)
	if ok {
		before = c.items[k][i]
	}
	switch {
	case ch.gone && ok:
		c.items[k] = slices.Delete(c.items[k], i, i+1)
	case ch.gone:
	case ok:
		c.items[k][i] = c.o.h.slimmed(k, ch)
	default:
		c.items[k] = slices.Insert(c.items[k], i, c.o.h.slimmed(k, ch))
	}
	return before
}

// sees tells whether the cache has every change of a kind up to a version.
func (c *cache) sees(k kind, rv uint64) bool {
	log := c.o.h.store.log[k]
	return c.at[k] >= len(log) || log[c.at[k]].rv > rv
}

// schedule sets the time at which the next change of a kind is seen.
func (c *cache) schedule(k kind) {
	h := c.o.h
	if c.at[k] >= len(h.store.log[k]) {
		return
	}
	lag := h.between(h.cfg.lag/4, h.cfg.lag)
	if h.chance(h.cfg.slow) {
		lag += h.between(0, 3*time.Second)
	}
	c.due[k] = max(c.due[k], h.store.log[k][c.at[k]].at+lag, h.now, c.stalled[k])
	h.at(c.due[k], func() { c.o.do(func() { c.deliver(k) }) })
}

// deliver shows everything of a kind up to now, or a moment ago.
func (c *cache) deliver(k kind) {
	h := c.o.h
	if h.now < c.stalled[k] || h.server.hung || h.server.down {
		c.o.h.after(500*time.Millisecond, func() { c.o.do(func() { c.deliver(k) }) })
		return
	}
	log := h.store.log[k]
	if c.at[k] >= len(log) {
		return
	}
	if c.relist[k] {
		c.listAgain(k)
		return
	}
	for c.at[k] < len(log) && (log[c.at[k]].at+h.cfg.lag/4 <= h.now) {
		c.see(k, &log[c.at[k]])
		c.at[k]++
	}
	c.schedule(k)
}

// goOn ends every stall; what waited for the end of one is seen now.
func (c *cache) goOn() {
	c.stalled, c.due = [kinds]time.Duration{}, [kinds]time.Duration{}
	for k := range kinds {
		c.o.h.at(c.o.h.now, func() { c.o.do(func() { c.deliver(k) }) })
	}
}

// see takes one change in and tells the controllers.
func (c *cache) see(k kind, ch *change) {
	c.tell(k, c.put(k, ch), ch, false)
}

// listAgain jumps to the present: what came and went meanwhile was never seen.
func (c *cache) listAgain(k kind) {
	c.relist[k] = false
	log := c.o.h.store.log[k]
	newest := map[types.NamespacedName]*change{}
	for i := c.at[k]; i < len(log); i++ {
		newest[log[i].key] = &log[i]
	}
	for i := c.at[k]; i < len(log); i++ {
		if ch := newest[log[i].key]; ch == &log[i] {
			before := c.put(k, ch)
			if !ch.gone || before != nil {
				c.tell(k, before, ch, true)
			}
		}
	}
	c.at[k] = len(log)
	c.rv[k] = max(c.rv[k], c.o.h.store.rv)
}

// tell hands a change to the real handler of pods, and wakes the pass for the other kinds.
func (c *cache) tell(k kind, before client.Object, ch *change, unknown bool) {
	o := c.o
	h := o.h
	switch k {
	case sets: // read, and not watched
		return
	case pods:
	default:
		o.wakeUp()
		return
	}
	q := queue{o: o}
	ctx := context.Background()
	switch {
	case ch.gone && before != nil:
		last := before
		if !unknown {
			last = h.slimmed(k, ch)
		}
		o.handler.Delete(ctx, event.DeleteEvent{Object: last, DeleteStateUnknown: unknown}, q)
	case ch.gone:
	case before == nil:
		o.handler.Create(ctx, event.CreateEvent{Object: h.slimmed(k, ch)}, q)
	default:
		o.handler.Update(ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: h.slimmed(k, ch)}, q)
	}
}

// queue passes what the handlers ask for on to the passes.
type queue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	o *operator
}

// Add asks for a pass.
func (q queue) Add(reconcile.Request) { q.o.wakeUp() }

// caughtUp waits until the cache has the process's own writes.
func (o *operator) caughtUp(ctx context.Context, k kind) error {
	for o.cache.rv[k] < o.cache.own[k] {
		deadline, ok := ctx.Value(deadlineKey{}).(time.Duration)
		if !ok {
			deadline = o.h.now + 16*time.Second
		}
		if o.h.now >= deadline {
			return context.DeadlineExceeded
		}
		o.h.running.sleep(10 * time.Millisecond)
	}
	return nil
}

// changed is told of every change in the store.
func (h *history) changed(k kind, ch change) {
	for _, o := range h.operators {
		if o != nil && !o.dead && o.cache.at[k] == len(h.store.log[k])-1 {
			o.cache.schedule(k)
		}
	}
	h.check.changed(k)
	h.kube.changed(k, ch)
}
