package chaos

import (
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// TestHistories plays some hundred histories; make chaos plays as many as one has time for.
func TestHistories(t *testing.T) {
	r := Run(7, 0, 200, 3)
	for _, n := range r.First {
		t.Errorf("history %d of seed 7: %v; play it with make chaos SEED=7 HISTORY=%d", n, Play(7, n).Violation, n)
	}
	if r.Histories < 200 && r.Violations == 0 {
		t.Errorf("played %d histories", r.Histories)
	}
}

// TestReplay: the same seed and number are the same history, event by event.
func TestReplay(t *testing.T) {
	for n := range 25 {
		first, second := Play(3, n), Play(3, n)
		if strings.Join(first.Trace, "\n") != strings.Join(second.Trace, "\n") {
			for i := range first.Trace {
				if i >= len(second.Trace) || first.Trace[i] != second.Trace[i] {
					t.Fatalf("history %d differs at line %d: %s", n, i, first.Trace[i])
				}
			}
			t.Fatalf("history %d differs", n)
		}
	}
}

// calmSite is a small site to which nothing happens.
func calmSite() config {
	c := draw(1, 0)
	c.actions, c.works, c.wild, c.live, c.quiet = nil, nil, false, false, false
	c.lost, c.late, c.slow = 0, 0, 0
	c.budgets = []budgetConfig{{name: "a", limit: 9000}}
	c.pools = []poolConfig{{name: "p0", rated: 7600, perAgent: 2, devices: []deviceConfig{
		{model: 0, short: 1, lie: 1}, {model: 0, short: 1, lie: 1},
	}}}
	c.nodes = []nodeConfig{{gpus: 4}}
	c.calm, c.end = 60*sec, 60*sec
	return c
}

// TestTheCheckerSees: a world that is over its limits behind everybody's back is not taken for a good one.
func TestTheCheckerSees(t *testing.T) {
	tests := map[string]struct {
		do   string
		act  func(*history, *action)
		rule string
	}{
		"nothing": {"test-nothing", func(*history, *action) {}, ""},
		"a machine that draws more than anybody was told": {"test-overload", func(h *history, _ *action) {
			d := h.devices[0]
			d.from, d.to, d.begin, d.end = 20_000, 20_000, h.now, h.now
		}, "L1"},
		"a lease that no ledger holds": {"test-lease", func(h *history, _ *action) {
			a := h.agents[0]
			m := a.report
			a.take(order{lease: newLease(a, m.Seq+1, 8900)})
		}, "L2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			acts[tt.do] = tt.act
			defer delete(acts, tt.do)
			c := calmSite()
			c.actions = []action{{at: 45 * sec, what: tt.do}}
			out := play(c, true)
			switch {
			case tt.rule == "" && out.Violation != nil:
				t.Fatalf("%v\n%s", out.Violation, strings.Join(out.Trace, "\n"))
			case tt.rule != "" && (out.Violation == nil || out.Violation.Rule != tt.rule):
				t.Fatalf("found %v, want a violation of %s", out.Violation, tt.rule)
			}
		})
	}
}

// TestMutantsAreInTheCode: each known defect still has its place, in one function.
func TestMutantsAreInTheCode(t *testing.T) {
	for _, m := range Mutants {
		if _, err := weave("../..", t.TempDir(), []Mutant{m}); err != nil {
			t.Error(err)
		}
	}
}

func newLease(a *agent, seq uint64, watts lease.Watts) *lease.Lease {
	return &lease.Lease{Epoch: a.mind.epoch, Run: a.run, Seq: seq, Watts: watts, TTL: 30 * sec, AsOf: a.now()}
}
