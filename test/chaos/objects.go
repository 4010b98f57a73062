package chaos

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/fit"
)

const (
	namespace   = "ai"
	gpuResource = corev1.ResourceName("nvidia.com/gpu")
	budgetLabel = "feed"
)

func quantity(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }

func inSpace(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
func clusterWide(name string) types.NamespacedName { return types.NamespacedName{Name: name} }

func (h *history) budgetObject(c *budgetConfig) *powerv1.PowerBudget {
	b := &powerv1.PowerBudget{
		ObjectMeta: metav1.ObjectMeta{Name: c.name, Finalizers: []string{powerv1.LedgerFinalizer}},
		Spec: powerv1.PowerBudgetSpec{
			Parent: c.parent, LimitWatts: *quantity(c.limit), MarginPercent: new(c.margin),
			BaseLoadWatts: quantity(c.base), LeaseSeconds: h.cfg.leaseSeconds,
			NodeSelector: map[string]string{budgetLabel: c.name},
		},
	}
	if c.headroom > 0 {
		b.Spec.HeadroomWatts = quantity(c.headroom)
	}
	if c.evict {
		b.Spec.OnShortfall = powerv1.ShortfallEvictInterruptible
	}
	return b
}

// pool is a MinerPool with the machines behind it.
type pool struct {
	h       *history
	config  *poolConfig
	index   int
	devices []*device
	slots   []*agentPod // by ordinal; nil where there is none
	per     int
	// replicas is how many pods its StatefulSet has: as many as the spec asks for, or more, as long as the operator says.
	replicas int
	exists   bool
	gone     bool
}

// addPool puts the machines of a pool in their places.
func (h *history) addPool(c *poolConfig) *pool {
	p := &pool{h: h, config: c, index: len(h.pools), per: c.perAgent}
	for i, dc := range c.devices {
		d := &device{
			h: h, pool: p, name: fmt.Sprintf("%s-d%d", c.name, i), addr: fmt.Sprintf("10.0.%d.%d", p.index+1, i+1),
			traits: models[dc.model], estimated: dc.estimated, short: dc.short, lie: dc.lie, flutter: dc.flutter, haste: h.cfg.haste,
		}
		d.identity = d.name
		if dc.twin {
			d.identity = p.devices[i-1].identity
		}
		d.set = d.full()
		if dc.asleep {
			d.set = fit.Setting{Kind: fit.Sleep}
		}
		d.before, d.to = d.set, d.settles(d.set)
		p.devices = append(p.devices, d)
		h.devices = append(h.devices, d)
		h.byAddr[netip.MustParseAddr(d.addr)] = d
	}
	h.pools = append(h.pools, p)
	return p
}

// createPool makes the MinerPool and its StatefulSet.
func (h *history) createPool(p *pool) {
	c := p.config
	p.exists = true
	if h.now > 0 {
		h.check.surprised(p.config.budget) // what its machines draw asleep was not there before
	}
	first, last := p.devices[0].addr, p.devices[len(p.devices)-1].addr
	o := &powerv1.MinerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.name, Finalizers: []string{powerv1.LedgerFinalizer}},
		Spec: powerv1.MinerPoolSpec{
			Budget: h.cfg.budgets[c.budget].name, RatedWatts: *quantity(c.rated), DevicesPerAgent: int32(p.per),
			UncertaintyPercent: new(h.cfg.uncertainty), Devices: powerv1.MinerDevices{Addresses: []string{first + "-" + last}},
		},
	}
	if c.floor > 0 {
		o.Spec.FloorWatts = quantity(min(c.floor, c.rated))
	}
	if c.priority != 0 {
		o.Spec.Priority = new(c.priority)
	}
	h.store.create(o)
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: powerv1.GroupVersion.String(), Kind: "MinerPool", Name: c.name, UID: o.UID, Controller: new(true),
		}}},
		Spec: appsv1.StatefulSetSpec{PodManagementPolicy: appsv1.ParallelPodManagement},
	}
	h.store.create(set)
	h.logf("pool %s is created", c.name)
	p.scale()
}

// scale makes and deletes agent pods as the StatefulSet's controller would.
func (p *pool) scale() {
	h := p.h
	want := (len(p.devices) + p.per - 1) / p.per
	if p.gone {
		want = 0
	}
	if p.replicas = max(want, p.stays()); p.replicas > want {
		h.after(h.between(100*time.Millisecond, 2*time.Second), p.scale)
	}
	for len(p.slots) < p.replicas {
		p.slots = append(p.slots, nil)
	}
	for i, a := range p.slots {
		switch {
		case a == nil && i < p.replicas:
			h.after(h.between(200*time.Millisecond, 1500*time.Millisecond), func() { p.makePod(i) })
		case a != nil && i >= p.replicas:
			_ = h.store.delete(pods, inSpace(a.name), int64(podGrace/time.Second), "")
		}
	}
}

