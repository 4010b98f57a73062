package controllers

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// slotsOf is the addresses of one pool by slot.
type slotsOf struct {
	pool   *powerv1.MinerPool
	shards [][]string
}

// slots splits every pool that may be minded into slots, and notes those that are to be split anew.
func (s *snapshot) slots() map[types.NamespacedName]slotsOf {
	out := map[types.NamespacedName]slotsOf{}
	s.inForce = map[types.NamespacedName]int64{}
	for i := range s.pools {
		p := &s.pools[i]
		key := client.ObjectKeyFromObject(p)
		known := s.splits[p.UID]
		s.valid[key] = len(known) > 0
		if len(known) > 0 {
			out[key] = slotsOf{p, known[len(known)-1].shards}
		}
		asked := splitOf(p)
		if len(known) > 0 && known[len(known)-1].is(asked) {
			s.inForce[key] = p.Generation
			continue
		}
		// A faulty edit leaves the agents what they mind: nobody is cut off, and nobody else gets it.
		if want, err := newSplit(asked); err == nil && overlapsOther(s.pools, p) == "" {
			s.valid[key] = true
			s.resplit = append(s.resplit, resplit{p, want})
		}
	}
	return out
}

// peersOf lists the slots of every pool with what each is to mind, and answers how many agents each pool
// should have.
func (s *snapshot) peersOf(priors map[string]map[string]string) (expected map[string]int) {
	expected = map[string]int{}
	byPool := s.slots()
	pods := s.agentPods(byPool)
	for i := range s.pools {
		key := client.ObjectKeyFromObject(&s.pools[i])
		of, ok := byPool[key]
		if !ok {
			expected[key.String()] = 1 // none is told anything yet
			continue
		}
		expected[key.String()] = len(of.shards)
		known := s.splits[of.pool.UID]
		for n := range of.shards {
			name := key.Name + "-" + strconv.Itoa(n)
			p := peerOf(name, key, assignmentOf(of.pool, of.shards[n]), pods[key.Namespace+"/"+name])
			p.assignment.PriorSettings, p.before = priors[p.key], earlier(known, n)
			p.never = p.podUID == "" && n >= s.agentsAsked(of)
			s.peers = append(s.peers, p)
		}
	}
	return expected
}

// agentPods finds the pods of slots. One whose slot is gone is a peer all the same: it lets its devices
// go, and is remembered until it is gone too. One that was met stays its slot's until its object is gone, whatever
// becomes of its labels and of the StatefulSet that made it: it commands what it was told (L9).
func (s *snapshot) agentPods(byPool map[types.NamespacedName]slotsOf) map[string]*corev1.Pod {
	met, pods := map[types.UID]types.NamespacedName{}, map[string]*corev1.Pod{}
	for i := range s.agents {
		met[s.agents[i].podUID] = s.agents[i].pool
	}
	delete(met, "")
	for _, pod := range s.pods {
		key, known := met[pod.UID]
		if !known {
			key = types.NamespacedName{Namespace: pod.Namespace, Name: poolNamed(pod)}
		}
		of, ok := byPool[key]
		n, numbered := slotIn(pod, key.Name)
		if !ok || !numbered || !known && !isAgent(pod, of.pool, s.poolOf) {
			continue
		}
		if n >= len(of.shards) {
			p := peerOf(pod.Name, key, assignmentOf(of.pool, nil), pod)
			p.before, p.slot, p.slotless = earlier(s.splits[of.pool.UID], n), n, true
			s.peers = append(s.peers, p)
		}
		pods[pod.Namespace+"/"+pod.Name] = pod
	}
	return pods
}

// peerOf is one slot of a pool, with its pod where there is one.
func peerOf(name string, pool types.NamespacedName, a lease.Assignment, pod *corev1.Pod) peer {
	p := peer{key: pool.Namespace + "/" + name, pool: pool, assignment: a}
	if pod != nil {
		p.podUID, p.idle = pod.UID, pod.Spec.NodeName == "" && !running(pod)
		// A pod that is being deleted gets no more leases: another may follow it once they have run out (L9).
		if running(pod) && pod.DeletionTimestamp == nil {
			p.ip = pod.Status.PodIP
		}
	}
	return p
}

func assignmentOf(p *powerv1.MinerPool, ranges []string) lease.Assignment {
	a := lease.Assignment{
		Ranges:             ranges,
		Firmware:           string(powerv1.OrZero(p.Spec.Devices.Firmware, powerv1.DefaultFirmware)),
		Observe:            p.Spec.Control == powerv1.ControlObserve,
		UncertaintyPercent: int(powerv1.Or(p.Spec.UncertaintyPercent, powerv1.DefaultUncertaintyPercent)),
	}
	for _, m := range p.Spec.Devices.Ports {
		if a.Ports == nil {
			a.Ports = map[string]int{}
		}
		a.Ports[string(m.Firmware)] = int(m.Port)
	}
	return a
}
