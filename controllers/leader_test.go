package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// TestACandidateIsKnownByItsName: who asks who leads finds the pod, and a restarted one is another.
func TestACandidateIsKnownByItsName(t *testing.T) {
	identities := map[string]bool{}
	for range 2 {
		l, err := NewLeader(&rest.Config{}, "ns", "operator-1", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(l.Identity(), "operator-1_") {
			t.Errorf("got %q", l.Identity())
		}
		identities[l.Identity()] = true
	}
	if len(identities) != 2 {
		t.Errorf("a restarted process is the same candidate: %v", identities)
	}
}
