package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/play"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// player plays one scenario, telling what happens to out.
type player func(ctx context.Context, opts play.Options, s *scenario.Scenario) (judge.Report, error)

// each plays scenarios and writes a line for each.
func each(out io.Writer) *cobra.Command {
	opts := play.Options{Log: logger(false)}
	atOnce := 1
	cmd := &cobra.Command{
		Use: "each SCENARIO.yaml...", Short: "Play scenarios one after the other, or some at once, and tell in a line each how it went",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := findFolders(&opts); err != nil {
				return err
			}
			return playEach(cmd.Context(), opts, out, args, atOnce, play.Play)
		},
	}
	folders(cmd.Flags(), &opts)
	cmd.Flags().StringVar(&opts.ReportDir, "report-dir", "", "write what was told, and the reports, into a folder for each in this one")
	cmd.Flags().IntVar(&atOnce, "at-once", atOnce, "how many are played at the same time; their fleets need addresses of their own")
	if err := cmd.MarkFlagRequired("report-dir"); err != nil {
		panic(err) // the flag is defined in the line above
	}
	return cmd
}

// playEach reads all files first, so that a mistake in the last does not cost the time of the others. A
// scenario that does not hold, or could not be played, does not keep the others from being played.
func playEach(ctx context.Context, opts play.Options, out io.Writer, paths []string, atOnce int, do player) error {
	var all []*scenario.Scenario
	for _, path := range paths {
		s, err := scenario.Load(path)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	results := make([]error, len(all))
	out = &shared{out: out}
	places := make(chan struct{}, max(1, atOnce))
	var playing sync.WaitGroup
	for i, s := range all {
		places <- struct{}{}
		playing.Go(func() {
			defer func() { <-places }()
			if ctx.Err() == nil {
				results[i] = playOne(ctx, opts, out, s, do)
			}
		})
	}
	playing.Wait()
	if ctx.Err() != nil {
		return play.ErrInterrupted
	}
	return worst(results)
}

// worst of the results: what could not be played weighs more than what did not hold.
func worst(results []error) error {
	var bad error
	for _, err := range results {
		if bad == nil || errors.Is(bad, errJudged) && err != nil {
			bad = err
		}
	}
	return bad
}

// shared takes whole lines from several writers.
type shared struct {
	mu  sync.Mutex
	out io.Writer
}

// Write writes.
func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func playOne(ctx context.Context, opts play.Options, out io.Writer, s *scenario.Scenario, do player) error {
	opts.ReportDir = filepath.Join(opts.ReportDir, s.Name)
	if err := os.MkdirAll(opts.ReportDir, 0o755); err != nil {
		return fmt.Errorf("--report-dir: %w", err)
	}
	path := filepath.Join(opts.ReportDir, "told.txt")
	told, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--report-dir: %w", err)
	}
	defer told.Close()
	opts.Out = told
	began := time.Now()
	r, err := do(ctx, opts, s)
	seconds := time.Since(began).Seconds()
	if err != nil {
		fmt.Fprintf(out, "%-18s could not be played: %v\n", s.Name, err)
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	lines := []string{line(r, seconds)}
	if !r.OK {
		for _, f := range r.Failures {
			lines = append(lines, fmt.Sprintf("%-18s FAILED: %s", "", f))
		}
		lines = append(lines, fmt.Sprintf("%-18s told in %s", "", path))
	}
	fmt.Fprintln(out, strings.Join(lines, "\n")) // together: others write as well
	if !r.OK {
		return errJudged
	}
	return nil
}

// line tells a report in short: watt-seconds over all limits together, and which of them a step allowed.
func line(r judge.Report, seconds float64) string {
	over, excused := 0.0, 0.0
	for name, ws := range r.WattSecondsOver {
		over += ws - r.WattSecondsExcused[name]
		excused += r.WattSecondsExcused[name]
	}
	verdict := "ok"
	if !r.OK {
		verdict = "FAILED"
	}
	text := fmt.Sprintf("%-18s %-6s  over %.0f Ws", r.Scenario, verdict, over)
	if excused > 0 {
		text += fmt.Sprintf(" (and %.0f Ws after a fall with no notice)", excused)
	}
	return text + fmt.Sprintf("  mining back %.1f %%  %.0f s", r.MiningBackPercent, seconds)
}
