package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
)

func valid() options {
	return options{listen: "127.0.0.1:7443", pool: "mining/asics", podUID: "u"}
}

func TestWrongSettingsNameTheFlagAndTheFix(t *testing.T) {
	for want, spoil := range map[string]func(*options){
		"--listen (or COUNTERWEIGHT_LISTEN): missing; give":             func(o *options) { o.listen = "" },
		`--listen (or COUNTERWEIGHT_LISTEN): ":7443" names no address`:  func(o *options) { o.listen = ":7443" },
		"--listen (or COUNTERWEIGHT_LISTEN): address 10.1.2.3: missing": func(o *options) { o.listen = "10.1.2.3" },
		`--http (or COUNTERWEIGHT_HTTP): ":8082" names no address`:      func(o *options) { o.http = ":8082" },
		`--pool (or COUNTERWEIGHT_POOL): "asics" is no pool`:            func(o *options) { o.pool = "asics" },
		`--pool (or COUNTERWEIGHT_POOL): "a/b/c" is no pool`:            func(o *options) { o.pool = "a/b/c" },
		"--pod-uid (or COUNTERWEIGHT_POD_UID): missing; give":           func(o *options) { o.podUID = "" },
	} {
		o := valid()
		spoil(&o)
		err := o.complete()
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	o := valid()
	if err := o.complete(); err != nil || o.http != "127.0.0.1:8082" {
		t.Errorf("%v, http %q", err, o.http)
	}
}

func TestTheEnvironmentIsTheDefault(t *testing.T) {
	t.Setenv("COUNTERWEIGHT_LISTEN", "127.0.0.9:1")
	t.Setenv("COUNTERWEIGHT_POOL", "a/b")
	c := runCommand(logr.Discard())
	if err := c.ParseFlags([]string{"--pool", "c/d"}); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"listen": "127.0.0.9:1", "pool": "c/d", "tls-dir": "/etc/counterweight/tls"} {
		if got := c.Flag(flag).Value.String(); got != want {
			t.Errorf("--%s is %q, want %q", flag, got, want)
		}
	}
}

// free is an address nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// authority installs a pool's certificates in a new directory.
func authority(t *testing.T) (dir string, ca *link.CA) {
	t.Helper()
	dir = t.TempDir()
	ca, err := link.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.IssueServer(time.Now(), link.ServerName("mining", "asics"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"tls.crt": leaf.CertPEM, "tls.key": leaf.KeyPEM, "ca.crt": ca.CertPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, ca
}

func TestServesTheOperatorAndStops(t *testing.T) {
	dir, ca := authority(t)
	o := valid()
	o.listen, o.http, o.tlsDir, o.credentialsDir = free(t), free(t), dir, filepath.Join(dir, "none")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, logr.Discard()) }()

	leaf, err := ca.IssueOperator(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config, err := link.ClientTLS(leaf, ca.CertPEM())
	if err != nil {
		t.Fatal(err)
	}
	orders, reports := link.NewOutbox(), make(chan lease.Report)
	link1, leave := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		link.Keep(link1, link.Options{
			Address: o.listen, ServerName: link.ServerName("mining", "asics"), PodUID: o.podUID, TLS: config, Orders: orders,
			OnReport: func(r lease.Report) {
				select {
				case reports <- r:
				case <-link1.Done():
				}
			},
		}, nil)
	}()
	first := <-reports
	if first.Run == 0 || first.Epoch != 0 {
		t.Fatalf("the agent speaks first with %+v", first)
	}
	orders.PutHello(lease.Hello{Epoch: 5, Run: first.Run, Generation: 1, Assignment: lease.Assignment{Firmware: "Auto"}})
	for r := range reports {
		if r.Epoch == 5 && r.Generation == 1 {
			break
		}
	}
	for path, want := range map[string]string{"/readyz": "ok", "/metrics": `counterweight_miner_agent_bound_watts 0`} {
		response, err := http.Get("http://" + o.http + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if !strings.Contains(string(body), want) {
			t.Errorf("%s says %s", path, body)
		}
	}
	// The page takes no orders, and has nothing but these.
	for request, want := range map[string]int{"POST /metrics": 405, "PUT /readyz": 405, "GET /": 404, "GET /debug/pprof/": 404} {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+o.http+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", request, response.StatusCode, want)
		}
	}
	leave()
	<-kept
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("ended with %v", err)
	}
}

func TestRefusesToStartWithWhatItCannotUse(t *testing.T) {
	dir, _ := authority(t)
	for want, spoil := range map[string]func(*options){
		"--tls-dir: loading tls.crt":                func(o *options) { o.tlsDir = t.TempDir() },
		"--tls-dir: the certificate is not that of": func(o *options) { o.pool = "mining/others" },
		"--credentials-dir: ":                       func(o *options) { o.credentialsDir = filepath.Join(dir, "tls.crt") },
		"--listen: listen tcp":                      func(o *options) { o.listen = "203.0.113.1:7443" },
		"--http: listen tcp":                        func(o *options) { o.http = "203.0.113.1:8082" },
	} {
		o := valid()
		o.listen, o.http, o.tlsDir, o.credentialsDir = free(t), free(t), dir, filepath.Join(dir, "none")
		spoil(&o)
		if err := run(t.Context(), o, logr.Discard()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
