// Command miner-agent is the mining pod: it minds the ASICs of its part of a pool, keeps what they draw
// under the lease the operator grants, and reports. It is also the tool of a person beside the machines, who may
// probe, scan and set them: docs/miner-agent.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(execute())
}

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := rootCommand().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "miner-agent:", err)
	}
	return code(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "miner-agent",
		Short:         "Minds the mining machines of one pod under a lease of watts; probe, scan and set them by hand",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{problem: fmt.Sprintf("%q is no command", args[0]), fix: "see --help"}
			}
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &usageError{problem: err.Error(), fix: "see --help"}
	})
	root.AddCommand(runCommand(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, nil))),
		probeCommand(), scanCommand(), setCommand())
	return root
}

// code is 2 for what the caller has to mend, and 1 for what did not happen.
func code(err error) int {
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return 2
	case err != nil:
		return 1
	}
	return 0
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
