// Command gen-api writes docs/api.md, the reference of the four kinds, from the CRDs that are made from api/. What the
// API server refuses is thus what the page says. Run it in the root of the repository.
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	page = "docs/api.md"
	crds = "config/crd/bases/*.yaml"
)

// schema is the part of a structural schema that the page shows.
type schema struct {
	Type                 string
	Format               string
	Description          string
	Default              any
	Enum                 []any
	Pattern              string
	Minimum, Maximum     *float64
	MinLength, MaxLength *int64
	MinItems, MaxItems   *int64
	Required             []string
	Properties           map[string]*schema
	Items                *schema
	AdditionalProperties *schema
	IntOrString          bool   `json:"x-kubernetes-int-or-string"`
	Rules                []rule `json:"x-kubernetes-validations"`
}

type rule struct{ Rule, Message string }

type definition struct {
	Spec struct {
		Scope string
		Names struct {
			Kind       string
			Plural     string
			ShortNames []string
		}
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPI schema `json:"openAPIV3Schema"`
			}
		}
	}
}

func main() {
	text, err := reference(".")
	if err == nil {
		err = os.WriteFile(page, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen-api:", err)
		os.Exit(1)
	}
}

func reference(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, crds))
	if err != nil || len(files) == 0 {
		return "", errors.Join(errors.New("there are no CRDs in "+crds), err)
	}
	var out strings.Builder
	out.WriteString(head)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("reading a CRD: %w", err)
		}
		var d definition
		if err := yaml.Unmarshal(data, &d); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		d.write(&out)
	}
	return out.String(), nil
}

const head = `# API reference

<!-- Written by make generate from the types in api/. -->

Group ` + "`power.counterweight.dev`" + `. Watts (fields that end in ` + "`Watts`" + `) are whole numbers with an optional k, M, G or T, such as
` + "`20M`" + ` or ` + "`10200`" + `; fields that end in ` + "`Seconds`" + ` are whole seconds, in ` + "`Percent`" + ` whole percents. What a field is if it is left out stands in its
text. The sentences under *refused unless* are what the API server answers. The same in a terminal: ` + "`kubectl explain`" + `.
`

func (d definition) write(out *strings.Builder) {
	n := d.Spec.Names
	for _, v := range d.Spec.Versions {
		s := v.Schema.OpenAPI
		fmt.Fprintf(out, "\n## %s\n\n`%s`, %s, `kubectl get %s`", n.Kind, v.Name, strings.ToLower(d.Spec.Scope), n.Plural)
		for _, short := range n.ShortNames {
			fmt.Fprintf(out, " or `%s`", short)
		}
		fmt.Fprintf(out, ". %s\n", line(s.Description))
		refused(out, "", &s)
		for _, part := range []string{"spec", "status"} {
			fmt.Fprintf(out, "\n### %s %s\n\n| field | type | what it is |\n|---|---|---|\n", n.Kind, part)
			rows(out, part, s.Properties[part])
			refused(out, part, s.Properties[part])
		}
	}
}

// rows is a line for each field, those within it below it. Conditions are the same everywhere.
func rows(out *strings.Builder, path string, s *schema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field, at := s.Properties[name], path+"."+name
		required := ""
		if slices.Contains(s.Required, name) {
			required = "**Required.** "
		}
		fmt.Fprintf(out, "| `%s` | %s | %s%s |\n", at, field.kind(), required, line(field.Description))
		if name == "conditions" {
			continue
		}
		rows(out, at, field)
		if field.Items != nil {
			rows(out, at+"[]", field.Items)
		}
	}
}

// refused lists the rules of a schema and of what is in it, by the sentence that the API server answers.
func refused(out *strings.Builder, path string, s *schema) {
	var found []string
	collect(&found, path, s, path == "")
	if len(found) > 0 {
		out.WriteString("\nRefused unless:\n\n" + strings.Join(found, ""))
	}
}

func collect(found *[]string, path string, s *schema, alone bool) {
	if s == nil {
		return
	}
	for _, r := range s.Rules {
		at := "the object"
		if path != "" {
			at = "`" + path + "`"
		}
		*found = append(*found, fmt.Sprintf("- %s: %s\n", at, strings.Join(strings.Fields(r.Message), " ")))
	}
	if alone {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		collect(found, path+"."+name, s.Properties[name], false)
	}
	collect(found, path+"[]", s.Items, false)
}

// kind is the type with its bounds.
func (s *schema) kind() string {
	parts := []string{s.Type}
	switch {
	case s.IntOrString:
		parts[0] = "quantity"
	case s.Type == "array" && s.Items != nil:
		parts[0] = "list of " + s.Items.Type
	case s.AdditionalProperties != nil:
		parts[0] = "map of " + s.AdditionalProperties.Type
	case s.Format == "date-time":
		parts[0] = "time"
	}
	for i, v := range s.Enum {
		if i == 0 {
			parts = append(parts, "one of")
		}
		parts = append(parts, fmt.Sprintf("`%v`", v))
	}
	parts = append(parts, bounds("", s.Minimum, s.Maximum)...)
	if !s.IntOrString {
		parts = append(parts, bounds(" characters", s.MinLength, s.MaxLength)...)
	}
	parts = append(parts, bounds(" items", s.MinItems, s.MaxItems)...)
	if s.Default != nil {
		parts = append(parts, fmt.Sprintf("default `%v`", s.Default))
	}
	return strings.Join(parts, " ")
}

func bounds[N int64 | float64](unit string, least, most *N) []string {
	switch {
	case least != nil && most != nil:
		return []string{fmt.Sprintf("%d to %d%s", int64(*least), int64(*most), unit)}
	case least != nil:
		return []string{fmt.Sprintf("at least %d%s", int64(*least), unit)}
	case most != nil:
		return []string{fmt.Sprintf("at most %d%s", int64(*most), unit)}
	}
	return nil
}

// line makes a description fit into a cell of a table.
func line(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
