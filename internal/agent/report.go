package agent

import (
	"math"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

const (
	reportEvery = time.Second
	// reportGap is the least time between reports; what changes within it is told together.
	reportGap = 50 * time.Millisecond

	maxTroubles = 64
	maxMessage  = 256
)

// The reasons of troubles that fit does not know of.
const (
	reasonBusy         = "Busy"
	reasonUnauthorized = "Unauthorized"
	// reasonUnidentified is of an address where something answers and no machine was made out.
	reasonUnidentified = "Unidentified"
	// reasonUnproven is of the machine that is watched longest before readings count; its message is for how long.
	reasonUnproven = "Unproven"
)

// nextReport is when the next report is due, or may be where there are news.
func (a *Agent) nextReport() time.Duration {
	if a.news {
		return a.reported + reportGap
	}
	return a.reported + reportEvery
}

// publish reports where a second has passed or something changed that the operator waits for.
func (a *Agent) publish(now time.Duration) {
	due := !a.published || now >= a.reported+reportEvery
	if !due && now < a.reported+reportGap {
		return
	}
	if !due && !a.news {
		return
	}
	a.news = false
	totals := a.sum(now)
	if !due && !a.changed(now, totals) {
		return
	}
	a.report, a.reported, a.published = a.compose(now, totals), now, true
	for mailbox := range a.subscribers {
		deliver(mailbox, a.report)
	}
	a.cfg.Metrics.observe(a.report, a.conditions(now))
}

func (a *Agent) sum(now time.Duration) fit.Totals { return fit.Sum(a.devices(all), now) }

// changed says whether the report would tell the operator something it acts on: the lease in force, a
// shed that is done, a bound that moved by more than the noise of readings, a device in trouble.
func (a *Agent) changed(now time.Duration, t fit.Totals) bool {
	var stamp lease.Report
	a.stamp(now, &stamp)
	r := a.report
	if stamp.Epoch != r.Epoch || stamp.Seq != r.Seq || stamp.Generation != r.Generation ||
		stamp.LeaseWatts != r.LeaseWatts || countsOf(t.Counts) != r.Counts {
		return true
	}
	bound := lease.Watts(t.Bound)
	if r.Bound > r.LeaseWatts && bound <= r.LeaseWatts {
		return true
	}
	moved := max(bound-r.Bound, r.Bound-bound)
	return moved > lease.Watts(t.Rated)/200 || !slices.Equal(a.troubles(now), r.Troubles)
}

// stamp fills what the Holder answers for. While a write to an address that was let go is still in
// flight, no assignment counts as taken up (L9).
func (a *Agent) stamp(now time.Duration, r *lease.Report) {
	a.holder.Stamp(now, r)
	if a.letting > 0 || !a.sweep(now) {
		r.Generation = 0
	}
}

// sweepMost bounds the first look at every address: a lease has to come before the grace is over.
const sweepMost = 8 * time.Second

// sweep says whether every address of the assignment was asked at least once: what was not looked for
// can't be counted under a lease, so no assignment counts as taken up before.
func (a *Agent) sweep(now time.Duration) bool {
	a.swept = a.swept || now-a.assignedAt >= sweepMost || !slices.ContainsFunc(a.slots, (*slot).unasked)
	return a.swept
}

// unasked says that neither a try to find a machine nor a look at one has ended.
func (s *slot) unasked() bool {
	m := s.machine
	return s.tries == 0 && (m == nil || !m.read && m.missed == 0)
}

// compose makes the report of now.
func (a *Agent) compose(now time.Duration, t fit.Totals) lease.Report {
	r := lease.Report{
		Bound:         lease.Watts(t.Bound),
		Draw:          lease.Watts(t.Draw),
		Floor:         lease.Watts(t.Floor),
		Rated:         lease.Watts(t.Rated),
		Settle:        t.Settle,
		Volatile:      lease.Watts(t.Volatile),
		Counts:        countsOf(t.Counts),
		PriorSettings: a.priors(),
		Troubles:      a.troubles(now),
	}
	for _, p := range fit.Curve(a.devices(all), now) {
		r.Curve = append(r.Curve, lease.Point{Watts: lease.Watts(p.Watts), THs: finite(p.THs)})
	}
	a.stamp(now, &r)
	return r
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return v
}

func countsOf(c fit.Counts) lease.Counts {
	return lease.Counts{
		Total: c.Total, Hashing: c.Hashing, Sleeping: c.Sleeping, Unreachable: c.Unreachable, Stuck: c.Stuck,
	}
}

// priors is what each machine ran before it slept; what the operator remembers of machines that were
// not met yet goes back to it unchanged, so that it is not forgotten.
func (a *Agent) priors() map[string]string {
	out := make(map[string]string, len(a.slots))
	for key, text := range a.assignment.PriorSettings {
		if a.keys[key] == nil {
			out[key] = text
		}
	}
	for _, s := range a.slots {
		if s.machine == nil {
			continue
		}
		if text := encodePrior(s.machine.device.Prior()); text != "" {
			out[s.machine.key] = text
		}
	}
	return out
}

// troubles lists what a person may have to look at, by address; what may be no machine at all comes last.
func (a *Agent) troubles(now time.Duration) []lease.Trouble {
	var out, strangers []lease.Trouble
	for _, s := range a.slots {
		reason, message := s.ails(now)
		t := lease.Trouble{Address: s.addr.String(), Reason: reason, Message: message[:min(len(message), maxMessage)]}
		switch reason {
		case "":
		case reasonUnidentified:
			strangers = append(strangers, t)
		default:
			out = append(out, t)
		}
	}
	out = a.unproven(out[:min(len(out), maxTroubles)])
	return append(out, strangers[:min(len(strangers), maxTroubles-len(out))]...)
}

// unproven adds why much of the pool may count at its rated watts for a while: who is watched longest of those
// that this run has yet to know.
func (a *Agent) unproven(out []lease.Trouble) []lease.Trouble {
	slowest, worst := fit.Unproven(a.devices(all))
	if slowest == nil || len(out) == maxTroubles {
		return out
	}
	s := a.keys[slowest.Key()]
	if s == nil {
		return out
	}
	return append(out, lease.Trouble{Address: s.addr.String(), Reason: reasonUnproven, Message: worst.String()})
}

// conditions counts the devices by condition, for metrics.
func (a *Agent) conditions(now time.Duration) map[fit.Condition]int {
	counts := map[fit.Condition]int{}
	for _, d := range a.devices(all) {
		counts[d.Condition(now)]++
	}
	return counts
}
