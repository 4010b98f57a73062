package link

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// How long certificates live, and how far back they begin so that clocks may differ.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	backdate = 5 * time.Minute
)

// OperatorURI is the URI SAN that only the operator's client certificate carries.
const OperatorURI = "counterweight://operator"

// ServerName is the DNS SAN of a pool's agents.
func ServerName(namespace, pool string) string {
	return pool + "." + namespace + ".agents.counterweight"
}

// CA signs the leaves of one installation.
type CA struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	keyPEM  []byte
	trusted []byte
}

// Leaf is a certificate and its key, both as PEM.
type Leaf struct {
	CertPEM []byte
	KeyPEM  []byte
}

// NewCA makes a new authority that lives ten years from now.
func NewCA(now time.Time) (*CA, error) {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "counterweight"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the authority: %w", err)
	}
	certPEM, err := sign(t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return ParseCA(certPEM, keyPEM)
}

// ParseCA reads an authority back. It fails where the two do not belong together or the certificate is
// not an authority.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("reading the authority: its key is not an ECDSA key")
	}
	if !pair.Leaf.IsCA {
		return nil, errors.New("reading the authority: its certificate may not sign others")
	}
	return &CA{cert: pair.Leaf, key: key, certPEM: certPEM, keyPEM: keyPEM, trusted: certPEM}, nil
}

// Trusting is this authority while others are trusted beside it: the one that is to replace it, or the one that it
// replaced, until no leaf of that is in use. bundle holds their certificates and may be empty; what is in it and is
// no authority's certificate is refused, since it would be trusted to sign.
func (c *CA) Trusting(bundle []byte) (*CA, error) {
	out := *c
	out.trusted = bytes.Clone(c.certPEM)
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		one := pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})
		cert, err := parseCert(one)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities trusted besides: %w", err)
		}
		if !cert.IsCA {
			return nil, errors.New("reading the authorities trusted besides: one of the certificates may not sign others")
		}
		if !cert.Equal(c.cert) {
			out.trusted = append(out.trusted, one...)
		}
	}
	return &out, nil
}

// TrustedPEM is the certificates of every authority whose leaves are good now, this one's first.
func (c *CA) TrustedPEM() []byte { return c.trusted }

// CertPEM is the authority's certificate.
func (c *CA) CertPEM() []byte { return c.certPEM }

// KeyPEM is the authority's key; it is a secret.
func (c *CA) KeyPEM() []byte { return c.keyPEM }

// NotAfter is when the authority ends.
func (c *CA) NotAfter() time.Time { return c.cert.NotAfter }

// IssueServer makes the leaf of one pool's agents: it serves under dnsSAN and can't dial.
func (c *CA) IssueServer(now time.Time, dnsSAN string) (Leaf, error) {
	return c.issue(now, &x509.Certificate{
		DNSNames:    []string{dnsSAN},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// IssueOperator makes the operator's leaf: it dials and can't serve.
func (c *CA) IssueOperator(now time.Time) (Leaf, error) {
	uri, err := url.Parse(OperatorURI)
	if err != nil {
		return Leaf{}, fmt.Errorf("parsing the operator's URI: %w", err)
	}
	return c.issue(now, &x509.Certificate{
		URIs:        []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Issued tells whether this authority signed the first certificate of certPEM.
func (c *CA) Issued(certPEM []byte) bool {
	cert, err := parseCert(certPEM)
	return err == nil && cert.CheckSignatureFrom(c.cert) == nil
}

func (c *CA) issue(now time.Time, t *x509.Certificate) (Leaf, error) {
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(leafLife)
	if t.NotAfter.After(c.cert.NotAfter) {
		t.NotAfter = c.cert.NotAfter
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Leaf{}, fmt.Errorf("making the key of a leaf: %w", err)
	}
	certPEM, err := sign(t, c.cert, &key.PublicKey, c.key)
	if err != nil {
		return Leaf{}, fmt.Errorf("signing a leaf: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Leaf{}, err
	}
	return Leaf{CertPEM: certPEM, KeyPEM: keyPEM}, nil
}

// NotAfter is when the first certificate of certPEM ends.
func NotAfter(certPEM []byte) (time.Time, error) {
	cert, err := parseCert(certPEM)
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotAfter, nil
}

// RenewAt is when the first certificate of certPEM should be replaced: two thirds through its life.
func RenewAt(certPEM []byte) (time.Time, error) {
	cert, err := parseCert(certPEM)
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2), nil
}

func parseCert(certPEM []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing a certificate: %w", err)
	}
	return cert, nil
}

func sign(t, parent *x509.Certificate, pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
