package gate

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Bounds of a table. maxRows keeps the policies made from it far below the API server's cost limit for
// expressions: over it, the API server refuses the pods it should gate.
const (
	maxRows       = 50
	maxUnitWatts  = 1_000_000
	maxSource     = 256
	maxTableBytes = 1 << 20
)

//go:embed accelerators.yaml
var builtin []byte

// Table is the list of accelerator resources: what waits at the gate, and what one unit of it can draw in
// watts. It does not change after it was made and is safe for concurrent use.
type Table struct {
	deviceWatts int64
	claimWatts  int64
	exact       map[corev1.ResourceName]row
	prefixes    []row // longest first
}

// row is one accelerator resource, by its exact Name or by the Prefix of names.
type row struct {
	Name   string `json:"name,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// Watts is the most one unit can draw; nil where nobody knows.
	Watts *int64 `json:"watts,omitempty"`
	// Source says where the watts come from, for people.
	Source string `json:"source,omitempty"`
}

// tableFile is a table as it is written.
type tableFile struct {
	DeviceWatts  *int64 `json:"deviceWatts"`
	ClaimWatts   *int64 `json:"claimWatts"`
	Accelerators []row  `json:"accelerators"`
}

// Builtin returns the table that Counterweight comes with.
var Builtin = sync.OnceValue(func() *Table {
	t, err := LoadTable(bytes.NewReader(builtin))
	if err != nil {
		panic(fmt.Sprintf("built-in accelerator table: %v", err))
	}
	return t
})

// LoadTable reads a table in the form of accelerators.yaml. It takes the place of the built-in one as a
// whole, and the policies have to be made from the same file. An error names the field that is wrong.
func LoadTable(r io.Reader) (*Table, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxTableBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the accelerator table: %w", err)
	}
	if len(data) > maxTableBytes {
		return nil, fmt.Errorf("accelerator table: larger than %d bytes", maxTableBytes)
	}
	var f tableFile
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("accelerator table: %w", err)
	}
	unknown, err := json.UnmarshalStrict(text, &f)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, fmt.Errorf("accelerator table: %w", err)
	}
	if errs := f.validate(); len(errs) > 0 {
		return nil, fmt.Errorf("accelerator table: %w", errors.Join(errs.ToAggregate().Errors()...))
	}
	return f.table(), nil
}

func (f tableFile) table() *Table {
	t := &Table{deviceWatts: *f.DeviceWatts, claimWatts: *f.ClaimWatts, exact: map[corev1.ResourceName]row{}}
	for _, r := range f.Accelerators {
		if r.Name != "" {
			t.exact[corev1.ResourceName(r.Name)] = r
		} else {
			t.prefixes = append(t.prefixes, r)
		}
	}
	slices.SortFunc(t.prefixes, func(a, b row) int {
		if d := len(b.Prefix) - len(a.Prefix); d != 0 {
			return d
		}
		return strings.Compare(a.Prefix, b.Prefix)
	})
	return t
}

// find returns the row that counts for a resource.
func (t *Table) find(name corev1.ResourceName) (row, bool) {
	if r, ok := t.exact[name]; ok {
		return r, true
	}
	for _, r := range t.prefixes {
		if strings.HasPrefix(string(name), r.Prefix) {
			return r, true
		}
	}
	return row{}, false
}

// Covers reports whether a pod that asks for the resource waits at the gate. A DeviceClass whose
// spec.extendedResourceName is not covered is a way round it.
func (t *Table) Covers(name corev1.ResourceName) bool {
	_, ok := t.find(name)
	return ok
}

func (f tableFile) validate() field.ErrorList {
	errs := wattsField(field.NewPath("deviceWatts"), f.DeviceWatts, 1)
	errs = append(errs, wattsField(field.NewPath("claimWatts"), f.ClaimWatts, 1)...)
	path := field.NewPath("accelerators")
	if len(f.Accelerators) == 0 {
		errs = append(errs, field.Required(path, "an empty list would gate nothing"))
	}
	if len(f.Accelerators) > maxRows {
		errs = append(errs, field.TooMany(path, len(f.Accelerators), maxRows))
	}
	seen := map[string]bool{}
	for i, r := range f.Accelerators {
		errs = append(errs, r.validate(path.Index(i), seen)...)
	}
	return errs
}

func wattsField(path *field.Path, watts *int64, least int64) field.ErrorList {
	if watts == nil {
		return field.ErrorList{field.Required(path, "watts")}
	}
	if *watts < least || *watts > maxUnitWatts {
		return field.ErrorList{field.Invalid(path, *watts, fmt.Sprintf("must be %d to %d watts", least, maxUnitWatts))}
	}
	return nil
}

func (r row) validate(path *field.Path, seen map[string]bool) field.ErrorList {
	var errs field.ErrorList
	switch {
	case (r.Name == "") == (r.Prefix == ""):
		return field.ErrorList{field.Invalid(path, r.Name+r.Prefix, "needs either name or prefix")}
	case r.Name != "":
		errs = resourceName(path.Child("name"), r.Name, r.Name)
	default:
		// The x stands for the rest of a name, so that a prefix may end in '/', '-' or '_'.
		errs = resourceName(path.Child("prefix"), r.Prefix, r.Prefix+"x")
	}
	if key := r.Name + "\n" + r.Prefix; seen[key] {
		errs = append(errs, field.Duplicate(path, r.Name+r.Prefix))
	} else {
		seen[key] = true
	}
	if r.Watts != nil {
		errs = append(errs, wattsField(path.Child("watts"), r.Watts, 0)...)
	}
	if len(r.Source) > maxSource {
		errs = append(errs, field.TooLong(path.Child("source"), r.Source, maxSource))
	}
	return errs
}

// resourceName refuses what is not an extended resource. It also keeps quotes out of the expressions that
// names are written into.
func resourceName(path *field.Path, value, full string) field.ErrorList {
	if !strings.Contains(value, "/") {
		return field.ErrorList{field.Invalid(path, value, "must be DOMAIN/NAME: only extended resources are accelerators")}
	}
	var errs field.ErrorList
	for _, msg := range validation.IsQualifiedName(full) {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}
