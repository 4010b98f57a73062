package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/counterweight-dev/counterweight/internal/minerctl"
)

func setCommand() *cobra.Command {
	var f machineFlags
	var o minerctl.Order
	s := &minerctl.Set{}
	c := &cobra.Command{
		Use:   "set ADDRESS --watts N | --mode M | --sleep | --wake",
		Short: "Command one machine, and see whether it happens",
		Long: "Gives one order to one machine, waits at most the worst time its driver names (twice that where mining restarts\n" +
			"on the way), and reads it back: what was commanded, what the machine follows, and what it draws. A machine's own\n" +
			"yes counts for nothing. Where watts are estimated or unknown it says so, and what it judged by.\n\n" +
			"--watts is refused outside the machine's range, before anything is sent; a machine with modes takes the highest\n" +
			"at or under it. Firmwares with a login want its password in --credentials; their defaults are not tried.\n\n" +
			"Where a MinerPool with control: Manage holds the address, its agent may command the machine back." + exits,
		Example: "  miner-agent set 10.20.0.17 --sleep --credentials asics.yaml\n" +
			"  miner-agent set 10.20.0.17 --watts 2500 --expect 02:00:00:ab:cd:ef --credentials asics.yaml -o json",
		Args: arguments(1, 1, "one ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			addr, err := minerctl.ParseAddress(args[0])
			if err != nil {
				return &usageError{problem: err.Error()}
			}
			if err := checkOrder(c, o); err != nil {
				return err
			}
			if c.Flag("wait").Changed && s.Longest <= 0 {
				return &usageError{flag: "wait", problem: "no time at all", fix: "give for example 10m"}
			}
			if s.Tool, err = f.tool(c, "wide", "json", "yaml"); err != nil {
				return err
			}
			s.Progress = c.ErrOrStderr()
			result, err := s.Run(c.Context(), addr, o)
			if result != nil {
				if failed := write(c.OutOrStdout(), f.output, result); failed != nil {
					return failed
				}
			}
			return err
		},
	}
	f.register(c, "wide, json or yaml")
	f.expected(c)
	registerOrder(c, &o)
	c.Flags().DurationVar(&s.Longest, "wait", 0, "how long to wait for it at most (default: the driver's worst time)")
	return c
}

func registerOrder(c *cobra.Command, o *minerctl.Order) {
	c.Flags().Int64Var(&o.Watts, "watts", 0, "WATTS the machine should draw")
	c.Flags().StringVar(&o.Mode, "mode", "", "MODE of those that probe lists")
	c.Flags().BoolVar(&o.Sleep, "sleep", false, "stop mining")
	c.Flags().BoolVar(&o.Wake, "wake", false, "mine again, as before the sleep")
}

// checkOrder insists on one order that makes sense.
func checkOrder(c *cobra.Command, o minerctl.Order) error {
	given := 0
	for _, name := range []string{"watts", "mode", "sleep", "wake"} {
		flag := c.Flag(name)
		if !flag.Changed {
			continue
		}
		given++
		if flag.Value.String() == "false" || flag.Value.String() == "" {
			return &usageError{flag: name, problem: "nothing is asked for", fix: "leave it out, or give it a value"}
		}
	}
	switch {
	case given != 1:
		return &usageError{problem: fmt.Sprintf("%d of --watts, --mode, --sleep and --wake", given), fix: "give one of them"}
	case c.Flag("watts").Changed && o.Watts <= 0:
		return &usageError{flag: "watts", problem: fmt.Sprintf("%d W is no target", o.Watts), fix: "give watts above 0, or --sleep"}
	}
	return nil
}
