package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleetFile = `
seed: 1
groups:
- {name: a, count: 3, model: S21, firmware: BraiinsOS, firstAddress: BASE1, budget: x, ports: {BraiinsOS: 18081}}
- {name: b, count: 3, model: S19k Pro, firmware: LuxOS, firstAddress: BASE101, budget: x, initial: Sleeping}
- {name: c, count: 2, model: S21 Pro, firmware: VNish, firmwareVersion: 1.3.4, firstAddress: BASE201, budget: x, ports: {VNish: 18081}}
- {name: v2, count: 1, model: M60S, firmware: WhatsMinerV2, firstAddress: BASE111, budget: x, whatsMiner: {apiSwitch: true}}
- {name: v3, count: 1, model: M63S, firmware: WhatsMinerV3, firstAddress: BASE112, budget: x}
- {name: epic, count: 1, model: S19 XP, firmware: ePIC, firmwareVersion: 1.30.0, firstAddress: BASE113, budget: x, ports: {ePIC.web: 18081}}
- {name: auradine, count: 1, model: AT2880, firmware: Auradine, firstAddress: BASE114, budget: x}
- {name: seal, count: 1, model: SealMiner A2, firmware: SealMiner, firstAddress: BASE115, budget: x, ports: {SealMiner.web: 18081}}
`

func write(t *testing.T, file string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(file, "BASE", simtest.Base())), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// started watches the log for the line that tells where the truth is.
type started struct {
	mu   sync.Mutex
	text strings.Builder
	at   chan string
}

func (s *started) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if _, rest, ok := strings.Cut(string(p), " http="); ok {
		s.at <- strings.TrimSpace(rest)
	}
	return len(p), nil
}

func listens(address string, port int) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// TestServesUntilTold: the truth is up, every miner answers, and the signal to stop stops it.
func TestServesUntilTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, ended := &started{at: make(chan string, 1)}, make(chan error, 1)
	go func() { ended <- run(ctx, []string{"--fleet", write(t, fleetFile), "--http", "127.0.0.1:0"}, log) }()
	var at string
	select {
	case at = <-log.at:
	case err := <-ended:
		t.Fatal(err)
	}
	get := func(path string) []byte {
		resp, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
		}
		return body
	}
	get("/healthz")
	var truth struct {
		Devices []struct {
			Address string
			Port    int
		}
	}
	if err := json.Unmarshal(get("/truth"), &truth); err != nil || len(truth.Devices) != 13 {
		t.Fatalf("%d devices, %v", len(truth.Devices), err)
	}
	for _, d := range truth.Devices {
		if !listens(d.Address, d.Port) {
			t.Errorf("%s does not listen", d.Address)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", at, time.Second); err == nil {
		t.Error("still publishing")
	}
	for _, d := range truth.Devices {
		if listens(d.Address, d.Port) {
			t.Errorf("%s still listens", d.Address)
		}
	}
}

func TestBadInputIsOneClearError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for want, args := range map[string][]string{
		"--fleet: name a fleet file":       {},
		"--fleet: open /no/such/file":      {"--fleet", "/no/such/file"},
		"flag provided but not defined":    {"--flet", "x"},
		"groups[0].model: unknown model":   {"--fleet", write(t, strings.Replace(fleetFile, "S21", "S9", 1))},
		"groups[1].firmware: unknown firm": {"--fleet", write(t, strings.Replace(fleetFile, "LuxOS", "Stock", 1))},
		"groups[2].firmwareVersion: unknown version \"1.4\" of VNish; known: 1.2.7, 1.2.6, 1.3.4": {"--fleet", write(t, strings.Replace(fleetFile, "1.3.4", "\"1.4\"", 1))},
		"--http: listen tcp": {"--fleet", write(t, fleetFile), "--http", taken.Addr().String()},
	} {
		err := run(t.Context(), args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	var help strings.Builder
	if err := run(t.Context(), []string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "fleet file") {
		t.Errorf("--help: %v %q", err, help.String())
	}
}

func TestMoreMinersThanFilesIsSaidBefore(t *testing.T) {
	if err := allowFiles(100); err != nil {
		t.Error(err)
	}
	if err := allowFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit -Hn") {
		t.Errorf("%v", err)
	}
}
