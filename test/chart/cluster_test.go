package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var (
	root       string
	work       string // a folder that is removed in the end
	config     *rest.Config
	kubeconfig string
	admin      client.Client
	playing    sync.WaitGroup // what runs beside the tests
)

func TestMain(m *testing.M) {
	var env *envtest.Environment
	var err error
	if root, err = testenv.Root(); err == nil {
		work, err = os.MkdirTemp("", "chart-test-")
	}
	if err == nil {
		_, err = os.Stat(tool("helm"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err, "(make helm-test builds what the tests need)")
		os.Exit(1)
	}
	cfg, stop := testenv.Start(outside{}, func(e *envtest.Environment) {
		e.CRDDirectoryPaths = nil // the chart brings them
		env = e
	})
	ctx, cancel := context.WithCancel(context.Background())
	code := 1
	if err := start(ctx, env, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
	} else {
		code = m.Run()
	}
	cancel()
	playing.Wait() // the API server waits for those who watch it
	stop()
	_ = os.RemoveAll(work)
	os.Exit(code)
}

// outside stands for the test where none runs yet.
type outside struct{}

func (outside) Helper() {}

func (outside) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "chart: "+format+"\n", args...)
}

func (o outside) Fatalf(format string, args ...any) {
	o.Errorf(format, args...)
	os.Exit(1)
}

func tool(name string) string { return filepath.Join(root, "bin", "tools", name) }

func kubernetes(name string) string {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join(root, "bin", "k8s")
	}
	return filepath.Join(dir, name)
}

func start(ctx context.Context, env *envtest.Environment, cfg *rest.Config) error {
	config = cfg
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return fmt.Errorf("making a user: %w", err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	kubeconfig = filepath.Join(work, "kubeconfig")
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		return err
	}
	known := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(known), powerv1.AddToScheme(known)); err != nil {
		return err
	}
	if admin, err = client.New(cfg, client.Options{Scheme: known}); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(work, "operator"), "./cmd/operator")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the operator: %w: %s", err, out)
	}
	controllers := exec.CommandContext(ctx, kubernetes("kube-controller-manager"),
		"--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=true",
		"--controllers=deployment-controller,replicaset-controller,statefulset-controller,job-controller,"+
			"garbage-collector-controller,namespace-controller,validatingadmissionpolicy-status-controller")
	if err := controllers.Start(); err != nil {
		return fmt.Errorf("starting kube-controller-manager: %w", err)
	}
	playing.Go(func() { _ = controllers.Wait() })
	playing.Go(func() { playKubelet(ctx) })
	return nil
}

// playKubelet runs the pods of hooks, with the operator's own program, and says of the operator's that they are up.
func playKubelet(ctx context.Context) {
	for ctx.Err() == nil {
		var pods corev1.PodList
		if err := admin.List(ctx, &pods, client.MatchingLabels{"app.kubernetes.io/name": "counterweight"}); err == nil {
			for i := range pods.Items {
				playPod(ctx, &pods.Items[i])
			}
		}
		time.Sleep(100 * time.Millisecond) // between two looks; nothing is judged by it
	}
}

func playPod(ctx context.Context, pod *corev1.Pod) {
	if pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
		return
	}
	switch pod.Labels["app.kubernetes.io/component"] {
	case "operator":
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		lead(ctx, pod)
	case "test", "uninstall":
		pod.Status.Phase = corev1.PodSucceeded
		if out, err := runAs(ctx, pod); err != nil {
			fmt.Fprintf(os.Stderr, "pod %s: %v: %s\n", pod.Name, err, out)
			pod.Status.Phase = corev1.PodFailed
		}
	default:
		return
	}
	_ = admin.Status().Update(ctx, pod)
}

// lead plays the leader's Lease.
func lead(ctx context.Context, pod *corev1.Pod) {
	_ = admin.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: "counterweight-operator"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &pod.Name, RenewTime: new(metav1.NewMicroTime(time.Now().Add(time.Hour)))},
	})
}

// runAs runs the operator with a pod's arguments and the rights of its ServiceAccount.
func runAs(ctx context.Context, pod *corev1.Pod) ([]byte, error) {
	path, err := asServiceAccount(pod.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(work, "operator"), pod.Spec.Containers[0].Args...)
	cmd.Env = []string{"KUBECONFIG=" + path, "POD_NAMESPACE=" + pod.Namespace}
	return cmd.CombinedOutput()
}

// asServiceAccount writes a kubeconfig with the rights of a ServiceAccount.
func asServiceAccount(namespace, name string) (string, error) {
	cfg, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return "", err
	}
	for _, user := range cfg.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + namespace + ":" + name
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
	}
	path := filepath.Join(work, namespace+"-"+name)
	return path, clientcmd.WriteToFile(*cfg, path)
}

// helm runs Helm on the cluster of the test.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, tool("helm"), args...)
}

func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work, "PATH=" + os.Getenv("PATH")}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.String(), nil
}

func mustHelm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := helm(t, args...)
	if err != nil {
		t.Fatalf("helm %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func chartFolder() string { return filepath.Join(root, "charts", "counterweight") }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until done succeeds: for controllers, and for what the API server takes in late.
func eventually(t *testing.T, what string, done func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = done(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

// namespace makes a namespace under restricted pod security; what is there stays.
func namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	maps.Copy(n.Labels, labels)
	if err := admin.Create(t.Context(), n); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
}

// objectsOf reads the objects of manifests.
func objectsOf(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// exists reads an object by group, version, kind and name.
func exists(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	err := admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)
	return o, err
}
