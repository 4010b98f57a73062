package controllers

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// budgetFault is what makes a budget unusable: a reason and a sentence, both empty where nothing does.
func budgetFault(byName map[string]*powerv1.PowerBudget, doubles map[string]double, b *powerv1.PowerBudget) (reason, message string) {
	at := b
	for range len(byName) + 1 {
		if at.Spec.Parent == "" {
			return doubles[b.Name].fault()
		}
		up := byName[at.Spec.Parent]
		if up == nil {
			if at != b {
				return powerv1.ReasonParentNotFound, fmt.Sprintf(
					"budget %s above this one names parent %q, which does not exist; create it", at.Name, at.Spec.Parent)
			}
			return powerv1.ReasonParentNotFound, fmt.Sprintf(
				"spec.parent %q does not exist; create that PowerBudget, or delete this one and create it under another", b.Spec.Parent)
		}
		at = up
		if at == b {
			return powerv1.ReasonParentCycle, fmt.Sprintf(
				"spec.parent %q leads back to %s; delete one budget of the cycle and create it under another parent", b.Spec.Parent, b.Name)
		}
	}
	return powerv1.ReasonParentCycle, fmt.Sprintf(
		"spec.parent %q leads into a cycle of budgets; delete one of them and create it under another parent", b.Spec.Parent)
}

// parentBinds warns of a limit that the nearest lower one above makes void; empty where none does.
func parentBinds(byName map[string]*powerv1.PowerBudget, b *powerv1.PowerBudget) string {
	at := b
	for range byName {
		if at = byName[at.Spec.Parent]; at == nil {
			return ""
		}
		if at.Spec.LimitWatts.Cmp(b.Spec.LimitWatts) < 0 {
			return fmt.Sprintf("; spec.limitWatts %s is above the %s of budget %s over it, which binds: lower the one or raise the other",
				b.Spec.LimitWatts.String(), at.Spec.LimitWatts.String(), at.Name)
		}
	}
	return ""
}

// overlapsOther names an older pool that has an address of this one; empty where none has. The older pool
// keeps the address: two agents never command one machine (L9).
func overlapsOther(pools []powerv1.MinerPool, p *powerv1.MinerPool) string {
	own, err := parseSpans(p.Spec.Devices.Addresses)
	if err != nil {
		return ""
	}
	for i := range pools {
		o := &pools[i]
		if o.UID == p.UID || !older(o, p) {
			continue
		}
		theirs, err := parseSpans(o.Spec.Devices.Addresses)
		if err != nil {
			continue
		}
		all := append(append([]span{}, own...), theirs...)
		if _, _, clash := overlap(all); clash {
			return client.ObjectKeyFromObject(o).String()
		}
	}
	return ""
}

// older orders pools by age, then by name.
func older(a, b *powerv1.MinerPool) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return client.ObjectKeyFromObject(a).String() < client.ObjectKeyFromObject(b).String()
}
