package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// rootOwner is the controller that stands for a pod: its own, followed only from ReplicaSet to
// Deployment and from Job to CronJob or JobSet; the pod itself where it has none. Metadata is read from
// the cache; an owner that is gone stands for itself.
func rootOwner(ctx context.Context, c client.Reader, pod *corev1.Pod) (powerv1.WorkloadOwner, error) {
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		return powerv1.WorkloadOwner{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}, nil
	}
	above := map[string]string{"ReplicaSet": "Deployment", "Job": "CronJob,JobSet"}[ref.Kind]
	if above == "" {
		return ownerOf(ref), nil
	}
	var meta metav1.PartialObjectMetadata
	meta.SetGroupVersionKind(groupVersionKind(ref))
	err := c.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: ref.Name}, &meta)
	if apierrors.IsNotFound(err) {
		return ownerOf(ref), nil
	}
	if err != nil {
		return powerv1.WorkloadOwner{}, fmt.Errorf("reading %s %s/%s: %w", ref.Kind, pod.Namespace, ref.Name, err)
	}
	up := metav1.GetControllerOf(&meta)
	if meta.UID != ref.UID || up == nil || !strings.Contains(above, up.Kind) {
		return ownerOf(ref), nil
	}
	return ownerOf(up), nil
}

func ownerOf(ref *metav1.OwnerReference) powerv1.WorkloadOwner {
	return powerv1.WorkloadOwner{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}
}

// claimName is the name of the GPUWorkload made for an owner: kind and name for people, a hash of the
// UID so that a Job and a Deployment of one name never collide.
func claimName(o powerv1.WorkloadOwner) string {
	hash := sha256.Sum256([]byte(o.UID))
	tail := "-" + hex.EncodeToString(hash[:])[:6]
	head := strings.ToLower(o.Kind) + "-" + strings.ReplaceAll(o.Name, ".", "-")
	const longest = 63
	if len(head)+len(tail) > longest {
		head = strings.TrimRight(head[:longest-len(tail)], "-")
	}
	return head + tail
}

// classOf guesses what an owner's pods do: what serves is inference, what ends is training.
func classOf(o powerv1.WorkloadOwner) powerv1.WorkloadClass {
	switch o.Kind {
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet":
		return powerv1.ClassInference
	default:
		return powerv1.ClassTraining
	}
}
