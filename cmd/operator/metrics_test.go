package main

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func TestWhoMayServeMetricsToWhom(t *testing.T) {
	for args, want := range map[string]string{
		"": "secure", "--metrics-bind-address=0": "open", "--metrics-bind-address=0 --metrics-secure=false": "open",
		"--metrics-cert-dir=/nowhere":                                                              "--metrics-cert-dir: stat /nowhere/tls.crt: no such file",
		"--metrics-secure=false":                                                                   `":8443" is no loopback address`,
		"--metrics-secure=false --metrics-bind-address=10.0.0.1:8080":                              "is no loopback address",
		"--metrics-secure=false --metrics-bind-address=localhost:8080":                             "is no loopback address",
		"--metrics-secure=false --metrics-bind-address=127.0.0.1:8080":                             "open",
		"--metrics-secure=false --metrics-bind-address=[::1]:8080":                                 "open",
		"--metrics-secure=false --metrics-bind-address=127.0.0.1:8080 --metrics-cert-dir=/etc/tls": "there is no TLS",
	} {
		var m metricsFlags
		set := flag.NewFlagSet("operator", flag.ContinueOnError)
		m.register(set)
		if err := set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		o, err := m.options()
		got := map[bool]string{true: "secure", false: "open"}[o.SecureServing && o.FilterProvider != nil]
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: want %q, got %q", args, want, got)
		}
	}
}

// TestMetricsAreForWhoMayReadThem serves metrics as the operator does, with the rights that config/rbac gives it.
func TestMetricsAreForWhoMayReadThem(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	granted.Do(func() { grant(t.Context(), t) })
	bind(ctx, t, "scraper")
	operator := as("counterweight-operator")
	untilMay(ctx, t, operator, authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
		Group: "authorization.k8s.io", Resource: "subjectaccessreviews", Verb: "create",
	}})
	untilMay(ctx, t, as("scraper"), authorizationv1.SelfSubjectAccessReviewSpec{
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	})
	client, err := rest.HTTPClientFor(operator)
	if err != nil {
		t.Fatal(err)
	}
	m := metricsFlags{address: "127.0.0.1:0", secure: true}
	o, err := m.options()
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.NewServer(o, operator, client)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	bound, ok := s.(interface{ GetBindAddr() string })
	if !ok {
		t.Fatal("the server does not tell its address")
	}
	address := bound.GetBindAddr()
	for deadline := time.Now().Add(time.Minute); address == "" && time.Now().Before(deadline); address = bound.GetBindAddr() {
		time.Sleep(10 * time.Millisecond)
	}
	for who, want := range map[string]int{"": http.StatusUnauthorized, "stranger": http.StatusForbidden, "scraper": http.StatusOK} {
		status, body := scrape(ctx, t, address, who)
		if status != want {
			t.Errorf("%q gets %d, want %d: %s", who, status, want, body)
		}
		if strings.Contains(body, "counterweight_") || strings.Contains(body, "go_goroutines") {
			if who != "scraper" {
				t.Errorf("%q reads metrics", who)
			}
		} else if who == "scraper" {
			t.Errorf("the scraper reads %q", body)
		}
	}
}

// bind lets a ServiceAccount read metrics, by the role that is installed for that.
func bind(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	if err := admin(t).Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "counterweight-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}); err != nil {
		t.Fatal(err)
	}
}

// untilMay waits until the API server has taken in a right that was just granted.
func untilMay(ctx context.Context, t *testing.T, who *rest.Config, what authorizationv1.SelfSubjectAccessReviewSpec) {
	t.Helper()
	clients, err := kubernetes.NewForConfig(who)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		review, err := clients.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
			&authorizationv1.SelfSubjectAccessReview{Spec: what}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed, err
	}); err != nil {
		t.Fatalf("%v: %v", what, err)
	}
}

// scrape asks for the metrics with the token of a ServiceAccount, or with none.
func scrape(ctx context.Context, t *testing.T, address, who string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if who != "" {
		request.Header.Set("Authorization", "Bearer "+token(ctx, t, who))
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
	}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// token makes a ServiceAccount and a token of it.
func token(ctx context.Context, t *testing.T, name string) string {
	t.Helper()
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	accounts := clients.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}
