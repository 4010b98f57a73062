package chart

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The commands of docs/install.md do what it says, and print what it shows. It comes before the package's other tests:
// namespaces that these have used take the control plane minutes to end.
func TestTheInstallPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bin")
	must(t, os.MkdirAll(path, 0o700))
	must(t, os.Symlink(tool("helm"), filepath.Join(path, "helm")))
	must(t, os.Symlink(kubernetes("kubectl"), filepath.Join(path, "kubectl")))
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	must(t, err)

	fresh(t)
	runs(t, path, string(page), "helm")
	runs(t, path, string(page), "uninstall")
	forget(t)
	fresh(t)
	runs(t, path, string(page), "kustomize")
	out, err := shell(t, path, "kubectl delete -k config/mining\nkubectl delete -k config/default")
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The overlay of the page makes everything for the other namespace, and nothing for the one it comes from; the
// rights are still the operator's.
func TestTheOverlayOfTheInstallPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	must(t, err)
	folder := t.TempDir()
	must(t, os.CopyFS(filepath.Join(folder, "config", "mining"), os.DirFS(filepath.Join(root, "config", "mining"))))
	must(t, os.Mkdir(filepath.Join(folder, "hall-2"), 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "hall-2", "kustomization.yaml"), []byte(fenced(t, string(page), "yaml overlay")), 0o600))
	out, err := run(t, kubernetes("kubectl"), "kustomize", filepath.Join(folder, "hall-2"))
	must(t, err)
	for _, o := range objectsOf(t, out) {
		if o.GetNamespace() != "hall-2" {
			t.Errorf("%s %s is in namespace %s", o.GetKind(), o.GetName(), o.GetNamespace())
		}
	}
	if !strings.Contains(out, "cidr: 10.30.0.0/16") || strings.Contains(out, "cidr: 10.20.0.0/15") {
		t.Error("agents reach other devices than the overlay says")
	}
	if !strings.Contains(out, "name: counterweight-operator\n  namespace: counterweight-system") {
		t.Error("the rights are not the operator's")
	}
}

// runs types a block of commands, and looks for the lines that the page shows.
func runs(t *testing.T, path, page, block string) {
	t.Helper()
	out, err := shell(t, path, fenced(t, page, "sh "+block))
	if err != nil {
		t.Fatalf("%s: %v: %s", block, err, out)
	}
	rest := strings.Join(strings.Fields(out), " ")
	for line := range strings.Lines(fenced(t, page, "text "+block)) {
		_, after, found := strings.Cut(rest, strings.Join(strings.Fields(line), " "))
		if !found {
			t.Fatalf("%s: does not print %q here: %s", block, line, rest)
		}
		rest = after
	}
}

func fenced(t *testing.T, page, info string) string {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```" + info + "\n(.*?)^```$").FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no block %q", info)
	}
	return found[1]
}

func shell(t *testing.T, path, commands string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", commands)
	cmd.Dir = root
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work, "PATH=" + path + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// fresh brings the cluster to where the page begins.
func fresh(t *testing.T) {
	t.Helper()
	for _, name := range []string{"mining", "counterweight-system", "ai"} {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		must(t, client.IgnoreNotFound(admin.Delete(t.Context(), n)))
		eventually(t, "namespace "+name+" goes", func(ctx context.Context) error {
			if err := admin.Get(ctx, client.ObjectKeyFromObject(n), n); !apierrors.IsNotFound(err) {
				return errorOr(err, "still there")
			}
			return nil
		})
	}
	namespace(t, "ai", nil)
}

// forget removes what an uninstall leaves.
func forget(t *testing.T) {
	t.Helper()
	for _, plural := range []string{"powerbudgets", "minerpools", "gpuworkloads", "curtailmentevents"} {
		name := plural + ".power.counterweight.dev"
		crd, err := exists(t.Context(), "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
		must(t, err) // each is left by the uninstall
		must(t, admin.Delete(t.Context(), crd))
		eventually(t, "CRD "+name+" goes", func(ctx context.Context) error {
			if _, err := exists(ctx, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name); !apierrors.IsNotFound(err) {
				return errorOr(err, "still there")
			}
			return nil
		})
	}
}
