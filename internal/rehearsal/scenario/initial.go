package scenario

import (
	"time"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// settleInitial says of groups that leave it out what their machines did before: a group hashes where all
// of it fits under the limits beside base load and the groups that hash, and sleeps where it does not. A
// site is not over its limit before anybody could act.
func (s *Scenario) settleInitial() {
	free, parents := s.room()
	for _, chosen := range []bool{true, false} {
		for i := range s.Fleet.Groups {
			g := &s.Fleet.Groups[i]
			if chosen != (g.Initial != "") {
				continue
			}
			need := g.nameplate()
			if !chosen {
				g.Initial = string(minersim.Sleeping)
				if fits(free, parents, g.Budget, need) {
					g.Initial = string(minersim.Hashing)
				}
			}
			if g.Initial == string(minersim.Hashing) {
				take(free, parents, g.Budget, need)
			}
		}
	}
}

// nameplate watts of all machines of a group.
func (g *FleetGroup) nameplate() int64 {
	model, err := minersim.FindModel(g.Model)
	if err != nil {
		return 0
	}
	return int64(g.Count) * int64(model.Watts)
}

// room is what each budget of the manifests leaves beside its margin and base load, and its parent.
func (s *Scenario) room() (free map[string]int64, parents map[string]string) {
	free, parents = map[string]int64{}, map[string]string{}
	objects, err := s.Manifests.Objects(time.Time{})
	if err != nil {
		return free, parents
	}
	for _, o := range objects {
		if o.GetKind() != "PowerBudget" {
			continue
		}
		if b, err := meter.ParseBudget(o); err == nil {
			free[b.Name], parents[b.Name] = b.Limit-b.Limit*int64(powerv1.DefaultMarginPercent)/100, b.Parent
		}
	}
	for name, base := range s.BaseWatts {
		take(free, parents, name, base.N)
	}
	return free, parents
}

// above calls do for a budget and all over it; cycles end it.
func above(free map[string]int64, parents map[string]string, name string, do func(string)) {
	for range len(free) {
		if _, known := free[name]; !known {
			return
		}
		do(name)
		name = parents[name]
	}
}

func take(free map[string]int64, parents map[string]string, name string, watts int64) {
	above(free, parents, name, func(n string) { free[n] -= watts })
}

func fits(free map[string]int64, parents map[string]string, name string, watts int64) bool {
	ok := true
	above(free, parents, name, func(n string) { ok = ok && watts <= free[n] })
	return ok
}
