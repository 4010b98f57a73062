package main

import (
	"context"
	"time"

	"github.com/counterweight-dev/counterweight/test/perf/fleet"
	"github.com/counterweight-dev/counterweight/test/perf/shed"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// The targets of one agent with 256 devices.
const (
	agentDevices = 256
	agentCPU     = 5    // percent of one core
	agentRSS     = 64   // MiB
	agentShed    = 1000 // ms
)

// agent measures one mining agent of 256 devices of the two firmwares that were there first.
func (b *bench) agent(ctx context.Context) error {
	r, err := b.oneAgent(ctx, "256 devices", false)
	if err != nil {
		return err
	}
	b.report.Agent = &r
	b.report.AgentCPUPercent, b.report.AgentShedMs = &r.CPUPercent, new(stats.Percentile(r.Ms(), 100))
	return nil
}

// mixed measures one mining agent of 256 devices of every firmware.
func (b *bench) mixed(ctx context.Context) error {
	r, err := b.oneAgent(ctx, "256 devices of mixed firmware", true)
	if err != nil {
		return err
	}
	b.report.AgentMixed = &r
	b.report.AgentMixedCPUPercent, b.report.AgentMixedShedMs = &r.CPUPercent, new(stats.Percentile(r.Ms(), 100))
	return nil
}

func (b *bench) oneAgent(ctx context.Context, what string, mixed bool) (shed.Result, error) {
	r, err := shed.Measure(ctx, shed.Options{Bin: b.bin, Devices: agentDevices, Mixed: mixed, Watch: time.Minute, Rounds: 5, Say: b.say})
	if err != nil {
		return r, err
	}
	if !mixed {
		b.say("  verified under the lease %.0f ms after a shed", r.UnderMs)
	}
	b.report.AtMost("agent, "+what+" at 5 s polls, processor", r.CPUPercent, agentCPU, "% of a core")
	b.report.AtMost("agent, "+what+", memory (peak)", r.PeakRSSMiB, agentRSS, "MiB")
	b.report.AtMost("whole-agent shed, "+what+", worst round", stats.Percentile(r.Ms(), 100), agentShed, "ms")
	return r, nil
}

// The targets of 1,000 machines of every firmware.
const (
	fleetMachines = 1000
	fleetRead     = 2000 // ms
	fleetSleep    = 2000 // ms
)

// fleet measures the drivers alone.
func (b *bench) fleet(ctx context.Context) error {
	r, err := fleet.Measure(ctx, fleet.Options{Bin: b.bin, Machines: fleetMachines, Rounds: 3, Reads: 12, Say: b.say})
	if err != nil {
		return err
	}
	b.report.Fleet = &r
	b.report.FleetReadMs, b.report.FleetSleepMs = new(stats.Percentile(r.ReadMs(), 100)), new(stats.Percentile(r.SleepMs(), 100))
	b.say("  a full read takes %.0f ms (median); %.0f %% of its processor time is the simulated machines'", stats.Median(r.ReadMs()), r.SimShare())
	b.report.AtMost("full read, 1,000 machines of mixed firmware, worst", *b.report.FleetReadMs, fleetRead, "ms")
	b.report.AtMost("all to sleep, 1,000 machines, last one commanded, worst round", *b.report.FleetSleepMs, fleetSleep, "ms")
	return nil
}
