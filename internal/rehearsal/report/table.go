package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
)

// Table writes a judgement for people.
func Table(out io.Writer, r judge.Report) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(format string, args ...any) { fmt.Fprintf(t, format+"\t\n", args...) }
	budgets(line, r)
	handovers(line, r.Handovers)
	curtailments(line, r.Curtailments)
	unannounced(line, r.Unannounced)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return summary(out, r)
}

// liner writes a line of the table; tabs part its columns.
type liner func(format string, args ...any)

func budgets(line liner, r judge.Report) {
	line("budget\tlimit\tpeak\tover")
	for _, name := range slices.Sorted(maps.Keys(r.Budgets)) {
		over := fmt.Sprintf("%.0f Ws", r.WattSecondsOver[name])
		if excused := r.WattSecondsExcused[name]; excused > 0 {
			over += fmt.Sprintf(" (%.0f excused)", excused)
		}
		line("%s\t%s\t%s\t%s", name, Watts(r.Budgets[name].LimitWatts), Watts(r.Budgets[name].PeakWatts), over)
	}
}

func handovers(line liner, all []judge.Handover) {
	if len(all) > 0 {
		line("")
		line("hand-over to\tat\tpods\twatts\twaited\tmachines\tcontrol")
	}
	for _, h := range all {
		waited := fmt.Sprintf("%.1f s", h.GatedSeconds)
		if h.Waiting > 0 {
			waited = fmt.Sprintf("%d still wait", h.Waiting)
		}
		line("%s\t%.0f s\t%d\t%s\t%s\t%.1f s\t%.1f s", h.Workload, h.AtSeconds, h.Pods, Watts(h.Watts), waited, h.DeviceSeconds, h.ControlSeconds)
	}
}

func curtailments(line liner, all []judge.Curtailment) {
	if len(all) > 0 {
		line("")
		line("curtailment\tbudget\tlimit\tnotice\tmet\tover")
	}
	for _, c := range all {
		met := "before it began"
		switch {
		case !c.Met:
			met = "never"
		case c.MetAfterSeconds > 0:
			met = fmt.Sprintf("after %.1f s", c.MetAfterSeconds)
		}
		line("%s\t%s\t%s\t%.0f s\t%s\t%.0f Ws", c.Name, c.Budget, Watts(c.LimitWatts), c.NoticeSeconds, met, c.WattSecondsOver)
	}
}

func unannounced(line liner, all []judge.Unannounced) {
	if len(all) > 0 {
		line("")
		line("with no notice\tat\tunder again\tover")
	}
	for _, u := range all {
		line("%s\t%.0f s\tafter %.1f s\t%.0f Ws", u.What, u.AtSeconds, u.MetAfterSeconds, u.WattSecondsOver)
	}
}

func summary(out io.Writer, r judge.Report) error {
	stranded := "not judged: never far enough from a change"
	if r.StrandedJudgedSeconds > 0 {
		stranded = fmt.Sprintf("%.2f %% of what the limits left to mining, over %.0f s", r.StrandedPercent, r.StrandedJudgedSeconds)
	}
	fmt.Fprintf(out, "\nmining at the end  %.1f %% of its share (%s of %s)\n", r.MiningBackPercent, Watts(r.MiningWatts), Watts(r.MiningShareWatts))
	if named := people(r.Misbehaving); named != "" {
		fmt.Fprintf(out, "healthy machines   %.1f %% of what they could (%.0f of %.0f TH/s)\n", r.HealthyMiningPercent, r.HealthyTeraHashes, r.HealthyCanTeraHashes)
		fmt.Fprintf(out, "misbehaving        %s\n", named)
	}
	fmt.Fprintf(out, "stranded           %s\n", stranded)
	fmt.Fprintf(out, "samples            %d, %d missing, at most %.2f s apart\n", r.Samples, r.MissingSamples, r.SampleGapSeconds)
	for _, f := range r.Failures {
		fmt.Fprintf(out, "FAILED             %s\n", f)
	}
	_, err := fmt.Fprintf(out, "\n%s: ok: %t, %.0f s\n", r.Scenario, r.OK, r.DurationSeconds)
	return err
}

// people says of which misbehaving machines they could know; empty where all are good.
func people(all []judge.Misbehaving) string {
	if len(all) == 0 {
		return ""
	}
	total, named := map[string]int{}, map[string]int{}
	for _, m := range all {
		total[m.Persona]++
		if m.InConditionAtSeconds != nil && m.InEventAtSeconds != nil {
			named[m.Persona]++
		}
	}
	var parts []string
	for _, persona := range slices.Sorted(maps.Keys(total)) {
		parts = append(parts, fmt.Sprintf("%d of %d %s", named[persona], total[persona], persona))
	}
	return "named in conditions and events: " + strings.Join(parts, ", ")
}

// WriteJSON writes report.json into a folder.
func WriteJSON(dir string, r judge.Report) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing report.json: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing report.json: %w", err)
	}
	return nil
}
