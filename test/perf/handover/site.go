// Package handover measures the real operator on a real API server: how soon a gated pod's watts are ordered
// from the miners and its gate opens, what that writes, what it writes when nothing happens, and how much
// memory a large site takes. Nodes are objects, agents are models that speak the real protocol.
package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
	"github.com/counterweight-dev/counterweight/internal/testenv"
	"github.com/counterweight-dev/counterweight/test/perf/await"
)

// Shape of a site.
type Shape struct {
	Pools, AgentsPerPool, DevicesPerAgent int
	Nodes                                 int
	// Settle is the models' device time.
	Settle time.Duration
	// Share of the miners' rated watts that the limit leaves for them and for AI.
	LimitPercent int
}

// Agents and ASICs of the whole site.
func (sh Shape) Agents() int { return sh.Pools * sh.AgentsPerPool }

// ASICs of the whole site.
func (sh Shape) ASICs() int { return sh.Agents() * sh.DevicesPerAgent }

// Where things are.
const (
	systemNamespace = "counterweight-system"
	miningNamespace = "mining"
	workNamespace   = "ai"
	gpu             = "nvidia.com/gpu"
	gpusPerNode     = 8
	admissionLabel  = powerv1.AdmissionLabel
	admissionGated  = powerv1.AdmissionGated
)

// site is everything that runs.
type site struct {
	Shape
	bin, dir, auditLog, metrics string
	config                      *rest.Config
	client                      kubernetes.Interface
	writer                      *cluster.Writer
	operator                    *proc.Process
	stops                       []func()
	background                  sync.WaitGroup

	mu      sync.Mutex
	models  []*model
	lowered time.Time // the newest lease that took watts
	lowers  int
}

// withSite starts an API server with the operator's definitions, and ends everything.
func withSite(ctx context.Context, bin string, sh Shape, use func(context.Context, *site) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &site{Shape: sh, bin: bin}
	defer func() {
		cancel()
		for _, stop := range s.stops {
			defer stop()
		}
		if s.operator != nil {
			s.operator.Stop(time.Second)
		}
		s.background.Wait()
	}()
	if s.dir, err = os.MkdirTemp("", "bench-operator-"); err != nil {
		return fmt.Errorf("making the work folder: %w", err)
	}
	s.stops = append(s.stops, func() { _ = os.RemoveAll(s.dir) })
	if err := s.startServer(); err != nil {
		return err
	}
	if err := s.namespaces(ctx); err != nil {
		return err
	}
	if err := use(ctx, s); err != nil {
		if s.operator != nil {
			err = fmt.Errorf("%w; the operator's log ends with:\n%s", err, proc.LastLines(filepath.Join(s.dir, "operator.log"), 5))
		}
		return err
	}
	return nil
}

// failed is what the test environment asks of a test.
type failed struct{ err error }

func (f *failed) Helper() {}

func (f *failed) Errorf(format string, args ...any) {
	f.err = errors.Join(f.err, fmt.Errorf(format, args...))
}

func (f *failed) Fatalf(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

func (s *site) startServer() (err error) {
	policy := filepath.Join(s.dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	s.auditLog = filepath.Join(s.dir, "audit.log")
	f := &failed{}
	defer func() {
		if r, ok := recover().(error); ok {
			err = r
		}
	}()
	var stop func()
	s.config, stop = testenv.Start(f, func(e *envtest.Environment) {
		e.ControlPlane.GetAPIServer().Configure().Append("audit-policy-file", policy).Append("audit-log-path", s.auditLog)
	})
	s.stops = append(s.stops, stop)
	s.config.UserAgent = "bench"
	if s.client, err = kubernetes.NewForConfig(s.config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	s.writer, err = cluster.NewWriter(s.config)
	return err
}

func (s *site) namespaces(ctx context.Context) error {
	for name, labels := range map[string]map[string]string{systemNamespace: nil, miningNamespace: nil, workNamespace: {admissionLabel: admissionGated}} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		if _, err := s.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	return nil
}

// install applies roles and policies, as an installation of the operator would.
func (s *site) install(ctx context.Context) error {
	root, err := testenv.Root()
	if err != nil {
		return err
	}
	files, err := cluster.YAMLFiles(filepath.Join(root, "config", "rbac"), filepath.Join(root, "config", "policy"))
	if err != nil {
		return err
	}
	files = append(files, filepath.Join(root, "config", "mining", "role.yaml"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the project's manifests: %w", err)
		}
		if err := s.apply(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return s.awaitGate(ctx)
}

func (s *site) apply(ctx context.Context, text string) error {
	objects, err := scenario.Parse(text)
	if err != nil {
		return err
	}
	return s.writer.Apply(ctx, objects)
}

// awaitGate waits until the policies are in force.
func (s *site) awaitGate(ctx context.Context) error {
	return await.Until(ctx, 30*time.Second, 100*time.Millisecond, func() error {
		pod, err := s.client.CoreV1().Pods(workNamespace).Create(ctx, gpuPod("check", "none", gpusPerNode), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return fmt.Errorf("waiting for the policies: %w", err)
		}
		if len(pod.Spec.SchedulingGates) == 0 {
			return errors.New("waiting for the policies: an accelerator pod gets no gate")
		}
		return nil
	})
}

// memoryLimit is that of the operator's container, as the chart has it.
func memoryLimit() (string, error) {
	root, err := testenv.Root()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "charts", "counterweight", "values.yaml"))
	if err != nil {
		return "", fmt.Errorf("reading the chart's values: %w", err)
	}
	var values struct {
		Resources struct{ Limits struct{ Memory string } }
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return "", fmt.Errorf("reading the chart's values: %w", err)
	}
	return values.Resources.Limits.Memory, nil
}

// startOperator runs the real binary against the API server.
func (s *site) startOperator() (err error) {
	path := filepath.Join(s.dir, "kubeconfig")
	c := clientcmdapi.NewConfig()
	c.Clusters["bench"] = &clientcmdapi.Cluster{Server: s.config.Host, CertificateAuthorityData: s.config.CAData}
	c.AuthInfos["bench"] = &clientcmdapi.AuthInfo{ClientCertificateData: s.config.CertData, ClientKeyData: s.config.KeyData, Token: s.config.BearerToken}
	c.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	c.CurrentContext = "bench"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		return err
	}
	memory, err := memoryLimit()
	if err != nil {
		return err
	}
	s.metrics = fmt.Sprintf("127.0.0.1:%d", port)
	s.operator, err = proc.Start(proc.Spec{
		Name: "operator", Path: filepath.Join(s.bin, "operator"), LogPath: filepath.Join(s.dir, "operator.log"),
		Args: []string{
			"--kubeconfig", path, "--namespace", systemNamespace, "--agent-image", "model", "--memory-limit", memory,
			"--metrics-bind-address", s.metrics, "--metrics-secure=false", "--health-probe-bind-address", "0",
		},
	})
	return err
}
