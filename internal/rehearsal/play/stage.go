// Package play plays a scenario: it sets the stage (control plane, nodes, machines, meter, operator),
// walks the timeline, and hands what was seen to the judge. It decides nothing about power.
package play

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
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
func prepare(opts Options, s *scenario.Scenario) (*stage, error) {
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
	if g.moved, err = choosePorts(s.Fleet.Groups); err != nil {
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
		g.say("no privilege for port %d: simulated %s machines and MinerPools use port %d (devices.ports)", ownPort[firmware], firmware, g.moved[firmware])
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

func (g *stage) startCluster(ctx context.Context) (err error) {
	g.cluster, err = cluster.Start(ctx, cluster.Options{BinDir: filepath.Join(g.opts.BinDir, "k8s"), Dir: g.dir, OnExit: g.exited})
	if err != nil {
		return err
	}
	if g.writer, err = cluster.NewWriter(g.cluster.Admin); err != nil {
		return err
	}
	if g.client, err = kubernetes.NewForConfig(g.cluster.Admin); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if g.anything, err = dynamic.NewForConfig(g.cluster.Admin); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

// install applies what an installation of the operator would, its Deployment aside.
func (g *stage) install(ctx context.Context) error {
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": systemNamespace},
	}}
	if err := g.writer.Apply(ctx, []*unstructured.Unstructured{namespace}); err != nil {
		return err
	}
	dir := func(parts ...string) string { return filepath.Join(append([]string{g.opts.ConfigDir}, parts...)...) }
	files, err := cluster.YAMLFiles(dir("crd", "bases"), dir("rbac"), dir("policy"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the project's manifests: %w", err)
		}
		objects, err := scenario.Parse(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := g.writer.Apply(ctx, objects); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return g.awaitGate(ctx)
}

func (g *stage) startNodes(ctx context.Context) (err error) {
	args, err := played.KwokArgs(g.dir, g.cluster.Kubeconfig)
	if err != nil {
		return err
	}
	kwok := proc.Spec{Name: scenario.Kwok, Path: filepath.Join(g.opts.BinDir, "k8s", "kwok"), Args: args}
	if _, err := g.cluster.Serve(kwok, proc.Restart{First: time.Second, Next: time.Second, Max: 10 * time.Second}); err != nil {
		return err
	}
	if g.addresses, err = played.NewAddresses(); err != nil {
		return err
	}
	g.nodes = played.NewNodes(g.client, g.addresses, g.opts.Log)
	if err := g.nodes.Create(ctx, g.nodeSpecs()); err != nil {
		return err
	}
	g.kubelet = played.NewKubelet(g.client, g.addresses, played.Options{
		Dir: filepath.Join(g.dir, "pods"), LogDir: filepath.Join(g.dir, "logs"), HostIP: g.nodes.HostIP,
		Binary: g.binaryOf, OnExit: g.exited,
	}, g.opts.Log)
	g.background.Go(func() { _ = g.nodes.Run(ctx) })
	g.background.Go(func() {
		if err := g.kubelet.Run(ctx); err != nil {
			g.fail("the played kubelet: %v", err)
		}
	})
	return nil
}

// binaryOf finds the program of an agent's container: the first word of its command, by its last part.
func (g *stage) binaryOf(_, program string) (string, error) {
	name := filepath.Base(program)
	if program == "" {
		name = "miner-agent"
	}
	path := filepath.Join(g.opts.BinDir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("rehearsals have no program %q", name)
	}
	return path, nil
}

func (g *stage) nodeSpecs() []played.NodeSpec {
	var out []played.NodeSpec
	for i := range g.s.MiningNodes.Count {
		labels := map[string]string{played.MiningLabel: "true"}
		maps.Copy(labels, g.s.MiningNodes.Labels)
		out = append(out, played.NodeSpec{Name: fmt.Sprintf("mining-%d", i), Labels: labels})
	}
	for _, group := range g.s.GPUNodes {
		for i := range group.Count {
			out = append(out, played.NodeSpec{
				Name: fmt.Sprintf("%s-%d", group.Name, i), Labels: group.Labels,
				Resources: map[string]int64{group.Resource: int64(group.GPUs)}, Kwok: true,
			})
		}
	}
	return out
}

func (g *stage) startSim(ctx context.Context) error {
	if len(g.s.Fleet.Groups) == 0 {
		g.machines = newMachines("", nil, g.clock.Now())
		return nil
	}
	fleet, err := g.s.FleetFile()
	if err != nil {
		return err
	}
	path := filepath.Join(g.dir, "fleet.yaml")
	if err := os.WriteFile(path, fleet, 0o600); err != nil {
		return fmt.Errorf("writing the fleet file: %w", err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	sim, err := g.cluster.Serve(proc.Spec{
		Name: scenario.Sim, Path: filepath.Join(g.opts.BinDir, "asic-sim"), Args: []string{"--fleet", path, "--http", address}, Ahead: true,
	}, proc.Restart{})
	if err != nil {
		return err
	}
	g.machines = newMachines("http://"+address, g.s.Fleet.Groups, g.clock.Now())
	return until(ctx, time.Minute, func() error {
		if !sim.Running() {
			return over{fmt.Errorf("asic-sim ended: %s", proc.LastLines(sim.LogPath(), 1))}
		}
		return g.machines.ready(ctx)
	})
}

// meterConfig is what the meter can't read from the API.
func (g *stage) meterConfig() meter.Config {
	cfg := meter.Config{Kubeconfig: g.cluster.Kubeconfig, SimURL: g.machines.url, BaseWatts: map[string]int64{}, Nodes: map[string]meter.Node{}}
	for name, w := range g.s.BaseWatts {
		cfg.BaseWatts[name] = w.N
	}
	for _, group := range g.s.GPUNodes {
		for i := range group.Count {
			cfg.Nodes[fmt.Sprintf("%s-%d", group.Name, i)] = meter.Node{Budget: group.Budget, Resource: group.Resource, WattsPerGPU: group.WattsPerGPU.N}
		}
	}
	return cfg
}

func (g *stage) applyManifests(ctx context.Context) error {
	return g.apply(ctx, g.s.Manifests)
}

func (g *stage) apply(ctx context.Context, m scenario.Manifests) error {
	objects, err := m.Objects(g.clock.Now())
	if err != nil {
		return err
	}
	if err := movePorts(objects, g.moved); err != nil {
		return err
	}
	return g.writer.Apply(ctx, objects)
}

func (g *stage) startMeter(ctx context.Context) (err error) {
	cfg := g.meterConfig()
	g.observer = newObserver(cfg, g.clock)
	if err := g.observer.follow(ctx, g.client, g.anything); err != nil {
		return err
	}
	log := g.cluster.LogPath("meter")
	if g.readings, err = startMeter(g.opts.Self, g.dir, log, cfg); err != nil {
		return err
	}
	return until(ctx, 30*time.Second, func() error {
		if _, there := g.readings.last(); there {
			return nil
		}
		select {
		case <-g.readings.process.Done():
			return over{fmt.Errorf("the meter ended: %s", proc.LastLines(log, 1))}
		default:
			return errors.New("the meter took no sample yet")
		}
	})
}

func (g *stage) startOperator(ctx context.Context) error {
	kubeconfig, err := g.cluster.ServiceAccountKubeconfig(ctx, systemNamespace, operatorAccount)
	if err != nil {
		return err
	}
	again := proc.KubeletRestart
	if g.s.Operator.Restart == "Never" {
		again = proc.Restart{}
	}
	for i := range g.s.Operator.Replicas {
		metrics, err := cluster.FreePort()
		if err != nil {
			return err
		}
		env := append(os.Environ(), "POD_NAMESPACE="+systemNamespace, fmt.Sprintf("POD_NAME=operator-%d", i))
		for _, name := range slices.Sorted(maps.Keys(g.s.Operator.Env)) {
			env = append(env, name+"="+g.s.Operator.Env[name])
		}
		args := append([]string{
			"--kubeconfig", kubeconfig, "--namespace", systemNamespace, "--agent-image", "miner-agent:rehearsal",
			"--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", metrics), "--health-probe-bind-address", "0",
		}, g.s.Operator.Args...)
		spec := proc.Spec{Name: fmt.Sprintf("operator-%d", i), Path: filepath.Join(g.opts.BinDir, "operator"), Args: args, Env: env}
		if _, err := g.cluster.Serve(spec, again); err != nil {
			return err
		}
	}
	return nil
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
