package play

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// over ends a wait at once.
type over struct{ error }

// until tries ten times a second until it works; the last failure is told.
func until(ctx context.Context, patience time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if end, ok := errors.AsType[over](err); ok {
			return end.error
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return context.Canceled
			}
			return fmt.Errorf("not within %s: %w", patience.Round(time.Second), err)
		case <-tick.C:
		}
	}
}

// awaitGate waits until the policies are in force, by asking for a gated pod without making one: policies
// take a moment after they were written.
func (g *stage) awaitGate(ctx context.Context) error {
	const name = "rehearsal-gate-check"
	namespaces := g.client.CoreV1().Namespaces()
	_, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{powerv1.AdmissionLabel: powerv1.AdmissionGated},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("checking the gate: %w", err)
	}
	pod := gateCheckPod(name)
	err = until(ctx, 30*time.Second, func() error {
		made, err := g.client.CoreV1().Pods(name).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if !gated(made) {
			return errors.New("an accelerator pod gets no gate")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the policies: %w", err)
	}
	return namespaces.Delete(ctx, name, metav1.DeleteOptions{})
}

func gateCheckPod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "check", Namespace: namespace},
		Spec: corev1.PodSpec{
			ServiceAccountName: "default",
			Containers: []corev1.Container{{Name: "c", Image: "none", Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")},
			}}},
		},
	}
}
