// Command perf runs the benchmarks of this repository: every performance target, measured, with what was
// measured and whether it is met. docs/performance.md describes the method of each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/counterweight-dev/counterweight/test/perf/report"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	out    io.Writer
	bin    string
	report report.Report
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, "bench: "+format+"\n", args...) }

// parts by name; all of them run where none is named.
var parts = map[string]func(*bench, context.Context) error{
	"decide":   (*bench).decide,
	"agent":    (*bench).agent,
	"mixed":    (*bench).mixed,
	"fleet":    (*bench).fleet,
	"handover": (*bench).handover,
	"large":    (*bench).large,
}

// order in which they run.
var order = []string{"decide", "agent", "mixed", "fleet", "handover", "large"}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("perf", flag.ContinueOnError)
	only := flags.String("only", "", "parts to run, separated by commas: "+strings.Join(order, ", ")+" (default: all)")
	path := flags.String("report", "bin/bench/report.json", "where the figures go")
	bin := flags.String("bin", "bin", "folder with operator, miner-agent and asic-sim; the control plane is in its folder k8s")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := order
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	for _, name := range names {
		if parts[name] == nil {
			return fmt.Errorf("-only: no part %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
		}
	}
	logf.SetLogger(logr.Discard()) // the API server's starter would complain that nobody listens
	b := &bench{out: out, bin: *bin}
	before := stats.Processors()
	for _, name := range names {
		b.say("%s", name)
		if err := parts[name](b, ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	b.report.Machine = report.Machine{
		Date: stats.Now().UTC().Format("2006-01-02"), Go: runtime.Version(), Model: stats.ProcessorModel(), CPUs: runtime.NumCPU(),
		StealPercent: stats.Processors().StealSince(before),
	}
	b.say("%d x %s, %.0f %% of the processor time stolen meanwhile", b.report.Machine.CPUs, b.report.Machine.Model, b.report.Machine.StealPercent)
	if err := b.report.Write(*path); err != nil {
		return err
	}
	return b.report.Table(out)
}
