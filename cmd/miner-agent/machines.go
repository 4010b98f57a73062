package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
	"github.com/counterweight-dev/counterweight/internal/minerctl"
)

// exits is the end of every help text of the tool.
const exits = "\n\nIt ends with 0 where it was done, 1 where it did not happen or the machine can't be reached, 2 where it\n" +
	"was called wrongly."

// machineFlags say how machines are reached, in every command of the tool.
type machineFlags struct {
	firmware, credentials, expect, output string
	ports                                 []string
}

func (f *machineFlags) register(c *cobra.Command, outputs string) {
	flags := c.Flags()
	flags.StringVar(&f.firmware, "firmware", "auto", "FIRMWARE of the machine, or auto: "+strings.Join(names(), ", "))
	flags.StringArrayVar(&f.ports, "port", nil,
		"FIRMWARE=PORT where a firmware has another port than its own; repeat it (WhatsMiner=PORT moves both its APIs, WhatsMinerV3=PORT the second)")
	flags.StringVar(&f.credentials, "credentials", "",
		"FILE, mode 0600, with the keys of a pool's Secret: username, password, FIRMWARE.username, FIRMWARE.password; or such a Secret, its folder, or - for stdin")
	flags.StringVarP(&f.output, "output", "o", "wide", outputs)
}

func (f *machineFlags) expected(c *cobra.Command) {
	c.Flags().StringVar(&f.expect, "expect", "", "MAC or serial number that the machine has to have")
}

func names() []string {
	var all []string
	for _, f := range firmwares.Supported() {
		all = append(all, string(f))
	}
	return all
}

// tool checks the flags and makes the tool of them. Credentials are read last, as stdin can be read but once.
func (f *machineFlags) tool(c *cobra.Command, outputs ...string) (*minerctl.Tool, error) {
	t := minerctl.New()
	t.Expect = f.expect
	var err error
	if t.Firmware, err = minerctl.ParseFirmware(f.firmware); err != nil {
		return nil, &usageError{flag: "firmware", problem: err.Error()}
	}
	if t.Ports, err = minerctl.ParsePorts(f.ports); err != nil {
		return nil, &usageError{flag: "port", problem: err.Error()}
	}
	if !slices.Contains(outputs, f.output) {
		return nil, &usageError{flag: "output", problem: fmt.Sprintf("%q is none", f.output), fix: "give " + strings.Join(outputs, ", ")}
	}
	logins, warn, err := minerctl.LoadLogins(f.credentials, c.InOrStdin())
	if err != nil {
		return nil, &usageError{flag: "credentials " + f.credentials, problem: err.Error()}
	}
	if warn != "" {
		fmt.Fprintln(c.ErrOrStderr(), "miner-agent: warning:", warn)
	}
	t.Logins = logins
	return t, nil
}

// arguments insists on some arguments, as a usageError.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return &usageError{problem: fmt.Sprintf("%d arguments", len(args)), fix: "give " + what + "; see --help"}
		}
		return nil
	}
}

// printed can be shown to a person.
type printed interface{ Print(w io.Writer) error }

func write(w io.Writer, output string, what printed) error {
	switch output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(what)
	case "yaml":
		data, err := yaml.Marshal(what)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	return what.Print(w)
}

// terminal is w where a person sees it, else nil.
func terminal(w io.Writer) io.Writer {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return w
	}
	return nil
}
