package power_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// This file replays random sites step by step and checks the true watts of every budget after each step:
// agents that obey within their settle time, pods that draw what they reserved, curtailments announced in
// advance. It is the shortest path from a wrong decision to a breaker.

const settle = 6 * time.Second

// simAgent is an agent that obeys late: a lower lease is under way until settle has passed.
type simAgent struct {
	power.Agent
	draw     power.Watts // what its devices draw now
	inForce  power.Watts
	sent     []power.Watts // leases not yet reported in force
	replaced []replaced    // leases that its devices may not have settled down from
}

type replaced struct {
	watts power.Watts
	at    time.Time
}

// ceiling is the most that the devices may draw: every lease replaced less than settle ago included.
func (a *simAgent) ceiling(now time.Time) power.Watts {
	most := max(a.inForce, a.Floor)
	for _, r := range a.replaced {
		if now.Sub(r.at) < settle {
			most = max(most, r.watts)
		}
	}
	return most
}

type simSite struct {
	now    time.Time
	site   power.Site
	agents []*simAgent
	pods   int
}

func (s *simSite) bound(a *simAgent) power.Watts {
	return max(a.draw, min(a.inForce, a.Rated), a.Floor)
}

// step moves time: devices settle, agents report.
func (s *simSite) step(t *rapid.T, d time.Duration) {
	s.now = s.now.Add(d)
	for _, a := range s.agents {
		a.draw = min(a.draw, a.ceiling(s.now))
		if a.draw < a.inForce {
			top := a.Curve[len(a.Curve)-1].Watts
			a.draw = min(top, a.draw+power.Watts(rapid.IntRange(0, int(a.inForce-a.draw)).Draw(t, "wake")))
		}
		if rapid.IntRange(0, 3).Draw(t, "report") > 0 {
			a.Bound, a.sent = s.bound(a), nil
		}
		a.Hold = max(a.Bound, a.inForce)
		for _, w := range a.sent {
			a.Hold = max(a.Hold, w)
		}
	}
}

// carryOut does what a plan says.
func (s *simSite) carryOut(p power.Plan) {
	for _, l := range p.Leases {
		for _, a := range s.agents {
			if a.Key != l.Agent {
				continue
			}
			if l.Watts > a.Lease {
				a.RaisedAt = s.now
			}
			a.replaced = append(a.replaced, replaced{a.inForce, s.now})
			a.sent = append(a.sent, l.Watts)
			a.Lease, a.Leased, a.inForce = l.Watts, true, l.Watts
		}
	}
	for i := range p.Workloads {
		w := &s.site.Workloads[i]
		w.Pods = slices.DeleteFunc(w.Pods, func(pod power.Pod) bool {
			return pod.Phase == power.Releasing && !slices.ContainsFunc(p.Workloads[i].Pods, func(r power.PodPlan) bool { return r.UID == pod.UID })
		})
		for _, r := range p.Workloads[i].Pods {
			for n := range w.Pods {
				if w.Pods[n].UID == r.UID && r.Open && w.Pods[n].Phase <= power.Reserved {
					w.Pods[n].Phase, w.Pods[n].Budget = power.Admitted, r.Budget
				}
			}
		}
	}
}

func (s *simSite) snapshot() power.Site {
	out := s.site
	out.Now = s.now
	out.Agents = nil
	for _, a := range s.agents {
		out.Agents = append(out.Agents, a.Agent)
	}
	return out
}

// trueWatts is what each budget really draws.
func (s *simSite) trueWatts() map[string]power.Watts {
	parent := map[string]string{}
	for _, b := range s.site.Budgets {
		parent[b.Name] = b.Parent
	}
	sums := map[string]power.Watts{}
	add := func(at string, w power.Watts) {
		for ; at != ""; at = parent[at] {
			sums[at] += w
		}
	}
	for _, b := range s.site.Budgets {
		add(b.Name, b.Base)
	}
	for _, a := range s.agents {
		add(a.Budget, a.draw)
	}
	for _, w := range s.site.Workloads {
		for _, p := range w.Pods {
			if p.Phase == power.Admitted {
				add(p.Budget, p.Watts)
			}
		}
	}
	return sums
}

