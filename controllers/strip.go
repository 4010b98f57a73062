package controllers

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// CacheOptions strips cached objects to what is read of them: every pod and node of the cluster is cached.
func CacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: stripOwner,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {Transform: stripPod}, &corev1.Node{}: {Transform: stripNode},
		},
	}
}

// stripOwner keeps of an object of which only the metadata is cached, an owner of pods, who owns it.
func stripOwner(object any) (any, error) {
	if o, ok := object.(*metav1.PartialObjectMetadata); ok {
		o.Labels, o.Annotations = nil, nil
	}
	return cache.TransformStripManagedFields()(object)
}

// stripPod keeps of a cached pod what the ledger needs: every pod of the cluster is watched, since
// accelerator pods carry no label of ours.
func stripPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields = nil
	annotations := pod.Annotations
	pod.Annotations = nil
	for _, key := range []string{powerv1.AdmittedAnnotation, corev1.MirrorPodAnnotationKey} {
		if v, ok := annotations[key]; ok {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, v)
		}
	}
	affinity, tolerations := stripScheduling(pod)
	pod.Spec = corev1.PodSpec{
		Affinity: affinity, Tolerations: tolerations, NodeName: pod.Spec.NodeName, NodeSelector: pod.Spec.NodeSelector,
		TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
		SchedulingGates:               pod.Spec.SchedulingGates, Resources: pod.Spec.Resources,
		ResourceClaims: pod.Spec.ResourceClaims,
		Containers:     stripContainers(pod.Spec.Containers),
		InitContainers: stripContainers(pod.Spec.InitContainers),
	}
	pod.Status = corev1.PodStatus{
		Phase: pod.Status.Phase, Reason: pod.Status.Reason, PodIP: pod.Status.PodIP,
		ContainerStatuses:     stripStatuses(pod.Status.ContainerStatuses),
		InitContainerStatuses: stripStatuses(pod.Status.InitContainerStatuses),
	}
	return pod, nil
}

// stripScheduling is what of a pod keeps it off nodes, as long as it is bound to none.
func stripScheduling(pod *corev1.Pod) (*corev1.Affinity, []corev1.Toleration) {
	if pod.Spec.NodeName != "" {
		return nil, nil
	}
	required := requiredAffinity(pod)
	if required == nil {
		return nil, pod.Spec.Tolerations
	}
	affinity := &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}
	return &corev1.Affinity{NodeAffinity: affinity}, pod.Spec.Tolerations
}

func stripContainers(in []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for i := range in {
		out = append(out, corev1.Container{
			Name: in[i].Name, RestartPolicy: in[i].RestartPolicy,
			Resources: corev1.ResourceRequirements{Limits: stripResources(in[i].Resources.Limits)},
		})
	}
	return out
}

// stripResources keeps what may be accelerators: the names of extended resources have a domain.
func stripResources(in corev1.ResourceList) corev1.ResourceList {
	var out corev1.ResourceList
	for name, q := range in {
		if strings.Contains(string(name), "/") {
			if out == nil {
				out = corev1.ResourceList{}
			}
			out[name] = q
		}
	}
	return out
}

func stripStatuses(in []corev1.ContainerStatus) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range in {
		s := corev1.ContainerStatus{Name: in[i].Name}
		switch state := in[i].State; {
		case state.Terminated != nil:
			s.State.Terminated = &corev1.ContainerStateTerminated{}
		case state.Running != nil:
			s.State.Running = &corev1.ContainerStateRunning{}
		}
		out = append(out, s)
	}
	return out
}

// stripNode keeps of a cached node which pods may run there.
func stripNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	node.ManagedFields, node.Annotations = nil, nil
	node.Spec = corev1.NodeSpec{Unschedulable: node.Spec.Unschedulable, Taints: node.Spec.Taints}
	conditions := node.Status.Conditions
	node.Status = corev1.NodeStatus{Allocatable: stripResources(node.Status.Allocatable)}
	for _, c := range conditions {
		if c.Type == corev1.NodeReady {
			node.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return node, nil
}
