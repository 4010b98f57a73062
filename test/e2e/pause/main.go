// Command pause stands for what containers do on the node of the end-to-end tests: it waits until it is told to end
// or, with a duration, until that is over.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		d, err := time.ParseDuration(os.Args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, "pause:", err)
			os.Exit(2) //nolint:gocritic // nothing is left to stop
		}
		ctx, stop = context.WithTimeout(ctx, d)
		defer stop()
	}
	<-ctx.Done()
}
