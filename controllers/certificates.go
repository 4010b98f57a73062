package controllers

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/counterweight-dev/counterweight/internal/link"
)

// AuthoritySecret holds the installation's certificate authority. It is kept on uninstall: agents that
// live on trust it.
const AuthoritySecret = "counterweight-ca"

// authority is the installation's CA, and the operator's own certificate from it.
type authority struct {
	client    client.Client // Secrets are read past the cache
	namespace string
	clock     func() time.Time

	mu     sync.Mutex
	ca     *link.CA
	readAt time.Time
	own    *tls.Config
	renew  time.Time
}

// load answers the CA, made once. Its Secret is read again every so often, since an administrator may replace it while
// agents run; what can't be read then leaves the one that is in use. Two operators that race to make it agree on the
// one that was written.
func (a *authority) load(ctx context.Context) (*link.CA, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.clock(); a.ca == nil || now.Sub(a.readAt) >= recheck {
		ca, err := a.read(ctx)
		switch {
		case err == nil:
			a.take(ca)
			a.readAt = now
		case a.ca == nil:
			return nil, err
		default:
			log.FromContext(ctx).Error(err, "Going on with the certificate authority that was read before")
		}
	}
	return a.ca, a.certify()
}

func (a *authority) read(ctx context.Context) (*link.CA, error) {
	key := types.NamespacedName{Namespace: a.namespace, Name: AuthoritySecret}
	var secret corev1.Secret
	err := a.client.Get(ctx, key, &secret)
	if apierrors.IsNotFound(err) {
		err = a.create(ctx, &secret)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority %s: %w", key, err)
	}
	ca, err := link.ParseCA(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err == nil {
		ca, err = ca.Trusting(secret.Data[caKey])
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority %s: %w; delete the Secret to have a new one made, then restart the agents", key, err)
	}
	return ca, nil
}

// take uses a CA from now on; where it differs from the one before, the operator's own certificate is issued anew.
func (a *authority) take(ca *link.CA) {
	if a.ca == nil || !bytes.Equal(a.ca.KeyPEM(), ca.KeyPEM()) || !bytes.Equal(a.ca.TrustedPEM(), ca.TrustedPEM()) {
		a.ca, a.renew = ca, time.Time{}
	}
}

func (a *authority) create(ctx context.Context, secret *corev1.Secret) error {
	ca := a.ca // deleted by mistake, it is written down again: agents trust it
	if ca == nil {
		var err error
		if ca, err = link.NewCA(a.clock()); err != nil {
			return fmt.Errorf("making it: %w", err)
		}
	}
	*secret = corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: a.namespace, Name: AuthoritySecret,
			Labels: map[string]string{nameLabel: productName, managedLabel: productName},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: ca.CertPEM(), corev1.TLSPrivateKeyKey: ca.KeyPEM(), caKey: ca.TrustedPEM()},
	}
	err := a.client.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		return a.client.Get(ctx, client.ObjectKeyFromObject(secret), secret) //nolint:wrapcheck // wrapped above
	}
	return err //nolint:wrapcheck // wrapped above
}

// certify issues the operator's own certificate, anew before it runs out.
func (a *authority) certify() error {
	now := a.clock()
	if a.own != nil && now.Before(a.renew) {
		return nil
	}
	leaf, err := a.ca.IssueOperator(now)
	if err != nil {
		return fmt.Errorf("issuing the operator's certificate: %w", err)
	}
	if a.renew, err = link.RenewAt(leaf.CertPEM); err != nil {
		return fmt.Errorf("issuing the operator's certificate: %w", err)
	}
	if a.own, err = link.ClientTLS(leaf, a.ca.TrustedPEM()); err != nil {
		return fmt.Errorf("issuing the operator's certificate: %w", err)
	}
	exported.certs.set("authority", "", a.ca.NotAfter())
	if ends, err := link.NotAfter(leaf.CertPEM); err == nil {
		exported.certs.set("operator", "", ends)
	}
	return nil
}

// config is the operator's TLS settings as of now; empty ones, with which nobody is trusted, before load.
func (a *authority) config() *tls.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.own == nil {
		return &tls.Config{MinVersion: tls.VersionTLS13}
	}
	return a.own
}
