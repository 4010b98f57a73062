package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// waveGap parts one wave of a workload's pods from the next: controllers make pods in quick batches.
const waveGap = 3 * time.Second

// waves groups pods that were gated by workload and time of creation, oldest first.
func waves(pods []Pod) [][]Pod {
	gated := slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool {
		// Deleted at the gate: nobody's hand-over.
		return !p.Gated || (p.Opened.IsZero() && !p.Finish.IsZero())
	})
	slices.SortFunc(gated, func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Workload, b.Workload), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	var out [][]Pod
	for i, p := range gated {
		if i > 0 && gated[i-1].Workload == p.Workload && p.Created.Sub(gated[i-1].Created) <= waveGap {
			out[len(out)-1] = append(out[len(out)-1], p)
			continue
		}
		out = append(out, []Pod{p})
	}
	slices.SortFunc(out, func(a, b []Pod) int {
		return cmp.Or(a[0].Created.Compare(b[0].Created), cmp.Compare(a[0].Workload, b[0].Workload))
	})
	return out
}

func (s *series) handovers(r *Report) {
	for _, pods := range waves(s.run.Pods) {
		r.Handovers = append(r.Handovers, s.handover(pods))
	}
}

func (s *series) handover(pods []Pod) Handover {
	began := pods[0].Created
	opened := began
	h := Handover{Workload: pods[0].Workload, Pods: len(pods), AtSeconds: round(began.Sub(s.run.Zero).Seconds())}
	for _, p := range pods {
		h.Watts += p.Watts
		if p.Opened.IsZero() {
			h.Waiting++
			opened = s.run.End
		} else if p.Opened.After(opened) {
			opened = p.Opened
		}
	}
	gated := opened.Sub(began)
	h.GatedSeconds = round(gated.Seconds())
	h.DeviceSeconds = round(s.deviceTime(pods, began, opened).Seconds())
	h.ControlSeconds = round(h.GatedSeconds - h.DeviceSeconds)
	return h
}

// deviceTime is from the first fall of mining after the pods came until the true draw plus their watts was
// within every limit (less its margin, which is not for use) above them. It is never longer than they
// waited, and nothing where the watts were free already.
func (s *series) deviceTime(pods []Pod, began, opened time.Time) time.Duration {
	first := s.from(began)
	var fell time.Time
	for i := first; i < len(s.all) && s.all[i].At.Before(opened); i++ {
		sample := s.all[i]
		if s.fits(sample, pods) {
			if fell.IsZero() {
				return 0
			}
			return sample.At.Sub(fell)
		}
		if fell.IsZero() && s.fallen(s.all[first], sample, pods) {
			fell = sample.At
		}
	}
	if fell.IsZero() {
		return 0
	}
	return opened.Sub(fell)
}

// fits says that all of the pods could draw without any budget above them being over.
func (s *series) fits(sample meter.Sample, pods []Pod) bool {
	extra := map[string]int64{}
	for _, p := range pods {
		draws := !p.Running.IsZero() && !sample.At.Before(p.Running)
		if p.Budget == "" || draws {
			continue
		}
		for name := range above(sample, p.Budget) {
			extra[name] += p.Watts
		}
	}
	for name, watts := range extra {
		r := sample.Budgets[name]
		if r.Limit == nil {
			continue
		}
		usable := float64(*r.Limit) * (1 - s.run.Budgets[name].MarginPercent/100)
		if float64(r.Draw()+watts) > usable {
			return false
		}
	}
	return true
}

// above is a budget and all those over it.
func above(sample meter.Sample, name string) map[string]bool {
	out := map[string]bool{}
	for name != "" && !out[name] {
		r, known := sample.Budgets[name]
		if !known {
			break
		}
		out[name] = true
		name = r.Parent
	}
	return out
}

// Mining wanders by itself; it has fallen when it is down by more than either of these.
const (
	fallShareOfNeed   = 0.05
	fallShareOfMining = 0.001
)

func (s *series) fallen(before, now meter.Sample, pods []Pod) bool {
	need := int64(0)
	for _, p := range pods {
		need += p.Watts
	}
	for _, name := range rootsOf(now, pods) {
		was := before.Budgets[name].Mining
		by := float64(was - now.Budgets[name].Mining)
		if by > fallShareOfNeed*float64(need) && by > fallShareOfMining*float64(was) {
			return true
		}
	}
	return false
}

// rootsOf are the roots over the pods.
func rootsOf(sample meter.Sample, pods []Pod) []string {
	var out []string
	for _, p := range pods {
		for name := range above(sample, p.Budget) {
			_, known := sample.Budgets[sample.Budgets[name].Parent]
			if !known && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
