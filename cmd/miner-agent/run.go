package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/counterweight-dev/counterweight/internal/agent"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

// stopWithin bounds the end of requests under way.
const stopWithin = 2 * time.Second

func runCommand(log logr.Logger) *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "run",
		Short: "Mind this pod's machines until told to stop",
		Long: "Waits for the operator, takes up the addresses it assigns, and keeps what their machines draw under\n" +
			"its lease. When stopped, the machines keep what they run and the lease is let go.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return run(c.Context(), o, log.WithValues("pool", o.pool))
		},
	}
	o.register(c.Flags())
	return c
}

func run(ctx context.Context, o options, log logr.Logger) error {
	credentials, err := agent.LoadCredentials(o.credentialsDir, firmwares.Supported())
	if err != nil {
		return fmt.Errorf("--credentials-dir: %w", err)
	}
	tlsConfig, err := serverTLS(o, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	web, err := net.Listen("tcp", o.http)
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("--http: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	start := time.Now()
	a := agent.New(agent.Config{
		Run:     newRun(),
		Clock:   func() time.Duration { return time.Since(start) },
		Open:    credentials.Opener(firmwares.Open),
		Log:     log,
		Metrics: agent.NewMetrics(registry),
	})
	log.Info("Serving", "listen", o.listen, "http", o.http, "version", version())
	return serve(ctx, a, o, tlsConfig, listener, web, registry, log)
}

// serve runs the agent, its gRPC server and its web page until ctx ends or one of them fails.
func serve(ctx context.Context, a *agent.Agent, o options, tlsConfig *tls.Config, listener, web net.Listener,
	registry *prometheus.Registry, log logr.Logger,
) error {
	rpc := link.NewServer(a, o.podUID, tlsConfig, log)
	page := &http.Server{Handler: handler(registry), ReadHeaderTimeout: stopWithin}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		a.Run(ctx)
		return nil
	})
	group.Go(func() error { return rpc.Serve(listener) })
	group.Go(func() error {
		if err := page.Serve(web); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		log.Info("Stopping: the machines keep what they run")
		rpc.Stop()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		return page.Shutdown(late)
	})
	return group.Wait()
}

// serverTLS loads the certificates and makes sure they are this pool's: a wrong mount is told here, not
// by every attempt of the operator to connect.
func serverTLS(o options, log logr.Logger) (*tls.Config, error) {
	config, err := link.ServerTLS(o.tlsDir, func(err error) {
		log.Error(err, "Keeping the last good certificates", "dir", o.tlsDir)
	})
	if err != nil {
		return nil, fmt.Errorf("--tls-dir: %w", err)
	}
	namespace, name := o.poolName()
	if err := config.Certificates[0].Leaf.VerifyHostname(link.ServerName(namespace, name)); err != nil {
		return nil, fmt.Errorf("--tls-dir: the certificate is not that of --pool %s: %w", o.pool, err)
	}
	return config, nil
}

// handler serves health and metrics. Ready means up and listening: what the operator assigns, and
// whether any machine answers, is told in reports and must not hold up a rollout.
func handler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", ok)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// newRun numbers this life of the process.
func newRun() lease.Run {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:])
		if n := binary.BigEndian.Uint64(b[:]) >> 1; n != 0 {
			return lease.Run(n)
		}
	}
}
