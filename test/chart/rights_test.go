package chart

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// The real operator, with no more than the rights that the chart gives it, leads, makes mining pods where it may,
// says so where it may not, and lets an accelerator pod in.
func TestTheRightsOfTheChartSuffice(t *testing.T) {
	for _, name := range []string{power, "mining", "unlisted"} {
		namespace(t, name, nil)
	}
	namespace(t, "ai", nil)
	mustHelm(t, "install", "cw", chartFolder(), "-n", power, "--set", "replicas=0",
		"--set", "mining[0].namespace=mining", "--set", "mining[0].devices={10.20.0.0/15}")
	enrol(t, "ai")
	stop := operate(t)
	defer stop()

	budget := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: "site"}, Spec: powerv1.PowerBudgetSpec{
		LimitWatts: resource.MustParse("1M"), NodeSelector: map[string]string{"power": "site"},
	}}
	listed, unlisted := pool("mining", "10.20.0.0/28"), pool("unlisted", "10.20.1.0/28")
	for _, o := range []client.Object{budget, listed, unlisted} {
		must(t, admin.Create(t.Context(), o))
	}
	eventually(t, "mining pods and their certificate are made", func(ctx context.Context) error {
		if err := admin.Get(ctx, types.NamespacedName{Namespace: "mining", Name: "pool-agent-tls"}, &corev1.Secret{}); err != nil {
			return err
		}
		return admin.Get(ctx, client.ObjectKeyFromObject(listed), &appsv1.StatefulSet{})
	})
	eventually(t, "the other pool says what it lacks", func(ctx context.Context) error {
		if err := admin.Get(ctx, client.ObjectKeyFromObject(unlisted), unlisted); err != nil {
			return err
		}
		stalled := meta.FindStatusCondition(unlisted.Status.Conditions, powerv1.ConditionStalled)
		if stalled == nil || stalled.Reason != powerv1.ReasonNamespaceNotGranted {
			return plainError("not Stalled")
		}
		return nil
	})
	eventually(t, "a pod that waits has a GPUWorkload", func(ctx context.Context) error {
		waits := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "waits"}, Spec: podSpec("1")}
		if err := client.IgnoreAlreadyExists(admin.Create(ctx, waits)); err != nil {
			return err
		}
		var made powerv1.GPUWorkloadList
		if err := admin.List(ctx, &made, client.InNamespace("ai")); err != nil || len(made.Items) == 0 {
			return errorOr(err, "none is made")
		}
		return nil
	})
	stop()
	letGo(t, budget, listed, unlisted)
}

func pool(namespace, addresses string) *powerv1.MinerPool {
	return &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pool"}, Spec: powerv1.MinerPoolSpec{
		Budget: "site", RatedWatts: resource.MustParse("50k"), Control: powerv1.ControlObserve,
		Devices: powerv1.MinerDevices{Addresses: []string{addresses}},
	}}
}

// operate runs the operator with the rights of its ServiceAccount until stop is called.
func operate(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	kubeconfig, err := asServiceAccount(power, "counterweight-operator")
	must(t, err)
	cmd := exec.CommandContext(ctx, filepath.Join(work, "operator"), "--metrics-bind-address=0", "--health-probe-bind-address=0")
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "POD_NAMESPACE=" + power}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	stopped := false
	return func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		_ = cmd.Wait()
		if t.Failed() || bytes.Contains(log.Bytes(), []byte("is forbidden")) {
			t.Errorf("the operator says:\n%s", log.String())
		}
	}
}

// letGo uninstalls, with nobody left at the gate, and takes the finalizers off that the operator would.
func letGo(t *testing.T, objects ...client.Object) {
	t.Helper()
	mustHelm(t, "uninstall", "cw", "-n", power, "--timeout", "2m", "--no-hooks")
	leave := exec.CommandContext(t.Context(), filepath.Join(work, "operator"), "open-gates", "--namespace="+power)
	leave.Env = []string{"KUBECONFIG=" + kubeconfig}
	for _, o := range objects {
		must(t, admin.Delete(t.Context(), o))
		unfinalize(t, o)
	}
	out, err := leave.CombinedOutput() // no MinerPool is left, so no lease is waited for
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var made powerv1.GPUWorkloadList
	var pods corev1.PodList
	must(t, admin.List(t.Context(), &made))
	must(t, admin.List(t.Context(), &pods))
	for i := range made.Items {
		unfinalize(t, &made.Items[i])
	}
	for i := range pods.Items {
		if gate.Gated(&pods.Items[i]) {
			t.Errorf("pod %s is left at the gate", pods.Items[i].Name)
		}
		unfinalize(t, &pods.Items[i])
	}
	forget(t)
}

func unfinalize(t *testing.T, o client.Object) {
	t.Helper()
	off := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	must(t, client.IgnoreNotFound(admin.Patch(t.Context(), o, off)))
}
