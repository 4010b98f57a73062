package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/counterweight-dev/counterweight/internal/minerctl"
)

const (
	// connections is what a laptop and a small switch take without noticing.
	connections = 256
	// patience is time for one lost packet: its second try comes after a second.
	patience = 1500 * time.Millisecond
)

func scanCommand() *cobra.Command {
	var f machineFlags
	s := &minerctl.Scan{}
	c := &cobra.Command{
		Use:   "scan RANGE...",
		Short: "Find the machines of address ranges; it never writes",
		Long: "Looks for machines at 10.20.0.0/24 (a /16 at most), 10.20.0.5-10.20.0.90 or 10.20.0.5, and reads each once. An\n" +
			"address where nothing answers costs --timeout. Ctrl-C ends it and prints what was found. With -o json each\n" +
			"address that answers is a line of JSON, as soon as it is known; error says why there is no reading." + exits,
		Example: "  miner-agent scan 10.20.0.0/22\n" +
			"  miner-agent scan 10.20.0.0/16 --connections 2048 -o json > machines.jsonl",
		Args: arguments(1, math.MaxInt, "one RANGE or more"),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := f.tool(c, "wide", "json")
			if err != nil {
				return err
			}
			s.Tool = t
			return scan(c, s, args, f.output == "json")
		},
	}
	f.register(c, "wide or json (lines of JSON)")
	c.Flags().IntVar(&s.Connections, "connections", connections, "how many may be open at once")
	c.Flags().DurationVar(&s.Patience, "timeout", patience, "how long a connection may take to come about")
	return c
}

func scan(c *cobra.Command, s *minerctl.Scan, ranges []string, lines bool) error {
	addrs, err := minerctl.ParseRanges(ranges)
	if err != nil {
		return &usageError{problem: err.Error()}
	}
	if s.Connections < minerctl.LeastConnections || s.Connections > minerctl.MostConnections {
		return &usageError{
			flag: "connections", problem: fmt.Sprintf("%d is out of bounds", s.Connections),
			fix: fmt.Sprintf("give %d to %d", minerctl.LeastConnections, minerctl.MostConnections),
		}
	}
	if s.Patience <= 0 {
		return &usageError{flag: "timeout", problem: "no time at all", fix: "give for example 1500ms"}
	}
	bar := minerctl.NewBar(terminal(c.ErrOrStderr()), s.Clock, len(addrs))
	var rows []minerctl.Row
	encoder := json.NewEncoder(c.OutOrStdout())
	encoder.SetEscapeHTML(false)
	s.Found = func(r minerctl.Row) {
		bar.Found()
		if !lines {
			rows = append(rows, r)
			return
		}
		bar.Clear()
		err = errors.Join(err, encoder.Encode(r))
	}
	s.Done = bar.Done
	ended := s.Run(c.Context(), addrs)
	bar.Clear()
	if !lines {
		err = minerctl.PrintRows(c.OutOrStdout(), rows)
	}
	fmt.Fprintln(c.ErrOrStderr(), bar.Summary())
	if errors.Is(ended, context.Canceled) {
		ended = errors.New("scan: interrupted; what was found is printed, the rest is not known")
	}
	return errors.Join(err, ended)
}
