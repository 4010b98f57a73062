package main

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/link"
)

// An authority is replaced in three steps, at each of which what was signed before is still trusted.
func TestReplacingTheAuthority(t *testing.T) {
	now := time.Now()
	old, err := link.NewCA(now)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "power", Name: controllers.AuthoritySecret}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: old.CertPEM(), corev1.TLSPrivateKeyKey: old.KeyPEM()},
	}
	c := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(secret).Build()
	var said []string
	r := &replacing{Client: c, namespace: "power", clock: func() time.Time { return now }, say: func(format string, args ...any) {
		said = append(said, format)
	}}
	read := func() *link.CA {
		t.Helper()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
			t.Fatal(err)
		}
		ca, err := link.ParseCA(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
		if err == nil {
			ca, err = ca.Trusting(secret.Data["ca.crt"])
		}
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	for i, want := range []struct{ oldSigns, oldTrusted bool }{{true, true}, {false, true}, {false, false}} {
		if err := r.run(t.Context()); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
		ca := read()
		if signs := string(ca.KeyPEM()) == string(old.KeyPEM()); signs != want.oldSigns {
			t.Errorf("step %d: the old one signs: %v", i+1, signs)
		}
		if trusted := strings.Contains(string(ca.TrustedPEM()), string(old.CertPEM())); trusted != want.oldTrusted {
			t.Errorf("step %d: the old one is trusted: %v", i+1, trusted)
		}
		if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "run this again at") {
			t.Fatalf("step %d was followed at once by the next: %v", i+1, err)
		}
		now = now.Add(spreads)
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil || len(secret.Data) != 3 {
		t.Errorf("what is left: %d keys, %v", len(secret.Data), err)
	}
	if len(said) != 3 {
		t.Errorf("said %q", said)
	}
}