// limit is the one in force, margin included, as the site wrote it.
func limit(b power.Budget, now time.Time) power.Watts {
	l := b.Limit
	for _, c := range b.Cuts {
		if !now.Before(c.Start) && now.Before(c.End) {
			l = min(l, c.Limit)
		}
	}
	return l
}

func newSim(t *rapid.T) *simSite {
	s := &simSite{now: time.Unix(1_800_000_000, 0)}
	halls := rapid.IntRange(1, 3).Draw(t, "halls")
	s.site.Budgets = []power.Budget{{
		Name: "site", Limit: power.Watts(halls) * 900_000, MarginPercent: 2, Base: 20_000, LeaseTTL: 2 * time.Minute,
		Headroom: power.Watts(rapid.IntRange(0, 30_000).Draw(t, "headroom")),
	}}
	for h := range halls {
		hall := fmt.Sprintf("hall-%d", h)
		s.site.Budgets = append(s.site.Budgets, power.Budget{
			Name: hall, Parent: "site", Limit: 1_000_000, MarginPercent: 2, Base: 30_000, LeaseTTL: 2 * time.Minute,
			Feeds: true, Pin: map[string]string{"hall": hall},
		})
		for n := range 8 {
			s.site.Nodes = append(s.site.Nodes, power.Node{
				Name: fmt.Sprintf("%s-n%d", hall, n), Budget: hall, Open: true,
				Labels: map[string]string{"hall": hall}, Free: map[string]int64{"gpu": 8},
			})
		}
		pool := power.Pool{Key: "pool-" + hall, Budget: hall}
		for n := range rapid.IntRange(1, 3).Draw(t, "agents") {
			rated := power.Watts(rapid.IntRange(200_000, 500_000).Draw(t, "rated"))
			pool.Rated += rated
			s.agents = append(s.agents, &simAgent{Agent: power.Agent{
				Key: fmt.Sprintf("%s-%d", hall, n), Pool: pool.Key, Budget: hall, Heard: true,
				Floor: rated / 100, Bound: rated / 100, Hold: rated / 100, Rated: rated, Settle: settle,
				Curve: []power.Point{{Watts: rated / 100}, {Watts: rated / 2, THs: 60}, {Watts: rated, THs: 100}},
			}, draw: rated / 100})
		}
		s.site.Pools = append(s.site.Pools, pool)
	}
	return s
}

// event changes the world: workloads come, pods end, curtailments are announced.
func (s *simSite) event(t *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(t, "event") {
	case 0:
		n := rapid.IntRange(1, 12).Draw(t, "pods")
		w := power.Workload{
			Key: fmt.Sprintf("ai/w%d", s.pods), Created: s.now, Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
			MinPods: rapid.SampledFrom([]int{1, n}).Draw(t, "gang"),
		}
		for range n {
			s.pods++
			w.Pods = append(w.Pods, power.Pod{
				UID: fmt.Sprintf("u%d", s.pods), Name: fmt.Sprintf("p%d", s.pods), Created: s.now,
				Watts: 10_200, Ask: map[string]int64{"gpu": 8},
			})
		}
		s.site.Workloads = append(s.site.Workloads, w)
	case 1:
		for i := range s.site.Workloads {
			for n := range s.site.Workloads[i].Pods {
				if p := &s.site.Workloads[i].Pods[n]; p.Phase == power.Admitted && rapid.Bool().Draw(t, "ends") {
					p.Phase, p.Until = power.Releasing, s.now.Add(5*time.Second)
				}
			}
		}
	case 2:
		b := &s.site.Budgets[rapid.IntRange(0, len(s.site.Budgets)-1).Draw(t, "cut")]
		start := s.now.Add(time.Duration(rapid.IntRange(20, 60).Draw(t, "notice")) * time.Second)
		b.Cuts = append(b.Cuts, power.Cut{
			Name: fmt.Sprintf("cut-%d", len(b.Cuts)), Start: start, End: start.Add(40 * time.Second),
			Limit: b.Limit * power.Watts(rapid.IntRange(60, 95).Draw(t, "to")) / 100,
		})
	}
}

