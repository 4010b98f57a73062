package judge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// farm is six machines of 100 W and 10 TH/s: four that do as told, one that is deaf and one that lies.
func farm(makes float64) []Machine {
	var out []Machine
	for _, address := range []string{"127.1.0.1", "127.1.0.2", "127.1.0.3", "127.1.0.4"} {
		out = append(out, Machine{Address: address, Budget: "hall", Persona: "good", Healthy: true, Watts: 100, TeraHashes: makes, CanWatts: 100, CanTeraHashes: 10})
	}
	out[3].Persona = "late"
	return append(out,
		Machine{Address: "127.1.0.5", Group: "g", Budget: "hall", Persona: "deaf", Watts: 110, TeraHashes: 10, CanWatts: 100, CanTeraHashes: 10, InCondition: at(7), InEvent: at(7.5)},
		Machine{Address: "127.1.0.6", Group: "g", Budget: "hall", Persona: "liar", Watts: 100, TeraHashes: 10, CanWatts: 100, CanTeraHashes: 10, InEvent: at(-2)},
	)
}

func TestHealthyMachinesAreJudgedByWhatTheyCould(t *testing.T) {
	for name, c := range map[string]struct {
		limit   int64
		could   float64
		percent float64
	}{
		"room for all":                       {1000, 40, 95},
		"what the others draw is not theirs": {400, 19, 200}, // 400 less 110 and 100
		"less than the others draw":          {200, 0, 100},
	} {
		run := world{seconds: 20, hall: always(c.limit), mining: always(1)}.run()
		run.Machines = farm(9.5)
		r := Judge(run)
		if r.HealthyTeraHashes != 38 || r.HealthyCanTeraHashes != c.could || r.HealthyMiningPercent != c.percent {
			t.Errorf("%s: %g of %g TH/s, %g %%", name, r.HealthyTeraHashes, r.HealthyCanTeraHashes, r.HealthyMiningPercent)
		}
	}
	run := world{seconds: 20, mining: always(1)}.run()
	run.Machines, run.Rules.HealthyMiningPercentMin = farm(9.5), new(96.0)
	if r := Judge(run); len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "make 38 TH/s at the end, 95.0 % of the 40 TH/s they could, less than 96 %") {
		t.Errorf("failures: %q", r.Failures)
	}
	if run.Machines = nil; Judge(run).OK {
		t.Error("holds though nobody could say what the machines did")
	}
}

func TestMisbehavingMachinesMustBeNamed(t *testing.T) {
	run := world{seconds: 20, mining: always(1)}.run()
	run.Machines, run.Rules.NamedPersonas = farm(10), []string{"deaf"}
	r := Judge(run)
	want := []Misbehaving{
		{Address: "127.1.0.4", Persona: "late"},
		{Address: "127.1.0.5", Group: "g", Persona: "deaf", InConditionAtSeconds: new(7.0), InEventAtSeconds: new(7.5)},
		{Address: "127.1.0.6", Group: "g", Persona: "liar", InEventAtSeconds: new(-2.0)},
	}
	if diff := cmp.Diff(want, r.Misbehaving); diff != "" || !r.OK {
		t.Errorf("failures %q: %s", r.Failures, diff)
	}
	run.Rules.NamedPersonas = []string{"deaf", "late", "liar"}
	failed := []string{
		"127.1.0.4 (late of ) was named in no condition of a MinerPool", "127.1.0.4 (late of ) was named in no event",
		"127.1.0.6 (liar of g) was named in no condition of a MinerPool",
	}
	if diff := cmp.Diff(failed, Judge(run).Failures); diff != "" {
		t.Error(diff)
	}
}
