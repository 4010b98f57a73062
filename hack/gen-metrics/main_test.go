package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/counterweight-dev/counterweight/internal/metric"
)

const (
	root      = "../../"
	dashboard = "charts/counterweight/files/dashboards/counterweight.json"
	runbooks  = "docs/runbooks"
)

func file(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// known is every metric by the names that queries know it by.
func known() map[string]metric.Definition {
	out := map[string]metric.Definition{}
	for _, definitions := range tables() {
		for _, d := range definitions {
			if d.Kind != metric.Histogram {
				out[d.Name] = d
				continue
			}
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				h := d
				h.Labels = append(slices.Clone(d.Labels), "le")
				out[d.Name+part] = h
			}
		}
	}
	// The time of a pass is controller-runtime's.
	out["controller_runtime_reconcile_time_seconds_bucket"] = metric.Definition{Labels: []string{"controller", "le"}}
	return out
}

var (
	metricName = regexp.MustCompile(`\b(?:counterweight|controller_runtime)_[a-z0-9_]+\b`)
	selector   = regexp.MustCompile(`\b((?:counterweight|controller_runtime)_[a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`\b(?:by|on|without|ignoring) \(([^)]*)\)`)
)

// checkQuery holds a query to the metrics there are and to their labels.
func checkQuery(t *testing.T, where, query string) {
	t.Helper()
	all := known()
	names := metricName.FindAllString(query, -1)
	if len(names) == 0 {
		t.Errorf("%s: %q asks for no metric", where, query)
	}
	labels := map[string]bool{}
	for _, name := range names {
		d, ok := all[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		for _, l := range d.Labels {
			labels[l] = true
		}
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(all[s[1]].Labels, m[1]) {
				t.Errorf("%s: %s has no label %s", where, s[1], m[1])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if l = strings.TrimSpace(l); !labels[l] {
				t.Errorf("%s: nothing in %q has a label %s", where, query, l)
			}
		}
	}
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	type panel struct {
		ID      int
		Type    string
		Title   string
		Targets []struct{ Expr string }
	}
	var board struct {
		UID        string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(file(t, dashboard)), &board); err != nil {
		t.Fatal(err)
	}
	seen, asked := map[int]bool{}, ""
	for _, p := range board.Panels {
		if seen[p.ID] {
			t.Errorf("two panels have the number %d", p.ID)
		}
		seen[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkQuery(t, "panel "+p.Title, target.Expr)
			asked += target.Expr + "\n"
		}
	}
	for _, v := range board.Templating.List {
		if v.Type == "query" {
			checkQuery(t, "variable "+v.Name, v.Definition)
		}
		if v.Type == "query" && !strings.Contains(asked, "$"+v.Name) {
			t.Errorf("no panel heeds the variable %s", v.Name)
		}
	}
}

// alert is one rule.
type alert struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var all struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(file(t, rules)), &all); err != nil {
		t.Fatal(err)
	}
	var out []alert
	for _, g := range all.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

func TestEveryAlertHasItsRunbookAndItsTest(t *testing.T) {
	var tests struct {
		Tests []struct {
			Played []struct {
				Alert string           `json:"alertname"`
				Fires []map[string]any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(file(t, "test/alerts/counterweight.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, group := range tests.Tests {
		for _, play := range group.Played {
			fires[play.Alert] = fires[play.Alert] || len(play.Fires) > 0
			quiet[play.Alert] = quiet[play.Alert] || len(play.Fires) == 0
		}
	}
	pages := map[string]bool{}
	for _, a := range alerts(t) {
		checkQuery(t, a.Alert, a.Expr)
		pages[a.Alert+".md"] = true
		if !fires[a.Alert] || !quiet[a.Alert] {
			t.Errorf("%s: no test in which it fires (%t), or none in which it does not (%t)", a.Alert, fires[a.Alert], quiet[a.Alert])
		}
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", a.Alert, s)
		}
		if want := "/" + runbooks + "/" + a.Alert + ".md"; !strings.HasSuffix(a.Annotations["runbook_url"], want) {
			t.Errorf("%s: runbook_url is %q, want one that ends in %s", a.Alert, a.Annotations["runbook_url"], want)
		}
		book := file(t, runbooks+"/"+a.Alert+".md")
		for _, heading := range []string{"# " + a.Alert, "## What it means", "## What to look at", "## What to do", "## What not to do"} {
			if !strings.Contains("\n"+book, "\n"+heading+"\n") {
				t.Errorf("the runbook of %s has no %q", a.Alert, heading)
			}
		}
		for _, list := range []string{page, runbooks + "/README.md"} {
			if !regexp.MustCompile(`\[` + a.Alert + `\]\([a-z/]*` + a.Alert + `\.md\) \| ` + a.Labels["severity"]).MatchString(file(t, list)) {
				t.Errorf("%s does not list %s as %s", list, a.Alert, a.Labels["severity"])
			}
		}
	}
	have, err := filepath.Glob(root + runbooks + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range have {
		if name := filepath.Base(path); name != "README.md" && !pages[name] {
			t.Errorf("%s is for no alert of %v", path, slices.Sorted(maps.Keys(pages)))
		}
	}
}

// What the pages name is there, too.
func TestThePagesNameMetricsThatExist(t *testing.T) {
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	books, err := filepath.Glob(root + runbooks + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := known()
	for _, definitions := range tables() {
		for _, d := range definitions {
			all[d.Name] = d
		}
	}
	for _, path := range append(pages, books...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(data), -1) {
			if _, ok := all[name]; !ok && strings.HasPrefix(name, "counterweight_") {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
}

func TestGeneratedFilesFollow(t *testing.T) {
	text := []byte(file(t, page))
	for name, definitions := range tables() {
		filled, err := fill(text, name, markdown(definitions))
		if err != nil || string(filled) != string(text) {
			t.Errorf("the table %q of %s is not that of the code (%v): run make generate", name, page, err)
		}
	}
	if string(prometheusRule([]byte(file(t, rules)))) != file(t, rule) {
		t.Errorf("%s is not made from %s: run make generate", rule, rules)
	}
	if _, err := fill([]byte("a page without marks"), "operator", ""); err == nil {
		t.Error("a page without marks is filled")
	}
}
