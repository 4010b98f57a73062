package gate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

const chart = "../../charts/counterweight"

// chartFiles is .Files of a chart.
type chartFiles struct{}

func (chartFiles) Get(path string) (string, error) {
	data, err := os.ReadFile(filepath.Join(chart, path))
	return string(data), err
}

// renderPolicies renders the chart's policies with the few functions of Helm that they use.
func renderPolicies(t *testing.T, namespace, accelerators string) []*unstructured.Unstructured {
	t.Helper()
	set := template.New("").Option("missingkey=zero")
	set.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out strings.Builder
			err := set.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"nindent": func(n int, s string) string {
			return "\n" + strings.Repeat(" ", n) + strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
		},
		"fromYaml": func(s string) (map[string]any, error) {
			m := map[string]any{}
			return m, yaml.Unmarshal([]byte(s), &m)
		},
		"toYaml": func(v any) (string, error) {
			data, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(data), "\n"), err
		},
		"list":      func() []string { return nil },
		"append":    func(list []string, item string) []string { return append(list, item) },
		"sortAlpha": func(list []string) []string { return slices.Sorted(slices.Values(list)) },
		"join":      func(by string, list []string) string { return strings.Join(list, by) },
		"quote":     func(s string) string { return fmt.Sprintf("%q", s) },
		"replace":   func(from, to, s string) string { return strings.ReplaceAll(s, from, to) },
	})
	if _, err := set.ParseGlob(chart + "/templates/_*.tpl"); err != nil {
		t.Fatal(err)
	}
	if _, err := set.ParseGlob(chart + "/templates/policies/*.yaml"); err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(accelerators), &values); err != nil {
		t.Fatal(err)
	}
	data := map[string]any{
		"Values":  map[string]any{"accelerators": values},
		"Files":   chartFiles{},
		"Release": map[string]any{"Namespace": namespace, "Name": "cw", "Service": "Helm"},
		"Chart":   map[string]any{"Name": "counterweight", "Version": "0.1.0", "AppVersion": "0.1.0"},
	}
	var text strings.Builder
	for _, name := range []string{"gate.yaml", "gate-present.yaml", "gate-kept.yaml", "enrolment.yaml", "priority.yaml"} {
		if err := set.ExecuteTemplate(&text, name, data); err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n")
	}
	return objects(t, text.String())
}

func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	list, err := decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		o.SetLabels(nil)
	}
	return list
}

// The chart makes the policies of the table that it gives to the operator.
func TestTheChartMakesTheSamePolicies(t *testing.T) {
	tests := map[string]struct{ namespace, table string }{
		"built-in":      {"counterweight-system", ""},
		"a site's own":  {"power", smallTable},
		"names only":    {"power", "deviceWatts: 1\nclaimWatts: 1\naccelerators: [{name: a.b/c}, {name: a.b/c-d}, {name: a.b/c.d}]"},
		"prefixes only": {"power", "deviceWatts: 1\nclaimWatts: 1\naccelerators: [{prefix: a.b/c-}, {prefix: a.b/}]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			table := gate.Builtin()
			if test.table != "" {
				table = load(t, test.table)
			}
			policies, err := gate.Policies(table)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, file := range []string{"gate.yaml", "gate-present.yaml", "gate-kept.yaml", "enrolment.yaml", "priority.yaml"} {
				text.Write(policies[file])
				text.WriteString("---\n")
			}
			plain := strings.ReplaceAll(text.String(), gate.Operator, "system:serviceaccount:"+test.namespace+":counterweight-operator")
			got := renderPolicies(t, test.namespace, test.table)
			if diff := cmp.Diff(spaceless(objects(t, plain)), spaceless(got)); diff != "" {
				t.Errorf("config/policy (-) and chart (+):\n%s", diff)
			}
		})
	}
}

// spaceless brings objects to text in which white space inside expressions does not count.
func spaceless(list []*unstructured.Unstructured) []string {
	var text []string
	for _, o := range list {
		data, err := o.MarshalJSON()
		if err != nil {
			panic(err)
		}
		text = append(text, strings.Join(strings.Fields(strings.ReplaceAll(string(data), `\n`, " ")), " "))
	}
	return text
}
