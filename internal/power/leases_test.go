package power_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestRaisesShareOnePacePerBudget: twenty small agents rise together no faster than one large one would.
// Rules: liveness j.
func TestRaisesShareOnePacePerBudget(t *testing.T) {
	s := twoHalls(1000, 1000, 1000)
	for range 10 {
		mine(&s, "hall-1", 0, 100)
		mine(&s, "hall-2", 0, 100)
	}
	sum := func() (all power.Watts) {
		for _, w := range leases(power.Decide(s)) {
			all += w
		}
		return all
	}
	if got := sum(); got != 100 {
		t.Errorf("leases rise by %v at once, want a tenth of the limit", got)
	}
	s.Agents[0].RaisedAt, s.Agents[0].RaisedBy = in(-time.Second/2), 60
	if got := sum(); got != 40 {
		t.Errorf("leases rise by %v, want what this second has left", got)
	}
	s.Agents[0].RaisedAt = in(-time.Second)
	if got := sum(); got != 100 {
		t.Errorf("leases rise by %v a second later", got)
	}
}

// TestStep: an agent's next lease on the way to its target. The agent is rated 1,000 W, so that a raise is
// at most 250 W and one under 5 W is small.
func TestStep(t *testing.T) {
	tests := map[string]struct {
		limit  power.Watts
		leased power.Watts
		edit   func(*power.Site, *power.Agent)
		want   power.Watts
	}{
		"down at once":                           {limit: 300, leased: 1000, want: 300},
		"up in steps":                            {limit: 1000, leased: 0, want: 250},
		"up to what is spare":                    {limit: 500, leased: 400, want: 500},
		"not while what it counts for is capped": {limit: 3000, leased: 400, edit: func(s *power.Site, a *power.Agent) { a.Bound = 1000 }, want: 400},
		"nor by a first lease":                   {limit: 3000, leased: 400, edit: func(s *power.Site, a *power.Agent) { a.Bound, a.Leased = 1000, false }, want: 400},
		"not twice in a second":                  {limit: 1000, leased: 250, edit: raised(999 * time.Millisecond), want: 250},
		"again after a second":                   {limit: 1000, leased: 250, edit: raised(time.Second), want: 500},
		"a small raise waits":                    {limit: 504, leased: 500, edit: raised(19 * time.Second), want: 500},
		"and is made in the end":                 {limit: 504, leased: 500, edit: raised(20 * time.Second), want: 504},
		"one of 5 W does not":                    {limit: 505, leased: 500, edit: raised(19 * time.Second), want: 505},
		"no small shed for order":                {limit: 1000, leased: 1000, edit: func(s *power.Site, a *power.Agent) { a.Curve[1].Watts = 996 }, want: 1000},
		"but a worthwhile one":                   {limit: 1000, leased: 1000, edit: func(s *power.Site, a *power.Agent) { a.Curve[1].Watts = 995 }, want: 995},
		"a small shed over the limit": {
			limit: 997, leased: 1000, want: 997,
		},
		"a small shed for a pod": {
			limit: 1000, leased: 1000, edit: func(s *power.Site, _ *power.Agent) { work(s, "llm", power.Gated, 1, 3) }, want: 997,
		},
		"not above what miners that shed hold": {
			// Another agent still holds 400 W of the 500 W it was told to give up.
			limit: 1000, leased: 500, edit: func(s *power.Site, _ *power.Agent) {
				_, b := mine(s, "site", 0, 400)
				b.Hold, b.Bound, b.Curve = 400, 400, nil
			}, want: 600,
		},
		"back up to what it holds at once": {
			limit: 1000, leased: 300, edit: func(_ *power.Site, a *power.Agent) { a.Hold, a.Bound = 900, 900 }, want: 1000,
		},
		"not while over the limit": {
			limit: 800, leased: 300, edit: func(_ *power.Site, a *power.Agent) { a.Hold, a.Bound = 900, 900 }, want: 300,
		},
		"not while halted": {
			limit: 1000, leased: 300, edit: func(s *power.Site, a *power.Agent) {
				a.Hold, a.Bound, s.Budgets[0].Halted = 900, 900, "spec"
			}, want: 300,
		},
		"sheds while halted":   {limit: 200, leased: 300, edit: func(s *power.Site, _ *power.Agent) { s.Budgets[0].Halted = "spec" }, want: 200},
		"no raise when halted": {limit: 1000, leased: 300, edit: func(s *power.Site, _ *power.Agent) { s.Budgets[0].Halted = "spec" }, want: 300},
		"a fresh agent is left what it draws": {
			limit: 1000, leased: 600, edit: fresh, want: 850,
		},
		"a fresh agent is shed where it must": {
			limit: 400, leased: 600, edit: func(s *power.Site, a *power.Agent) { fresh(s, a); a.Keeps = 600 }, want: 400,
		},
		"a fresh agent over the limit gets no leave for what it is only counted at": {
			limit: 400, leased: 600, edit: func(s *power.Site, a *power.Agent) { fresh(s, a); a.Keeps = 30 }, want: 30,
		},
		"a young agent is shed for no other": {
			limit: 1000, leased: 600, edit: func(s *power.Site, a *power.Agent) {
				fresh(s, a)
				a.Young, a.Keeps, a.Curve = true, 500, []power.Point{{}, {Watts: 100, THs: 10}}
			}, want: 500,
		},
		"nor is it a little later": {
			limit: 1000, leased: 600, edit: func(_ *power.Site, a *power.Agent) {
				a.Young, a.Curve = true, []power.Point{{}, {Watts: 100, THs: 10}}
			}, want: 600,
		},
		"but where it must": {
			limit: 400, leased: 600, edit: func(_ *power.Site, a *power.Agent) { a.Young = true }, want: 400,
		},
		"nor for a floor that is for want of knowledge": {
			limit: 400, leased: 600, edit: func(s *power.Site, a *power.Agent) {
				fresh(s, a)
				a.Keeps, a.Floor, a.Curve = 30, 200, []power.Point{{Watts: 200}, {Watts: 1000, THs: 10}}
			}, want: 30,
		},
		"a fresh agent starts in steps": {
			limit: 1000, leased: 0, edit: fresh, want: 250,
		},
		"a fresh agent in a halted budget": {
			limit: 1000, leased: 600, edit: func(s *power.Site, a *power.Agent) { fresh(s, a); a.Keeps, s.Budgets[0].Halted = 600, "spec" }, want: 600,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			s.Agents = make([]power.Agent, 0, 2)
			_, a := mine(&s, "site", tt.leased, 1000)
			if tt.edit != nil {
				tt.edit(&s, a)
			}
			if got := leases(power.Decide(s))["pool-0-0"]; got != tt.want {
				t.Errorf("leased %v, want %v", got, tt.want)
			}
		})
	}
}

