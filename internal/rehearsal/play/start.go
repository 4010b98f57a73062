package play

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/counterweight-dev/counterweight/internal/outage"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/played"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

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
	return g.awaitSim(ctx, sim)
}

func (g *stage) awaitSim(ctx context.Context, sim *proc.Service) error {
	return until(ctx, time.Minute, func() error {
		if !sim.Running() {
			return over{fmt.Errorf("asic-sim ended: %s", proc.LastLines(sim.LogPath(), 1))}
		}
		return g.machines.ready(ctx)
	})
}

// restartSim brings the machines' power back. What they were told is forgotten; what is wrong with them is not.
func (g *stage) restartSim(ctx context.Context, sim *proc.Service) error {
	if sim.Running() {
		return nil
	}
	if err := sim.Start(); err != nil {
		return err
	}
	if err := g.awaitSim(ctx, sim); err != nil {
		return err
	}
	return g.machines.again(ctx)
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
	if objects, err = g.withGrants(objects); err != nil {
		return err
	}
	return g.writer.Apply(ctx, objects)
}

// withGrants puts before the first MinerPool of each namespace what an installation grants the operator there.
func (g *stage) withGrants(objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	granted := map[string]bool{}
	for _, o := range objects {
		if namespace := o.GetNamespace(); o.GetKind() == "MinerPool" && namespace != "" && !granted[namespace] {
			granted[namespace] = true
			text, err := os.ReadFile(filepath.Join(g.opts.ConfigDir, "mining", "role.yaml"))
			if err != nil {
				return nil, fmt.Errorf("reading the project's manifests: %w", err)
			}
			grants, err := scenario.Parse(string(text))
			if err != nil {
				return nil, fmt.Errorf("the rights in a mining namespace: %w", err)
			}
			for _, grant := range grants {
				grant.SetNamespace(namespace)
				out = append(out, grant)
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// refusedWith says what is wrong with an answer to manifests that the API must refuse in these words. One
// that gave no answer in time refused nothing.
func refusedWith(words string, answer error) error {
	switch {
	case answer == nil:
		return fmt.Errorf("the API took it; want it refused with %q", words)
	case errors.Is(answer, context.DeadlineExceeded) || !strings.Contains(answer.Error(), words):
		return fmt.Errorf("want it refused with %q: %w", words, answer)
	}
	return nil
}

// watch what the judgement rests on, also right after the API server was away.
func (g *stage) watch(ctx context.Context) error {
	patient := outage.Patient(g.cluster.Admin, meter.AskAgain)
	client, err := kubernetes.NewForConfig(patient)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	anything, err := dynamic.NewForConfig(patient)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if err := g.election.follow(ctx, client); err != nil {
		return err
	}
	return g.observer.follow(ctx, client, anything)
}

func (g *stage) startMeter(ctx context.Context) (err error) {
	cfg := g.meterConfig()
	g.observer = newObserver(cfg, g.clock)
	g.election = newElection(g.client, g.clock)
	if err := g.watch(ctx); err != nil {
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
			"--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", metrics), "--metrics-secure=false", "--health-probe-bind-address", "0",
		}, g.s.Operator.Args...)
		spec := proc.Spec{Name: fmt.Sprintf("operator-%d", i), Path: filepath.Join(g.opts.BinDir, "operator"), Args: args, Env: env}
		if _, err := g.cluster.Serve(spec, again); err != nil {
			return err
		}
	}
	return nil
}
