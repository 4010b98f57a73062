package chaos

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

// kube is the scheduler and the kubelets: what makes pods draw, and what ends them.
type kube struct {
	h     *history
	pods  map[string]*gpod // by UID
	order []*gpod
	named int
}

// gpod is the truth about one accelerator pod.
type gpod struct {
	h       *history
	key     types.NamespacedName
	uid     types.UID
	work    *workConfig
	claim   float64
	draw    float64 // true watts while it runs
	stray   bool    // never was at the gate
	node    *node
	drawing bool
	over    bool // it draws no more and never will
	binding bool
	started bool
	opened  bool // its gate was opened
	killing bool
	gone    bool // its object is no more
	goneAt  time.Duration
	endless bool // it runs until it is stopped
}

// node is one machine with a kubelet.
type node struct {
	h       *history
	name    string
	budget  int
	gpus    int64
	lost    bool // nobody hears its kubelet, and it hears nobody
	off     bool // and it has no power
	beat    time.Duration
	lostAt  time.Duration
	backAt  time.Duration
	deleted bool
}

const beatEvery = 10 * time.Second

func (h *history) addNode(name string, budget int, gpus int64) {
	n := &node{h: h, name: name, budget: budget, gpus: gpus}
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if budget >= 0 {
		o.Labels = map[string]string{budgetLabel: h.cfg.budgets[budget].name}
		o.Status.Allocatable = corev1.ResourceList{gpuResource: *resource.NewQuantity(gpus, resource.DecimalSI)}
	}
	o.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	h.nodes = append(h.nodes, n)
	h.store.create(o)
	h.after(h.between(0, beatEvery), n.heartbeat)
}

func (n *node) heartbeat() {
	if !n.lost && !n.h.server.down && !n.h.server.hung {
		n.beat = n.h.now
	}
	n.h.after(beatEvery, n.heartbeat)
}

// lose cuts a node off; off takes its power too.
func (n *node) lose(off bool, back time.Duration) {
	h := n.h
	if n.lost {
		return
	}
	h.logf("node %s is lost for %.0f s, without power: %v", n.name, back.Seconds(), off)
	n.lost, n.off, n.lostAt = true, off, h.now
	if off {
		n.cutPower()
	}
	h.after(h.cfg.notReady, func() {
		if n.lost {
			n.ready(false)
			h.after(h.cfg.evict, n.evictAll)
		}
	})
	h.after(back, n.comeBack)
}

func (n *node) cutPower() {
	for _, g := range n.h.kube.order {
		if g.node == n && g.drawing {
			g.drawing, g.over = false, true
		}
	}
	for _, a := range n.h.agentPods() {
		if a.node == n && a.process != nil {
			n.h.stopAgent(a.process)
		}
	}
}

func (n *node) ready(yes bool) {
	n.h.store.edit(nodes, clusterWide(n.name), func(o client.Object) {
		status := corev1.ConditionFalse
		if yes {
			status = corev1.ConditionTrue
		}
		if c, ok := o.(*corev1.Node); ok {
			c.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
		}
	})
}

// evictAll is what the control plane does about a node it does not hear: its pods are marked for deletion,
// and some are written Failed and removed by the garbage collector, though they may run on.
func (n *node) evictAll() {
	h := n.h
	if !n.lost {
		return
	}
	for _, g := range h.kube.order {
		if g.node != n || g.gone {
			continue
		}
		_ = h.store.delete(pods, g.key, int64(podGrace/time.Second), g.uid)
		if h.chance(0.6) {
			h.after(h.between(time.Second, 20*time.Second), func() { h.collect(g) })
		}
	}
	for _, a := range h.agentPods() {
		if a.node == n {
			_ = h.store.delete(pods, inSpace(a.name), int64(podGrace/time.Second), a.uid)
		}
	}
}

// collect is the garbage collector: phase Failed first, and the object goes a while later.
func (h *history) collect(g *gpod) {
	if g.gone || g.node == nil || !g.node.lost {
		return
	}
	h.store.edit(pods, g.key, func(o client.Object) { podOf(o).Status.Phase = corev1.PodFailed })
	if h.chance(0.7) {
		h.after(h.between(0, 20*time.Second), func() {
			if !g.gone && g.node.lost {
				_ = h.store.delete(pods, g.key, 0, g.uid)
			}
		})
	}
}

// comeBack is a node that is heard again. Its kubelet finds out what was deleted meanwhile.
func (n *node) comeBack() {
	if !n.lost {
		return
	}
	h := n.h
	h.logf("node %s is back", n.name)
	n.lost, n.off, n.beat, n.backAt = false, false, h.now, h.now
	n.ready(true)
	for _, g := range h.kube.order {
		if g.node == n {
			h.kube.look(g)
		}
	}
	for _, a := range h.agentPods() {
		if a.node == n {
			a.look()
		}
	}
}

// changed lets scheduler and kubelets react to a change of a pod.
func (k *kube) changed(of kind, ch change) {
	if of != pods {
		return
	}
	pod := podOf(ch.obj)
	if pod.Labels[componentLabel] == agentComponent {
		for _, a := range k.h.agentPods() {
			if a.uid == pod.UID {
				a.changed(ch.gone)
			}
		}
		return
	}
	if g := k.pods[string(pod.UID)]; g != nil {
		if ch.gone && !g.gone {
			g.gone, g.goneAt = true, k.h.now
		}
		k.look(g)
	}
}

