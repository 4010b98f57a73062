package controllers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// widened is a pool whose devicesPerAgent was halved, after a few passes: as many pods again are to come, and what
// they are to mind stays with the agents that have it.
type widened struct {
	now   time.Time
	links *links
	wires wires
	peers []peer
}

func newWidened(agents int) *widened {
	s := &widened{now: time.Unix(1_900_000_000, 0), wires: wires{map[string]*wired{}}}
	s.links = newLinks(9, &s.wires, func() time.Time { return s.now }, func() {}, func(uint64) {}, logr.Discard())
	s.split(agents, 26, 0)
	for range 3 {
		s.pass()
	}
	s.split(agents, 13, 26)
	for range 3 {
		s.pass()
	}
	return s
}

// split gives each slot so many addresses; it had others before.
func (s *widened) split(agents, each, before int) {
	const most = 26
	part := func(n, of int) []string {
		if of == 0 || n*of >= agents*most {
			return nil
		}
		return []string{span{nth(n * of), nth(n*of + of - 1)}.String()}
	}
	s.peers = nil
	for n := range agents * most / each {
		p := peer{
			key: fmt.Sprintf("ai/p-%d", n), pool: types.NamespacedName{Namespace: "ai", Name: "p"},
			assignment: lease.Assignment{Ranges: part(n, each)}, before: part(n, before),
		}
		if n < agents {
			p.podUID, p.ip = types.UID(p.key), "127.0.0.9"
		}
		s.peers = append(s.peers, p)
	}
}

func (s *widened) pass() {
	s.now = s.now.Add(time.Second)
	s.links.sync(context.Background(), s.peers)
	for _, a := range s.wires.agents {
		for range 2 { // it tells of itself, and then what it took up
			a.report(lease.Report{Epoch: a.told.Epoch, Run: 1, Generation: a.told.Generation, AsOf: s.now.Sub(time.Unix(1_800_000_000, 0))})
		}
	}
}

// TestAnEditOfManyAgents: leases wait for what agents may mind to be found out, so it grows with the number of agents
// and not with its square, however long new pods stay away.
func TestAnEditOfManyAgents(t *testing.T) {
	allocs := func(agents int) float64 {
		s := newWidened(agents)
		if got := s.wires.agents[fmt.Sprintf("ai/p-%d", agents-1)].told.Assignment.Ranges; len(got) != 2 {
			t.Fatalf("it minds %v, and was to keep what is for pods to come", got)
		}
		return testing.AllocsPerRun(3, func() { s.links.sync(context.Background(), s.peers) })
	}
	if few, many := allocs(100), allocs(400); many > 6*few {
		t.Errorf("%.0f allocations for 100 agents and %.0f for 400", few, many)
	}
}

// BenchmarkSync is one pass while an edit's new agents are absent, and the first of a leader.
func BenchmarkSync(b *testing.B) {
	for _, agents := range []int{250, 1000, 2500} {
		b.Run(fmt.Sprintf("absent/%d", agents), func(b *testing.B) {
			s := newWidened(agents)
			for b.Loop() {
				s.links.sync(context.Background(), s.peers)
			}
		})
		b.Run(fmt.Sprintf("first/%d", agents), func(b *testing.B) {
			s := newWidened(agents)
			for b.Loop() {
				s.links = newLinks(9, &s.wires, s.links.clock, func() {}, func(uint64) {}, logr.Discard())
				s.links.sync(context.Background(), s.peers)
			}
		})
	}
}
