package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// wires are streams to agents that take what they are told when the test has them report.
type wires struct{ agents map[string]*wired }

type wired struct {
	report func(lease.Report)
	told   lease.Hello
	hellos int
	leases int
}

func (w *wires) Open(_ context.Context, p peer, report func(lease.Report), _ func(error)) outbox {
	w.agents[p.key] = &wired{report: report}
	return w.agents[p.key]
}
func (a *wired) PutHello(m lease.Hello) { a.told, a.hellos = m, a.hellos+1 }
func (a *wired) PutLease(lease.Lease)   { a.leases++ }

// resharded is two agents of one pool, minded by one leader.
type resharded struct {
	*testing.T
	now   time.Time
	links *links
	wires wires
	peers []peer
}

func newResharded(t *testing.T) *resharded {
	s := &resharded{T: t, now: time.Unix(1_900_000_000, 0), wires: wires{map[string]*wired{}}}
	s.links = newLinks(9, &s.wires, func() time.Time { return s.now }, func() {}, func(uint64) {}, logr.Discard())
	s.peers = []peer{{key: "ai/p-0", ip: "127.0.0.9", podUID: "a"}, {key: "ai/p-1", ip: "127.0.0.10", podUID: "b"}}
	s.split([]string{"10.0.0.0-10.0.0.7"}, []string{"10.0.0.8-10.0.0.15"})
	s.passes("ai/p-0", "ai/p-1")
	return s
}

func (s *resharded) split(ranges ...[]string) {
	for i := range ranges {
		s.peers[i].pool = types.NamespacedName{Namespace: "ai", Name: "p"}
		s.peers[i].assignment = lease.Assignment{Ranges: ranges[i]}
	}
}

// passes lets some of the agents report and take up what they were told, and the leader go on, until nothing changes.
func (s *resharded) passes(heard ...string) {
	for range 4 {
		s.now = s.now.Add(time.Second)
		s.links.sync(context.Background(), s.peers)
		s.disjoint()
		for _, key := range heard {
			a := s.wires.agents[key]
			for range 2 { // it tells of itself, and then what it took up
				a.report(lease.Report{Epoch: a.told.Epoch, Run: 1, Generation: a.told.Generation, AsOf: s.now.Sub(time.Unix(1_800_000_000, 0))})
			}
		}
	}
	s.links.sync(context.Background(), s.peers)
	s.disjoint()
}

// disjoint: no two agents may command one address (L9), taken up or not.
func (s *resharded) disjoint() {
	s.Helper()
	a, b := s.links.table["ai/p-0"].holding.spans, s.links.table["ai/p-1"].holding.spans
	if left := subtract(a, slices.Clone(b)); size(left) != size(a) {
		s.Errorf("both may command some of %v and %v", a, b)
	}
}

func (s *resharded) minds(key string, want ...string) {
	s.Helper()
	var all []span
	for _, text := range s.wires.agents[key].told.Assignment.Ranges {
		all = append(all, spansOf([]string{text})...)
	}
	wanted := spansOf(want)
	if size(all) != size(wanted) || len(subtract(all, wanted)) > 0 {
		s.Errorf("%s minds %v, want %v", key, all, want)
	}
}

// TestAnAgentKeepsWhatNobodyElseIsThereFor: an address goes when its next agent is heard, not before, or when it
// leaves the pool.
// Rule: L9.
func TestAnAgentKeepsWhatNobodyElseIsThereFor(t *testing.T) {
	s := newResharded(t)
	pool := s.peers[0].pool
	s.now = s.now.Add(2 * silent)
	s.passes("ai/p-0") // the other is cut off
	s.split([]string{"10.0.0.0-10.0.0.3"}, []string{"10.0.0.4-10.0.0.15"})
	s.passes("ai/p-0")
	s.minds("ai/p-0", "10.0.0.0-10.0.0.7")
	if s.links.taken(pool) {
		t.Error("the next leader would not know of it")
	}
	s.split([]string{"10.0.0.2-10.0.0.3"}, []string{"10.0.0.6-10.0.0.15"})
	s.passes("ai/p-0")
	s.minds("ai/p-0", "10.0.0.2-10.0.0.3", "10.0.0.6-10.0.0.7")
	s.minds("ai/p-1", "10.0.0.8-10.0.0.15")
	s.passes("ai/p-0", "ai/p-1")
	s.minds("ai/p-0", "10.0.0.2-10.0.0.3")
	s.minds("ai/p-1", "10.0.0.6-10.0.0.15")
	if !s.links.taken(pool) {
		t.Error("something is under way still")
	}
}

