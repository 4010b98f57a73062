package power_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// housed is two halls with a node of 8 accelerators each, and one pod at the gate that asks for so many.
func housed(ask int64) (power.Site, *power.Pod) {
	s := twoHalls(100, 100, 100)
	for _, hall := range []string{"hall-1", "hall-2"} {
		s.Nodes = append(s.Nodes, power.Node{
			Name: "node-of-" + hall, Budget: hall, Open: true, Labels: map[string]string{"hall": hall}, Free: map[string]int64{"gpu": 8},
		})
	}
	pod := &work(&s, "llm", power.Gated, 1, 10).Pods[0]
	if ask > 0 {
		pod.Ask = map[string]int64{"gpu": ask}
	}
	return s, pod
}

func TestAPodGoesWhereNodesTakeIt(t *testing.T) {
	for name, c := range map[string]struct {
		ask  int64
		set  func(*power.Site, *power.Pod)
		goes string // a budget, or else a reason
	}{
		"nothing refuses it": {8, func(*power.Site, *power.Pod) {}, "hall-1"},
		"the first hall refuses it": {8, func(_ *power.Site, p *power.Pod) {
			p.Refused = p.Refused.With(0)
		}, "hall-2"},
		"both refuse it": {8, func(_ *power.Site, p *power.Pod) {
			p.Refused = p.Refused.With(0).With(1)
		}, string(power.SelectorClash)},
		"it asks for no counted accelerator": {0, func(_ *power.Site, p *power.Pod) {
			p.Refused = p.Refused.With(0)
		}, "hall-2"},
		"it asks for none, and both refuse it": {0, func(_ *power.Site, p *power.Pod) {
			p.Refused = p.Refused.With(0).With(1)
		}, string(power.SelectorClash)},
		"the one that takes it is full": {8, func(s *power.Site, p *power.Pod) {
			p.Refused, s.Nodes[1].Free["gpu"] = p.Refused.With(0), 0
		}, string(power.NoAccelerators)},
		"the one that takes it is closed": {0, func(s *power.Site, p *power.Pod) {
			p.Refused, s.Nodes[1].Open = p.Refused.With(0), false
		}, string(power.NoAccelerators)},
		"a node without accelerators takes it": {8, func(s *power.Site, p *power.Pod) {
			s.Nodes = append(s.Nodes, power.Node{Name: "cpu", Budget: "hall-1", Open: true})
			p.Refused = p.Refused.With(0).With(1)
		}, string(power.SelectorClash)},
		"a hall has no node yet": {8, func(s *power.Site, p *power.Pod) {
			s.Nodes = s.Nodes[:1]
			p.Refused = p.Refused.With(0)
		}, string(power.NoAccelerators)},
		"a node far down the list": {8, func(s *power.Site, p *power.Pod) {
			for len(s.Nodes) < 100 {
				s.Nodes = append(s.Nodes, power.Node{Name: "closed", Budget: "hall-1"})
			}
			s.Nodes[0], s.Nodes[70] = s.Nodes[70], s.Nodes[0]
			p.Refused = p.Refused.With(70)
		}, "hall-2"},
	} {
		t.Run(name, func(t *testing.T) {
			s, pod := housed(c.ask)
			c.set(&s, pod)
			w := workload(t, power.Decide(s), "llm")
			got := string(w.Reason)
			if len(w.Pods) > 0 {
				got = w.Pods[0].Budget
			}
			if got != c.goes {
				t.Errorf("got %s (%s), want %s", got, w.Message, c.goes)
			}
			if w.Reason == power.SelectorClash && (!strings.Contains(w.Message, "affinity") || !strings.Contains(w.Message, "taints")) {
				t.Errorf("it says %q", w.Message)
			}
		})
	}
}

func TestPodsThatGoElsewhereAreNotAlike(t *testing.T) {
	s, pod := housed(8)
	addPods(&s.Workloads[0], power.Gated, 1, 10)
	pods := s.Workloads[0].Pods
	pods[0].Refused, pods[1].Ask = pod.Refused.With(0).With(1), map[string]int64{"gpu": 8}
	if w := workload(t, power.Decide(s), "llm"); len(w.Pods) != 1 || w.Pods[0].Name != pods[1].Name {
		t.Errorf("the pod that fits waits behind one that no node takes: %+v", w.Pods)
	}
}

func TestAnAdmittedPodTakesTheRoomOfANodeThatTakesIt(t *testing.T) {
	s := oneBudget(100)
	for _, name := range []string{"a", "b"} {
		s.Nodes = append(s.Nodes, power.Node{Name: name, Budget: "site", Open: true, Free: map[string]int64{"gpu": 8}})
	}
	for _, key := range []string{"first", "second"} {
		phase := power.Gated
		if key == "first" {
			phase = power.Admitted
		}
		w := work(&s, key, phase, 1, 10)
		w.Pods[0].Ask = map[string]int64{"gpu": 8}
		place(w, "site")
	}
	s.Workloads[0].Pods[0].Refused = power.NodeSet(nil).With(0) // so it takes b, and a is left
	s.Workloads[1].Pods[0].Refused = power.NodeSet(nil).With(1)
	if got := news(power.Decide(s))["second"]; got != 1 {
		t.Errorf("%d pods got watts, want 1: the room of node a is free", got)
	}
	s.Workloads[1].Pods[0].Refused = power.NodeSet(nil).With(0)
	if got := news(power.Decide(s))["second"]; got != 0 {
		t.Errorf("%d pods got watts, want 0: the room of node b is taken", got)
	}
}

// A gang whose pods each have their own nodes is placed on all of them; the first pod does not speak for
// the rest.
func TestAGangOfPodsThatGoElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		other int // the node that the second pod refuses; the first refuses node 0
		want  map[string]string
	}{
		"each in its hall": {1, map[string]string{"llm-0": "hall-2", "llm-1": "hall-1"}},
		"both in one":      {0, map[string]string{"llm-0": "hall-2", "llm-1": "hall-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := housed(4)
			w := &s.Workloads[0]
			addPods(w, power.Gated, 1, 10)
			w.MinPods = 2
			w.Pods[0].Refused = w.Pods[0].Refused.With(0)
			w.Pods[1].Refused, w.Pods[1].Ask = w.Pods[1].Refused.With(c.other), w.Pods[0].Ask
			got := map[string]string{}
			plan := workload(t, power.Decide(s), "llm")
			for _, p := range plan.Pods {
				got[p.Name] = p.Budget
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v: %s", got, c.want, plan.Message)
			}
		})
	}
}
