package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clientgotesting "k8s.io/client-go/testing"
)

// TestStrangersCostTheAPIServerLittle uses a played API server: what matters is how often it is asked.
func TestStrangersCostTheAPIServerLittle(t *testing.T) {
	now, asked, down := time.Unix(0, 0), 0, false
	clients := &fake.Clientset{}
	clients.AddReactor("create", "tokenreviews", func(a clientgotesting.Action) (bool, runtime.Object, error) {
		asked++
		if down {
			return true, nil, errors.New("the API server is away")
		}
		review := a.(clientgotesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status.Authenticated = review.Spec.Token == "good"
		return true, review, nil
	})
	clients.AddReactor("create", "subjectaccessreviews", func(a clientgotesting.Action) (bool, runtime.Object, error) {
		review := a.(clientgotesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = review.Spec.NonResourceAttributes.Path == "/metrics"
		return true, review, nil
	})
	r := &readers{
		clients: clients, clock: func() time.Time { return now }, pace: rate.NewLimiter(reviewsPerSecond, reviewsPerSecond),
		known: map[[sha256.Size]byte]verdict{},
	}
	get := func(method, path, authorization string) int {
		request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		request.Header.Set("Authorization", authorization)
		status, _ := r.judge(request)
		return status
	}
	expect := func(what string, got, status, times int) {
		t.Helper()
		if got != status || asked != times {
			t.Errorf("%s: %d after %d questions, want %d after %d", what, got, asked, status, times)
		}
	}
	expect("no token", get("GET", "/metrics", ""), 401, 0)
	expect("a password", get("GET", "/metrics", "Basic Z29vZA=="), 401, 0)
	expect("a write", get("POST", "/metrics", "Bearer good"), 405, 0)
	expect("a reader", get("GET", "/metrics", "Bearer good"), 200, 1)
	expect("the same again", get("GET", "/metrics", "bearer good"), 200, 1)
	expect("another path", get("GET", "/debug", "Bearer good"), 403, 2)
	now = now.Add(reviewStands)
	expect("a minute later", get("GET", "/metrics", "Bearer good"), 200, 3)
	down = true
	now = now.Add(reviewStands)
	expect("while the API server is away", get("GET", "/metrics", "Bearer good"), 500, 4)
	down, asked = false, 0
	for n := range 1000 {
		got := get("GET", "/metrics", fmt.Sprintf("Bearer %d", n))
		if want := map[bool]int{true: 401, false: 429}[n < reviewsPerSecond-1]; got != want {
			t.Fatalf("guess %d: %d, want %d", n, got, want)
		}
	}
	if asked > reviewsPerSecond {
		t.Errorf("a thousand guesses asked %d times", asked)
	}
	for n := range 1000 {
		r.remember([sha256.Size]byte{byte(n), byte(n >> 8)}, http.StatusUnauthorized)
	}
	if len(r.known) > reviewsKept {
		t.Errorf("remembers %d tokens", len(r.known))
	}
}
