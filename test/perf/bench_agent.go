package main

import (
	"context"
	"time"

	"github.com/counterweight-dev/counterweight/test/perf/shed"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// The targets of one agent with 256 devices.
const (
	agentCPU  = 5    // percent of one core
	agentRSS  = 64   // MiB
	agentShed = 1000 // ms
)

// agent measures one mining agent of 256 devices.
func (b *bench) agent(ctx context.Context) error {
	r, err := shed.Measure(ctx, shed.Options{Bin: b.bin, Devices: 128, Watch: time.Minute, Rounds: 5, Say: b.say})
	if err != nil {
		return err
	}
	b.report.Agent = &r
	b.report.AgentCPUPercent, b.report.AgentShedMs = &r.CPUPercent, new(stats.Percentile(r.Ms(), 100))
	b.say("  %d devices: %.2f %% of one core over %.1f s, %.1f MiB (peak %.1f); verified under the lease %.0f ms after a shed", r.Devices, r.CPUPercent, r.WatchSeconds, r.RSSMiB, r.PeakRSSMiB, r.UnderMs)
	b.report.AtMost("agent, 256 devices at 5 s polls, processor", r.CPUPercent, agentCPU, "% of a core")
	b.report.AtMost("agent, 256 devices, memory (peak)", r.PeakRSSMiB, agentRSS, "MiB")
	b.report.AtMost("whole-agent shed, 256 devices, worst round", *b.report.AgentShedMs, agentShed, "ms")
	return nil
}
