// Command operator is the Counterweight manager: flags in, controllers.Setup, out. With check it tells instead
// whether an installation works, with open-gates it opens what an uninstalled operator would leave closed, and with
// replace-authority it takes the next step from one certificate authority to another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/outage"
)

// leastMinor is the least Kubernetes 1.x with MutatingAdmissionPolicy v1, which makes the gate.
const leastMinor = 36

type flags struct {
	namespace, probes, image, table, memory string
	metrics                                 metricsFlags
}

func main() {
	var f flags
	flag.StringVar(&f.namespace, "namespace", envOr("POD_NAMESPACE", "counterweight-system"), "the operator's own namespace (POD_NAMESPACE)")
	f.metrics.register(flag.CommandLine)
	flag.StringVar(&f.probes, "health-probe-bind-address", ":8081", "where /healthz and /readyz are served; 0 is nowhere")
	flag.StringVar(&f.image, "agent-image", "counterweight/miner-agent:0.1.0", "the image of mining pods whose MinerPool names none")
	flag.StringVar(&f.table, "accelerators", "", "a file with what accelerators draw, in place of the built-in table")
	flag.StringVar(&f.memory, "memory-limit", os.Getenv("MEMORY_LIMIT"),
		"the container's memory limit, which the garbage collector then heeds (MEMORY_LIMIT); GOMEMLIMIT goes before it")
	options := zap.Options{}
	options.BindFlags(flag.CommandLine)
	command, args := "", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	_ = flag.CommandLine.Parse(args) // exits where it can't
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options)))
	err := limitMemory(f.memory)
	if err == nil {
		err = do(ctrl.SetupSignalHandler(), command, f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

// do runs the manager, or what is to be done once instead.
func do(ctx context.Context, command string, f flags) error {
	if command == "" {
		return run(ctx, f)
	}
	once := map[string]func(context.Context, client.Client, string) error{
		"check": func(ctx context.Context, c client.Client, namespace string) error {
			return (&checking{Reader: c, namespace: namespace, clock: time.Now, sleep: sleep, say: say}).run(ctx)
		},
		"open-gates": func(ctx context.Context, c client.Client, namespace string) error {
			return (&leaving{Client: c, namespace: namespace, sleep: sleep, say: say}).run(ctx)
		},
		"replace-authority": func(ctx context.Context, c client.Client, namespace string) error {
			return (&replacing{Client: c, namespace: namespace, clock: time.Now, say: say}).run(ctx)
		},
	}[command]
	if once == nil {
		return fmt.Errorf("no such command: %s; there are check, open-gates and replace-authority, and none for the manager itself", command)
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w; set --kubeconfig or run in a cluster", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("making a client of the API server: %w", err)
	}
	return once(ctx, c, f.namespace)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}

func scheme() *runtime.Scheme {
	known := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(known))
	utilruntime.Must(powerv1.AddToScheme(known))
	return known
}

func envOr(name, other string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return other
}

// limitMemory has garbage collected before a container's limit is met. A fifth is left for what the collector
// does not count: the program itself, sockets, the page cache.
func limitMemory(text string) error {
	if text == "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	limit, err := resource.ParseQuantity(text)
	if err != nil || limit.Sign() <= 0 {
		return fmt.Errorf("--memory-limit: %q is no amount of memory, such as 576Mi", text)
	}
	debug.SetMemoryLimit(limit.Value() / 5 * 4)
	return nil
}

func run(ctx context.Context, f flags) error {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w; set --kubeconfig or run in a cluster", err)
	}
	cfg.QPS = -1 // the API server's own priority and fairness limits us; a hand-over must not queue here
	if err := checkCluster(ctx, cfg, f.namespace); err != nil {
		return err
	}
	table, err := loadTable(f.table)
	if err != nil {
		return err
	}
	name, err := candidate()
	if err != nil {
		return err
	}
	leader, err := controllers.NewLeader(cfg, f.namespace, name, time.Now)
	if err != nil {
		return fmt.Errorf("standing for election: %w", err)
	}
	ctx, depose := context.WithCancelCause(ctx)
	defer depose(nil)
	mgr, err := newManager(cfg, f, leader)
	if err != nil {
		return err
	}
	if err := controllers.Setup(ctx, mgr, controllers.Options{
		Namespace: f.namespace, AgentImage: f.image, Table: table, Leader: leader, Depose: depose,
	}); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running: %w", err)
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("stopped leading: %w", cause)
	}
	return nil
}

// candidate is this process's name in the election: its pod's.
func candidate() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("naming this candidate: %w", err)
	}
	return envOr("POD_NAME", host), nil
}

func newManager(cfg *rest.Config, f flags, leader *controllers.Leader) (ctrl.Manager, error) {
	served, err := f.metrics.options()
	if err != nil {
		return nil, err
	}
	lease, renew, retry := controllers.LeaseDuration, controllers.RenewDeadline, controllers.RetryPeriod
	mgr, err := ctrl.NewManager(controllers.Fenced(cfg, leader), ctrl.Options{
		NewCache: func(cfg *rest.Config, o cache.Options) (cache.Cache, error) {
			return cache.New(outage.Patient(cfg, time.Second), o)
		},
		Scheme: scheme(), Cache: controllers.CacheOptions(), Client: controllers.ClientOptions(),
		Metrics: served, HealthProbeBindAddress: f.probes,
		LeaderElection: true, LeaderElectionResourceLockInterface: leader, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry,
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("adding probes: %w", err)
	}
	return mgr, nil
}

// checkCluster refuses a cluster in which the operator could not do its work.
func checkCluster(ctx context.Context, cfg *rest.Config, namespace string) error {
	if err := checkVersion(cfg); err != nil {
		return err
	}
	return checkRights(ctx, cfg, namespace)
}

// checkVersion refuses an API server that can't make the gate.
func checkVersion(cfg *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return fmt.Errorf("asking the API server for its version: %w", err)
	}
	v, err := client.ServerVersion()
	if err != nil {
		return fmt.Errorf("asking the API server for its version: %w", err)
	}
	major, errMajor := strconv.Atoi(v.Major)
	minor, errMinor := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	if errMajor != nil || errMinor != nil || major != 1 || minor < leastMinor {
		return fmt.Errorf("the API server is Kubernetes %s; Counterweight needs 1.%d or newer (MutatingAdmissionPolicy v1)", v.GitVersion, leastMinor)
	}
	return nil
}

func loadTable(path string) (*gate.Table, error) {
	if path == "" {
		return gate.Builtin(), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--accelerators: %w", err)
	}
	defer func() { _ = file.Close() }()
	table, err := gate.LoadTable(file)
	if err != nil {
		return nil, fmt.Errorf("--accelerators %s: %w", path, err)
	}
	return table, nil
}
