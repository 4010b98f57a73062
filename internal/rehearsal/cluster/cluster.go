// Package cluster runs a real Kubernetes control plane on loopback ports, from the binaries that
// make controlplane builds: etcd, API server, controller manager and scheduler, each a process of its
// own. It knows nothing of budgets, miners or judgements.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// Names of the processes.
const (
	Etcd              = "etcd"
	APIServer         = "apiserver"
	ControllerManager = "controller-manager"
	Scheduler         = "scheduler"
)

// Options of a cluster.
type Options struct {
	// BinDir holds etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
	BinDir string
	// Dir takes data, certificates and logs.
	Dir string
	// Advertise is an address of this machine at which pods reach the API server, which then serves a real kubelet,
	// too; loopback alone if empty.
	Advertise netip.Addr
	// OnExit hears of every process that ended unasked.
	OnExit func(name string, exit proc.Exit)
}

// Cluster is a running control plane.
type Cluster struct {
	// Admin may do everything.
	Admin *rest.Config
	// Kubeconfig is a file with the same rights, for kubectl.
	Kubeconfig string

	opts  Options
	url   string
	certs *certs

	mu       sync.Mutex
	services []*proc.Service
}

// Binaries of the control plane, kubectl and kwok included.
var Binaries = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"}

// CheckBinaries says what is missing in a folder and how to get it.
func CheckBinaries(dir string, names []string, how string) error {
	files := os.DirFS(dir)
	for _, name := range names {
		info, err := fs.Stat(files, name)
		if err != nil || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is missing: %s", filepath.Join(dir, name), how)
		}
	}
	return nil
}

// restart of control plane processes: a static pod's kubelet is prompt.
var restart = proc.Restart{First: time.Second, Next: time.Second, Max: 10 * time.Second}

// Start runs the control plane and waits until its API answers. What was started is stopped again where
// an error is returned.
func Start(ctx context.Context, opts Options) (_ *Cluster, err error) {
	if err := CheckBinaries(opts.BinDir, Binaries, "run make controlplane"); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, Kubeconfig: filepath.Join(opts.Dir, "admin.kubeconfig")}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if err := c.prepare(); err != nil {
		return nil, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	c.url = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	c.Admin = c.certs.clientConfig(c.url)
	if err := writeKubeconfig(c.Kubeconfig, c.Admin); err != nil {
		return nil, err
	}
	if err := c.serve(Etcd, "etcd", c.etcdArgs(ports)...); err != nil {
		return nil, err
	}
	if err := c.serve(APIServer, "kube-apiserver", c.apiServerArgs(ports)...); err != nil {
		return nil, err
	}
	if err := c.waitReady(ctx); err != nil {
		return nil, err
	}
	if err := c.serve(ControllerManager, "kube-controller-manager", c.controllerManagerArgs(ports)...); err != nil {
		return nil, err
	}
	return c, c.serve(Scheduler, "kube-scheduler", c.schedulerArgs(ports)...)
}

func (c *Cluster) prepare() error {
	if err := os.MkdirAll(filepath.Join(c.opts.Dir, "logs"), 0o700); err != nil {
		return fmt.Errorf("making the work folder: %w", err)
	}
	certs, err := newCerts(c.opts.Dir, c.opts.Advertise)
	c.certs = certs
	return err
}

// Serve adds a process to the cluster: it is started again when it ends, and stopped with the rest.
func (c *Cluster) Serve(spec proc.Spec, again proc.Restart) (*proc.Service, error) {
	spec.LogPath = c.LogPath(spec.Name)
	s, err := proc.Serve(spec, again, c.opts.OnExit)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services = append(c.services, s)
	return s, nil
}

func (c *Cluster) serve(name, binary string, args ...string) error {
	_, err := c.Serve(proc.Spec{Name: name, Path: filepath.Join(c.opts.BinDir, binary), Args: args}, restart)
	return err
}

// LogPath of a process.
func (c *Cluster) LogPath(name string) string {
	return filepath.Join(c.opts.Dir, "logs", name+".log")
}

// Process finds a process by name; nil where there is none.
func (c *Cluster) Process(name string) *proc.Service {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.services {
		if s.Name() == name {
			return s
		}
	}
	return nil
}

// Stop ends everything. Data is thrown away, so nothing of the control plane needs to end gracefully;
// it may be called more than once.
func (c *Cluster) Stop() {
	c.mu.Lock()
	services := c.services
	c.services = nil
	c.mu.Unlock()
	var all sync.WaitGroup
	for _, s := range services {
		all.Go(func() { s.Stop(0) })
	}
	all.Wait()
}

// waitReady waits for the API, and tells what the log says where it does not come.
func (c *Cluster) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kubernetes.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	err = poll(ctx, func() error {
		if s := c.Process(APIServer); s.Restarts() > 2 {
			return fatal{errors.New("kube-apiserver ends again and again")}
		}
		_, err := client.RESTClient().Get().AbsPath("/readyz").Timeout(2 * time.Second).DoRaw(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server: %w; its log ends with:\n%s", err, proc.LastLines(c.LogPath(APIServer), 5))
	}
	return checkVersion(client)
}
