package main

import (
	"context"
	"time"

	"github.com/counterweight-dev/counterweight/test/perf/handover"
)

// The targets of the operator.
const (
	leaseP99    = 100 // ms
	openP99     = 250 // ms
	operatorRSS = 512 // MiB
	// sameWrites allows for writes that run together, or don't, by chance.
	sameWrites = 1.1
)

// deviceTime of the model agents: long enough to tell it from the operator's own, short enough to wait for.
const deviceTime = 500 * time.Millisecond

// handover measures hand-overs at 10,000 ASICs, what is written for each and in quiet; and at 1,000, where
// as much has to be written.
func (b *bench) handover(ctx context.Context) error {
	small, err := handover.Measure(ctx, handover.Options{
		Bin: b.bin, HandOvers: 30, Say: b.say,
		Shape: handover.Shape{Pools: 1, AgentsPerPool: 4, DevicesPerAgent: 250, Nodes: 30, Settle: deviceTime, LimitPercent: 70},
	})
	if err != nil {
		return err
	}
	r, err := handover.Measure(ctx, handover.Options{
		Bin: b.bin, HandOvers: 110, Idle: 2 * time.Minute, Say: b.say,
		Shape: handover.Shape{Pools: 4, AgentsPerPool: 10, DevicesPerAgent: 250, Nodes: 110, Settle: deviceTime, LimitPercent: 70},
	})
	if err != nil {
		return err
	}
	for _, h := range []handover.Result{small, r} {
		b.say("  %d ASICs, %d agents, %d hand-overs (%d needed no lease): seen to last lease p50 %.1f ms, p99 %.1f ms (from create: %.1f, %.1f); gate off less %.0f ms of device time p50 %.1f ms, p99 %.1f ms; %.2f agents shed and %.2f writes each (%s); the machine woke the bench up to %.1f ms late (p99), %d hand-overs undisturbed: p99 %.1f and %.1f ms",
			h.ASICs, h.Agents, h.HandOvers, h.AtOnce, h.P50Ms, h.P99Ms, h.CreateP50Ms, h.CreateP99Ms, h.SettleMs, h.OpenP50Ms, h.OpenP99Ms, h.LeasesPerHandOver, h.WritesPerHandOver, h.Writes,
			h.LateP99Ms, h.Undisturbed, h.UndisturbedP99Ms, h.UndisturbedOpenP99Ms)
	}
	b.say("  %.2f writes a minute over %.0f quiet seconds (%s)", *r.IdleWritesPerMinute, r.IdleSeconds, r.IdleWrites)
	b.report.HandOver, b.report.Small = &r, &small
	b.report.WritesPerHandOver, b.report.IdleWritesPerMinute = &r.WritesPerHandOver, r.IdleWritesPerMinute
	b.report.AtMost("gated pod seen -> last lease on the wire, 10,000 ASICs, p99", r.P99Ms, leaseP99, "ms")
	b.report.AtMost("gated pod seen -> gate off less device time, 10,000 ASICs, p99", r.OpenP99Ms, openP99, "ms")
	b.report.AtMost("writes per hand-over, 10,000 ASICs against 1,000", r.WritesPerHandOver/small.WritesPerHandOver, sameWrites, "times as many")
	b.report.AtMost("steady state, writes", *r.IdleWritesPerMinute, 0, "a minute")
	return nil
}

// large measures the operator's memory at 2,500 agents and 10,000 accelerator pods.
func (b *bench) large(ctx context.Context) error {
	r, err := handover.MeasureLarge(ctx, handover.LargeOptions{
		Bin: b.bin, Pods: 10_000, Rest: 30 * time.Second, Say: b.say,
		Shape: handover.Shape{Pools: 10, AgentsPerPool: 250, DevicesPerAgent: 256, Nodes: 1250, Settle: deviceTime, LimitPercent: 70},
	})
	if err != nil {
		return err
	}
	b.say("  %d agents, %d pods: %d agents had a lease after %.0f s; %.1f MiB (peak %.1f; heap in use %.1f, live %.1f, stacks %.1f, %.0f goroutines), %.0f %% of one core, %.0f passes of %.0f ms on average; ended %d times",
		r.Agents, r.Pods, r.Heard, r.ReadyS, r.RSSMiB, r.PeakMiB, r.HeapMiB, r.HeapLiveMiB, r.StackMiB, r.Goroutines, r.CPUPercent, r.Passes, r.PassMs, r.Ended)
	b.report.Large, b.report.OperatorRSSMiB = &r, &r.PeakMiB
	b.report.AtMost("operator, 2,500 agents and 10,000 pods, memory (peak)", r.PeakMiB, operatorRSS, "MiB")
	b.report.AtMost("operator, 2,500 agents, without a lease at the end", float64(r.Agents-r.Heard), 0, "agents")
	return nil
}
