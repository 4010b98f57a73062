package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// The files of a TLS directory, as Kubernetes names them in a Secret of type kubernetes.io/tls.
const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
	caFile   = "ca.crt"
)

// ErrNotOperator refuses a client whose certificate is one of ours and not the operator's.
var ErrNotOperator = errors.New("client certificate is not the operator's")

// ServerTLS makes an agent's TLS settings from the files in dir. They are read again on every handshake,
// so that a renewed Secret is used without a restart; where that fails (a half-written directory), the
// last good ones serve and failed is told.
func ServerTLS(dir string, failed func(error)) (*tls.Config, error) {
	first, err := loadServerTLS(dir)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	good := first
	outer := first.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		fresh, err := loadServerTLS(dir)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed(err)
			return good, nil
		}
		good = fresh
		return good, nil
	}
	return outer, nil
}

func loadServerTLS(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("loading %s and %s: %w", certFile, keyFile, err)
	}
	caPEM, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", caFile, err)
	}
	roots, err := Roots(caPEM)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", caFile, err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"h2"},
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              roots,
		VerifyConnection:       onlyOperator,
		SessionTicketsDisabled: true, // every connection is judged by the certificates of now
	}, nil
}

// onlyOperator refuses clients that carry a ClientAuth leaf of our authority and are not the operator.
func onlyOperator(s tls.ConnectionState) error {
	if len(s.PeerCertificates) > 0 {
		for _, uri := range s.PeerCertificates[0].URIs {
			if uri.String() == OperatorURI {
				return nil
			}
		}
	}
	return ErrNotOperator
}

// ClientTLS makes the operator's TLS settings; Attach adds the name of the pool's agents.
func ClientTLS(leaf Leaf, caPEM []byte) (*tls.Config, error) {
	cert, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the operator's certificate: %w", err)
	}
	roots, err := Roots(caPEM)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		RootCAs:      roots,
	}, nil
}

// Roots reads a bundle of authorities; while one replaces another it holds both.
func Roots(caPEM []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(caPEM) {
		return nil, errors.New("no PEM certificate of an authority")
	}
	return roots, nil
}
