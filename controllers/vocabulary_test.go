package controllers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vocabulary is what the code can say: the conditions with their reasons, and the events.
type vocabulary struct {
	conditions map[string][]string // reasons by the name of the constant of their condition
	values     map[string]string   // of constants
	events     map[string]bool     // reasons that events can have
}

// untold are reasons of which no event tells, though others of their condition are told.
var untold = map[string]string{
	"Reserved": "PowerReserved tells of it, with the watts",
	"NoPods":   "nobody waits",
	"Ungated":  "nobody waits",
}

// also are reasons that a condition shares with another.
var also = map[string][]string{"ConditionActive": {"TimePassed"}, "ConditionPowerReserved": {"BudgetNotFound", "Stalled"}}

func parsed(t *testing.T, pattern string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	var out []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// constants calls f for every constant that is a string, in order; block numbers its const block.
func constants(files []*ast.File, f func(block int, name, value string)) {
	block := 0
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
				block++
			}
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, _ := strconv.Unquote(lit.Value)
				f(block, spec.Names[0].Name, value)
			}
			return true
		})
	}
}

func read(t *testing.T) vocabulary {
	t.Helper()
	v := vocabulary{conditions: map[string][]string{}, values: map[string]string{}, events: map[string]bool{}}
	condition := ""
	constants(parsed(t, "../api/v1alpha1/conditions.go"), func(_ int, name, value string) {
		v.values[name] = value
		switch {
		case strings.HasPrefix(name, "Condition"):
			condition = name
		case strings.HasPrefix(name, "Reason"):
			v.conditions[condition] = append(v.conditions[condition], value)
		}
	})
	for name, reasons := range also {
		v.conditions[name] = append(v.conditions[name], reasons...)
	}
	files := parsed(t, "*.go")
	constants(files, func(_ int, name, value string) {
		if strings.HasPrefix(name, "event") {
			v.values[name], v.events[value] = value, true
		}
	})
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				v.heard(t, call)
			}
			return true
		})
	}
	return v
}

// heard takes in what one call may announce. The reason of an event is a constant of events.go or that of a
// condition, so that none is missed here.
func (v *vocabulary) heard(t *testing.T, call *ast.CallExpr) {
	t.Helper()
	switch name := called(call); name {
	case "tellChange":
		v.announce(t, selected(call.Args[4]))
	case "tellStalled":
		v.announce(t, "ConditionStalled")
	case "tellWorkload":
		v.announce(t, "ConditionPowerReserved")
	case "event", "Eventf":
		reason := call.Args[3]
		if id, ok := reason.(*ast.Ident); ok && (strings.HasPrefix(id.Name, "event") || id.Name == "reason") {
			return
		}
		if inner, ok := reason.(*ast.CallExpr); ok && called(inner) == "string" {
			reason = inner.Args[0]
		}
		if s, ok := reason.(*ast.SelectorExpr); !ok || s.Sel.Name != "Reason" && s.Sel.Name != "event" {
			t.Errorf("an event's reason is %T %v: name it in events.go, or take it from a condition", reason, reason)
		}
	}
}

func (v *vocabulary) announce(t *testing.T, condition string) {
	t.Helper()
	if len(v.conditions[condition]) == 0 {
		t.Errorf("no reasons of condition %q", condition)
	}
	for _, reason := range v.conditions[condition] {
		if untold[reason] == "" {
			v.events[reason] = true
		}
	}
}

func called(call *ast.CallExpr) string {
	if id, ok := call.Fun.(*ast.Ident); ok {
		return id.Name
	}
	return selected(call.Fun)
}

func selected(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

// page is the text of a page, and the first cell of every row of its tables whose first column has this name.
func page(t *testing.T, path, column string) (text string, first []string, rows [][]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	within := false
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			within = false
		case cells[0] == column:
			within = true
		case within && !strings.HasPrefix(cells[0], "---"):
			first, rows = append(first, strings.Trim(cells[0], "`")), append(rows, cells)
		}
	}
	return string(data), first, rows
}

func TestEveryEventIsExplained(t *testing.T) {
	v := read(t)
	_, got, rows := page(t, "../docs/events.md", "reason")
	want := slices.Sorted(maps.Keys(v.events))
	if diff := cmp.Diff(want, slices.Compact(slices.Sorted(slices.Values(got)))); diff != "" {
		t.Errorf("docs/events.md explains other events than the code sends (-code +page):\n%s", diff)
	}
	for _, row := range rows {
		if len(row) != 4 || row[1] != "Normal" && row[1] != "Warning" || row[2] == "" || row[3] == "" {
			t.Errorf("%v: want a reason, Normal or Warning, when, and what to do", row)
		}
	}
}

// Words of troubleshooting.md that are no reasons of conditions.
var others = map[string]bool{"Spec": true, "Curtailment": true, "ParentLimit": true}

func TestEveryConditionIsExplained(t *testing.T) {
	v := read(t)
	text, first, _ := page(t, "../docs/troubleshooting.md", "reason")
	known := map[string]bool{}
	for name, value := range v.values {
		if strings.HasPrefix(name, "event") {
			continue
		}
		known[value] = true
		if !strings.Contains(text, "`"+value+"`") {
			t.Errorf("docs/troubleshooting.md does not explain %s", value)
		}
	}
	for _, reason := range first {
		if !known[reason] {
			t.Errorf("docs/troubleshooting.md explains %s, which no condition has", reason)
		}
	}
	for _, list := range regexp.MustCompile("(?s)`Stalled`: `.*?\n\n").FindAllString(text, -1) {
		for _, word := range regexp.MustCompile("`([A-Z][A-Za-z]+)`").FindAllStringSubmatch(list, -1) {
			if !known[word[1]] && !others[word[1]] {
				t.Errorf("docs/troubleshooting.md names %s, which no condition has", word[1])
			}
		}
	}
}
