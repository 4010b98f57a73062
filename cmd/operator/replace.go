package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/link"
)

const (
	// trustedKey holds the certificates of every authority that is trusted; nextCert and nextKey the one to come.
	trustedKey, nextCert, nextKey = "ca.crt", "next.crt", "next.key"
	// stepAnnotation is when the last step was taken.
	stepAnnotation = "power.counterweight.dev/authority-step"
	// spreads is how long a step takes to reach every agent: the operator reads its authority every minute, and a
	// kubelet brings a Secret into a pod some minutes later.
	spreads = 10 * time.Minute
)

// replacing brings in a new certificate authority in three steps, one a run, so that at no time does an agent meet an
// operator that it does not trust, or the other way round: both trust the next one, then it signs, then the old one is
// dropped. Streams that are up go on throughout, and with them every lease.
type replacing struct {
	client.Client
	namespace string
	clock     func() time.Time
	say       func(format string, args ...any)
}

func (r *replacing) run(ctx context.Context) error {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: r.namespace, Name: controllers.AuthoritySecret}
	if err := r.Get(ctx, key, secret); err != nil {
		return fmt.Errorf("reading the certificate authority %s: %w", key, err)
	}
	now := r.clock()
	if last, err := time.Parse(time.RFC3339, secret.Annotations[stepAnnotation]); err == nil && now.Before(last.Add(spreads)) {
		return fmt.Errorf("the last step was %s ago and reaches every agent within %s: run this again at %s",
			now.Sub(last).Truncate(time.Second), spreads, last.Add(spreads).UTC().Format(time.TimeOnly))
	}
	told, err := step(secret, now)
	if err != nil {
		return err
	}
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, stepAnnotation, now.UTC().Format(time.RFC3339))
	if err := r.Update(ctx, secret); err != nil { // by its resourceVersion: two that run at once take one step
		return fmt.Errorf("writing the certificate authority %s: %w", key, err)
	}
	r.say("%s", told)
	return nil
}

// step takes the next of the three steps on the Secret.
func step(secret *corev1.Secret, now time.Time) (told string, err error) {
	data := secret.Data
	ca, err := link.ParseCA(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return "", err //nolint:wrapcheck // says what it read
	}
	if ca, err = ca.Trusting(data[trustedKey]); err != nil {
		return "", err //nolint:wrapcheck // says what it read
	}
	switch {
	case len(data[nextKey]) > 0:
		data[trustedKey] = bytes.Join([][]byte{data[nextCert], ca.CertPEM()}, nil)
		data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey] = data[nextCert], data[nextKey]
		delete(data, nextCert)
		delete(data, nextKey)
		return fmt.Sprintf("step 2 of 3: the new authority signs from now on; run this again in %s to stop trusting the old one", spreads), nil
	case !bytes.Equal(ca.TrustedPEM(), ca.CertPEM()):
		data[trustedKey] = ca.CertPEM()
		return "step 3 of 3: the old authority is trusted no more", nil
	}
	next, err := link.NewCA(now)
	if err != nil {
		return "", fmt.Errorf("making the next authority: %w", err)
	}
	data[nextCert], data[nextKey] = next.CertPEM(), next.KeyPEM()
	data[trustedKey] = bytes.Join([][]byte{ca.CertPEM(), next.CertPEM()}, nil)
	return fmt.Sprintf("step 1 of 3: the next authority is made and trusted; run this again in %s to have it sign", spreads), nil
}
