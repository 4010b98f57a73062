// Command rehearse plays a scenario on a real control plane with simulated hardware, and judges it by
// true watts. It ends with 0 where the judgement holds, 1 where it does not, and 2 where the scenario
// could not be played: docs/rehearsal.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/play"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// errJudged: the scenario was played, and what must hold did not.
var errJudged = errors.New("the judgement does not hold")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(os.Stdout).ExecuteContext(ctx)
	stop()
	os.Exit(code(err))
}

// code tells a judgement that failed from a scenario that could not be played.
func code(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errJudged):
		return 1
	case errors.Is(err, play.ErrInterrupted):
		fmt.Fprintln(os.Stderr, "rehearse: interrupted")
		return 1
	}
	fmt.Fprintf(os.Stderr, "rehearse: %v\n", err)
	return 2
}

func command(out io.Writer) *cobra.Command {
	opts := play.Options{Out: out}
	var verbose bool
	root := &cobra.Command{
		Use:   "rehearse SCENARIO.yaml",
		Short: "Play a scenario on a real control plane with simulated hardware, judged by true watts",
		Args:  cobra.ExactArgs(1), SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Log = logger(verbose)
			return run(cmd.Context(), opts, args[0])
		},
	}
	flags := root.Flags()
	flags.StringVar(&opts.ReportDir, "report-dir", "", "write report.json, power.svg and power.png into this folder")
	flags.BoolVar(&opts.Keep, "keep", false, "leave everything running at the end, until Ctrl-C, and tell how to look around")
	flags.StringVar(&opts.WorkDir, "work-dir", "", "keep logs and data in this folder (default: a temporary one, removed where the judgement holds)")
	folders(flags, &opts)
	flags.BoolVarP(&verbose, "verbose", "v", false, "tell what goes wrong behind the scenes")
	root.AddCommand(validate(out), each(out), measure(out))
	return root
}

// folders are flags for where the programs and manifests are.
func folders(flags *pflag.FlagSet, opts *play.Options) {
	flags.StringVar(&opts.BinDir, "bin-dir", "", "where operator, miner-agent, asic-sim and k8s/ are (default: where this program is)")
	flags.StringVar(&opts.ConfigDir, "config-dir", "", "where crd/, rbac/ and policy/ are (default: config beside the folder of this program)")
}

func run(ctx context.Context, opts play.Options, path string) error {
	s, err := scenario.Load(path)
	if err != nil {
		return err
	}
	if err := findFolders(&opts); err != nil {
		return err
	}
	report, err := play.Play(ctx, opts, s)
	if err != nil {
		return err
	}
	if !report.OK {
		return errJudged
	}
	return nil
}

// findFolders fills what the flags leave out from where this program is.
func findFolders(opts *play.Options) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	opts.Self = self
	if opts.BinDir == "" {
		opts.BinDir = filepath.Dir(self)
	}
	if opts.ConfigDir == "" {
		opts.ConfigDir = filepath.Join(opts.BinDir, "..", "config")
	}
	for _, dir := range []*string{&opts.BinDir, &opts.ConfigDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return fmt.Errorf("finding a folder: %w", err)
		}
	}
	return nil
}

func validate(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "validate SCENARIO.yaml...", Short: "Check scenario files and play nothing",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, path := range args {
				s, err := scenario.Load(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%s: %s is a scenario of %d steps\n", path, s.Name, len(s.Timeline))
			}
			return nil
		},
	}
}

// measure is the meter's own process.
func measure(out io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "meter", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("--config: %w", err)
			}
			var cfg meter.Config
			if err := json.Unmarshal(data, &cfg); err != nil {
				return fmt.Errorf("--config %s: %w", path, err)
			}
			return meter.Run(cmd.Context(), cfg, out, logger(true))
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the meter's configuration")
	return cmd
}

// logger writes to stderr, and nothing unless asked: a rehearsal's own lines are what people read.
func logger(verbose bool) logr.Logger {
	if !verbose {
		klog.SetLogger(logr.Discard())
		return logr.Discard()
	}
	log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	klog.SetLogger(log)
	return log
}
