package gate_test

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

func (c *cluster) createAll(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := c.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func appLabels(name string) map[string]string { return map[string]string{"app": name} }

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: appLabels(name)}
}

func podTemplate(name string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: appLabels(name)},
		Spec:       gpuPod("", "").Spec,
	}
}

func jobTemplate(name string) corev1.PodTemplateSpec {
	t := podTemplate(name)
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	return t
}

func replicaSet(namespace, name string, replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: named(namespace, name), Spec: appsv1.ReplicaSetSpec{
		Replicas: &replicas, Selector: selector(name), Template: podTemplate(name),
	}}
}

// wantPods waits for so many pods of an app and returns them.
func (c *cluster) wantPods(t *testing.T, namespace, app string, want int) []corev1.Pod {
	t.Helper()
	pods := &corev1.PodList{}
	mustEventually(t, func(ctx context.Context) error {
		if err := c.admin.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels(appLabels(app))); err != nil {
			return err
		}
		if len(pods.Items) != want {
			return fmt.Errorf("%d pods of %s, want %d", len(pods.Items), app, want)
		}
		return nil
	})
	return pods.Items
}

func TestPodsOfControllersAreGated(t *testing.T) {
	c := startCluster(t)
	for kind, owner := range map[string]client.Object{
		"deployment": &appsv1.Deployment{ObjectMeta: named(blue, "deployment"), Spec: appsv1.DeploymentSpec{
			Selector: selector("deployment"), Template: podTemplate("deployment"),
		}},
		"replicaset": replicaSet(blue, "replicaset", 1),
		"statefulset": &appsv1.StatefulSet{ObjectMeta: named(blue, "statefulset"), Spec: appsv1.StatefulSetSpec{
			Selector: selector("statefulset"), Template: podTemplate("statefulset"),
		}},
		"daemonset": &appsv1.DaemonSet{ObjectMeta: named(blue, "daemonset"), Spec: appsv1.DaemonSetSpec{
			Selector: selector("daemonset"), Template: podTemplate("daemonset"),
		}},
		"job": &batchv1.Job{ObjectMeta: named(blue, "job"), Spec: batchv1.JobSpec{Template: jobTemplate("job")}},
	} {
		t.Run(kind, func(t *testing.T) {
			c.createAll(t, owner)
			for _, pod := range c.wantPods(t, blue, kind, 1) {
				wantGated(t, &pod, true)
			}
		})
	}
}

// A gated pod goes through the hands of controllers as any other: they change only fields of their own.
func TestControllersAreNotHindered(t *testing.T) {
	c := startCluster(t)
	t.Run("a Job ends and lets go of its pod", func(t *testing.T) {
		job := &batchv1.Job{ObjectMeta: named(blue, "ends"), Spec: batchv1.JobSpec{Template: jobTemplate("ends")}}
		c.createAll(t, job)
		pod := c.wantPods(t, blue, "ends", 1)[0]
		if err := c.open(t.Context(), &pod, 10200, nil); err != nil {
			t.Fatal(err)
		}
		// What the kubelet would write.
		if err := c.admin.Status().Patch(t.Context(), &pod, mergePatch(`{"status":{"phase":"Succeeded"}}`)); err != nil {
			t.Fatal(err)
		}
		mustEventually(t, func(ctx context.Context) error {
			if now := c.read(t, &pod); len(now.Finalizers) > 0 {
				return fmt.Errorf("finalizers %v", now.Finalizers)
			}
			if err := c.admin.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
				return err
			}
			if job.Status.Succeeded != 1 {
				return fmt.Errorf("job not done: %v", job.Status)
			}
			return nil
		})
		if watts, ok := gate.Admitted(c.read(t, &pod)); watts != 10200 || !ok {
			t.Errorf("admitted = %d, %v after the end, want 10200", watts, ok)
		}
	})
	t.Run("a gated Job is collected", func(t *testing.T) {
		job := &batchv1.Job{ObjectMeta: named(blue, "collected"), Spec: batchv1.JobSpec{Template: jobTemplate("collected")}}
		c.createAll(t, job)
		pod := c.wantPods(t, blue, "collected", 1)[0]
		wantGated(t, &pod, true)
		if err := c.admin.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
		c.wantPods(t, blue, "collected", 0)
	})
	t.Run("an orphan is adopted", func(t *testing.T) {
		orphan := gpuPod(blue, "orphan")
		orphan.Labels = appLabels("adopted")
		orphan = create(t, c.tenant, orphan)
		c.createAll(t, replicaSet(blue, "adopted", 1))
		mustEventually(t, func(context.Context) error {
			if now := c.read(t, orphan); metav1.GetControllerOf(now) == nil {
				return fmt.Errorf("no owner")
			}
			return nil
		})
		wantGated(t, c.read(t, orphan), true)
	})
	t.Run("a namespace is deleted with its gated pods", func(t *testing.T) {
		const ending = "ending"
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ending, Labels: map[string]string{
			"power.counterweight.dev/admission": "Gated",
		}}}
		c.createAll(t, namespace)
		mustEventually(t, func(ctx context.Context) error {
			probe := gpuPod(ending, "waits")
			if err := c.admin.Create(ctx, probe, client.DryRunAll); err != nil {
				return err
			}
			if !gate.Gated(probe) {
				return fmt.Errorf("not enrolled yet")
			}
			return nil
		})
		create(t, c.admin, gpuPod(ending, "waits"))
		if err := c.admin.Delete(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		mustEventually(t, func(ctx context.Context) error {
			err := c.admin.Get(ctx, client.ObjectKey{Name: ending}, &corev1.Namespace{})
			if !apierrors.IsNotFound(err) {
				return fmt.Errorf("still there: %w", err)
			}
			return nil
		})
	})
}
