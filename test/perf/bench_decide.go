package main

import (
	"context"
	"fmt"

	"github.com/counterweight-dev/counterweight/test/perf/decide"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// decide measures the decision and compares its dispatch with exact solvers.
func (b *bench) decide(ctx context.Context) error {
	for _, c := range decide.Cases {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := b.decideCase(c)
		if err != nil {
			return err
		}
		b.report.Decide = append(b.report.Decide, row)
		name := fmt.Sprintf("Decide, %d ASICs in %d agents", row.ASICs, row.Agents)
		b.report.AtMost(name+", median", row.MedianMs, c.TargetMs, "ms")
		b.report.AtMost(name+", p99", row.P99Ms, c.TargetMs, "ms")
		b.report.AtMost(name+", sites over the plan's bound by > 0.1 %", float64(row.SitesOverCertificate), 0, fmt.Sprintf("of %d", row.Sites))
		b.report.AtMost(name+", sites over the exact optimum by > 0.1 %", float64(row.SitesOverExact), 0, fmt.Sprintf("of %d", row.Sites))
		c.Quiet = true
		if row, err = b.decideCase(c); err != nil {
			return err
		}
		b.report.DecideQuiet = append(b.report.DecideQuiet, row)
		b.report.AtMost(name+", nothing waits, p99", row.P99Ms, c.TargetMs, "ms")
	}
	return b.compare(ctx)
}

func (b *bench) decideCase(c decide.Case) (decide.Row, error) {
	row, err := decide.Measure(c)
	if err != nil {
		return row, err
	}
	waits := "pods wait"
	if c.Quiet {
		waits = "nothing waits"
	}
	b.say("  %d ASICs, %d agents, %d budgets, %d workloads, %d pods, %d nodes, %s: median %.3f ms, p99 %.3f ms (cpu %.3f, %.3f) over %d calls on %d sites; worst gap %.6f %% to the exact optimum, %.4f %% to the plan's bound",
		row.ASICs, row.Agents, row.Budgets, row.Workloads, row.Pods, row.Nodes, waits, row.MedianMs, row.P99Ms, row.CPUMedianMs, row.CPUP99Ms,
		row.Calls, row.Sites, row.GapPercent, row.CertificateGapPercent)
	return row, nil
}

// compare puts the decision and the general solver side by side.
func (b *bench) compare(ctx context.Context) error {
	over := 0
	var ours, theirs []float64
	for seed := range decide.Exact.Sites {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c, err := decide.Compare(decide.Exact, uint64(seed)+1)
		if err != nil {
			return err
		}
		b.report.Exact = append(b.report.Exact, c)
		ours, theirs = append(ours, c.DecideMs), append(theirs, c.ExactMs)
		if c.GapPercent > 0.1 {
			over++
		}
		if seed < 10 {
			b.say("  site %d: decide %.3f TH/s in %.3f ms, simplex (%d variables, %d constraints) %.3f TH/s in %.1f ms, gap %.9f %%",
				c.Seed, c.DecideTHs, c.DecideMs, c.Variables, c.Constraints, c.ExactTHs, c.ExactMs, c.GapPercent)
		}
	}
	b.say("  %d sites of %d ASICs: decide median %.3f ms, simplex median %.1f ms", len(ours), decide.Exact.ASICs(), stats.Median(ours), stats.Median(theirs))
	b.report.AtMost("Decide against the simplex, sites over by > 0.1 %", float64(over), 0, fmt.Sprintf("of %d", len(ours)))
	return nil
}
