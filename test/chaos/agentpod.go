package chaos

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// agentPod is one pod of a pool's StatefulSet, with the process in it while there is one.
type agentPod struct {
	h       *history
	pool    *pool
	ordinal int
	group   int
	name    string
	uid     types.UID
	ip      string
	node    *node
	process *agent
	ended   bool // its containers ended for good
	gone    bool
	killing bool
}

// agentPods are those that are there, by pool and ordinal.
func (h *history) agentPods() []*agentPod {
	var out []*agentPod
	for _, p := range h.pools {
		for _, a := range p.slots {
			if a != nil {
				out = append(out, a)
			}
		}
	}
	return out
}

// bind puts the pod on a node that is heard, and starts its process there.
func (a *agentPod) bind() {
	h := a.h
	if a.gone || a.node != nil {
		return
	}
	for _, n := range h.nodes {
		if n.budget < 0 && !n.lost && (a.node == nil || h.chance(0.5)) {
			a.node = n
		}
	}
	if a.node == nil {
		h.after(3*time.Second, a.bind)
		return
	}
	h.store.edit(pods, inSpace(a.name), func(o client.Object) { podOf(o).Spec.NodeName = a.node.name })
	h.after(h.between(100*time.Millisecond, time.Second), a.start)
}

// start runs the agent's container, also after it crashed.
func (a *agentPod) start() {
	h := a.h
	if a.gone || a.ended || a.killing || a.process != nil && !a.process.dead {
		return
	}
	if a.node.lost {
		h.after(5*time.Second, a.start)
		return
	}
	h.store.edit(pods, inSpace(a.name), func(o client.Object) {
		p := podOf(o)
		p.Status.Phase, p.Status.PodIP = corev1.PodRunning, a.ip
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	})
	h.startAgent(a)
}

// changed follows the pod's object.
func (a *agentPod) changed(gone bool) {
	if gone && !a.gone {
		a.gone = true
		p := a.pool
		if p.slots[a.ordinal] == a {
			p.slots[a.ordinal] = nil
			a.h.after(a.h.between(10*time.Millisecond, 300*time.Millisecond), p.counts)
		}
		a.h.after(a.h.between(200*time.Millisecond, 1500*time.Millisecond), func() { p.makePod(a.ordinal) })
	}
	a.look()
}

// look is the kubelet: it ends the process of a pod that is to go.
func (a *agentPod) look() {
	h := a.h
	pod := podOf(h.store.get(pods, inSpace(a.name)))
	leaving := a.gone || pod == nil || pod.UID != a.uid || pod.DeletionTimestamp != nil
	if !leaving || a.node == nil || a.node.lost {
		return
	}
	if a.ended {
		a.tell()
		return
	}
	if a.killing {
		return
	}
	a.killing = true
	h.after(h.between(10*time.Millisecond, 4*time.Second), func() {
		a.killing = false
		if a.node.lost {
			return
		}
		if a.process != nil {
			h.stopAgent(a.process)
		}
		a.ended = true
		h.after(h.between(10*time.Millisecond, 500*time.Millisecond), a.tell)
	})
}

// tell reports the end, and lets the pod go once nothing holds it.
func (a *agentPod) tell() {
	h := a.h
	pod := podOf(h.store.get(pods, inSpace(a.name)))
	if pod == nil || pod.UID != a.uid || a.node.lost {
		return
	}
	if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Terminated == nil {
		h.store.edit(pods, inSpace(a.name), func(o client.Object) {
			podOf(o).Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		})
		return
	}
	if seconds := pod.DeletionGracePeriodSeconds; pod.DeletionTimestamp != nil && (seconds == nil || *seconds > 0) {
		_ = h.store.delete(pods, inSpace(a.name), 0, a.uid)
	}
}
