// Package play plays a scenario: it sets the stage (control plane, nodes, machines, meter, operator),
// walks the timeline, and hands what was seen to the judge. It decides nothing about power.
package play

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/played"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// Options of a rehearsal.
type Options struct {
	// BinDir holds operator, miner-agent and asic-sim; the control plane is in its folder k8s.
	BinDir string
	// ConfigDir holds the project's manifests.
	ConfigDir string
	// Self is this program, to start the meter with.
	Self string
	// WorkDir takes logs and data; a temporary folder if empty.
	WorkDir string
	// ReportDir takes report.json and the picture; none are made if empty.
	ReportDir string
	// Keep leaves everything running until ctx ends.
	Keep bool
	Out  io.Writer
	Log  logr.Logger
}

// The operator's own place, as the policies know it.
const (
	systemNamespace = "counterweight-system"
	operatorAccount = "counterweight-operator"
)

// stage is everything that runs.
type stage struct {
	opts  Options
	s     *scenario.Scenario
	clock clock.PassiveClock
	dir   string

	cluster   *cluster.Cluster
	client    kubernetes.Interface
	anything  dynamic.Interface
	writer    *cluster.Writer
	addresses *played.Addresses
	nodes     *played.Nodes
	kubelet   *played.Kubelet
	machines  *machines
	election  *election
	readings  *readings
	observer  *observer
	moved     map[string]int

	background sync.WaitGroup
	end        context.CancelFunc

	mu        sync.Mutex
	failures  []string
	waiting   string // what is awaited, and what is still missing
	disturbed map[string]bool
	stopping  bool
	events    chan string
}

// prepare checks what can be checked before anything is started.
func prepare(ctx context.Context, opts Options, s *scenario.Scenario) (*stage, error) {
	if err := cluster.CheckBinaries(opts.BinDir, []string{"operator", "miner-agent", "asic-sim"}, "run make build"); err != nil {
		return nil, err
	}
	if err := cluster.CheckBinaries(filepath.Join(opts.BinDir, "k8s"), cluster.Binaries, "run make controlplane"); err != nil {
		return nil, err
	}
	if opts.ReportDir != "" {
		if err := os.MkdirAll(opts.ReportDir, 0o755); err != nil {
			return nil, fmt.Errorf("--report-dir: %w", err)
		}
	}
	g := &stage{opts: opts, s: s, clock: clock.RealClock{}, dir: opts.WorkDir, disturbed: map[string]bool{}, events: make(chan string, 256)}
	var err error
	if g.moved, err = choosePorts(ctx, s.Fleet.Groups); err != nil {
		return nil, err
	}
	if g.dir == "" {
		g.dir, err = os.MkdirTemp("", "rehearse-")
	} else {
		err = os.MkdirAll(g.dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("making the work folder: %w", err)
	}
	g.dir, err = filepath.Abs(g.dir)
	return g, err
}

// step of setting the stage, with the words people see while it is done.
type step struct {
	say string
	do  func(context.Context) error
}

// set starts everything, in order.
func (g *stage) set(ctx context.Context) error {
	ctx, g.end = context.WithCancel(ctx)
	for _, firmware := range slices.Sorted(maps.Keys(g.moved)) {
		g.say("no privilege for the own port of %s: simulated machines and MinerPools use port %d (devices.ports)", firmware, g.moved[firmware])
	}
	for _, one := range []step{
		{"control plane (etcd, kube-apiserver, kube-controller-manager, kube-scheduler)", g.startCluster},
		{"definitions, roles and policies", g.install},
		{fmt.Sprintf("nodes: %d for agents, %d with accelerators", g.s.MiningNodes.Count, g.gpuNodeCount()), g.startNodes},
		{fmt.Sprintf("%d simulated miners", g.minerCount()), g.startSim},
		{"manifests", g.applyManifests},
		{"meter", g.startMeter},
		{fmt.Sprintf("operator (%d)", g.s.Operator.Replicas), g.startOperator},
	} {
		g.say("starting: %s", one.say)
		if err := one.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *stage) say(format string, args ...any) {
	fmt.Fprintf(g.opts.Out, format+"\n", args...)
}

func (g *stage) gpuNodeCount() int {
	n := 0
	for _, group := range g.s.GPUNodes {
		n += group.Count
	}
	return n
}

func (g *stage) minerCount() int {
	n := 0
	for _, group := range g.s.Fleet.Groups {
		n += group.Count
	}
	return n
}

// exited hears of a process that ended unasked. It is a failure, unless the scenario meant it.
func (g *stage) exited(name string, exit proc.Exit) {
	g.mu.Lock()
	meant := g.stopping || g.disturbed[name] || g.disturbed[scenario.APIServer] || g.disturbed[scenario.Etcd]
	g.mu.Unlock()
	if g.isStopping() {
		return
	}
	g.happened(fmt.Sprintf("%s ended (%s)", name, exit))
	if meant {
		return
	}
	log := g.cluster.LogPath(strings.ReplaceAll(strings.TrimPrefix(name, "agent/"), "/", "_"))
	g.fail("%s ended by itself: %s; its log ends with: %s", name, exit, proc.LastLines(log, 1))
}

func (g *stage) isStopping() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopping
}

func (g *stage) fail(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures = append(g.failures, fmt.Sprintf(format, args...))
}

// happened puts words into the next status line.
func (g *stage) happened(what string) {
	select {
	case g.events <- what:
	default:
	}
}

// strike ends everything; it may be called at any time, and more than once.
func (g *stage) strike() {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	if g.readings != nil {
		g.readings.stop()
	}
	if g.end != nil {
		g.end()
	}
	if g.cluster != nil {
		g.cluster.Stop()
	}
	g.background.Wait()
	if g.addresses != nil {
		g.addresses.Close()
	}
}
