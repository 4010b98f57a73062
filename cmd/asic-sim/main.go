// Command asic-sim serves simulated Bitcoin miners on loopback addresses, in the protocols of
// their firmware, and publishes what they truly draw.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/antminer"
	"github.com/counterweight-dev/counterweight/internal/minersim/auradine"
	"github.com/counterweight-dev/counterweight/internal/minersim/avalon"
	"github.com/counterweight-dev/counterweight/internal/minersim/axeos"
	"github.com/counterweight-dev/counterweight/internal/minersim/braiins"
	"github.com/counterweight-dev/counterweight/internal/minersim/epic"
	"github.com/counterweight-dev/counterweight/internal/minersim/luxos"
	"github.com/counterweight-dev/counterweight/internal/minersim/marafw"
	"github.com/counterweight-dev/counterweight/internal/minersim/proto"
	"github.com/counterweight-dev/counterweight/internal/minersim/sealminer"
	"github.com/counterweight-dev/counterweight/internal/minersim/vnish"
	"github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "asic-sim: %s\n", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(2)
	}
}

// closing is how long requests under way may take after the signal to stop.
const closing = 2 * time.Second

func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("asic-sim", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	fleetPath := flags.String("fleet", "", "the fleet file (fleet.yaml) that lists the miners to simulate")
	httpAddress := flags.String("http", "127.0.0.1:9410", "where the truth is published")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
		}
		return err
	}
	fronts, closeFronts := newFronts()
	defer closeFronts()
	fleet, err := load(*fleetPath, fronts)
	if err != nil {
		return err
	}
	if err := allowFiles(fleet.Listeners()); err != nil {
		return err
	}
	log := logr.FromSlogHandler(slog.NewTextHandler(stderr, nil))
	return serve(ctx, minersim.NewSite(fleet, fronts, log), *httpAddress, log)
}

// newFronts are all firmwares, and what ends their servers.
func newFronts() (map[string]minersim.Front, func()) {
	fronts := map[string]minersim.Front{
		"Antminer": antminer.New(), "Auradine": auradine.New(), "Avalon": avalon.New(), "AxeOS": axeos.New(), "BraiinsOS": braiins.New(), "LuxOS": luxos.New(),
		"MaraFW": marafw.New(), "ProtoRig": proto.New(), "SealMiner": sealminer.New(), "VNish": vnish.New(), "WhatsMinerV2": whatsminer.NewV2(),
		"WhatsMinerV3": whatsminer.NewV3(), "ePIC": epic.New(),
	}
	return fronts, func() {
		for _, f := range fronts {
			if c, ok := f.(io.Closer); ok {
				_ = c.Close()
			}
		}
	}
}

func load(path string, fronts map[string]minersim.Front) (*minersim.Fleet, error) {
	if path == "" {
		return nil, errors.New("--fleet: name a fleet file")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--fleet: %w", err)
	}
	file, err := minersim.ParseFleet(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	fleet, err := minersim.NewFleet(file, fronts, minersim.Wall{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return fleet, nil
}

// allowFiles raises the limit of open files to what it may be and checks that it is enough for a
// listener and a connection at each port of each miner.
func allowFiles(listeners int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raising the limit of open files: %w", err)
	}
	if need := uint64(listeners)*5/4 + 64; need > limit.Cur {
		return fmt.Errorf("%d ports of miners need about %d open files, the limit is %d: raise it (ulimit -Hn) or serve fewer", listeners, need, limit.Cur)
	}
	return nil
}

// serve publishes the truth, opens the miners and stays until ctx ends.
func serve(ctx context.Context, site *minersim.Site, address string, log logr.Logger) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	server := &http.Server{Handler: site.Handler(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer site.Close()
	if err := site.Open(ctx); err != nil {
		_ = server.Close()
		return err
	}
	log.Info("serving", "miners", len(site.Fleet.Devices), "http", listener.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("publishing the truth: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		_ = server.Close()
	}
	return nil
}
