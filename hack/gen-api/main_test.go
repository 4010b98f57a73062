package main

import (
	"os"
	"strings"
	"testing"
)

func TestThePageFollowsTheTypes(t *testing.T) {
	text, err := reference("../..")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(have) {
		t.Errorf("%s does not follow the CRDs: run make generate", page)
	}
	for _, want := range []string{"`spec.leaseSeconds` | integer 15 to 600 |", "spec.parent is immutable", "**Required.** limitWatts"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
