package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// metricsFlags say where metrics are served, and to whom.
type metricsFlags struct {
	address, certDir string
	secure           bool
}

func (m *metricsFlags) register(set *flag.FlagSet) {
	set.StringVar(&m.address, "metrics-bind-address", ":8443", "where metrics are served; 0 is nowhere")
	set.BoolVar(&m.secure, "metrics-secure", true,
		"serve metrics by TLS and only to whom RBAC lets get /metrics; without it only a loopback address may serve them")
	set.StringVar(&m.certDir, "metrics-cert-dir", "",
		"a folder with tls.crt and tls.key for the metrics, read again when they change; a certificate signed by itself if empty")
}

// options are how the manager serves metrics. They tell what a site draws and which namespaces wait, so nobody
// gets them who may not: the API server is asked who the bearer of the token is and whether that one may.
func (m *metricsFlags) options() (server.Options, error) {
	o := server.Options{BindAddress: m.address, TLSOpts: []func(*tls.Config){http1}}
	switch _, err := os.Stat(filepath.Join(m.certDir, "tls.crt")); {
	case m.address == "0":
	case m.secure && m.certDir != "" && err != nil:
		return o, fmt.Errorf("--metrics-cert-dir: %w", err) // else one signed by itself would be served, unnoticed
	case m.secure:
		o.SecureServing, o.CertDir, o.FilterProvider = true, m.certDir, onlyReaders
	case !loopback(m.address):
		return o, fmt.Errorf("--metrics-secure=false: %q is no loopback address, and whoever reaches it would read the metrics; leave the flag out, or serve on 127.0.0.1", m.address)
	case m.certDir != "":
		return o, fmt.Errorf("--metrics-cert-dir %s: there is no TLS with --metrics-secure=false; leave one of the two out", m.certDir)
	}
	return o, nil
}

// http1 leaves HTTP/2 out: scrapes gain nothing by it, and it has been used to exhaust servers.
func http1(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }

func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}
