// Command gen-policy writes the admission policies from the list of accelerator resources: to config/policy
// as plain manifests and to the Helm chart as templates, with a copy of the list. Run it in the root of the
// repository after a change in internal/gate. With --table it prints the plain manifests for a site's own
// table instead and writes nothing.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

func main() {
	table := flag.String("table", "", "print the policies for this accelerator table instead of writing the built-in ones")
	flag.Parse()
	if err := run(*table, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gen-policy:", err)
		os.Exit(1)
	}
}

func run(table string, out io.Writer) error {
	if table != "" {
		return show(table, out)
	}
	files, err := gate.Generated()
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the folder of a policy: %w", err)
		}
		if err := os.WriteFile(path, files[path], 0o644); err != nil {
			return fmt.Errorf("writing a policy: %w", err)
		}
	}
	return nil
}

func show(path string, out io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the accelerator table: %w", err)
	}
	defer f.Close()
	table, err := gate.LoadTable(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	policies, err := gate.Policies(table)
	if err != nil {
		return err
	}
	var docs [][]byte
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		docs = append(docs, policies[name])
	}
	_, err = out.Write(bytes.Join(docs, []byte("---\n")))
	return err
}
