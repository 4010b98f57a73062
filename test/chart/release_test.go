package chart

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

const power = "power" // the namespace of the release

// A release lives: install, test, upgrade with a changed CRD, rollback, uninstall, and again. What people and
// machines have then is what they had.
func TestARelease(t *testing.T) {
	namespace(t, power, nil)
	namespace(t, "mining", nil)
	namespace(t, "ai", nil)
	install := []string{"install", "cw", chartFolder(), "-n", power, "--set", "mining[0].namespace=mining", "--set", "mining[0].devices={10.20.0.0/15}"}
	began := time.Now()
	notes := mustHelm(t, install...)
	t.Logf("helm install took %v", time.Since(began).Round(time.Millisecond))
	for _, want := range []string{"helm test cw -n power", "helm uninstall cw -n power", "MinerPools go into mining."} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes don't say %q", want)
		}
	}
	refusesASecond(t)
	rightsStayWhereTheyAreListed(t)
	mustHelm(t, "test", "cw", "-n", power, "--timeout", "2m")

	site := populate(t)
	site.check(t, "after installing")
	upgradeAndBack(t, site)

	mustHelm(t, "uninstall", "cw", "-n", power, "--timeout", "2m")
	site.check(t, "after uninstalling")
	site.left(t)

	mustHelm(t, install...) // what stayed is taken over
	site.check(t, "after installing again")
	must(t, admin.Create(t.Context(), site.pool))
	mustHelm(t, "uninstall", "cw", "-n", power, "--timeout", "2m") // nobody waits for watts: no lease is waited for
	site.check(t, "after the second uninstall")
	must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(site.pool), site.pool))
	cleanUp(t, site)
}

func refusesASecond(t *testing.T) {
	t.Helper()
	namespace(t, "other", nil)
	const want = "Counterweight is already installed in this cluster, as release cw in namespace power: one operator decides for all of a cluster"
	for name, args := range map[string][]string{
		"elsewhere":          {"install", "cw", chartFolder(), "-n", "other"},
		"under another name": {"install", "cw2", chartFolder(), "-n", power},
		"by force":           {"install", "cw2", chartFolder(), "-n", "other", "--take-ownership"},
	} {
		if _, err := helm(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that says: %s", name, err, want)
		}
	}
	var secrets corev1.SecretList
	must(t, admin.List(t.Context(), &secrets, client.InNamespace("other")))
	if len(secrets.Items) != 0 {
		t.Error("a refused installation left a release")
	}
}

// upgradeAndBack changes a CRD as a new version would.
func upgradeAndBack(t *testing.T, site *site) {
	t.Helper()
	newer := filepath.Join(t.TempDir(), "counterweight")
	must(t, os.CopyFS(newer, os.DirFS(chartFolder())))
	edit(t, filepath.Join(newer, "files", "crds", "power.counterweight.dev_powerbudgets.yaml"),
		"              limitWatts:", "              colour:\n                maxLength: 16\n                type: string\n              limitWatts:")
	edit(t, filepath.Join(newer, "Chart.yaml"), "version: 0.1.0", "version: 0.2.0")

	mustHelm(t, "upgrade", "cw", newer, "-n", power, "--reset-then-reuse-values")
	eventually(t, "the new field is known", func(ctx context.Context) error { return site.paint(ctx) })
	site.check(t, "after the upgrade")

	mustHelm(t, "rollback", "cw", "1", "-n", power)
	eventually(t, "the new field is unknown again", func(ctx context.Context) error {
		if err := site.paint(ctx); err == nil {
			return fmt.Errorf("still taken")
		}
		return nil
	})
	site.check(t, "after the rollback")
}

// paint sets a field that the newer CRD alone knows, as a trial.
func (s *site) paint(ctx context.Context) error {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(powerv1.GroupVersion.String())
	o.SetKind("PowerBudget")
	o.SetName(s.budget.Name)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"colour":"red"}}`))
	return admin.Patch(ctx, o, patch, client.DryRunAll, client.FieldValidation("Strict"))
}

func edit(t *testing.T, path, old, with string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", path, old)
	}
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), old, with, 1)), 0o600))
}

// left is what an uninstall leaves and what it takes.
func (s *site) left(t *testing.T) {
	t.Helper()
	for _, o := range []struct{ apiVersion, kind, namespace, name string }{
		{"apps/v1", "Deployment", power, "counterweight-operator"},
		{"admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "", gate.PolicyGate},
		{"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "", gate.PolicyGateKept},
		{"rbac.authorization.k8s.io/v1", "ClusterRole", "", "counterweight-operator"},
		{"rbac.authorization.k8s.io/v1", "ClusterRole", "", "counterweight-uninstall"},
		{"rbac.authorization.k8s.io/v1", "Role", "mining", "counterweight-mining"},
		{"batch/v1", "Job", power, "counterweight-uninstall"},
	} {
		eventually(t, o.kind+" "+o.name+" goes", func(ctx context.Context) error {
			if _, err := exists(ctx, o.apiVersion, o.kind, o.namespace, o.name); !apierrors.IsNotFound(err) {
				return fmt.Errorf("is left: %w", err)
			}
			return nil
		})
	}
	must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(s.waiting), s.waiting))
	if gate.Gated(s.waiting) {
		t.Error("a pod is left at the gate")
	}
	if n := len(s.waiting.Spec.SchedulingGates); n != 1 {
		t.Errorf("%d gates of others are left, want 1", n)
	}
}
