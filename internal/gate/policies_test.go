package gate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := gate.Generated()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what hack/gen-policy writes: run go run ./hack/gen-policy", path)
		}
	}
}

// Every policy that is written is installed, and nothing is installed that nobody generates.
func TestEveryPolicyIsInKustomization(t *testing.T) {
	policies, err := gate.Policies(gate.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../config/policy/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name := range policies {
		if !strings.Contains(string(text), "- "+name+"\n") {
			t.Errorf("config/policy/kustomization.yaml does not list %s", name)
		}
	}
}

func TestPoliciesAreTheSameEveryTime(t *testing.T) {
	for range 20 {
		first, err := gate.Policies(load(t, smallTable))
		if err != nil {
			t.Fatal(err)
		}
		again, err := gate.Policies(load(t, smallTable))
		if err != nil {
			t.Fatal(err)
		}
		for name := range first {
			if !bytes.Equal(first[name], again[name]) {
				t.Fatalf("%s differs from one time to the next", name)
			}
		}
	}
}

// A site's own table decides what its policies gate.
func TestPoliciesFollowTheTable(t *testing.T) {
	policies, err := gate.Policies(load(t, smallTable))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gate.yaml", "gate-present.yaml"} {
		text := string(policies[name])
		for _, want := range []string{"'example.com/dark': true", "'example.com/npu': true", "k.startsWith('example.com/npu-')"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
		if strings.Contains(text, "nvidia") {
			t.Errorf("%s names what the table does not", name)
		}
	}
}
