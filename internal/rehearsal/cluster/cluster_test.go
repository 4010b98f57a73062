package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

func binDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "bin", "k8s")
	}
	if err := CheckBinaries(dir, Binaries, ""); err != nil {
		t.Skipf("no control plane here: %v", err)
	}
	return dir
}

func TestControlPlane(t *testing.T) {
	c, err := Start(t.Context(), Options{BinDir: binDir(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	w, err := NewWriter(c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := scenario.Parse(`
apiVersion: v1
kind: Namespace
metadata: {name: somewhere}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: somebody, namespace: somewhere}
---
apiVersion: v1
kind: Pod
metadata: {name: early, namespace: somewhere}
spec: {containers: [{name: c, image: none}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), objects); err != nil {
		t.Fatalf("a pod right after its namespace, before its default ServiceAccount: %v", err)
	}
	if got := whoIs(t, c, "somewhere", "somebody"); got != "system:serviceaccount:somewhere:somebody" {
		t.Errorf("the token belongs to %q", got)
	}
	pids := c.pids()
	c.Stop()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d lives on", pid)
		}
	}
	if len(pids) != 4 {
		t.Errorf("want 4 processes, had %d", len(pids))
	}
}

func (c *Cluster) pids() []int {
	var out []int
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
		if s := c.Process(name); s != nil {
			out = append(out, s.Pid())
		}
	}
	return out
}

func whoIs(t *testing.T, c *Cluster, namespace, name string) string {
	t.Helper()
	path, err := c.ServiceAccountKubeconfig(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	review, err := kubernetes.NewForConfigOrDie(cfg).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username
}

func TestStartNamesAMissingBinary(t *testing.T) {
	_, err := Start(context.Background(), Options{BinDir: t.TempDir(), Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "etcd is missing: run make controlplane") {
		t.Errorf("got: %v", err)
	}
}

func TestOldServersAreRefused(t *testing.T) {
	cases := map[string]string{
		"v1.36.3": "", "v1.36.0-rc.1": "", "v1.37.0+x": "",
		"v1.35.9": "Counterweight needs Kubernetes 1.36 or newer", "nonsense": "can't be read",
	}
	for version, want := range cases {
		err := versionProblem(version)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v", version, err)
		}
	}
}

func TestYAMLFilesLeavesKustomizeOut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yaml", "kustomization.yaml", "notes.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := YAMLFiles(dir)
	if err != nil || len(got) != 2 || filepath.Base(got[0]) != "a.yaml" {
		t.Errorf("got %v, %v", got, err)
	}
}