// TestAnAgentKeepsWhatAPodThatIsToComeWillMind: a slot that is new has nobody in it yet.
func TestAnAgentKeepsWhatAPodThatIsToComeWillMind(t *testing.T) {
	s := newResharded(t)
	s.peers = append(s.peers, peer{key: "ai/p-2"})
	s.split([]string{"10.0.0.0-10.0.0.3"}, []string{"10.0.0.4-10.0.0.7"}, []string{"10.0.0.8-10.0.0.15"})
	s.passes("ai/p-0", "ai/p-1")
	s.minds("ai/p-1", "10.0.0.4-10.0.0.15")
	s.peers[2].podUID, s.peers[2].ip = "c", "127.0.0.11"
	s.passes("ai/p-0", "ai/p-1")
	s.minds("ai/p-1", "10.0.0.4-10.0.0.15")
	s.passes("ai/p-0", "ai/p-1", "ai/p-2")
	s.minds("ai/p-1", "10.0.0.4-10.0.0.7")
	s.minds("ai/p-2", "10.0.0.8-10.0.0.15")
	s.peers = s.peers[:2]
	s.split([]string{"10.0.0.0-10.0.0.3"}, []string{"10.0.0.4-10.0.0.7"})
	s.peers = append(s.peers, peer{key: "ai/p-2", pool: s.peers[0].pool, never: true, assignment: lease.Assignment{Ranges: []string{"10.0.0.0-10.0.0.3"}}})
	s.split([]string{"10.0.0.4-10.0.0.7"}, nil)
	s.passes("ai/p-0", "ai/p-1")
	s.minds("ai/p-0", "10.0.0.4-10.0.0.7")
}

// TestAnAgentKeepsWhatAPodThatIsJustThereWillMind: where the pod of a new slot is seen with the split that it is for,
// nobody can have told it that one yet, nor what its slot had by an earlier one.
func TestAnAgentKeepsWhatAPodThatIsJustThereWillMind(t *testing.T) {
	for name, c := range map[string]struct{ before, keeps []string }{
		"a new slot":                    {nil, []string{"10.0.0.4-10.0.0.15"}},
		"a slot that was there earlier": {[]string{"10.0.0.14-10.0.0.15"}, []string{"10.0.0.4-10.0.0.15"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newResharded(t)
			s.peers = append(s.peers, peer{key: "ai/p-2", podUID: "c", ip: "127.0.0.11", before: c.before})
			s.split([]string{"10.0.0.0-10.0.0.3"}, []string{"10.0.0.4-10.0.0.7"}, []string{"10.0.0.8-10.0.0.15"})
			s.passes("ai/p-0", "ai/p-1")
			s.minds("ai/p-1", c.keeps...)
			s.passes("ai/p-0", "ai/p-1", "ai/p-2")
			s.minds("ai/p-1", "10.0.0.4-10.0.0.7")
			s.minds("ai/p-2", "10.0.0.8-10.0.0.15")
		})
	}
}

