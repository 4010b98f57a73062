package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// tokenSeconds outlasts any rehearsal, also one that is kept.
const tokenSeconds = 24 * 3600

// ServiceAccountKubeconfig writes a kubeconfig with nothing but a ServiceAccount's rights, and returns
// its path.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	client, err := kubernetes.NewForConfig(c.Admin)
	if err != nil {
		return "", fmt.Errorf("making a client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))}}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("making a token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	path := filepath.Join(c.opts.Dir, name+".kubeconfig")
	cfg := &rest.Config{Host: c.url, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: c.certs.caPEM}}
	return path, writeKubeconfig(path, cfg)
}
