package agent

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

func traitsOf(c miner.Capabilities) fit.Traits {
	t := fit.Traits{
		CanSleep:            c.Sleep,
		SleepSurvivesReboot: c.SleepSurvivesReboot,
		Nameplate:           fit.Watts(c.NameplateWatts),
		NameplateTHs:        c.NameplateTHs,
		Nominal:             fit.Watts(c.NominalWatts),
		Residual:            fit.Watts(c.ResidualWatts),
		Sleep:               timingOf(c.SleepTiming),
		Wake:                timingOf(c.WakeTiming),
		Trim:                timingOf(c.TrimTiming),
	}
	if c.Continuous {
		t.Min, t.Max, t.Step = fit.Watts(c.MinWatts), fit.Watts(c.MaxWatts), fit.Watts(c.StepWatts)
	}
	for _, m := range c.Modes {
		t.Modes = append(t.Modes, fit.Mode{Name: m.Name, Watts: fit.Watts(m.Watts), THs: m.THs})
	}
	return t
}

func timingOf(t miner.Timing) fit.Timing { return fit.Timing{Worst: t.Worst, Restarts: t.Restarts} }

var states = map[miner.State]fit.State{
	miner.Hashing:  fit.Hashing,
	miner.Starting: fit.Starting,
	miner.Sleeping: fit.Sleeping,
	miner.Stopping: fit.Stopping,
	miner.Failed:   fit.Failed,
}

// readingOf translates a look begun at at. Watts that no instrument on the mains side saw (DC, or the
// firmware's own reckoning) are estimates.
func readingOf(at time.Duration, r miner.Reading) fit.Reading {
	out := fit.Reading{At: at, State: states[r.State], Mode: r.Mode}
	if r.Watts != nil {
		out.HasWatts, out.Watts = true, fit.Watts(*r.Watts)
		out.Estimated = r.WattsSource != miner.Meter && r.WattsSource != miner.Wall && r.WattsSource != miner.PSU
	}
	if r.HashrateTHs != nil {
		out.THs = *r.HashrateTHs
	}
	// The most the firmware may move to by itself counts, not where it happens to be (L5).
	if target := cmp.Or(r.Ceiling, r.Effective, r.TargetWatts); target != nil {
		out.Target = fit.Watts(*target)
	}
	if r.Uptime != nil {
		out.Uptime = *r.Uptime
	}
	return out
}

func settingOf(s fit.Setting) miner.Setting {
	switch s.Kind {
	case fit.HashWatts:
		return miner.Setting{Kind: miner.HashWatts, Watts: int64(s.Watts)}
	case fit.HashMode:
		return miner.Setting{Kind: miner.HashMode, Mode: s.Mode}
	default:
		return miner.Setting{Kind: miner.Sleep}
	}
}

// The words of a remembered setting: KIND WATTS [MODE].
const (
	wordWatts = "HashWatts"
	wordMode  = "HashMode"
)

// encodePrior writes what a device ran down for the operator; empty where there is nothing to remember.
func encodePrior(s fit.Setting) string {
	switch s.Kind {
	case fit.HashWatts:
		return fmt.Sprintf("%s %d", wordWatts, s.Watts)
	case fit.HashMode:
		return strings.TrimSpace(fmt.Sprintf("%s %d %s", wordMode, s.Watts, s.Mode))
	default:
		return ""
	}
}

// decodePrior reads it back.
func decodePrior(text string) (fit.Setting, error) {
	fields := strings.SplitN(text, " ", 3)
	if len(fields) < 2 {
		return fit.Setting{}, fmt.Errorf("remembered setting %q: want KIND WATTS [MODE]", text)
	}
	watts, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || watts < 0 {
		return fit.Setting{}, fmt.Errorf("remembered setting %q: %q is no number of watts", text, fields[1])
	}
	s := fit.Setting{Watts: fit.Watts(watts)}
	switch {
	case fields[0] == wordWatts && len(fields) == 2:
		s.Kind = fit.HashWatts
	case fields[0] == wordMode:
		s.Kind = fit.HashMode
		if len(fields) == 3 {
			s.Mode = fields[2]
		}
	default:
		return fit.Setting{}, fmt.Errorf("remembered setting %q: unknown kind", text)
	}
	return s, nil
}
