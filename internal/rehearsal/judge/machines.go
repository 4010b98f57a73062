package judge

import (
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

func (s *series) healthy(r *Report) {
	if len(s.run.Machines) == 0 || len(s.all) == 0 {
		return
	}
	makes, could := s.hashRates(s.all[len(s.all)-1])
	r.HealthyTeraHashes, r.HealthyCanTeraHashes, r.HealthyMiningPercent = round(makes), round(could), percent(makes, could)
}

// HashRates is what machines that do as told make and could make, in TH/s, while a rehearsal runs.
func HashRates(sample meter.Sample, budgets map[string]Budget, machines []Machine) (makes, could float64) {
	s := series{run: Run{Budgets: budgets, Machines: machines}}
	return s.hashRates(sample)
}

// hashRates compares the hash rate of machines that do as told with what they could make of the watts that the
// limits leave to them: what the others draw is gone.
func (s *series) hashRates(sample meter.Sample) (makes, could float64) {
	can := map[string]int64{}
	alone := series{run: s.run, sick: map[string]int64{}}
	watts := 0.0
	for _, m := range s.run.Machines {
		if !m.Healthy {
			alone.sick[m.Budget] += int64(m.Watts)
			continue
		}
		can[m.Budget] += int64(m.CanWatts)
		makes, could, watts = makes+m.TeraHashes, could+m.CanTeraHashes, watts+m.CanWatts
	}
	alone.run.Fleet = []FleetAt{{Watts: can}}
	if watts > 0 {
		could *= alone.mayDraw(sample) / watts
	}
	return makes, could
}

// named lists the machines that misbehave.
func (s *series) named(r *Report) {
	at := func(t time.Time) *float64 {
		if t.IsZero() {
			return nil
		}
		return new(round(t.Sub(s.run.Zero).Seconds()))
	}
	for _, m := range s.run.Machines {
		if m.Persona != "good" {
			r.Misbehaving = append(r.Misbehaving, Misbehaving{
				Address: m.Address, Group: m.Group, Persona: m.Persona, InConditionAtSeconds: at(m.InCondition), InEventAtSeconds: at(m.InEvent),
			})
		}
	}
}

func (c check) machines(run Run) {
	r := c.report
	least := c.rules.HealthyMiningPercentMin
	switch {
	case (least != nil || len(c.rules.NamedPersonas) > 0) && len(run.Machines) == 0:
		c.fail("nobody could say what the machines did at the end")
	case least != nil && r.HealthyMiningPercent < *least:
		c.fail("the machines that do as told make %.0f TH/s at the end, %.1f %% of the %.0f TH/s they could, less than %g %%",
			r.HealthyTeraHashes, r.HealthyMiningPercent, r.HealthyCanTeraHashes, *least)
	}
	for _, m := range r.Misbehaving {
		if !slices.Contains(c.rules.NamedPersonas, m.Persona) {
			continue
		}
		if m.InConditionAtSeconds == nil {
			c.fail("%s (%s of %s) was named in no condition of a MinerPool", m.Address, m.Persona, m.Group)
		}
		if m.InEventAtSeconds == nil {
			c.fail("%s (%s of %s) was named in no event", m.Address, m.Persona, m.Group)
		}
	}
}
