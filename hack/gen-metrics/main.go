// Command gen-metrics writes what follows from the metrics and the alerts: the tables of docs/metrics.md from the
// definitions that the collectors are made from, and config/prometheus/rules.yaml from the rules that the Helm
// chart brings. Run it in the root of the repository.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/agent"
	"github.com/counterweight-dev/counterweight/internal/metric"
)

const (
	page  = "docs/metrics.md"
	rules = "charts/counterweight/files/rules/counterweight.yaml"
	rule  = "config/prometheus/rules.yaml"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen-metrics:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	for name, definitions := range tables() {
		if text, err = fill(text, name, markdown(definitions)); err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
	}
	alerts, err := os.ReadFile(rules)
	if err != nil {
		return fmt.Errorf("reading the alerts: %w", err)
	}
	return errors.Join(write(page, text), write(rule, prometheusRule(alerts)))
}

// tables is every metric there is, by the part of the page it is shown in.
func tables() map[string][]metric.Definition {
	return map[string][]metric.Definition{"operator": controllers.MetricDefinitions(), "agent": agent.MetricDefinitions()}
}

// fill replaces what stands between a part's two marks.
func fill(text []byte, name, table string) ([]byte, error) {
	begin, end := "<!-- "+name+": written by make generate -->\n", "<!-- end of "+name+" -->"
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		return nil, fmt.Errorf("the marks of the table %q are missing", name)
	}
	return bytes.Join([][]byte{before, []byte(begin + table + end), after}, nil), nil
}

func markdown(definitions []metric.Definition) string {
	var out strings.Builder
	out.WriteString("\n| metric | kind | labels | says |\n|---|---|---|---|\n")
	for _, d := range definitions {
		labels := "`" + strings.Join(d.Labels, "`, `") + "`"
		if len(d.Labels) == 0 {
			labels = ""
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, labels, strings.ReplaceAll(d.Help, "|", `\|`))
	}
	out.WriteString("\n")
	return out.String()
}

// prometheusRule wraps the rules for the Prometheus operator.
func prometheusRule(groups []byte) []byte {
	var out bytes.Buffer
	out.WriteString(`# Written by make generate from ` + rules + `.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: counterweight
  namespace: counterweight-system
  labels: {app.kubernetes.io/name: counterweight}
spec:
`)
	for line := range strings.Lines(string(groups)) {
		if strings.TrimSpace(line) != "" {
			line = "  " + line
		}
		out.WriteString(line)
	}
	return out.Bytes()
}

func write(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // the paths are ours, and the files for all to read
		return fmt.Errorf("writing a generated file: %w", err)
	}
	return nil
}