// look decides what happens next to a pod.
func (k *kube) look(g *gpod) {
	h := k.h
	pod := podOf(h.store.get(pods, g.key))
	if pod == nil || pod.UID != g.uid {
		g.gone = true
		switch {
		case g.node == nil || !g.started:
			g.over = true
		case g.drawing && !g.node.lost:
			g.stop(max(30*time.Second, g.work.grace))
		}
		return
	}
	switch {
	case g.node == nil && !gate.Gated(pod) && pod.DeletionTimestamp == nil && !g.binding:
		g.binding = true
		h.after(h.between(20*time.Millisecond, 2*time.Second), func() { g.binding = false; k.bind(g) })
	case g.node == nil || g.node.lost:
	case pod.DeletionTimestamp != nil:
		g.stop(max(podGrace, g.work.grace))
	case !g.started && !g.over:
		g.started = true
		h.after(h.between(50*time.Millisecond, 2*time.Second), g.start)
	case g.over:
		g.tell()
	}
}

// bind is the scheduler: any node with room that the pod's selector allows.
func (k *kube) bind(g *gpod) {
	h := k.h
	pod := podOf(h.store.get(pods, g.key))
	if pod == nil || pod.UID != g.uid || pod.DeletionTimestamp != nil || pod.Spec.NodeName != "" {
		return
	}
	var fits []*node
	for _, n := range h.nodes {
		o, ok := h.store.get(nodes, clusterWide(n.name)).(*corev1.Node)
		if !ok || n.budget < 0 || o.Spec.Unschedulable || o.Status.Conditions[0].Status != corev1.ConditionTrue || k.free(n) < g.work.gpus {
			continue
		}
		if want, pinned := pod.Spec.NodeSelector[budgetLabel]; !pinned || o.Labels[budgetLabel] == want {
			fits = append(fits, n)
		}
	}
	if len(fits) == 0 {
		g.binding = true
		h.after(h.between(3*time.Second, 6*time.Second), func() { g.binding = false; k.bind(g) })
		return
	}
	n := fits[h.rng.IntN(len(fits))]
	g.node = n
	h.store.edit(pods, g.key, func(o client.Object) { podOf(o).Spec.NodeName = n.name })
}

// free is what the scheduler thinks is free: pods that ended, as far as it knows, hold nothing.
func (k *kube) free(n *node) int64 {
	free := n.gpus
	for _, g := range k.order {
		if g.node != n || g.gone {
			continue
		}
		if pod := podOf(k.h.store.get(pods, g.key)); pod != nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			free -= g.work.gpus
		}
	}
	return free
}

// start runs the pod's containers.
func (g *gpod) start() {
	h := g.h
	if g.gone || g.node.lost {
		// Nothing of it ever ran: it is gone for good, or waits for its node.
		g.over, g.started = g.over || g.gone, g.gone
		return
	}
	if g.over || g.killing {
		return
	}
	pod := podOf(h.store.get(pods, g.key))
	if pod == nil || pod.DeletionTimestamp != nil {
		return
	}
	g.drawing = true
	h.logf("pod %s draws %.0f W on %s", g.key.Name, g.draw, g.node.name)
	h.check.stray(g)
	h.store.edit(pods, g.key, func(o client.Object) {
		p := podOf(o)
		p.Status.Phase = corev1.PodRunning
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	})
	h.after(g.work.work, func() {
		if g.drawing && !g.endless {
			g.drawing, g.over = false, true
			h.logf("pod %s is done", g.key.Name)
			h.after(h.between(10*time.Millisecond, 2*time.Second), func() { h.kube.look(g) })
		}
	})
}

// hears is how soon a kubelet hears of what it is to end.
const hears = 5 * time.Second

// stop ends the containers of a pod that is to go: once the kubelet has heard of it, within a grace, whether
// it is cut off meanwhile or not.
func (g *gpod) stop(grace time.Duration) {
	if g.killing {
		return
	}
	g.killing = true
	h := g.h
	h.after(h.between(50*time.Millisecond, hears), func() {
		if g.node.lost && !g.node.off {
			g.killing = false // it was cut off before it was told
			return
		}
		h.after(h.between(0, grace), func() {
			g.drawing, g.over = false, true
			h.after(h.between(10*time.Millisecond, time.Second), func() { g.tell() })
		})
	})
}

// tell reports that the containers ended, and lets a deleted pod go.
func (g *gpod) tell() {
	h := g.h
	pod := podOf(h.store.get(pods, g.key))
	if pod == nil || pod.UID != g.uid || g.node == nil || g.node.lost {
		return
	}
	if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Terminated == nil {
		h.store.edit(pods, g.key, func(o client.Object) {
			p := podOf(o)
			if p.Status.Phase != corev1.PodFailed {
				p.Status.Phase = corev1.PodSucceeded
			}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		})
	}
	if pod.DeletionTimestamp != nil {
		_ = h.store.delete(pods, g.key, 0, g.uid)
	}
}
