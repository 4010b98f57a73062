//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var (
	// during ends with the test, also when it is interrupted.
	during     context.Context
	root       string
	work       string // hack/e2e.sh removes it
	kubeconfig string
	config     *rest.Config
	admin      client.Client
	place      placed
)

// placed is what differs between a node that the test made and a cluster that was there.
type placed struct {
	images      string // repository of all images
	devices     string // addresses of the miners
	hostNetwork bool
	restricted  bool   // pod security of the mining namespace
	patched     bool   // the accelerators are the test's
	drains      string // label selector of the pods that a drain takes
	watts       func(context.Context) (float64, error)
	stop        func()
}

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	during = ctx
	code := 1
	err := prepare()
	if err == nil {
		code = m.Run()
		keep()
	}
	if place.stop != nil {
		place.stop()
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	os.Exit(code)
}

// keep leaves the node running to look around, until somebody interrupts it.
func keep() {
	if os.Getenv("E2E_KEEP") == "" || during.Err() != nil {
		return
	}
	fmt.Printf("e2e: the node runs on until Ctrl-C. In its namespaces, with its kubeconfig:\n"+
		"  nsenter --target %s --net --mount --pid env KUBECONFIG=%s PATH=%s:$PATH bash\n", hostPID(), kubeconfig, filepath.Dir(binary("kubectl")))
	<-during.Done()
}

// hostPID is this process's number outside of the node's namespaces.
func hostPID() string {
	if pid := os.Getenv("E2E_OUTSIDE"); pid != "" {
		return "$(pgrep -P $(pgrep -P " + pid + " unshare))"
	}
	return "PID"
}

func prepare() (err error) {
	if root, err = testenv.Root(); err != nil {
		return err
	}
	if work = os.Getenv("E2E_WORK"); work == "" {
		return errors.New("E2E_WORK is not set: run make e2e")
	}
	if kubeconfig = os.Getenv("E2E_KUBECONFIG"); kubeconfig != "" {
		err = joinCluster()
	} else {
		err = makeNode()
	}
	if err != nil {
		return err
	}
	return connect()
}

// connect makes the client, once there is a cluster.
func connect() (err error) {
	if admin != nil {
		return nil
	}
	if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = -1, -1
	known := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(known), powerv1.AddToScheme(known)); err != nil {
		return err
	}
	admin, err = client.New(config, client.Options{Scheme: known})
	return err
}

func tool(name string) string { return filepath.Join(root, "bin", "tools", name) }

func binary(name string) string { return filepath.Join(root, "bin", "k8s", name) }

func version() string {
	if v := os.Getenv("E2E_VERSION"); v != "" {
		return v
	}
	return "0.1.0"
}