// TestAnAgentKeepsWhatAPodThatCameAnewWillMind: what the pod before it in its slot said a moment ago does not count.
func TestAnAgentKeepsWhatAPodThatCameAnewWillMind(t *testing.T) {
	for name, between := range map[string]func(*resharded){
		"seen to go":     func(s *resharded) { s.peers[1].podUID, s.peers[1].ip = "", ""; s.links.sync(t.Context(), s.peers) },
		"not seen to go": func(*resharded) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newResharded(t)
			s.split([]string{"10.0.0.0-10.0.0.3"}, []string{"10.0.0.4-10.0.0.15"})
			between(s)
			s.peers[1].podUID, s.peers[1].ip = "c", "127.0.0.11"
			s.passes("ai/p-0")
			s.minds("ai/p-0", "10.0.0.0-10.0.0.7")
			s.passes("ai/p-0", "ai/p-1")
			s.minds("ai/p-0", "10.0.0.0-10.0.0.3")
			s.minds("ai/p-1", "10.0.0.4-10.0.0.15")
		})
	}
}

// TestWhatIsKeptIsToldOnce: however many are away, an agent that keeps what is theirs is told anew only where that
// changes, and one that restarts gets its first lease.
func TestWhatIsKeptIsToldOnce(t *testing.T) {
	s := newResharded(t)
	s.peers = append(s.peers, peer{key: "ai/p-2"}, peer{key: "ai/p-3"})
	s.now = s.now.Add(2 * silent)
	s.split([]string{"10.0.0.0-10.0.0.1"}, []string{"10.0.0.6-10.0.0.15"}, []string{"10.0.0.2", "10.0.0.4"}, []string{"10.0.0.3", "10.0.0.5"})
	s.passes("ai/p-0")
	a := s.wires.agents["ai/p-0"]
	s.minds("ai/p-0", "10.0.0.0-10.0.0.7")
	before := a.hellos
	for range 5 {
		s.passes("ai/p-0")
	}
	if a.hellos != before {
		t.Errorf("told %d times more what it knew", a.hellos-before)
	}
	for run := lease.Run(2); run < 12; run++ {
		a.leases = 0
		for range 2 {
			a.report(lease.Report{Epoch: 9, Run: run, Generation: a.told.Generation, AsOf: time.Second})
		}
		s.now = s.now.Add(time.Second)
		s.links.view(s.now)
		s.links.sync(context.Background(), s.peers)
		s.links.confirm(s.now)
		s.links.grant(s.now, []power.LeasePlan{{Agent: "ai/p-0", Watts: 100, TTL: time.Minute}})
		if a.leases == 0 {
			t.Errorf("no lease for run %d", run)
		}
	}
}

// TestAnAddressGoesAtOnceToWhoIsThere: nobody keeps anything where all are heard.
func TestAnAddressGoesAtOnceToWhoIsThere(t *testing.T) {
	s := newResharded(t)
	s.split([]string{"10.0.0.12-10.0.0.15"}, []string{"10.0.0.0-10.0.0.11"})
	s.passes("ai/p-0", "ai/p-1")
	s.minds("ai/p-0", "10.0.0.12-10.0.0.15")
	s.minds("ai/p-1", "10.0.0.0-10.0.0.11")
}

// TestANewLeaderGivesNothingBack: it can't know which of two agents minds an address, so neither is told it.
func TestANewLeaderGivesNothingBack(t *testing.T) {
	s := newResharded(t)
	s.links = newLinks(10, &s.wires, func() time.Time { return s.now }, func() {}, func(uint64) {}, logr.Discard())
	s.split([]string{"10.0.0.0-10.0.0.3"}, []string{"10.0.0.4-10.0.0.15"})
	s.peers[0].before, s.peers[1].before = []string{"10.0.0.0-10.0.0.7"}, []string{"10.0.0.8-10.0.0.15"}
	s.wires.agents = map[string]*wired{}
	s.links.sync(context.Background(), s.peers)
	s.wires.agents["ai/p-0"].report(lease.Report{Epoch: 9, Run: 1, Generation: 1, AsOf: time.Hour})
	s.minds("ai/p-0", "10.0.0.0-10.0.0.3")
}