// stays is how many of a pool's pods the operator keeps at least, by what it has decided.
func (p *pool) stays() int {
	h := p.h
	o := h.store.get(pools, inSpace(p.config.name))
	if p.gone || o == nil {
		return 0
	}
	for _, op := range h.operators {
		if op == nil || op.dead || !op.leads {
			continue
		}
		if generation, slots := op.site.Stays(inSpace(p.config.name)); generation == o.GetGeneration() {
			return min(p.replicas, slots)
		}
	}
	return p.replicas
}

// poolOf is the pool of an agent.
func (h *history) poolOf(key string) *pool {
	for _, p := range h.pools {
		if strings.HasPrefix(key, namespace+"/"+p.config.name+"-") {
			return p
		}
	}
	return nil
}

func (p *pool) wants(ordinal int) bool {
	return !p.gone && p.exists && ordinal < (len(p.devices)+p.per-1)/p.per
}

// makePod makes one agent pod where there is none.
func (p *pool) makePod(ordinal int) {
	h := p.h
	if p.gone || !p.exists || ordinal >= p.replicas || p.slots[ordinal] != nil {
		return
	}
	set := h.store.get(sets, inSpace(p.config.name))
	if set == nil {
		return
	}
	h.groups++
	name := p.config.name + "-" + strconv.Itoa(ordinal)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Finalizers: []string{powerv1.LedgerFinalizer},
			Labels: map[string]string{componentLabel: agentComponent, powerv1.PoolLabel: p.config.name, podIndexLabel: strconv.Itoa(ordinal)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.GetName(), UID: set.GetUID(), Controller: new(true),
			}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent"}}},
	}
	a := &agentPod{h: h, pool: p, ordinal: ordinal, name: name, group: p.index*4 + ordinal, ip: fmt.Sprintf("10.9.%d.%d", h.groups/250, h.groups%250+1)}
	p.slots[ordinal] = a
	h.store.create(pod)
	h.after(h.between(10*time.Millisecond, 300*time.Millisecond), p.counts)
	a.uid = pod.UID
	h.minders[a.uid] = namespace + "/" + a.name
	h.after(h.between(50*time.Millisecond, 400*time.Millisecond), a.bind)
}

// counts has the StatefulSet's status say how many pods it has, as its controller does.
func (p *pool) counts() {
	there := int32(0)
	for _, a := range p.slots {
		if a != nil {
			there++
		}
	}
	p.h.store.edit(sets, inSpace(p.config.name), func(o client.Object) {
		if set, ok := o.(*appsv1.StatefulSet); ok {
			set.Status.Replicas = there
		}
	})
}

func (h *history) createWork(c *workConfig) {
	w := &powerv1.GPUWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.name},
		Spec: powerv1.GPUWorkloadSpec{
			Class: powerv1.ClassTraining, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": c.name}},
			MinPods: c.minPods, ReleaseDelaySeconds: new(h.cfg.releaseDelay),
		},
	}
	if c.budget >= 0 {
		w.Spec.Budget = h.cfg.budgets[c.budget].name
	}
	if c.watts > 0 {
		w.Spec.WattsPerPod = quantity(c.watts)
	}
	if c.priority != 0 {
		w.Spec.Priority = new(c.priority)
	}
	if c.standby > 0 {
		w.Spec.StandbyPods = new(c.standby)
	}
	if c.evictable {
		w.Spec.Interruptible = powerv1.InterruptibleWhenShort
	}
	h.store.create(w)
	h.logf("workload %s: %d pods of %d GPUs, gang %d, priority %d", c.name, c.pods, c.gpus, c.minPods, c.priority)
	for range c.pods {
		h.after(h.between(0, 2*time.Second), func() { h.createPod(c) })
	}
}

// createPod makes one accelerator pod of a workload, at the gate as the policy would have it.
func (h *history) createPod(c *workConfig) {
	h.kube.named++
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("%s-%d", c.name, h.kube.named), Labels: map[string]string{"app": c.name},
		},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}},
			Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{gpuResource: *quantity(c.gpus)},
			}}},
		},
	}
	if c.grace > 0 {
		pod.Spec.TerminationGracePeriodSeconds = new(int64(c.grace / time.Second))
	}
	if c.ungated {
		pod.Spec.SchedulingGates = nil
	}
	h.store.create(pod)
	claim := max(c.watts, c.gpus*wattsPerGPU)
	g := &gpod{h: h, key: keyOf(pod), uid: pod.UID, work: c, claim: float64(claim), draw: float64(claim) * c.share, stray: c.ungated}
	h.kube.pods[string(pod.UID)] = g
	h.kube.order = append(h.kube.order, g)
	h.kube.look(g)
}
