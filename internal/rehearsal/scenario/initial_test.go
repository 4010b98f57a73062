package scenario_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// TestInitialLeftOutKeepsTheSiteUnderItsLimits: ten S21 are 35 kW by nameplate.
func TestInitialLeftOutKeepsTheSiteUnderItsLimits(t *testing.T) {
	text := `
fleet:
  groups:
  - {name: a, count: 10, model: S21, firmware: BraiinsOS, firstAddress: 127.60.0.1, budget: hall}
  - {name: b, count: 10, model: S21, firmware: BraiinsOS, firstAddress: 127.60.1.1, budget: hall}
  - {name: c, count: 10, model: S21, firmware: BraiinsOS, firstAddress: 127.60.2.1, budget: other}
  - {name: d, count: 10, model: S21, firmware: BraiinsOS, firstAddress: 127.60.3.1, budget: other, initial: INITIAL}
baseWatts: {hall: BASE}
manifests:
- |
  {apiVersion: power.counterweight.dev/v1alpha1, kind: PowerBudget, metadata: {name: site}, spec: {limitWatts: 100k}}
  ---
  {apiVersion: power.counterweight.dev/v1alpha1, kind: PowerBudget, metadata: {name: hall}, spec: {parent: site, limitWatts: 72k}}
  ---
  {apiVersion: power.counterweight.dev/v1alpha1, kind: PowerBudget, metadata: {name: other}, spec: {parent: site, limitWatts: 90k}}
`
	for name, c := range map[string]struct{ initial, base, want string }{
		"as many as fit":             {"Sleeping", "0", "Hashing Hashing Sleeping Sleeping"},
		"base load is in the way":    {"Sleeping", "1k", "Hashing Sleeping Hashing Sleeping"},
		"what hashes is in the way":  {"Hashing", "0", "Hashing Sleeping Sleeping Hashing"},
		"what is written is written": {"Hashing", "100k", "Sleeping Sleeping Sleeping Hashing"},
	} {
		s, err := scenario.Read([]byte(strings.NewReplacer("INITIAL", c.initial, "BASE", c.base).Replace(text)), ".")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range s.Fleet.Groups {
			got = append(got, g.Initial)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
