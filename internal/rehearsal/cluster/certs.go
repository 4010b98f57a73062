package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// certs are the cluster's certificates and keys, good for a day.
type certs struct {
	dir                       string
	ca                        *x509.Certificate
	caKey                     *ecdsa.PrivateKey
	caPEM, adminPEM, adminKey []byte
	advertise                 netip.Addr
}

func (c *certs) file(name string) string { return filepath.Join(c.dir, name) }

func newCerts(dir string, advertise netip.Addr) (*certs, error) {
	c := &certs{dir: filepath.Join(dir, "pki"), advertise: advertise}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for certificates: %w", err)
	}
	for _, step := range []func() error{c.makeCA, c.makeServer, c.makeAdmin, c.makeServiceAccountKey} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("making the cluster's certificates: %w", err)
		}
	}
	return c, nil
}

func (c *certs) makeCA() error {
	template := template(pkix.Name{CommonName: "rehearsal"})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	c.caKey = key
	c.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if c.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return os.WriteFile(c.file("ca.crt"), c.caPEM, 0o600)
}

func (c *certs) makeServer() error {
	template := template(pkix.Name{CommonName: "kube-apiserver"})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	if c.advertise.IsValid() {
		template.IPAddresses = append(template.IPAddresses, c.advertise.AsSlice())
	}
	template.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	_, _, err := c.issue("server", template)
	return err
}

func (c *certs) makeAdmin() (err error) {
	template := template(pkix.Name{CommonName: "rehearsal-admin", Organization: []string{"system:masters"}})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c.adminPEM, c.adminKey, err = c.issue("admin", template)
	return err
}

func (c *certs) issue(name string, template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca, key.Public(), c.caKey)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(c.file(name+".crt"), certPEM, 0o600); err != nil {
		return nil, nil, err
	}
	keyPEM, err = c.writeKey(name, key)
	return certPEM, keyPEM, err
}

func (c *certs) writeKey(name string, key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return keyPEM, os.WriteFile(c.file(name+".key"), keyPEM, 0o600)
}

func (c *certs) makeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if _, err := c.writeKey("sa", key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return os.WriteFile(c.file("sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

func template(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		serial = big.NewInt(1)
	}
	now := wallClock()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

func (c *certs) clientConfig(url string) *rest.Config {
	return &rest.Config{
		Host: url, QPS: 500, Burst: 1000,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.caPEM, CertData: c.adminPEM, KeyData: c.adminKey},
	}
}

func writeKubeconfig(path string, cfg *rest.Config) error {
	const name = "rehearsal"
	out := clientcmdapi.NewConfig()
	out.Clusters[name] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: cfg.CAData}
	out.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData, Token: cfg.BearerToken}
	out.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	out.CurrentContext = name
	if err := clientcmd.WriteToFile(*out, path); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}