func raised(ago time.Duration) func(*power.Site, *power.Agent) {
	return func(_ *power.Site, a *power.Agent) { a.RaisedAt = in(-ago) }
}

// fresh makes an agent one that has no lease of this leader yet.
func fresh(_ *power.Site, a *power.Agent) { a.Lease, a.Leased, a.RaisedAt = 0, false, time.Time{} }

// TestRaisesTakeWhatIsSpare: while other miners still hold what they were told to give up, agents are
// raised out of what is spare at every budget, no watt of it twice, and none that a pod waits for or that
// is kept free.
func TestRaisesTakeWhatIsSpare(t *testing.T) {
	tests := map[string]struct {
		held power.Watts // by the miners that shed, in hall-1
		edit func(*power.Site)
		want map[string]power.Watts
	}{
		"plenty":      {400, func(*power.Site) {}, map[string]power.Watts{"pool-1-0": 125, "pool-2-0": 125}},
		"shared":      {850, func(*power.Site) {}, map[string]power.Watts{"pool-1-0": 125, "pool-2-0": 25}},
		"a pod waits": {850, func(s *power.Site) { work(s, "llm", power.Gated, 1, 151) }, map[string]power.Watts{"pool-1-0": 0, "pool-2-0": 0}},
		"headroom":    {850, func(s *power.Site) { s.Budgets[0].Headroom = 100 }, map[string]power.Watts{"pool-1-0": 50, "pool-2-0": 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := twoHalls(1000, 1000, 1000)
			_, a := mine(&s, "hall-1", 0, 1000)
			a.Hold, a.Bound, a.Curve = tt.held, tt.held, nil
			mine(&s, "hall-1", 0, 500)
			mine(&s, "hall-2", 0, 500)
			tt.edit(&s)
			got := leases(power.Decide(s))
			delete(got, "pool-0-0")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTTL: leaseSeconds, the least above the agent, and never past the next fall of a limit less the time
// to shed: 6 s and 2 s.
func TestTTL(t *testing.T) {
	cut := func(start time.Duration, limit power.Watts) power.Cut {
		return power.Cut{Start: in(start), End: in(start + time.Hour), Limit: limit}
	}
	tests := map[string]struct {
		edit func(site, hall *power.Budget)
		want time.Duration
	}{
		"leaseSeconds":         {func(_, _ *power.Budget) {}, 2 * time.Minute},
		"the least above":      {func(site, _ *power.Budget) { site.LeaseTTL = time.Minute }, time.Minute},
		"its own":              {func(_, hall *power.Budget) { hall.LeaseTTL = 30 * time.Second }, 30 * time.Second},
		"before a fall":        {func(_, hall *power.Budget) { hall.Cuts = []power.Cut{cut(time.Minute, 100)} }, 52 * time.Second},
		"before one above":     {func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(time.Minute, 100)} }, 52 * time.Second},
		"not for a far one":    {func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(time.Hour, 100)} }, 2 * time.Minute},
		"not for one in force": {func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(-time.Minute, 100)} }, 2 * time.Minute},
		"not for one planned":  {func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(13*time.Second, 100)} }, 2 * time.Minute},
		"the last before":      {func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(13*time.Second+1, 100)} }, 5*time.Second + 1},
		"before the second": {
			func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(-time.Minute, 900), cut(40*time.Second, 100)} }, 32 * time.Second,
		},
		"not for one above that in force": {
			func(site, _ *power.Budget) { site.Cuts = []power.Cut{cut(-time.Minute, 100), cut(40*time.Second, 900)} }, 2 * time.Minute,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := twoHalls(1000, 1000, 1000)
			mine(&s, "hall-1", 100, 100)
			tt.edit(&s.Budgets[0], &s.Budgets[1])
			if got := power.Decide(s).Leases[0].TTL; got != tt.want {
				t.Errorf("TTL %v, want %v", got, tt.want)
			}
		})
	}
}

