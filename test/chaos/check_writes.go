package chaos

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// written judges a write of an operator that the API server is about to accept.
func (c *checker) written(o *operator, said *decision, is, next client.Object) {
	before, after := claimOf(is), claimOf(next)
	if before == nil {
		c.letGo(o, is, next)
		if pod := podOf(next); pod != nil && gate.Gated(podOf(is)) && !gate.Gated(pod) {
			c.opened(o, said, pod)
		}
		return
	}
	c.stays(o, before, after)
	epoch := after.Status.Epoch
	if epoch == 0 {
		return // not in the ledger yet: a finalizer
	}
	if epoch != before.Status.Epoch || len(after.Status.Reservations) != len(before.Status.Reservations) {
		if first, ok := c.writer[epoch]; ok && first != o.name {
			c.broke("L7", "%s writes GPUWorkload %s under epoch %d, which is that of %s", o.name, after.Name, epoch, first)
		}
		c.writer[epoch] = o.name
	}
	if len(after.Status.Reservations) < len(before.Status.Reservations) {
		c.turned = c.h.now // what is let go is free from now on
	}
	for i := range before.Status.Reservations {
		c.kept(o, said, after, &before.Status.Reservations[i])
	}
	c.confirmed(o, before, after)
	c.h.logReservations(o, before, after)
}

func (h *history) logReservations(o *operator, before, after *powerv1.GPUWorkload) {
	if !h.tracing || len(before.Status.Reservations) == len(after.Status.Reservations) {
		return
	}
	h.logf("%s writes %d reservations of %s, epoch %d", o.name, len(after.Status.Reservations), after.Name, after.Status.Epoch)
}

// stays looks that no GPUWorkload goes whose pods hold watts (L9).
func (c *checker) stays(o *operator, before, after *powerv1.GPUWorkload) {
	if len(before.Finalizers) == 0 || len(after.Finalizers) > 0 {
		return
	}
	for i := range after.Status.Reservations {
		if g := c.h.kube.pods[string(after.Status.Reservations[i].UID)]; g != nil && !g.over {
			c.broke("L9", "%s lets GPUWorkload %s go, and pod %s has not ended", o.name, after.Name, g.key.Name)
		}
	}
}

// letGo looks that no agent's pod goes while its process may act on a lease (L9).
func (c *checker) letGo(o *operator, is, next client.Object) {
	pod := podOf(is)
	if pod == nil || len(is.GetFinalizers()) == 0 || len(next.GetFinalizers()) > 0 {
		return
	}
	for _, a := range c.h.agents {
		if a.pod.uid == pod.UID && a.allowance().Mode == lease.Leased {
			c.broke("L9", "%s lets pod %s go, and its process has a lease still", o.name, pod.Name)
		}
	}
}

// kept looks that a reservation stays until its pod has truly ended (L6), with all of its watts.
func (c *checker) kept(o *operator, said *decision, after *powerv1.GPUWorkload, was *powerv1.Reservation) {
	g := c.h.kube.pods[string(was.UID)]
	if g == nil {
		return
	}
	if g.over {
		c.delayed(o, said, after, was)
		return
	}
	for i := range after.Status.Reservations {
		if is := &after.Status.Reservations[i]; is.UID == was.UID {
			if is.Watts.Cmp(was.Watts) < 0 {
				c.broke("L6", "%s shrinks the reservation of pod %s", o.name, was.Name)
			}
			return
		}
	}
	if g.gone && !g.drawing && !g.opened {
		return // deleted at the gate
	}
	c.broke("L6", "%s drops the reservation of pod %s, which has not ended (drawing: %v)", o.name, was.Name, g.drawing)
}

// delayed looks that an ended pod's watts are kept a little, unless somebody waits for them.
func (c *checker) delayed(o *operator, said *decision, after *powerv1.GPUWorkload, was *powerv1.Reservation) {
	delay := time.Duration(*after.Spec.ReleaseDelaySeconds) * time.Second
	if was.EndedAt != nil && c.h.wall().Sub(was.EndedAt.Time) >= delay-2*clockError || delay == 0 {
		return
	}
	for i := range after.Status.Reservations {
		if after.Status.Reservations[i].UID == was.UID {
			return
		}
	}
	if said.guests {
		return
	}
	c.broke("L6", "%s lets the watts of pod %s go before the release delay of %v is over", o.name, was.Name, delay)
}

// opened judges a gate that is about to open (L6).
func (c *checker) opened(o *operator, said *decision, pod *corev1.Pod) {
	g := c.h.kube.pods[string(pod.UID)]
	if g == nil {
		return
	}
	g.opened = true
	if !said.open[string(pod.UID)] {
		c.broke("L1", "%s opens the gate of pod %s, which it has not decided", o.name, pod.Name)
	}
	watts, admitted := gate.Admitted(pod)
	if !admitted || float64(watts) < g.claim {
		c.broke("L6", "%s opens the gate of pod %s with %d W written on it; it may draw %.0f W", o.name, pod.Name, watts, g.claim)
	}
	if _, pinned := pod.Spec.NodeSelector[budgetLabel]; !pinned {
		c.broke("L6", "%s opens the gate of pod %s and pins it to no budget", o.name, pod.Name)
	}
	c.h.logf("%s opens the gate of pod %s with %d W on %s", o.name, pod.Name, watts, pod.Spec.NodeSelector[budgetLabel])
	for _, obj := range c.h.store.objs[claims] {
		w := claimOf(obj)
		for i := range w.Status.Reservations {
			if res := &w.Status.Reservations[i]; res.UID == pod.UID {
				if res.Watts.Value() < watts {
					c.broke("L6", "pod %s is let in with %d W; its reservation is %d W", pod.Name, watts, res.Watts.Value())
				}
				c.whole(o, w)
				return
			}
		}
	}
	c.broke("L6", "%s opens the gate of pod %s, which no reservation in the store names", o.name, pod.Name)
}

// whole looks that a gang starts whole: all of its pods are named before the first gate opens.
func (c *checker) whole(o *operator, w *powerv1.GPUWorkload) {
	if w.Spec.MinPods <= 1 {
		return
	}
	named := 0
	for i := range w.Status.Reservations {
		res := &w.Status.Reservations[i]
		g := c.h.kube.pods[string(res.UID)]
		if g == nil {
			continue
		}
		named++
	}
	if named < int(w.Spec.MinPods) && !c.h.ran(w.Name) {
		c.broke("GANG", "%s starts %d pods of gang %s, minPods %d", o.name, named, w.Name, w.Spec.MinPods)
	}
	c.h.gangs[w.Name] = true
}

// ran tells whether a gang was started before: then its pods are refilled one by one.
func (h *history) ran(name string) bool { return h.gangs[name] }
