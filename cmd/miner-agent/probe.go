package main

import (
	"github.com/spf13/cobra"

	"github.com/counterweight-dev/counterweight/internal/minerctl"
)

func probeCommand() *cobra.Command {
	var f machineFlags
	c := &cobra.Command{
		Use:   "probe ADDRESS",
		Short: "Say what one machine is, does and can be told; it never writes",
		Long: "Asks one machine everything its driver reads. What the machine does not say is absent, never 0. target is what\n" +
			"was commanded, effective target what the machine follows now.\n\n" +
			"Without --credentials the firmwares' default logins are tried, on the firmware that seems to answer." + exits,
		Example: "  miner-agent probe 10.20.0.17\n" +
			"  miner-agent probe 10.20.0.17 --credentials asics.yaml -o json",
		Args: arguments(1, 1, "one ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			addr, err := minerctl.ParseAddress(args[0])
			if err != nil {
				return &usageError{problem: err.Error()}
			}
			t, err := f.tool(c, "wide", "json", "yaml")
			if err != nil {
				return err
			}
			document, err := t.Probe(c.Context(), addr)
			if err != nil {
				return err
			}
			return write(c.OutOrStdout(), f.output, document)
		},
	}
	f.register(c, "wide, json or yaml")
	f.expected(c)
	return c
}