// TestNoLeaseOutlivesAFall: whatever the cuts, an agent that hears no more is down to what the limit
// allows when it falls.
// Rules: section 8.
func TestNoLeaseOutlivesAFall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := oneBudget(1000)
		_, a := mine(&s, "site", power.Watts(rapid.IntRange(0, 1000).Draw(t, "leased")), 1000)
		a.Settle = time.Duration(rapid.IntRange(1, 60).Draw(t, "settle")) * time.Second
		for n := range rapid.IntRange(1, 4).Draw(t, "cuts") {
			start := in(time.Duration(rapid.IntRange(0, 300).Draw(t, "start")) * time.Second)
			s.Budgets[0].Cuts = append(s.Budgets[0].Cuts, power.Cut{
				Name: fmt.Sprint(n), Start: start, End: start.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "length")) * time.Second),
				Limit: power.Watts(rapid.IntRange(0, 1000).Draw(t, "limit")),
			})
		}
		l := power.Decide(s).Leases[0]
		gone := now.Add(l.TTL + a.Settle + 2*time.Second)
		for _, c := range s.Budgets[0].Cuts {
			if c.Start.After(now) && c.Start.Before(gone) && l.Watts > c.Limit {
				t.Fatalf("a lease of %v for %v outlives the fall to %v in %v", l.Watts, l.TTL, c.Limit, c.Start.Sub(now))
			}
		}
	})
}

// TestSharedLeases: while the ledger has no room for what an agent let go beside its lease, that draws under
// the lease, whether it is found already or not.
func TestSharedLeases(t *testing.T) {
	for name, tt := range map[string]struct {
		limit, unfound, base power.Watts
		want                 bool
	}{
		"room for all":               {limit: 1000, unfound: 400},
		"no room for what is not":    {limit: 999, unfound: 400, want: true},
		"over by what is found":      {limit: 999, base: 400, want: true},
		"room for the base and more": {limit: 1000, base: 400},
	} {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			s.Budgets[0].Base = tt.base
			p, _ := mine(&s, "site", 600, 600)
			p.Rated, p.GraceUntil = 600+tt.unfound, in(time.Minute)
			if got := power.Decide(s).Leases[0].Shared; got != tt.want {
				t.Errorf("shared %v, want %v", got, tt.want)
			}
		})
	}
}

// TestShedWithin: how soon an agent must be under its lease.
func TestShedWithin(t *testing.T) {
	tests := map[string]struct {
		limit  power.Watts
		gated  power.Watts
		leased power.Watts
		slack  power.Watts // how much less than leased the devices can draw
		want   time.Duration
	}{
		"over the limit":    {limit: 900, leased: 1000, want: 2 * time.Second},
		"for a pod":         {limit: 1000, gated: 100, leased: 1000, want: 10 * time.Second},
		"for a pod, in two": {limit: 1000, gated: 100, leased: 900, want: 0},
		"nothing to shed":   {limit: 1000, leased: 1000, want: 0},
		"shed already":      {limit: 900, leased: 1000, slack: 100, want: 0},
		"a raise":           {limit: 1000, leased: 500, want: 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := oneBudget(tt.limit)
			_, a := mine(&s, "site", tt.leased, 1000)
			a.Bound -= tt.slack
			if tt.gated > 0 {
				work(&s, "llm", power.Gated, 1, tt.gated)
			}
			if got := power.Decide(s).Leases[0].ShedWithin; got != tt.want {
				t.Errorf("within %v, want %v", got, tt.want)
			}
		})
	}
}
