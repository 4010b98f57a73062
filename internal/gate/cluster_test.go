package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

// The cast of the tests. red and blue are enrolled, green is not; the tenant has ClusterRole admin in all.
const (
	red, blue, green = "red", "blue", "green"
	tenantName       = "tenant"
	node             = "node-1"
)

// cluster is a real API server with this project's CRDs, roles and policies, and the controllers of
// kube-controller-manager that touch pods or aggregate roles.
type cluster struct {
	config                  *rest.Config
	admin, tenant, operator client.Client
}

var (
	once     sync.Once
	shared   *cluster
	startErr error
	cleanup  []func()
)

func TestMain(m *testing.M) {
	logf.SetLogger(logr.Discard())
	code := m.Run()
	for _, undo := range slices.Backward(cleanup) {
		undo()
	}
	os.Exit(code)
}

// startCluster returns the cluster that all tests of this package share.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	once.Do(func() { shared, startErr = newCluster() })
	if startErr != nil {
		t.Fatal(startErr)
	}
	return shared
}

func newCluster() (*cluster, error) {
	ctx := context.Background()
	var env *envtest.Environment
	config, stop, err := testenv.New(func(e *envtest.Environment) {
		e.ControlPlane.GetAPIServer().Configure().
			Set("authorization-mode", "Node", "RBAC").
			Append("enable-admission-plugins", "NodeRestriction")
		env = e
	})
	if err != nil {
		return nil, err
	}
	cleanup = append(cleanup, func() { _ = stop() })
	c := &cluster{config: config}
	if err := startControllers(env); err != nil {
		return nil, err
	}
	c.admin = c.as(rest.ImpersonationConfig{})
	c.tenant = c.as(rest.ImpersonationConfig{UserName: tenantName, Groups: []string{"system:authenticated"}})
	c.operator = c.as(rest.ImpersonationConfig{UserName: gate.Operator, Groups: []string{"system:serviceaccounts"}})
	namespace, err := decodeFile("../../config/manager/namespace.yaml")
	if err != nil {
		return nil, err
	}
	if err := c.admin.Create(ctx, namespace[0]); err != nil {
		return nil, err
	}
	for _, dir := range []string{"rbac", "policy"} {
		if err := c.applyFolder(ctx, filepath.Join("../../config", dir)); err != nil {
			return nil, err
		}
	}
	if err := c.populate(ctx); err != nil {
		return nil, err
	}
	return c, c.waitForPolicies(ctx)
}

// startControllers runs kube-controller-manager, each controller under its own ServiceAccount.
func startControllers(env *envtest.Environment) error {
	user, err := env.AddUser(envtest.User{Name: "controllers", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return fmt.Errorf("making a user for the controllers: %w", err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	dir, err := os.MkdirTemp("", "gate-test-")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(env.BinaryAssetsDirectory, "kube-controller-manager"),
		"--kubeconfig="+path, "--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=true",
		"--controllers=clusterrole-aggregation-controller,garbage-collector-controller,namespace-controller,"+
			"job-controller,cronjob-controller,deployment-controller,replicaset-controller,statefulset-controller,"+
			"daemonset-controller,validatingadmissionpolicy-status-controller")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting kube-controller-manager: %w", err)
	}
	cleanup = append(cleanup, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	return nil
}

func (c *cluster) as(who rest.ImpersonationConfig) client.Client {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, powerv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	config := rest.CopyConfig(c.config)
	config.Impersonate = who
	made, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		panic(err)
	}
	return made
}

// applyFolder creates every object of a folder of manifests. Roles of the operator come before what needs
// them only by the order of the files, as with kubectl.
func (c *cluster) applyFolder(ctx context.Context, dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no manifests in %s: %w", dir, err)
	}
	for _, path := range paths {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		objects, err := decodeFile(path)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := c.admin.Create(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

func decodeFile(path string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	objects, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return objects, nil
}

func decode(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := reader.Decode(&o.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
	if len(objects) == 0 {
		return nil, errors.New("no objects")
	}
	return objects, nil
}

// populate makes the namespaces and the tenant.
func (c *cluster) populate(ctx context.Context) error {
	objects := []client.Object{&corev1.Node{ObjectMeta: named("", node)}}
	for _, ns := range []string{red, blue, green} {
		n := &corev1.Namespace{ObjectMeta: named("", ns)}
		if ns != green {
			n.Labels = map[string]string{powerv1.AdmissionLabel: powerv1.AdmissionGated}
		}
		objects = append(objects, n, &rbacv1.RoleBinding{
			ObjectMeta: named(ns, tenantName),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenantName}},
		})
	}
	for _, o := range objects {
		if err := c.admin.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %s: %w", o.GetName(), err)
		}
	}
	// A new node has a taint until its kubelet reports; a DaemonSet makes no pod for it before that.
	return c.admin.Patch(ctx, &corev1.Node{ObjectMeta: named("", node)},
		client.RawPatch(types.MergePatchType, []byte(`{"spec":{"taints":null}}`)))
}

// eventually polls until check returns nil; policies and role bindings take up to about a second to come
// into force.
func eventually(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

func mustEventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := eventually(t.Context(), check); err != nil {
		t.Fatal(err)
	}
}
