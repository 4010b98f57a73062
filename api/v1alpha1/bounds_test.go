package v1alpha1_test

import (
	"fmt"
	"os"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var scheme = runtime.NewScheme()

func readCRD(t *testing.T, file string) apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// boundsOf lists the constraints of a schema and of those within it.
func boundsOf(kind, field string, schema apiextensionsv1.JSONSchemaProps) []bound {
	if isForeign(field) {
		return rulesOf(kind, field, schema)
	}
	bounds := append(rulesOf(kind, field, schema), numbersOf(kind, field, schema)...)
	for _, name := range schema.Required {
		bounds = append(bounds, bound{kind, join(field, name), "Required value"})
	}
	for _, name := range sorted(schema.Properties) {
		bounds = append(bounds, boundsOf(kind, join(field, name), schema.Properties[name])...)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		bounds = append(bounds, boundsOf(kind, field+"[]", *schema.Items.Schema)...)
	}
	return bounds
}

func rulesOf(kind, field string, schema apiextensionsv1.JSONSchemaProps) []bound {
	var bounds []bound
	for _, rule := range schema.XValidations {
		bounds = append(bounds, bound{kind, field, rule.Message})
	}
	return bounds
}

// numbersOf lists the bounds that are no rules, in the words of the API server.
func numbersOf(kind, field string, schema apiextensionsv1.JSONSchemaProps) []bound {
	var bounds []bound
	add := func(format string, args ...any) {
		bounds = append(bounds, bound{kind, field, fmt.Sprintf(format, args...)})
	}
	addFloat := func(format string, limit *float64) {
		if limit != nil {
			add(format, int64(*limit))
		}
	}
	addInt := func(format string, limit *int64) {
		if limit != nil {
			add(format, *limit)
		}
	}
	addFloat("greater than or equal to %d", schema.Minimum)
	addFloat("less than or equal to %d", schema.Maximum)
	addInt("at least %d chars long", schema.MinLength)
	addInt("may not be more than %d bytes", schema.MaxLength)
	addInt("at least %d items", schema.MinItems)
	addInt("at most %d items", schema.MaxItems)
	addInt("at least %d properties", schema.MinProperties)
	addInt("at most %d items", schema.MaxProperties)
	if schema.Pattern != "" {
		add("should match '%s'", schema.Pattern)
	}
	if len(schema.Enum) > 0 {
		add("supported values: ")
	}
	if listType := schema.XListType; listType != nil && *listType != "atomic" {
		bounds = append(bounds, bound{kind, field + "[]", "Duplicate value"})
	}
	return bounds
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}
