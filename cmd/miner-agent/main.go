// Command miner-agent is the mining pod: it minds the ASICs of its part of a pool, keeps what they draw
// under the lease the operator grants, and reports.
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
	root := &cobra.Command{
		Use:           "miner-agent",
		Short:         "Minds the mining machines of one pod under a lease of watts",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, nil))))
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "miner-agent:", err)
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "miner-agent:", err)
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
