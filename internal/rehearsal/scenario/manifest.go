package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Manifests are objects of the API as YAML text, still with their placeholders. In a file each is a text
// with one or more YAML documents, the path of a file of such, or an object written out; one of them or a
// list of them.
type Manifests struct {
	items []manifest
	bad   error
}

type manifest struct {
	file string // relative to the scenario; "" is inline
	text string
}

func (m Manifests) problem() error { return m.bad }

// Empty says that there is nothing to apply.
func (m Manifests) Empty() bool { return len(m.items) == 0 }

// UnmarshalJSON takes one manifest or a list of them.
func (m *Manifests) UnmarshalJSON(data []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		list = []json.RawMessage{data}
	}
	for i, raw := range list {
		item, err := readManifest(raw)
		if err != nil {
			m.bad = fmt.Errorf("entry %d: %w", i, err)
			return nil
		}
		m.items = append(m.items, item)
	}
	return nil
}

func readManifest(raw json.RawMessage) (manifest, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if strings.Contains(text, "\n") || strings.Contains(text, ": ") {
			return manifest{text: text}, nil
		}
		return manifest{file: strings.TrimSpace(text)}, nil
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return manifest{}, errors.New("want YAML text, the path of a file, or an object")
	}
	if file, ok := object["file"].(string); ok && len(object) == 1 {
		return manifest{file: file}, nil
	}
	yml, err := yaml.JSONToYAML(raw)
	if err != nil {
		return manifest{}, fmt.Errorf("reading an object: %w", err)
	}
	return manifest{text: string(yml)}, nil
}

// load replaces paths by what the files hold.
func (m *Manifests) load(dir string) error {
	for i := range m.items {
		item := &m.items[i]
		if item.file == "" {
			continue
		}
		path := item.file
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading a manifest: %w", err)
		}
		item.text = string(text)
	}
	return nil
}

// Objects expands times relative to now and parses the documents.
func (m Manifests) Objects(now time.Time) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for i, item := range m.items {
		text, err := ExpandTimes(item.text, now)
		if err == nil {
			var objects []*unstructured.Unstructured
			objects, err = Parse(text)
			out = append(out, objects...)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", item.where(i), err)
		}
	}
	return out, nil
}

func (item manifest) where(i int) string {
	if item.file != "" {
		return item.file
	}
	return fmt.Sprintf("entry %d", i)
}

// Parse reads the documents of a YAML text as objects of the API.
func Parse(text string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for n := 1; ; n++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		object, err := parseOne(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if object != nil {
			out = append(out, object)
		}
	}
}

func parseOne(doc []byte) (*unstructured.Unstructured, error) {
	data, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil, nil
	}
	object := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(data, &object.Object); err != nil {
		return nil, errors.New("not an object")
	}
	switch {
	case object.GetAPIVersion() == "":
		return nil, errors.New("apiVersion is missing")
	case object.GetKind() == "":
		return nil, errors.New("kind is missing")
	case object.GetName() == "":
		return nil, fmt.Errorf("%s: metadata.name is missing", object.GetKind())
	}
	return object, nil
}
