package chaos

import (
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/fit"
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

// TestThePromiseCountsWhatIsOnItsWay: what nobody can call back is promised until it has come, or comes too late.
func TestThePromiseCountsWhatIsOnItsWay(t *testing.T) {
	const do = "test-on-its-way"
	const low, high = 100, 3000
	judged := false
	acts[do] = func(h *history, _ *action) {
		judged = true
		expect := func(what string, want float64) {
			t.Helper()
			if h.check.count(); h.check.promise[0] != want {
				t.Errorf("%s: %.0f W are promised, want %.0f W", what, h.check.promise[0], want)
			}
		}
		a := h.agents[0]
		for _, d := range h.devices {
			d.from, d.to, d.begin, d.end, d.coming = 30, 30, h.now, h.now, nil
		}
		a.take(order{lease: newLease(a, a.mind.seq+1, low)})
		var k *account
		for _, o := range h.operators {
			if of := o.accounts[namespace+"/"+a.pod.name]; of != nil {
				k = of
			}
		}
		k.sent = nil
		expect("a lease in force", low)
		arrived := h.devices[0].sends(fit.Setting{Kind: fit.HashWatts, Watts: high})
		expect("an order on its way", high+30)
		arrived()
		expect("an order that came", low)
		k.sent = []lease.Lease{*newLease(a, a.mind.seq+1, high)}
		expect("a lease on its way", high)
		k.sent[0].TTL = 0
		expect("one that comes too late", low)
		k.sent = []lease.Lease{*newLease(a, a.mind.seq, high)}
		expect("one that is older than the one in force", low)
		k.sent = []lease.Lease{*newLease(a, a.mind.seq+1, high)}
		k.sent[0].AsOf, k.sent[0].TTL, a.mind.leased = 0, 600*sec, false
		expect("a first one for what the run drew before it began to shed", low)
	}
	defer delete(acts, do)
	c := calmSite()
	c.actions = []action{{at: 45 * sec, what: do}}
	if play(c, true); !judged {
		t.Error("nothing was judged")
	}
}

// TestAMachineBootsOnce: one that goes off while it boots comes up once. What it was told before the first time
// does not wake it later.
func TestAMachineBootsOnce(t *testing.T) {
	const do = "test-reboots"
	judged := false
	acts[do] = machineAct(func(h *history, d *device, _ *action) {
		for range 6 {
			d.reboot(false)
		}
		last := d.bootUntil
		h.after(45*sec, func() {
			if judged = true; d.booted != last {
				t.Errorf("booted at %v and not at %v", d.booted, last)
			}
		})
	})
	defer delete(acts, do)
	c := calmSite()
	c.actions = []action{{at: 5 * sec, what: do}}
	if out := play(c, true); !judged || out.Violation != nil {
		t.Fatalf("%v\n%s", out.Violation, strings.Join(out.Trace, "\n"))
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

func TestMutantsCompile(t *testing.T) {
	if _, err := buildMutants(t.Context(), "../..", t.TempDir(), Mutants); err != nil {
		t.Error(err)
	}
}

func newLease(a *agent, seq uint64, watts lease.Watts) *lease.Lease {
	return &lease.Lease{Epoch: a.mind.epoch, Run: a.run, Seq: seq, Watts: watts, TTL: 30 * sec, AsOf: a.now()}
}
