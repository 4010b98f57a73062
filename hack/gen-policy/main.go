// Command gen-policy writes the admission policies from the list of accelerator resources: to config/policy
// as plain manifests and to the Helm chart as templates. It also copies what the chart shares with config:
// the list, the CRDs and the roles. Run it in the root of the repository after a change in internal/gate,
// config/crd, config/rbac or config/mining. With --table it prints the plain manifests for a site's own table instead and
// writes nothing.
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

// shared is what the chart takes over as it is, from a pattern to a folder.
var shared = map[string]string{
	"config/crd/bases/*.yaml":  "charts/counterweight/files/crds",
	"config/rbac/*_role*.yaml": "charts/counterweight/files/rbac",
	"config/mining/role.yaml":  "charts/counterweight/files/mining",
}

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
	for pattern, folder := range shared {
		if err := copyInto(files, pattern, folder); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		if err := os.WriteFile(path, files[path], 0o644); err != nil {
			return fmt.Errorf("writing a generated file: %w", err)
		}
	}
	return nil
}

// copyInto adds copies of the files of a pattern, and removes copies of files that are gone.
func copyInto(files map[string][]byte, pattern, folder string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("nothing matches %s; is this the root of the repository?", pattern)
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing old copies: %w", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("copying into the chart: %w", err)
		}
		files[filepath.Join(folder, filepath.Base(path))] = data
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
