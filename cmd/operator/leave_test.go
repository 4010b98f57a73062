package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

func full(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newNamespace(t *testing.T, c client.Client) string {
	t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "leave-"}}
	must(t, c.Create(t.Context(), n))
	return n.Name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func podIn(namespace, name string, labels map[string]string, gates ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
	for _, g := range gates {
		pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: g})
	}
	return pod
}

func deploymentIn(namespace string) *appsv1.Deployment {
	labels := map[string]string{"app": "operator"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: operatorName},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podIn("", "", nil).Spec},
		},
	}
}

// departure is a leaving operator whose time passes at once, and what it did when.
type departure struct {
	leaving
	log  []string
	meet func(time.Duration) // looks at the cluster whenever it waits
}

func departing(c client.Client, namespace string) *departure {
	d := &departure{}
	d.leaving = leaving{Client: c, namespace: namespace,
		say: func(format string, args ...any) { d.log = append(d.log, fmt.Sprintf(format, args...)) },
		sleep: func(_ context.Context, wait time.Duration) error {
			d.log = append(d.log, "waited "+wait.String())
			if d.meet != nil {
				d.meet(wait)
			}
			return nil
		}}
	return d
}

func (d *departure) gates(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	must(t, d.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
	var names []string
	for _, g := range pod.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	return strings.Join(names, " ")
}

func TestLeavingOpensEveryGateOnceMiningHasShed(t *testing.T) {
	c := full(t)
	ns := newNamespace(t, c)
	waits, foreign := podIn(ns, "waits", nil, powerv1.Gate), podIn(ns, "foreign", nil, "example.com/quota", powerv1.Gate)
	late := podIn(ns, "late", nil, powerv1.Gate)
	operator := podIn(ns, "operator", map[string]string{"app.kubernetes.io/name": "counterweight", "app.kubernetes.io/component": "operator"})
	deployment := deploymentIn(ns)
	budget := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: ns}, Spec: powerv1.PowerBudgetSpec{
		LimitWatts: resource.MustParse("1M"), LeaseSeconds: 300,
	}}
	pool := &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "pool"}, Spec: powerv1.MinerPoolSpec{
		Budget: ns, RatedWatts: resource.MustParse("100k"), Devices: powerv1.MinerDevices{Addresses: []string{"10.0.0.0/24"}},
	}}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: gate.PolicyGate},
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: gate.PolicyGate},
	}
	for _, o := range []client.Object{waits, foreign, operator, deployment, budget, pool, binding} {
		must(t, c.Create(t.Context(), o))
	}
	t.Cleanup(func() { _ = c.Delete(context.Background(), budget); _ = c.Delete(context.Background(), pool) })

	d := departing(c, ns)
	madeLate := false
	d.meet = func(wait time.Duration) {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
		if *deployment.Spec.Replicas != 0 {
			t.Error("waits with an operator that is not told to stop")
		}
		switch {
		case wait == time.Second: // for the operator
			must(t, c.Delete(t.Context(), operator, client.GracePeriodSeconds(0)))
		case wait > time.Minute: // for the leases
			if d.gates(t, waits) == "" {
				t.Error("a gate is open before mining has shed")
			}
		case d.gates(t, waits) == "" && !madeLate: // an API server that had not heard yet
			madeLate = true
			must(t, c.Create(t.Context(), late))
		}
	}
	must(t, d.run(t.Context()))

	if !slices.Contains(d.log, "waited 6m0s") { // the longest lease, and the slowest machine
		t.Errorf("did not wait for the leases: %q", d.log)
	}
	for pod, want := range map[*corev1.Pod]string{waits: "", late: "", foreign: "example.com/quota"} {
		if got := d.gates(t, pod); got != want {
			t.Errorf("pod %s waits at %q, want %q", pod.Name, got, want)
		}
	}
	for _, o := range []client.Object{budget, pool} {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil || o.GetDeletionTimestamp() != nil {
			t.Errorf("%T %s: %v", o, o.GetName(), err)
		}
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(binding), binding); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the gate is still in force: %v", err)
	}
}

func TestLeavingWaitsForNoLeasesWhereNobodyWaitsForWatts(t *testing.T) {
	c := full(t)
	d := departing(c, newNamespace(t, c)) // nothing is there, not even the operator
	must(t, d.run(t.Context()))
	for _, line := range d.log {
		if strings.HasPrefix(line, "waited") && line != "waited "+heeded.String() {
			t.Error(line)
		}
	}
}

func TestLeavingGoesOnWithoutAnOperatorOfALostNode(t *testing.T) {
	c := full(t)
	ns := newNamespace(t, c)
	waits := podIn(ns, "waits", nil, powerv1.Gate)
	stuck := podIn(ns, "stuck", map[string]string{"app.kubernetes.io/name": "counterweight", "app.kubernetes.io/component": "operator"})
	for _, o := range []client.Object{waits, stuck, deploymentIn(ns)} {
		must(t, c.Create(t.Context(), o))
	}
	d := departing(c, ns)
	must(t, d.run(t.Context()))
	if d.gates(t, waits) != "" {
		t.Errorf("the gate stays closed: %q", d.log)
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	c := full(t)
	ns := newNamespace(t, c)
	now := time.Now()
	var said []string
	check := &checking{Reader: c, namespace: ns, clock: func() time.Time { return now },
		sleep: func(context.Context, time.Duration) error { return nil },
		say:   func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	fails := func(want string) {
		t.Helper()
		if err := check.run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %s", err, want)
		}
	}
	fails(gate.PolicyGate)
	applyPolicies(t, c)
	fails("looking for the operator that leads")
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: controllers.LockName}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: new("operator-1"), RenewTime: new(metav1.NewMicroTime(now.Add(-time.Minute))),
	}}
	must(t, c.Create(t.Context(), lease))
	fails("no operator leads")
	lease.Spec.RenewTime = new(metav1.NewMicroTime(now.Add(-time.Second)))
	must(t, c.Update(t.Context(), lease))
	must(t, check.run(t.Context()))
	if last := said[len(said)-1]; !strings.Contains(last, "operator-1 leads") {
		t.Errorf("says %q", last)
	}
}

// applyPolicies makes policies and bindings of the names that are installed; what they do is tested elsewhere.
func applyPolicies(t *testing.T, c client.Client) {
	t.Helper()
	files, err := gate.Policies(gate.Builtin())
	must(t, err)
	for _, text := range files {
		for _, o := range decoded(t, text) {
			must(t, c.Create(t.Context(), o))
			t.Cleanup(func() { _ = c.Delete(context.Background(), o) })
		}
	}
}
