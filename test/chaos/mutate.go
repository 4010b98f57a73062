package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Caught is what became of one mutant.
type Caught struct {
	Mutant
	// By is the check that caught it, Number the history; Number is -1 where none did.
	By     string
	Number int
}

var verdictLine = regexp.MustCompile(`(?m)^history ([0-9]+): ([A-Z0-9-]+) at `)

// HuntMutants builds each mutant with an overlay and plays histories with it until it is caught; out gets
// a table, a line for each as it ends. only, where not empty, is the name of the one to hunt.
func HuntMutants(ctx context.Context, out io.Writer, root, only string, seed uint64, histories int) ([]Caught, error) {
	work, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, fmt.Errorf("making a folder for mutants: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	fmt.Fprintln(out, TableHead)
	var all []Caught
	for _, m := range Mutants {
		if only != "" && m.Name != only {
			continue
		}
		c, err := hunt(ctx, root, work, m, seed, histories)
		if err != nil {
			return all, fmt.Errorf("mutant %s: %w", m.Name, err)
		}
		fmt.Fprintln(out, c.Row(seed))
		all = append(all, c)
	}
	return all, nil
}

// TableHead begins the table of mutants.
const TableHead = "| mutant | rule | in | caught by | seed | histories |\n|---|---|---|---|---|---|"

// Row is a mutant's line in the table.
func (c Caught) Row(seed uint64) string {
	by, needed := c.By, strconv.Itoa(c.Number+1)
	if c.Number < 0 {
		by, needed = "**nobody**", "-"
	}
	return fmt.Sprintf("| %s | %s | `%s` | %s | %d | %s |", c.Name, c.Rule, c.File, by, seed, needed)
}

func hunt(ctx context.Context, root, work string, m Mutant, seed uint64, histories int) (Caught, error) {
	c := Caught{Mutant: m, Number: -1}
	overlay, err := m.overlay(root, work)
	if err != nil {
		return c, err
	}
	binary := filepath.Join(work, m.Name)
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-ldflags=-s -w", "-o", binary, "./test/chaos/cmd")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return c, fmt.Errorf("does not compile: %w\n%s", err, text)
	}
	defer func() { _ = os.Remove(binary) }()
	play := exec.CommandContext(ctx, binary, "-seed", strconv.FormatUint(seed, 10), "-histories", strconv.Itoa(histories))
	text, err := play.CombinedOutput()
	found := verdictLine.FindSubmatch(text)
	if err != nil && found == nil {
		return c, fmt.Errorf("playing: %w\n%s", err, text)
	}
	if found != nil {
		c.By = string(found[2])
		c.Number, _ = strconv.Atoi(string(found[1]))
	}
	return c, nil
}

// overlay writes the mutant's file and says to the compiler where it is.
func (m Mutant) overlay(root, work string) (string, error) {
	path := filepath.Join(root, filepath.FromSlash(m.File))
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the file to change: %w", err)
	}
	if n := strings.Count(string(text), m.Old); n != 1 {
		return "", fmt.Errorf("the text to replace is in %s %d times", m.File, n)
	}
	changed := filepath.Join(work, m.Name+".go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), m.Old, m.New, 1)), 0o600); err != nil {
		return "", fmt.Errorf("writing the mutant: %w", err)
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	overlay := filepath.Join(work, m.Name+".json")
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	return overlay, nil
}