// TestTrueWattsStayUnderEveryLimit is for L1, L2, L5.
func TestTrueWattsStayUnderEveryLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		for range 60 {
			s.event(t)
			p := power.Decide(s.snapshot())
			s.carryOut(p)
			s.step(t, time.Duration(rapid.IntRange(200, 3000).Draw(t, "ms"))*time.Millisecond)
			drawn := s.trueWatts()
			for _, b := range s.site.Budgets {
				if l := limit(b, s.now); drawn[b.Name] > l && !s.firmOver(b) {
					t.Fatalf("%s draws %v, limit %v, at %v", b.Name, drawn[b.Name], l, s.now.Unix())
				}
			}
		}
	})
}

// firmOver tells whether pods admitted before a cut was announced are over it by themselves: no shed can
// mend that.
func (s *simSite) firmOver(b power.Budget) bool {
	for _, a := range s.agents {
		if a.draw > a.Floor && a.draw > a.inForce {
			return false
		}
	}
	mining := power.Watts(0)
	for _, a := range s.agents {
		mining += a.draw - a.Floor
	}
	return mining == 0 && len(b.Cuts) > 0
}

// TestLedgerNeverGrowsPastTheLimit is L1 on the plan itself: with every hold at what is sent, nothing
// raised or reserved takes a budget over its planned limit.
// Rules: L1.
func TestLedgerNeverGrowsPastTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		for range 40 {
			s.event(t)
			in := s.snapshot()
			p := power.Decide(in)
			s.carryOut(p)
			granted := map[string]power.Watts{}
			for _, l := range p.Leases {
				granted[l.Agent] = l.Watts
			}
			for i := range in.Agents {
				in.Agents[i].Hold = max(in.Agents[i].Hold, granted[in.Agents[i].Key])
			}
			in.Workloads = s.site.Workloads
			after := power.Decide(in)
			for i, b := range after.Budgets {
				if before := p.Budgets[i]; b.Over > before.Over {
					t.Fatalf("%s: the plan took the ledger from %v to %v over its limit", b.Name, before.Over, b.Over)
				}
			}
			s.step(t, time.Second)
		}
	})
}

func TestSameSiteSamePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		for range 8 {
			s.event(t)
		}
		a, b := power.Decide(s.snapshot()), power.Decide(s.snapshot())
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("two plans of one site differ:\n%v\n%v", a, b)
		}
	})
}

// TestLiveness: once the world is quiet, mining fills what is left and every pod that fits has started.
func TestQuietSiteFillsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t)
		for range 6 {
			s.event(t)
			s.carryOut(power.Decide(s.snapshot()))
			s.step(t, time.Second)
		}
		var p power.Plan
		for range 120 {
			p = power.Decide(s.snapshot())
			s.carryOut(p)
			s.step(t, 2*time.Second)
			for _, a := range s.agents {
				a.Bound, a.sent = s.bound(a), nil
			}
		}
		for _, w := range p.Workloads {
			if w.Waiting > 0 && w.Reason == power.WaitingForMiners {
				t.Fatalf("%s still waits: %s", w.Key, w.Message)
			}
		}
		for _, l := range p.Leases {
			if l.Target-l.Watts > l.Target/100+1 {
				t.Fatalf("%s is leased %v of a target of %v after a long quiet", l.Agent, l.Watts, l.Target)
			}
		}
	})
}
