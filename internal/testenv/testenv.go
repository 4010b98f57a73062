// Package testenv gives a test suite a real API server with this repository's CRDs installed. It starts
// etcd and kube-apiserver and nothing else: no controllers, no scheduler, no nodes.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// assetsEnv overrides where the control plane's binaries are looked for, as everywhere with envtest.
const assetsEnv = "KUBEBUILDER_ASSETS"

// binaries are what a suite needs of bin/k8s.
var binaries = []string{"etcd", "kube-apiserver"}

// TB is what Start needs of a test: testing.T, testing.B and GinkgoT() all have it.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Option changes the environment before it starts, e.g. to add flags of the API server.
type Option func(*envtest.Environment)

// Start starts an API server and fails the test where it can't. The caller calls stop when done; calling
// it again does nothing.
func Start(tb TB, options ...Option) (config *rest.Config, stop func()) {
	tb.Helper()
	config, halt, err := New(options...)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return config, sync.OnceFunc(func() {
		if err := halt(); err != nil {
			tb.Errorf("stopping the API server: %v", err)
		}
	})
}

// Run runs a package's tests on one API server, which use is handed before the first of them. It is for
// TestMain: os.Exit(testenv.Run(m, use)).
func Run(m *testing.M, use func(*rest.Config), options ...Option) int {
	config, halt, err := New(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	use(config)
	code := m.Run()
	if err := halt(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the API server:", err)
		return 1
	}
	return code
}

// New starts an API server for who has no test at hand to fail; the caller calls stop when done.
func New(options ...Option) (config *rest.Config, stop func() error, err error) {
	root, err := Root()
	if err != nil {
		return nil, nil, err
	}
	assets, err := assetsIn(root)
	if err != nil {
		return nil, nil, err
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		// Busy machines start etcd slowly; a suite that would have passed must not fail for it.
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	for _, option := range options {
		option(environment)
	}
	config, err = patiently(environment)
	if err != nil {
		return nil, nil, fmt.Errorf("starting an API server from %s: %w", assets, err)
	}
	// Suites are bound by the API server, not by a client's manners.
	config.QPS, config.Burst = -1, -1
	return config, environment.Stop, nil
}

// namespaceWaits is how often the five seconds are waited that envtest gives a new API server to write its
// default namespace.
const namespaceWaits = 24

// patiently starts an environment, and stops it again where it can't. envtest gives up five seconds
// after the API server is healthy if it has no default namespace, whatever the start timeouts say. Where
// that happens the server runs and its config is known, so the same server is waited for once more.
func patiently(environment *envtest.Environment) (*rest.Config, error) {
	existing := environment.UseExistingCluster
	config, err := environment.Start()
	for range namespaceWaits {
		if !wait.Interrupted(err) || environment.Config == nil {
			break
		}
		environment.UseExistingCluster = new(true)
		config, err = environment.Start()
	}
	environment.UseExistingCluster = existing // Stop stops only what is not said to be there already.
	if err != nil {
		return nil, errors.Join(err, environment.Stop())
	}
	return config, nil
}

// Root is the directory of this repository, found upwards from where the test runs.
func Root() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "PROJECT")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the repository: no PROJECT file in %s or above it", here)
		}
	}
}

// assetsIn is the directory of the control plane's binaries, checked to hold them.
func assetsIn(root string) (string, error) {
	dir := os.Getenv(assetsEnv)
	if dir == "" {
		dir = filepath.Join(root, "bin", "k8s")
	}
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil { //nolint:gosec // whoever runs the tests says where
			return "", fmt.Errorf("no %s in %s: run make controlplane (about 8 minutes the first time), or set %s to a directory that has it", name, dir, assetsEnv)
		}
	}
	return dir, nil
}
