package controllers

import (
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// slotPool is a pool of 16 addresses.
func slotPool() powerv1.MinerPool {
	pool := powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "p", UID: "pool"}}
	pool.Spec.Devices.Addresses = []string{"10.0.0.0/28"}
	pool.Spec.DevicesPerAgent = 8
	return pool
}

// slotPod is the pod of one of its slots, as its StatefulSet makes it.
func slotPod(n int) *corev1.Pod {
	name := "p-" + strconv.Itoa(n)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ai", Name: name, UID: types.UID(name + "-uid"), Finalizers: []string{powerv1.LedgerFinalizer},
			Labels:          map[string]string{componentLabel: agentComponent, powerv1.PoolLabel: "p"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "p", UID: "set", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0." + strconv.Itoa(n+1)},
	}
}

// slotted is what a pass makes of pods, with the StatefulSets there are by UID and their pools.
func slotted(t *testing.T, agents []agentView, per int32, sets map[types.UID]types.UID, pods ...*corev1.Pod) []peer {
	t.Helper()
	pool := slotPool()
	var known []split
	for _, each := range []int32{8, per} {
		pool.Spec.DevicesPerAgent = each
		asked, err := newSplit(splitOf(&pool))
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, asked)
	}
	s := &snapshot{
		lists:  &lists{pools: []powerv1.MinerPool{pool}, pods: pods, poolOf: setOwners{}, ordered: map[types.UID]bool{}},
		splits: splits{pool.UID: known}, valid: map[types.NamespacedName]bool{}, agents: agents,
	}
	for set, of := range sets {
		s.ordered[set] = false
		s.poolOf[set] = of
	}
	s.peersOf(nil)
	return s.peers
}

// TestAnAgentIsKnownByMoreThanItsLabels: a new leader tells agents from what looks like one, their StatefulSet there
// or gone.
// Rule: L9.
func TestAnAgentIsKnownByMoreThanItsLabels(t *testing.T) {
	there, gone := map[types.UID]types.UID{"set": "pool"}, map[types.UID]types.UID{}
	for name, c := range map[string]struct {
		sets map[types.UID]types.UID
		with func(*corev1.Pod)
		want bool
	}{
		"of the pool's set":                     {there, func(*corev1.Pod) {}, true},
		"of another pool's set":                 {map[types.UID]types.UID{"set": "other"}, func(*corev1.Pod) {}, false},
		"of a user's set":                       {map[types.UID]types.UID{"set": ""}, func(*corev1.Pod) {}, false},
		"of the pool's set that is gone":        {gone, func(*corev1.Pod) {}, true},
		"of a set gone of another name":         {gone, func(p *corev1.Pod) { p.OwnerReferences[0].Name = "q" }, false},
		"of a Deployment":                       {there, func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet" }, false},
		"orphaned":                              {gone, func(p *corev1.Pod) { p.OwnerReferences = nil }, true},
		"orphaned, a new set is there":          {map[types.UID]types.UID{"next": "pool"}, func(p *corev1.Pod) { p.OwnerReferences = nil }, true},
		"of the pool's set, with no label left": {there, func(p *corev1.Pod) { p.Labels = nil }, true},
		"labels and nothing else":               {there, func(p *corev1.Pod) { p.OwnerReferences, p.Finalizers = nil, nil }, false},
		"another finalizer, set gone":           {gone, func(p *corev1.Pod) { p.Finalizers = []string{"their.own/one"} }, false},
		"another component, set gone":           {gone, func(p *corev1.Pod) { p.Labels[componentLabel] = "web" }, false},
		"of no slot":                            {there, func(p *corev1.Pod) { p.Name = "p-00" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := slotPod(0)
			c.with(pod)
			peers := slotted(t, nil, 8, c.sets, pod)
			if got := peers[0].podUID == pod.UID; got != c.want || len(peers) != 2 {
				t.Errorf("an agent: %v, want %v; %d slots", got, c.want, len(peers))
			}
		})
	}
}

// TestAnAgentThatWasMetIsItsSlotsUntilItIsGone: its addresses go to nobody while its pod is there, though its
// StatefulSet and its labels are gone.
// Rule: L9.
func TestAnAgentThatWasMetIsItsSlotsUntilItIsGone(t *testing.T) {
	s := newResharded(t)
	s.wires.agents = map[string]*wired{}
	pods := []*corev1.Pod{slotPod(0), slotPod(1)}
	s.peers = slotted(t, nil, 8, map[types.UID]types.UID{"set": "pool"}, pods...)
	s.links = newLinks(9, &s.wires, func() time.Time { return s.now }, func() {}, func(uint64) {}, s.links.log)
	s.passes("ai/p-0", "ai/p-1")
	s.minds("ai/p-1", "10.0.0.8-10.0.0.15")

	// Told once, and cut off: the newest split gives the first slot some of its addresses.
	pods[1].Labels, pods[1].OwnerReferences, pods[1].Finalizers = nil, nil, nil
	s.peers = slotted(t, s.links.view(s.now), 12, nil, pods...)
	if s.peers[1].podUID != pods[1].UID {
		t.Fatal("its pod is taken for nobody")
	}
	s.passes("ai/p-0")
	s.minds("ai/p-0", "10.0.0.0-10.0.0.7")
	if s.links.taken(s.peers[0].pool) {
		t.Error("the next leader would not know of it")
	}
	s.peers = slotted(t, s.links.view(s.now), 12, nil, pods[0])
	s.passes("ai/p-0")
	s.minds("ai/p-0", "10.0.0.0-10.0.0.11")
}
