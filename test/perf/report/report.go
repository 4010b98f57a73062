// Package report is what the benchmarks say: one file for machines, one table for people, and for every
// target whether it is met.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/counterweight-dev/counterweight/test/perf/decide"
	"github.com/counterweight-dev/counterweight/test/perf/fleet"
	"github.com/counterweight-dev/counterweight/test/perf/handover"
	"github.com/counterweight-dev/counterweight/test/perf/shed"
)

// Report is bin/bench/report.json. A part that was not run is missing.
type Report struct {
	Machine Machine `json:"machine"`
	// Decide has pods waiting in every workload; DecideQuiet is the same sites with none.
	Decide      []decide.Row        `json:"decide,omitempty"`
	DecideQuiet []decide.Row        `json:"decideQuiet,omitempty"`
	Exact       []decide.Comparison `json:"exact,omitempty"`

	Agent           *shed.Result `json:"agent,omitempty"`
	AgentCPUPercent *float64     `json:"agentCPUPercent,omitempty"`
	AgentShedMs     *float64     `json:"agentShedMs,omitempty"`

	// AgentMixed has devices of every firmware.
	AgentMixed           *shed.Result `json:"agentMixed,omitempty"`
	AgentMixedCPUPercent *float64     `json:"agentMixedCPUPercent,omitempty"`
	AgentMixedShedMs     *float64     `json:"agentMixedShedMs,omitempty"`

	// Fleet is the drivers alone, at 1,000 machines of every firmware.
	Fleet        *fleet.Result `json:"fleet,omitempty"`
	FleetReadMs  *float64      `json:"fleetReadMs,omitempty"`
	FleetSleepMs *float64      `json:"fleetSleepMs,omitempty"`

	// HandOver is at 10,000 ASICs; Small is the same at 1,000, to compare what is written.
	HandOver            *handover.Result      `json:"handover,omitempty"`
	Small               *handover.Result      `json:"handoverSmall,omitempty"`
	WritesPerHandOver   *float64              `json:"writesPerHandover,omitempty"`
	IdleWritesPerMinute *float64              `json:"idleWritesPerMinute,omitempty"`
	Large               *handover.LargeResult `json:"large,omitempty"`
	OperatorRSSMiB      *float64              `json:"operatorRSSMiB,omitempty"`

	Targets []Target `json:"targets"`
}

// Machine the figures are from.
type Machine struct {
	Date  string `json:"date"`
	Go    string `json:"go"`
	Model string `json:"model"`
	CPUs  int    `json:"cpus"`
	// StealPercent is the share of processor time that the host gave to others while it ran.
	StealPercent float64 `json:"stealPercent"`
}

// Target is one row of the table: what was promised and what was measured.
type Target struct {
	Name     string  `json:"name"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"`
	Measured float64 `json:"measured"`
	Met      bool    `json:"met"`
}

// AtMost adds a target that is met where what was measured is at most the limit.
func (r *Report) AtMost(name string, measured, limit float64, unit string) {
	r.Targets = append(r.Targets, Target{name, limit, unit, measured, measured <= limit})
}

// Write writes the file for machines.
func (r *Report) Write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Table writes the table for people.
func (r *Report) Table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tMEASURED\tAT MOST\tUNIT\t")
	for _, t := range r.Targets {
		met := "met"
		if !t.Met {
			met = "MISSED"
		}
		fmt.Fprintf(w, "%s\t%.4g\t%g\t%s\t%s\n", t.Name, t.Measured, t.Limit, t.Unit, met)
	}
	return w.Flush()
}
